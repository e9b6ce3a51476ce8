//! Version numbers: Semantic Versioning 2.0.0, their one order, and the bytes that sort like it.
//!
//! Everywhere in the registry two versions that differ only in build metadata are the same version. So equality, order
//! and hash of [`VersionNumber`] are those of precedence (<https://semver.org/#spec-item-11>); only the text differs.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::name;
use super::refusal::{Reason, Refusal};

/// The longest version number, in bytes, build metadata included.
pub const VERSION_BYTES_MAX: usize = 128;

/// One version number as it was published, build metadata included.
///
/// `Eq`, `Ord` and `Hash` look at precedence **only**: `1.0.0+a == 1.0.0+b`. Compare `to_string()` for the exact text.
#[derive(Clone)]
pub struct VersionNumber(semver::Version);

impl VersionNumber {
    /// Reads a full version such as `1.2.3`, `1.2.3-rc.1` or `1.2.3+build.5`; no `v`, no leading zeros, no blanks.
    ///
    /// # Errors
    /// [`Reason::InvalidSemver`] for anything else, numbers past 64 bits, and more than [`VERSION_BYTES_MAX`] bytes.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let refuse = |why: String| {
            let message = format!("{} is not a version number: {why}", shown(text));
            Refusal::new(Reason::InvalidSemver, message)
        };
        if text.len() > VERSION_BYTES_MAX {
            return Err(refuse(format!("it has {} bytes; the limit is {VERSION_BYTES_MAX}", text.len())));
        }
        if text.is_empty() {
            return Err(refuse("it is empty; write one like `1.2.3` or `1.2.3-rc.1`".to_owned()));
        }
        if let Some(rest) = text.strip_prefix(['v', 'V']).filter(|rest| semver::Version::parse(rest).is_ok()) {
            return Err(refuse(format!("leave out the leading `v` and write {}", shown(rest))));
        }
        let parsed = semver::Version::parse(text);
        parsed.map(Self).map_err(|error| refuse(format!("{error}; write one like `1.2.3` or `1.2.3-rc.1`")))
    }

    /// The order of Semantic Versioning, in which build metadata has no part.
    pub fn precedence_cmp(&self, other: &Self) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }

    /// Whether both are the same version to the registry: equal but for build metadata.
    pub fn same_precedence(&self, other: &Self) -> bool {
        self.precedence_cmp(other).is_eq()
    }

    /// Whether this is a prerelease, such as `2.0.0-rc.1`.
    pub fn is_prerelease(&self) -> bool {
        !self.0.pre.is_empty()
    }

    /// The text without build metadata: `1.2.3-rc.1` for `1.2.3-rc.1+build.5`.
    pub fn without_build(&self) -> String {
        let mut text = self.0.to_string();
        text.truncate(text.find('+').unwrap_or(text.len()));
        text
    }

    /// The parsed parts. Beware: `semver::Version` compares build metadata too.
    pub const fn semver(&self) -> &semver::Version {
        &self.0
    }

    /// Bytes whose lexicographic order is exactly the order of versions; equal for versions that are the same.
    ///
    /// Three big-endian numbers, then `0xff` for a release, or for a prerelease each of its identifiers and a `0x00`.
    /// A numeric identifier is `0x01`, the count of its digits, the digits (it may pass 64 bits); any other one is
    /// `0x02`, its letters, `0x00`. No key is a prefix of another one.
    pub fn precedence_key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(32);
        for number in [self.0.major, self.0.minor, self.0.patch] {
            key.extend_from_slice(&number.to_be_bytes());
        }
        if !self.is_prerelease() {
            key.push(0xff);
            return key;
        }
        for identifier in self.0.pre.as_str().split('.') {
            if identifier.bytes().all(|byte| byte.is_ascii_digit()) {
                // One byte is enough for the count: a whole version has at most 128.
                key.extend([1, u8::try_from(identifier.len()).unwrap_or(u8::MAX)]);
                key.extend_from_slice(identifier.as_bytes());
            } else {
                key.push(2);
                key.extend_from_slice(identifier.as_bytes());
                key.push(0);
            }
        }
        key.push(0);
        key
    }
}

impl PartialEq for VersionNumber {
    fn eq(&self, other: &Self) -> bool {
        self.same_precedence(other)
    }
}

impl Eq for VersionNumber {}

impl PartialOrd for VersionNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for VersionNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.precedence_cmp(other)
    }
}

impl Hash for VersionNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0.major, self.0.minor, self.0.patch, self.0.pre.as_str()).hash(state);
    }
}

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VersionNumber({self})")
    }
}

/// A refused text as [`name::shown`] cuts it, in backticks.
pub(super) fn shown(text: &str) -> String {
    format!("`{}`", name::shown(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> VersionNumber {
        VersionNumber::parse(text).unwrap()
    }

    fn refused(text: &str) -> String {
        let refusal = VersionNumber::parse(text).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidSemver);
        assert!(!refusal.message.contains(char::is_control), "{:?}", refusal.message);
        refusal.message
    }

    #[test]
    fn a_version_keeps_its_text_and_loses_build_metadata_on_request() {
        for text in ["0.0.0", "1.2.3", "1.2.3-rc.1", "1.2.3-rc.1+build.05", "18446744073709551615.0.0", "1.0.0--.-a+-"]
        {
            assert_eq!(version(text).to_string(), text);
        }
        assert_eq!(version("1.2.3-rc.1+b.5").without_build(), "1.2.3-rc.1");
        assert_eq!(version("1.2.3+b-5").without_build(), "1.2.3");
        assert!(version("1.0.0-0").is_prerelease());
        assert!(!version("1.0.0+rc-1").is_prerelease());
    }

    #[test]
    fn what_is_no_version_is_refused_with_the_cause() {
        let bad = ["1", "1.2", "01.2.3", "1.2.3-01", "1.2.3-", "1.2.3+", " 1.2.3", "1.2.3\n", "1.2.3.4", "a", "1.2.x"];
        for text in bad {
            refused(text);
        }
        assert!(refused("18446744073709551616.0.0").contains("value of major version number exceeds u64"));
        assert!(refused("v1.2.3").ends_with("leave out the leading `v` and write `1.2.3`"));
        assert!(refused("").contains("it is empty"));
        let long = format!("1.2.3-{}", "a".repeat(VERSION_BYTES_MAX - 6));
        assert!(VersionNumber::parse(&long).is_ok());
        let message = refused(&format!("{long}a"));
        assert!(message.contains("129 bytes; the limit is 128"), "{message}");
        assert!(message.len() < 200, "{message}");
    }

    #[test]
    fn the_order_is_that_of_the_specification() {
        let rising = [
            "0.9.10",
            "1.0.0-0",
            "1.0.0-2",
            "1.0.0-10",
            "1.0.0-99999999999999999999",
            "1.0.0-100000000000000000000",
            "1.0.0--",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.1.0",
            "1.0.0-alpha.beta",
            "1.0.0-alpha-",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1-a",
            "256.0.0",
        ];
        for pair in rising.windows(2) {
            let (low, high) = (version(pair[0]), version(pair[1]));
            assert!(low < high, "{low} < {high}");
            assert!(low.precedence_key() < high.precedence_key(), "key of {low} < key of {high}");
        }
        assert_eq!(version("1.0.0+a"), version("1.0.0+b"));
        assert_eq!(version("1.0.0+a").precedence_key(), version("1.0.0").precedence_key());
        assert_eq!(std::collections::HashSet::from([version("1.0.0+a"), version("1.0.0+b")]).len(), 1);
    }

    fn any_version() -> impl Strategy<Value = VersionNumber> {
        let number = prop_oneof![0_u64..3, 250_u64..260, Just(u64::MAX), any::<u64>()];
        let identifier = "0|[1-9][0-9]{0,2}|[1-9][0-9]{17,24}|[a-c-]{1,3}|[0-9]{0,2}[a-zA-Z-][0-9]{0,2}";
        let prerelease = prop::collection::vec(identifier, 0..4);
        ((number.clone(), number.clone(), number), prerelease, "(\\+[0-9a-z]{1,3})?").prop_filter_map(
            "longer than a version may be",
            |((major, minor, patch), identifiers, build)| {
                let dash = if identifiers.is_empty() { "" } else { "-" };
                let text = format!("{major}.{minor}.{patch}{dash}{}{build}", identifiers.join("."));
                VersionNumber::parse(&text).ok()
            },
        )
    }

    proptest! {
        #[test]
        fn keys_sort_exactly_like_versions(a in any_version(), b in any_version(), same_numbers in any::<bool>()) {
            let b = if same_numbers {
                let mut mixed = a.semver().clone();
                mixed.pre = b.semver().pre.clone();
                VersionNumber(mixed)
            } else {
                b
            };
            prop_assert_eq!(a.precedence_key().cmp(&b.precedence_key()), a.semver().cmp_precedence(b.semver()));
            prop_assert_eq!(a == b, a.without_build() == b.without_build());
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}|[0-9.x+-]{0,140}") {
            if let Ok(version) = VersionNumber::parse(&text) {
                prop_assert_eq!(version.to_string(), text);
            }
        }
    }
}

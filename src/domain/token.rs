//! API tokens: their text, scopes, package patterns and life.

use std::fmt;

use super::digest::Sha256;
use super::id::Id;
use super::name::{NamespaceName, PackageName, shown};
use super::refusal::{Reason, Refusal};
use super::time::Timestamp;
use super::user::UserId;

/// What a token text starts with, so that secret scanners can find it.
pub const TOKEN_PREFIX: &str = "vixr_";
const RANDOM_CHARS: usize = 43;
const CHECK_CHARS: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Most patterns that one token can have.
pub const PATTERNS_MAX: usize = 64;
/// Longest name of a token, in bytes.
pub const TOKEN_NAME_BYTES_MAX: usize = 128;

/// The id of a token, which is no secret.
pub type TokenId = Id;

/// The secret text of a token. It is never logged: `Debug` shows the prefix alone.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText(String);

impl TokenText {
    /// `vixr_`, 43 base62 characters of 256 random bits, 6 base62 characters of the CRC-32 (ISO-HDLC) of what precedes.
    pub fn from_random(random: &[u8; 32]) -> Self {
        let mut text = format!("{TOKEN_PREFIX}{}", base62(random, RANDOM_CHARS));
        let check = crc32fast::hash(text.as_bytes()).to_be_bytes();
        text.push_str(&base62(&check, CHECK_CHARS));
        Self(text)
    }

    /// Checks form and checksum without a look-up; `None` for anything that can't be a token.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix(TOKEN_PREFIX)?;
        if body.len() != RANDOM_CHARS + CHECK_CHARS || !body.bytes().all(|letter| letter.is_ascii_alphanumeric()) {
            return None;
        }
        let (checked, check) = text.split_at_checked(TOKEN_PREFIX.len() + RANDOM_CHARS)?;
        let expected = base62(&crc32fast::hash(checked.as_bytes()).to_be_bytes(), CHECK_CHARS);
        (check == expected).then(|| Self(text.to_owned()))
    }

    /// What is stored and looked up: the SHA-256 of the whole text.
    pub fn hash(&self) -> Sha256 {
        Sha256::of(self.0.as_bytes())
    }

    /// The secret itself, to be shown once to the one who asked for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenText({TOKEN_PREFIX}…)")
    }
}

/// Writes a big-endian number in base 62, padded with `0` on the left to `width` characters.
fn base62(number: &[u8], width: usize) -> String {
    let mut digits = number.to_vec();
    let mut text = vec![b'0'; width];
    for slot in text.iter_mut().rev() {
        let mut rest = 0_u32;
        for digit in &mut digits {
            let value = rest << 8 | u32::from(*digit);
            *digit = u8::try_from(value / 62).unwrap_or(u8::MAX);
            rest = value % 62;
        }
        *slot = ALPHABET[rest as usize];
    }
    text.into_iter().map(char::from).collect()
}

/// What a token may be used for; each scope includes the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Scope {
    /// Read what the token's user may read.
    Read,
    /// Publish, yank and govern packages.
    Publish,
    /// Administer the instance, if the user is an admin.
    Admin,
}

impl Scope {
    /// All scopes, the smallest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Publish, Self::Admin];

    /// The scope's name in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Admin => "admin",
        }
    }

    /// The inverse of [`Scope::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A non-empty set of scopes, as it was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope.
    pub const ALL: Self = Self(0b111);

    /// `None` for an empty list; repetitions don't matter.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Option<Self> {
        let bits = scopes.into_iter().fold(0, |bits, scope| bits | 1 << scope as u8);
        (bits != 0).then_some(Self(bits))
    }

    /// The scopes of the set, the smallest first.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & 1 << *scope as u8 != 0)
    }

    /// The largest scope of the set.
    pub fn highest(self) -> Scope {
        self.iter().last().unwrap_or(Scope::Read)
    }

    /// Whether the set has `scope` or one that includes it.
    pub fn allow(self, scope: Scope) -> bool {
        self.highest() >= scope
    }

    /// Whether everything that `other` allows is allowed by this set too.
    pub fn cover(self, other: Self) -> bool {
        self.allow(other.highest())
    }

    /// The set without `admin`; `None` when nothing is left.
    pub fn without_admin(self) -> Option<Self> {
        Self::new(self.iter().filter(|scope| *scope != Scope::Admin))
    }

    /// The bits as stored.
    pub const fn to_bits(self) -> u8 {
        self.0
    }

    /// The inverse of [`Scopes::to_bits`]; `None` for bits that no set has.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits == 0 || bits > 0b111 { None } else { Some(Self(bits)) }
    }
}

/// One package pattern of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// `*`: every package and everything instance-wide.
    All,
    /// `ns/*`: every package of a namespace, and the namespace itself.
    Namespace(NamespaceName),
    /// One package.
    Package(PackageName),
}

impl Pattern {
    /// # Errors
    /// `invalid_field` when the text is neither `*`, `ns/*` nor a package.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let wrong = |_| {
            let message =
                format!("`{}` is no package pattern: write `*`, `namespace/*` or one package's name.", shown(text));
            Refusal::field(Reason::InvalidField, "packages", message)
        };
        match text.strip_suffix("/*") {
            None if text == "*" => Ok(Self::All),
            None => PackageName::parse(text).map(Self::Package).map_err(wrong),
            Some(namespace) => NamespaceName::parse(namespace).map(Self::Namespace).map_err(wrong),
        }
    }

    /// Whether everything that `other` covers is covered by this pattern too.
    pub fn covers_pattern(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Namespace(own), Self::Namespace(namespace)) => own == namespace,
            (Self::Namespace(own), Self::Package(package)) => package.namespace.as_ref() == Some(own),
            (Self::Package(own), Self::Package(package)) => own == package,
            (Self::Namespace(_) | Self::Package(_), Self::All) | (Self::Package(_), Self::Namespace(_)) => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Namespace(namespace) => write!(f, "{namespace}/*"),
            Self::Package(package) => package.fmt(f),
        }
    }
}

/// The patterns of a token: 1 to [`PATTERNS_MAX`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Patterns(Vec<Pattern>);

impl Patterns {
    /// `["*"]`.
    pub fn all() -> Self {
        Self(vec![Pattern::All])
    }

    /// # Errors
    /// `invalid_field` when there is none or more than [`PATTERNS_MAX`].
    pub fn new(patterns: Vec<Pattern>) -> Result<Self, Refusal> {
        if patterns.is_empty() || patterns.len() > PATTERNS_MAX {
            let message =
                format!("`packages` has {} patterns; give 1 to {PATTERNS_MAX}, or leave it out.", patterns.len());
            return Err(Refusal::field(Reason::InvalidField, "packages", message).with_limit(PATTERNS_MAX as u64));
        }
        Ok(Self(patterns))
    }

    /// The patterns in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.0.iter()
    }

    /// Whether one pattern covers the package.
    pub fn cover_package(&self, package: &PackageName) -> bool {
        self.0.iter().any(|pattern| pattern.covers_pattern(&Pattern::Package(package.clone())))
    }

    /// Whether one pattern covers the namespace as a whole.
    pub fn cover_namespace(&self, namespace: &NamespaceName) -> bool {
        self.0.iter().any(|pattern| pattern.covers_pattern(&Pattern::Namespace(namespace.clone())))
    }

    /// Whether the token is not limited at all, which instance-wide routes ask for.
    pub fn cover_all(&self) -> bool {
        self.0.contains(&Pattern::All)
    }

    /// Whether everything that `other` covers is covered by these patterns too.
    pub fn cover(&self, other: &Self) -> bool {
        other.0.iter().all(|theirs| self.0.iter().any(|own| own.covers_pattern(theirs)))
    }
}

/// Where a token came from, which decides how long it can last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// Made by `POST /v1/tokens` or on the command line.
    Token,
    /// Made by a login; short-lived, and ends when the password changes.
    Login,
}

/// The hash that a rotated token had before, which stays good for a grace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormerSecret {
    /// SHA-256 of the former text.
    pub hash: Sha256,
    /// When it stops being good.
    pub until: Timestamp,
}

/// A token as it is kept: everything but its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its id, which stays through rotations.
    pub id: TokenId,
    /// A name for people.
    pub name: String,
    /// Whose rights it carries.
    pub user: UserId,
    /// Login or lasting.
    pub kind: TokenKind,
    /// What it may be used for.
    pub scopes: Scopes,
    /// Which packages it may be used for.
    pub patterns: Patterns,
    /// SHA-256 of its text.
    pub hash: Sha256,
    /// The former text's hash, during the grace of a rotation.
    pub former: Option<FormerSecret>,
    /// The token that made it, whose revocation revokes it.
    pub made_by: Option<TokenId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to within minutes.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    /// Whether the token's life has not ended, by time or by revocation.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_text_is_checked_without_a_look_up() {
        let text = TokenText::from_random(&[0xff; 32]);
        assert_eq!(text.reveal().len(), 54);
        assert_eq!(TokenText::parse(text.reveal()), Some(text.clone()));
        let zero = TokenText::from_random(&[0; 32]);
        assert!(zero.reveal().starts_with("vixr_0000000000000000000000000000000000000000000"));
        for at in 0..text.reveal().len() {
            let mut typo: Vec<char> = text.reveal().chars().collect();
            typo[at] = if typo[at] == 'x' { 'y' } else { 'x' };
            assert_eq!(TokenText::parse(&typo.into_iter().collect::<String>()), None, "position {at}");
        }
        assert!(!format!("{text:?}").contains(&text.reveal()[6..]));
    }

    #[test]
    fn base62_is_big_endian() {
        assert_eq!(base62(&[0, 0, 0, 61], 6), "00000z");
        assert_eq!(base62(&[0, 0, 0, 62], 6), "000010");
        assert_eq!(base62(&[0xff; 4], 6), "4gfFC3");
    }

    #[test]
    fn scopes_include_the_smaller_ones() {
        let publish = Scopes::new([Scope::Publish]).unwrap();
        assert!(publish.allow(Scope::Read));
        assert!(!publish.allow(Scope::Admin));
        assert!(Scopes::ALL.cover(publish));
        assert!(!publish.cover(Scopes::ALL));
        assert_eq!(Scopes::new([]), None);
    }

    #[test]
    fn patterns_cover_what_they_name() {
        let patterns =
            |texts: &[&str]| Patterns::new(texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()).unwrap();
        let package = |text: &str| PackageName::parse(text).unwrap();
        assert!(patterns(&["gk/*"]).cover_package(&package("gk/jwt")));
        assert!(!patterns(&["gk/*"]).cover_package(&package("jwt")));
        assert!(!patterns(&["gk/jwt"]).cover_namespace(&NamespaceName::parse("gk").unwrap()));
        assert!(patterns(&["*"]).cover(&patterns(&["gk/*", "a"])));
        assert!(!patterns(&["gk/*", "a"]).cover(&patterns(&["*"])));
        assert!(Pattern::parse("gk/jw*").is_err());
        assert!(Pattern::parse("*/jwt").is_err());
    }
}

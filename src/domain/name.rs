//! Names of packages, namespaces and users: their grammar, reserved words and the look-alike rule.
//!
//! A value of these types is valid by construction; past the HTTP handlers nothing takes a `&str` for a name.

use std::fmt;

use super::refusal::{Reason, Refusal};

/// Longest name of any kind, in bytes (all of them ASCII).
pub const NAME_BYTES_MAX: usize = 64;

/// Words that follow a package in some route, now or planned; none of them can be a package's name.
pub const RESERVED_NAMES: &[&str] = &[
    "versions",
    "members",
    "resolve",
    "dependents",
    "artifact",
    "readme",
    "manifest",
    "settings",
    "transfer",
    "files",
    "stats",
    "advisories",
    "attestations",
    "sbom",
    "events",
    "webhooks",
];

/// First segments of routes, now or planned; none of them can be a namespace (neither can `v0` to `v9`).
pub const RESERVED_NAMESPACES: &[&str] = &[
    "health",
    "livez",
    "readyz",
    "metrics",
    "openapi",
    "static",
    "assets",
    "ui",
    "api",
    "admin",
    "login",
    "logout",
    "setup",
    "search",
    "docs",
    "packages",
    "namespaces",
    "users",
    "tokens",
    "git",
    "conan",
    "bazel",
    "vcpkg",
    "mirror",
    "log",
    "bundles",
];

/// A package's name within its namespace: `^[a-z0-9][a-z0-9._-]{0,63}$`, not ending in `.git`, no reserved word.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// A namespace: `^[a-z0-9][a-z0-9-]{0,63}$` and no reserved word.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceName(String);

/// A user's name: the grammar of a package's name without a namespace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// A package: `name` or `namespace/name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName {
    /// The namespace, or none for the single public space of names without one.
    pub namespace: Option<NamespaceName>,
    /// The name within the namespace.
    pub name: Name,
}

impl Name {
    /// # Errors
    /// `invalid_name` when the text is not of the grammar or is reserved.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        check_grammar(text, "package name", true)?;
        if text.strip_suffix(".git").is_some() {
            return Err(invalid(text, "a package name can't end in `.git`; leave the ending out"));
        }
        if RESERVED_NAMES.contains(&text) {
            return Err(invalid(text, "this word is part of a route and can't be a package name; choose another one"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form under which look-alikes are equal: every run of `-`, `_` and `.` is read as one `-`.
    pub fn lookalike_key(&self) -> String {
        let mut key = String::with_capacity(self.0.len());
        for letter in self.0.chars() {
            match letter {
                '-' | '_' | '.' if key.ends_with('-') => {}
                '-' | '_' | '.' => key.push('-'),
                other => key.push(other),
            }
        }
        key
    }
}

impl NamespaceName {
    /// # Errors
    /// `invalid_name` when the text is not of the grammar or is reserved.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        check_grammar(text, "namespace", false)?;
        let is_version_word = matches!(text.as_bytes(), [b'v', digit] if digit.is_ascii_digit());
        if is_version_word || RESERVED_NAMESPACES.contains(&text) {
            return Err(invalid(text, "this word is part of a route and can't be a namespace; choose another one"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The namespace as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UserName {
    /// # Errors
    /// `invalid_name` when the text is not of the grammar.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        check_grammar(text, "user name", true)?;
        Ok(Self(text.to_owned()))
    }

    /// The user's name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PackageName {
    /// Reads `name` or `namespace/name`.
    ///
    /// # Errors
    /// `invalid_name` when a part is not of its grammar, is reserved, or there are more than two parts.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        match text.split_once('/') {
            None => Ok(Self { namespace: None, name: Name::parse(text)? }),
            Some((_, name)) if name.contains('/') => {
                Err(invalid(text, "a package is `name` or `namespace/name`, with one `/` at the most"))
            }
            Some((namespace, name)) => {
                Ok(Self { namespace: Some(NamespaceName::parse(namespace)?), name: Name::parse(name)? })
            }
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => self.name.fmt(f),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

impl fmt::Debug for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamespaceName({self})")
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserName({self})")
    }
}

impl fmt::Debug for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackageName({self})")
    }
}

/// Cuts a value that came from outside to what a message may show: 80 characters, none of them a control character.
pub fn shown(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    let clean = |letter: char| if letter.is_control() || is_bidi(letter) { '\u{fffd}' } else { letter };
    let mut cut: String = text.chars().take(SHOWN_CHARS_MAX).map(clean).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        cut.push('…');
    }
    cut
}

fn is_bidi(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn check_grammar(text: &str, kind: &str, dots: bool) -> Result<(), Refusal> {
    let others = if dots { "`.`, `_` and `-`" } else { "and `-`" };
    if text.is_empty() {
        return Err(invalid(text, &format!("a {kind} has at least one character")));
    }
    if text.len() > NAME_BYTES_MAX {
        let refusal = invalid(text, &format!("a {kind} has at most {NAME_BYTES_MAX} characters"));
        return Err(refusal.with_limit(NAME_BYTES_MAX as u64));
    }
    let is_plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let is_inner = |letter: &u8| is_plain(*letter) || *letter == b'-' || (dots && matches!(letter, b'.' | b'_'));
    let starts_well = text.bytes().next().is_some_and(is_plain);
    if !starts_well || !text.as_bytes().iter().all(is_inner) {
        let rule =
            format!("a {kind} is made of lower-case letters, digits, {others}, and starts with a letter or digit");
        return Err(invalid(text, &rule));
    }
    Ok(())
}

fn invalid(text: &str, rule: &str) -> Refusal {
    Refusal::field(Reason::InvalidName, "name", format!("`{}` is no valid name: {rule}.", shown(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(PackageName::parse(text).is_ok(), expected, "{text}");
    }

    #[test]
    fn package_names_follow_the_grammar() {
        check("json", true);
        check("gk/jwt", true);
        check("0a.b_c-d", true);
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
        for wrong in ["", "/", "a/", "/a", "a/b/c", "A", ".a", "-a", "_a", "a b", "ä", "a\0", "a.git", "g.k/a", "g_k/a"]
        {
            check(wrong, false);
        }
        for reserved in ["versions", "gk/members", "v1/a", "packages/a", "v9/x"] {
            check(reserved, false);
        }
        check("v10/a", true);
        check("gk/v1", true);
    }

    #[test]
    fn look_alikes_share_a_key() {
        let key = |text: &str| Name::parse(text).unwrap().lookalike_key();
        assert_eq!(key("a-b"), key("a_b"));
        assert_eq!(key("a-b"), key("a._-b"));
        assert_ne!(key("a-b"), key("ab"));
    }

    #[test]
    fn names_print_as_they_parse() {
        assert_eq!(PackageName::parse("gk/jwt").unwrap().to_string(), "gk/jwt");
        assert_eq!(PackageName::parse("jwt").unwrap().to_string(), "jwt");
    }
}

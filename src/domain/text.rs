//! The rules of texts that people give: descriptions, licences, keywords, links, reasons.
//!
//! Checked once, when they are given; what is stored is not looked at again. Every refusal names the field.

use super::name::shown;
use super::package::{Description, Links};
use super::refusal::{Reason, Refusal};

/// Longest licence (an SPDX expression or a name), in bytes.
pub const LICENSE_BYTES_MAX: u64 = 256;
/// Longest keyword, in characters.
pub const KEYWORD_CHARS_MAX: u64 = 64;
/// Longest link, in bytes.
pub const LINK_BYTES_MAX: u64 = 2048;
/// What links can be of.
pub const LINK_KINDS: [&str; 5] = ["homepage", "repository", "documentation", "issues", "changelog"];

/// The limits of texts that an operator can set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TextLimits {
    /// Longest description, in bytes.
    pub description_bytes_max: u64,
    /// Longest text of a yank, a deprecation or a purge, in bytes.
    pub reason_bytes_max: u64,
    /// Most keywords.
    pub keywords_max: u64,
}

/// Checks every descriptive field that is given, in the order of the contract.
///
/// # Errors
/// Those of [`check_description`], [`check_license`], [`check_keywords`] and [`check_links`].
pub fn check_about(about: &Description, limits: TextLimits) -> Result<(), Refusal> {
    about.description.as_deref().map_or(Ok(()), |text| check_description(text, limits))?;
    about.license.as_deref().map_or(Ok(()), check_license)?;
    about.keywords.as_deref().map_or(Ok(()), |keywords| check_keywords(keywords, limits))?;
    about.links.as_ref().map_or(Ok(()), check_links)
}

/// Checks a description: plain text, lines and tabs allowed.
///
/// # Errors
/// `invalid_field` for one that is too long or holds control characters.
pub fn check_description(text: &str, limits: TextLimits) -> Result<(), Refusal> {
    check_text("description", text, limits.description_bytes_max)
}

/// Checks a licence: one line.
///
/// # Errors
/// `invalid_field` for one that is longer than [`LICENSE_BYTES_MAX`] or is not printable.
pub fn check_license(text: &str) -> Result<(), Refusal> {
    check_text("license", text, LICENSE_BYTES_MAX)?;
    if text.chars().all(is_printable) {
        return Ok(());
    }
    let message = format!("`license` is `{}`: write an SPDX expression or a name, on one line.", shown(text));
    Err(Refusal::field(Reason::InvalidField, "license", message))
}

/// Checks keywords: each of 1 to [`KEYWORD_CHARS_MAX`] printable characters.
///
/// # Errors
/// `invalid_field`, naming the list when there are too many, else the first wrong one.
pub fn check_keywords(keywords: &[String], limits: TextLimits) -> Result<(), Refusal> {
    let (count, most) = (keywords.len() as u64, limits.keywords_max);
    if count > most {
        let message = format!("`keywords` has {count} entries; the limit is {most}: leave some out.");
        return Err(Refusal::field(Reason::InvalidField, "keywords", message).with_limit(most));
    }
    for (at, keyword) in keywords.iter().enumerate() {
        let chars = keyword.chars().count() as u64;
        if !(1..=KEYWORD_CHARS_MAX).contains(&chars) || !keyword.chars().all(is_printable) {
            let field = format!("keywords[{at}]");
            let message = format!(
                "`{field}` is `{}`: a keyword has 1 to {KEYWORD_CHARS_MAX} printable characters; shorten or remove it.",
                shown(keyword)
            );
            return Err(Refusal::field(Reason::InvalidField, field, message).with_limit(KEYWORD_CHARS_MAX));
        }
    }
    Ok(())
}

/// Checks links: known kinds, and web addresses without credentials.
///
/// # Errors
/// `unknown_field` for another kind than [`LINK_KINDS`], `invalid_field` for an address that is none or is too long.
pub fn check_links(links: &Links) -> Result<(), Refusal> {
    for (kind, url) in links {
        let field = format!("links.{}", shown(kind));
        if !LINK_KINDS.contains(&kind.as_str()) {
            let message = format!("`{field}` is not known: links are of {}.", LINK_KINDS.join(", "));
            return Err(Refusal::field(Reason::UnknownField, field, message));
        }
        if url.len() as u64 > LINK_BYTES_MAX {
            let message =
                format!("`{field}` has {} bytes; the limit is {LINK_BYTES_MAX}: give a shorter one.", url.len());
            return Err(Refusal::field(Reason::InvalidField, field, message).with_limit(LINK_BYTES_MAX));
        }
        if let Some(wrong) = wrong_with_url(url) {
            let message = format!(
                "`{field}` {wrong}: write an address like `https://example.org/…`, without a user or password."
            );
            return Err(Refusal::field(Reason::InvalidField, field, message));
        }
    }
    Ok(())
}

/// Checks the text of a yank, a deprecation or a purge, given in `field`.
///
/// # Errors
/// `invalid_field` for one that is too long or holds control characters.
pub fn check_reason(field: &str, text: &str, limits: TextLimits) -> Result<(), Refusal> {
    check_text(field, text, limits.reason_bytes_max)
}

fn check_text(field: &str, text: &str, bytes_max: u64) -> Result<(), Refusal> {
    let bytes = text.len() as u64;
    if bytes > bytes_max {
        let message = format!("`{field}` has {bytes} bytes; the limit is {bytes_max}: shorten it.");
        return Err(Refusal::field(Reason::InvalidField, field, message).with_limit(bytes_max));
    }
    let is_plain = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t');
    if !text.chars().all(is_plain) {
        let message = format!("`{field}` holds control characters: write plain text.");
        return Err(Refusal::field(Reason::InvalidField, field, message));
    }
    Ok(())
}

/// Whether a character can stand in one visible line: no control character, no line or paragraph separator, none that
/// turns the direction of writing.
fn is_printable(letter: char) -> bool {
    let breaks_line = matches!(letter, '\u{2028}' | '\u{2029}');
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !letter.is_control() && !breaks_line && !turns
}

/// What is wrong with a web address, never quoting it: it may hold a password.
fn wrong_with_url(url: &str) -> Option<&'static str> {
    let Some((scheme, rest)) = url.split_once("://") else { return Some("is no web address") };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Some("is neither an http nor an https address");
    }
    let is_unsafe = |letter: char| {
        !is_printable(letter) || letter.is_whitespace() || matches!(letter, '\\' | '"' | '<' | '>' | '`' | '{' | '}')
    };
    if rest.chars().any(is_unsafe) {
        return Some("holds characters that an address can't have");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Some("holds credentials");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        Some(_) | None => (authority, ""),
    };
    if host.is_empty() || !(port.is_empty() || port.parse::<u16>().is_ok()) {
        return Some("names no host, or a port that is none");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TextLimits = TextLimits { description_bytes_max: 8, reason_bytes_max: 4, keywords_max: 2 };

    #[track_caller]
    fn check(result: Result<(), Refusal>, expected: Option<(&str, Option<u64>)>) {
        let found = result.err().map(|refusal| refusal.details[0].clone());
        let found = found.as_ref().map(|detail| (detail.field.as_str(), detail.limit));
        assert_eq!(found, expected);
    }

    #[test]
    fn texts_are_limited_in_bytes_and_hold_no_control_characters() {
        check(check_description("12345678", LIMITS), None);
        check(check_description("a\n\tb\r\n", LIMITS), None);
        check(check_description("1234567ä", LIMITS), Some(("description", Some(8))));
        check(check_description("a\0", LIMITS), Some(("description", None)));
        check(check_reason("deprecated.message", "12345", LIMITS), Some(("deprecated.message", Some(4))));
        check(check_reason("reason", "1234", LIMITS), None);
        check(check_license("MIT OR Apache-2.0"), None);
        check(check_license("MIT\nGPL"), Some(("license", None)));
        check(check_license(&"x".repeat(257)), Some(("license", Some(LICENSE_BYTES_MAX))));
    }

    #[test]
    fn keywords_are_few_short_and_printable() {
        let check = |keywords: &[&str], expected| {
            let keywords: Vec<String> = keywords.iter().map(|&keyword| keyword.to_owned()).collect();
            check(check_keywords(&keywords, LIMITS), expected);
        };
        check(&[], None);
        check(&["json", "größe 2"], None);
        check(&[&"ä".repeat(64)], None);
        check(&[&"a".repeat(65)], Some(("keywords[0]", Some(64))));
        check(&["a", ""], Some(("keywords[1]", Some(64))));
        check(&["a\u{202e}b"], Some(("keywords[0]", Some(64))));
        check(&["a\n"], Some(("keywords[0]", Some(64))));
        check(&["a", "b", "c"], Some(("keywords", Some(2))));
    }

    #[test]
    fn links_are_web_addresses_of_known_kinds_without_credentials() {
        let check = |kind: &str, url: &str, expected| {
            check(check_links(&Links::from([(kind.to_owned(), url.to_owned())])), expected);
        };
        for kind in LINK_KINDS {
            check(kind, "https://example.org/a?b=c@d#e", None);
        }
        check("homepage", "HTTP://[::1]:8080/x", None);
        check("homepage", "http://[::1]", None);
        check("website", "https://example.org", Some(("links.website", None)));
        for wrong in [
            "",
            "example.org",
            "ftp://example.org",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "https://:80/",
            "https://pia:pw@example.org/",
            "https://tok@example.org",
            "https://example.org/a b",
            "https://example.org\\@evil.org",
            "https://example.org:99999/",
        ] {
            check("issues", wrong, Some(("links.issues", None)));
        }
        check("issues", &format!("https://e.org/{}", "x".repeat(2048)), Some(("links.issues", Some(LINK_BYTES_MAX))));
    }

    #[test]
    fn the_first_wrong_descriptive_field_is_named() {
        let about = Description {
            license: Some("a\n".to_owned()),
            keywords: Some(vec![String::new()]),
            ..Description::default()
        };
        check(check_about(&about, LIMITS), Some(("license", None)));
        check(check_about(&Description::default(), LIMITS), None);
    }
}

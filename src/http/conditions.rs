//! Conditional requests (RFC 9110 section 13) and the entity tags they compare.
//!
//! Never decides whether a caller may see something: conditions are looked at after access.

use hyper::HeaderMap;
use hyper::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE};

use crate::domain::digest::{Blake3, Sha256};
use crate::domain::refusal::{Reason, Refusal};
use crate::http::coding::Coding;

/// A strong entity tag's opaque text, without the quotes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ETag(String);

impl ETag {
    /// The tag of bytes that are rendered: another one for every other content and content coding.
    pub fn of(identity_bytes: &[u8]) -> Self {
        let mut hex = Blake3::of(identity_bytes).to_hex();
        hex.truncate(32);
        Self(hex)
    }

    /// An artifact's tag.
    pub fn of_artifact(digest: &Sha256) -> Self {
        Self(format!("sha256-{digest}"))
    }

    /// This tag for the same content under a content coding.
    #[must_use]
    pub fn coded(&self, coding: Coding) -> Self {
        match coding.name() {
            Some(name) => Self(format!("{}-{name}", self.0)),
            None => self.clone(),
        }
    }

    /// The header's value, quotes included.
    pub fn header(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

/// What an `If-Match` or `If-None-Match` header asks for.
#[derive(PartialEq, Eq, Debug)]
pub enum Tags {
    /// The header is not there.
    Absent,
    /// `*`: any content, as long as there is some.
    Any,
    /// One of these (opaque texts). Malformed members match nothing.
    OneOf(Vec<String>),
}

impl Tags {
    /// `If-Match`, over all fields of that name.
    pub fn if_match(headers: &HeaderMap) -> Self {
        Self::read(headers, &IF_MATCH)
    }

    /// `If-None-Match`, over all fields of that name.
    pub fn if_none_match(headers: &HeaderMap) -> Self {
        Self::read(headers, &IF_NONE_MATCH)
    }

    fn read(headers: &HeaderMap, name: &hyper::header::HeaderName) -> Self {
        let mut tags = Vec::new();
        let mut present = false;
        for value in headers.get_all(name) {
            present = true;
            let text = value.to_str().unwrap_or("");
            if text.trim() == "*" {
                return Self::Any;
            }
            read_list(text, &mut tags);
        }
        if present { Self::OneOf(tags) } else { Self::Absent }
    }
}

/// Reads `"a", W/"b"`; a tag may hold a comma, so this is no split. Stops at the first malformed member.
fn read_list(mut text: &str, tags: &mut Vec<String>) {
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        let Some(rest) = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"') else { return };
        let Some((tag, after)) = rest.split_once('"') else { return };
        tags.push(tag.to_owned());
        text = after;
    }
}

/// Whether a GET's answer with this tag is a 304. The comparison is weak, as RFC 9110 section 13.1.2 has it.
pub fn not_modified(headers: &HeaderMap, current: &ETag) -> bool {
    match Tags::if_none_match(headers) {
        Tags::Absent => false,
        Tags::Any => true,
        Tags::OneOf(tags) => tags.contains(&current.0),
    }
}

/// Holds a write against `If-Match`: `current` is the tag that GET would give this caller now.
///
/// A tag that came with a content coding, or was made weak by a proxy, still names the same state and matches.
///
/// # Errors
/// `etag_mismatch` when the header is there and names another state.
pub fn check_if_match(headers: &HeaderMap, current: &ETag) -> Result<(), Refusal> {
    let matches = match Tags::if_match(headers) {
        Tags::Absent | Tags::Any => true,
        Tags::OneOf(tags) => tags.iter().any(|tag| Coding::strip_suffix(tag) == current.0),
    };
    if matches {
        return Ok(());
    }
    let message = format!("this was changed since: its ETag is now `{}`; read it again, then repeat", current.header());
    Err(Refusal::new(Reason::EtagMismatch, message))
}

/// Whether a publish asked, with `If-None-Match: *`, to be refused when the version exists.
pub fn must_be_new(headers: &HeaderMap) -> bool {
    Tags::if_none_match(headers) == Tags::Any
}

/// Whether `Range` is to be looked at: no `If-Range`, or one with exactly this tag. Dates and weak tags never match
/// (RFC 9110 section 13.1.5; there is no `Last-Modified` here).
pub fn range_applies(headers: &HeaderMap, current: &ETag) -> bool {
    let mut values = headers.get_all(IF_RANGE).iter();
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(value), None) => value.as_bytes() == current.header().as_bytes(),
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn tag(text: &str) -> ETag {
        ETag(text.to_owned())
    }

    #[test]
    fn if_none_match_compares_weakly_over_lists() {
        let check = |values: &[&str], expected| {
            assert_eq!(not_modified(&headers(&IF_NONE_MATCH, values), &tag("b")), expected, "{values:?}");
        };
        check(&[], false);
        check(&["\"b\""], true);
        check(&["W/\"b\""], true);
        check(&["\"a\", \"b\""], true);
        check(&["\"a\"", "\"b\""], true);
        check(&["*"], true);
        check(&["\"a,b\""], false);
        check(&["b"], false);
        check(&["\"b"], false);
        check(&["\"b-gzip\""], false);
    }

    #[test]
    fn if_match_holds_for_the_same_state_under_any_coding() {
        let check = |values: &[&str], expected| {
            let result = check_if_match(&headers(&IF_MATCH, values), &tag("b"));
            assert_eq!(result.map_err(|refusal| refusal.reason), expected, "{values:?}");
        };
        check(&[], Ok(()));
        check(&["*"], Ok(()));
        check(&["\"a\", \"b\""], Ok(()));
        check(&["W/\"b\""], Ok(()));
        check(&["\"b-zstd\""], Ok(()));
        check(&["\"a\""], Err(Reason::EtagMismatch));
        check(&["b"], Err(Reason::EtagMismatch));
        check(&[""], Err(Reason::EtagMismatch));
    }

    #[test]
    fn if_range_takes_the_exact_strong_tag_alone() {
        let check = |values: &[&str], expected| {
            assert_eq!(range_applies(&headers(&IF_RANGE, values), &tag("b")), expected, "{values:?}");
        };
        check(&[], true);
        check(&["\"b\""], true);
        check(&["W/\"b\""], false);
        check(&["\"a\""], false);
        check(&["Sat, 29 Oct 1994 19:43:31 GMT"], false);
    }

    #[test]
    fn tags_differ_by_content_and_coding() {
        let one = ETag::of(b"one");
        assert_ne!(one, ETag::of(b"two"));
        assert_ne!(one, one.coded(Coding::Gzip));
        assert_ne!(one.coded(Coding::Zstd), one.coded(Coding::Gzip));
        assert_eq!(one, one.coded(Coding::Identity));
        assert!(must_be_new(&headers(&IF_NONE_MATCH, &["*"])));
        assert!(!must_be_new(&headers(&IF_NONE_MATCH, &["\"x\""])));
    }
}

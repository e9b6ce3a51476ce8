//! JSON request bodies: read within their limits, then parsed so that every refusal names its field.
//!
//! The order of refusals is the contract's: size, then media type and coding, then the text.

use bytes::{Bytes, BytesMut};
use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::domain::json::{JsonFault, check_json};
use crate::domain::name::shown;
use crate::domain::refusal::{Reason, Refusal};

use super::body::{BodyError, RequestBody};
use super::json_path::path_at;

/// Bounds of JSON bodies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JsonLimits {
    /// Most bytes.
    pub bytes_max: u64,
    /// Deepest nesting.
    pub depth_max: u32,
}

/// Reads a body of type `application/json` whole.
///
/// # Errors
/// `body_too_large`, `unsupported_media_type`, `content_coding`, and those of [`body_refusal`].
pub async fn read(headers: &HeaderMap, body: &mut RequestBody, limits: JsonLimits) -> Result<Bytes, Refusal> {
    body.set_limit(limits.bytes_max);
    if body.declared_len().is_some_and(|bytes| bytes > limits.bytes_max) {
        return Err(too_large(Reason::BodyTooLarge, limits.bytes_max));
    }
    if !is_json(headers) {
        let message = "the body has to be JSON, with the header `Content-Type: application/json`";
        return Err(Refusal::new(Reason::UnsupportedMediaType, message));
    }
    check_coding(headers)?;
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.next_chunk().await.map_err(|error| body_refusal(&error, Reason::BodyTooLarge))? {
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// Parses JSON into a wire type (whose `deny_unknown_fields` refuses what it doesn't know).
///
/// # Errors
/// `malformed_json` with line and column, `json_too_deep`, `unknown_field`, `missing_field`, `invalid_field`.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], depth_max: u32) -> Result<T, Refusal> {
    if bytes.trim_ascii().is_empty() {
        return Err(Refusal::new(Reason::MalformedJson, "the body is empty; it has to be a JSON object"));
    }
    check_json(bytes, depth_max).map_err(|fault| fault_refusal(&fault))?;
    serde_json::from_slice(bytes).map_err(|error| data_refusal(bytes, &error))
}

/// Refuses a coded body: codings are for answers alone.
///
/// # Errors
/// `content_coding`.
pub fn check_coding(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    let message = "the body has a Content-Encoding; send the bytes as they are, without that header";
    Err(Refusal::new(Reason::ContentCoding, message))
}

/// The refusal for a body that could not be read; `too_large` says what kind of body it was.
pub fn body_refusal(error: &BodyError, too_large_reason: Reason) -> Refusal {
    match error {
        BodyError::TooLarge { limit } => too_large(too_large_reason, *limit),
        BodyError::TooSlow { bytes_per_s_min, window_ms } => {
            let seconds = window_ms / 1000;
            let message =
                format!("the body came slower than {bytes_per_s_min} bytes a second, averaged over {seconds} seconds");
            Refusal::new(Reason::BodyTooSlow, message)
        }
        BodyError::Truncated { received, expected } => {
            let expected = expected.map_or_else(String::new, |expected| format!(" of {expected}"));
            Refusal::new(Reason::TruncatedBody, format!("the body broke off after {received}{expected} bytes"))
        }
        BodyError::Other(_) => Refusal::new(Reason::TruncatedBody, "the body's framing could not be read to its end"),
    }
}

/// The refusal for too many bytes.
pub fn too_large(reason: Reason, limit: u64) -> Refusal {
    let what = if reason == Reason::ArtifactTooLarge { "artifact" } else { "body" };
    let message = format!("the {what} is larger than {limit} bytes, which is the limit here");
    Refusal::field(reason, what, message).with_limit(limit)
}

/// Whether the body says that it is JSON: `application/json`, in UTF-8 if it names a charset.
pub fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next().and_then(|value| value.to_str().ok()), values.next()) else {
        return false;
    };
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let charset_ok = parameters.split(';').filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    essence.trim().eq_ignore_ascii_case("application/json") && charset_ok
}

fn fault_refusal(fault: &JsonFault) -> Refusal {
    match fault {
        JsonFault::TooDeep { depth_max } => {
            let message = format!("the JSON is nested more than {depth_max} deep, which is the limit");
            Refusal::field(Reason::JsonTooDeep, "body", message).with_limit(u64::from(*depth_max))
        }
        JsonFault::DuplicateKey { .. } => {
            let field = fault.field().unwrap_or_default();
            Refusal::field(Reason::InvalidField, &field, format!("`{field}` is given more than once; give it once"))
        }
        JsonFault::Malformed { line, column } => malformed(*line, *column),
    }
}

fn malformed(line: usize, column: usize) -> Refusal {
    let message = format!("the body is not valid JSON: look at line {line}, column {column}");
    Refusal::new(Reason::MalformedJson, message)
}

/// Turns serde's refusal into the contract's. serde tells no path, but it tells where it stopped.
fn data_refusal(bytes: &[u8], error: &serde_json::Error) -> Refusal {
    match error.classify() {
        Category::Data => {}
        Category::Syntax | Category::Eof | Category::Io => return malformed(error.line(), error.column()),
    }
    let path = path_at(bytes, error.line(), error.column());
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    if let Some(name) = quoted(text, "missing field ") {
        let field = join(&path, name);
        return Refusal::field(
            Reason::MissingField,
            &field,
            format!("the field `{field}` is missing; it has to be given"),
        );
    }
    if let Some(name) = quoted(text, "unknown field ") {
        let field = if path == name || path.ends_with(&format!(".{name}")) { path } else { join(&path, name) };
        let known = text.split_once("`, expected ").map_or("no fields at all", |(_, known)| known);
        let message = format!("the field `{}` is not known here; this takes {}", shown(&field), clean(known));
        return Refusal::field(Reason::UnknownField, shown(&field), message);
    }
    let field = if path.is_empty() { "body".to_owned() } else { shown(&path) };
    let message = format!("the field `{field}` is wrong: {}", clean(text));
    Refusal::field(Reason::InvalidField, field, message)
}

/// The name in backticks after `lead`.
fn quoted<'t>(text: &'t str, lead: &str) -> Option<&'t str> {
    text.strip_prefix(lead)?.strip_prefix('`')?.split('`').next()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { shown(name) } else { shown(&format!("{path}.{name}")) }
}

/// serde's own words, which may quote the request: cut, and without control characters.
fn clean(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().take(CHARS_MAX).map(safe).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only refusals are looked at")]
    struct Body {
        version: String,
        #[serde(default)]
        dependencies: Vec<Dependency>,
        #[serde(default)]
        size: Option<u32>,
        #[serde(default)]
        kind: Option<Kind>,
    }

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only refusals are looked at")]
    struct Dependency {
        name: String,
        #[serde(default)]
        optional: bool,
    }

    #[derive(Deserialize, Debug)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Normal,
        Dev,
    }

    #[track_caller]
    fn check(json: &str, reason: Reason, field: Option<&str>) -> String {
        let refusal = parse::<Body>(json.as_bytes(), 32).unwrap_err();
        let found = refusal.details.first().map(|detail| detail.field.as_str());
        assert_eq!((refusal.reason, found), (reason, field), "{json}: {}", refusal.message);
        refusal.message
    }

    #[test]
    fn refusals_name_the_field() {
        check(r#"{"version":5}"#, Reason::InvalidField, Some("version"));
        check(r#"{"version": 5 , "size":1}"#, Reason::InvalidField, Some("version"));
        check(r#"{"version":["a"]}"#, Reason::InvalidField, Some("version"));
        check(r#"{"version":{"a":1}}"#, Reason::InvalidField, Some("version"));
        check(r#"{"version":null}"#, Reason::InvalidField, Some("version"));
        check(r#"{"version":"1","size":-1,"kind":"dev"}"#, Reason::InvalidField, Some("size"));
        check(r#"{"version":"1","size":1.5}"#, Reason::InvalidField, Some("size"));
        check(r#"{"version":"1","size":4294967296}"#, Reason::InvalidField, Some("size"));
        check(r#"{"version":"1","size":"x"}"#, Reason::InvalidField, Some("size"));
        let message = check(r#"{"version":"1","kind":"odd","size":1}"#, Reason::InvalidField, Some("kind"));
        assert!(message.contains("`normal`"), "{message}");
        check(r#"{"size":1}"#, Reason::MissingField, Some("version"));
        check(
            r#"{"version":"1","dependencies":[{"name":"a"},{"optional":true}]}"#,
            Reason::MissingField,
            Some("dependencies[1].name"),
        );
        check(
            r#"{"version":"1","dependencies":[{"name":"a"},{"name":7}]}"#,
            Reason::InvalidField,
            Some("dependencies[1].name"),
        );
        check(r#"{"version":"1","dependencies":[5]}"#, Reason::InvalidField, Some("dependencies[0]"));
        check(
            r#"{"version":"1","dependencies":[{"name":"a","optional":"no"}]}"#,
            Reason::InvalidField,
            Some("dependencies[0].optional"),
        );
        let message = check(
            r#"{"version":"1","dependencies":[{"nmae":"a"}]}"#,
            Reason::UnknownField,
            Some("dependencies[0].nmae"),
        );
        assert!(message.contains("`name`"), "{message}");
        check(r#"{"versoin":"1"}"#, Reason::UnknownField, Some("versoin"));
        check(r#"{"version":"1","version":"2"}"#, Reason::InvalidField, Some("version"));
        check("[]", Reason::InvalidField, Some("body"));
        check("5", Reason::InvalidField, Some("body"));
    }

    #[test]
    fn malformed_json_names_line_and_column() {
        let message = check("{\n  \"version\": nope\n}", Reason::MalformedJson, None);
        assert!(message.contains("line 2"), "{message}");
        check("", Reason::MalformedJson, None);
        check("  \n", Reason::MalformedJson, None);
        check("{\"version\":\"\\ud800\"}", Reason::MalformedJson, None);
        check("{\"version\":\"1\"} x", Reason::MalformedJson, None);
        check(&format!("{}1{}", "[".repeat(33), "]".repeat(33)), Reason::JsonTooDeep, Some("body"));
    }

    #[tokio::test]
    async fn bodies_are_read_within_type_coding_and_size() {
        let check = async |headers: &[(&str, &str)], body: &'static str, expected: Option<Reason>| {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            let limits = JsonLimits { bytes_max: 8, depth_max: 2 };
            let result = read(&headers, &mut RequestBody::from_bytes(body), limits).await;
            assert_eq!(result.err().map(|refusal| refusal.reason), expected, "{headers:?}");
        };
        check(&[("content-type", "application/json")], "{}", None).await;
        check(&[("content-type", "Application/JSON; charset=UTF-8")], "{}", None).await;
        check(&[("content-type", "application/json"), ("content-encoding", "identity")], "{}", None).await;
        check(&[], "{}", Some(Reason::UnsupportedMediaType)).await;
        check(&[("content-type", "text/json")], "{}", Some(Reason::UnsupportedMediaType)).await;
        check(&[("content-type", "application/json; charset=latin1")], "{}", Some(Reason::UnsupportedMediaType)).await;
        check(&[("content-type", "application/json"), ("content-encoding", "gzip")], "{}", Some(Reason::ContentCoding))
            .await;
        check(&[], "0123456789", Some(Reason::BodyTooLarge)).await;
    }
}

//! The ids of a request: its own, and the trace that it belongs to.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use crate::domain::id::Id;
use crate::domain::time::Timestamp;
use crate::services::random;

/// The header that carries a request's id, both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The id that the request brought, if it is 1 to 128 of `[A-Za-z0-9._-]`, else a new one (ULID).
pub fn request_id(headers: &HeaderMap, now: Timestamp) -> String {
    let mut values = headers.get_all(X_REQUEST_ID).iter();
    if let (Some(value), None) = (values.next(), values.next())
        && is_request_id(value)
        && let Ok(text) = value.to_str()
    {
        return text.to_owned();
    }
    // Without randomness the time alone has to do: an id in the log is no secret and need not be unique.
    Id::from_parts(now.unix_ms(), random().map_or(0, u128::from_be_bytes)).to_string()
}

fn is_request_id(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    !bytes.is_empty() && bytes.len() <= REQUEST_ID_BYTES_MAX && bytes.iter().all(known)
}

/// The trace id of a W3C `traceparent` header: 32 lower-case hex digits, not all zero.
pub fn trace_id(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let mut fields = value.split('-');
    let mut hex = |digits: usize| {
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        fields.next().filter(|text| text.len() == digits && is_hex(text))
    };
    let (version, trace, parent, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    // A later version may bring more fields; the known one has four (W3C Trace Context section 3.2).
    let ends = version != "00" || fields.next().is_none();
    (version != "ff" && ends && !is_zero(trace) && !is_zero(parent)).then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_good_request_id_is_kept_and_another_replaced() {
        let id = |values: &[&str]| request_id(&headers(&X_REQUEST_ID, values), Timestamp(1_700_000_000_000));
        assert_eq!(id(&["Az0._-"]), "Az0._-");
        let long = "a".repeat(128);
        assert_eq!(id(&[&long]), long);
        for bad in [&[][..], &[""], &["a b"], &["a\"b"], &[&"a".repeat(129)], &["a", "b"]] {
            assert!(Id::parse(&id(bad)).is_some(), "{bad:?}");
        }
        assert_ne!(id(&[]), id(&[]));
    }

    #[test]
    fn a_trace_id_is_taken_from_a_valid_traceparent() {
        let trace = |value: &str| trace_id(&headers(&TRACEPARENT, &[value]));
        let (id, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        assert_eq!(trace(&format!("00-{id}-{parent}-01")).as_deref(), Some(id));
        assert_eq!(trace(&format!("01-{id}-{parent}-01-more")).as_deref(), Some(id));
        for wrong in [
            format!("00-{id}-{parent}-01-more"),
            format!("ff-{id}-{parent}-01"),
            format!("00-{}-{parent}-01", id.to_uppercase()),
            format!("00-{}-{parent}-01", "0".repeat(32)),
            format!("00-{id}-{}-01", "0".repeat(16)),
            format!("00-{id}-{parent}"),
            String::new(),
        ] {
            assert_eq!(trace(&wrong), None, "{wrong}");
        }
    }
}

//! CORS: pages of the origins that the operator named may read, without credentials of the browser's own.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, VARY,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

use super::app::HttpSettings;
use super::guards::allowed_origin;

const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Content-Disposition, Content-Location, Content-Range, ETag, Link, Repr-Digest, Retry-After, X-Error, X-Request-Id",
);
const TAKEN: HeaderValue =
    HeaderValue::from_static("Authorization, If-Match, If-None-Match, If-Range, Range, Traceparent, X-Request-Id");

/// Adds what a browser has to know before it lets a page see the answer. Only GET, HEAD and the question before them
/// (OPTIONS) get it, and never with `Allow-Credentials`.
pub fn finish(headers: &mut HeaderMap, parts: &Parts, settings: &HttpSettings) {
    let is_read = parts.method == Method::GET || parts.method == Method::HEAD;
    let is_preflight = parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if settings.cors_origins.is_empty() || !(is_read || is_preflight) {
        return;
    }
    // Also without an origin: a cache must not give this answer to a page later.
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = allowed_origin(&parts.headers, settings).and_then(|origin| HeaderValue::from_str(origin).ok())
    else {
        return;
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if is_preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, TAKEN);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    } else {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn finished(method: &str, origin: Option<&str>, origins: &[&str]) -> HeaderMap {
        let mut request = Request::builder().method(method).uri("/").header("access-control-request-method", "GET");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let cors_origins = origins.iter().map(ToString::to_string).collect();
        let settings = HttpSettings { cors_origins, ..HttpSettings::default() };
        let mut headers = HeaderMap::new();
        finish(&mut headers, &request.body(()).unwrap().into_parts().0, &settings);
        headers
    }

    #[test]
    fn only_named_origins_may_read_and_none_may_write() {
        let ui = "https://ui.example";
        assert!(finished("GET", Some(ui), &[]).is_empty());
        assert!(finished("POST", Some(ui), &[ui]).is_empty());
        let read = finished("GET", Some(ui), &[ui]);
        assert_eq!(read.get(ACCESS_CONTROL_ALLOW_ORIGIN).unwrap(), ui);
        assert_eq!(read.get("access-control-allow-credentials"), None);
        let asked = finished("OPTIONS", Some(ui), &[ui]);
        assert_eq!(asked.get(ACCESS_CONTROL_ALLOW_METHODS).unwrap(), "GET, HEAD");
        for other in [None, Some("https://evil.example"), Some("null")] {
            let headers = finished("GET", other, &[ui]);
            assert_eq!(
                (headers.get(ACCESS_CONTROL_ALLOW_ORIGIN), headers.get(VARY).unwrap().as_bytes()),
                (None, &b"Origin"[..])
            );
        }
    }
}

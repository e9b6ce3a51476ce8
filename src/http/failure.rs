//! What a handler fails with, and how that is told: envelope, challenge, `X-Error`, `Retry-After`.
//!
//! The status and the fixed sentence come from [`problem`](super::problem); what broke inside is logged once, here,
//! and never told.

use std::error::Error;

use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value};

use crate::domain::refusal::{Reason, Refusal};
use crate::services::ServiceError;

use super::body::{ResponseBody, full};
use super::matching::Verb;
use super::problem::answer;
use super::wire::{Failed, Meta, Problem, ProblemDetail};

/// The detail by which a refusal tells in how many seconds to come back.
const RETRY_AFTER_FIELD: &str = "retry_after_s";
const X_ERROR: HeaderName = HeaderName::from_static("x-error");

/// Why there is no success to answer with.
#[derive(Debug)]
pub struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    refusal: Refusal,
    headers: HeaderMap,
    meta: Map<String, Value>,
    cause: Option<(&'static str, Box<dyn Error + Send + Sync>)>,
}

impl Failure {
    /// A refusal without details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Refusal::new(reason, message).into()
    }

    /// Something broke here; `context` says what was being done.
    pub fn internal(context: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let message = "something broke here; it is in the log under this request's id";
        let mut failure = Self::new(Reason::Internal, message);
        failure.0.cause = Some((context, cause.into()));
        failure
    }

    /// A 405 with what the path takes.
    pub fn method_not_allowed(verbs: &[Verb]) -> Self {
        let allow = allow(verbs);
        let message = format!("this path takes {allow}");
        Self::new(Reason::MethodNotAllowed, message).with_header(ALLOW, &allow)
    }

    /// Adds a header, such as `Content-Range` of a 416. A value that is no header value is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.insert(name, value);
        }
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with_header(RETRY_AFTER, &seconds.to_string())
    }

    /// Adds a member to the envelope's `meta`, such as `ready`.
    #[must_use]
    pub fn with_meta(mut self, name: &'static str, value: Value) -> Self {
        self.0.meta.insert(name.to_owned(), value);
        self
    }

    /// The exact case.
    pub fn reason(&self) -> Reason {
        self.0.refusal.reason
    }

    /// Logs what broke inside, with its whole chain; refusals are told by the access line alone.
    pub fn log(&self, request_id: &str) {
        if let Some((context, cause)) = &self.0.cause {
            let mut chain = cause.to_string();
            let mut source = cause.source();
            while let Some(error) = source {
                chain = format!("{chain}: {error}");
                source = error.source();
            }
            tracing::error!(request_id, context, error = chain, "a request failed");
        }
    }

    /// The whole answer.
    pub fn respond(self, request_id: &str) -> Response<ResponseBody> {
        let Inner { refusal, mut headers, meta, cause: _logged } = *self.0;
        let reason = refusal.reason;
        let told = answer(reason);
        let told_wait = refusal.details.iter().find(|detail| detail.field == RETRY_AFTER_FIELD);
        let wait_s = told_wait.and_then(|detail| detail.limit).or(retry_after_s(reason));
        let detail = |detail: crate::domain::refusal::Detail| ProblemDetail {
            field: detail.field,
            reason: detail.reason.as_str(),
            message: detail.message,
            limit: detail.limit,
        };
        let body = Failed {
            ok: false,
            error: Problem {
                code: told.code,
                reason: reason.as_str(),
                message: refusal.message,
                details: refusal.details.into_iter().map(detail).collect(),
            },
            meta: Meta { request_id: Some(request_id.to_owned()), extra: meta, ..Meta::default() },
        };
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(value) = HeaderValue::from_str(&format!("{reason}; {}", told.sentence)) {
            headers.insert(X_ERROR, value);
        }
        if let Some(seconds) = wait_s {
            headers.entry(RETRY_AFTER).or_insert(HeaderValue::from(seconds));
        }
        for challenge in challenges(told.status, reason, told.sentence) {
            headers.append(WWW_AUTHENTICATE, challenge);
        }
        let mut response = Response::new(full(bytes));
        *response.status_mut() = told.status;
        *response.headers_mut() = headers;
        response
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(Box::new(Inner { refusal, headers: HeaderMap::new(), meta: Map::new(), cause: None }))
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Refused(refusal) => refusal.into(),
            ServiceError::Internal { context, source } => Self::internal(context, source),
        }
    }
}

/// The value of `Allow` for a path that has these verbs.
pub fn allow(verbs: &[Verb]) -> String {
    let mut names = Vec::with_capacity(verbs.len() + 2);
    for verb in verbs {
        names.push(verb.as_str());
        if *verb == Verb::Get {
            names.push("HEAD");
        }
    }
    names.push("OPTIONS");
    names.join(", ")
}

/// How long to wait when nobody knows better.
fn retry_after_s(reason: Reason) -> Option<u64> {
    let told = answer(reason);
    let waits = told.code == "RATE_LIMITED" || told.code == "UNAVAILABLE";
    let seconds = if reason == Reason::TooManyUploads {
        60
    } else if matches!(reason, Reason::RateLimited | Reason::ReadOnly) {
        30
    } else {
        2
    };
    waits.then_some(seconds)
}

/// What a 401 offers, and the hint of a 401 or 403 for tools that show no body (RFC 6750 section 3).
fn challenges(status: StatusCode, reason: Reason, sentence: &str) -> Vec<HeaderValue> {
    let described = |error: &str| format!("Bearer realm=\"vix-registry\"{error}, error_description=\"{sentence}\"");
    let texts = match (answer(Reason::MissingToken).status == status, answer(Reason::MissingScope).status == status) {
        (true, _) => {
            let error = if reason == Reason::MissingToken { "" } else { ", error=\"invalid_token\"" };
            vec![described(error), "Basic realm=\"vix-registry\"".to_owned()]
        }
        (false, true) => vec![described(", error=\"insufficient_scope\"")],
        (false, false) => Vec::new(),
    };
    texts.iter().filter_map(|text| HeaderValue::from_str(text).ok()).collect()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn body(response: Response<ResponseBody>) -> Value {
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    fn values(response: &Response<ResponseBody>, name: &str) -> Vec<String> {
        response.headers().get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_body_and_headers() {
        let refusal = Refusal::field(Reason::BodyTooLarge, "body", "too large").with_limit(7);
        let response = Failure::from(refusal).respond("id-1");
        assert_eq!(response.status().as_u16(), 413);
        assert!(values(&response, "x-error")[0].starts_with("body_too_large; "));
        assert_eq!(values(&response, "cache-control"), ["no-store"]);
        assert!(values(&response, "www-authenticate").is_empty());
        let expected = serde_json::json!({"ok": false, "error": {"code": "PAYLOAD_TOO_LARGE", "reason": "body_too_large",
            "message": "too large", "details": [{"field": "body", "reason": "body_too_large", "message": "too large", "limit": 7}]},
            "meta": {"request_id": "id-1"}});
        assert_eq!(body(response).await, expected);
    }

    #[test]
    fn a_401_offers_both_schemes_and_a_403_hints() {
        let missing = Failure::new(Reason::MissingToken, "a").respond("i");
        let sentence = answer(Reason::MissingToken).sentence;
        let bearer = format!("Bearer realm=\"vix-registry\", error_description=\"{sentence}\"");
        assert_eq!(values(&missing, "www-authenticate"), [bearer.as_str(), "Basic realm=\"vix-registry\""]);
        let expired = Failure::new(Reason::ExpiredToken, "a").respond("i");
        assert!(values(&expired, "www-authenticate")[0].contains("error=\"invalid_token\", error_description=\""));
        let scope = Failure::new(Reason::MissingScope, "a").respond("i");
        assert_eq!(values(&scope, "www-authenticate").len(), 1);
        assert!(values(&scope, "www-authenticate")[0].contains("error_description="));
    }

    #[tokio::test]
    async fn what_broke_inside_is_not_told() {
        let failure = Failure::from(ServiceError::internal("reading", "disk /secret/path is gone"));
        let response = failure.respond("i");
        assert_eq!(response.status().as_u16(), 500);
        assert!(!body(response).await.to_string().contains("secret"));
    }

    #[test]
    fn waiting_and_allowed_methods_are_told() {
        assert_eq!(values(&Failure::new(Reason::Overloaded, "a").respond("i"), "retry-after"), ["2"]);
        assert_eq!(values(&Failure::new(Reason::RateLimited, "a").retry_after(7).respond("i"), "retry-after"), ["7"]);
        let told = Refusal::field(Reason::RateLimited, "retry_after_s", "a").with_limit(9);
        assert_eq!(values(&Failure::from(told).respond("i"), "retry-after"), ["9"]);
        assert!(values(&Failure::new(Reason::StorageFull, "a").respond("i"), "retry-after").is_empty());
        let response = Failure::method_not_allowed(&[Verb::Get, Verb::Patch]).respond("i");
        assert_eq!(values(&response, "allow"), ["GET, HEAD, PATCH, OPTIONS"]);
    }
}

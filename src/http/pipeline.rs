//! The life of a request, top to bottom.
//!
//! The order of the steps is the order of refusals (`docs/api.md`, Which refusal wins): none tells what its sender may
//! not know. Every step is a plain call into a neighbour; nothing here decides on its own.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_LOCATION, HeaderValue, LINK, LOCATION, RANGE, X_CONTENT_TYPE_OPTIONS};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};

use super::access::{admit, authenticate};
use super::access_log::Visit;
use super::app::{App, HttpLimits, HttpSettings};
use super::body::{RequestBody, ResponseBody, full};
use super::call::{Call, RequestMeta};
use super::client::client;
use super::connection::ConnectionInfo;
use super::cors;
use super::denied::Denied;
use super::failure::{Failure, allow};
use super::guards;
use super::json_body;
use super::matching::{Found, Verb};
use super::params::Params;
use super::query::Query;
use super::reply::Reply;
use super::respond::{Asked, respond};
use super::routes::{BodyKind, ROUTES, Route, matcher};
use super::trace::{X_REQUEST_ID, request_id, trace_id};
use crate::domain::refusal::Reason;
use crate::domain::time::Timestamp;

/// A request and what is known of it before anything about it is decided.
pub(super) struct Arrival {
    /// Its head.
    pub(super) parts: Parts,
    /// Its body, unread.
    pub(super) body: RequestBody,
    /// What goes with it to the services.
    pub(super) meta: RequestMeta,
    /// Its line in the log.
    pub(super) visit: Visit,
}

/// Answers one request, whatever it is: over the network, from the admin socket or inside the process.
pub async fn handle(app: Arc<App>, request: Request<RequestBody>, info: ConnectionInfo) -> Response<ResponseBody> {
    let Arrival { parts, body, meta, mut visit } = match arrive(request, info, app.now(), (&app.limits, &app.settings))
    {
        Ok(arrival) => arrival,
        Err(bare) => return *bare,
    };
    let id = meta.request_id.clone();
    // 4. The answer, or why there is none.
    let answered = answer(&app, &parts, body, meta, &mut visit).await;
    leave(answered, visit, (&parts, &id), &app.settings)
}

/// The first steps, which every request goes through whether the registry is open yet or not.
///
/// # Errors
/// The bare answer to a head that is too large.
pub(super) fn arrive(
    request: Request<RequestBody>,
    info: ConnectionInfo,
    started: Timestamp,
    (limits, settings): (&HttpLimits, &HttpSettings),
) -> Result<Arrival, Box<Response<ResponseBody>>> {
    let (mut parts, mut body) = request.into_parts();
    // 1. An id, before anything can be refused.
    let id: Arc<str> = request_id(&parts.headers, started).into();
    let mut visit = Visit::begin(&parts, &mut body, Arc::clone(&id));
    visit.trace_id = trace_id(&parts.headers);
    // 2. A head that is too large is not looked at any further.
    if let Some(status) = guards::too_large(&parts, limits) {
        let mut response = bare(status, parts.version);
        finish_headers(response.headers_mut(), &id);
        return Err(Box::new(visit.attach(response)));
    }
    // 3. Who is at the other end.
    let client = client(info.peer, &parts.headers, &settings.trusted_proxies);
    visit.client_ip = client.ip;
    let meta = RequestMeta {
        request_id: id.to_string(),
        trace_id: visit.trace_id.clone(),
        ip: client.ip,
        is_local: client.is_local,
        started,
        peer: info.peer,
    };
    if parts.method == Method::HEAD {
        // A range is a part of GET's body; HEAD tells of the whole (RFC 9110 section 14.2).
        parts.headers.remove(RANGE);
    }
    Ok(Arrival { parts, body, meta, visit })
}

/// The last step: what stands on every answer, and its line in the log.
pub(super) fn leave(
    answered: Result<Response<ResponseBody>, Failure>,
    mut visit: Visit,
    (parts, id): (&Parts, &str),
    settings: &HttpSettings,
) -> Response<ResponseBody> {
    let mut response = answered.unwrap_or_else(|failure| {
        failure.log(id);
        visit.reason = Some(failure.reason());
        without_body_for_head(failure.respond(id), &parts.method)
    });
    // 5. What stands on every answer.
    finish_headers(response.headers_mut(), id);
    cors::finish(response.headers_mut(), parts, settings);
    visit.attach(response)
}

/// The steps that can refuse.
async fn answer(
    app: &Arc<App>,
    parts: &Parts,
    body: RequestBody,
    meta: RequestMeta,
    visit: &mut Visit,
) -> Result<Response<ResponseBody>, Failure> {
    // a. One host, and no browser that acts for another site.
    let host = guards::host(parts, meta.peer)?;
    guards::check_origin(parts, host.as_ref(), &app.settings)?;
    // b. Path, method, places, parameters: by their form alone.
    if parts.method == Method::OPTIONS && parts.uri.path() == "*" {
        return Ok(options(&Verb::ALL));
    }
    let (route, raw) = match matcher().find(Verb::of(&parts.method), parts.uri.path())? {
        Found::Row(row, raw) => (&ROUTES[row], raw),
        Found::OtherMethods(verbs) if parts.method == Method::OPTIONS => return Ok(options(&verbs)),
        Found::OtherMethods(verbs) => return Err(Failure::method_not_allowed(&verbs)),
    };
    visit.route = route.pattern;
    let params = Params::parse(&raw, route.verb)?;
    let place = raw.iter().fold(route.id.to_owned(), |place, (_, text)| format!("{place}\0{text}"));
    let query = Query::parse(route.query, parts.uri.query(), &place)?;
    // c. Who asks, and whether the credentials are enough.
    let caller = authenticate(app, route.access, meta.peer, &parts.headers, meta.started).await?;
    visit.note_caller(&caller);
    if let Err(refusal) = admit(&caller, route, &params, app.settings.anonymous_read) {
        let denied = Denied { caller, params: &params, meta: &meta, deed: route.deed };
        denied.note(app, refusal.reason).await;
        return Err(refusal.into());
    }
    // d. The handler.
    let (call_meta, denied_params, denied_caller) = (meta.clone(), params.clone(), caller.clone());
    let call = Call {
        app: Arc::clone(app),
        route,
        caller,
        params,
        query: query.clone(),
        headers: parts.headers.clone(),
        body,
        meta: call_meta,
        is_head: parts.method == Method::HEAD,
    };
    let reply = match run(app, route, call).await {
        Ok(reply) => reply,
        Err(failure) => {
            let denied = Denied { caller: denied_caller, params: &denied_params, meta: &meta, deed: route.deed };
            denied.note(app, failure.reason()).await;
            return Err(failure);
        }
    };
    // e. Conditions, codings, the envelope.
    let asked = Asked {
        method: &parts.method,
        path: parts.uri.path(),
        query: &query,
        headers: &parts.headers,
        request_id: &meta.request_id,
        cache: route.cache,
    };
    let mut response = respond(reply, &asked);
    absolute(response.headers_mut(), app.base_url());
    Ok(response)
}

/// Puts `public_url`, where it is set, before the addresses in headers that are paths so far.
fn absolute(headers: &mut HeaderMap, base: &str) {
    for (name, opening) in [(LOCATION, ""), (CONTENT_LOCATION, ""), (LINK, "<")] {
        let Some(path) = headers.get(&name).and_then(|value| value.to_str().ok()?.strip_prefix(opening)) else {
            continue;
        };
        if base.is_empty() || !path.starts_with('/') {
            continue;
        }
        if let Ok(address) = HeaderValue::from_str(&format!("{opening}{base}{path}")) {
            headers.insert(name, address);
        }
    }
}

/// Runs the handler: a write in a task of its own, which a client that hangs up can't cut and a drain waits for; a
/// read under its deadline, which begins once its body is here (the body has its own rate to keep).
async fn run(app: &Arc<App>, route: &'static Route, mut call: Call) -> Result<Reply, Failure> {
    if route.mutates {
        let running = app.tracker.begin();
        let task = tokio::spawn(async move {
            let ended = guarded((route.run)(call)).await;
            drop(running);
            ended
        });
        return task.await.unwrap_or_else(|error| Err(Failure::internal("running a write", error)));
    }
    if matches!(route.body, BodyKind::Json(_)) {
        let bytes = json_body::read(&call.headers, &mut call.body, app.limits.json).await?;
        call.body = RequestBody::from_bytes(bytes);
    }
    let wait = Duration::from_secs(call.query.number("wait").unwrap_or(0));
    let deadline = app.limits.request_timeout.saturating_add(wait);
    tokio::time::timeout(deadline, guarded((route.run)(call))).await.unwrap_or_else(|_elapsed| {
        let message = format!("this took longer than {} seconds; try again, or ask for less", deadline.as_secs());
        Err(Failure::new(Reason::RequestTimeout, message))
    })
}

/// Turns a panic into a failure: one broken request is no broken server.
async fn guarded(future: impl Future<Output = Result<Reply, Failure>>) -> Result<Reply, Failure> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled,
        Err(panic) => std::task::Poll::Ready(Err(Failure::internal("running a handler", panic_text(&*panic)))),
    })
    .await
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a panic: {}", text.unwrap_or("without a text"))
}

fn options(verbs: &[Verb]) -> Response<ResponseBody> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(allow) = HeaderValue::from_str(&allow(verbs)) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// An answer without body or envelope, after which the connection closes.
fn bare(status: StatusCode, version: Version) -> Response<ResponseBody> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    if version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn without_body_for_head(response: Response<ResponseBody>, method: &Method) -> Response<ResponseBody> {
    if method == Method::HEAD { response.map(|_body| full(Bytes::new())) } else { response }
}

fn finish_headers(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_headers_begin_with_the_public_url_once() {
        let check = |name: hyper::header::HeaderName, path: &'static str, base: &str, expected: &str| {
            let mut headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(path))]);
            absolute(&mut headers, base);
            assert_eq!(headers.get(name).and_then(|value| value.to_str().ok()), Some(expected));
        };
        check(LOCATION, "/v1/users/pia", "https://r.example", "https://r.example/v1/users/pia");
        check(LOCATION, "https://r.example/v1/a", "https://r.example", "https://r.example/v1/a");
        check(LINK, "</v1/a?b>; rel=\"next\"", "https://r.example", "<https://r.example/v1/a?b>; rel=\"next\"");
        check(LOCATION, "/v1/users/pia", "", "/v1/users/pia");
    }

    #[tokio::test]
    async fn a_panic_is_one_failed_request() {
        let broken = guarded(async { panic!("boom") }).await;
        assert_eq!(broken.err().map(|failure| failure.reason()), Some(Reason::Internal));
        assert!(guarded(async { Ok(Reply::no_content()) }).await.is_ok());
    }
}

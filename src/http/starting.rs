//! What is answered while the store opens: that the process lives, how far it is, and to everything else, to come
//! back.
//!
//! Goes the same way as every request (id, size, client, one line in the log) up to where a registry is needed, since
//! there is none yet. Never looks at credentials: it could not tell good ones from bad ones.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hyper::{Request, Response};

use super::app::{App, HttpLimits, HttpSettings, system_time};
use super::body::{RequestBody, ResponseBody};
use super::connection::ConnectionInfo;
use super::failure::Failure;
use super::guards;
use super::handlers::operations;
use super::matching::{Found, Verb};
use super::pipeline::{self, Arrival};
use super::query::Query;
use super::reply::Reply;
use super::respond::{Asked, respond};
use super::routes::{ROUTES, Route, matcher};
use super::wire::operations::{Check, Ready};
use crate::domain::refusal::Reason;

/// The registry as connections see it: first one that opens, then the one that is open.
pub struct Front {
    settings: HttpSettings,
    limits: HttpLimits,
    /// How far the opening is, for people; nothing about the host stands in it.
    progress: Mutex<String>,
    app: OnceLock<Arc<App>>,
}

impl Front {
    /// A registry that opens.
    pub fn new(settings: HttpSettings, limits: HttpLimits) -> Self {
        Self { settings, limits, progress: Mutex::new("the data is being opened".to_owned()), app: OnceLock::new() }
    }

    /// Says how far the opening is.
    pub fn tell(&self, progress: String) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    /// It is open; every request that begins from now on is answered by it.
    pub fn open(&self, app: Arc<App>) {
        // Only the first one counts, and there is one opening in a process's life.
        drop(self.app.set(app));
    }

    /// The registry, once it is open.
    pub fn app(&self) -> Option<&Arc<App>> {
        self.app.get()
    }

    /// Answers one request.
    pub async fn handle(
        self: Arc<Self>,
        request: Request<RequestBody>,
        info: ConnectionInfo,
    ) -> Response<ResponseBody> {
        match self.app.get() {
            Some(app) => pipeline::handle(Arc::clone(app), request, info).await,
            None => self.answer_early(request, info),
        }
    }

    fn answer_early(&self, request: Request<RequestBody>, info: ConnectionInfo) -> Response<ResponseBody> {
        let arrived = pipeline::arrive(request, info, system_time(), (&self.limits, &self.settings));
        // The body is not read: nothing here takes one.
        let Arrival { parts, body: _unread, meta, mut visit } = match arrived {
            Ok(arrival) => arrival,
            Err(bare) => return *bare,
        };
        let answered = guards::host(&parts, meta.peer)
            .and_then(|host| guards::check_origin(&parts, host.as_ref(), &self.settings))
            .map_err(Failure::from)
            .and_then(|()| {
                let found = matcher().find(Verb::of(&parts.method), parts.uri.path());
                let Ok(Found::Row(row, _)) = found else { return Err(starting()) };
                let route = &ROUTES[row];
                visit.route = route.pattern;
                let query = Query::parse(route.query, parts.uri.query(), route.id)?;
                let reply = self.reply(route, &query)?;
                let asked = Asked {
                    method: &parts.method,
                    path: parts.uri.path(),
                    query: &query,
                    headers: &parts.headers,
                    request_id: &meta.request_id,
                    cache: route.cache,
                };
                Ok(respond(reply, &asked))
            });
        pipeline::leave(answered, visit, (&parts, &meta.request_id), &self.settings)
    }

    fn reply(&self, route: &Route, query: &Query) -> Result<Reply, Failure> {
        match route.id {
            "getHealth" | "getLivez" => operations::alive(),
            "getReadyz" => {
                let message = self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let checks = query.is_on("verbose").then(|| vec![Check { name: "store", status: "warn", message }]);
                let ready = Ready { status: "recovering", degraded: Vec::new(), checks };
                let ready = serde_json::to_value(&ready).map_err(|error| Failure::internal("writing JSON", error))?;
                Err(starting().with_meta("ready", ready))
            }
            _ => Err(starting()),
        }
    }
}

/// Says to come back. Also to what would be refused once the registry is open: what that is can't be known yet.
fn starting() -> Failure {
    let message =
        "the registry opens its data, which may take a while after a crash; `/readyz?verbose` says how far it is";
    Failure::new(Reason::Starting, message)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper::Method;
    use serde_json::Value;

    use super::*;
    use crate::http::connection::Peer;

    async fn ask(front: &Arc<Front>, method: Method, target: &str) -> (u16, hyper::HeaderMap, Value) {
        let request = Request::builder().method(method).uri(target).header("x-request-id", "id-7");
        let request = request.body(RequestBody::from_bytes("{}")).unwrap();
        let info = ConnectionInfo { peer: Peer::InProcess, id: 0 };
        let response = Arc::clone(front).handle(request, info).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, headers, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    fn front() -> Arc<Front> {
        Arc::new(Front::new(HttpSettings::default(), HttpLimits::default()))
    }

    #[tokio::test]
    async fn a_registry_that_opens_lives_and_is_not_ready() {
        let front = front();
        for path in ["/health", "/livez"] {
            let (status, _, body) = ask(&front, Method::GET, path).await;
            assert_eq!((status, body["data"]["status"].as_str()), (200, Some("ok")), "{path}");
        }
        front.tell("building the index: 7 of 9 rows".to_owned());
        let (status, _, body) = ask(&front, Method::GET, "/readyz?verbose").await;
        let ready = &body["meta"]["ready"];
        assert_eq!((status, ready["status"].as_str()), (503, Some("recovering")));
        assert_eq!(ready["checks"][0]["message"], "building the index: 7 of 9 rows");
        let (status, _, body) = ask(&front, Method::GET, "/readyz").await;
        assert_eq!((status, body["meta"]["ready"].get("checks")), (503, None));
        assert_eq!(ask(&front, Method::GET, "/readyz?verbos").await.0, 400);
    }

    #[tokio::test]
    async fn everything_else_is_told_to_come_back_in_the_contracts_form() {
        let front = front();
        for (method, target) in [
            (Method::GET, "/v1/packages"),
            (Method::POST, "/v1/login"),
            (Method::PUT, "/nowhere"),
            (Method::GET, "/v1"),
        ] {
            let (status, headers, body) = ask(&front, method, target).await;
            assert_eq!((status, body["error"]["reason"].as_str()), (503, Some("starting")), "{target}");
            assert_eq!(body["meta"]["request_id"], "id-7");
            assert_eq!(headers.get("retry-after").unwrap(), "2");
            assert_eq!(headers.get("x-request-id").unwrap(), "id-7");
            assert!(headers.get("x-error").unwrap().to_str().unwrap().starts_with("starting; "));
        }
        let (status, headers, body) = ask(&front, Method::HEAD, "/v1").await;
        assert_eq!((status, body), (503, Value::Null));
        assert!(headers.contains_key("content-length"));
    }
}

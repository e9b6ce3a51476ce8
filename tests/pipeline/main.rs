//! What every request gets, whatever it asks for: sent through the pipeline inside the process, over an empty registry.
#![expect(clippy::expect_used, reason = "a test that can't be set up has failed")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::{Request, Response};
use serde_json::Value;
use vix_registry::domain::id::Id;
use vix_registry::domain::time::Timestamp;
use vix_registry::http::app::{App, HttpLimits, HttpSettings};
use vix_registry::http::body::{RequestBody, ResponseBody};
use vix_registry::http::connection::{ConnectionInfo, Peer};
use vix_registry::http::pipeline;
use vix_registry::http::routes::{Access, ROUTES};
use vix_registry::services::{Policy, Services, Stores};
use vix_registry::storage::Moment;
use vix_registry::storage::blobs::BlobStore;
use vix_registry::storage::fs::RealFs;
use vix_registry::storage::leases::Leases;
use vix_registry::storage::redb::{Options, RedbMetadata};

struct Registry {
    app: Arc<App>,
    _directory: tempfile::TempDir,
}

fn registry(settings: HttpSettings) -> Registry {
    let directory = tempfile::tempdir().expect("a directory");
    let options = Options {
        cache_bytes: 1 << 20,
        queue_length: 16,
        clock: Box::new(|| Moment { now: Timestamp(0), tick: 0 }),
        ..Options::default()
    };
    let stores = Stores {
        metadata: Arc::new(RedbMetadata::open(directory.path(), options).expect("an empty store")),
        blobs: BlobStore::open(directory.path(), Arc::new(RealFs)).expect("an empty store"),
        leases: Leases::default(),
        policy: Arc::new(Policy::default()),
    };
    let app = App::new(Services::new(&stores), settings, HttpLimits::default());
    Registry { app: Arc::new(app), _directory: directory }
}

impl Registry {
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<ResponseBody> {
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(RequestBody::from_bytes("")).expect("a request");
        let peer = Peer::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
        pipeline::handle(Arc::clone(&self.app), request, ConnectionInfo { peer, id: 1 }).await
    }

    async fn refused(&self, method: &str, path: &str, headers: &[(&str, &str)], expected: (u16, &str)) {
        let response = self.send(method, path, headers).await;
        let found =
            (response.status().as_u16(), header(&response, "x-error").split(';').next().unwrap_or("").to_owned());
        assert_eq!((found.0, found.1.as_str()), expected, "{method} {path} {headers:?}");
        assert_eq!(header(&response, "cache-control"), "no-store");
    }
}

fn header<'r>(response: &'r Response<ResponseBody>, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap_or(""))
}

async fn body(response: Response<ResponseBody>) -> Vec<u8> {
    response.into_body().collect().await.expect("a whole body").to_bytes().to_vec()
}

async fn json(response: Response<ResponseBody>) -> Value {
    serde_json::from_slice(&body(response).await).expect("JSON")
}

#[tokio::test]
async fn every_answer_has_an_id_and_nosniff() {
    let registry = registry(HttpSettings::default());
    for (method, path) in [("GET", "/health"), ("GET", "/nope"), ("OPTIONS", "/health"), ("DELETE", "/health")] {
        let response = registry.send(method, path, &[("x-request-id", "mine-1")]).await;
        assert_eq!(header(&response, "x-request-id"), "mine-1", "{method} {path}");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff", "{method} {path}");
        let made = registry.send(method, path, &[("x-request-id", "not good")]).await;
        assert!(Id::parse(header(&made, "x-request-id")).is_some(), "{method} {path}");
    }
    let failure = json(registry.send("GET", "/nope", &[("x-request-id", "mine-1")]).await).await;
    assert_eq!(failure["meta"]["request_id"], "mine-1");
    assert_eq!((&failure["ok"], &failure["error"]["reason"]), (&Value::Bool(false), &"no_such_route".into()));
}

#[tokio::test]
async fn refusals_come_in_their_order() {
    let registry = registry(HttpSettings::default());
    let foreign = ("sec-fetch-site", "cross-site");
    registry.refused("POST", "/v1/%ff?x=1", &[foreign], (403, "cross_origin")).await;
    registry.refused("POST", "/v1/%ff?x=1", &[("host", "b")], (400, "invalid_host")).await;
    registry.refused("GET", "/v1/%ff?x=1", &[], (400, "invalid_path")).await;
    registry.refused("GET", "/v1/?x=1", &[], (404, "no_such_route")).await;
    registry.refused("PATCH", "/v1?x=1", &[], (405, "method_not_allowed")).await;
    registry.refused("GET", "/v1?x=1", &[], (400, "unknown_parameter")).await;
    registry.refused("GET", "/readyz?verbose&verbose", &[], (400, "duplicate_parameter")).await;
    // A route that anybody may use does not look at credentials.
    assert_eq!(registry.send("GET", "/v1", &[("authorization", "Nonsense")]).await.status().as_u16(), 200);
}

#[tokio::test]
async fn heads_that_are_too_large_get_a_bare_answer() {
    let registry = registry(HttpSettings::default());
    let long = format!("/{}", "a".repeat(9000));
    let many: Vec<(String, &str)> = (0..101).map(|n| (format!("x-{n}"), "y")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    for (path, headers, status) in [(long.as_str(), &[][..], 414), ("/v1", &many[..], 431)] {
        let response = registry.send("GET", path, headers).await;
        assert_eq!((response.status().as_u16(), header(&response, "connection")), (status, "close"));
        assert!(body(response).await.is_empty());
    }
}

#[tokio::test]
async fn head_options_and_conditions_follow_from_get() {
    let registry = registry(HttpSettings::default());
    let get = registry.send("GET", "/v1", &[]).await;
    let head = registry.send("HEAD", "/v1", &[("range", "bytes=0-1")]).await;
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, header(&get, "content-length")));
    let etag = header(&get, "etag").to_owned();
    let service = json(get).await;
    assert_eq!(service["data"]["service"], "vix-registry");
    assert_eq!(service["meta"], serde_json::json!({}), "a tagged answer is the same from one request to the next");
    let again = registry.send("GET", "/v1", &[("if-none-match", &etag)]).await;
    assert_eq!(again.status().as_u16(), 304);
    let options = registry.send("OPTIONS", "/v1", &[]).await;
    assert_eq!((options.status().as_u16(), header(&options, "allow")), (204, "GET, HEAD, OPTIONS"));
    registry.refused("HEAD", "/nope", &[], (404, "no_such_route")).await;
    assert!(body(registry.send("HEAD", "/nope", &[]).await).await.is_empty());
}

#[tokio::test]
async fn readiness_ends_with_the_drain() {
    let registry = registry(HttpSettings::default());
    let ready = json(registry.send("GET", "/readyz", &[]).await).await;
    assert_eq!(ready["data"], serde_json::json!({"status": "ready", "degraded": []}));
    let verbose = json(registry.send("GET", "/readyz?verbose", &[]).await).await;
    assert_eq!(verbose["data"]["checks"][0]["status"], "ok");
    registry.app.start_draining();
    registry.refused("GET", "/readyz", &[], (503, "draining")).await;
    let draining = json(registry.send("GET", "/readyz", &[]).await).await;
    assert_eq!(draining["meta"]["ready"]["status"], "draining");
    assert_eq!(registry.send("GET", "/health", &[]).await.status().as_u16(), 200);
}

#[tokio::test]
async fn no_route_lets_a_nonsense_credential_pass_but_the_open_ones() {
    let registry = registry(HttpSettings::default());
    for route in ROUTES.iter().filter(|route| route.access != Access::Open) {
        let path = route.pattern.replace("{pkg}", "gk/jwt").replace("{version}", "1.0.0").replace("{ns}", "gk");
        let path = path.replace("{principal}", "user:pia").replace("{name}", "pia").replace("{token}", "current");
        let path = path.replace("{id}", "01JDQK0000000000000000000A").replace("{sha256}", &"a".repeat(64));
        let path = path.replace("{filename}", "a.tar.gz");
        for (credential, reason) in [("Digest x", "unsupported_scheme"), ("Bearer vixr_x", "malformed_token")] {
            registry.refused(route.verb.as_str(), &path, &[("authorization", credential)], (401, reason)).await;
        }
    }
}

#[tokio::test]
async fn pages_of_named_origins_may_read() {
    let ui = "https://ui.example";
    let registry = registry(HttpSettings { cors_origins: vec![ui.to_owned()], ..HttpSettings::default() });
    let read = registry.send("GET", "/v1", &[("origin", ui)]).await;
    assert_eq!(header(&read, "access-control-allow-origin"), ui);
    let refused = registry.send("GET", "/nope", &[("origin", ui)]).await;
    assert_eq!(header(&refused, "access-control-allow-origin"), ui, "a page may read why it was refused");
    let other = registry.send("GET", "/v1", &[("origin", "https://evil.example")]).await;
    assert_eq!(header(&other, "access-control-allow-origin"), "");
}

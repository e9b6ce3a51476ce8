//! Uploads, publishing by name, the change feed, dependents, closures and stats, through the whole pipeline.
#![expect(clippy::expect_used, reason = "a test that can't be set up has failed")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::Request;
use serde_json::{Value, json};
use vix_registry::domain::digest::Sha256;
use vix_registry::domain::time::Timestamp;
use vix_registry::http::app::{App, HttpLimits, HttpSettings};
use vix_registry::http::body::RequestBody;
use vix_registry::http::connection::{ConnectionInfo, Peer};
use vix_registry::http::pipeline;
use vix_registry::services::{Policy, Services, Stores};
use vix_registry::storage::Moment;
use vix_registry::storage::blobs::BlobStore;
use vix_registry::storage::fs::RealFs;
use vix_registry::storage::leases::Leases;
use vix_registry::storage::redb::{Options, RedbMetadata};

const ANONYMOUS: Peer = Peer::Tcp(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9));
const JSON: (&str, &str) = ("content-type", "application/json");

struct Registry {
    app: Arc<App>,
    _directory: tempfile::TempDir,
}

struct Answer {
    status: u16,
    offset: String,
    location: String,
    body: Value,
}

impl Answer {
    fn reason(&self) -> (u16, &str) {
        (self.status, self.body["error"]["reason"].as_str().unwrap_or(""))
    }
}

impl Registry {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let now = || Timestamp(1_700_000_000_000);
        let options = Options {
            cache_bytes: 1 << 20,
            queue_length: 16,
            clock: Box::new(move || Moment { now: now(), tick: 0 }),
            ..Options::default()
        };
        let stores = Stores {
            metadata: Arc::new(RedbMetadata::open(directory.path(), options).expect("an empty store")),
            blobs: BlobStore::open(directory.path(), Arc::new(RealFs)).expect("an empty store"),
            leases: Leases::default(),
            policy: Arc::new(Policy { free_bytes_min: 0, ..Policy::default() }),
        };
        let app = App::new(Services::new(&stores), HttpSettings::default(), HttpLimits::default());
        Self { app: Arc::new(app.with_clock(Arc::new(now))), _directory: directory }
    }

    async fn send_as(&self, peer: Peer, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(RequestBody::from_bytes(body.to_vec())).expect("a request");
        let response = pipeline::handle(Arc::clone(&self.app), request, ConnectionInfo { peer, id: 1 }).await;
        let header = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap_or("")).to_owned();
        let (status, offset, location) = (response.status().as_u16(), header("upload-offset"), header("location"));
        let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
        Answer { status, offset, location, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    /// For somebody local, who may do everything.
    async fn send(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send_as(Peer::InProcess, line, headers, body).await
    }

    async fn send_json(&self, line: &str, body: &Value) -> Answer {
        self.send(line, &[JSON], body.to_string().as_bytes()).await
    }

    async fn get(&self, peer: Peer, path: &str) -> Answer {
        self.send_as(peer, &format!("GET {path}"), &[], b"").await
    }

    /// A version with these dependencies, whose artifact is its own name.
    async fn publish(&self, package: &str, version: &str, dependencies: &Value) {
        let bytes = format!("{package} {version}");
        let name = self.upload(bytes.as_bytes()).await;
        let metadata = json!({"version": version, "dependencies": dependencies, "artifact": {"upload": name}});
        let private = if package.starts_with("secret/") { "&visibility=private" } else { "" };
        let line = format!("POST /v1/packages/{package}/versions?create{private}");
        let published = self.send_json(&line, &metadata).await;
        assert_eq!(published.status, 201, "{}", published.body);
    }

    /// A finished upload's id.
    async fn upload(&self, bytes: &[u8]) -> String {
        let begun = self.send_json("POST /v1/uploads", &json!({})).await;
        let range = format!("bytes 0-{}/{}", bytes.len() - 1, bytes.len());
        let appended = self.send(&format!("PATCH {}", begun.location), &[("content-range", &range)], bytes).await;
        assert_eq!(appended.status, 200, "{}", appended.body);
        let digest = json!({"sha256": Sha256::of(bytes).to_hex()});
        let finished = self.send_json(&format!("PUT {}", begun.location), &digest).await;
        assert_eq!(finished.body["data"]["state"], "complete", "{}", finished.body);
        begun.location.trim_start_matches("/v1/uploads/").to_owned()
    }
}

#[tokio::test]
async fn an_upload_goes_through_its_whole_life() {
    let registry = Registry::new();
    let begun = registry.send_json("POST /v1/uploads", &json!({"size": 6})).await;
    assert_eq!((begun.status, begun.offset.as_str()), (201, "0"));
    let id = begun.body["data"]["id"].as_str().expect("an id").to_owned();
    let expected = json!({"id": id, "offset": 0, "size": 6, "sha256": null, "state": "open",
        "created_at": "2023-11-14T22:13:20.000Z", "expires_at": "2023-11-15T22:13:20.000Z"});
    assert_eq!(begun.body["data"], expected);
    let path = begun.location;
    let append = async |range: &str, digest: &str, bytes: &[u8]| {
        let headers = [("content-range", range), ("content-digest", digest)];
        registry.send(&format!("PATCH {path}"), &headers, bytes).await
    };
    let first = append("bytes 0-2/6", "", b"abc").await;
    assert_eq!((first.status, first.offset.as_str()), (200, "3"));
    let wrong = append("bytes 2-5/6", "", b"cdef").await;
    assert_eq!((wrong.reason(), wrong.offset.as_str()), ((416, "wrong_offset"), "3"));
    let detail = &wrong.body["error"]["details"][0];
    assert_eq!((&detail["field"], &detail["limit"]), (&json!("offset"), &json!(3)));
    let other = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
    assert_eq!(append("bytes 3-5/6", other, b"def").await.reason(), (400, "digest_mismatch"));
    assert_eq!(append("bytes 3-5/6", "", b"de").await.reason(), (400, "invalid_field"));
    let missing = registry.send(&format!("PATCH {path}"), &[], b"def").await;
    assert_eq!(missing.reason(), (400, "missing_field"));
    let head = registry.send(&format!("HEAD {path}"), &[], b"").await;
    assert_eq!((head.status, head.offset.as_str()), (200, "3"));
    let digest = json!({"sha256": Sha256::of(b"abcdef").to_hex()});
    let early = registry.send_json(&format!("PUT {path}"), &digest).await;
    assert_eq!(early.reason(), (409, "upload_incomplete"));
    assert_eq!(append("bytes 3-5/*", "", b"def").await.offset, "6");
    for _ in 0..2 {
        let done = registry.send_json(&format!("PUT {path}"), &digest).await;
        assert_eq!((done.status, &done.body["data"]["state"]), (200, &json!("complete")));
    }
    assert_eq!(registry.send(&format!("DELETE {path}"), &[], b"").await.status, 200);
    assert_eq!(registry.get(Peer::InProcess, &path).await.reason(), (404, "upload_not_found"));
    assert_eq!(registry.get(ANONYMOUS, &path).await.reason(), (401, "missing_token"));
}

#[tokio::test]
async fn bytes_are_published_by_name() {
    let registry = Registry::new();
    registry.publish("gk/a", "1.0.0", &json!([])).await;
    let bytes = Sha256::of(b"gk/a 1.0.0").to_hex();
    let publish = async |package: &str, artifact: Value| {
        let body = json!({"version": "1.0.0", "artifact": artifact});
        registry.send_json(&format!("POST /v1/packages/{package}/versions?create"), &body).await
    };
    let copied = publish("gk/b", json!({"sha256": bytes})).await;
    assert_eq!((copied.status, &copied.body["data"]["sha256"]), (201, &json!(bytes)));
    assert_eq!(publish("gk/b", json!({"sha256": bytes})).await.status, 200);
    let unknown = json!({"sha256": Sha256::of(b"unknown").to_hex()});
    assert_eq!(publish("gk/c", unknown).await.reason(), (404, "blob_not_found"));
    assert_eq!(publish("gk/c", json!({"upload": "none"})).await.reason(), (404, "upload_not_found"));
    for wrong in [json!({}), json!({"upload": "a", "sha256": bytes})] {
        assert_eq!(publish("gk/c", wrong).await.reason(), (400, "invalid_field"));
    }
    let absent = registry.send_json("POST /v1/packages/gk/c/versions?create", &json!({"version": "1.0.0"})).await;
    assert_eq!(absent.reason(), (400, "missing_field"));
}

#[tokio::test]
async fn dependents_and_closures_show_what_the_caller_may_read() {
    let registry = Registry::new();
    let needs = |name: &str, req: &str| json!([{"name": name, "req": req}]);
    registry.publish("json", "1.0.0", &json!([])).await;
    registry.publish("gk/app", "1.0.0", &needs("json", "^1")).await;
    registry.publish("secret/app", "1.0.0", &needs("json", "1.x")).await;
    let dependent = json!({"name": "gk/app", "version": "1.0.0", "req": "^1", "kind": "normal", "optional": false});
    let seen = registry.get(ANONYMOUS, "/v1/packages/json/dependents").await;
    assert_eq!(seen.body["data"], json!([dependent]));
    let page = registry.get(Peer::InProcess, "/v1/packages/json/dependents?limit=1").await;
    assert_eq!(page.body["data"], json!([dependent]));
    let cursor = page.body["meta"]["page"]["next_cursor"].as_str().expect("another page");
    let next = registry.get(Peer::InProcess, &format!("/v1/packages/json/dependents?limit=1&cursor={cursor}")).await;
    assert_eq!(next.body["data"][0]["name"], "secret/app");
    assert_eq!(next.body["meta"]["page"]["next_cursor"], Value::Null);
    let resolve = async |peer, roots: Value| {
        let body = json!({"roots": roots}).to_string();
        registry.send_as(peer, "POST /v1/resolve", &[JSON], body.as_bytes()).await
    };
    let closure = resolve(ANONYMOUS, json!({"gk/app": "*"})).await;
    let expected = json!({"roots": {"gk/app": "1.0.0"}, "packages": [
        {"name": "gk/app", "version": "1.0.0", "sha256": Sha256::of(b"gk/app 1.0.0").to_hex(), "size": 12,
         "filename": "app-1.0.0.bin", "url": "/v1/packages/gk/app/versions/1.0.0/artifact", "yanked": false,
         "dependencies": {"json": "1.0.0"}},
        {"name": "json", "version": "1.0.0", "sha256": Sha256::of(b"json 1.0.0").to_hex(), "size": 10,
         "filename": "json-1.0.0.bin", "url": "/v1/packages/json/versions/1.0.0/artifact", "yanked": false,
         "dependencies": {}},
    ]});
    assert_eq!(closure.body["data"], expected);
    assert_eq!(resolve(ANONYMOUS, json!({"secret/app": "*"})).await.reason(), (409, "unresolvable"));
    assert_eq!(resolve(Peer::InProcess, json!({"secret/app": "*"})).await.status, 200);
    assert_eq!(resolve(ANONYMOUS, json!({})).await.reason(), (400, "invalid_field"));
    assert_eq!(resolve(ANONYMOUS, json!({"json": "?"})).await.reason(), (400, "invalid_requirement"));
}

#[tokio::test]
async fn changes_are_followed_from_serial_to_serial() {
    let registry = Registry::new();
    registry.publish("json", "1.0.0", &json!([])).await;
    registry.publish("secret/app", "1.0.0", &json!([])).await;
    let first = registry.get(ANONYMOUS, "/v1/changes?limit=1").await;
    let created =
        json!({"serial": 1, "type": "package.created", "time": "2023-11-14T22:13:20.000Z", "package": "json"});
    assert_eq!((&first.body["data"], &first.body["meta"]["last"]), (&json!([created]), &json!(1)));
    assert_eq!(first.body["meta"]["history"]["parent"], Value::Null);
    let rest = registry.get(ANONYMOUS, "/v1/changes?after=1").await;
    let types: Vec<_> = rest.body["data"].as_array().expect("a list").iter().map(|change| &change["type"]).collect();
    assert_eq!(types, ["version.published", "namespace.created"]);
    assert_eq!(rest.body["data"][0]["size"], 10);
    let end = registry.get(ANONYMOUS, "/v1/changes?after=3&wait=0").await;
    assert_eq!((&end.body["data"], &end.body["meta"]["last"]), (&json!([]), &json!(3)));
    let internal = "/v1/changes?log=internal";
    assert_eq!(registry.get(ANONYMOUS, internal).await.reason(), (401, "missing_token"));
    let seen = registry.get(Peer::InProcess, internal).await;
    assert_eq!(seen.body["data"].as_array().map(Vec::len), Some(2), "{}", seen.body);
}

#[tokio::test]
async fn stats_and_readiness_tell_what_there_is() {
    let registry = Registry::new();
    registry.publish("json", "1.0.0", &json!([])).await;
    let stats = registry.get(Peer::InProcess, "/v1/admin/stats").await;
    let data = &stats.body["data"];
    assert_eq!((&data["packages"], &data["blob_bytes"], &data["degraded"]), (&json!(1), &json!(10), &json!([])));
    assert_eq!(data["serial"], json!({"public": 2, "internal": 0}));
    assert_eq!(registry.get(ANONYMOUS, "/v1/admin/stats").await.reason(), (401, "missing_token"));
    let ready = registry.get(ANONYMOUS, "/readyz?verbose").await;
    assert_eq!((ready.status, &ready.body["data"]["status"]), (200, &json!("ready")));
    let names: Vec<_> =
        ready.body["data"]["checks"].as_array().expect("a list").iter().map(|check| &check["name"]).collect();
    assert_eq!(names, ["store", "writes", "disk"]);
}

#[tokio::test]
async fn packages_are_listed_and_searched_page_by_page() {
    let registry = Registry::new();
    for name in ["json", "gk/json-schema", "gk/jwt", "secret/json"] {
        registry.publish(name, "1.0.0", &json!([])).await;
    }
    let names = |answer: &Answer| -> Vec<String> {
        let list = answer.body["data"].as_array().expect("a list").iter();
        list.map(|package| package["name"].as_str().expect("a name").to_owned()).collect()
    };
    let all = registry.get(ANONYMOUS, "/v1/packages").await;
    assert_eq!(names(&all), ["gk/json-schema", "gk/jwt", "json"]);
    let expected = json!({"name": "gk/jwt", "namespace": "gk", "visibility": "public", "description": null,
        "license": null, "keywords": [], "links": {}, "deprecated": null, "owners": [], "latest": "1.0.0",
        "version_count": 1, "downloads": 0, "created_at": "2023-11-14T22:13:20.000Z",
        "updated_at": "2023-11-14T22:13:20.000Z"});
    assert_eq!(all.body["data"][1], expected);
    let found = registry.get(Peer::InProcess, "/v1/packages?q=JSON&limit=2").await;
    assert_eq!(names(&found), ["json", "secret/json"]);
    let cursor = found.body["meta"]["page"]["next_cursor"].as_str().expect("another page");
    let rest = registry.get(Peer::InProcess, &format!("/v1/packages?q=JSON&cursor={cursor}")).await;
    assert_eq!(
        (names(&rest), &rest.body["meta"]["page"]["next_cursor"]),
        (vec!["gk/json-schema".to_owned()], &json!(null))
    );
    let other = registry.get(Peer::InProcess, &format!("/v1/packages?q=jwt&cursor={cursor}")).await;
    assert_eq!(other.reason(), (400, "invalid_cursor"));
    let filtered = registry.get(ANONYMOUS, "/v1/packages?namespace=gk&sort=updated").await;
    assert_eq!(names(&filtered), ["gk/jwt", "gk/json-schema"]);
    assert!(names(&registry.get(ANONYMOUS, "/v1/packages?owner=user:nobody").await).is_empty());
    assert_eq!(registry.get(ANONYMOUS, "/v1/packages?sort=size").await.reason(), (400, "invalid_parameter"));
}

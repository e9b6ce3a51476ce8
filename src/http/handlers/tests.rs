//! What the handlers of packages, namespaces and members say, through the whole pipeline, for somebody local.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::Request;
use serde_json::{Value, json};

use crate::domain::caller::Caller;
use crate::domain::change::Change;
use crate::domain::id::Id;
use crate::domain::name::{PackageName, UserName};
use crate::domain::package::Description;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::version::VersionNumber;
use crate::http::app::{App, HttpLimits, HttpSettings};
use crate::http::body::RequestBody;
use crate::http::connection::{ConnectionInfo, Peer};
use crate::http::pipeline;
use crate::services::publish::{ByteSource, PublishRequest};
use crate::services::{Context, Policy, Services, Stores};
use crate::storage::blobs::BlobStore;
use crate::storage::fs::RealFs;
use crate::storage::leases::Leases;
use crate::storage::redb::{Options, RedbMetadata};
use crate::storage::{Decided, Metadata as _, Moment};

struct OneChunk(Option<bytes::Bytes>);

impl ByteSource for OneChunk {
    async fn next_chunk(&mut self) -> Result<Option<bytes::Bytes>, Refusal> {
        Ok(self.0.take())
    }
}

struct Registry {
    app: Arc<App>,
    _directory: tempfile::TempDir,
}

struct Answer {
    status: u16,
    etag: String,
    location: String,
    body: Value,
}

impl Registry {
    /// A registry with the users `pia` and `tom`.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            cache_bytes: 1 << 20,
            queue_length: 16,
            clock: Box::new(|| Moment { now: Timestamp(0), tick: 0 }),
            ..Options::default()
        };
        let stores = Stores {
            metadata: Arc::new(RedbMetadata::open(directory.path(), options).unwrap()),
            blobs: BlobStore::open(directory.path(), Arc::new(RealFs)).unwrap(),
            leases: Leases::default(),
            policy: Arc::new(Policy::default()),
        };
        let users = |_: &crate::storage::View<'_>, _| {
            let user = |(name, id)| User {
                id: Id(id),
                name: UserName::parse(name).unwrap(),
                email: None,
                admin: false,
                disabled: false,
                password_hash: None,
                created_at: Timestamp(0),
            };
            let changes = [("pia", 1), ("tom", 2)].map(|one| Change::PutUser(Box::new(user(one)))).into();
            Ok(Decided { changes, answer: () })
        };
        stores.metadata.change(users).await.unwrap();
        let app = App::new(Services::new(&stores), HttpSettings::default(), HttpLimits::default());
        Self { app: Arc::new(app), _directory: directory }
    }

    async fn send(&self, line: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path).header("host", "local");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let bytes = if body.is_null() { String::new() } else { body.to_string() };
        if !body.is_null() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(RequestBody::from_bytes(bytes)).unwrap();
        let info = ConnectionInfo { peer: Peer::InProcess, id: 1 };
        let response = pipeline::handle(Arc::clone(&self.app), request, info).await;
        let header = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let (status, etag, location) = (response.status().as_u16(), header("etag"), header("location"));
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, etag, location, body: serde_json::from_slice(&bytes).unwrap() }
    }

    async fn publish(&self, name: &str, number: &str) {
        let request = PublishRequest {
            package: PackageName::parse(name).unwrap(),
            version: VersionNumber::parse(number).unwrap(),
            filename: None,
            about: Description::default(),
            dependencies: None,
            manifest: Some(br#"{"name":"jwt"}"#.to_vec()),
            readme: None,
            create: true,
            visibility: None,
            dry_run: false,
            sha256: None,
            size: None,
            must_be_new: false,
        };
        let context = Context {
            caller: Caller::Local { uid: 0 },
            now: Timestamp(0),
            ip: None,
            request_id: "publish".to_owned(),
            audit_id: Id(1),
        };
        let mut source = OneChunk(Some(bytes::Bytes::from(format!("{name} {number}"))));
        self.app.services.publish.publish(&context, request, &mut source).await.unwrap();
    }

    #[track_caller]
    fn check(answer: &Answer, status: u16, reason: Option<&str>) {
        let found = answer.body["error"]["reason"].as_str();
        assert_eq!((answer.status, found), (status, reason), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_package_is_made_shown_changed_and_deleted() {
    let registry = Registry::new().await;
    let made = registry.send("POST /v1/packages", &[], json!({"name":"gk/jwt","keywords":["a"]})).await;
    assert_eq!((made.status, made.location.as_str()), (201, "/v1/packages/gk/jwt"));
    let expected = json!({
        "name": "gk/jwt", "namespace": "gk", "visibility": "public", "description": null, "license": null,
        "keywords": ["a"], "links": {}, "deprecated": null, "owners": [], "latest": null, "version_count": 0,
        "downloads": 0, "created_at": "1970-01-01T00:00:00.000Z", "updated_at": "1970-01-01T00:00:00.000Z",
    });
    assert_eq!(made.body["data"], expected);
    let shown = registry.send("GET /v1/packages/gk%2Fjwt", &[], Value::Null).await;
    assert_eq!(shown.body["data"], expected);

    let patch = json!({"visibility":"private","description":"Tokens","deprecated":{"message":"old"}});
    let stale = registry.send("PATCH /v1/packages/gk/jwt", &[("if-match", "\"x\"")], json!([])).await;
    Registry::check(&stale, 412, Some("etag_mismatch"));
    let patched = registry.send("PATCH /v1/packages/gk/jwt", &[("if-match", &shown.etag)], patch).await;
    assert_eq!(patched.body["data"]["deprecated"], json!({"message":"old","replaced_by":null}));
    assert_eq!((&patched.body["data"]["visibility"], patched.status), (&json!("private"), 200));
    let stale = registry.send("DELETE /v1/packages/gk/jwt", &[("if-match", &shown.etag)], Value::Null).await;
    Registry::check(&stale, 412, Some("etag_mismatch"));
    let wrong = registry.send("PATCH /v1/packages/gk/jwt", &[], json!({"visibility":null})).await;
    Registry::check(&wrong, 400, Some("invalid_field"));
    let wrong = registry.send("PATCH /v1/packages/gk/no", &[], json!({"nonsense":1})).await;
    Registry::check(&wrong, 404, Some("package_not_found"));
    let wrong = registry.send("DELETE /v1/packages/gk/jwt?reason=x", &[], Value::Null).await;
    Registry::check(&wrong, 400, Some("invalid_parameter"));

    Registry::check(&registry.send("DELETE /v1/packages/gk/jwt", &[("if-match", "*")], Value::Null).await, 200, None);
    Registry::check(&registry.send("GET /v1/packages/gk/jwt", &[], Value::Null).await, 404, Some("package_not_found"));
    registry.send("POST /v1/packages", &[], json!({"name":"a"})).await;
    let purged = registry.send("DELETE /v1/packages/a?purge&reason=leak", &[], Value::Null).await;
    Registry::check(&purged, 200, None);
    Registry::check(&registry.send("GET /v1/packages/a", &[], Value::Null).await, 410, Some("purged"));
    let retired = registry.send("POST /v1/packages", &[], json!({"name":"a"})).await;
    Registry::check(&retired, 409, Some("name_retired"));
}

#[tokio::test]
async fn members_and_namespaces_are_listed_in_pages_and_changed_under_their_tags() {
    let registry = Registry::new().await;
    let claim = json!({"name":"gk","description":"Keys","default_visibility":"private"});
    let claimed = registry.send("POST /v1/namespaces", &[], claim).await;
    assert_eq!((claimed.status, claimed.location.as_str()), (201, "/v1/namespaces/gk"));
    registry.send("POST /v1/namespaces", &[], json!({"name":"b"})).await;
    let first = registry.send("GET /v1/namespaces?limit=1", &[], Value::Null).await;
    let cursor = first.body["meta"]["page"]["next_cursor"].as_str().unwrap();
    let second = registry.send(&format!("GET /v1/namespaces?limit=1&cursor={cursor}"), &[], Value::Null).await;
    assert_eq!((&first.body["data"][0]["name"], &second.body["data"][0]), (&json!("b"), &claimed.body["data"]));
    assert_eq!(second.body["meta"]["page"]["next_cursor"], Value::Null);

    let one = "/v1/namespaces/gk/members/user:pia";
    Registry::check(&registry.send(&format!("GET {one}"), &[], Value::Null).await, 404, Some("member_not_found"));
    let absent = registry.send(&format!("PUT {one}"), &[("if-match", "*")], json!({"role":"owner"})).await;
    Registry::check(&absent, 412, Some("etag_mismatch"));
    let put = registry.send(&format!("PUT {one}"), &[], json!({"role":"owner"})).await;
    let expected = json!({
        "principal": "user:pia", "role": "owner", "inherited": false, "since": "1970-01-01T00:00:00.000Z",
    });
    assert_eq!((put.status, &put.body["data"]), (200, &expected));
    let tag = registry.send(&format!("GET {one}"), &[], Value::Null).await.etag;
    let last = registry.send(&format!("DELETE {one}"), &[("if-match", &tag)], Value::Null).await;
    Registry::check(&last, 409, Some("last_owner"));

    registry.send("POST /v1/packages", &[], json!({"name":"gk/jwt"})).await;
    registry.send("PUT /v1/packages/gk/jwt/members/user:tom", &[], json!({"role":"reader"})).await;
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let path = format!("GET /v1/packages/gk/jwt/members?limit=1{cursor}");
        let page = registry.send(&path, &[], Value::Null).await.body;
        seen.push((page["data"][0]["principal"].clone(), page["data"][0]["inherited"].clone()));
        let Some(next) = page["meta"]["page"]["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(json!(seen), json!([["user:tom", false], ["user:pia", true]]));
    let wrong = registry.send("PUT /v1/packages/gk/jwt/members/user:tom", &[], json!({"role":"king"})).await;
    Registry::check(&wrong, 400, Some("invalid_field"));
    let patched = registry.send("PATCH /v1/namespaces/gk", &[], json!({"description":null})).await;
    assert_eq!((patched.status, &patched.body["data"]["description"]), (200, &Value::Null));
    let kept = registry.send("DELETE /v1/namespaces/gk", &[], Value::Null).await;
    Registry::check(&kept, 409, Some("not_empty"));
}

#[tokio::test]
async fn a_version_is_yanked_deprecated_and_purged() {
    let registry = Registry::new().await;
    registry.publish("gk/jwt", "1.0.0+b").await;
    let path = "/v1/packages/gk/jwt/versions/1.0.0";
    let patch = json!({"yanked":true,"reason":"bad","deprecated":{"message":"old","replaced_by":"gk/jwt2"}});
    let yanked = registry.send(&format!("PATCH {path}"), &[], patch).await;
    let data = &yanked.body["data"];
    let said = json!([data["yanked"], data["yank"]["reason"], data["deprecated"]["replaced_by"], data["manifest"]]);
    assert_eq!((yanked.status, said), (200, json!([true, "bad", "gk/jwt2", {"name":"jwt"}])));
    assert_eq!(data["url"], "/v1/packages/gk/jwt/versions/1.0.0+b/artifact");
    for (body, field) in [
        (json!({"reason":"x"}), "reason"),
        (json!({"yanked":null}), "yanked"),
        (json!({"yanked":true,"reason":"x".repeat(513)}), "reason"),
        (json!({"deprecated":{"message":" "}}), "deprecated.message"),
    ] {
        let refused = registry.send(&format!("PATCH {path}"), &[], body).await;
        Registry::check(&refused, 400, Some("invalid_field"));
        assert_eq!(refused.body["error"]["details"][0]["field"], field);
    }
    let latest = registry.send("PATCH /v1/packages/gk/jwt/versions/latest", &[], json!({"yanked":true})).await;
    Registry::check(&latest, 400, Some("invalid_semver"));
    let purged = registry.send(&format!("DELETE {path}?reason=leak"), &[], Value::Null).await;
    assert_eq!((purged.status, &purged.body["data"]["manifest"]), (200, &Value::Null));
    Registry::check(&registry.send(&format!("DELETE {path}"), &[], Value::Null).await, 410, Some("purged"));
    Registry::check(&registry.send(&format!("PATCH {path}"), &[], json!([])).await, 410, Some("purged"));
}

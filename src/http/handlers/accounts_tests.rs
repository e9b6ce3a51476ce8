//! What the handlers of users, tokens, logins and the audit say, through the whole pipeline.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::{HeaderMap, Request};
use serde_json::{Value, json};

use crate::domain::caller::Caller;
use crate::domain::id::Id;
use crate::domain::name::UserName;
use crate::domain::time::Timestamp;
use crate::domain::token::Scopes;
use crate::domain::tokens::TokenAsk;
use crate::http::app::{App, HttpLimits, HttpSettings};
use crate::http::body::RequestBody;
use crate::http::connection::{ConnectionInfo, Peer};
use crate::http::pipeline;
use crate::services::{Context, Policy, Services, Stores};
use crate::storage::Moment;
use crate::storage::blobs::BlobStore;
use crate::storage::fs::RealFs;
use crate::storage::leases::Leases;
use crate::storage::redb::{Options, RedbMetadata};

/// When everything is stored: later than the clock that proves tokens, which is the real one.
const NOON: Timestamp = Timestamp(4_000_017_600_000);

struct Registry {
    app: Arc<App>,
    /// An admin's token.
    admin: String,
    _directory: tempfile::TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Registry {
    /// A registry with the admin `root`, who has a token.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            cache_bytes: 1 << 20,
            queue_length: 16,
            clock: Box::new(|| Moment { now: NOON, tick: 0 }),
            ..Options::default()
        };
        let stores = Stores {
            metadata: Arc::new(RedbMetadata::open(directory.path(), options).unwrap()),
            blobs: BlobStore::open(directory.path(), Arc::new(RealFs)).unwrap(),
            leases: Leases::default(),
            policy: Arc::new(Policy { login_failures_max: 2, ..Policy::default() }),
        };
        let services = Services::new(&stores);
        let context = Context {
            caller: Caller::Local { uid: 7 },
            now: Timestamp(0),
            ip: None,
            request_id: "setup".to_owned(),
            audit_id: Id(0),
        };
        let ask = TokenAsk::new("first", Scopes::ALL).unwrap();
        let made = services.tokens.create_local(&context, UserName::parse("root").unwrap(), ask).await.unwrap();
        let admin = made.issued.secret.reveal().to_owned();
        let app = App::new(services, HttpSettings::default(), HttpLimits::default());
        Self { app: Arc::new(app), admin, _directory: directory }
    }

    async fn send(&self, token: &str, line: &str, body: Value) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path).header("host", "local");
        if method == "POST" {
            request = request.header("accept-encoding", "gzip");
        }
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let bytes = if body.is_null() { String::new() } else { body.to_string() };
        if !body.is_null() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(RequestBody::from_bytes(bytes)).unwrap();
        let info = ConnectionInfo { peer: Peer::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 9))), id: 1 };
        let response = pipeline::handle(Arc::clone(&self.app), request, info).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        assert_eq!(headers["cache-control"], "no-store", "{line}");
        assert!(!headers.contains_key("content-encoding"), "{line}: what holds a secret is never compressed");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status, headers, body }
    }

    /// Sends what has to succeed, and answers with its data.
    async fn done(&self, token: &str, line: &str, body: Value) -> Value {
        let answer = self.send(token, line, body).await;
        assert!(answer.status < 300, "{line}: {}", answer.body);
        answer.body["data"].clone()
    }

    async fn refused(&self, token: &str, line: &str, body: Value, expected: (u16, &str)) -> Answer {
        let answer = self.send(token, line, body).await;
        let found = (answer.status, answer.body["error"]["reason"].as_str().unwrap_or(""));
        assert_eq!(found, expected, "{line}: {}", answer.body);
        answer
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn login(password: &str) -> Value {
    json!({"username":"pia","password":password})
}

#[tokio::test]
async fn a_user_logs_in_makes_a_token_and_logs_out() {
    let registry = Registry::new().await;
    let admin = registry.admin.as_str();
    let new = json!({"name":"pia","password":"correct horse","email":"pia@example.org"});
    let made = registry.send(admin, "POST /v1/users", new).await;
    assert_eq!((made.status, &made.headers["location"]), (201, &"/v1/users/pia".parse().unwrap()));
    let mut user = made.body["data"].clone();
    assert!(Id::parse(text(&user["id"])).is_some());
    user["id"] = Value::Null;
    let expected = json!({
        "id": null, "name": "pia", "email": "pia@example.org", "admin": false, "disabled": false,
        "has_password": true, "created_at": NOON.to_string(),
    });
    assert_eq!(user, expected);

    let logged_in = registry.send("", "POST /v1/login", login("correct horse")).await;
    let session = text(&logged_in.body["data"]["secret"]).to_owned();
    let me = registry.done(&session, "GET /v1/me", Value::Null).await;
    assert_eq!((&me["user"]["name"], &me["token"]["kind"]), (&json!("pia"), &json!("login")));
    assert_eq!(me["token"]["expires_at"], NOON.plus_ms(12 * 3_600_000).to_string());
    assert!(me["token"].get("secret").is_none());

    let ask = json!({"name":"ci","scopes":["publish"],"packages":["gk/*"],"expires_at":"2100-01-01T00:00:00Z"});
    let made = registry.send(&session, "POST /v1/tokens", ask).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let mut token = made.body["data"].clone();
    let (id, ci) = (text(&token["id"]).to_owned(), text(&token["secret"]).to_owned());
    assert_eq!(made.headers["location"], format!("/v1/tokens/{id}"));
    (token["id"], token["secret"]) = (Value::Null, Value::Null);
    let expected = json!({
        "id": null, "name": "ci", "user": "pia", "kind": "token", "scopes": ["publish"], "packages": ["gk/*"],
        "created_at": NOON.to_string(), "expires_at": "2100-01-01T00:00:00.000Z", "last_used_at": null,
        "revoked_at": null, "secret": null,
    });
    assert_eq!(token, expected);
    let more = json!({"name":"more","scopes":["publish"]});
    let made = registry.done(&ci, "POST /v1/tokens", more).await;
    assert_eq!(made["packages"], json!(["gk/*"]), "as its maker, when not said");
    let admin_scope = json!({"name":"more","scopes":["admin"]});
    registry.refused(&session, "POST /v1/tokens", admin_scope, (403, "exceeds_own_rights")).await;

    let rotated = registry.done(&ci, "POST /v1/tokens/current/rotate", Value::Null).await;
    assert_eq!(rotated["id"], json!(id));
    registry.refused(&ci, "GET /v1/me", Value::Null, (401, "unknown_token")).await;
    let out = registry.done(&session, "DELETE /v1/tokens/current", Value::Null).await;
    assert_eq!(out["revoked_at"], NOON.to_string());
    registry.refused(&session, "GET /v1/me", Value::Null, (401, "revoked_token")).await;
    let still = registry.done(text(&rotated["secret"]), "GET /v1/me", Value::Null).await;
    assert_eq!(still["token"]["id"], json!(id));
}

#[tokio::test]
async fn wrong_logins_are_refused_alike_and_then_told_when_to_come_back() {
    let registry = Registry::new().await;
    let wrong = json!({"username":"root","password":"wrong horse"});
    let first = registry.refused("", "POST /v1/login", wrong.clone(), (401, "wrong_credentials")).await;
    assert_eq!(first.headers.get_all("www-authenticate").iter().count(), 2);
    registry.refused("", "POST /v1/login", wrong.clone(), (401, "wrong_credentials")).await;
    let limited = registry.refused("", "POST /v1/login", wrong, (429, "rate_limited")).await;
    let seconds: u64 = limited.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((50..=60).contains(&seconds), "{seconds}");
    let long = json!({"username":"root","password":"x".repeat(1025)});
    let long = registry.refused("", "POST /v1/login", long, (400, "invalid_field")).await;
    assert_eq!(long.body["error"]["details"][0]["limit"], 1024);
    let extra = json!({"username":"root","password":"x","otp":1});
    registry.refused("", "POST /v1/login", extra, (400, "unknown_field")).await;
    let denied = registry.done(&registry.admin, "GET /v1/audit?action=login", Value::Null).await;
    assert_eq!(denied.as_array().unwrap().len(), 2);
    let entry = &denied[0];
    let found = ["actor", "outcome", "target", "ip"].map(|key| entry[key].clone());
    assert_eq!(found, ["anonymous", "denied", "root", "127.0.0.1"].map(Value::from));
}

#[tokio::test]
async fn admins_change_and_delete_users_and_the_audit_tells() {
    let registry = Registry::new().await;
    let admin = registry.admin.as_str();
    for name in ["pia", "ben", "ann"] {
        registry.done(admin, "POST /v1/users", json!({"name":name})).await;
    }
    registry.refused(admin, "POST /v1/users", json!({"name":"pia"}), (409, "user_exists")).await;
    registry.refused(admin, "PATCH /v1/users/eve", json!({"nonsense":1}), (404, "user_not_found")).await;
    registry.refused(admin, "PATCH /v1/users/pia", json!({"admin":null}), (400, "invalid_field")).await;
    registry.refused(admin, "PATCH /v1/users/pia", json!({"password":"short"}), (400, "invalid_field")).await;
    registry.refused(admin, "PATCH /v1/users/root", json!({"disabled":true}), (409, "last_admin")).await;
    let patched = registry.done(admin, "PATCH /v1/users/pia", json!({"password":"correct horse"})).await;
    assert_eq!((&patched["has_password"], &patched["email"]), (&json!(true), &Value::Null));
    let session = registry.done("", "POST /v1/login", login("correct horse")).await;
    let session = text(&session["secret"]);
    let short = json!({"old":"correct horse","new":"short"});
    registry.refused(session, "PUT /v1/me/password", short, (400, "invalid_field")).await;
    let change = json!({"old":"correct horse","new":"better horse"});
    registry.done(session, "PUT /v1/me/password", change.clone()).await;
    registry.refused(session, "PUT /v1/me/password", change, (401, "wrong_credentials")).await;
    registry.refused(session, "GET /v1/users", Value::Null, (403, "missing_scope")).await;
    registry.refused(session, "GET /v1/tokens?user=root", Value::Null, (403, "missing_scope")).await;
    registry.refused("", "GET /v1/tokens", Value::Null, (401, "missing_token")).await;

    let first = registry.send(admin, "GET /v1/users?limit=3", Value::Null).await.body;
    let names = |page: &Value| {
        let names = page["data"].as_array().unwrap().iter().map(|user| text(&user["name"]).to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&first), "ann ben pia");
    let cursor = text(&first["meta"]["page"]["next_cursor"]);
    let rest = registry.send(admin, &format!("GET /v1/users?limit=3&cursor={cursor}"), Value::Null).await.body;
    assert_eq!((names(&rest), &rest["meta"]["page"]["next_cursor"]), ("root".to_owned(), &Value::Null));
    let tokens = registry.send(admin, "GET /v1/tokens?limit=1", Value::Null).await.body;
    let cursor = text(&tokens["meta"]["page"]["next_cursor"]);
    let rest = registry.send(admin, &format!("GET /v1/tokens?limit=1&cursor={cursor}"), Value::Null).await.body;
    assert_eq!([&tokens, &rest].map(|page| text(&page["data"][0]["user"]).to_owned()), ["root", "pia"]);
    assert_eq!(registry.done(admin, "GET /v1/tokens?user=ben", Value::Null).await, json!([]));

    assert_eq!(registry.done(admin, "DELETE /v1/users/pia", Value::Null).await["name"], "pia");
    registry.refused(session, "GET /v1/me", Value::Null, (401, "unknown_token")).await;
    let of_pia = registry.done(admin, "GET /v1/audit?actor=user:pia", Value::Null).await;
    let actions: Vec<String> =
        of_pia.as_array().unwrap().iter().map(|entry| format!("{} {}", entry["action"], entry["outcome"])).collect();
    assert_eq!(actions.join(", ").replace('"', ""), "user.password denied, user.password ok, login ok");
    let actor = text(&of_pia[0]["actor"]);
    assert!(Id::parse(actor.strip_prefix("user:").unwrap()).is_some(), "the name is gone, the id stays: {actor}");
    registry.refused(admin, "GET /v1/audit?actor=pia", Value::Null, (400, "invalid_parameter")).await;
}

//! Users, logins, tokens and the audit (API.md sections 3 and 6), and that no secret of theirs is kept (Show 8).

use serde_json::{Value, json};
use vix_registry::domain::token::TokenText;

use crate::support::personas::{HIDDEN, PUBLIC, world};
use crate::support::secrecy::{self, PASSWORD};
use crate::support::{Answer, Ask, Persona, Server, Setup};

fn server() -> Server {
    let server = Server::start();
    world(&server, true);
    server
}

fn admin() -> String {
    Persona::Admin.token()
}

fn send(server: &Server, method: &str, path: &str, token: &str, body: &Value) -> Answer {
    server.ask(&Ask::json(method, path, body).token(token))
}

fn delete(server: &Server, path: &str, token: &str) -> Answer {
    server.ask(&Ask::new("DELETE", path).token(token))
}

fn text(data: &Value, member: &str) -> String {
    data[member].as_str().unwrap_or_else(|| panic!("no {member} in {data}")).to_owned()
}

/// Makes a token and returns its id and secret.
fn token(server: &Server, by: &str, body: &Value) -> (String, String) {
    let answer = send(server, "POST", "/v1/tokens", by, body).expect(201);
    assert_eq!(answer.header("cache-control"), "no-store");
    let data = answer.data();
    let (id, secret) = (text(&data, "id"), text(&data, "secret"));
    assert_eq!(answer.header("location"), format!("/v1/tokens/{id}"));
    assert!(TokenText::parse(&secret).is_some(), "the form of section 6");
    (id, secret)
}

fn login(server: &Server, name: &str, password: &str) -> Answer {
    send(server, "POST", "/v1/login", "", &json!({"username": name, "password": password}))
}

#[test]
fn people_log_in_change_their_password_and_log_out() {
    let server = server();
    let (first, second) = (format!("{PASSWORD}first-one"), format!("{PASSWORD}second-one"));
    let body = json!({"name": "pia", "password": first, "email": "pia@example.org"});
    let made = send(&server, "POST", "/v1/users", &admin(), &body).expect(201).data();
    assert_eq!((&made["has_password"], &made["admin"]), (&json!(true), &json!(false)));
    let one = login(&server, "pia", &first).expect(200).data();
    assert_eq!((&one["kind"], &one["user"]), (&json!("login"), &json!("pia")));
    assert!(one["expires_at"].is_string());
    let (one, other) = (text(&one, "secret"), text(&login(&server, "pia", &first).expect(200).data(), "secret"));
    assert_eq!(server.get("/v1/me", &one).expect(200).data()["user"]["name"], "pia");
    let change = |token: &str, old: &str, new: &str| {
        send(&server, "PUT", "/v1/me/password", token, &json!({"old": old, "new": new}))
    };
    change(&one, &second, &first).refused(401, "wrong_credentials");
    change(&one, &first, &second).expect(200);
    server.get("/v1/me", &other).refused(401, "revoked_token");
    server.get("/v1/me", &one).expect(200);
    login(&server, "pia", &first).refused(401, "wrong_credentials");
    login(&server, "pia", &second).expect(200);
    delete(&server, "/v1/tokens/current", &one).expect(200);
    server.get("/v1/me", &one).refused(401, "revoked_token");
}

#[test]
fn all_wrong_credentials_are_answered_alike() {
    let server = server();
    let password = format!("{PASSWORD}right-one");
    for name in ["pia", "off"] {
        send(&server, "POST", "/v1/users", &admin(), &json!({"name": name, "password": password})).expect(201);
    }
    send(&server, "PATCH", "/v1/users/off", &admin(), &json!({"disabled": true})).expect(200);
    let wrong = |name: &str, password: &str| {
        let ask = Ask::json("POST", "/v1/login", &json!({"username": name, "password": password}));
        server.ask(&ask.header("x-request-id", "same")).refused(401, "wrong_credentials").text()
    };
    let known = wrong("pia", &format!("{PASSWORD}wrong-one"));
    // `reader` has no password, `nobody` is no user, `Not A Name` can be none.
    for name in ["off", "reader", "nobody", "Not A Name", ""] {
        assert_eq!(wrong(name, &password), known, "{name}");
    }
}

#[test]
fn failed_logins_are_rate_limited() {
    let mut setup = Setup::default();
    setup.policy.login_failures_max = 3;
    let server = Server::with(setup);
    world(&server, false);
    let wrong = format!("{PASSWORD}wrong-one");
    for _ in 0..3 {
        login(&server, "nobody", &wrong).refused(401, "wrong_credentials");
    }
    let limited = login(&server, "nobody", &wrong).refused(429, "rate_limited");
    let seconds: i64 = limited.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
    server.advance_ms(60_001);
    login(&server, "nobody", &wrong).refused(401, "wrong_credentials");
}

#[test]
fn no_token_makes_more_than_itself() {
    let server = server();
    let owner = Persona::Owner.token();
    let body = json!({"name": "ci", "scopes": ["publish"], "packages": ["gk/*"], "expires_at": "2999-01-01T00:00:00Z"});
    let (_, limited) = token(&server, &owner, &body);
    let ask = |by: &str, body: &Value| send(&server, "POST", "/v1/tokens", by, body);
    for wider in [
        json!({"name": "x", "scopes": ["admin"]}),
        json!({"name": "x", "scopes": ["read"], "packages": ["*"]}),
        json!({"name": "x", "scopes": ["read"], "packages": ["others/*"]}),
        json!({"name": "x", "scopes": ["read"], "packages": ["gk/*"], "expires_at": "2999-01-01T00:00:00.001Z"}),
    ] {
        ask(&limited, &wider).refused(403, "exceeds_own_rights");
    }
    ask(&owner, &json!({"name": "x", "scopes": ["admin"]})).refused(403, "exceeds_own_rights");
    ask(&owner, &json!({"name": "x", "scopes": ["read"], "user": "other"})).refused(403, "missing_scope");
    ask(&admin(), &json!({"name": "x", "scopes": ["admin"], "user": "owner"})).refused(403, "exceeds_own_rights");
    // What is left out is what the one that asks has.
    let data = ask(&limited, &json!({"name": "x", "scopes": ["read"]})).expect(201).data();
    assert_eq!((&data["packages"], &data["expires_at"]), (&json!(["gk/*"]), &json!("2999-01-01T00:00:00.000Z")));
    let (_, made) = (text(&data, "id"), text(&data, "secret"));
    server.get(&format!("/v1/packages/{HIDDEN}"), &made).expect(200);
    // Revoking a token revokes those that it made.
    delete(&server, "/v1/tokens/current", &limited).expect(200);
    for dead in [&limited, &made] {
        server.get("/v1/me", dead).refused(401, "revoked_token");
    }
    for (wrong, field) in [
        (json!({"name": "x", "scopes": []}), "scopes"),
        (json!({"name": "x", "scopes": ["write"]}), "scopes[0]"),
        (json!({"name": "", "scopes": ["read"]}), "name"),
        (json!({"name": "x", "scopes": ["read"], "packages": ["gk/jw*"]}), "packages"),
        (json!({"name": "x", "scopes": ["read"], "expires_at": "soon"}), "expires_at"),
        (json!({"name": "x", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z"}), "expires_at"),
    ] {
        let answer = ask(&owner, &wrong).refused(400, "invalid_field");
        let told = text(&answer.json()["error"]["details"][0], "field");
        assert!(told.starts_with(field), "{wrong} {}", answer.text());
    }
}

#[test]
fn rotating_gives_a_new_secret_under_the_same_id() {
    let server = server();
    let (id, first) = token(&server, &Persona::Owner.token(), &json!({"name": "ci", "scopes": ["read"]}));
    let rotate = |by: &str, body: &Value| send(&server, "POST", &format!("/v1/tokens/{id}/rotate"), by, body);
    let data = rotate(&first, &json!({"grace_s": 60})).expect(200).data();
    let second = text(&data, "secret");
    assert_eq!(text(&data, "id"), id);
    for live in [&first, &second] {
        assert_eq!(server.get("/v1/me", live).expect(200).data()["token"]["id"], id.as_str());
    }
    server.advance_ms(60_000);
    server.get("/v1/me", &first).refused(401, "revoked_token");
    let third = text(&rotate(&second, &json!({})).expect(200).data(), "secret");
    server.get("/v1/me", &second).status_in([401]);
    rotate(&third, &json!({"grace_s": 86_401})).refused(400, "invalid_field");
    server.get("/v1/me", &third).expect(200);
}

#[test]
fn tokens_see_what_they_cover_and_the_rest_is_absent() {
    let server = server();
    let owner = Persona::Owner.token();
    let (wide_id, wide) = token(&server, &owner, &json!({"name": "wide", "scopes": ["publish"]}));
    let (narrow_id, narrow) = token(&server, &owner, &json!({"name": "n", "scopes": ["read"], "packages": ["gk/*"]}));
    let names =
        |by: &str| -> Vec<String> { server.pages("/v1/tokens", by).iter().map(|one| text(one, "name")).collect() };
    assert!(names(&wide).contains(&"n".to_owned()));
    assert_eq!(names(&narrow), ["n"]);
    for path in [format!("/v1/tokens/{wide_id}"), format!("/v1/tokens/{}", Persona::Admin.token_id())] {
        server.get(&path, &narrow).refused(404, "token_not_found");
        delete(&server, &path, &narrow).refused(404, "token_not_found");
        send(&server, "POST", &format!("{path}/rotate"), &narrow, &json!({})).refused(404, "token_not_found");
    }
    server.get(&format!("/v1/tokens/{narrow_id}"), &Persona::OtherOwner.token()).refused(404, "token_not_found");
    server.get(&format!("/v1/tokens/{narrow_id}"), &admin()).expect(200);
    assert!(server.pages("/v1/tokens?user=owner", &admin()).len() >= 2);
    server.get("/v1/tokens?user=owner", &Persona::OtherOwner.token()).refused(403, "missing_scope");
}

#[test]
fn disabling_ends_all_tokens_at_once_and_enabling_does_not_revive_them() {
    let server = server();
    let owner = Persona::Owner.token();
    let mut open = server.connect();
    let ask = Ask::get("/v1/me").token(&owner);
    open.ask(&ask).expect(200);
    let patch = |body: &Value| send(&server, "PATCH", "/v1/users/owner", &admin(), body);
    assert_eq!(patch(&json!({"disabled": true})).expect(200).data()["disabled"], true);
    assert_eq!(open.ask(&ask).status, 401);
    patch(&json!({"disabled": false})).expect(200);
    let after = server.get("/v1/me", &owner);
    assert!(after.status == 401 || after.status == 200, "{}", after.text());
}

#[test]
fn the_last_admin_and_the_only_owner_stay() {
    let server = server();
    delete(&server, "/v1/users/root", &admin()).refused(409, "last_admin");
    for body in [json!({"admin": false}), json!({"disabled": true})] {
        send(&server, "PATCH", "/v1/users/root", &admin(), &body).refused(409, "last_admin");
    }
    let refused = delete(&server, "/v1/users/other", &admin()).refused(409, "sole_owner");
    assert!(refused.text().contains("others"), "names what would be orphaned: {}", refused.text());
    // Who owns nothing alone can go; the name is never free again.
    let version = format!("/v1/packages/{PUBLIC}/versions/2.0.0");
    server.put(&version, &Persona::Publisher.token(), "two").expect(201);
    delete(&server, "/v1/users/publisher", &admin()).expect(200);
    server.get("/v1/users/publisher", &admin()).refused(404, "user_not_found");
    assert_eq!(server.get("/v1/me", &Persona::Publisher.token()).status, 401);
    assert_eq!(server.get(&version, "").expect(200).data()["published_by"], Value::Null);
    send(&server, "POST", "/v1/users", &admin(), &json!({"name": "publisher"})).refused(409, "user_exists");
    send(&server, "POST", "/v1/users", &admin(), &json!({"name": "Bad Name"})).refused(400, "invalid_name");
    let short = send(&server, "POST", "/v1/users", &admin(), &json!({"name": "new", "password": "x"}));
    short.refused(400, "invalid_field");
}

#[test]
fn the_audit_tells_who_did_what_and_what_was_refused() {
    let server = server();
    server.put(&format!("/v1/packages/{PUBLIC}/versions/2.0.0"), &Persona::Publisher.token(), "two").expect(201);
    let rows = server.pages("/v1/audit?limit=2", &admin());
    let newest = rows.iter().find(|row| row["action"] == "version.publish").expect("the publish");
    assert_eq!((&newest["actor"], &newest["outcome"]), (&json!("user:publisher"), &json!("ok")));
    assert_eq!((&newest["package"], &newest["version"]), (&json!(PUBLIC), &json!("2.0.0")));
    assert_eq!(
        (&newest["ip"], &newest["token_id"]),
        (&json!("127.0.0.1"), &json!(Persona::Publisher.token_id().to_string()))
    );
    let times: Vec<String> = rows.iter().map(|row| text(row, "time")).collect();
    assert!(times.is_sorted_by(|one, other| one >= other), "newest first");
    let of = |query: &str| server.pages(&format!("/v1/audit?{query}"), &admin());
    assert!(of("actor=user:publisher").iter().all(|row| row["actor"] == "user:publisher"));
    assert!(!of("package=gk/jwt&action=version.publish").is_empty());
    assert!(of("package=gk/nothing").is_empty());
    let path = format!("/v1/packages/{PUBLIC}/versions/3.0.0");
    server.put(&path, &Persona::Reader.token(), "three").expect(403);
    let denied = of("actor=user:reader");
    let denied = denied.first().expect("what was tried and refused");
    assert_eq!((&denied["action"], &denied["outcome"]), (&json!("version.publish"), &json!("denied")));
    assert_eq!((&denied["package"], &denied["version"]), (&json!(PUBLIC), &json!("3.0.0")));
    assert!(of("since=2999-01-01T00:00:00Z").is_empty());
}

#[test]
fn no_secret_is_kept_or_logged() {
    use base64::Engine as _;
    let mut server = server();
    let password = format!("{PASSWORD}of-the-search");
    send(&server, "POST", "/v1/users", &admin(), &json!({"name": "pia", "password": password})).expect(201);
    let secret = text(&login(&server, "pia", &password).expect(200).data(), "secret");
    let (id, made) = token(&server, &secret, &json!({"name": "ci", "scopes": ["publish"]}));
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("any:{made}"));
    secrecy::forbid(&basic);
    server.ask(&Ask::get("/v1/me").header("authorization", &format!("Basic {basic}"))).expect(200);
    send(&server, "POST", &format!("/v1/tokens/{id}/rotate"), &secret, &json!({"grace_s": 9})).expect(200);
    // Secrets where they don't belong are not kept either.
    server.get(&format!("/v1/packages?q={made}"), "").status_in([200, 405]);
    server.get(&format!("/v1/packages?token={made}"), "").status_in([400, 405]);
    server.ask(&Ask::get("/health").header("user-agent", "curl").header("x-request-id", &basic[..20])).expect(200);
    login(&server, &password, &password).refused(401, "wrong_credentials");
    send(&server, "PUT", "/v1/me/password", &secret, &json!({"old": password, "new": "short"}))
        .refused(400, "invalid_field");
    server.restart();
    secrecy::check(server.data());
    assert!(secrecy::lines_seen() > 10, "the log is listened to");
}

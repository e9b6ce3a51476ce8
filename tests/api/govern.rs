//! What becomes of packages, versions, members and namespaces after they were made (API.md sections 2 and 3).

use serde_json::{Value, json};

use crate::support::personas::{HIDDEN, PUBLIC, VERSION, world};
use crate::support::{Answer, Ask, Persona, Server};

fn server() -> Server {
    let server = Server::start();
    world(&server, true);
    server
}

fn send(server: &Server, method: &str, path: &str, by: Persona, body: &Value) -> Answer {
    server.ask(&Ask::json(method, path, body).token(&by.token()))
}

fn delete(server: &Server, path: &str, by: Persona) -> Answer {
    server.ask(&Ask::new("DELETE", path).token(&by.token()))
}

fn version(package: &str) -> String {
    format!("/v1/packages/{package}/versions/{VERSION}")
}

/// How many changes the public log holds.
fn last(server: &Server) -> Value {
    server.get("/v1/changes?after=0&limit=1000", "").expect(200).json()["meta"]["last"].clone()
}

#[test]
fn yanking_withdraws_from_resolution_and_nothing_else() {
    let server = server();
    let patch = |body: &Value| send(&server, "PATCH", &version(PUBLIC), Persona::Publisher, body);
    let data = patch(&json!({"yanked": true, "reason": "broken"})).expect(200).data();
    assert_eq!((&data["yanked"], &data["yank"]["reason"]), (&json!(true), &json!("broken")));
    let resolve = format!("/v1/packages/{PUBLIC}/resolve?req=%5E1");
    server.get(&resolve, "").refused(404, "no_matching_version");
    server.get(&format!("/v1/packages/{PUBLIC}/versions/latest"), "").refused(404, "no_matching_version");
    assert_eq!(server.get(&format!("{resolve}&include_yanked"), "").expect(200).data()["yanked"], true);
    assert_eq!(server.get(&format!("/v1/packages/{PUBLIC}/versions"), "").expect(200).data(), json!([]));
    let all = server.get(&format!("/v1/packages/{PUBLIC}/versions?include_yanked=true"), "").expect(200).data();
    assert_eq!(all[0]["yanked"], true);
    server.get(&format!("{}/artifact", version(PUBLIC)), "").expect(200);
    assert_eq!(server.get(&format!("/v1/packages/{PUBLIC}"), "").expect(200).data()["latest"], Value::Null);
    // Repeating is 200 and no new event.
    let before = last(&server);
    patch(&json!({"yanked": true, "reason": "broken"})).expect(200);
    patch(&json!({})).status_in(200..500);
    assert_eq!(last(&server), before);
    let data = patch(&json!({"yanked": false})).expect(200).data();
    assert_eq!((&data["yanked"], &data["yank"]), (&json!(false), &Value::Null));
    server.get(&resolve, "").expect(200);
    assert_ne!(last(&server), before);
    let publish = server.put(&version(PUBLIC), &Persona::Owner.token(), crate::support::personas::world_bytes(PUBLIC));
    assert_eq!(publish.expect(200).data()["created"], false);
}

#[test]
fn deprecation_stands_beside_a_version_and_null_clears_it() {
    let server = server();
    let patch = |path: &str, by: Persona, body: &Value| send(&server, "PATCH", path, by, body);
    let body = json!({"deprecated": {"message": "use the other", "replaced_by": "gk/jwt2"}});
    let data = patch(&version(PUBLIC), Persona::Publisher, &body).expect(200).data();
    assert_eq!(data["deprecated"], json!({"message": "use the other", "replaced_by": "gk/jwt2"}));
    server.get(&format!("/v1/packages/{PUBLIC}/resolve?req=*"), "").expect(200);
    let cleared = patch(&version(PUBLIC), Persona::Publisher, &json!({"deprecated": null})).expect(200).data();
    assert_eq!(cleared["deprecated"], Value::Null);
    let package = format!("/v1/packages/{PUBLIC}");
    patch(&package, Persona::Publisher, &body).refused(403, "missing_role");
    assert_eq!(patch(&package, Persona::Owner, &body).expect(200).data()["deprecated"]["message"], "use the other");
    for (wrong, reason) in [
        (json!({"deprecated": {"message": ""}}), "invalid_field"),
        (json!({"deprecated": {}}), "missing_field"),
        (json!({"deprecated": {"message": "a".repeat(513)}}), "invalid_field"),
        (json!({"deprecated": {"message": "a", "replaced_by": "NO"}}), "invalid_name"),
        (json!({"deprecated": "yes"}), "invalid_field"),
        (json!({"yanked": null}), "invalid_field"),
        (json!({"yanked": true, "reason": "a".repeat(513)}), "invalid_field"),
        (json!({"nope": 1}), "unknown_field"),
    ] {
        patch(&version(PUBLIC), Persona::Publisher, &wrong).refused(400, reason);
    }
    assert_eq!(server.get(&version(PUBLIC), "").expect(200).data()["deprecated"], Value::Null);
}

#[test]
fn a_purged_version_is_gone_for_good() {
    let mut server = server();
    let path = version(PUBLIC);
    delete(&server, &format!("{path}?reason=secret%20inside"), Persona::Owner).refused(403, "missing_scope");
    delete(&server, &format!("{path}?reason=leak"), Persona::Admin).expect(200);
    for _ in 0..2 {
        server.get(&path, "").refused(410, "purged");
        server.get(&format!("{path}/artifact"), "").refused(410, "purged");
        assert_eq!(server.get("/v1/packages/gk/jwt/versions?include_yanked", "").expect(200).data(), json!([]));
        assert_eq!(server.get("/v1/index/gk/jwt", "").expect(200).body, b"");
        let again = server.put(&path, &Persona::Owner.token(), crate::support::personas::world_bytes(PUBLIC));
        assert!(
            [(409, "version_purged"), (410, "purged")].contains(&(again.status, again.reason().as_str())),
            "{}",
            again.text()
        );
        let other = server.put(&format!("{path}+b"), &Persona::Owner.token(), "other");
        assert!([409, 410].contains(&other.status), "{}", other.text());
        server.restart();
    }
    // To whom it was hidden it is absent as before.
    delete(&server, &format!("{}?reason=x", version(HIDDEN)), Persona::Admin).expect(200);
    server.get(&version(HIDDEN), "").refused(404, "package_not_found");
    server.get(&version(HIDDEN), &Persona::Reader.token()).refused(410, "purged");
}

#[test]
fn packages_are_made_changed_and_deleted_while_they_are_empty() {
    let server = server();
    let body = json!({"name": "gk/new", "visibility": "private", "description": "d", "keywords": ["k"]});
    let made = send(&server, "POST", "/v1/packages", Persona::Owner, &body).expect(201);
    assert_eq!(made.header("location"), "/v1/packages/gk/new");
    let data = made.data();
    assert_eq!(
        (&data["owners"], &data["version_count"], &data["latest"]),
        (&json!(["user:owner"]), &json!(0), &Value::Null)
    );
    send(&server, "POST", "/v1/packages", Persona::Owner, &body).refused(409, "package_exists");
    send(&server, "POST", "/v1/packages", Persona::OtherOwner, &body).refused(403, "not_namespace_member");
    let path = "/v1/packages/gk/new";
    server.get(path, "").refused(404, "package_not_found");
    let patch = |body: &Value| send(&server, "PATCH", path, Persona::Owner, body);
    assert_eq!(
        patch(&json!({"visibility": "public", "description": null})).expect(200).data()["description"],
        Value::Null
    );
    let read = server.get(path, "").expect(200);
    let stale = Ask::json("PATCH", path, &json!({"license": "MIT"})).token(&Persona::Owner.token());
    server.ask(&stale.clone().header("if-match", "\"x\"")).refused(412, "etag_mismatch");
    server.ask(&stale.header("if-match", read.header("etag"))).expect(200);
    patch(&json!({"name": "gk/other"})).refused(400, "unknown_field");
    patch(&json!({"visibility": null})).refused(400, "invalid_field");
    delete(&server, path, Persona::Publisher).refused(403, "missing_role");
    delete(&server, path, Persona::Owner).expect(200);
    server.get(path, &Persona::Owner.token()).refused(404, "package_not_found");
    delete(&server, &format!("/v1/packages/{PUBLIC}"), Persona::Owner).refused(409, "not_empty");
    send(&server, "POST", "/v1/packages", Persona::Owner, &json!({"name": "x", "visibility": "private"}))
        .refused(400, "private_needs_namespace");
}

#[test]
fn a_purged_package_answers_410_and_to_strangers_what_it_did_before() {
    let server = server();
    for package in [PUBLIC, HIDDEN] {
        let path = format!("/v1/packages/{package}");
        delete(&server, &format!("{path}?purge=true&reason=x"), Persona::Owner).status_in([400, 403]);
        delete(&server, &format!("{path}?purge=true&reason=x"), Persona::Admin).expect(200);
        server.get(&path, &Persona::Owner.token()).refused(410, "purged");
        server.get(&format!("{path}/versions"), &Persona::Owner.token()).refused(410, "purged");
        let create = format!("{path}/versions/9.0.0?create");
        let again = server.put(&create, &Persona::Owner.token(), "again");
        assert!([409, 410].contains(&again.status), "{}", again.text());
    }
    server.get("/v1/packages/gk/jwt", "").refused(410, "purged");
    server.get("/v1/packages/gk/hidden", "").refused(404, "package_not_found");
}

#[test]
fn hiding_a_package_hides_it_at_once_and_showing_it_announces_it_again() {
    let server = server();
    let path = format!("/v1/packages/{PUBLIC}");
    let before = last(&server);
    send(&server, "PATCH", &path, Persona::Owner, &json!({"visibility": "private"})).expect(200);
    for tail in ["", "/versions", "/versions/1.0.0", "/versions/1.0.0/artifact", "/resolve", "/members"] {
        server.get(&format!("{path}{tail}"), "").refused(404, "package_not_found");
    }
    server.get(&path, &Persona::Reader.token()).expect(200);
    let since = |after: &Value| -> Vec<String> {
        let changes = server.get(&format!("/v1/changes?after={after}"), "").expect(200).data();
        changes.as_array().expect("a list").iter().filter_map(|one| one["type"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(since(&before), ["package.hidden"]);
    let hidden = last(&server);
    send(&server, "PATCH", &path, Persona::Owner, &json!({"visibility": "public"})).expect(200);
    let announced = since(&hidden);
    for kind in ["package.created", "version.published"] {
        assert!(announced.iter().any(|known| known == kind), "{announced:?}");
    }
    server.get(&format!("{path}/versions/1.0.0/artifact"), "").expect(200);
}

#[test]
fn members_are_given_roles_and_leave_but_the_last_owner_stays() {
    let server = server();
    let members = format!("/v1/packages/{HIDDEN}/members");
    let put = |by: Persona, user: &str, role: &str| {
        send(&server, "PUT", &format!("{members}/user:{user}"), by, &json!({"role": role}))
    };
    put(Persona::Publisher, "other", "reader").refused(403, "missing_role");
    put(Persona::Owner, "nobody", "reader").refused(404, "user_not_found");
    put(Persona::Owner, "other", "king").refused(400, "invalid_field");
    server.get(&members, &Persona::OtherOwner.token()).refused(404, "package_not_found");
    let one = put(Persona::Owner, "other", "reader");
    one.status_in([200, 201]);
    assert_eq!((&one.data()["role"], &one.data()["inherited"]), (&json!("reader"), &json!(false)));
    server.get(&version(HIDDEN), &Persona::OtherOwner.token()).expect(200);
    // Callers with a role see all; a member may leave.
    let listed = server.pages(&members, &Persona::OtherOwner.token());
    let principals: Vec<&str> = listed.iter().filter_map(|one| one["principal"].as_str()).collect();
    for user in ["user:owner", "user:other", "user:reader", "user:nspub"] {
        assert!(principals.contains(&user), "{principals:?}");
    }
    delete(&server, &format!("{members}/user:reader"), Persona::OtherOwner).refused(403, "missing_role");
    delete(&server, &format!("{members}/user:other"), Persona::OtherOwner).expect(200);
    server.get(&version(HIDDEN), &Persona::OtherOwner.token()).refused(404, "package_not_found");
    // Callers without a role see the owners alone.
    let of_public = server.pages(&format!("/v1/packages/{PUBLIC}/members"), "");
    assert!(of_public.iter().all(|one| one["role"] == "owner") && !of_public.is_empty(), "{of_public:?}");
    // The only owner of a package of `others` stays.
    let alone = "/v1/packages/others/lib/members/user:other";
    delete(&server, alone, Persona::OtherOwner).refused(409, "last_owner");
    send(&server, "PUT", alone, Persona::OtherOwner, &json!({"role": "reader"})).refused(409, "last_owner");
    send(&server, "PUT", "/v1/packages/others/lib/members/user:owner", Persona::OtherOwner, &json!({"role": "owner"}));
    delete(&server, alone, Persona::OtherOwner).expect(200);
}

#[test]
fn namespaces_are_claimed_governed_and_never_change_hands_by_accident() {
    let server = server();
    let claim = |by: Persona, name: &str| send(&server, "POST", "/v1/namespaces", by, &json!({"name": name}));
    let made = claim(Persona::OtherOwner, "fresh").expect(201);
    assert_eq!(made.header("location"), "/v1/namespaces/fresh");
    claim(Persona::Owner, "fresh").refused(409, "namespace_taken");
    claim(Persona::Owner, "packages").refused(400, "invalid_name");
    claim(Persona::ForeignPattern, "other-one").refused(403, "token_packages");
    let path = "/v1/namespaces/fresh";
    let patch = |by: Persona| send(&server, "PATCH", path, by, &json!({"default_visibility": "private"}));
    patch(Persona::Owner).refused(403, "missing_role");
    patch(Persona::OtherOwner).expect(200);
    let put = server.put("/v1/packages/fresh/one/versions/1.0.0?create", &Persona::OtherOwner.token(), "x");
    put.expect(201);
    server.get("/v1/packages/fresh/one", "").refused(404, "package_not_found");
    delete(&server, path, Persona::OtherOwner).refused(409, "not_empty");
    claim(Persona::OtherOwner, "empty").expect(201);
    delete(&server, "/v1/namespaces/empty", Persona::Owner).refused(403, "missing_role");
    delete(&server, "/v1/namespaces/empty", Persona::OtherOwner).expect(200);
    server.get("/v1/namespaces/empty", "").refused(404, "namespace_not_found");
    claim(Persona::Owner, "empty").expect(201);
    let members = "/v1/namespaces/gk/members/user:owner";
    delete(&server, members, Persona::Owner).refused(409, "last_owner");
}

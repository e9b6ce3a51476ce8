//! Every row of the table × every persona × public, hidden and absent things, generated (issue: Show 3).
//!
//! What is expected is worked out here from the contract's words alone (API.md sections 1 and 3), not by asking the
//! code under test. A new row is denied by default: a write on a package or namespace has to be named in [`role_for`].

use serde_json::json;
use vix_registry::domain::change::{Change, Setting};
use vix_registry::domain::package::Role;
use vix_registry::domain::token::Scope;
use vix_registry::http::matching::Verb;
use vix_registry::http::routes::row::BodyKind;
use vix_registry::http::routes::{Access, ROUTES, Route};

use crate::support::personas::{HIDDEN, OTHERS, PUBLIC, VERSION, world};
use crate::support::{Answer, Ask, Persona, Server, Setup};

/// What a place of the path names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    Public,
    Hidden,
    Absent,
}

impl Target {
    const ALL: [Self; 3] = [Self::Public, Self::Hidden, Self::Absent];

    fn package(self) -> &'static str {
        match self {
            Self::Public => PUBLIC,
            Self::Hidden => HIDDEN,
            Self::Absent => "gk/absent",
        }
    }
}

/// What is to come of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    /// This status and reason.
    Refused(u16, &'static str),
    /// Anything but a refusal for who asks.
    Admitted,
}

/// The role that a write needs on the package or namespace in its path (API.md section 3).
fn role_for(route: &Route) -> Option<Role> {
    let tail =
        route.pattern.strip_prefix("/v1/packages/{pkg}").or(route.pattern.strip_prefix("/v1/namespaces/{ns}"))?;
    match (route.verb, tail) {
        (Verb::Post, "/versions") | (Verb::Put | Verb::Patch, "/versions/{version}") => Some(Role::Publisher),
        (Verb::Patch | Verb::Delete, "") | (Verb::Put | Verb::Delete, "/members/{principal}") => Some(Role::Owner),
        // Of a purge the scope `admin` alone decides.
        (Verb::Delete, "/versions/{version}") | (Verb::Get, _) => None,
        (verb, _) => panic!("{verb:?} {} is new: say what role it needs", route.pattern),
    }
}

fn has(persona: Persona, scope: Scope) -> bool {
    persona.scope().is_some_and(|own| own >= scope)
}

/// The rules of sections 1 and 3, in the order of refusals.
fn expected(route: &Route, persona: Persona, target: Target) -> Expected {
    use Expected::{Admitted, Refused};
    let has_package = route.pattern.contains("{pkg}");
    let has_namespace = route.pattern.contains("{ns}");
    if route.access == Access::Open {
        return Admitted;
    }
    if let Some(reason) = persona.dead() {
        return Refused(401, reason);
    }
    if persona == Persona::Anonymous && route.access != Access::Read {
        return Refused(401, "missing_token");
    }
    let scope = match route.access {
        Access::Open | Access::AnyToken | Access::Read => Scope::Read,
        Access::Publish => Scope::Publish,
        Access::Admin | Access::InstanceAdmin => Scope::Admin,
    };
    if persona != Persona::Anonymous && !has(persona, scope) {
        return Refused(403, "missing_scope");
    }
    let is_foreign = persona == Persona::ForeignPattern;
    let is_limited = match route.access {
        Access::Publish | Access::Admin => has_package || has_namespace,
        Access::InstanceAdmin => true,
        Access::Open | Access::AnyToken | Access::Read => false,
    };
    if is_foreign && is_limited {
        return Refused(403, "token_packages");
    }
    let is_admin = persona == Persona::Admin;
    if has_package {
        let may_see = match target {
            Target::Public => true,
            Target::Hidden => is_admin || (persona.role().is_some() && !is_foreign),
            Target::Absent => false,
        };
        if !may_see {
            return Refused(404, "package_not_found");
        }
    }
    let role = if has_package { persona.role() } else { persona.namespace_role() };
    match role_for(route) {
        Some(needed) if !is_admin && role < Some(needed) => Refused(403, "missing_role"),
        Some(_) | None => Admitted,
    }
}

/// A request of the route about the target. Its body is one that no route takes, so that nothing changes.
fn ask(route: &Route, target: Target) -> Ask {
    let path = route
        .pattern
        .replace("{pkg}", target.package())
        .replace("{version}", VERSION)
        .replace("{ns}", "gk")
        .replace("{principal}", "user:nobody")
        .replace("{name}", "nobody")
        .replace("{token}", "01JDQK0000000000000000000A")
        .replace("{id}", "01JDQK0000000000000000000A")
        .replace("{sha256}", &"0".repeat(64))
        .replace("{filename}", "x.bin");
    assert!(!path.contains('{'), "{path}: a new place; say what stands there");
    // Nothing else keeps a write of an admitted caller from being done.
    let ask = Ask::new(route.verb.as_str(), &path);
    match route.body {
        BodyKind::None => ask,
        BodyKind::Json(_) | BodyKind::MultipartOrJson { .. } => {
            ask.header("content-type", "application/json").body(r#"{"no such field":1}"#)
        }
        BodyKind::Bytes => ask.body(""),
    }
}

#[track_caller]
fn check(route: &Route, persona: Persona, target: Target, answer: &Answer) {
    let told = format!(
        "{persona:?} {} {} {target:?}: {} {}",
        route.verb.as_str(),
        route.pattern,
        answer.status,
        answer.text()
    );
    match expected(route, persona, target) {
        Expected::Refused(status, reason) => {
            assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{told}");
        }
        Expected::Admitted => {
            assert!(![401, 403].contains(&answer.status) || answer.reason() == "wrong_credentials", "{told}");
            assert_ne!(answer.reason(), "package_not_found", "{told}");
            assert_ne!(answer.reason(), "no_such_route", "{told}");
        }
    }
}

fn targets(route: &Route) -> &'static [Target] {
    if route.pattern.contains("{pkg}") { &Target::ALL } else { &[Target::Public] }
}

#[test]
fn every_route_admits_exactly_whom_the_contract_admits() {
    let server = Server::start();
    world(&server, true);
    let mut client = server.connect();
    for route in ROUTES {
        for persona in Persona::ALL {
            for target in targets(route) {
                // A removal that is admitted is done: it gets a world of its own below.
                if route.verb == Verb::Delete && expected(route, persona, *target) == Expected::Admitted {
                    continue;
                }
                let answer = client.ask(&ask(route, *target).token(&persona.token()));
                check(route, persona, *target, &answer);
                if answer.header("connection") == "close" {
                    client = server.connect();
                }
            }
        }
    }
}

#[test]
fn removals_are_done_for_those_whom_the_contract_admits() {
    for route in ROUTES.iter().filter(|route| route.verb == Verb::Delete) {
        for persona in Persona::ALL {
            for target in targets(route) {
                if expected(route, persona, *target) != Expected::Admitted {
                    continue;
                }
                let server = Server::start();
                world(&server, true);
                let answer = server.ask(&ask(route, *target).token(&persona.token()));
                check(route, persona, *target, &answer);
            }
        }
    }
}

/// Two registries that differ in nothing but that one has `gk/hidden`.
fn twins() -> [Server; 2] {
    let setup = || Setup { time: Some(vix_registry::domain::time::Timestamp(1_700_000_000_000)), ..Setup::default() };
    [true, false].map(|with_hidden| {
        let server = Server::with(setup());
        world(&server, with_hidden);
        // The id of a registry's history is drawn at its making.
        let id = vix_registry::domain::id::Id(7).to_bytes().to_vec();
        server.seed(vec![Change::PutSetting { key: Setting::History, value: Some(id) }]);
        server
    })
}

/// Everything that came back but the date; the id was given.
fn bytes_of(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
    (answer.status, headers, answer.text())
}

/// Those who must not come to know of `gk/hidden`.
const STRANGERS: [Persona; 7] = [
    Persona::Anonymous,
    Persona::OtherOwner,
    Persona::Expired,
    Persona::Revoked,
    Persona::Disabled,
    Persona::AdminReadOnly,
    Persona::ForeignPattern,
];

#[track_caller]
fn check_same(twins: &[Server; 2], ask: &Ask) {
    let answers = twins.each_ref().map(|server| bytes_of(&server.ask(&ask.clone().header("x-request-id", "same"))));
    assert_eq!(answers[0], answers[1], "{ask:?}");
}

#[test]
fn what_is_hidden_answers_as_if_it_were_absent_byte_for_byte() {
    let twins = twins();
    for persona in STRANGERS {
        for route in ROUTES {
            // What the process itself measures differs between any two: free space, serials of the internal log.
            if route.pattern.starts_with("/v1/admin") || route.pattern == "/readyz" {
                continue;
            }
            let ask = ask(route, Target::Hidden).token(&persona.token());
            check_same(&twins, &ask);
            if route.verb == Verb::Get {
                check_same(&twins, &Ask { method: "HEAD".to_owned(), ..ask.clone() });
                check_same(&twins, &ask.clone().header("if-none-match", "*"));
                check_same(&twins, &ask.clone().header("range", "bytes=0-0"));
            } else {
                check_same(&twins, &ask.clone().header("if-match", "\"x\""));
                check_same(&twins, &ask.clone().header("if-none-match", "*"));
            }
        }
    }
}

#[test]
fn whole_requests_about_what_is_hidden_answer_as_if_it_were_absent() {
    let twins = twins();
    let package = format!("/v1/packages/{HIDDEN}");
    let version = format!("{package}/versions/{VERSION}");
    for persona in STRANGERS {
        let same = |ask: Ask| check_same(&twins, &ask.token(&persona.token()));
        let exists = |pattern: &str| ROUTES.iter().any(|route| route.pattern == pattern);
        for query in ["", "?create", "?create&visibility=private", "?create&dry_run", "?dry_run", "?nope"] {
            same(Ask::put(&format!("{version}{query}"), "bytes"));
            same(Ask::put(&format!("{version}{query}"), crate::support::personas::world_bytes(HIDDEN)));
            same(Ask::json("POST", &format!("{package}/versions{query}"), &json!({"version": VERSION})));
        }
        same(Ask::json("PATCH", &version, &json!({"yanked": true})));
        same(Ask::json("PATCH", &package, &json!({"visibility": "public"})));
        same(Ask::json("PUT", &format!("{package}/members/user:other"), &json!({"role": "owner"})));
        same(Ask::new("DELETE", &format!("{package}/members/user:owner")));
        same(Ask::new("DELETE", &format!("{version}?reason=x")));
        same(Ask::new("DELETE", &package));
        same(Ask::new("DELETE", &format!("{package}?purge=true&reason=x")));
        for tail in
            ["", "/versions?req=*&include_yanked", "/resolve?req=*", "/dependents", "/members", "/versions/latest"]
        {
            same(Ask::get(&format!("{package}{tail}")));
        }
        let digest = vix_registry::domain::digest::Sha256::of(&crate::support::personas::world_bytes(HIDDEN));
        same(Ask::get(&format!("/v1/blobs/{digest}")));
        for list in
            ["/v1/packages", "/v1/packages?namespace=gk", "/v1/packages?q=hidden", "/v1/packages?owner=user:owner"]
        {
            same(Ask::get(list));
        }
        for list in ["/v1/namespaces", "/v1/namespaces/gk", "/v1/namespaces/gk/members", "/v1/changes?after=0"] {
            same(Ask::get(list));
        }
        if exists("/v1/resolve") {
            same(Ask::json("POST", "/v1/resolve", &json!({"roots": {HIDDEN: "*"}})));
            same(Ask::json("POST", "/v1/resolve", &json!({"roots": {OTHERS: "*", HIDDEN: "^1"}})));
        }
    }
}

#[test]
fn who_may_see_what_is_hidden_sees_it() {
    let server = Server::start();
    world(&server, true);
    for persona in [Persona::Reader, Persona::Publisher, Persona::Owner, Persona::Admin, Persona::NamespacePublisher] {
        for tail in ["versions", "versions/1.0.0", "versions/1.0.0/artifact", "versions/latest"] {
            let answer = server.get(&format!("/v1/packages/{HIDDEN}/{tail}"), &persona.token()).expect(200);
            assert!(!answer.header("cache-control").contains("public"), "{persona:?} {tail}");
        }
    }
}

#[test]
fn basic_carries_a_token_as_the_password_and_nothing_else_proves_anybody() {
    use base64::Engine as _;
    let server = Server::start();
    world(&server, true);
    let path = format!("/v1/packages/{HIDDEN}/versions");
    let ask = |value: &str| server.ask(&Ask::get(&path).header("authorization", value));
    let basic = |pair: String| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let token = Persona::Reader.token();
    for good in [basic(format!("anybody:{token}")), basic(format!(":{token}")), format!("bearer {token}")] {
        ask(&good).expect(200);
    }
    let wrong_check = format!("{}x", &token[..token.len() - 1]);
    let other = vix_registry::domain::token::TokenText::from_random(&[99; 32]);
    ask(&format!("Bearer {}", other.reveal())).refused(401, "unknown_token");
    ask(&format!("Bearer {wrong_check}")).refused(401, "malformed_token");
    ask(&basic(format!("{token}:"))).refused(401, "malformed_token");
    ask("Bearer").refused(401, "malformed_token");
    ask("Basic !!!").refused(401, "malformed_token");
    ask(&format!("Digest {token}")).refused(401, "unsupported_scheme");
    ask(&token).refused(401, "unsupported_scheme");
    // Also on what anybody may read: never a silent fall back to anonymous.
    let public = format!("/v1/packages/{PUBLIC}/versions");
    server.ask(&Ask::get(&public).header("authorization", "Bearer x")).refused(401, "malformed_token");
    let twice = Ask::get(&path).token(&token).token(&token);
    assert_eq!(server.ask(&twice).status, 401);
    // A token in the query is a parameter that no route knows.
    server.get(&format!("{path}?token={token}"), "").refused(400, "unknown_parameter");
}

#[test]
fn a_token_that_ends_stops_at_the_next_request_on_an_open_connection() {
    let server = Server::start();
    world(&server, true);
    let mut client = server.connect();
    let ask = Ask::get(&format!("/v1/packages/{HIDDEN}/versions")).token(&Persona::Reader.token());
    client.ask(&ask).expect(200);
    server.revoke(Persona::Reader);
    client.ask(&ask).refused(401, "revoked_token");
}

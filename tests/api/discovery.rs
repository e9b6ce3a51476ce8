//! Finding packages: lists, search, closures, dependents and the change feed (API.md sections 3 and 8).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use vix_registry::http::app::HttpLimits;

use crate::support::personas::{HIDDEN, PUBLIC, people, world};
use crate::support::{Answer, Ask, Persona, Server, Setup};

fn publish(server: &Server, package: &str, version: &str, dependencies: &[(&str, &str)]) {
    let dependencies: Vec<Value> = dependencies.iter().map(|(name, req)| json!({"name": name, "req": req})).collect();
    let metadata = json!({"version": version, "dependencies": dependencies, "description": format!("about {package}")});
    let path = format!("/v1/packages/{package}/versions?create");
    let bytes = format!("{package} {version}");
    server.ask(&Ask::multipart(&path, &metadata, bytes.as_bytes()).token(&Persona::Owner.token())).expect(201);
}

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter().filter_map(|row| row["name"].as_str()).collect()
}

fn resolve(server: &Server, body: &Value, by: Persona) -> Answer {
    server.ask(&Ask::json("POST", "/v1/resolve", body).token(&by.token()))
}

#[test]
fn lists_hold_only_what_the_caller_may_read() {
    let server = Server::start();
    world(&server, true);
    let list = |query: &str, by: Persona| server.pages(&format!("/v1/packages?{query}"), &by.token());
    assert_eq!(names(&list("", Persona::Anonymous)), [PUBLIC, "others/lib"]);
    assert_eq!(names(&list("", Persona::Reader)), [HIDDEN, PUBLIC, "others/lib"]);
    assert_eq!(names(&list("namespace=gk", Persona::OtherOwner)), [PUBLIC]);
    assert_eq!(names(&list("namespace=gk", Persona::ForeignPattern)), [PUBLIC]);
    assert_eq!(names(&list("owner=user:owner", Persona::Owner)), [HIDDEN, PUBLIC]);
    assert_eq!(names(&list("owner=user:owner", Persona::Anonymous)), [PUBLIC]);
    assert_eq!(names(&list("q=hidden", Persona::Anonymous)), [""; 0]);
    assert_eq!(names(&list("q=hidden", Persona::Admin)), [HIDDEN]);
    assert_eq!(names(&list("q=jwt&limit=1", Persona::Admin)), [PUBLIC]);
    for query in ["sort=nonsense", "owner=pia", "namespace=NO", "q=x&q=y"] {
        assert_eq!(server.get(&format!("/v1/packages?{query}"), "").status, 400, "{query}");
    }
}

#[test]
fn pages_of_packages_come_whole_in_every_order() {
    let server = Server::start();
    people(&server);
    for at in 0..23 {
        publish(&server, &format!("gk/p{at:02}"), "1.0.0", &[]);
    }
    for sort in ["name", "updated", "downloads", "relevance"] {
        let query = if sort == "relevance" { "q=about&" } else { "" };
        let rows = server.pages(&format!("/v1/packages?{query}sort={sort}&limit=5"), "");
        let mut found = names(&rows);
        found.sort_unstable();
        let expected: Vec<String> = (0..23).map(|at| format!("gk/p{at:02}")).collect();
        assert_eq!(found, expected, "{sort}");
    }
    let first = server.get("/v1/packages?limit=5", "").expect(200).json();
    let cursor = first["meta"]["page"]["next_cursor"].as_str().expect("a cursor").to_owned();
    server.get(&format!("/v1/packages?sort=updated&cursor={cursor}"), "").refused(400, "invalid_cursor");
}

#[test]
fn a_closure_is_pinned_whole_or_explained() {
    let server = Server::start();
    people(&server);
    publish(&server, "gk/sha", "1.0.0", &[]);
    publish(&server, "gk/sha", "2.0.0", &[]);
    publish(&server, "gk/hmac", "1.0.0", &[("gk/sha", "^1")]);
    publish(&server, "gk/hmac", "1.1.0", &[("gk/sha", "^2")]);
    publish(&server, "gk/jwt", "1.0.0", &[("gk/hmac", "^1"), ("gk/sha", "^1")]);
    let data = resolve(&server, &json!({"roots": {"gk/jwt": "*"}}), Persona::Anonymous).expect(200).data();
    assert_eq!(data["roots"], json!({"gk/jwt": "1.0.0"}));
    let packages = data["packages"].as_array().expect("a list");
    let pinned: Vec<String> =
        packages.iter().map(|one| format!("{} {}", one["name"], one["version"]).replace('"', "")).collect();
    assert_eq!(pinned, ["gk/hmac 1.0.0", "gk/jwt 1.0.0", "gk/sha 1.0.0"]);
    for one in packages {
        let bytes = server.get(one["url"].as_str().expect("a url"), "").expect(200).body;
        assert_eq!(one["sha256"], vix_registry::domain::digest::Sha256::of(&bytes).to_string());
        let members: Vec<&String> = one.as_object().expect("an object").keys().collect();
        assert_eq!(members, ["name", "version", "sha256", "size", "filename", "url", "yanked", "dependencies"]);
    }
    let refused = resolve(&server, &json!({"roots": {"gk/jwt": "*", "gk/sha": "^2"}}), Persona::Anonymous);
    let refused = refused.refused(409, "unresolvable");
    let message = refused.json()["error"]["message"].as_str().expect("a text").to_owned();
    assert!(message.contains("gk/sha") && message.contains("gk/jwt"), "{message}");
    resolve(&server, &json!({"roots": {"gk/nothing": "*"}}), Persona::Anonymous).refused(409, "unresolvable");
    // Locked versions stay, also when they were yanked since.
    let yank = Ask::json("PATCH", "/v1/packages/gk/hmac/versions/1.0.0", &json!({"yanked": true}));
    server.ask(&yank.token(&Persona::Owner.token())).expect(200);
    resolve(&server, &json!({"roots": {"gk/jwt": "*"}}), Persona::Anonymous).refused(409, "unresolvable");
    let locked = json!({"roots": {"gk/jwt": "*"}, "locked": {"gk/hmac": "1.0.0"}});
    let data = resolve(&server, &locked, Persona::Anonymous).expect(200).data();
    assert_eq!((&data["packages"][0]["version"], &data["packages"][0]["yanked"]), (&json!("1.0.0"), &json!(true)));
    for (wrong, reason) in [
        (json!({}), "missing_field"),
        (json!({"roots": {"gk/jwt": "^^"}}), "invalid_requirement"),
        (json!({"roots": {"NO": "*"}}), "invalid_name"),
        (json!({"roots": {"gk/jwt": "*"}, "locked": {"gk/jwt": "1"}}), "invalid_semver"),
        (json!({"roots": {"gk/jwt": "*"}, "more": 1}), "unknown_field"),
    ] {
        resolve(&server, &wrong, Persona::Anonymous).refused(400, reason);
    }
}

#[test]
fn dependents_are_those_whose_latest_names_the_package() {
    let server = Server::start();
    world(&server, true);
    publish(&server, "gk/a", "1.0.0", &[(PUBLIC, "^1")]);
    publish(&server, "gk/b", "1.0.0", &[(PUBLIC, "^1")]);
    publish(&server, "gk/b", "2.0.0", &[]);
    let owner = Persona::Owner.token();
    let metadata = json!({"version": "2.0.0", "dependencies": [{"name": PUBLIC, "req": "*"}]});
    server.ask(&Ask::multipart(&format!("/v1/packages/{HIDDEN}/versions"), &metadata, b"x").token(&owner)).expect(201);
    let of = |token: &str| -> Vec<String> {
        let rows = server.pages(&format!("/v1/packages/{PUBLIC}/dependents"), token);
        names(&rows).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(of(""), ["gk/a"]);
    assert_eq!(of(&owner), ["gk/a", HIDDEN]);
    let yank = Ask::json("PATCH", "/v1/packages/gk/a/versions/1.0.0", &json!({"yanked": true})).token(&owner);
    server.ask(&yank).expect(200);
    assert_eq!(of(""), [""; 0]);
}

#[test]
fn changes_are_ordered_without_gaps_and_can_be_waited_for() {
    let server = Server::start();
    world(&server, true);
    let changes = |query: &str, token: &str| server.get(&format!("/v1/changes?{query}"), token).expect(200).json();
    let all = changes("after=0&limit=1000", "");
    let rows = all["data"].as_array().expect("a list");
    let serials: Vec<u64> = rows.iter().filter_map(|row| row["serial"].as_u64()).collect();
    assert_eq!(serials, (1..=serials.len() as u64).collect::<Vec<_>>());
    assert_eq!(all["meta"]["last"], serials.len());
    assert!(!all.to_string().contains("hidden"), "{all}");
    let end = &all["meta"]["last"];
    assert_eq!(changes(&format!("after={end}"), "")["data"], json!([]));
    // In pieces it is the same.
    let mut pieces = Vec::new();
    let mut after = json!(0);
    loop {
        let page = changes(&format!("after={after}&limit=2"), "");
        let found = page["data"].as_array().expect("a list").clone();
        if found.is_empty() {
            break;
        }
        pieces.extend(found);
        after = page["meta"]["last"].clone();
    }
    assert_eq!(&pieces, rows);
    // The internal log needs a token and shows what its holder may read.
    server.get("/v1/changes?log=internal", "").refused(401, "missing_token");
    let internal = |persona: Persona| changes("log=internal", &persona.token());
    assert!(internal(Persona::Reader).to_string().contains(HIDDEN));
    let strange = internal(Persona::OtherOwner);
    assert!(!strange.to_string().contains(HIDDEN), "{strange}");
    // Whoever waits is told of the next one.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| changes(&format!("after={end}&wait=30"), ""));
        publish(&server, "gk/next", "1.0.0", &[]);
        let told = waiting.join().expect("no panic");
        assert_eq!(told["data"][0]["package"], "gk/next", "{told}");
    });
    for query in ["after=-1", "after=x", "log=other", "wait=x", "limit=x"] {
        server.get(&format!("/v1/changes?{query}"), "").refused(400, "invalid_parameter");
    }
}

#[test]
fn the_service_tells_what_it_can_do() {
    let server = Server::start();
    world(&server, true);
    let data = server.get("/v1", "").expect(200).data();
    assert_eq!((&data["service"], &data["anonymous_read"]), (&json!("vix-registry"), &json!(true)));
    let document = server.get("/openapi.json", "").expect(200).json();
    for route in vix_registry::http::routes::ROUTES {
        let operation = &document["paths"][route.pattern][route.verb.as_str().to_lowercase()];
        assert_eq!(operation["operationId"], route.id, "{}", route.pattern);
    }
    let stats = server.get("/v1/admin/stats", &Persona::Admin.token()).expect(200).data();
    assert_eq!((&stats["packages"], &stats["versions"], &stats["users"]), (&json!(3), &json!(3), &json!(7)));
    assert_eq!(stats["blobs"], 3);
    let ready = server.get("/readyz?verbose", "").expect(200).data();
    assert_eq!(ready["status"], "ready", "{ready}");
}

#[test]
fn a_body_that_takes_its_time_is_not_charged_to_the_answer() {
    let limits = HttpLimits { request_timeout: Duration::from_millis(50), ..HttpLimits::default() };
    let server = Server::with(Setup { limits, ..Setup::default() });
    let mut stream = TcpStream::connect(server.address()).expect("the server accepts");
    let body = br#"{"roots":{"gk/nothing":"*"}}"#;
    let head = format!(
        "POST /v1/resolve HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("the server takes it");
    stream.write_all(&body[..9]).expect("the server takes it");
    // Six times the deadline, in which no answer may come.
    stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let early = stream.read(&mut [0; 64]);
    assert!(early.is_err(), "answered before the body was there: {early:?}");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream.write_all(&body[9..]).expect("the server takes it");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 409") && answer.contains("unresolvable"), "{answer}");
}

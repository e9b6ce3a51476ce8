//! What every request and answer is held to (API.md section 1), on the wire.

use crate::support::personas::{PUBLIC, people, world};
use crate::support::{Ask, Persona, Server, Setup};

fn raw(server: &Server, text: &str) -> String {
    let mut client = server.connect();
    client.write(text.as_bytes());
    String::from_utf8_lossy(&client.rest()).into_owned()
}

fn statuses(answers: &str) -> Vec<&str> {
    answers.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")).map(|line| &line[..3]).collect()
}

#[test]
fn head_answers_as_get_without_a_body() {
    let server = Server::start();
    world(&server, true);
    for path in [
        "/v1",
        "/v1/packages/gk/jwt",
        "/v1/packages/gk/jwt/versions",
        "/v1/packages/gk/jwt/versions/1.0.0",
        "/v1/index/gk/jwt",
    ] {
        let get = server.get(path, "").expect(200);
        let head = server.ask(&Ask::new("HEAD", path)).expect(200);
        for name in ["content-length", "content-type", "etag", "cache-control", "vary"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        assert!(head.body.is_empty());
    }
    // The cheap way to ask whether a version exists; the connection stays in step.
    let mut client = server.connect();
    for (version, status) in [("1.0.0", 200), ("9.0.0", 404), ("1.0.0", 200)] {
        client.ask(&Ask::new("HEAD", &format!("/v1/packages/{PUBLIC}/versions/{version}"))).expect(status);
    }
}

#[test]
fn other_methods_are_told_which_there_are() {
    let server = Server::start();
    let path = format!("/v1/packages/{PUBLIC}/versions/1.0.0");
    let answer = server.ask(&Ask::new("POST", &path)).refused(405, "method_not_allowed");
    let allow = answer.header("allow").to_owned();
    for method in ["GET", "HEAD", "PUT", "OPTIONS"] {
        assert!(allow.split(", ").any(|known| known == method), "{allow}");
    }
    let options = server.ask(&Ask::new("OPTIONS", &path)).expect(204);
    assert_eq!((options.header("allow"), options.body.len()), (allow.as_str(), 0));
    for method in ["TRACE", "BREW", "get"] {
        server.ask(&Ask::new(method, &path)).refused(405, "method_not_allowed");
    }
    assert_eq!(server.ask(&Ask::new("OPTIONS", "*")).status, 204);
    assert_eq!(server.ask(&Ask::new("OPTIONS", "/nope")).status, 404);
}

#[test]
fn paths_are_decoded_once_and_never_climb() {
    let server = Server::start();
    world(&server, true);
    for path in [
        "/v1/packages/..",
        "/v1/packages/%2e%2e/versions",
        "/v1/packages/gk%2F../versions",
        "/v1/packages/gk%2fjwt%2fx/versions",
        "/v1/packages/gk/jwt/versions/1.0.0/artifact/..%2f..%2fmeta.redb",
        "/v1/packages/j%00wt/versions",
        "/v1//packages",
        "/v1/packages/%zz",
        "/v1/packages/%ff",
        "//",
    ] {
        server.get(path, "").refused(400, "invalid_path");
    }
    server.get("/v1/packages/%252e%252e/versions", "").refused(400, "invalid_name");
    for path in ["/", "/v1/", "/v1/packages/gk/jwt/versions/", "/v2", "/v1/packages/gk/jwt/nope", "/health/"] {
        server.get(path, "").refused(404, "no_such_route");
    }
    for path in [
        "/v1/packages/gk%2Fjwt/versions",
        "/v1/packages/gk%2fjwt/versions",
        "/v1/packages/gk/jwt/versions",
        "/%761/packages/gk/jwt/versions",
    ] {
        server.get(path, "").expect(200);
    }
}

#[test]
fn queries_are_read_strictly() {
    let server = Server::start();
    world(&server, false);
    let list = format!("/v1/packages/{PUBLIC}/versions");
    let check = |query: &str, reason: &str| drop(server.get(&format!("{list}?{query}"), "").refused(400, reason));
    check("nope=1", "unknown_parameter");
    check("limits=1", "unknown_parameter");
    check("limit=1&limit=1", "duplicate_parameter");
    check("limit=x", "invalid_parameter");
    check("include_yanked=yes", "invalid_parameter");
    check("req=%zz", "invalid_parameter");
    check("req=nonsense", "invalid_requirement");
    check("req=%5E1.2.3.4", "invalid_requirement");
    check("cursor=AAAA", "invalid_cursor");
    check("cursor=", "invalid_cursor");
    check("cursor=../../etc", "invalid_cursor");
    for (query, limit) in [("limit=0", 1), ("limit=201", 200), ("limit=-5", 1), ("limit=99999999999999999999", 200)] {
        let json = server.get(&format!("{list}?{query}"), "").expect(200).json();
        assert_eq!(json["meta"]["page"]["limit"], limit, "{query}");
        assert_eq!(json["meta"]["warnings"].as_array().map(Vec::len), Some(1), "{query} {json}");
    }
    for query in ["include_yanked", "include_yanked=true", "include_yanked=false", ""] {
        server.get(&format!("{list}?{query}"), "").expect(200);
    }
}

#[test]
fn cursors_survive_inserts_and_restarts_and_belong_to_their_query() {
    let mut server = Server::start();
    people(&server);
    let owner = Persona::Owner.token();
    let put = |server: &Server, version: &str| {
        server.put(&format!("/v1/packages/gk/jwt/versions/{version}?create"), &owner, version).expect(201);
    };
    for minor in 0..7 {
        put(&server, &format!("1.{minor}.0"));
    }
    let list = "/v1/packages/gk/jwt/versions?limit=3";
    let versions = |answer: &crate::support::Answer| -> Vec<String> {
        let data = answer.data();
        data.as_array().expect("a list").iter().map(|row| row["version"].as_str().unwrap_or("").to_owned()).collect()
    };
    let first = server.get(list, "").expect(200);
    assert_eq!(versions(&first), ["1.6.0", "1.5.0", "1.4.0"]);
    let cursor = first.json()["meta"]["page"]["next_cursor"].as_str().expect("a cursor").to_owned();
    put(&server, "1.4.1");
    put(&server, "1.3.5");
    server.restart();
    let second = server.get(&format!("{list}&cursor={cursor}"), "").expect(200);
    assert_eq!(versions(&second), ["1.3.5", "1.3.0", "1.2.0"]);
    // Another size of page is the same query; another filter or package is not.
    server.get(&format!("/v1/packages/gk/jwt/versions?limit=1&cursor={cursor}"), "").expect(200);
    for other in ["gk/jwt/versions?req=*&", "gk/jwt/versions?include_yanked&"] {
        server.get(&format!("/v1/packages/{other}cursor={cursor}"), "").refused(400, "invalid_cursor");
    }
    put(&server, "2.0.0");
    assert_eq!(server.pages(list, "").len(), 10);
    server.get(&format!("{list}&cursor={cursor}x"), "").refused(400, "invalid_cursor");
}

#[test]
fn request_ids_come_back_on_every_answer() {
    let server = Server::start();
    let longest = "a".repeat(128);
    for good in ["a", "My_id.1-2", &longest] {
        for (path, status) in [("/health", 200), ("/nope", 404), ("/v1/packages/gk/jwt/versions", 404)] {
            let answer = server.ask(&Ask::get(path).header("x-request-id", good)).expect(status);
            assert_eq!(answer.header("x-request-id"), good);
        }
    }
    for bad in ["", "a b", "a\u{e9}", &"a".repeat(129), "a/b"] {
        let answer = server.ask(&Ask::get("/health").header("x-request-id", bad)).expect(200);
        let made = vix_registry::domain::id::Id::parse(answer.header("x-request-id"));
        assert!(made.is_some(), "`{bad}` {:?}", answer.headers);
    }
}

#[test]
fn a_request_names_one_host() {
    let server = Server::start();
    for head in ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nHost: a\r\n", "Host: \r\n", "Host: a b\r\n", "Host: u@a\r\n"]
    {
        let answers = raw(&server, &format!("GET /v1 HTTP/1.1\r\n{head}Connection: close\r\n\r\n"));
        assert_eq!(statuses(&answers), ["400"], "{head:?} {answers}");
        assert!(answers.contains("invalid_host"), "{head:?} {answers}");
    }
}

#[test]
fn a_smuggled_request_is_never_answered() {
    let server = Server::start();
    let hidden = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    for head in [
        "Content-Length: 3\r\nContent-Length: 40\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Content-Length: +3\r\n",
        "Content-Length : 3\r\n",
    ] {
        let answers =
            raw(&server, &format!("PUT /v1/packages/a/versions/1.0.0 HTTP/1.1\r\nHost: a\r\n{head}\r\n{hidden}"));
        assert!(statuses(&answers).len() <= 1, "{head:?} {answers}");
        assert!(statuses(&answers).iter().all(|status| status.starts_with('4')), "{head:?} {answers}");
    }
    for body in ["zz\r\nabc\r\n", "-1\r\n", "3\r\nabcd\r\n0\r\n\r\n", "fffffffffffffffff\r\nabc"] {
        let head = "PUT /v1/packages/a/versions/1.0.0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answers = raw(&server, &format!("{head}{body}{hidden}"));
        assert!(statuses(&answers).len() <= 1, "{body:?} {answers}");
    }
    // Both framings at once: one answer at most, and the connection ends.
    let both = "PUT /v1/packages/a/versions/1.0.0 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answers = raw(&server, &format!("{both}{hidden}"));
    assert!(!answers.contains("\"status\":\"ok\""), "{answers}");
}

#[test]
fn heads_over_their_limits_are_refused_and_the_connection_ends() {
    let server = Server::start();
    let check = |head: &str, status: &str| {
        let answers = raw(&server, &format!("{head}\r\n"));
        assert_eq!(statuses(&answers), [status], "{} bytes", head.len());
    };
    check(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n", "a".repeat(9000)), "414");
    check(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n", "a".repeat(17_000)), "431");
    let many = "X-1: y\r\n".repeat(101);
    check(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}"), "431");
}

#[test]
fn coded_bodies_and_foreign_media_are_415() {
    let server = Server::start();
    people(&server);
    let owner = Persona::Owner.token();
    let put = Ask::put("/v1/packages/gk/jwt/versions/1.0.0?create", "bytes").token(&owner);
    for coding in ["gzip", "zstd", "nonsense"] {
        server.ask(&put.clone().header("content-encoding", coding)).refused(415, "content_coding");
    }
    let post = Ask::new("POST", "/v1/packages/gk/jwt/versions?create").token(&owner).body("{}");
    for media in ["text/plain", "application/x-www-form-urlencoded", "application/json5"] {
        server.ask(&post.clone().header("content-type", media)).refused(415, "unsupported_media_type");
    }
    server.ask(&post).refused(415, "unsupported_media_type");
    assert!(server.stored_files().is_empty());
    // The raw PUT takes any type or none.
    server.ask(&put.clone().header("content-type", "text/html")).expect(201);
    server.ask(&put.header("content-encoding", "identity")).expect(200);
}

#[test]
fn pages_of_other_sites_change_nothing() {
    let server = Server::start();
    people(&server);
    let put = Ask::put("/v1/packages/gk/jwt/versions/1.0.0?create", "bytes").token(&Persona::Owner.token());
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        server.ask(&put.clone().header(name, value)).refused(403, "cross_origin");
        let read = server.ask(&Ask::get("/v1").header(name, value)).expect(200);
        assert!(!read.has("access-control-allow-origin"), "{:?}", read.headers);
    }
    let own = format!("http://{}", server.address());
    server.ask(&put.header("origin", &own).header("sec-fetch-site", "same-origin")).expect(201);
}

#[test]
fn named_origins_may_read() {
    let mut setup = Setup::default();
    setup.settings.cors_origins = vec!["https://ui.example".to_owned()];
    let server = Server::with(setup);
    let read = |origin: &str| server.ask(&Ask::get("/v1").header("origin", origin)).expect(200);
    let allowed = read("https://ui.example");
    assert_eq!(allowed.header("access-control-allow-origin"), "https://ui.example");
    assert!(!allowed.has("access-control-allow-credentials"));
    assert!(allowed.all("vary").join(", ").to_lowercase().contains("origin"), "{:?}", allowed.headers);
    assert!(!read("https://evil.example").has("access-control-allow-origin"));
}

#[test]
fn urls_are_references_unless_the_operator_says_where_the_registry_is() {
    let server = Server::start();
    world(&server, false);
    let path = format!("/v1/packages/{PUBLIC}/versions/1.0.0");
    let ask = Ask::get(&path).header("host", "evil.example").header("x-forwarded-host", "evil.example");
    assert_eq!(server.ask(&ask).expect(200).data()["url"], format!("{path}/artifact"));
    let mut setup = Setup::default();
    setup.settings.public_url = Some("https://reg.example/base".to_owned());
    let server = Server::with(setup);
    world(&server, false);
    assert_eq!(server.ask(&ask).expect(200).data()["url"], format!("https://reg.example/base{path}/artifact"));
    let put = server.put("/v1/packages/gk/new/versions/1.0.0?create", &Persona::Owner.token(), "x").expect(201);
    assert_eq!(put.header("location"), "https://reg.example/base/v1/packages/gk/new/versions/1.0.0");
}

#[test]
fn answers_are_coded_only_when_asked_for() {
    let server = Server::start();
    world(&server, false);
    let path = format!("/v1/index/{PUBLIC}");
    let plain = server.get(&path, "").expect(200);
    assert_eq!(plain.header("content-type"), "application/x-ndjson");
    let mut tags = vec![plain.header("etag").to_owned()];
    for coding in ["gzip", "zstd"] {
        let coded = server.ask(&Ask::get(&path).header("accept-encoding", coding)).expect(200);
        if coded.has("content-encoding") {
            assert_eq!(coded.header("content-encoding"), coding);
            let decoded = if coding == "gzip" {
                std::io::read_to_string(flate2::read::GzDecoder::new(coded.body.as_slice())).expect("gzip")
            } else {
                String::from_utf8(zstd::decode_all(coded.body.as_slice()).expect("zstd")).expect("text")
            };
            assert_eq!(decoded, plain.text());
            let again = Ask::get(&path).header("accept-encoding", coding).header("if-none-match", coded.header("etag"));
            server.ask(&again).expect(304);
        }
        tags.push(coded.header("etag").to_owned());
    }
    assert!(tags.iter().all(|tag| tag.starts_with('"')), "{tags:?}");
    for none in ["identity", "br", "gzip;q=0", ""] {
        let answer = server.ask(&Ask::get(&path).header("accept-encoding", none)).expect(200);
        assert!(!answer.has("content-encoding") && answer.body == plain.body, "{none}");
    }
}

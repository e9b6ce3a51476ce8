//! Downloads: ranges, conditions, caching and headers (API.md section 5).

use serde_json::json;
use vix_registry::domain::digest::Sha256;

use crate::support::personas::{HIDDEN, PUBLIC, VERSION, world, world_bytes};
use crate::support::{Answer, Ask, Persona, Server, Setup};

fn server() -> Server {
    let server = Server::start();
    world(&server, true);
    server
}

fn artifact(package: &str) -> String {
    format!("/v1/packages/{package}/versions/{VERSION}/artifact")
}

fn ranged(server: &Server, range: &str) -> Answer {
    server.ask(&Ask::get(&artifact(PUBLIC)).header("range", range))
}

#[test]
fn a_download_has_the_contracts_headers() {
    let server = server();
    let bytes = world_bytes(PUBLIC);
    let answer = server.get(&artifact(PUBLIC), "").expect(200);
    let digest = Sha256::of(&bytes);
    let expected = [
        ("etag", format!("\"sha256-{digest}\"")),
        ("accept-ranges", "bytes".to_owned()),
        ("content-length", bytes.len().to_string()),
        ("content-type", "application/octet-stream".to_owned()),
        ("content-disposition", "attachment; filename=\"jwt-1.0.0.bin\"".to_owned()),
        ("content-security-policy", "sandbox; default-src 'none'".to_owned()),
        ("cache-control", "public, max-age=31536000, immutable".to_owned()),
    ];
    for (name, value) in expected {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(answer.header("repr-digest").starts_with("sha-256=:"));
    assert!(answer.body == bytes);
    // HEAD tells the same without looking at ranges.
    let head = server.ask(&Ask::new("HEAD", &artifact(PUBLIC)).header("range", "bytes=0-1")).expect(200);
    let without_id = |answer: &Answer| -> Vec<(String, String)> {
        let varies = ["x-request-id", "date"];
        answer.headers.iter().filter(|(name, _)| !varies.contains(&name.as_str())).cloned().collect()
    };
    assert_eq!(without_id(&head), without_id(&answer));
    assert!(!answer.has("content-encoding"));
    let coded = server.ask(&Ask::get(&artifact(PUBLIC)).header("accept-encoding", "gzip, zstd")).expect(200);
    assert!(!coded.has("content-encoding") && coded.body == bytes, "artifacts are never coded");
}

#[test]
fn ranges_are_parts_of_the_whole() {
    let server = server();
    let bytes = world_bytes(PUBLIC);
    let size = bytes.len();
    let whole = server.get(&artifact(PUBLIC), "");
    let check = |range: &str, first: usize, last: usize| {
        let answer = ranged(&server, range).expect(206);
        assert_eq!(answer.body, bytes[first..=last], "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {first}-{last}/{size}"), "{range}");
        assert_eq!(answer.header("repr-digest"), whole.header("repr-digest"), "{range}");
        assert_eq!(answer.header("etag"), whole.header("etag"), "{range}");
        assert_eq!(answer.header("content-length"), (last - first + 1).to_string(), "{range}");
    };
    check("bytes=0-0", 0, 0);
    check("bytes=4-", 4, size - 1);
    check("bytes=-3", size - 3, size - 1);
    check("bytes=2-999999", 2, size - 1);
    check("bytes=-999999", 0, size - 1);
    let beyond = ranged(&server, &format!("bytes={size}-")).refused(416, "unsatisfiable_range");
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
    ranged(&server, "bytes=-0").refused(416, "unsatisfiable_range");
    // What is no range, too many or overlapping: the whole.
    let many: Vec<String> = (0..17).map(|at| format!("{at}-{at}")).collect();
    for range in ["lines=0-1", "bytes=5-2", "bytes=x", "bytes=0-5,3-7", &format!("bytes={}", many.join(","))] {
        let answer = ranged(&server, range).expect(200);
        assert!(answer.body == bytes && !answer.has("content-range"), "{range}");
    }
}

#[test]
fn several_ranges_come_as_multipart() {
    let server = server();
    let bytes = world_bytes(PUBLIC);
    let answer = ranged(&server, "bytes=0-1,4-5,-1").expect(206);
    let media = answer.header("content-type").to_owned();
    let boundary = media.strip_prefix("multipart/byteranges; boundary=").expect("a boundary").trim_matches('"');
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let text = answer.text();
    let parts: Vec<&str> = text.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 5, "{text}");
    assert!(parts[4].starts_with("--"), "{text}");
    let size = bytes.len();
    for (part, (first, last)) in parts[1..4].iter().zip([(0, 1), (4, 5), (size - 1, size - 1)]) {
        assert!(part.to_lowercase().contains(&format!("content-range: bytes {first}-{last}/{size}")), "{part}");
        let body = part.split_once("\r\n\r\n").expect("a body").1.trim_end_matches("\r\n");
        assert_eq!(body.as_bytes(), &bytes[first..=last], "{part}");
    }
}

#[test]
fn conditions_are_honoured_where_access_allows() {
    let server = server();
    let etag = server.get(&artifact(PUBLIC), "").header("etag").to_owned();
    let ask = |name: &str, value: &str| Ask::get(&artifact(PUBLIC)).header(name, value);
    for value in [etag.clone(), format!("\"x\", {etag}"), format!("W/{etag}"), "*".to_owned()] {
        let answer = server.ask(&ask("if-none-match", &value)).expect(304);
        assert_eq!((answer.header("etag"), answer.body.len()), (etag.as_str(), 0), "{value}");
        assert!(answer.header("cache-control").contains("immutable"));
    }
    server.ask(&ask("if-none-match", "\"x\"")).expect(200);
    server.ask(&ask("if-range", &etag).header("range", "bytes=0-0")).expect(206);
    server.ask(&ask("if-range", "\"x\"").header("range", "bytes=0-0")).expect(200);
    server.ask(&ask("if-range", &format!("W/{etag}")).header("range", "bytes=0-0")).expect(200);
    server.ask(&ask("if-none-match", &etag).header("range", "bytes=0-0")).expect(304);
    // Access is decided before any condition.
    let hidden = Ask::get(&artifact(HIDDEN)).header("if-none-match", "*");
    server.ask(&hidden).refused(404, "package_not_found");
    server.ask(&hidden.clone().token(&Persona::Reader.token())).expect(304);
}

#[test]
fn public_stands_exactly_where_anybody_gets_the_same() {
    let server = server();
    let cache = |path: &str, persona: Persona| {
        server.get(path, &persona.token()).expect(200).header("cache-control").to_owned()
    };
    assert!(cache(&artifact(PUBLIC), Persona::Owner).starts_with("public"));
    assert_eq!(cache(&artifact(HIDDEN), Persona::Reader), "private, max-age=31536000, immutable");
    let latest = format!("/v1/packages/{PUBLIC}/versions/latest/artifact");
    let answer = server.get(&latest, "").expect(200);
    assert!(answer.header("cache-control").contains("no-cache"), "{:?}", answer.headers);
    assert_eq!(answer.header("content-location"), artifact(PUBLIC));

    let mut setup = Setup::default();
    setup.policy.anonymous_read = false;
    setup.settings.anonymous_read = false;
    let closed = Server::with(setup);
    world(&closed, true);
    for package in [PUBLIC, HIDDEN, "gk/absent", "absent"] {
        closed.get(&artifact(package), "").refused(401, "missing_token");
    }
    let answer = closed.get(&artifact(PUBLIC), &Persona::OtherOwner.token()).expect(200);
    assert!(answer.header("cache-control").starts_with("private"), "{:?}", answer.headers);
}

#[test]
fn json_reads_are_revalidated() {
    let server = server();
    let path = format!("/v1/packages/{PUBLIC}/versions/{VERSION}");
    let answer = server.get(&path, "").expect(200);
    assert!(answer.header("cache-control").contains("no-cache"), "{:?}", answer.headers);
    assert_eq!(answer.header("vary").to_lowercase(), "authorization, accept-encoding");
    let etag = answer.header("etag").to_owned();
    assert!(etag.starts_with('"'), "a strong tag");
    assert_eq!(server.get(&path, "").body, answer.body, "the bytes stay the same");
    server.ask(&Ask::get(&path).header("if-none-match", &etag)).expect(304);
    let coded = server.ask(&Ask::get(&path).header("accept-encoding", "gzip")).expect(200);
    if coded.header("content-encoding") == "gzip" {
        assert_ne!(coded.header("etag"), etag, "another tag per coding");
    }
    let data = answer.data();
    assert_eq!(data["manifest"], json!(null));
}

#[test]
fn the_alias_names_the_real_version() {
    let server = server();
    let owner = Persona::Owner.token();
    let put = |version: &str| {
        server.put(&format!("/v1/packages/gk/new/versions/{version}?create"), &owner, version).expect(201);
    };
    let latest = || server.get("/v1/packages/gk/new/versions/latest", "");
    put("2.0.0-rc.1");
    assert_eq!(latest().expect(200).data()["version"], "2.0.0-rc.1");
    put("1.9.0");
    put("1.10.0");
    let answer = latest().expect(200);
    assert_eq!(answer.data()["version"], "1.10.0");
    assert_eq!(answer.header("content-location"), "/v1/packages/gk/new/versions/1.10.0");
    let listed = server.get("/v1/packages/gk/new/versions", "").expect(200).data();
    let listed: Vec<&str> =
        listed.as_array().expect("a list").iter().filter_map(|row| row["version"].as_str()).collect();
    assert_eq!(listed, ["2.0.0-rc.1", "1.10.0", "1.9.0"]);
    server.put("/v1/packages/gk/new/versions/latest", &owner, "x").refused(400, "invalid_semver");
}

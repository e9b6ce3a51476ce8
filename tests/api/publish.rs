//! Publishing by raw PUT: what is answered, and what is stored afterwards.

use base64::Engine as _;
use serde_json::json;
use vix_registry::domain::digest::Sha256;

use crate::support::personas::{people, world};
use crate::support::{Answer, Ask, Persona, Server, Setup, archive};

const PATH: &str = "/v1/packages/gk/jwt/versions/1.0.0";
const CREATE: &str = "/v1/packages/gk/jwt/versions/1.0.0?create=true";

fn server() -> Server {
    server_with(Setup::default())
}

fn server_with(setup: Setup) -> Server {
    let server = Server::with(setup);
    people(&server);
    server
}

fn owner() -> String {
    Persona::Owner.token()
}

/// An artifact of this many bytes, the same each time.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).expect("less than 256")).collect()
}

fn content_digest(bytes: &[u8]) -> String {
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::of(bytes).0);
    format!("sha-256=:{digest}:")
}

/// Nothing of the package is known or stored.
#[track_caller]
fn check_nothing(server: &Server) {
    assert_eq!(server.stored_files(), Vec::<std::path::PathBuf>::new());
    server.get(PATH, &owner()).refused(404, "package_not_found");
    server.get("/v1/packages/gk/jwt/versions", &owner()).refused(404, "package_not_found");
}

/// The version is there with these bytes, alone and under their digest.
#[track_caller]
fn check_stored(server: &Server, bytes: &[u8]) {
    let data = server.get(PATH, "").expect(200).data();
    let sha256 = Sha256::of(bytes).to_string();
    assert_eq!((&data["sha256"], &data["size"]), (&json!(sha256), &json!(bytes.len())));
    let files = server.stored_files();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].to_string_lossy().ends_with(&sha256), "{files:?}");
    let fetched = server.get(&format!("{PATH}/artifact"), "").expect(200);
    assert!(fetched.body == bytes, "the artifact is what was published");
    let list = server.get("/v1/packages/gk/jwt/versions", "").expect(200).data();
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
}

#[test]
fn what_was_published_is_fetched_byte_for_byte_also_after_a_restart() {
    let mut server = server();
    let bytes = archive::tar_gz(&[("jwt/main.c", b"int main() {}")]);
    let answer = server.put(CREATE, &owner(), bytes.clone()).expect(201);
    assert_eq!(answer.header("location"), PATH);
    let data = answer.data();
    assert_eq!((&data["created"], &data["dry_run"]), (&json!(true), &json!(false)));
    assert_eq!((&data["package"], &data["version"]), (&json!("gk/jwt"), &json!("1.0.0")));
    assert_eq!((&data["filename"], &data["media_type"]), (&json!("jwt-1.0.0.tar.gz"), &json!("application/gzip")));
    assert_eq!(data["url"], format!("{PATH}/artifact"));
    assert_eq!((&data["published_by"], &data["yanked"]), (&json!("user:owner"), &json!(false)));
    check_stored(&server, &bytes);
    server.restart();
    check_stored(&server, &bytes);
}

#[test]
fn the_same_again_is_200_and_other_bytes_conflict() {
    let server = server();
    server.put(CREATE, &owner(), bytes(1000)).expect(201);
    for path in [CREATE, PATH] {
        let again = server.put(path, &owner(), bytes(1000)).expect(200).data();
        assert_eq!(again["created"], false);
    }
    server.put(PATH, &owner(), bytes(999)).refused(409, "version_exists");
    let mut other = bytes(1000);
    other[500] ^= 1;
    server.put(PATH, &owner(), other.clone()).refused(409, "version_exists");
    server.ask(&Ask::put(PATH, other).token(&owner()).header("transfer-encoding", "chunked")).status_in(400..500);
    server
        .ask(&Ask::put(PATH, bytes(1000)).token(&owner()).header("if-none-match", "*"))
        .refused(412, "already_exists");
    check_stored(&server, &bytes(1000));
}

#[test]
fn only_fields_that_are_given_are_compared() {
    let server = server();
    server.put(&format!("{CREATE}&filename=my.bin"), &owner(), bytes(10)).expect(201);
    assert_eq!(server.put(PATH, &owner(), bytes(10)).expect(200).data()["filename"], "my.bin");
    server.put(&format!("{PATH}?filename=other.bin"), &owner(), bytes(10)).refused(409, "version_exists");
    let artifact = server.get(&format!("{PATH}/artifact/my.bin"), "").expect(200);
    assert!(artifact.header("content-disposition").contains("my.bin"), "{:?}", artifact.headers);
    server.get(&format!("{PATH}/artifact/other.bin"), "").status_in(400..500);
}

#[test]
fn announced_digests_are_checked() {
    let server = server();
    for name in ["content-digest", "repr-digest"] {
        let wrong = content_digest(b"other bytes");
        server.ask(&Ask::put(CREATE, bytes(100)).token(&owner()).header(name, &wrong)).refused(400, "digest_mismatch");
        check_nothing(&server);
        let unreadable = Ask::put(CREATE, bytes(100)).token(&owner()).header(name, "sha-256=:nonsense:");
        server.ask(&unreadable).refused(400, "invalid_digest");
        check_nothing(&server);
    }
    let right = content_digest(&bytes(100));
    server.ask(&Ask::put(CREATE, bytes(100)).token(&owner()).header("content-digest", &right)).expect(201);
    let other = Ask::put(PATH, bytes(100)).token(&owner()).header("content-digest", "md5=:AAAA:");
    server.ask(&other).expect(200);
    check_stored(&server, &bytes(100));
}

#[test]
fn an_existing_version_is_answered_before_the_body() {
    let server = server();
    server.put(CREATE, &owner(), bytes(1000)).expect(201);
    let head = |length: usize, digest: &str| {
        let ask = Ask::new("PUT", PATH).token(&owner()).header("content-length", &length.to_string());
        let ask = ask.header("expect", "100-continue");
        if digest.is_empty() { ask } else { ask.header("content-digest", digest) }
    };
    // None of these sends a byte of its body.
    server.ask(&head(999, "")).refused(409, "version_exists");
    server.ask(&head(1000, &content_digest(b"other"))).refused(409, "version_exists");
    let same = server.ask(&head(1000, &content_digest(&bytes(1000)))).expect(200);
    assert_eq!(same.data()["created"], false);
    check_stored(&server, &bytes(1000));
}

#[test]
fn a_dry_run_checks_everything_and_stores_nothing() {
    let server = server();
    let path = "/v1/packages/fresh/jwt/versions/1.0.0?create=true&dry_run";
    let data = server.put(path, &owner(), bytes(100)).expect(200).data();
    assert_eq!((&data["created"], &data["dry_run"]), (&json!(true), &json!(true)));
    assert!(server.stored_files().is_empty());
    server.get("/v1/packages/fresh/jwt/versions/1.0.0", &owner()).refused(404, "package_not_found");
    // The namespace is still free for others.
    server.put(path, &Persona::OtherOwner.token(), bytes(100)).expect(200);
    server.put(&path.replace("dry_run", "dry_run=false"), &Persona::OtherOwner.token(), bytes(100)).expect(201);
    server.put(path, &owner(), bytes(100)).refused(403, "not_namespace_member");
    server.put("/v1/packages/fresh/jwt/versions/1.0.0?dry_run", &owner(), bytes(100)).refused(403, "missing_role");
    let again = "/v1/packages/fresh/jwt/versions/1.0.0?dry_run=true";
    server.put(again, &Persona::OtherOwner.token(), bytes(99)).refused(409, "version_exists");
    assert_eq!(server.stored_files().len(), 1);
}

#[test]
fn bodies_that_end_early_leave_nothing() {
    let mut server = server();
    let length = 300_000;
    let heads = [
        Ask::new("PUT", CREATE).token(&owner()).header("content-length", &length.to_string()),
        Ask::new("PUT", CREATE).token(&owner()).header("transfer-encoding", "chunked"),
    ];
    for (index, ask) in heads.iter().enumerate() {
        for announce_end in [true, false] {
            let mut client = server.connect();
            client.write(ask.head(server.address()).as_bytes());
            if index == 1 {
                client.write(format!("{length:x}\r\n").as_bytes());
            }
            client.write(&bytes(length - 1));
            if announce_end {
                client.finish();
                // A client that still listens may be told; hyper may also just close.
                if let Some(answer) = client.answer("PUT") {
                    answer.status_in(400..500);
                }
            }
        }
    }
    // The drain waits for whatever is still being taken in.
    server.restart();
    check_nothing(&server);
}

#[test]
fn a_body_that_comes_too_slowly_is_given_up() {
    let mut setup = Setup::default();
    setup.connections.body_rate_bytes_per_s_min = 1 << 20;
    setup.connections.body_rate_window_ms = 200;
    let server = server_with(setup);
    let mut client = server.connect();
    let head = Ask::new("PUT", CREATE).token(&owner()).header("content-length", "1000");
    client.write(head.head(server.address()).as_bytes());
    client.write(b"and no more");
    client.answer("PUT").expect("an answer").refused(408, "body_too_slow");
    check_nothing(&server);
}

#[test]
fn empty_artifacts_are_refused() {
    let server = server();
    server.put(CREATE, &owner(), "").refused(400, "empty_artifact");
    server.ask(&Ask::new("PUT", CREATE).token(&owner())).refused(400, "empty_artifact");
    let mut client = server.connect();
    let ask = Ask::new("PUT", CREATE).token(&owner()).header("transfer-encoding", "chunked").body("0\r\n\r\n");
    client.ask(&ask).refused(400, "empty_artifact");
    check_nothing(&server);
}

#[test]
fn artifacts_over_the_limit_are_refused_with_the_limit() {
    let mut setup = Setup::default();
    setup.policy.artifact_bytes_max = 1000;
    setup.limits.artifact_bytes_max = 1000;
    let server = server_with(setup);
    let check = |answer: Answer| {
        let answer = answer.refused(413, "artifact_too_large");
        assert_eq!(answer.json()["error"]["details"][0]["limit"], 1000, "{}", answer.text());
        check_nothing(&server);
    };
    check(server.put(CREATE, &owner(), bytes(1001)));
    check(server.ask(
        &Ask::new("PUT", CREATE).token(&owner()).header("content-length", "1001").header("expect", "100-continue"),
    ));
    let mut body = b"3e9\r\n".to_vec();
    body.extend(bytes(1001));
    body.extend(b"\r\n0\r\n\r\n");
    check(server.ask(&Ask::put(CREATE, body).token(&owner()).header("transfer-encoding", "chunked")));
    // An answer that comes before a large body reaches a client that sends first.
    check(server.put(CREATE, &owner(), bytes(4 << 20)));
    server.put(CREATE, &owner(), bytes(1000)).expect(201);
    check_stored(&server, &bytes(1000));
}

#[test]
fn expect_100_continue_is_honoured() {
    let server = server();
    let ask = Ask::new("PUT", CREATE).header("content-length", "100").header("expect", "100-continue");
    let mut client = server.connect();
    client.write(ask.clone().token(&owner()).head(server.address()).as_bytes());
    assert_eq!(client.one_answer("PUT").map(|answer| answer.status), Some(100));
    client.write(&bytes(100));
    assert_eq!(client.answer("PUT").map(|answer| answer.status), Some(201));
    // Refused before the body: no 100.
    let mut refused = server.connect();
    refused.write(ask.head(server.address()).as_bytes());
    assert_eq!(refused.one_answer("PUT").map(|answer| answer.status), Some(401));
    check_stored(&server, &bytes(100));
}

#[test]
fn versions_that_differ_only_in_build_metadata_cannot_coexist() {
    let server = server();
    let path = |version: &str| format!("/v1/packages/gk/jwt/versions/{version}?create=true");
    server.put(&path("1.0.0+a"), &owner(), bytes(10)).expect(201);
    for other in ["1.0.0", "1.0.0+b"] {
        server.put(&path(other), &owner(), bytes(10)).refused(409, "version_exists");
    }
    server.put(&path("1.0.0+a"), &owner(), bytes(10)).expect(200);
    for spelled in ["1.0.0", "1.0.0+a", "1.0.0%2Ba", "latest"] {
        let data = server.get(&format!("/v1/packages/gk/jwt/versions/{spelled}"), "").expect(200).data();
        assert_eq!(data["version"], "1.0.0+a");
    }
    server.get("/v1/packages/gk/jwt/versions/1.0.0+b", "").refused(404, "version_not_found");
}

#[test]
fn names_and_versions_that_the_contract_can_not_hold_are_refused() {
    let server = server();
    let check = |package: &str, version: &str, reason: &str| {
        let path = format!("/v1/packages/{package}/versions/{version}?create=true");
        server.put(&path, &owner(), bytes(10)).refused(400, reason);
    };
    for name in
        ["Jwt", "gk/Jwt", "-jwt", "gk/.jwt", "gk/jwt.git", "g_k/jwt", "packages/jwt", "v1/jwt", "gk/j%20t", "gk/%C3%A9"]
    {
        check(name, "1.0.0", "invalid_name");
    }
    check(&format!("gk/{}", "a".repeat(65)), "1.0.0", "invalid_name");
    for version in
        ["1", "1.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", "latest", "18446744073709551616.0.0"]
    {
        check("gk/jwt", version, "invalid_semver");
    }
    check("gk/jwt", &format!("1.0.0-{}", "a".repeat(128)), "invalid_semver");
    check_nothing(&server);
    server.put(&format!("/v1/packages/gk/{}/versions/1.0.0?create", "a".repeat(64)), &owner(), bytes(10)).expect(201);
    server.put("/v1/packages/gk/b/versions/18446744073709551615.0.0-x.7.z+b?create", &owner(), bytes(10)).expect(201);
}

#[test]
fn queries_are_understood_whole_or_refused() {
    let server = server();
    let check = |query: &str, reason: &str| {
        server.put(&format!("{PATH}?{query}"), &owner(), bytes(10)).refused(400, reason);
    };
    check("create=true&dryrun=true", "unknown_parameter");
    check("create=true&create=true", "duplicate_parameter");
    check("create=1", "invalid_parameter");
    check("create=true&dry_run=yes", "invalid_parameter");
    check("create=true&visibility=hidden", "invalid_parameter");
    for filename in ["..%2Fx", ".x", "a%20b", "a%00b", ""] {
        check(&format!("create=true&filename={filename}"), "invalid_parameter");
    }
    check(&format!("create=true&filename={}", "a".repeat(129)), "invalid_parameter");
    check_nothing(&server);
}

#[test]
fn creating_follows_the_rules_of_namespaces() {
    let server = server();
    let put = |package: &str, query: &str, persona: Persona| {
        server.put(&format!("/v1/packages/{package}/versions/1.0.0{query}"), &persona.token(), bytes(10))
    };
    put("gk/jwt", "", Persona::Owner).refused(404, "package_not_found");
    put("gk/jwt", "?create=false", Persona::Owner).refused(404, "package_not_found");
    put("gk/jwt", "?create", Persona::OtherOwner).refused(403, "not_namespace_member");
    put("gk/jwt", "?create", Persona::Anonymous).refused(401, "missing_token");
    put("gk/jwt", "?create", Persona::AdminReadOnly).refused(403, "missing_scope");
    put("gk/jwt", "?create", Persona::ForeignPattern).refused(403, "token_packages");
    put("jwt", "?create&visibility=private", Persona::Owner).refused(400, "private_needs_namespace");
    check_nothing(&server);
    put("gk/jwt", "?create", Persona::NamespacePublisher).expect(201);
    put("gk/jwt-x", "?create", Persona::Admin).expect(201);
    for similar in ["gk/jwt_x", "gk/jwt.x", "gk/jwt-.x"] {
        put(similar, "?create", Persona::Owner).refused(409, "name_too_similar");
        server.get(&format!("/v1/packages/{similar}/versions/1.0.0"), "").refused(404, "package_not_found");
    }
    put("jwt_x", "?create", Persona::OtherOwner).expect(201);
    put("jwt_x", "?create", Persona::Owner).refused(403, "missing_role");
    // Claiming: the first comes to own it.
    put("mine/jwt", "?create&visibility=private", Persona::OtherOwner).expect(201);
    put("mine/other", "?create", Persona::Owner).refused(403, "not_namespace_member");
    server.get("/v1/packages/mine/jwt/versions/1.0.0", "").refused(404, "package_not_found");
    server.get("/v1/packages/mine/jwt/versions/1.0.0", &Persona::OtherOwner.token()).expect(200);
}

#[test]
fn claims_can_be_left_to_admins() {
    let mut setup = Setup::default();
    setup.policy.claims = vix_registry::domain::create::ClaimPolicy::Admin;
    setup.settings.claims = vix_registry::domain::create::ClaimPolicy::Admin;
    let server = server_with(setup);
    let path = "/v1/packages/fresh/jwt/versions/1.0.0?create";
    server.put(path, &owner(), bytes(10)).refused(403, "claims_closed");
    assert!(server.stored_files().is_empty());
    server.put(path, &Persona::Admin.token(), bytes(10)).expect(201);
}

#[test]
fn a_full_disk_is_told_before_the_body() {
    let mut setup = Setup::default();
    setup.policy.free_bytes_min = u64::MAX;
    let server = server_with(setup);
    let answer = server.put(CREATE, &owner(), bytes(10)).refused(507, "storage_full");
    let details = &answer.json()["error"]["details"];
    assert!(details.as_array().is_some_and(|details| !details.is_empty()), "{details}");
    check_nothing(&server);
}

#[test]
fn the_same_bytes_are_stored_once_and_publishing_heals_them() {
    let mut server = server();
    server.put(CREATE, &owner(), bytes(1000)).expect(201);
    server.put("/v1/packages/gk/other/versions/2.0.0?create", &owner(), bytes(1000)).expect(201);
    let files = server.stored_files();
    assert_eq!(files.len(), 1);
    for damage in [Some(b"X".repeat(1000)), Some(b"short".to_vec()), None] {
        server.stop();
        std::fs::remove_file(&files[0]).expect("a file");
        if let Some(bytes) = &damage {
            std::fs::write(&files[0], bytes).expect("a file");
        }
        server.restart();
        // Damage is found by the first reading after a start, at the latest: an error, or a cut connection.
        let mut client = server.connect();
        client.write(Ask::get(&format!("{PATH}/artifact")).head(server.address()).as_bytes());
        let read = client.answer("GET");
        assert!(read.is_none_or(|answer| answer.status == 500 || !answer.whole), "{damage:?} is no success");
        assert_eq!(server.put(PATH, &owner(), bytes(1000)).expect(200).data()["created"], false);
        check_bytes(&server, &bytes(1000));
    }
}

#[track_caller]
fn check_bytes(server: &Server, bytes: &[u8]) {
    for path in [PATH, "/v1/packages/gk/other/versions/2.0.0"] {
        let fetched = server.get(&format!("{path}/artifact"), "").expect(200);
        assert!(fetched.whole && fetched.body == bytes, "{path} is whole again");
    }
}

#[test]
fn refusals_come_in_the_contracts_order() {
    let server = server();
    world(&server, true);
    let bad_path = "/v1/packages/gk%2F..%2Fjwt/versions/1.0.0";
    let nobody = "Bearer nonsense";
    let put = |path: &str| Ask::put(path, "").header("content-encoding", "gzip");
    server.ask(&put(bad_path).header("sec-fetch-site", "cross-site")).refused(403, "cross_origin");
    server.ask(&put(bad_path).header("authorization", nobody)).refused(400, "invalid_path");
    let unknown = "/v1/packages/gk/hidden/versions/1.0.0?nope";
    server.ask(&put(unknown).header("authorization", nobody)).refused(400, "unknown_parameter");
    let hidden = "/v1/packages/gk/hidden/versions/1.0.0";
    server.ask(&put(hidden).header("authorization", nobody)).refused(401, "malformed_token");
    server.ask(&put(hidden)).refused(401, "missing_token");
    server.ask(&put(hidden).token(&Persona::AdminReadOnly.token())).refused(403, "missing_scope");
    server.ask(&put(hidden).token(&Persona::ForeignPattern.token())).refused(403, "token_packages");
    server.ask(&put(hidden).token(&Persona::OtherOwner.token())).refused(404, "package_not_found");
    server.ask(&put(hidden).token(&Persona::Reader.token())).refused(403, "missing_role");
    let publisher = Persona::Publisher.token();
    server.ask(&put(hidden).token(&publisher).header("if-none-match", "*")).refused(412, "already_exists");
    let other_size = put(hidden).token(&publisher).header("content-length", "7");
    server.ask(&other_size).refused(409, "version_exists");
    let fresh = hidden.replace("1.0.0", "1.0.1");
    server.ask(&put(&fresh).token(&publisher)).refused(415, "content_coding");
    server.ask(&Ask::put(&fresh, "").token(&publisher)).refused(400, "empty_artifact");
}

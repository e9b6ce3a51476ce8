//! Resumable uploads, and publishing bytes by their name (API.md section 4).

use serde_json::{Value, json};
use vix_registry::domain::digest::Sha256;

use crate::support::personas::{HIDDEN, PUBLIC, world, world_bytes};
use crate::support::{Answer, Ask, Persona, Server, Setup};

fn server() -> Server {
    let server = Server::start();
    world(&server, true);
    server
}

fn owner() -> String {
    Persona::Owner.token()
}

fn bytes() -> Vec<u8> {
    (0..10_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn begin(server: &Server, token: &str, body: &Value) -> String {
    let answer = server.ask(&Ask::json("POST", "/v1/uploads", body).token(token)).expect(201);
    let data = answer.data();
    let path = format!("/v1/uploads/{}", data["id"].as_str().expect("an id"));
    assert_eq!((answer.header("location"), answer.header("upload-offset")), (path.as_str(), "0"));
    assert_eq!((&data["state"], &data["offset"]), (&json!("open"), &json!(0)));
    path
}

fn append(server: &Server, path: &str, first: usize, piece: &[u8], total: &str) -> Answer {
    let range = format!("bytes {first}-{}/{total}", first + piece.len() - 1);
    server.ask(&Ask::new("PATCH", path).token(&owner()).header("content-range", &range).body(piece))
}

fn finish(server: &Server, path: &str, bytes: &[u8]) -> Answer {
    server.ask(&Ask::json("PUT", path, &json!({"sha256": Sha256::of(bytes).to_string()})).token(&owner()))
}

fn publish(server: &Server, by: &str, artifact: &Value) -> Answer {
    let body = json!({"version": "3.0.0", "artifact": artifact});
    server.ask(&Ask::json("POST", &format!("/v1/packages/{PUBLIC}/versions"), &body).token(by))
}

#[test]
fn an_upload_grows_in_pieces_survives_a_restart_and_is_published() {
    let mut server = server();
    let bytes = bytes();
    let path = begin(&server, &owner(), &json!({"size": bytes.len()}));
    let answer = append(&server, &path, 0, &bytes[..15_000], "*").expect(200);
    assert_eq!((answer.header("upload-offset"), &answer.data()["offset"]), ("15000", &json!(15_000)));
    let wrong = append(&server, &path, 10_000, &bytes[10_000..20_000], "*").refused(416, "wrong_offset");
    assert_eq!(wrong.header("upload-offset"), "15000");
    server.restart();
    assert_eq!(server.get(&path, &owner()).expect(200).data()["offset"], 15_000);
    finish(&server, &path, &bytes).refused(409, "upload_incomplete");
    publish(&server, &owner(), &json!({"upload": path.rsplit('/').next()})).refused(409, "upload_incomplete");
    append(&server, &path, 15_000, &bytes[15_000..], &bytes.len().to_string()).expect(200);
    finish(&server, &path, &bytes[1..]).refused(400, "digest_mismatch");
    for _ in 0..2 {
        assert_eq!(finish(&server, &path, &bytes).expect(200).data()["state"], "complete");
    }
    server.restart();
    let data = publish(&server, &owner(), &json!({"upload": path.rsplit('/').next()})).expect(201).data();
    assert_eq!((&data["sha256"], &data["size"]), (&json!(Sha256::of(&bytes).to_string()), &json!(bytes.len())));
    let fetched = server.get(&format!("/v1/packages/{PUBLIC}/versions/3.0.0/artifact"), "").expect(200);
    assert!(fetched.body == bytes);
}

#[test]
fn an_upload_is_its_users_alone() {
    let server = server();
    let path = begin(&server, &owner(), &json!({}));
    let other = Persona::OtherOwner.token();
    server.get(&path, &other).refused(404, "upload_not_found");
    for method in ["PATCH", "DELETE"] {
        let ask = Ask::new(method, &path).token(&other).header("content-range", "bytes 0-0/1").body("x");
        server.ask(&ask).refused(404, "upload_not_found");
    }
    server
        .ask(&Ask::json("PUT", &path, &json!({"sha256": "0".repeat(64)})).token(&other))
        .refused(404, "upload_not_found");
    server.get(&path, "").refused(401, "missing_token");
    server.get(&path, &Persona::AdminReadOnly.token()).refused(403, "missing_scope");
    server.ask(&Ask::new("DELETE", &path).token(&owner())).expect(200);
    server.get(&path, &owner()).refused(404, "upload_not_found");
    let artifacts = 3;
    assert_eq!(server.stored_files().len(), artifacts, "an abandoned upload leaves nothing");
}

#[test]
fn pieces_that_break_are_kept_up_to_their_offset() {
    let server = server();
    let bytes = bytes();
    let path = begin(&server, &owner(), &json!({}));
    let ask =
        Ask::new("PATCH", &path).token(&owner()).header("content-range", &format!("bytes 0-{}/*", bytes.len() - 1));
    let mut client = server.connect();
    client.write(ask.header("content-length", &bytes.len().to_string()).head(server.address()).as_bytes());
    client.write(&bytes[..20_000]);
    client.finish();
    drop(client.rest());
    let offset = server.get(&path, &owner()).expect(200).data()["offset"].as_u64().expect("a number");
    let offset = usize::try_from(offset).expect("small");
    assert!(offset <= 20_000, "{offset}");
    append(&server, &path, offset, &bytes[offset..], "*").expect(200);
    finish(&server, &path, &bytes).expect(200);
}

#[test]
fn pieces_say_where_they_belong_and_what_they_are() {
    let server = server();
    let path = begin(&server, &owner(), &json!({"size": 10}));
    let patch = |range: &str, body: &str| {
        let ask = Ask::new("PATCH", &path).token(&owner()).body(body);
        server.ask(&if range.is_empty() { ask } else { ask.header("content-range", range) })
    };
    let status = |answer: Answer| {
        assert!((400..=416).contains(&answer.status), "{} {}", answer.status, answer.text());
        assert_eq!(server.get(&path, &owner()).expect(200).data()["offset"], 0);
    };
    for range in [
        "",
        "bytes 0-4",
        "bytes 4-0/10",
        "lines 0-4/10",
        "bytes 0-4/x",
        "bytes 0-3/10",
        "bytes 0-9/10",
        "bytes 0-4/11",
        "bytes 0-4/3",
    ] {
        status(patch(range, "abcde"));
    }
    let digest = Ask::new("PATCH", &path).token(&owner()).header("content-range", "bytes 0-4/10").body("abcde");
    server
        .ask(&digest.header("content-digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"))
        .refused(400, "digest_mismatch");
    assert_eq!(server.get(&path, &owner()).expect(200).data()["offset"], 0);
    patch("bytes 0-4/10", "abcde").expect(200);
    for (body, reason) in [
        (json!({"sha256": "x"}), "invalid_digest"),
        (json!({}), "missing_field"),
        (json!({"size": 1}), "unknown_field"),
    ] {
        server.ask(&Ask::json("PUT", &path, &body).token(&owner())).refused(400, reason);
    }
    for (body, reason) in [
        (json!({"size": -1}), "invalid_field"),
        (json!({"sha256": "x"}), "invalid_digest"),
        (json!({"x": 1}), "unknown_field"),
    ] {
        server.ask(&Ask::json("POST", "/v1/uploads", &body).token(&owner())).refused(400, reason);
    }
}

#[test]
fn uploads_are_bounded_in_size_number_and_time() {
    let mut setup = Setup::default();
    setup.policy.artifact_bytes_max = 1000;
    setup.limits.artifact_bytes_max = 1000;
    setup.policy.uploads_per_user_max = 2;
    let server = Server::with(setup);
    world(&server, false);
    server
        .ask(&Ask::json("POST", "/v1/uploads", &json!({"size": 1001})).token(&owner()))
        .refused(413, "artifact_too_large");
    let path = begin(&server, &owner(), &json!({}));
    append(&server, &path, 0, &[7; 1001], "*").refused(413, "artifact_too_large");
    begin(&server, &owner(), &json!({}));
    server.ask(&Ask::json("POST", "/v1/uploads", &json!({})).token(&owner())).refused(429, "too_many_uploads");
    begin(&server, &Persona::OtherOwner.token(), &json!({}));
    server.advance_ms(24 * 3_600_000 + 1);
    server.get(&path, &owner()).refused(404, "upload_not_found");
    begin(&server, &owner(), &json!({}));
}

#[test]
fn a_digest_alone_publishes_only_what_its_sender_may_have() {
    let server = server();
    let named = |package: &str| json!({"sha256": Sha256::of(&world_bytes(package)).to_string()});
    let stranger = Persona::OtherOwner.token();
    let post = |artifact: Value| {
        let body = json!({"version": "3.0.0", "artifact": artifact});
        server.ask(
            &Ask::json("POST", "/v1/packages/others/lib/versions", &body)
                .token(&stranger)
                .header("x-request-id", "same"),
        )
    };
    let hidden = post(named(HIDDEN)).refused(404, "blob_not_found");
    let unknown = post(json!({"sha256": "0".repeat(64)})).refused(404, "blob_not_found");
    let digest = Sha256::of(&world_bytes(HIDDEN)).to_string();
    assert_eq!(hidden.text().replace(&digest, &"0".repeat(64)), unknown.text());
    server.get(&format!("/v1/blobs/{digest}"), &stranger).refused(404, "blob_not_found");
    server.get(&format!("/v1/blobs/{digest}"), &Persona::Reader.token()).expect(200);
    let data = post(named(PUBLIC)).expect(201).data();
    assert_eq!(data["sha256"], named(PUBLIC)["sha256"]);
    for wrong in [json!({}), json!({"sha256": "x"}), json!({"upload": null, "sha256": null}), json!("x")] {
        let answer = post(wrong);
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    post(json!({"upload": "01JDQK0000000000000000000A"})).refused(404, "upload_not_found");
}

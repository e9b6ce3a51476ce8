//! Publishing in parts: metadata and artifact, and everything that can be wrong with them (API.md section 4).

use serde_json::{Value, json};
use vix_registry::domain::digest::Sha256;

use crate::support::personas::people;
use crate::support::{Answer, Ask, Persona, Server, Setup, archive};

const PATH: &str = "/v1/packages/gk/jwt/versions?create=true";

fn server() -> Server {
    let server = Server::start();
    people(&server);
    server
}

fn ask(metadata: &Value, artifact: &[u8]) -> Ask {
    Ask::multipart(PATH, metadata, artifact).token(&Persona::Owner.token())
}

fn raw(body: &[u8]) -> Ask {
    let ask = Ask::new("POST", PATH).token(&Persona::Owner.token());
    ask.header("content-type", "multipart/form-data; boundary=B").body(body)
}

#[track_caller]
fn check_nothing(server: &Server) {
    assert_eq!(server.stored_files(), Vec::<std::path::PathBuf>::new());
    server.get("/v1/packages/gk/jwt/versions", &Persona::Owner.token()).refused(404, "package_not_found");
}

fn full() -> Value {
    json!({
        "version": "1.2.0-rc.1+b7", "sha256": Sha256::of(b"bytes").to_string(), "filename": "own.bin",
        "description": "what it is", "license": "MIT OR Apache-2.0", "keywords": ["one", "two"],
        "links": {"repository": "https://example.org/r", "homepage": "http://example.org"},
        "readme": "# Read me\n", "manifest": {"name": "jwt", "x": [1, {"y": null}]},
        "dependencies": [
            {"name": "gk/hmac", "req": "^1", "kind": "normal", "optional": false},
            {"name": "bare", "req": ">=1.2, <3 || 4.x", "kind": "dev", "optional": true},
            {"name": "gk/hmac", "req": "*", "kind": "build", "optional": false},
        ],
    })
}

#[test]
fn what_was_given_is_what_is_told() {
    let mut server = server();
    let answer = server.ask(&ask(&full(), b"bytes")).expect(201);
    assert_eq!(answer.header("location"), "/v1/packages/gk/jwt/versions/1.2.0-rc.1+b7");
    let created = answer.data();
    server.restart();
    let stored = server.get("/v1/packages/gk/jwt/versions/1.2.0-rc.1", "").expect(200).data();
    for told in [&created, &stored] {
        for field in
            ["version", "sha256", "filename", "description", "license", "keywords", "links", "manifest", "dependencies"]
        {
            assert_eq!(told[field], full()[field], "{field}");
        }
        assert_eq!((&told["has_readme"], &told["size"]), (&json!(true), &json!(5)));
    }
    let readme = server.get("/v1/packages/gk/jwt/versions/1.2.0-rc.1/readme", "").expect(200);
    assert_eq!(
        (readme.text().as_str(), readme.header("content-type")),
        ("# Read me\n", "text/markdown; charset=utf-8")
    );
    let line: Value = serde_json::from_slice(&server.get("/v1/index/gk/jwt", "").expect(200).body).expect("a line");
    assert_eq!((&line["v"], &line["deps"], &line["version"]), (&json!(1), &full()["dependencies"], &full()["version"]));
    // Lists leave the manifest out, and nothing else.
    let listed = server.get("/v1/packages/gk/jwt/versions", "").expect(200).data()[0].clone();
    let mut expected = stored;
    expected.as_object_mut().expect("an object").remove("manifest");
    assert_eq!(listed, expected);
}

#[test]
fn repeating_compares_only_what_is_given() {
    let server = server();
    server.ask(&ask(&full(), b"bytes")).expect(201);
    let again = |change: &dyn Fn(&mut Value)| {
        let mut metadata = full();
        change(&mut metadata);
        server.ask(&ask(&metadata, b"bytes"))
    };
    assert_eq!(again(&|_| {}).expect(200).data()["created"], false);
    assert_eq!(server.ask(&ask(&json!({"version": "1.2.0-rc.1+b7"}), b"bytes")).expect(200).data()["created"], false);
    let put = Ask::put("/v1/packages/gk/jwt/versions/1.2.0-rc.1+b7", "bytes").token(&Persona::Owner.token());
    server.ask(&put).expect(200);
    let changes: [(&str, Value); 8] = [
        ("description", json!("other")),
        ("license", json!("GPL")),
        ("keywords", json!(["one"])),
        ("links", json!({})),
        ("readme", json!("other")),
        ("manifest", json!({})),
        ("dependencies", json!([])),
        ("filename", json!("other.bin")),
    ];
    for (field, value) in changes {
        again(&|metadata| metadata[field] = value.clone()).refused(409, "version_exists");
    }
    again(&|metadata| metadata["version"] = json!("1.2.0-rc.1+b8")).refused(409, "version_exists");
    let mut metadata = full();
    metadata.as_object_mut().expect("an object").remove("sha256");
    server.ask(&ask(&metadata, b"other")).refused(409, "version_exists");
    assert_eq!(server.stored_files().len(), 3, "artifact, readme, manifest");
}

#[test]
fn metadata_that_the_contract_does_not_know_is_refused_naming_the_field() {
    let server = server();
    let check = |metadata: &Value, reason: &str, field: &str| {
        let answer = server.ask(&ask(metadata, b"bytes")).refused(400, reason);
        let details = answer.json()["error"]["details"].clone();
        if !field.is_empty() {
            assert_eq!(details[0]["field"], field, "{metadata} {}", answer.text());
        }
        check_nothing(&server);
    };
    let with = |field: &str, value: Value| {
        let mut metadata = json!({"version": "1.0.0"});
        metadata[field] = value;
        metadata
    };
    check(&json!({}), "missing_field", "version");
    check(&json!([]), "invalid_field", "");
    check(&with("version", json!(1)), "invalid_field", "version");
    check(&with("version", json!("1.0")), "invalid_semver", "");
    check(&with("licence", json!("MIT")), "unknown_field", "licence");
    check(&with("sha256", json!("AB")), "invalid_digest", "sha256");
    check(&with("sha256", json!("0".repeat(64))), "digest_mismatch", "sha256");
    check(&with("filename", json!("../x")), "invalid_field", "filename");
    check(&with("description", json!("a".repeat(1025))), "invalid_field", "description");
    check(&with("description", json!(7)), "invalid_field", "description");
    check(&with("readme", json!("a".repeat(262_145))), "invalid_field", "readme");
    check(&with("keywords", json!(vec!["k"; 65])), "invalid_field", "keywords");
    check(&with("keywords", json!(["a".repeat(65)])), "invalid_field", "keywords[0]");
    check(&with("keywords", json!(["a\u{7}"])), "invalid_field", "keywords[0]");
    check(&with("links", json!({"homepage": "javascript:alert(1)"})), "invalid_field", "links.homepage");
    check(&with("links", json!({"blog": "https://example.org"})), "unknown_field", "links.blog");
    check(&with("manifest", json!("text")), "invalid_field", "manifest");
    check(&with("manifest", json!({"x": "y".repeat(65_537)})), "invalid_manifest", "manifest");
    let dependency = |field: &str, value: Value| {
        let mut one = json!({"name": "gk/hmac", "req": "^1"});
        one[field] = value;
        with("dependencies", json!([one]))
    };
    check(&dependency("name", json!("Gk/Hmac")), "invalid_name", "dependencies[0].name");
    check(&dependency("req", json!("^1.2.3.4")), "invalid_requirement", "dependencies[0].req");
    check(&dependency("req", json!("latest")), "invalid_requirement", "dependencies[0].req");
    check(&dependency("kind", json!("peer")), "invalid_field", "dependencies[0].kind");
    check(&dependency("optional", json!("yes")), "invalid_field", "dependencies[0].optional");
    check(&dependency("version", json!("1")), "unknown_field", "dependencies[0].version");
    check(&with("dependencies", json!([{"name": "gk/hmac"}])), "missing_field", "dependencies[0].req");
    let many: Vec<Value> = (0..513).map(|at| json!({"name": format!("d{at}"), "req": "*"})).collect();
    check(&with("dependencies", json!(many)), "invalid_field", "dependencies");
}

#[test]
fn json_that_is_none_is_refused() {
    let server = server();
    let check = |metadata: &str, reason: &str| {
        let body = format!(
            "--B\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{metadata}\r\n--B\r\nContent-Disposition: form-data; name=\"artifact\"\r\n\r\nbytes\r\n--B--\r\n"
        );
        server.ask(&raw(body.as_bytes())).refused(400, reason);
        check_nothing(&server);
    };
    check("", "malformed_json");
    check("{", "malformed_json");
    check("{\"version\":\"1.0.0\"} x", "malformed_json");
    check("{\"version\":\"1.0.0\",\"version\":\"1.0.0\"}", "invalid_field");
    check(&format!("{{\"version\":\"1.0.0\",\"manifest\":{}1{}}}", "[".repeat(40), "]".repeat(40)), "json_too_deep");
    check("\u{feff}{\"version\":\"1.0.0\"}", "malformed_json");
}

#[test]
fn parts_come_in_their_order_whole_and_alone() {
    let server = server();
    let part =
        |name: &str, value: &str| format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let (metadata, artifact) = (part("metadata", "{\"version\":\"1.0.0\"}"), part("artifact", "bytes"));
    let check = |body: &str, reasons: &[&str]| {
        let answer = server.ask(&raw(body.as_bytes()));
        assert_eq!(answer.status, 400, "{body} {}", answer.text());
        assert!(reasons.contains(&answer.reason().as_str()), "{body} {}", answer.text());
        check_nothing(&server);
    };
    let broken = &["invalid_multipart"];
    check("", &["invalid_multipart", "truncated_body"]);
    check("--B--\r\n", broken);
    check(&format!("{artifact}{metadata}--B--\r\n"), broken);
    check(&format!("{metadata}--B--\r\n"), broken);
    check(&format!("{metadata}{metadata}--B--\r\n"), broken);
    check(&format!("{metadata}{artifact}{artifact}--B--\r\n"), broken);
    check(&format!("{metadata}{artifact}{}--B--\r\n", part("more", "x")), broken);
    check(&format!("{}{artifact}--B--\r\n", part("meta", "{}")), broken);
    check(&format!("{metadata}--B\r\n\r\nbytes\r\n--B--\r\n"), broken);
    check(&format!("{metadata}{artifact}"), &["invalid_multipart", "truncated_body"]);
    check(&format!("{metadata}{artifact}--B"), &["invalid_multipart", "truncated_body"]);
    check(&format!("{metadata}{}--B--\r\n", part("artifact", "")), &["empty_artifact"]);
    let media = |value: &str| {
        let ask = Ask::new("POST", PATH).token(&Persona::Owner.token()).header("content-type", value);
        server.ask(&ask.body(format!("{metadata}{artifact}--B--\r\n")))
    };
    media("multipart/form-data").refused(400, "invalid_multipart");
    media("multipart/form-data; boundary=").refused(400, "invalid_multipart");
    media("multipart/mixed; boundary=B").refused(415, "unsupported_media_type");
    media("multipart/form-data; boundary=B").expect(201);
}

#[test]
fn oversized_parts_are_refused_with_their_limit() {
    let mut setup = Setup::default();
    setup.policy.artifact_bytes_max = 1000;
    setup.limits.artifact_bytes_max = 1000;
    setup.limits.json.bytes_max = 2000;
    let server = Server::with(setup);
    people(&server);
    let limit = |answer: &Answer| answer.json()["error"]["details"][0]["limit"].clone();
    let large = json!({"version": "1.0.0", "readme": "a".repeat(3000)});
    assert_eq!(limit(&server.ask(&ask(&large, b"bytes")).refused(413, "body_too_large")), 2000);
    let small = json!({"version": "1.0.0"});
    assert_eq!(limit(&server.ask(&ask(&small, &[7; 1001])).refused(413, "artifact_too_large")), 1000);
    check_nothing(&server);
    server.ask(&ask(&small, &[7; 1000])).expect(201);
}

#[test]
fn rights_are_told_before_the_body_is_read() {
    let server = server();
    let head = |persona: Persona, path: &str| {
        let ask = Ask::new("POST", path).token(&persona.token()).header("content-length", "1000000");
        server.ask(&ask.header("expect", "100-continue").header("content-type", "multipart/form-data; boundary=B"))
    };
    head(Persona::Anonymous, PATH).refused(401, "missing_token");
    head(Persona::AdminReadOnly, PATH).refused(403, "missing_scope");
    head(Persona::ForeignPattern, PATH).refused(403, "token_packages");
    head(Persona::OtherOwner, PATH).refused(403, "not_namespace_member");
    head(Persona::Owner, "/v1/packages/gk/jwt/versions").refused(404, "package_not_found");
}

#[test]
fn archives_fill_in_what_the_client_left_out() {
    let server = server();
    let manifest = json!({
        "name": "jwt", "namespace": "gk", "version": "0.9.0", "description": "from the archive", "license": "MIT",
        "keywords": ["jwt"], "deps": ["gk/hmac@^1.0.0", {"id": "gk/sha", "version": "2.0.0"}],
    });
    let files: [(&str, &[u8]); 2] =
        [("jwt/vix.json", &serde_json::to_vec(&manifest).expect("JSON")), ("jwt/README.md", b"# jwt\n")];
    let bytes = archive::tar_gz(&files);
    let answer = server.ask(&ask(&json!({"version": "1.0.0", "license": "GPL"}), &bytes)).expect(201);
    let warnings = answer.json()["meta"]["warnings"].clone();
    assert_eq!(warnings[0]["reason"], "manifest_differs", "{warnings}");
    let data = answer.data();
    assert_eq!((&data["description"], &data["license"]), (&json!("from the archive"), &json!("GPL")));
    assert_eq!((&data["manifest"], &data["has_readme"]), (&manifest, &json!(true)));
    let named: Vec<&str> =
        data["dependencies"].as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(named, ["gk/hmac", "gk/sha"]);
    let broken = archive::tar_gz(&[("vix.json", b"{\"description\": 7}")]);
    let refused = server.ask(&ask(&json!({"version": "2.0.0"}), &broken)).refused(400, "invalid_manifest");
    assert!(refused.text().contains("description"), "{}", refused.text());
    // An archive that ends early is bytes like any other, with a warning.
    let cut = &bytes[..bytes.len() - 30];
    let answer = server.ask(&ask(&json!({"version": "3.0.0"}), cut)).expect(201);
    assert!(answer.json()["meta"]["warnings"].is_array(), "{}", answer.text());
    let fetched = server.get("/v1/packages/gk/jwt/versions/3.0.0/artifact", "").expect(200);
    assert!(fetched.body == cut);
}

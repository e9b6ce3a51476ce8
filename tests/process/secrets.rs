//! No secret is seen from outside: in logs, in files, in the process list (issue: Show 8).

use super::binary::Running;
use super::support::{Ask, Client, secrecy};

#[test]
fn no_secret_is_in_the_log_the_files_or_the_process_list() {
    let mut server = Running::start();
    let mut client = Client::connect(server.address);
    let path = "/v1/packages/gk/jwt/versions/1.0.0";
    client.ask(&Ask::put(&format!("{path}?create"), "bytes").token(&server.token)).expect(201);
    let made =
        Ask::json("POST", "/v1/tokens", &serde_json::json!({"name": "ci", "scopes": ["read"]})).token(&server.token);
    let secret = client.ask(&made).expect(201).data()["secret"].as_str().expect("a secret").to_owned();
    client.ask(&Ask::get("/v1/me").token(&secret)).expect(200);
    // Secrets in the wrong places: a path, a query, a user agent, a request id, a scheme.
    for ask in [
        Ask::get(&format!("/v1/packages/{secret}")),
        Ask::get(&format!("/v1/{secret}")),
        Ask::get(&format!("{path}?token={secret}")),
        Ask::get(path).header("user-agent", &secret),
        Ask::get(path).header("x-request-id", &secret),
        Ask::get(path).header("referer", &secret),
        Ask::get("/v1/me").header("authorization", &format!("Token {secret}")),
    ] {
        client.ask(&ask);
    }
    let cmdline = std::fs::read(format!("/proc/{}/cmdline", server.pid())).expect("the process lives");
    let environment = std::fs::read(format!("/proc/{}/environ", server.pid())).expect("the process lives");
    server.stop();
    let log = server.log();
    assert!(log.lines().count() > 8 && log.contains("/v1/me"), "{log}");
    for (what, text) in [("log", log), ("arguments", lossy(&cmdline)), ("environment", lossy(&environment))] {
        for secret in [&server.token, &secret] {
            assert!(!text.contains(secret.as_str()), "the {what} holds {secret}: {text}");
            assert!(!text.contains(&secret[10..40]), "the {what} holds most of {secret}: {text}");
        }
    }
    secrecy::check(&server.data());
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

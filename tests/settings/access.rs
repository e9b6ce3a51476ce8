//! Who may, where the registry is, and whom it believes.

use serde_json::json;

use crate::registry::{Check, Registry, see_each};
use crate::support::Ask;

/// A registry for its own people.
pub(crate) const CLOSED: &[Check] = &[
    Check { key: "anonymous_read", value: "false", see: anonymous_read },
    Check { key: "namespaces.claim", value: "admin", see: claim },
    Check { key: "login.enabled", value: "false", see: login_enabled },
];

/// A registry behind a proxy, somewhere else than usual.
pub(crate) const REACHED: &[Check] = &[
    Check { key: "http.listen", value: "127.0.0.2:0", see: listen },
    Check { key: "data", value: "{temp}/elsewhere", see: data },
    Check { key: "admin_token_file", value: "{temp}/admin-token", see: admin_token_file },
    Check { key: "public_url", value: "https://packages.example", see: public_url },
    Check { key: "cors.origins", value: "https://ui.example", see: cors },
    Check { key: "http.trusted_proxies", value: "127.0.0.0/8", see: trusted_proxies },
];

#[test]
fn a_registry_can_be_closed() {
    see_each(CLOSED);
}

#[test]
fn a_registry_is_where_it_is_set_to_be_and_believes_whom_it_is_set_to_believe() {
    see_each(REACHED);
}

fn anonymous_read(registry: &mut Registry) {
    registry.ask(&Ask::get("/v1/packages")).refused(401, "missing_token");
    registry.get("/v1/packages").expect(200);
}

fn claim(registry: &mut Registry) {
    let body = json!({"name": "gk"});
    registry.json("POST", "/v1/namespaces", &body, &registry.pia).refused(403, "claims_closed");
    registry.json("POST", "/v1/namespaces", &body, &registry.admin).expect(201);
}

fn login_enabled(registry: &mut Registry) {
    registry.ben();
    registry.login("correct horse").refused(404, "no_such_route");
}

fn listen(registry: &mut Registry) {
    assert!(registry.server().address.starts_with("127.0.0.2:"), "{}", registry.server().address);
}

fn data(registry: &mut Registry) {
    assert!(registry.path("elsewhere/meta.redb").exists() && !registry.path("reg").exists());
}

fn admin_token_file(registry: &mut Registry) {
    let token = std::fs::read_to_string(registry.path("admin-token")).expect("a file");
    let me = registry.ask(&Ask::get("/v1/me").token(token.trim())).expect(200).data();
    assert_eq!((&me["user"]["name"], &me["user"]["admin"]), (&json!("admin"), &json!(true)));
}

fn public_url(registry: &mut Registry) {
    let answer = registry.put("gk/jwt", "1.0.0", "bytes").expect(201);
    let url = "https://packages.example/v1/packages/gk/jwt/versions/1.0.0";
    assert_eq!((answer.header("location"), &answer.data()["url"]), (url, &json!(format!("{url}/artifact"))));
}

fn cors(registry: &mut Registry) {
    let from = |origin: &str| {
        let answer = registry.ask(&Ask::get("/v1").header("origin", origin));
        answer.header("access-control-allow-origin").to_owned()
    };
    assert_eq!([from("https://ui.example"), from("https://other.example")], ["https://ui.example", ""]);
}

fn trusted_proxies(registry: &mut Registry) {
    let ask = Ask::get("/health").header("x-forwarded-for", "203.0.113.7").header("x-request-id", "through-a-proxy");
    registry.ask(&ask).expect(200);
    let line = registry.server().process.stderr_line("through-a-proxy");
    assert!(line.contains(r#""client_ip":"203.0.113.7""#), "{line}");
}

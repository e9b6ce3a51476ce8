//! `limits.*`: what is at a limit is taken, what is one past it is refused, and the refusal tells the limit.

use serde_json::{Value, json};

use crate::registry::{Check, Registry, refused, see_each};
use crate::support::{Answer, Ask};

pub(crate) const LIMITS: &[Check] = &[
    Check { key: "limits.artifact_bytes", value: "1000", see: artifact_bytes },
    Check { key: "limits.json_bytes", value: "4 KiB", see: json_bytes },
    Check { key: "limits.json_depth", value: "5", see: json_depth },
    Check { key: "limits.header_bytes", value: "2 KiB", see: header_bytes },
    Check { key: "limits.header_count", value: "20", see: header_count },
    Check { key: "limits.uri_bytes", value: "256", see: uri_bytes },
    Check { key: "limits.readme_bytes", value: "16", see: readme_bytes },
    Check { key: "limits.manifest_bytes", value: "40", see: manifest_bytes },
    Check { key: "limits.description_bytes", value: "8", see: description_bytes },
    Check { key: "limits.reason_bytes", value: "4", see: reason_bytes },
    Check { key: "limits.keywords", value: "2", see: keywords },
    Check { key: "limits.dependencies", value: "1", see: dependencies },
    Check { key: "limits.resolve_roots", value: "1", see: resolve_roots },
];

#[test]
fn limits_are_kept_and_told() {
    see_each(LIMITS);
}

fn artifact_bytes(registry: &mut Registry) {
    registry.put("gk/jwt", "1.0.0", vec![b'x'; 1000]).expect(201);
    refused(registry.put("gk/jwt", "1.0.1", vec![b'x'; 1001]), 413, "artifact_too_large", 1000);
    assert_eq!(registry.get("/v1").data()["limits"]["artifact_bytes_max"], 1000);
}

/// Asks for a closure with a body of some length.
fn resolve_of(registry: &Registry, length: usize) -> Answer {
    let mut body = r#"{"roots":{"gk/jwt":"*"}}"#.to_owned();
    body.push_str(&" ".repeat(length - body.len()));
    registry.ask(&Ask::new("POST", "/v1/resolve").header("content-type", "application/json").body(body))
}

fn json_bytes(registry: &mut Registry) {
    resolve_of(registry, 4096).expect(200);
    refused(resolve_of(registry, 4097), 413, "body_too_large", 4096);
}

fn json_depth(registry: &mut Registry) {
    let nested = |depth: usize| {
        let body = format!(r#"{{"roots":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
        registry.ask(&Ask::new("POST", "/v1/resolve").header("content-type", "application/json").body(body))
    };
    nested(5).refused(400, "invalid_field");
    refused(nested(6), 400, "json_too_deep", 5);
}

/// The status of a request with headers that together have some bytes, as on the wire.
fn with_headers(registry: &Registry, count: usize, bytes: usize) -> u16 {
    let mut ask = Ask::get("/health").header("host", "x");
    let each = |ask: &Ask| ask.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
    while ask.headers.len() + 1 < count {
        ask = ask.header("x-more", "1");
    }
    let padding = bytes - each(&ask) - "x-pad".len() - 4;
    registry.ask(&ask.header("x-pad", &"x".repeat(padding))).status
}

fn header_bytes(registry: &mut Registry) {
    assert_eq!([2048, 2049].map(|bytes| with_headers(registry, 2, bytes)), [200, 431]);
}

fn header_count(registry: &mut Registry) {
    assert_eq!([20, 21].map(|count| with_headers(registry, count, 1000)), [200, 431]);
}

fn uri_bytes(registry: &mut Registry) {
    let status = |length: usize| registry.ask(&Ask::get(&format!("/{}", "x".repeat(length - 1)))).status;
    assert_eq!([256, 257].map(status), [404, 414]);
}

/// A publish that only tries, with one field beside the version.
fn try_with(registry: &Registry, field: &str, value: &Value) -> Answer {
    let path = "/v1/packages/gk/jwt/versions?dry_run";
    let metadata = json!({"version": "2.0.0", field: value});
    registry.ask(&Ask::multipart(path, &metadata, b"bytes").token(&registry.pia))
}

fn readme_bytes(registry: &mut Registry) {
    try_with(registry, "readme", &"x".repeat(16).into()).expect(200);
    refused(try_with(registry, "readme", &"x".repeat(17).into()), 400, "invalid_field", 16);
}

fn manifest_bytes(registry: &mut Registry) {
    let manifest = |length: usize| json!({"x": "y".repeat(length - r#"{"x":""}"#.len())});
    try_with(registry, "manifest", &manifest(40)).expect(200);
    refused(try_with(registry, "manifest", &manifest(41)), 400, "invalid_manifest", 40);
}

fn description_bytes(registry: &mut Registry) {
    try_with(registry, "description", &"x".repeat(8).into()).expect(200);
    refused(try_with(registry, "description", &"x".repeat(9).into()), 400, "invalid_field", 8);
}

fn reason_bytes(registry: &mut Registry) {
    let path = "/v1/packages/gk/jwt/versions/1.0.0";
    let yank = |reason: &str| registry.json("PATCH", path, &json!({"yanked": true, "reason": reason}), &registry.pia);
    refused(yank("12345"), 400, "invalid_field", 4);
    yank("1234").expect(200);
}

fn keywords(registry: &mut Registry) {
    try_with(registry, "keywords", &json!(["a", "b"])).expect(200);
    refused(try_with(registry, "keywords", &json!(["a", "b", "c"])), 400, "invalid_field", 2);
}

fn dependencies(registry: &mut Registry) {
    let on = |name: &str| json!({"name": name, "req": "^1"});
    try_with(registry, "dependencies", &json!([on("gk/a")])).expect(200);
    refused(try_with(registry, "dependencies", &json!([on("gk/a"), on("gk/b")])), 400, "invalid_field", 1);
}

fn resolve_roots(registry: &mut Registry) {
    let roots = json!({"roots": {"gk/jwt": "*", "gk/b": "*"}});
    refused(registry.json("POST", "/v1/resolve", &roots, ""), 400, "invalid_field", 1);
}

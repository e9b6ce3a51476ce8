//! `login.*`, `tokens.*`, `uploads.*`: how long what one gets lives, how often and how many at once.

use serde_json::json;

use crate::registry::{Check, Registry, life_ms, refused, see_each};
use crate::support::{Ask, Client};

pub(crate) const LIVES: &[Check] = &[
    Check { key: "login.token_ttl", value: "2 h", see: token_ttl },
    Check { key: "tokens.expires_max", value: "1 d", see: expires_max },
    Check { key: "uploads.ttl", value: "1 h", see: upload_ttl },
    Check { key: "uploads.per_user", value: "1", see: uploads_per_user },
];

pub(crate) const FAILURES: &[Check] = &[
    Check { key: "login.failures_max", value: "1", see: failures_max },
    Check { key: "login.failures_window", value: "1 h", see: failures_window },
];

pub(crate) const CROWD: &[Check] = &[Check { key: "login.concurrency", value: "8", see: concurrency }];

/// How many checks of passwords may wait for their turn.
const WAITING: usize = 32;

#[test]
fn logins_tokens_and_uploads_live_as_long_as_set() {
    see_each(LIVES);
}

#[test]
fn failed_logins_are_counted() {
    see_each(FAILURES);
}

#[test]
fn more_passwords_can_be_checked_at_once() {
    let mut registry = Registry::start(&[("login.concurrency", CROWD[0].value), ("login.failures_max", "100")]);
    (CROWD[0].see)(&mut registry);
}

fn token_ttl(registry: &mut Registry) {
    registry.ben();
    assert_eq!(life_ms(&registry.login("correct horse").expect(200).data()), 7_200_000);
}

fn expires_max(registry: &mut Registry) {
    let login = registry.login("correct horse").expect(200).data();
    let secret = login["secret"].as_str().expect("a secret");
    let body = json!({"name": "ci", "scopes": ["read"]});
    assert_eq!(life_ms(&registry.json("POST", "/v1/tokens", &body, secret).expect(201).data()), 86_400_000);
    let body = json!({"name": "ci", "scopes": ["read"], "expires_at": "2999-01-01T00:00:00.000Z"});
    registry.json("POST", "/v1/tokens", &body, secret).refused(403, "exceeds_own_rights");
}

fn upload_ttl(registry: &mut Registry) {
    let upload = registry.json("POST", "/v1/uploads", &json!({}), &registry.pia).expect(201).data();
    assert_eq!(life_ms(&upload), 3_600_000);
}

/// Begins where [`upload_ttl`] ends: with one open upload.
fn uploads_per_user(registry: &mut Registry) {
    let again = registry.json("POST", "/v1/uploads", &json!({}), &registry.pia);
    refused(again, 429, "too_many_uploads", 1);
}

fn failures_max(registry: &mut Registry) {
    registry.ben();
    registry.login("wrong password").refused(401, "wrong_credentials");
    registry.login("correct horse").refused(429, "rate_limited");
}

/// Begins where [`failures_max`] ends: with logins that have to wait.
fn failures_window(registry: &mut Registry) {
    let answer = registry.login("correct horse").refused(429, "rate_limited");
    let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((3000..=3600).contains(&seconds), "{seconds}");
}

/// By default two run and 32 wait, so that some of these would be refused.
fn concurrency(registry: &mut Registry) {
    registry.ben();
    let mut clients: Vec<Client> = (0..8 + WAITING).map(|_| registry.connect()).collect();
    let body = json!({"username": "ben", "password": "correct horse"});
    let ask = Ask::json("POST", "/v1/login", &body);
    for client in &mut clients {
        client.write(ask.head(client.address()).as_bytes());
    }
    for client in &mut clients {
        client.write(ask.body.as_deref().unwrap_or_default());
    }
    for client in &mut clients {
        client.answer("POST").expect("an answer").expect(200);
    }
}

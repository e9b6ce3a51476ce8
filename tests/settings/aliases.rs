//! `log.*`, and the names that earlier configurations have.

use crate::program::{Place, Server};
use crate::registry::{Check, Registry, see_each};
use crate::support::{Ask, Client};

pub(crate) const TEXT: &[Check] = &[Check { key: "log.format", value: "text", see: format }];

pub(crate) const QUIET: &[Check] = &[Check { key: "log.level", value: "warn", see: level }];

#[test]
fn the_log_has_the_shape_that_is_set() {
    see_each(TEXT);
}

#[test]
fn the_log_leaves_out_what_is_below_its_level() {
    see_each(QUIET);
}

fn format(registry: &mut Registry) {
    registry.ask(&Ask::get("/health").header("x-request-id", "in-text")).expect(200);
    let line = registry.server().process.stderr_line("in-text");
    assert!(!line.starts_with('{') && line.contains(" info "), "{line}");
}

/// By default requests are told, as the other groups see.
fn level(registry: &mut Registry) {
    registry.ask(&Ask::get("/health")).expect(200);
    let ended = registry.take().stop();
    assert!(!ended.stderr.contains("/health"), "{ended:?}");
}

#[test]
fn earlier_names_act_and_are_warned_of() {
    let place = Place::new();
    let token = place.ok(&["token", "create", "--user", "pia", "--scope", "publish"]);
    let settings = [
        ("port", "0"),
        ("log_level", "warn"),
        ("request_timeout_ms", "1500"),
        ("max_body_bytes", "1000"),
        ("storage_backend", "redb"),
    ];
    let lines = settings.map(|(name, value)| match value.parse::<u64>() {
        Ok(number) => format!("{name} = {number}\n"),
        Err(_) => format!("{name} = '{value}'\n"),
    });
    let blobs = place.data().join("blobs");
    let file = lines.concat() + &format!("artifacts_dir = '{}'\n", blobs.display());
    std::fs::write(place.path("c.toml"), file).expect("a file");
    let server = Server::start(&mut place.command(&["serve", "--config", "c.toml"]));
    let address = server.address.parse().expect("an address");
    assert!(!server.address.ends_with(":8080"), "{}", server.address);
    let path = "/v1/packages/gk/jwt/versions/1.0.0";
    let put = |length: usize| Ask::put(&format!("{path}?create"), vec![b'x'; length]).token(&token);
    Client::connect(address).ask(&put(1001)).refused(413, "artifact_too_large");
    Client::connect(address).ask(&put(1000)).expect(201);
    let shown = place.ok(&["config", "show", "--config", "c.toml"]);
    assert!(shown.lines().any(|line| line.contains("request_timeout") && line.contains("1 s 500 ms")), "{shown}");
    let ended = server.stop();
    for (name, _) in settings.into_iter().chain([("artifacts_dir", "")]) {
        assert!(ended.stderr.contains(&format!("`{name}`")), "{name}: {ended:?}");
    }
    assert!(!ended.stderr.contains("/v1/packages"), "requests are less than warnings: {ended:?}");
    assert!(std::fs::read_dir(&blobs).expect("a directory").next().is_some());
}

//! A running program with some settings, and what it takes to look at one of them.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vix_registry::config::Key;

use crate::program::{Place, Server, set_mode};
use crate::support::{Answer, Ask, Client};

/// One key, a value other than its default, and what sees it act.
pub(crate) struct Check {
    pub(crate) key: &'static str,
    /// `{temp}` stands for a directory of the test's own.
    pub(crate) value: &'static str,
    pub(crate) see: fn(&mut Registry),
}

/// The program, serving under some settings.
pub(crate) struct Registry {
    pub(crate) place: Place,
    server: Option<Server>,
    variables: Vec<(String, String)>,
    /// May everything.
    pub(crate) admin: String,
    /// May publish.
    pub(crate) pia: String,
}

/// Starts one server with all the values, and looks at them in turn.
pub(crate) fn see_each(checks: &[Check]) {
    let settings: Vec<_> = checks.iter().map(|check| (check.key, check.value)).collect();
    let mut registry = Registry::start(&settings);
    for check in checks {
        eprintln!("{} = {}", check.key, check.value);
        (check.see)(&mut registry);
    }
}

impl Registry {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let place = Place::new();
        let temp = place.path("");
        let temp = temp.to_str().expect("text").trim_end_matches('/');
        let variable = |(name, value): &(&str, &str)| {
            let key = Key::find(name).unwrap_or_else(|| panic!("`{name}` is no key"));
            assert_ne!(key.default, *value, "{name}: a default shows nothing");
            (key.env(), value.replace("{temp}", temp))
        };
        let variables = settings.iter().map(variable).collect();
        let mut registry = Self { place, server: None, variables, admin: String::new(), pia: String::new() };
        if settings.iter().any(|(name, _)| *name == "admin_token_file") {
            let file = registry.place.path("admin-token");
            std::fs::write(&file, Place::new().ok(&["token", "create", "--user", "a", "--scope", "read"]))
                .expect("a file");
            set_mode(&file, 0o600);
        }
        registry.admin = registry.ok(&["token", "create", "--user", "ada", "--scope", "admin"]);
        registry.pia = registry.ok(&["token", "create", "--user", "pia", "--scope", "publish"]);
        registry.serve();
        registry
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a verb under the same settings.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ended = crate::program::Ended::of(&mut self.command(arguments), "");
        assert_eq!(ended.code(), 0, "{arguments:?}: {ended:?}");
        ended.stdout.trim_end().to_owned()
    }

    /// Starts the server, where the settings name no address on a free port.
    fn serve(&mut self) {
        let mut command = self.command(&["serve"]);
        if !self.variables.iter().any(|(name, _)| name == "VIX_REGISTRY_HTTP_LISTEN") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        self.server = Some(Server::start(&mut command));
    }

    /// Stops and starts it.
    pub(crate) fn restart(&mut self) {
        drop(self.take().stop());
        self.serve();
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    /// The server, to be ended.
    pub(crate) fn take(&mut self) -> Server {
        self.server.take().expect("it runs")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.server().address.parse().expect("an address"))
    }

    #[track_caller]
    pub(crate) fn ask(&self, ask: &Ask) -> Answer {
        self.connect().ask(ask)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&Ask::get(path).token(&self.pia))
    }

    /// Sends JSON as `token`.
    #[track_caller]
    pub(crate) fn json(&self, method: &str, path: &str, body: &Value, token: &str) -> Answer {
        self.ask(&Ask::json(method, path, body).token(token))
    }

    /// Publishes bytes as a version of a package that is made when it is missing.
    #[track_caller]
    pub(crate) fn put(&self, pkg: &str, version: &str, bytes: impl Into<Vec<u8>>) -> Answer {
        self.ask(&Ask::put(&format!("/v1/packages/{pkg}/versions/{version}?create"), bytes).token(&self.pia))
    }

    /// A user `ben` with the password `correct horse`.
    pub(crate) fn ben(&self) {
        let body = json!({"name": "ben", "password": "correct horse"});
        self.json("POST", "/v1/users", &body, &self.admin).expect(201);
    }

    #[track_caller]
    pub(crate) fn login(&self, password: &str) -> Answer {
        self.json("POST", "/v1/login", &json!({"username": "ben", "password": password}), "")
    }
}

/// Holds a refusal against its status, its reason and the limit that it tells.
#[track_caller]
pub(crate) fn refused(answer: Answer, status: u16, reason: &str, limit: u64) {
    let answer = answer.refused(status, reason);
    assert_eq!(answer.json()["error"]["details"][0]["limit"], limit, "{}", answer.text());
}

/// The milliseconds between two times of a resource.
#[track_caller]
pub(crate) fn life_ms(data: &Value) -> i64 {
    let [from, to] = ["created_at", "expires_at"].map(|name| {
        let text = data[name].as_str().unwrap_or_else(|| panic!("{name}: {data}"));
        vix_registry::domain::time::Timestamp::parse(text).expect("a time").0
    });
    to - from
}

/// What acts under its own value acts long before it would under the default one.
#[track_caller]
pub(crate) fn sooner_than(default: Duration, act: impl FnOnce()) {
    let began = Instant::now();
    act();
    let took = began.elapsed();
    assert!(took < default, "it took {took:?}, as by default");
}

//! Verbs: the same beside a running server and without one, for people and for programs.

use serde_json::Value;

use crate::program::{Ended, Place, command};

/// Runs `verb` without a server, then another one beside a server.
fn both_ways(check: impl Fn(&Place)) {
    let place = Place::new();
    place.ok(&["user", "add", "root", "--admin"]);
    check(&place);
    let place = Place::new();
    let server = place.serve();
    check(&place);
    server.stop();
}

#[test]
fn a_token_is_printed_alone_and_works_at_once() {
    let place = Place::new();
    let before = place.run(&["token", "create", "--user", "pia", "--scope", "admin", "--expires", "30d"]);
    assert_eq!(before.code(), 0);
    assert!(before.stdout.starts_with("vixr_") && before.stdout.len() == 55, "{before:?}");
    assert!(before.stderr.contains("made the user pia, an admin"), "{before:?}");
    let server = place.serve();
    let beside = place.run(&["token", "create", "--user", "ben", "--scope", "read,publish", "--packages", "gk/*"]);
    assert!(beside.stderr.contains("made the user ben, not an admin"), "{beside:?}");
    assert_eq!((server.me(before.stdout.trim()), server.me(beside.stdout.trim())), (200, 200));
    let listed = place.run(&["token", "list", "--user", "ben", "--json"]).json();
    assert_eq!(listed["data"][0]["packages"], serde_json::json!(["gk/*"]));
    let id = listed["data"][0]["id"].as_str().expect("an id").to_owned();
    let rotated = place.ok(&["token", "rotate", &id]);
    assert_eq!((server.me(beside.stdout.trim()), server.me(&rotated)), (401, 200));
    place.ok(&["token", "revoke", &id]);
    assert_eq!(server.me(&rotated), 401);
}

#[test]
fn a_token_never_exceeds_its_user() {
    both_ways(|place| {
        place.ok(&["user", "add", "ben"]);
        let refused = place.run(&["token", "create", "--user", "ben", "--scope", "admin"]);
        assert_eq!((refused.code(), refused.stdout.as_str()), (1, ""));
        assert!(refused.stderr.contains("user set ben --admin true"), "{refused:?}");
        place.ok(&["user", "set", "ben", "--admin", "true"]);
        place.ok(&["token", "create", "--user", "ben", "--scope", "admin"]);
    });
}

#[test]
fn users_are_administered_both_ways() {
    both_ways(|place| {
        place.ok(&["user", "add", "pia", "--email", "pia@example.com"]);
        assert_eq!(place.run(&["user", "add", "pia"]).code(), 1);
        let mut passwd = place.command(&["user", "passwd", "pia"]);
        assert_eq!(Ended::of(&mut passwd, "correct horse battery staple\n").code(), 0);
        assert_eq!(place.run(&["user", "passwd", "pia"]).code(), 2, "no password on stdin");
        place.ok(&["user", "disable", "pia"]);
        place.ok(&["user", "set", "pia", "--clear", "email"]);
        let users = place.run(&["user", "list", "--json"]).json();
        let pia = users["data"].as_array().expect("a list").iter().find(|user| user["name"] == "pia").cloned();
        let pia = pia.expect("pia is listed");
        assert_eq!((&pia["disabled"], &pia["has_password"], &pia["email"]), (&true.into(), &true.into(), &Value::Null));
        place.ok(&["user", "delete", "pia"]);
        assert!(!place.ok(&["user", "list"]).contains("pia"));
    });
}

#[test]
fn packages_are_administered_both_ways() {
    both_ways(|place| {
        place.ok(&["user", "add", "pia"]);
        place.ok(&["namespace", "create", "gk"]);
        place.ok(&["namespace", "member", "set", "gk", "pia", "owner"]);
        place.ok(&[
            "package",
            "create",
            "gk/jwt",
            "--description",
            "tokens",
            "--link",
            "repository=https://example.com/x",
        ]);
        place.ok(&["package", "set", "gk/jwt", "--deprecated", "old", "--replaced-by", "gk/jwt2"]);
        place.ok(&["package", "member", "set", "gk/jwt", "pia", "publisher"]);
        let shown = place.run(&["package", "show", "gk/jwt", "--json"]).json();
        assert_eq!(shown["data"]["deprecated"]["replaced_by"], "gk/jwt2");
        assert!(place.ok(&["package", "list", "--namespace", "gk"]).contains("gk/jwt"));
        assert_eq!(place.run(&["package", "yank", "gk/jwt", "1.0.0"]).code(), 1);
        assert!(place.ok(&["namespace", "show", "gk"]).contains("user:pia"));
    });
}

#[test]
fn a_purge_shows_its_plan_and_does_nothing_without_yes() {
    let place = Place::new();
    let server = place.serve();
    let token = place.ok(&["token", "create", "--user", "pia", "--scope", "publish"]);
    let path = "/v1/packages/gk/jwt/versions/1.0.0";
    assert_eq!(server.request("PUT", &format!("{path}?create=true"), Some(&token), b"bytes").0, 201);
    let plan = place.run(&["package", "purge", "gk/jwt", "1.0.0", "--json"]).json();
    assert_eq!((&plan["data"]["applied"], &plan["data"]["bytes"]), (&false.into(), &5.into()));
    assert_eq!(server.request("GET", path, None, b"").0, 200);
    place.ok(&["package", "purge", "gk/jwt", "1.0.0", "--yes", "--reason", "law"]);
    assert_eq!(server.request("GET", path, None, b"").0, 410);
}

#[test]
fn global_flags_stand_before_the_verb_or_after_it() {
    let place = Place::new();
    let data = place.path("other");
    let data = data.to_str().expect("UTF-8");
    place.ok(&["--data", data, "user", "add", "pia"]);
    let after =
        place.run(&["user", "list", "--data", data, "--json", "--quiet", "--color", "never", "--progress", "none"]);
    let before = place.run(&["--progress", "json", "--json", "--data", data, "user", "list"]);
    assert_eq!(after.json()["data"], before.json()["data"]);
    assert!(!place.data().exists(), "the flag counts more than the environment");
}

#[test]
fn programs_get_one_document_also_for_failures() {
    let place = Place::new();
    place.ok(&["user", "add", "pia"]);
    let cases = [
        (vec!["user", "add", "pia"], 1, "user_exists"),
        (vec!["package", "show", "gk/jwt"], 1, "package_not_found"),
        (vec!["usr"], 2, "usage"),
        (vec!["user", "list", "--data", "nowhere"], 10, "no_data_directory"),
    ];
    for (mut arguments, code, reason) in cases {
        arguments.push("--json");
        let ended = place.run(&arguments);
        assert_eq!((ended.code(), ended.json()["ok"].as_bool()), (code, Some(false)), "{ended:?}");
        assert_eq!(ended.json()["error"]["reason"], reason);
        assert!(ended.stderr.starts_with(&format!("error[{reason}]: ")), "{ended:?}");
    }
    for arguments in
        [&["version"][..], &["config", "show"], &["config", "schema"], &["openapi"], &["check"], &["status"]]
    {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let ended = place.run(&arguments);
        assert_eq!((ended.code(), ended.json()["ok"].as_bool()), (0, Some(true)), "{ended:?}");
    }
}

#[test]
fn typing_mistakes_are_refused_with_a_suggestion() {
    for (arguments, suggestion) in [
        (&["serv"][..], "serve"),
        (&["token", "revok"], "revoke"),
        (&["serve", "--lisen", "127.0.0.1:0"], "--listen"),
        (&["backup", "creat", "x"], "create"),
        (&[], "--help"),
    ] {
        let ended = Ended::of(&mut command(arguments), "");
        assert_eq!((ended.code(), ended.stdout.as_str()), (2, ""), "{ended:?}");
        assert!(ended.stderr.starts_with("error[usage]: ") && ended.stderr.contains(suggestion), "{ended:?}");
    }
}

#[test]
fn no_secret_can_be_given_as_an_argument() {
    let place = Place::new();
    for arguments in [
        &["user", "add", "pia", "--password", "hunter2hunter2"][..],
        &["user", "add", "pia", "--password=hunter2hunter2"],
        &["user", "passwd", "pia", "hunter2hunter2"],
        &["serve", "--admin-token", "x"],
    ] {
        assert_eq!(place.run(arguments).code(), 2, "{arguments:?}");
    }
    assert!(!place.data().exists());
}

#[test]
fn colour_follows_the_flag_and_never_reaches_a_pipe_by_itself() {
    let colored = |arguments: &[&str], no_color: &str| {
        let ended = Ended::of(command(arguments).env("NO_COLOR", no_color).env("TERM", "xterm"), "");
        ended.stderr.contains('\u{1b}')
    };
    assert!(!colored(&["status", "--data", "nowhere"], ""));
    assert!(!colored(&["status", "--data", "nowhere", "--color", "never"], ""));
    assert!(colored(&["status", "--data", "nowhere", "--color", "always"], "1"));
}

#[test]
fn verbs_that_come_at_once_wait_for_each_other() {
    let place = Place::new();
    place.ok(&["user", "add", "root"]);
    let names = ["a", "b", "c", "d"];
    std::thread::scope(|scope| {
        for name in names {
            let place = &place;
            scope.spawn(move || place.ok(&["user", "add", name]));
        }
    });
    let users = place.ok(&["user", "list"]);
    assert!(names.iter().all(|name| users.contains(&format!("\n{name} "))), "{users}");
}

#[test]
fn a_token_that_nobody_can_be_given_is_a_failure() {
    let place = Place::new();
    let mut create = place.command(&["token", "create", "--user", "pia", "--scope", "read"]);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let status = create.stdout(full).status().expect("the program starts");
    assert_eq!(status.code(), Some(14));
}

#[test]
fn a_server_is_asked_whether_it_is_ready() {
    let place = Place::new();
    let server = place.serve();
    let listen = server.address.clone();
    place.ok(&["healthcheck", "--listen", &listen]);
    let port = listen.rsplit(':').next().expect("a port");
    place.ok(&["healthcheck", "--listen", &format!("0.0.0.0:{port}")]);
    assert!(place.ok(&["status"]).contains("a server runs"));
    assert!(place.ok(&["check"]).contains("a server runs"));
    server.stop();
    let ended = place.run(&["healthcheck", "--listen", &listen]);
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(place.ok(&["status"]).contains("no server runs"));
}

#[test]
fn the_program_documents_itself() {
    let place = Place::new();
    assert!(place.ok(&["--help"]).contains("Exit codes"));
    assert!(place.ok(&["--version"]).starts_with("vix-registry "));
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.ok(&["completions", shell]).contains("vix-registry"), "{shell}");
    }
    place.ok(&["man", "pages"]);
    assert!(place.path("pages/vix-registry-serve.1").exists());
    place.ok(&["config", "init", "config.toml"]);
    assert_eq!(place.run(&["config", "init", "config.toml"]).code(), 1, "one that is there is left alone");
    place.ok(&["config", "check", "--config", "config.toml"]);
    let shown = place.ok(&["config", "show", "--config", "config.toml"]);
    assert!(shown.contains("env VIX_REGISTRY_DATA"), "{shown}");
}

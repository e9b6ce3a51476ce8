//! The data directory: made, refused, taken up again.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::program::{Ended, Place, Running, Server, mode, names, set_mode};

#[test]
fn it_is_made_for_its_owner_alone_whatever_the_umask() {
    let place = Place::new();
    let script = "umask 000; exec \"$0\" serve --listen 127.0.0.1:0";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_vix-registry")]);
    command.env_clear().env("VIX_REGISTRY_DATA", place.data()).stdin(Stdio::null());
    let server = Server::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let token = place.ok(&["token", "create", "--user", "pia", "--scope", "publish"]);
    let publish = "/v1/packages/gk/jwt/versions/1.0.0?create=true";
    assert_eq!(server.request("PUT", publish, Some(&token), b"bytes").0, 201);
    let mut open = vec![place.data()];
    while let Some(path) = open.pop() {
        let is_dir = path.is_dir();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
        assert_eq!(mode(&path) == 0o700, is_dir, "{}", path.display());
        if is_dir {
            open.extend(names(&path).iter().map(|name| path.join(name)));
        }
    }
    server.stop();
}

#[test]
fn one_that_others_can_write_to_is_refused_with_what_to_type() {
    let place = Place::new();
    std::fs::create_dir(place.data()).expect("a directory");
    set_mode(place.data(), 0o770);
    let ended = place.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(ended.code(), 1);
    let typed = format!("chmod go-w '{}'", place.data().display());
    assert!(ended.stderr.contains(&typed), "{ended:?}");
    assert_eq!(names(place.data()), [""; 0]);
    let status = Command::new("/bin/sh").args(["-c", &typed]).status().expect("a shell");
    assert!(status.success());
    place.serve().stop();
}

#[test]
fn one_of_other_things_is_left_alone() {
    let place = Place::new();
    std::fs::create_dir(place.data()).expect("a directory");
    set_mode(place.data(), 0o700);
    std::fs::write(place.data().join("thesis.txt"), "a").expect("a file");
    for arguments in [&["serve"][..], &["token", "create", "--user", "pia", "--scope", "read"]] {
        let ended = place.run(arguments);
        assert_eq!(ended.code(), 1);
        assert!(ended.stderr.contains("thesis.txt"), "{ended:?}");
        assert_eq!(names(place.data()), ["thesis.txt"]);
    }
}

#[test]
fn verbs_that_only_look_do_not_make_one() {
    let place = Place::new();
    for arguments in [&["status"][..], &["user", "list"], &["package", "purge", "gk/jwt", "--yes"]] {
        let ended = place.run(arguments);
        assert_eq!(ended.code(), 10, "{ended:?}");
        assert!(ended.stderr.contains("--data"), "{ended:?}");
    }
    assert_eq!(place.run(&["check"]).code(), 3);
    assert!(!place.data().exists());
}

#[test]
fn a_first_start_that_was_killed_is_completed_by_the_next() {
    for stage in ["", "LOCK", "initial-admin-token", "meta.redb", "blobs", "run/admin.sock"] {
        let place = Place::new();
        let start = Running::spawn(&mut place.command(&["serve", "--listen", "127.0.0.1:0"]));
        while !place.data().join(stage).exists() {
            std::thread::yield_now();
        }
        start.signal(Signal::KILL);
        assert_eq!(start.end().code(), 137);
        let server = place.serve();
        let token = std::fs::read_to_string(place.data().join("initial-admin-token"));
        let token = token.unwrap_or_else(|error| panic!("killed at `{stage}`: {error}"));
        assert_eq!(server.me(token.trim()), 200, "killed at `{stage}`");
        server.stop();
    }
}

#[test]
fn data_of_a_newer_program_is_left_alone() {
    let place = Place::new();
    place.ok(&["token", "create", "--user", "pia", "--scope", "read"]);
    let file = place.data().join("meta.redb");
    {
        let database = redb::Database::open(&file).expect("the metadata");
        let write = database.begin_write().expect("a transaction");
        let format: redb::TableDefinition<'_, &str, u32> = redb::TableDefinition::new("format");
        write.open_table(format).expect("the format").insert("data", 999).expect("a number");
        write.commit().expect("a commit");
    }
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["token", "list"]] {
        let ended = place.run(arguments);
        assert_eq!(ended.code(), 15, "{ended:?}");
        assert!(ended.stderr.contains("999") && ended.stdout.is_empty(), "{ended:?}");
    }
}

#[test]
fn a_damaged_index_is_built_anew_and_the_old_one_is_kept() {
    let place = Place::new();
    let token = place.ok(&["token", "create", "--user", "pia", "--scope", "read"]);
    std::fs::write(place.data().join("meta.redb"), "these are no rows").expect("a file");
    let checked = place.run(&["check", "--json"]);
    let checks = checked.json()["data"].as_array().expect("a list").clone();
    let format = checks.iter().find(|check| check["id"] == "format").expect("the format is checked");
    assert!(format["message"].as_str().is_some_and(|message| message.contains("built anew")), "{format}");
    let kept = || std::fs::read_to_string(place.data().join("meta.redb")).expect("the file");
    assert_eq!(kept(), "these are no rows", "looking changes nothing");
    let server = place.serve();
    assert_eq!(server.me(&token), 200);
    let ended = server.stop();
    assert!(ended.stderr.contains("quarantine/1.meta.redb"), "{ended:?}");
    let aside = std::fs::read_to_string(place.data().join("quarantine/1.meta.redb"));
    assert_eq!(aside.expect("it is set aside"), "these are no rows");
}

#[test]
fn a_damaged_index_without_a_journal_is_told_and_left_alone() {
    let place = Place::new();
    place.ok(&["token", "create", "--user", "pia", "--scope", "read"]);
    let file = place.data().join("meta.redb");
    std::fs::remove_dir_all(place.data().join("journal")).expect("it goes");
    for broken in ["these are no rows", ""] {
        std::fs::write(&file, broken).expect("a file");
        let ended = place.run(&["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(ended.code(), 12, "{ended:?}");
        assert_eq!(std::fs::read_to_string(&file).expect("the file"), broken);
        assert!(!place.data().join("journal").exists(), "nothing was made");
    }
}

#[test]
fn a_server_is_reached_however_long_the_path_is() {
    let place = Place::new();
    let data = place.path(&format!("{}/reg", "long".repeat(50)));
    let data = data.to_str().expect("UTF-8");
    let on = |arguments: &[&str]| {
        let mut command = crate::program::command(arguments);
        command.args(["--data", data]);
        command
    };
    let server = Server::start(&mut on(&["serve", "--listen", "127.0.0.1:0"]));
    let made = Ended::of(&mut on(&["token", "create", "--user", "pia", "--scope", "read"]), "");
    assert_eq!(server.me(made.stdout.trim()), 200, "{made:?}");
    server.stop();
}

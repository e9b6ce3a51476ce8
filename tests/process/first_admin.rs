//! How the first admin comes in: by a token of the command line, by that of a new directory, by a configured file.

use std::path::Path;

use crate::program::{Place, Server, holds_token, mode, set_mode};

fn initial(place: &Place) -> std::path::PathBuf {
    place.data().join("initial-admin-token")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the token file").trim().to_owned()
}

fn with_token_file(place: &Place, file: &Path) -> std::process::Command {
    let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("VIX_REGISTRY_ADMIN_TOKEN_FILE", file);
    command
}

#[test]
fn a_new_directory_gets_a_token_in_a_file_of_which_only_the_path_is_told() {
    let place = Place::new();
    let server = place.serve();
    let token = read(&initial(&place));
    assert_eq!((mode(initial(&place)), server.me(&token)), (0o600, 200));
    let ended = server.stop();
    assert!(ended.stderr.contains("initial-admin-token"), "{ended:?}");
    assert!(!holds_token(&ended.stderr) && !ended.stderr.contains(&token), "{ended:?}");
    let server = place.serve();
    assert_eq!((read(&initial(&place)), server.me(&token)), (token, 200), "a restart changes nothing");
}

#[test]
fn it_ends_and_its_file_goes_when_another_admin_token_is_made() {
    for beside in [true, false] {
        let place = Place::new();
        let server = place.serve();
        let token = read(&initial(&place));
        place.ok(&["token", "create", "--user", "ben", "--scope", "publish"]);
        assert_eq!(server.me(&token), 200, "that one is no admin's");
        let server = if beside {
            place.ok(&["token", "create", "--user", "pia", "--scope", "admin"]);
            server
        } else {
            server.stop();
            place.ok(&["token", "create", "--user", "pia", "--scope", "admin"]);
            assert!(!initial(&place).exists());
            place.serve()
        };
        assert_eq!(server.me(&token), 401);
        server.stop();
        assert!(!initial(&place).exists());
    }
}

#[test]
fn a_directory_that_a_token_was_made_for_gets_no_other_one() {
    let place = Place::new();
    place.ok(&["token", "create", "--user", "pia", "--scope", "admin"]);
    place.serve().stop();
    assert!(!initial(&place).exists());
}

#[test]
fn an_unfilled_file_is_not_filled_once_somebody_made_users() {
    let place = Place::new();
    place.ok(&["token", "create", "--user", "pia", "--scope", "admin"]);
    std::fs::write(initial(&place), "").expect("a file");
    place.serve().stop();
    assert!(!initial(&place).exists());
}

#[test]
fn a_configured_file_holds_the_admins_token_raw_or_hashed() {
    let maker = Place::new();
    let [first, second] = ["a", "b"].map(|name| maker.ok(&["token", "create", "--user", name, "--scope", "read"]));
    let place = Place::new();
    let file = place.path("admin-token");
    std::fs::write(&file, format!("{first}\n")).expect("a file");
    set_mode(&file, 0o600);
    let server = Server::start(&mut with_token_file(&place, &file));
    assert_eq!(server.me(&first), 200);
    assert!(server.request("GET", "/v1/users", Some(&first), b"").1.contains("\"admin\""));
    assert!(!initial(&place).exists(), "one way in is enough");
    server.stop();
    let hex = vix_registry::domain::digest::Sha256::of(second.as_bytes()).to_hex();
    std::fs::write(&file, format!("sha256:{hex}")).expect("a file");
    let server = Server::start(&mut with_token_file(&place, &file));
    assert_eq!((server.me(&first), server.me(&second)), (401, 200), "another content replaces the former token");
    let ended = server.stop();
    assert!(!holds_token(&ended.stderr), "{ended:?}");
}

#[test]
fn a_secret_file_that_others_can_read_is_refused() {
    let place = Place::new();
    let token = Place::new().ok(&["token", "create", "--user", "a", "--scope", "read"]);
    let file = place.path("admin-token");
    std::fs::write(&file, &token).expect("a file");
    set_mode(&file, 0o644);
    let ended = crate::program::Ended::of(&mut with_token_file(&place, &file), "");
    assert_eq!((ended.code(), ended.stdout.as_str()), (2, ""), "{ended:?}");
    assert!(ended.stderr.contains("chmod 600"), "{ended:?}");
    assert!(!holds_token(&ended.stderr), "{ended:?}");
}

//! Bit rot under the built program (issue: Show 7): each kind of file, stopped and running; what `verify` names, what is
//! served meanwhile, and what heals. The pages of every file are broken one by one beside the engine, in
//! `src/services/tests/verify.rs`; here the program has the last word.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vix_registry::domain::digest::Sha256;

use crate::program::{Ended, Place, Server};

/// Versions that are published.
const VERSIONS: u32 = 12;

fn version(number: u32) -> String {
    format!("/v1/packages/gk/jwt/versions/1.{number}.0")
}

fn bytes(number: u32) -> Vec<u8> {
    format!("artifact {number} ").repeat(1400).into_bytes()
}

fn publish(server: &Server, token: &str, number: u32, how: &str) -> u16 {
    server.request("PUT", &format!("{}?{how}", version(number)), Some(token), &bytes(number)).0
}

/// A registry with a few logs and snapshots, stopped; and an admin's token.
fn registry(place: &Place) -> String {
    let server = serve(place);
    let token = place.ok(&["token", "create", "--user", "pia", "--scope", "read,publish,admin"]);
    for number in 1..=VERSIONS {
        assert_eq!(publish(&server, &token, number, "create=true"), 201);
    }
    server.stop();
    token
}

/// A server that rotates after every few changes.
fn serve(place: &Place) -> Server {
    let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("VIX_REGISTRY_STORAGE_ROTATE_BYTES", "4096");
    Server::start(&mut command)
}

fn blob(place: &Place, number: u32) -> PathBuf {
    let digest = Sha256::of(&bytes(number)).to_hex();
    place.data().join("blobs/sha256").join(&digest[..2]).join(digest)
}

/// The files of a folder and those below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort_unstable();
    found
}

/// Writes other bytes into the same file, as a disk does that goes bad.
fn rot(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).expect("it is there").permissions();
    let mut bytes = fs::read(path).expect("a file");
    change(&mut bytes);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    fs::write(path, bytes).expect("it can be written");
    fs::set_permissions(path, mode).expect("it is ours");
}

/// What `verify` found: the names of the files, each with something to do about it.
#[track_caller]
fn found(ended: &Ended) -> Vec<String> {
    let answer = ended.json();
    let findings = answer["data"]["findings"].as_array().or(answer["findings"].as_array()).cloned();
    let findings: Vec<Value> = findings.unwrap_or_else(|| panic!("{ended:?}"));
    assert_eq!(ended.code(), if findings.is_empty() { 0 } else { 3 }, "{ended:?}");
    let text = |finding: &Value, key: &str| finding[key].as_str().expect("a text").to_owned();
    assert!(findings.iter().all(|finding| !text(finding, "what").is_empty() && !text(finding, "fix").is_empty()));
    findings.iter().map(|finding| text(finding, "file")).collect()
}

#[track_caller]
fn verify(place: &Place) -> Vec<String> {
    found(&place.run(&["verify", "--json"]))
}

#[test]
fn each_file_of_a_stopped_registry_that_rots_is_named() {
    let place = Place::new();
    registry(&place);
    assert_eq!(verify(&place), [""; 0]);
    let (mut logs, mut snapshots) = (0, 0);
    let journal = files(&place.data().join("journal"));
    for path in journal.iter().chain(&[blob(&place, 1), place.data().join("meta.redb")]) {
        let sound = fs::read(path).expect("a file");
        logs += usize::from(path.extension().is_some_and(|extension| extension == "log"));
        snapshots += usize::from(path.extension().is_some_and(|extension| extension == "snap"));
        let name = path.strip_prefix(place.data()).expect("below it").to_str().expect("UTF-8");
        // Of redb's pages only those that hold something are read; its first one always is.
        let at = if name == "meta.redb" { 64 } else { sound.len() / 2 };
        rot(path, |bytes| bytes[at] ^= 0x10);
        let named = verify(&place);
        assert!(named.iter().any(|file| file == name), "{name}: {named:?}");
        rot(path, |bytes| *bytes = sound);
    }
    assert!(logs > 1 && snapshots > 0, "{journal:?}");
    assert_eq!(verify(&place), [""; 0]);
}

#[test]
fn a_damaged_artifact_is_never_served_is_named_and_heals() {
    let place = Place::new();
    let token = registry(&place);
    let server = serve(&place);
    let get = |number: u32| server.request("GET", &format!("{}/artifact", version(number)), None, b"");
    for (number, wrong) in [(1, Wrong::Flipped), (2, Wrong::Cut), (3, Wrong::Zeroed), (4, Wrong::Other)] {
        let path = blob(&place, number);
        rot(&path, |stored| wrong.apply(stored));
        let (status, body) = get(number);
        assert!(status == 500 || body.len() < bytes(number).len(), "{wrong:?}: {status}, {} bytes", body.len());
        let name = path.strip_prefix(place.data()).expect("below it").to_str().expect("UTF-8").to_owned();
        assert_eq!(verify(&place), [name], "{wrong:?}");
        let (status, body) = get(number);
        assert!(status == 500 && body.contains("artifact_damaged"), "{wrong:?}: {status} {body}");
        // A copy that is made meanwhile opens, with that one artifact damaged.
        let copied = place.path(&format!("copy{number}"));
        let copying = std::process::Command::new("cp").arg("-a").arg(place.data()).arg(&copied).status();
        assert!(copying.expect("cp runs").success());
        let path = copied.to_str().expect("UTF-8");
        assert_eq!(found(&place.run(&["backup", "verify", path, "--json"])).len(), 1, "{wrong:?}");
        // The same bytes once more, and all is well.
        assert!([200, 201].contains(&publish(&server, &token, number, "create=true")), "{wrong:?}");
        assert_eq!(get(number), (200, String::from_utf8(bytes(number)).expect("text")), "{wrong:?}");
        assert_eq!(verify(&place), [""; 0], "{wrong:?}");
    }
    server.stop();
}

/// What a disk makes of a file.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Flipped,
    Cut,
    Zeroed,
    Other,
}

impl Wrong {
    fn apply(self, stored: &mut Vec<u8>) {
        match self {
            Self::Flipped => stored[4096] ^= 1,
            Self::Cut => stored.truncate(4096),
            Self::Zeroed => stored[4096..8192].fill(0),
            Self::Other => *stored = bytes(9),
        }
    }
}

#[test]
fn a_rotten_snapshot_is_written_anew_by_the_running_server() {
    let place = Place::new();
    let token = registry(&place);
    let server = serve(&place);
    let is_snapshot = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "snap");
    let newest = files(&place.data().join("journal")).into_iter().rfind(is_snapshot).expect("a snapshot");
    rot(&newest, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    assert_eq!(verify(&place).len(), 1);
    // The server has been told of it and writes another one; each publish gives it an occasion to be seen.
    let replaced = (20..200).any(|number| {
        publish(&server, &token, number, "create=true");
        let now = files(&place.data().join("journal"));
        now.into_iter().rfind(is_snapshot).is_some_and(|snapshot| snapshot > newest)
    });
    assert!(replaced, "there is no newer snapshot");
    server.stop();
}

#[test]
fn a_damaged_index_is_built_anew_from_the_journal() {
    let place = Place::new();
    registry(&place);
    let index = place.data().join("meta.redb");
    rot(&index, |bytes| bytes.truncate(9000));
    assert_eq!(verify(&place), ["meta.redb"]);
    let server = serve(&place);
    let refused = place.run(&["verify", "--rebuild"]);
    assert_eq!(refused.code(), 11, "{refused:?}");
    server.stop();
    rot(&index, |bytes| bytes.fill(7));
    let rebuilt = place.run(&["verify", "--rebuild", "--json"]);
    assert!(rebuilt.stderr.contains("the index was built anew"), "{rebuilt:?}");
    assert_eq!(found(&rebuilt), [""; 0]);
    let server = serve(&place);
    for number in 1..=VERSIONS {
        let got = server.request("GET", &format!("{}/artifact", version(number)), None, b"");
        assert_eq!(got, (200, String::from_utf8(bytes(number)).expect("text")));
    }
    server.stop();
}

#[test]
fn what_can_be_saved_of_a_damaged_journal_is_shown_and_then_saved() {
    let place = Place::new();
    let server = place.serve();
    let token = place.ok(&["token", "create", "--user", "pia", "--scope", "read,publish,admin"]);
    for number in 1..=VERSIONS {
        assert_eq!(publish(&server, &token, number, "create=true"), 201);
    }
    server.stop();
    let sound = place.run(&["verify", "--salvage", "saved"]);
    assert!(sound.code() == 0 && sound.stdout.contains("nothing to save"), "{sound:?}");
    let log = files(&place.data().join("journal")).pop().expect("a log");
    rot(&log, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    fs::remove_file(place.data().join("meta.redb")).expect("it is there");
    let shown = place.run(&["verify", "--salvage", "saved"]);
    assert!(shown.code() == 3 && shown.stdout.contains("kept: 1 packages"), "{shown:?}");
    assert!(!place.path("saved").exists());
    let saved = place.run(&["verify", "--salvage", "saved", "--yes", "--json"]);
    assert_eq!(saved.code(), 0, "{saved:?}");
    let kept = saved.json()["versions"].as_u64().or(saved.json()["data"]["versions"].as_u64()).expect("a number");
    assert!((1..u64::from(VERSIONS)).contains(&kept), "{kept}");
    let path = place.path("saved");
    assert_eq!(found(&place.run(&["backup", "verify", path.to_str().expect("UTF-8"), "--json"])), [""; 0]);
    let mut command = crate::program::command(&["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::start(command.env("VIX_REGISTRY_DATA", &path));
    for number in (1..).take(usize::try_from(kept).expect("a few")) {
        assert_eq!(server.request("GET", &format!("{}/artifact", version(number)), None, b"").0, 200, "{number}");
    }
    server.stop();
}

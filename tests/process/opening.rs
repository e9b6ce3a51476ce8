//! Opening a directory: what is answered meanwhile, and what is refused (issue: Show 6).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::program::{Ended, Place, Running, Server, command};
use crate::support::{Ask, Client};

/// A version's path.
fn version(number: u32) -> String {
    format!("/v1/packages/gk/jwt/versions/{number}.0.0")
}

/// A registry with versions 1 to `count` of one package, stopped; answers with an admin's token.
fn registry(place: &Place, count: u32) -> String {
    let server = place.serve();
    let token = place.ok(&["token", "create", "--user", "pia", "--scope", "read,publish,admin"]);
    publish(&server, &token, 1..=count);
    server.stop();
    token
}

fn publish(server: &Server, token: &str, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        let path = format!("{}?create=true", version(number));
        assert_eq!(server.request("PUT", &path, Some(token), format!("bytes {number}").as_bytes()).0, 201);
    }
}

/// Everything of these versions is served.
#[track_caller]
fn serves(server: &Server, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        let got = server.request("GET", &format!("{}/artifact", version(number)), None, b"");
        assert_eq!(got, (200, format!("bytes {number}")));
    }
}

/// The files of a directory and their bytes. `LOCK` names whoever tried last, and `run/` is no part of the data.
fn content(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![data.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path == data.join("run") || path == data.join("LOCK") {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.clone(), fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

/// The logs in the order of their names.
fn logs(data: &Path) -> Vec<PathBuf> {
    let files = content(&data.join("journal")).into_keys();
    files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect()
}

fn on(data: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = command(arguments);
    command.env("VIX_REGISTRY_DATA", data);
    command
}

/// Neither a server nor a verb opens it; each names the file and what to type next, and changes nothing.
#[track_caller]
fn refused(data: &Path, code: i32, named: &[&str]) {
    let before = content(data);
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["token", "list"]] {
        let ended = Ended::of(&mut on(data, arguments), "");
        assert_eq!((ended.code(), ended.stdout.as_str()), (code, ""), "{ended:?}");
        for name in named.iter().chain(&["vix-registry "]) {
            assert!(ended.stderr.contains(name), "`{name}` is not told: {ended:?}");
        }
        assert!(content(data) == before, "something was changed: {ended:?}");
    }
    let checked = Ended::of(&mut on(data, &["check"]), "");
    assert_eq!(checked.code(), 3, "{checked:?}");
    assert!(content(data) == before, "check changed something: {checked:?}");
}

fn copy(from: &Path, to: &Path, how: &[&str]) {
    let status = std::process::Command::new("cp").args(how).arg(from).arg(to).status().expect("cp runs");
    assert!(status.success());
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("UTF-8")
}

#[test]
fn a_copy_over_an_opened_directory_is_refused() {
    let place = Place::new();
    let token = registry(&place, 2);
    let copied = place.path("copy");
    copy(&place.data(), &copied, &["-a"]);
    let server = Server::start(&mut on(&copied, &["serve", "--listen", "127.0.0.1:0"]));
    publish(&server, &token, 10..=11);
    server.stop();
    let server = place.serve();
    publish(&server, &token, 3..=4);
    server.stop();
    let own = logs(&copied).pop().expect("a log");
    // What one does who wants the newest state "back" in the place of the old copy.
    copy(&place.data().join("."), &copied, &["-a"]);
    refused(&copied, 13, &[name(&own), name(&logs(&place.data())[1])]);
    serves(&place.serve(), 1..=4);
}

#[test]
fn two_histories_in_one_directory_are_refused_with_both_named() {
    let (place, other) = (Place::new(), Place::new());
    registry(&place, 2);
    registry(&other, 1);
    let (own, strange) = (logs(&place.data()), logs(&other.data()));
    copy(&other.data().join("journal/."), &place.data().join("journal"), &["-a"]);
    refused(&place.data(), 13, &[name(&own[0]), name(&strange[0])]);
}

#[test]
fn a_log_that_was_cut_short_is_damage() {
    let place = Place::new();
    registry(&place, 3);
    let log = logs(&place.data()).pop().expect("a log");
    let length = fs::metadata(&log).expect("it is there").len();
    fs::OpenOptions::new().write(true).open(&log).and_then(|file| file.set_len(length / 2)).expect("cut");
    refused(&place.data(), 12, &[name(&log), "byte ", "--salvage"]);
}

#[test]
fn a_damaged_frame_in_the_middle_is_damage_and_the_rest_can_be_saved() {
    let place = Place::new();
    registry(&place, 3);
    let log = logs(&place.data()).pop().expect("a log");
    let mut bytes = fs::read(&log).expect("a log");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).expect("damaged");
    refused(&place.data(), 12, &[name(&log), "byte ", "--salvage"]);
}

#[test]
fn a_log_that_is_not_there_is_damage() {
    let place = Place::new();
    let token = registry(&place, 1);
    let server = place.serve();
    publish(&server, &token, 2..=2);
    server.stop();
    let all = logs(&place.data());
    assert!(all.len() > 1, "each start begins a log");
    for log in &all {
        let aside = place.path("aside");
        fs::rename(log, &aside).expect("it goes");
        refused(&place.data(), 12, &["journal/"]);
        fs::rename(&aside, log).expect("it comes back");
    }
    serves(&place.serve(), 1..=2);
}

#[test]
fn a_hard_link_copy_beside_its_running_original_harms_neither() {
    let place = Place::new();
    let token = registry(&place, 2);
    let original = place.serve();
    publish(&original, &token, 3..=3);
    let copied = place.path("copy");
    copy(&place.data(), &copied, &["-al"]);
    let verb = Ended::of(&mut on(&copied, &["package", "list"]), "");
    assert!(verb.stdout.contains("gk/jwt") && verb.code() == 0, "{verb:?}");
    let server = Server::start(&mut on(&copied, &["serve", "--listen", "127.0.0.1:0"]));
    publish(&original, &token, 4..=5);
    publish(&server, &token, 20..=21);
    // A verb finds the server of its own directory, whatever the two share.
    let purged = Ended::of(&mut on(&copied, &["package", "yank", "gk/jwt", "1.0.0"]), "");
    assert_eq!(purged.code(), 0, "{purged:?}");
    let yanked = |server: &Server| server.request("GET", &version(1), None, b"").1.contains("\"yanked\":true");
    assert!(yanked(&server) && !yanked(&original));
    original.kill();
    server.stop();
    let original = place.serve();
    serves(&original, 1..=5);
    assert_eq!(original.request("GET", &version(20), None, b"").0, 404);
    original.stop();
    let server = Server::start(&mut on(&copied, &["serve", "--listen", "127.0.0.1:0"]));
    serves(&server, 1..=3);
    serves(&server, 20..=21);
    assert_eq!(server.request("GET", &version(4), None, b"").0, 404);
    server.stop();
}

#[test]
fn a_hard_link_copy_of_a_stopped_original_harms_neither() {
    let place = Place::new();
    let token = registry(&place, 2);
    let copied = place.path("copy");
    copy(&place.data(), &copied, &["-al"]);
    let before = content(&place.data());
    let server = Server::start(&mut on(&copied, &["serve", "--listen", "127.0.0.1:0"]));
    publish(&server, &token, 20..=21);
    server.stop();
    assert!(content(&place.data()) == before, "nothing of the original was changed");
    let original = place.serve();
    publish(&original, &token, 3..=4);
    serves(&original, 1..=4);
    original.stop();
    let server = Server::start(&mut on(&copied, &["serve", "--listen", "127.0.0.1:0"]));
    serves(&server, 20..=21);
    server.stop();
}

#[test]
fn a_lost_blob_is_one_artifacts_damage() {
    let place = Place::new();
    let token = registry(&place, 3);
    let server = place.serve();
    publish(&server, &token, 4..=4);
    let body = server.request("GET", &version(2), None, b"").1;
    let sha256 = body.split("\"sha256\":\"").nth(1).and_then(|rest| rest.get(..64)).expect("a digest").to_owned();
    server.kill();
    fs::remove_file(place.data().join("blobs/sha256").join(&sha256[..2]).join(&sha256)).expect("a blob");
    let server = place.serve();
    serves(&server, 1..=1);
    serves(&server, 3..=4);
    let (status, body) = server.request("GET", &format!("{}/artifact", version(2)), None, b"");
    assert_eq!(status, 500);
    assert!(body.contains("artifact_damaged"), "{body}");
    let ended = server.stop();
    assert!(ended.stderr.contains(&sha256), "the log names it: {ended:?}");
    let server = place.serve();
    assert_eq!(server.request("PUT", &version(2), Some(&token), b"bytes 2").0, 200, "the same bytes heal it");
    serves(&server, 1..=4);
}

/// Makes the opening wait: it reads every file of the journal, and this one does not begin before [`release`].
fn obstruct(place: &Place) -> PathBuf {
    let path = place.data().join("journal/0000000001.00000000000000000000000000.snap");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe with a name");
    path
}

/// Lets the opening go on: the file turns out to be no snapshot, which is not needed.
fn release(obstacle: &Path) {
    let pipe = fs::OpenOptions::new().write(true).open(obstacle).expect("it is being read");
    fs::remove_file(obstacle).expect("it goes");
    // Nothing is written: a pipe can't be read at an offset, so that the reader may be gone already.
    drop(pipe);
}

#[test]
fn a_server_that_opens_its_data_says_so() {
    let place = Place::new();
    registry(&place, 2);
    let obstacle = obstruct(&place);
    let server = place.serve();
    let mut client = Client::connect(server.address.parse().expect("an address"));
    for path in ["/health", "/livez"] {
        assert_eq!(client.ask(&Ask::get(path)).expect(200).data()["status"], "ok");
    }
    let ready = client.ask(&Ask::get("/readyz?verbose")).expect(503);
    assert_eq!((ready.reason().as_str(), ready.header("retry-after")), ("starting", "2"));
    let told = ready.json()["meta"]["ready"].take();
    assert_eq!(told["status"], "recovering");
    assert_eq!(told["checks"][0]["message"], "reading the journal");
    for ask in [Ask::get("/v1/packages"), Ask::get("/v1"), Ask::put(&version(9), "bytes")] {
        let answer = client.ask(&ask.header("x-request-id", "id-9")).expect(503);
        assert_eq!((answer.reason().as_str(), answer.header("retry-after")), ("starting", "2"));
        assert_eq!((answer.header("x-request-id"), &answer.json()["meta"]["request_id"]), ("id-9", &"id-9".into()));
    }
    let unready = place.run(&["healthcheck", "--listen", &server.address]);
    assert!(unready.code() == 1 && unready.stderr.contains("503"), "{unready:?}");
    // A verb waits for it.
    let verb = Running::spawn(&mut place.command(&["package", "list"]));
    verb.stderr_line("still opens its data");
    release(&obstacle);
    let verb = verb.end();
    assert!(verb.code() == 0 && verb.stdout.contains("gk/jwt"), "{verb:?}");
    serves(&server, 1..=2);
    assert_eq!(server.request("GET", "/readyz", None, b"").0, 200);
    server.stop();
}

#[test]
fn a_server_that_opens_its_data_ends_when_told_to_and_the_next_one_opens_it() {
    let place = Place::new();
    registry(&place, 2);
    let obstacle = obstruct(&place);
    let server = place.serve();
    server.process.signal(Signal::TERM);
    let ended = server.process.end();
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(!place.data().join("run/admin.sock").exists());
    fs::remove_file(obstacle).expect("it goes");
    serves(&place.serve(), 1..=2);
}

#[test]
fn data_that_can_not_be_opened_ends_a_server_that_listens_already() {
    let place = Place::new();
    registry(&place, 2);
    let log = logs(&place.data()).pop().expect("a log");
    let mut bytes = fs::read(&log).expect("a log");
    bytes[40] ^= 1;
    fs::write(&log, bytes).expect("damaged");
    let obstacle = obstruct(&place);
    let server = place.serve();
    assert_eq!(server.request("GET", "/health", None, b"").0, 200);
    release(&obstacle);
    let ended = server.process.end();
    assert_eq!(ended.code(), 12, "{ended:?}");
    assert!(ended.stderr.contains(name(&log)), "{ended:?}");
}

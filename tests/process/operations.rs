//! The commands of docs/operations.md, to the letter, on a registry that is written to while they run.
//!
//! A block under `<!-- run: NAME -->` is run by `sh` with the built program on its path, the data directory in `REG` and
//! a free place in `COPY`. Every block has a test here, and a copy that a block makes is opened and asked for everything
//! that was acknowledged before it began.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use vix_registry::domain::digest::Sha256;

use crate::program::{Ended, Place, Server, request};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");

/// The most versions that are published while a block runs.
const PUBLISHED_MAX: u32 = 10_000;

/// Every block, and the tools that it needs beside a shell.
const BLOCKS: &[(&str, &[&str])] = &[
    ("full", &[]),
    ("create", &[]),
    ("rsync", &["rsync"]),
    ("tar", &["tar"]),
    ("cp", &["cp"]),
    ("second", &["rsync"]),
    ("restore", &[]),
    ("verify", &[]),
    ("purge", &[]),
    ("now", &[]),
];

/// The blocks of the document: their names and their commands.
fn blocks() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(DOCUMENT).expect("docs/operations.md is part of the source tree");
    let after_marks = text.split("\n<!-- run: ").skip(1);
    let block = |rest: &str| {
        let (name, rest) = rest.split_once(" -->\n```sh\n").expect("a mark is followed by a block of commands");
        let (commands, _) = rest.split_once("```").expect("a block ends");
        (name.to_owned(), commands.to_owned())
    };
    after_marks.map(block).collect()
}

#[test]
fn every_block_of_commands_about_data_is_run_by_a_test() {
    let told: Vec<String> = blocks().into_iter().map(|(name, _)| name).collect();
    assert_eq!(told, BLOCKS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let text = std::fs::read_to_string(DOCUMENT).expect("docs/operations.md is part of the source tree");
    let about_data = text.split("```sh\n").skip(1).filter(|block| {
        block.split_once("```").is_some_and(|(commands, _)| commands.contains("$REG") || commands.contains("$COPY"))
    });
    assert_eq!(about_data.count(), BLOCKS.len(), "a block that names $REG or $COPY has a mark");
}

/// A registry with a server that runs on it, and what it acknowledged.
struct Site {
    place: Place,
    server: Option<Server>,
    address: String,
    token: String,
    acknowledged: Vec<u32>,
}

fn publish(address: &str, token: &str, number: u32) {
    let path = format!("{}?create=true", path(number));
    let (status, body) = request(address, "PUT", &path, Some(token), &bytes(number));
    assert_eq!(status, 201, "{body}");
}

fn path(number: u32) -> String {
    format!("/v1/packages/gk/jwt/versions/{number}.0.0")
}

fn bytes(number: u32) -> Vec<u8> {
    format!("artifact {number} ").repeat(1000).into_bytes()
}

impl Site {
    /// With some versions, from `1.0.0` on.
    fn new() -> Self {
        let place = Place::new();
        let server = place.serve();
        let token = place.ok(&["token", "create", "--user", "pia", "--scope", "publish"]);
        let address = server.address.clone();
        let mut site = Self { place, server: Some(server), address, token, acknowledged: Vec::new() };
        (1..=8).for_each(|number| site.publish(number));
        site
    }

    fn publish(&mut self, number: u32) {
        publish(&self.address, &self.token, number);
        self.acknowledged.push(number);
    }

    fn get(&self, number: u32) -> u16 {
        request(&self.address, "GET", &path(number), None, b"").0
    }

    fn copy(&self) -> PathBuf {
        self.place.path("copy")
    }

    fn script(&self, commands: &str) -> Ended {
        let program = Path::new(env!("CARGO_BIN_EXE_vix-registry")).parent().expect("it is in a folder");
        let system = std::env::var("PATH").expect("there is a path");
        let mut shell = Command::new("sh");
        shell.args(["-eu", "-c", commands]).env_clear().env("PATH", format!("{}:{system}", program.display()));
        shell.env("REG", self.place.data()).env("COPY", self.copy()).current_dir(self.place.path(""));
        Ended::of(shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()), "")
    }

    /// Runs the block, and it has to succeed.
    fn run(&self, name: &str) -> Ended {
        let (_, commands) = blocks().into_iter().find(|block| block.0 == name).expect("the document has the block");
        let ended = self.script(&commands);
        assert_eq!(ended.code(), 0, "{name}: {ended:?}");
        ended
    }

    fn stop(&mut self) {
        self.server.take().expect("it runs").stop();
    }

    /// Runs the block while somebody publishes; answers with what was acknowledged before it began.
    fn run_live(&mut self, name: &str) -> Vec<u32> {
        let before = self.acknowledged.clone();
        let done = AtomicBool::new(false);
        let (address, token, done) = (&self.address, &self.token, &done);
        let first = before.last().map_or(1, |last| last + 1);
        let more = std::thread::scope(|scope| {
            let publisher = scope.spawn(move || {
                let go_on = |_: &u32| !done.load(Ordering::Acquire);
                let numbers = (first..first + PUBLISHED_MAX).take_while(go_on);
                numbers.inspect(|number| publish(address, token, *number)).collect::<Vec<u32>>()
            });
            // Also when the block fails: the publisher has to end, or the scope never does.
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.run(name)));
            done.store(true, Ordering::Release);
            let more = publisher.join().expect("everything is acknowledged");
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            more
        });
        self.acknowledged.extend(more);
        before
    }

    /// Opens the directory and asks it for these versions.
    fn check(&self, data: &Path, versions: &[u32]) {
        let listen = ["serve", "--listen", "127.0.0.1:0"];
        let server = Server::start(self.place.command(&listen).env("VIX_REGISTRY_DATA", data));
        for number in versions {
            let (status, body) = server.request("GET", &format!("{}/artifact", path(*number)), None, b"");
            assert_eq!((status, body.as_bytes()), (200, bytes(*number).as_slice()), "version {number}");
        }
        server.stop();
    }
}

/// Whether the tools of a block are there; one that is missing is named, and fails under `CI=true`.
fn has_tools(name: &str) -> bool {
    let (_, tools) = BLOCKS.iter().find(|block| block.0 == name).expect("a block of the document");
    let missing = tools.iter().find(|tool| {
        let asked = Command::new("sh").args(["-c", &format!("command -v {tool}")]).stdout(Stdio::null()).status();
        !asked.is_ok_and(|status| status.success())
    });
    let Some(tool) = missing else { return true };
    let message = format!("the commands `{name}` of docs/operations.md are not run: `{tool}` is missing");
    assert!(!std::env::var("CI").is_ok_and(|value| value == "true"), "{message}");
    eprintln!("{message}");
    false
}

/// The block makes a copy while the registry is written to; the copy opens with all that was acknowledged before.
#[track_caller]
fn check_copy(name: &str) {
    if !has_tools(name) {
        return;
    }
    let mut site = Site::new();
    let before = site.run_live(name);
    site.check(&site.copy(), &before);
}

#[test]
fn a_backup_is_made_beside_the_server() {
    check_copy("create");
}

#[test]
fn a_copy_by_rsync_is_a_backup() {
    check_copy("rsync");
}

#[test]
fn a_copy_by_tar_is_a_backup() {
    check_copy("tar");
}

#[test]
fn a_copy_by_cp_is_a_backup() {
    check_copy("cp");
}

#[test]
fn a_second_pass_brings_a_copy_up_to_date() {
    if !has_tools("rsync") {
        return;
    }
    let mut site = Site::new();
    let first = site.run_live("rsync");
    let second = site.run_live("second");
    assert!(second.len() > first.len(), "something was published between the passes");
    site.check(&site.copy(), &second);
}

#[test]
fn a_backup_is_restored_into_an_empty_place() {
    let mut site = Site::new();
    let before = site.run_live("create");
    site.stop();
    site.run("restore");
    site.check(&site.place.data(), &before);
    site.check(&site.place.path("reg.old"), &before);
}

#[test]
fn what_is_whole_is_found_to_be_whole_beside_the_server_and_without() {
    let mut site = Site::new();
    site.run_live("verify");
    site.stop();
    site.run("verify");
}

#[test]
fn garbage_is_planned_and_removed_and_what_was_purged_goes_at_once_when_told_so() {
    let mut site = Site::new();
    site.run_live("full");
    site.run("purge");
    assert_eq!(site.get(1), 410);
    let digest = |number| Sha256::of(&bytes(number)).to_hex();
    let file = |number| site.place.data().join(format!("blobs/sha256/{}/{}", &digest(number)[..2], digest(number)));
    site.run("full");
    assert!(file(1).exists(), "it stays for copies under way");
    site.run("now");
    let left = std::fs::read(file(1)).expect("a note of what was there");
    assert!(left.starts_with(b"VIXRGONE ") && file(2).exists());
    for number in &site.acknowledged[1..] {
        assert_eq!(site.get(*number), 200);
    }
}

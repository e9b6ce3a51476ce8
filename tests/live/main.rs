//! Copies of the directory of a running server, opened and compared with what its clients were told.
//!
//! `VIXR_TEST_SEED` repeats what the clients draw, `VIXR_TEST_BUDGET=long` makes it a campaign; both are printed.
#![expect(clippy::expect_used, reason = "a test that can't be set up has failed")]
#![expect(clippy::print_stderr, reason = "seeds, measurements and missing tools are told")]

mod check;
mod copy;
mod http;
mod load;

#[expect(dead_code, reason = "the harness of the processes has more than copies need")]
#[path = "../process/program.rs"]
mod program;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use check::{Window, compare};
use copy::Tool;
use http::{Ask, Connection};
use load::{Load, Random};
use program::{Ended, Place, Server};

/// How many clients write at once.
const WORKERS: usize = 16;

/// A server under load; the clients end with it.
struct Live {
    place: Place,
    server: Option<Server>,
    load: Arc<Load>,
    workers: Vec<std::thread::JoinHandle<()>>,
    token: String,
    settings: Vec<String>,
}

impl Live {
    /// Starts server and clients; each setting is `VIX_REGISTRY_…=value`.
    fn start(seed: u64, settings: &[&str]) -> Self {
        let place = Place::new();
        let token = place.ok(&["token", "create", "--user", "load", "--scope", "read,publish,admin"]);
        Self::start_on(place, token, seed, settings)
    }

    fn start_on(place: Place, token: String, seed: u64, settings: &[&str]) -> Self {
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let server = Server::start(&mut serve(&place.data(), &settings));
        let load = Arc::new(Load::new(&server.address, &token, WORKERS));
        let workers = (0..WORKERS).map(|worker| {
            let load = Arc::clone(&load);
            std::thread::spawn(move || load.work(worker, seed))
        });
        let workers = workers.collect();
        let live = Self { place, server: Some(server), load, workers, token, settings };
        live.wait_for(200);
        live
    }

    /// Waits until so many more steps were acknowledged.
    fn wait_for(&self, more: usize) {
        let (goal, begun) = (self.load.acknowledged() + more, Instant::now());
        while self.load.acknowledged() < goal {
            assert!(begun.elapsed() < program::PATIENCE, "the clients get no answers");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn data(&self) -> PathBuf {
        self.place.data()
    }

    /// Stops or kills the server and starts it again, under load.
    fn restart(&mut self, kill: bool) {
        let server = self.server.take().expect("a server runs");
        if kill {
            server.kill();
        } else {
            drop(server.stop());
        }
        let server = Server::start(&mut serve(&self.data(), &self.settings));
        self.load.moved(&server.address);
        self.server = Some(server);
    }

    /// Copies, with something else happening meanwhile.
    fn copy(&mut self, tool: Tool, to: &Path, rate: u64, meanwhile: Meanwhile) -> Window {
        let (from, to) = (self.data(), to.to_owned());
        let began_at = Instant::now();
        let copying = std::thread::spawn(move || tool.run(&from, &to, rate));
        match meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Stop => self.restart(false),
            Meanwhile::Kill => self.restart(true),
        }
        copying.join().expect("the copy was made");
        Window { began_at, ended_at: Instant::now() }
    }

    fn end(mut self) {
        self.load.stop();
        for worker in std::mem::take(&mut self.workers) {
            worker.join().expect("a client that was never told anything wrong");
        }
        drop(self.server.take().expect("a server runs").stop());
    }
}

/// What happens to the server while it is copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meanwhile {
    Nothing,
    Stop,
    Kill,
}

fn serve(data: &Path, settings: &[String]) -> Command {
    let mut command = program::command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("VIX_REGISTRY_DATA", data).env("VIX_REGISTRY_LOG_LEVEL", "warn");
    for setting in settings {
        let (name, value) = setting.split_once('=').expect("NAME=value");
        command.env(format!("VIX_REGISTRY_{name}"), value);
    }
    command
}

/// Whether the process has closed its files, which it does when it ends.
fn has_ended(server: &Server) -> bool {
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.process.pid()));
    !files.is_ok_and(|mut files| files.next().is_some())
}

/// Starts a server on a copy and waits until it is open, or tells with what it refused.
fn open(live: &Live, copy: &Path) -> Result<Server, Ended> {
    let server = Server::try_start(&mut serve(copy, &live.settings))?;
    let mut connection = Connection::default();
    let begun = Instant::now();
    loop {
        match connection.ask(&server.address, &live.token, &Ask::get("/readyz")) {
            Ok((200, _)) => return Ok(server),
            // It is still opening, or went away meanwhile.
            Ok(_) | Err(_) if !has_ended(&server) => {}
            Ok(_) | Err(_) => return Err(server.process.end()),
        }
        assert!(begun.elapsed() < program::PATIENCE, "the copy is neither opened nor refused");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Opens a copy and compares it; answers with how many versions were compared.
fn check(live: &Live, copy: &Path, window: Window, what: &str) -> usize {
    let opened = open(live, copy).unwrap_or_else(|refused| panic!("{what}: {refused:?}"));
    check_opened(live, opened, window, what)
}

fn check_opened(live: &Live, opened: Server, window: Window, what: &str) -> usize {
    let compared = compare(&opened.address, &live.token, &live.load.history(), window);
    let compared = compared.unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
    drop(opened.stop());
    compared
}

fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time after 1970");
    let given: Option<u64> = std::env::var("VIXR_TEST_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| now.subsec_nanos().into()).max(1)
}

fn is_long() -> bool {
    std::env::var("VIXR_TEST_BUDGET").is_ok_and(|budget| budget == "long")
}

/// Whether the tool is there; under CI it has to be.
fn has(tool: Tool) -> bool {
    let found = Command::new(tool.program()).arg("--version").output().is_ok();
    if !found {
        assert!(!std::env::var("CI").is_ok_and(|value| value == "true"), "`{}` is missing", tool.program());
        eprintln!("live copies: `{}` is missing, so {tool:?} was not tried", tool.program());
    }
    found
}

#[test]
fn a_copy_of_a_running_directory_opens_with_everything_acknowledged_before_it_began() {
    let (seed, copies) = (seed(), if is_long() { 210 } else { 21 });
    eprintln!("live copies: VIXR_TEST_SEED={seed}, {copies} copies (VIXR_TEST_BUDGET=long for 210)");
    let mut random = Random(seed);
    let mut live = Live::start(seed, &["STORAGE_ROTATE_BYTES=64KiB", "STORAGE_RETENTION=1h"]);
    let (mut made, mut compared) = (0, 0);
    let old = live.place.path("old");
    for number in 0..copies {
        let tool = Tool::ALL[number % Tool::ALL.len()];
        if !has(tool) {
            continue;
        }
        let meanwhile = match random.below(6) {
            0 => Meanwhile::Stop,
            1 => Meanwhile::Kill,
            _ => Meanwhile::Nothing,
        };
        let to = live.place.path(&format!("copy-{number}"));
        if tool.is_second_pass() && old.exists() {
            // An older copy that was never opened.
            std::fs::rename(&old, &to).expect("the same file system");
        }
        let window = live.copy(tool, &to, 20_000, meanwhile);
        if tool == Tool::Cp || tool == Tool::Tar {
            // Kept for a second pass, before it is opened.
            drop(std::fs::remove_dir_all(&old));
            Tool::Rsync.run(&to, &old, 0);
        }
        let of_copy = live.place.path("copy-of-copy");
        Tool::Rsync.run(&to, &of_copy, 0);
        let what = format!("seed {seed}, copy {number} by {tool:?}, meanwhile {meanwhile:?}");
        compared += check(&live, &to, window, &what);
        if number % 5 == 0 {
            compared += check(&live, &of_copy, window, &format!("{what}, a copy of the copy"));
        }
        for done in [&to, &of_copy] {
            std::fs::remove_dir_all(done).expect("our own directory");
        }
        made += 1;
    }
    eprintln!("live copies: {made} opened, {compared} versions compared, {} steps", live.load.acknowledged());
    live.end();
}

/// Makes a directory one from before the journal: an index of the format of then, and nothing else.
fn take_back_before_the_journal(data: &Path) {
    let database = redb::Database::open(data.join("meta.redb")).expect("the index of a server that stopped");
    let transaction = database.begin_write().expect("a sound index");
    let format: redb::TableDefinition<'static, &str, u32> = redb::TableDefinition::new("format");
    let seq: redb::TableDefinition<'static, &str, &[u8]> = redb::TableDefinition::new("seq");
    let snapshots: redb::TableDefinition<'static, &[u8], &[u8]> = redb::TableDefinition::new("snapshots-v1");
    transaction.open_table(format).expect("a table").insert("data", 1).expect("a row");
    for gone in [transaction.delete_table(seq), transaction.delete_table(snapshots)] {
        assert!(gone.expect("a sound index"), "the table was there");
    }
    transaction.commit().expect("a sound index");
    std::fs::remove_dir_all(data.join("journal")).expect("our own directory");
}

#[test]
fn a_directory_from_before_the_journal_can_be_copied_from_its_first_start_on() {
    let seed = seed();
    eprintln!("copies after an upgrade: VIXR_TEST_SEED={seed}");
    let place = Place::new();
    let token = place.ok(&["token", "create", "--user", "load", "--scope", "read,publish,admin"]);
    take_back_before_the_journal(&place.data());
    let mut live = Live::start_on(place, token, seed, &["STORAGE_ROTATE_BYTES=64KiB", "STORAGE_RETENTION=1h"]);
    for (number, tool) in [Tool::Cp, Tool::CpReversed, Tool::Rsync, Tool::Tar].into_iter().enumerate() {
        if !has(tool) {
            continue;
        }
        let to = live.place.path(&format!("copy-{number}"));
        let window = live.copy(tool, &to, 20_000, Meanwhile::Nothing);
        assert!(check(&live, &to, window, &format!("seed {seed}, by {tool:?} after an upgrade")) > 0);
    }
    live.end();
}

#[test]
fn a_copy_that_outlasts_the_retention_is_right_or_refused() {
    let (seed, copies) = (seed(), if is_long() { 40 } else { 4 });
    eprintln!("outlasting copies: VIXR_TEST_SEED={seed}, {copies} copies (VIXR_TEST_BUDGET=long for 40)");
    let mut random = Random(seed);
    let mut live = Live::start(seed, &["STORAGE_ROTATE_BYTES=16KiB", "STORAGE_RETENTION=1s"]);
    let (mut right, mut refused) = (0, 0);
    for number in 0..copies {
        let tool = if number % 2 == 0 { Tool::RsyncSlow } else { Tool::SlowReversed };
        if !has(tool) {
            continue;
        }
        let to = live.place.path(&format!("copy-{number}"));
        let window = live.copy(tool, &to, 200 + random.below(800), Meanwhile::Nothing);
        let what = format!("seed {seed}, copy {number} by {tool:?}, {:?}", window.ended_at - window.began_at);
        match open(&live, &to) {
            Ok(opened) => {
                check_opened(&live, opened, window, &what);
                right += 1;
            }
            Err(ended) => {
                assert_eq!(ended.code(), 12, "{what}: {ended:?}");
                refused += 1;
            }
        }
        std::fs::remove_dir_all(&to).expect("our own directory");
    }
    eprintln!("outlasting copies: {right} right, {refused} refused");
    live.end();
}

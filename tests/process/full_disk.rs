//! A disk that is really full, and somebody who takes every byte that becomes free (issue: Show 2).
//!
//! The disk is a file system in memory, mounted where only the test's processes see it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::{Value, json};

use crate::program::{PATIENCE, Place, Server};

/// Room for a registry and what it keeps free.
const DISK_MIB: u32 = 192;
/// Changes that a full disk still takes: more than one page of the index each.
const SMALL_CHANGES: usize = 300;
/// What the outsider writes at a time, down to what fits.
const PIECES: [usize; 3] = [1 << 20, 64 << 10, 4 << 10];

/// A disk of its own, in a mount namespace that lives as long as the process that holds it.
struct Disk {
    holder: Child,
    _end: Option<ChildStdin>,
    of_a_user: bool,
    at: PathBuf,
}

impl Disk {
    /// Mounts one over `at`; nothing where no mounts are allowed.
    fn mount(at: &Path) -> Option<Self> {
        let script = format!("mount -t tmpfs -o size={DISK_MIB}m,mode=700 disk \"$0\" && echo mounted && exec cat");
        for of_a_user in [false, true] {
            let flags: &[&str] = if of_a_user { &["-U", "-r", "-m"] } else { &["-m"] };
            let mut command = Command::new("unshare");
            command.args(flags).args(["sh", "-c", &script]).arg(at);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            let Ok(mut holder) = command.spawn() else { continue };
            let mut line = String::new();
            let told = BufReader::new(holder.stdout.take().expect("a pipe")).read_line(&mut line);
            if told.is_ok() && line == "mounted\n" {
                return Some(Self { _end: holder.stdin.take(), holder, of_a_user, at: at.to_owned() });
            }
            drop((holder.kill(), holder.wait()));
        }
        None
    }

    /// The same program, started where the disk is seen.
    fn within(&self, command: &Command) -> Command {
        let mut within = Command::new("nsenter");
        within.args(["-t", &self.holder.id().to_string(), "-m"]);
        if self.of_a_user {
            within.args(["-U", "--preserve-credentials"]);
        }
        within.arg("--").arg(command.get_program()).args(command.get_args());
        within.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        within.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        within
    }

    /// A path on it, as this process reaches it.
    fn path(&self, name: &str) -> PathBuf {
        let inside = self.at.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside).join(name)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop((self.holder.kill(), self.holder.wait()));
    }
}

/// Takes every byte that is free, again and again.
struct Outsider {
    stop: Arc<AtomicBool>,
    /// Rounds in which not one byte was left.
    full_rounds: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl Outsider {
    fn begin(path: PathBuf) -> Self {
        let (stop, full_rounds) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (told, rounds) = (Arc::clone(&stop), Arc::clone(&full_rounds));
        let mut file = File::create(&path).expect("a file on the disk");
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                for piece in PIECES {
                    while !told.load(Ordering::Relaxed) && file.write_all(&vec![7; piece]).is_ok() {}
                }
                rounds.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        let outsider = Self { stop, full_rounds, thread: Some(thread), path };
        outsider.wait_until_full();
        outsider
    }

    /// Waits until it found the disk full once more.
    fn wait_until_full(&self) {
        let (from, begun) = (self.full_rounds.load(Ordering::Relaxed), Instant::now());
        while self.full_rounds.load(Ordering::Relaxed) < from + 2 {
            assert!(begun.elapsed() < PATIENCE, "the disk does not become full");
            std::thread::yield_now();
        }
    }

    /// Gives everything back.
    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it runs").join().expect("no panic");
        std::fs::remove_file(&self.path).expect("its own file");
    }
}

struct Client<'s> {
    server: &'s Server,
    token: &'s str,
}

impl Client<'_> {
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let (status, text) = self.server.request(method, path, Some(self.token), body);
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    fn publish(&self, version: &str) -> (u16, Value) {
        let path = format!("/v1/packages/gk/jwt/versions/{version}?create=true");
        self.ask("PUT", &path, format!("artifact {version}").as_bytes())
    }

    #[track_caller]
    fn yank(&self, version: &str, yanked: bool) {
        let path = format!("/v1/packages/gk/jwt/versions/{version}");
        let body = json!({"yanked": yanked}).to_string();
        let head = "content-type: application/json";
        let (status, text) = self.server.request_with("PATCH", &path, Some(self.token), (head, body.as_bytes()));
        assert_eq!(status, 200, "{text}");
    }

    #[track_caller]
    fn is_yanked(&self, version: &str) -> bool {
        let (status, answer) = self.ask("GET", &format!("/v1/packages/gk/jwt/versions/{version}"), b"");
        assert_eq!(status, 200, "{answer}");
        !answer["data"]["yanked"].is_null() && answer["data"]["yanked"] != json!(false)
    }

    #[track_caller]
    fn is_refused_for_room(&self, version: &str) {
        let (status, answer) = self.publish(version);
        assert_eq!((status, &answer["error"]["reason"]), (507, &json!("storage_full")), "{answer}");
        let details = answer["error"]["details"].to_string();
        assert!(details.contains("limit_bytes") && details.contains("free_bytes"), "{answer}");
    }

    #[track_caller]
    fn reads(&self, version: &str) {
        let path = format!("/v1/packages/gk/jwt/versions/{version}/artifact");
        let (status, bytes) = self.server.request("GET", &path, Some(self.token), b"");
        assert_eq!((status, bytes), (200, format!("artifact {version}")));
    }
}

#[test]
fn with_not_one_byte_free_reads_yanks_and_purges_go_on_also_after_a_kill_and_writes_resume_by_themselves() {
    let place = Place::new();
    std::fs::create_dir(place.data()).expect("a new directory");
    let Some(disk) = Disk::mount(&place.data()) else {
        eprintln!("no disk can be mounted here: `unshare -m` is not allowed");
        assert!(std::env::var("CI").is_err(), "CI lacks the right to mount (`unshare -m`)");
        return;
    };
    let serve = || Server::start(&mut disk.within(&place.command(&["serve", "--listen", "127.0.0.1:0"])));
    let server = serve();
    let token = std::fs::read_to_string(disk.path("initial-admin-token")).expect("a new registry's token");
    let client = Client { server: &server, token: token.trim() };
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        assert_eq!(client.publish(version).0, 201);
    }
    let outsider = Outsider::begin(disk.path("outsider"));
    client.is_refused_for_room("2.0.0");
    client.reads("1.0.0");
    for number in 0..SMALL_CHANGES {
        client.yank("1.0.0", number % 2 == 0);
    }
    outsider.wait_until_full();
    client.yank("1.0.0", true);
    assert_eq!(client.ask("DELETE", "/v1/packages/gk/jwt/versions/1.1.0?reason=room", b"").0, 200);
    let (status, ready) = client.ask("GET", "/readyz", b"");
    let expected = json!({"status": "degraded", "degraded": ["read_only"]});
    assert_eq!((status, &ready["data"]), (200, &expected), "{ready}");
    outsider.wait_until_full();
    server.kill();

    let server = serve();
    let client = Client { server: &server, token: token.trim() };
    outsider.wait_until_full();
    assert!(client.is_yanked("1.0.0"), "it was acknowledged");
    assert_eq!(client.ask("GET", "/v1/packages/gk/jwt/versions/1.1.0", b"").0, 410, "it was acknowledged");
    client.reads("1.2.0");
    client.yank("1.2.0", true);
    client.is_refused_for_room("2.0.0");
    outsider.end();

    let begun = Instant::now();
    while client.publish("2.0.0").0 != 201 {
        assert!(begun.elapsed() < PATIENCE, "writes do not resume");
    }
    client.reads("2.0.0");
    assert_eq!(client.ask("GET", "/readyz", b"").1["data"]["status"], json!("ready"));
    server.stop();
}

//! The program under test: run to its end, or kept running as a server that never outlives its test.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// No test waits longer than this for the program to act.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The program with nothing of this process's environment.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vix-registry"));
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A directory for one test, with a place for a registry in it.
pub(crate) struct Place {
    temp: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { temp: tempfile::tempdir().expect("a temporary directory") }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// Where the registry is.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("reg")
    }

    /// The program on this registry.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.env("VIX_REGISTRY_DATA", self.data()).current_dir(self.temp.path());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&mut self.command(arguments), "")
    }

    /// Runs it, and it has to succeed; answers with what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code(), 0, "{arguments:?}: {ended:?}");
        ended.stdout.trim_end().to_owned()
    }

    /// Starts a server on a free port and waits until it listens.
    pub(crate) fn serve(&self) -> Server {
        Server::start(&mut self.command(&["serve", "--listen", "127.0.0.1:0"]))
    }
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(command: &mut Command, input: &str) -> Self {
        let mut running = Running::spawn(command.stdin(Stdio::piped()));
        feed(running.child.stdin.take(), input);
        running.end()
    }

    /// The exit code; a signal counts as the shells have it, 128 and its number.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().or_else(|| self.status.signal().map(|signal| 128 + signal)).expect("it ended")
    }

    /// What it printed, as one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn feed(stdin: Option<ChildStdin>, input: &str) {
    // A program that does not read its input may be gone already.
    drop(stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
}

/// A process that is killed and waited for at the latest when it is dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let stdout = lines(child.stdout.take());
        let stderr = lines(child.stderr.take());
        Self { child, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process is there");
    }

    /// The next line of stderr that holds the text.
    pub(crate) fn stderr_line(&self, text: &str) -> String {
        loop {
            let line = self.stderr.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("no `{text}`: {error}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits for its end; one that does not come is a failure of the test.
    pub(crate) fn end(mut self) -> Ended {
        let gather = |lines: &Receiver<String>| {
            let mut text = String::new();
            loop {
                match lines.recv_timeout(PATIENCE) {
                    Ok(line) => text.push_str(&line),
                    Err(RecvTimeoutError::Disconnected) => return text,
                    Err(RecvTimeoutError::Timeout) => panic!("the program still runs and said `{text}`"),
                }
            }
        };
        let (stdout, stderr) = (gather(&self.stdout), gather(&self.stderr));
        let status = self.child.wait().expect("its end is told");
        Ended { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Hands over lines as they come, from a thread that ends with the pipe.
fn lines(pipe: Option<impl std::io::Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    let mut reader = BufReader::new(pipe.expect("the pipe was asked for"));
    thread::spawn(move || {
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

/// A server that listens.
pub(crate) struct Server {
    pub(crate) process: Running,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::try_start(command).unwrap_or_else(|ended| panic!("it does not listen: {ended:?}"))
    }

    /// As [`Server::start`]; one that refuses to serve tells how it ended.
    pub(crate) fn try_start(command: &mut Command) -> Result<Self, Ended> {
        let process = Running::spawn(command);
        match process.stdout.recv_timeout(PATIENCE) {
            Ok(line) => {
                let address = line.trim_end().strip_prefix("listening on http://");
                let address = address.unwrap_or_else(|| panic!("it said `{line}`")).to_owned();
                Ok(Self { process, address })
            }
            Err(_) => Err(process.end()),
        }
    }

    /// Sends one request and answers with status and body.
    pub(crate) fn request(&self, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> (u16, String) {
        request(&self.address, method, path, token, body)
    }

    /// Sends one request with one more header line.
    pub(crate) fn request_with(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        (header, body): (&str, &[u8]),
    ) -> (u16, String) {
        send(&self.address, (method, path), token, (header, body))
    }

    /// The status of `/v1/me` with this token.
    pub(crate) fn me(&self, token: &str) -> u16 {
        self.request("GET", "/v1/me", Some(token), b"").0
    }

    /// Tells it to stop and waits until it has; it has to say that all went well.
    pub(crate) fn stop(self) -> Ended {
        self.process.signal(Signal::TERM);
        let ended = self.process.end();
        assert_eq!(ended.code(), 0, "{ended:?}");
        ended
    }

    /// Kills it as a power failure would.
    pub(crate) fn kill(self) {
        drop(self.process);
    }
}

/// Sends one request to the server at that address and answers with status and body.
pub(crate) fn request(address: &str, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> (u16, String) {
    send(address, (method, path), token, ("accept: */*", body))
}

fn send(
    address: &str,
    (method, path): (&str, &str),
    token: Option<&str>,
    (header, body): (&str, &[u8]),
) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let credentials = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{header}\r\n{credentials}content-length: {}\r\n\r\n",
        body.len()
    );
    // A server that refused already may have stopped reading: its answer is there all the same.
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap_or_else(|error| panic!("no answer ({error}), sent: {sent:?}"));
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
}

/// Whether the text holds a whole token.
pub(crate) fn holds_token(text: &str) -> bool {
    text.split("vixr_").skip(1).any(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).count() >= 40)
}

/// The permission bits of a path.
pub(crate) fn mode(path: impl AsRef<Path>) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::symlink_metadata(path).expect("it is there").mode() & 0o777
}

/// Sets the permission bits of a path.
pub(crate) fn set_mode(path: impl AsRef<Path>, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// The names in a directory, sorted.
pub(crate) fn names(path: impl AsRef<Path>) -> Vec<String> {
    let entries = std::fs::read_dir(path).expect("a directory");
    let name = |name: &OsStr| name.to_string_lossy().into_owned();
    let mut names: Vec<String> = entries.map(|entry| name(&entry.expect("an entry").file_name())).collect();
    names.sort();
    names
}

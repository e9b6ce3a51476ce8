//! Starts the binary, and stops it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A directory with a token, and the server on it.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// May publish.
    pub(crate) token: String,
    child: Child,
    directory: TempDir,
}

impl Running {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let made = command(directory.path()).args(["token", "create", "--user", "pia", "--scope", "publish"]).output();
        let made = made.expect("the binary runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let token = String::from_utf8(made.stdout).expect("text").trim().to_owned();
        let log = std::fs::File::create(directory.path().join("stderr")).expect("a file");
        let mut child = command(directory.path())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the line that says where");
        let address = line.trim().strip_prefix("listening on http://").and_then(|text| text.parse().ok());
        let address = address.unwrap_or_else(|| panic!("`{line}` names no address"));
        Self { address, token, child, directory }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("stderr")).expect("the log")
    }

    /// Asks it to stop, and expects that it does so cleanly.
    pub(crate) fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "{status}\n{}", self.log());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The binary on the data directory in `directory`, away from the settings of whoever runs the tests.
fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vix-registry"));
    command.current_dir(directory).arg("--data").arg(directory.join("data")).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VIX_REGISTRY")) {
        command.env_remove(name);
    }
    // The campaign of large artifacts goes beyond the usual limit.
    command.env("VIX_REGISTRY_LIMITS_ARTIFACT_BYTES", "4 GiB");
    command
}

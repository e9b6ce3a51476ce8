//! `check`: a doctor that is fast, works with and without a server, and changes nothing.
//!
//! Each finding says what was looked at, how it is, and what mends it. Every byte of the artifacts is not read here.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::runtime;
use crate::cli::args::Globals;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Shown;
use crate::cli::process;
use crate::cli::transport::{Call, Transport};
use crate::cli::wire_up::store_options;
use crate::config::Config;
use crate::storage::directory::{Create, DataDirectory, DirectoryError, INITIAL_TOKEN_FILE};
use crate::storage::fs::{Fs as _, RealFs};

/// A sync that takes longer makes every publish slow.
const SLOW_SYNC: Duration = Duration::from_millis(500);
/// This program is younger than that: a clock that shows an earlier time is wrong.
const CLOCK_MIN: Duration = Duration::from_hours(20_454 * 24);
/// How far a file's time may lie ahead before a clock was set back.
const CLOCK_SKEW_MAX: Duration = Duration::from_mins(5);

/// How one thing is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Status {
    Ok,
    Warn,
    Fail,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was found.
#[derive(Debug)]
struct Finding {
    id: String,
    status: Status,
    message: String,
    /// What mends it; empty when nothing has to be.
    fix: String,
}

/// What was found so far.
#[derive(Default, Debug)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, id: &str, message: impl Into<String>) {
        self.put(id, Status::Ok, message, "");
    }

    fn put(&mut self, id: &str, status: Status, message: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Finding { id: id.to_owned(), status, message: message.into(), fix: fix.into() });
    }

    fn fail(&mut self, id: &str, error: CliError) {
        let why = if error.why.is_empty() { String::new() } else { format!(": {}", error.why) };
        self.put(id, Status::Fail, format!("{}{why}", error.what), error.hint);
    }
}

/// Looks at everything; a `fail` among it makes the exit code 3.
///
/// # Errors
/// When the looking itself is impossible.
pub fn run(global: &Globals) -> Result<(Shown, Exit), CliError> {
    let mut findings = Findings::default();
    let config = configuration(global, &mut findings);
    process::private_files();
    if directory(&config.data, &mut findings) {
        space(&config, &mut findings);
        sync(&config.data, &mut findings);
        runtime()?.block_on(data(&config, &mut findings));
    }
    clock(&config.data, &mut findings);
    secrets(&config, &mut findings);
    let has_failed = findings.0.iter().any(|finding| finding.status == Status::Fail);
    Ok((shown(&findings), if has_failed { Exit::Findings } else { Exit::Ok }))
}

fn shown(findings: &Findings) -> Shown {
    let width = findings.0.iter().map(|finding| finding.id.len()).max().unwrap_or(0);
    let text = |finding: &Finding| {
        let line = format!("{:<4}  {:<width$}  {}", finding.status.as_str(), finding.id, finding.message);
        if finding.fix.is_empty() { line } else { format!("{line}\n      {:<width$}  fix: {}", "", finding.fix) }
    };
    let data = |finding: &Finding| {
        let fix = if finding.fix.is_empty() { Value::Null } else { json!(finding.fix) };
        json!({ "id": finding.id, "status": finding.status.as_str(), "message": finding.message, "fix": fix })
    };
    let lines: Vec<String> = findings.0.iter().map(text).collect();
    Shown::data(lines.join("\n"), &findings.0.iter().map(data).collect())
}

fn configuration(global: &Globals, findings: &mut Findings) -> Config {
    match Config::load(&global.sources(Vec::new())) {
        Ok(loaded) => {
            let file = loaded.file.as_ref().map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
            findings.ok("config", format!("read: {file}"));
            for warning in loaded.warnings {
                findings.put("config", Status::Warn, warning, "");
            }
            loaded.config
        }
        Err(error) => {
            for problem in error.problems {
                findings.put("config", Status::Fail, format!("{}: {}", problem.what, problem.why), problem.next);
            }
            let defaults = Config::defaults();
            Config { data: global.data.clone().unwrap_or_else(|| defaults.data.clone()), ..defaults }
        }
    }
}

/// Whether there is a directory to look into.
fn directory(path: &Path, findings: &mut Findings) -> bool {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            let fix = "name a directory with --data DIR";
            findings.put("data", Status::Fail, format!("`{}` is no directory", path.display()), fix);
            return false;
        }
        Err(error) => {
            let fix = format!("name yours with --data DIR, or make it: vix-registry serve --data {}", path.display());
            findings.put("data", Status::Fail, format!("`{}`: {error}", path.display()), fix);
            return false;
        }
    };
    let mode = metadata.mode() & 0o777;
    if mode & 0o055 != 0 {
        let message = format!("others can look into `{}` (mode {mode:03o})", path.display());
        findings.put("permissions", Status::Warn, message, format!("chmod 700 {}", path.display()));
    } else {
        findings.ok("permissions", format!("`{}` is its owner's alone", path.display()));
    }
    true
}

fn space(config: &Config, findings: &mut Findings) {
    let least = config.storage.free_bytes_min;
    match RealFs.free_bytes(&config.data) {
        Ok(free) if free < least => {
            let message = format!("{free} bytes are free, and publishing stops below {least}");
            findings.put("space", Status::Fail, message, "make room on the disk, or lower storage.free_bytes_min");
        }
        Ok(free) if free < least.saturating_mul(4) => {
            let message = format!("{free} bytes are free, and publishing stops below {least}");
            findings.put("space", Status::Warn, message, "make room on the disk soon");
        }
        Ok(free) => findings.ok("space", format!("{free} bytes are free")),
        Err(error) => {
            findings.put("space", Status::Fail, format!("free space can't be told: {error}"), "see to the disk");
        }
    }
}

/// Whether the disk takes a write and says so, tried on a file without a name.
fn sync(path: &Path, findings: &mut Findings) {
    let begun = Instant::now();
    let tried = RealFs.create_unnamed(path).and_then(|file| {
        RealFs.write_all_at(&file, b"vix-registry check", 0)?;
        RealFs.sync_all(&file)
    });
    let (took, fix) = (begun.elapsed(), "see to the disk: nothing can be published without this");
    match tried {
        Ok(()) if took > SLOW_SYNC => {
            let message = format!("a write took {} ms to become durable", took.as_millis());
            findings.put("fsync", Status::Warn, message, "use a faster disk, or find out what else uses it");
        }
        Ok(()) => findings.ok("fsync", format!("a write was durable after {} ms", took.as_millis())),
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
            findings.put("fsync", Status::Warn, "not tried: the file system has no unnamed files", "");
        }
        Err(error) => findings.put("fsync", Status::Fail, format!("a write can't be made durable: {error}"), fix),
    }
}

/// The lock and the data's format: asked of the server when one runs, else looked at.
async fn data(config: &Config, findings: &mut Findings) {
    match Transport::connect(config).await {
        Ok(Some(mut server)) => {
            findings.ok("lock", "a server runs on the directory");
            return ready(&mut server, findings).await;
        }
        Ok(None) => {}
        Err(error) => findings.fail("server", error),
    }
    match DataDirectory::open(&config.data, Create::No) {
        Ok(directory) => {
            findings.ok("lock", "no process has the directory");
            match directory.examine(store_options(config)) {
                Ok(how) => findings.ok("format", how),
                Err(error) => findings.fail("format", CliError::opening(directory.path(), error)),
            }
        }
        Err(error @ DirectoryError::Locked { .. }) => findings.fail("lock", error.into()),
        Err(error) => findings.fail("data", error.into()),
    }
}

async fn ready(server: &mut Transport, findings: &mut Findings) {
    let ready = match server.call(Call::new("GET", "/readyz").query("verbose", "true")).await {
        Ok(mut envelope) => envelope["data"].take(),
        Err(CliError { envelope: Some(mut envelope), .. }) => envelope["meta"]["ready"].take(),
        Err(error) => return findings.fail("server", error),
    };
    for check in ready["checks"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let status = match check["status"].as_str() {
            Some("ok") => Status::Ok,
            Some("warn") => Status::Warn,
            Some(_) | None => Status::Fail,
        };
        let text = |key: &str| check[key].as_str().unwrap_or_default();
        findings.put(&format!("server.{}", text("name")), status, text("message"), "");
    }
}

fn clock(data: &Path, findings: &mut Findings) {
    let now = SystemTime::now();
    let is_early = now.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since < CLOCK_MIN);
    let written = std::fs::metadata(data.join("meta.redb")).and_then(|file| file.modified()).ok();
    let ahead = written.and_then(|written| written.duration_since(now).ok()).unwrap_or_default();
    let fix = "set the clock: tokens end by it";
    if is_early {
        findings.put("clock", Status::Fail, "the clock shows a time before this program was made", fix);
    } else if ahead > CLOCK_SKEW_MAX {
        let message = format!("the data was written {} s in the future: the clock was set back", ahead.as_secs());
        findings.put("clock", Status::Warn, message, fix);
    } else {
        findings.ok("clock", "the clock goes on from when the data was last written");
    }
}

fn secrets(config: &Config, findings: &mut Findings) {
    let initial = config.data.join(INITIAL_TOKEN_FILE);
    let configured = config.admin_token_file.as_deref();
    for path in configured.into_iter().chain(initial.exists().then_some(initial.as_path())) {
        let name = path.display();
        match std::fs::metadata(path).map(|file| file.mode() & 0o777) {
            Ok(mode) if mode & 0o007 != 0 => {
                let message = format!("others can read or change the secret file `{name}` (mode {mode:03o})");
                findings.put("secrets", Status::Fail, message, format!("chmod 600 {name}, and change the secret"));
            }
            Ok(mode) if mode & 0o070 != 0 => {
                let message = format!("the group of the secret file `{name}` can read it (mode {mode:03o})");
                findings.put("secrets", Status::Warn, message, format!("chmod 600 {name}"));
            }
            Ok(_) => findings.ok("secrets", format!("`{name}` is its owner's alone")),
            Err(error) => {
                findings.put("secrets", Status::Fail, format!("`{name}`: {error}"), "make it, or unset its key");
            }
        }
    }
}

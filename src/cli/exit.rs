//! How a run ends: the closed list of exit codes, and failures in words.
//!
//! The only place that says which failure has which code. A code that is not listed here means failure too.

use std::path::Path;

use serde_json::{Value, json};

use crate::config::ConfigError;
use crate::services::ServiceError;
use crate::storage::blobs::BlobError;
use crate::storage::directory::DirectoryError;
use crate::storage::journal::JournalError;
use crate::storage::journal::plan::{OpenRefusal, RefusalKind};
use crate::storage::open::OpenError;
use crate::storage::{StoreError, chain};

/// How a run ends; the numbers are the contract's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Failed, for a reason that no other code names.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Done, with findings or not wholly.
    Findings = 3,
    /// Nobody was proven.
    Authentication = 4,
    /// There is no data directory.
    NoData = 10,
    /// Another process has it.
    Locked = 11,
    /// The data is damaged.
    Damaged = 12,
    /// Refused, because histories differ.
    Refused = 13,
    /// The disk is full or can only be read.
    DiskFull = 14,
    /// The data was written by a newer program.
    Newer = 15,
    /// Interrupted (SIGINT).
    Interrupted = 130,
    /// Told to stop at once (SIGTERM).
    Terminated = 143,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The coarse kind that the envelope of `--json` names.
    fn kind(self) -> &'static str {
        match self {
            Self::Usage => "VALIDATION_ERROR",
            Self::Authentication => "UNAUTHENTICATED",
            Self::NoData => "NOT_FOUND",
            Self::Locked | Self::Refused => "CONFLICT",
            Self::DiskFull => "STORAGE_FULL",
            Self::Ok
            | Self::Failed
            | Self::Findings
            | Self::Damaged
            | Self::Newer
            | Self::Interrupted
            | Self::Terminated => "INTERNAL_ERROR",
        }
    }
}

/// A failure, as a person reads it: what, why, what next.
#[derive(Debug)]
pub struct CliError {
    /// How the run ends.
    pub exit: Exit,
    /// The exact case, in snake case.
    pub reason: String,
    /// What failed.
    pub what: String,
    /// Why; empty when there is no more to say.
    pub why: String,
    /// What to do next; empty when `what` says it.
    pub hint: String,
    /// The registry's own failure envelope, when it was the one that refused.
    pub envelope: Option<Box<Value>>,
}

impl CliError {
    /// A failure without a why and a hint.
    pub fn new(exit: Exit, reason: &str, what: impl Into<String>) -> Self {
        let (why, hint) = (String::new(), String::new());
        Self { exit, reason: reason.to_owned(), what: what.into(), why, hint, envelope: None }
    }

    /// A wrong command line.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", what)
    }

    /// A failure of the system.
    pub fn io(what: impl Into<String>, error: &std::io::Error) -> Self {
        let exit = if is_disk(error) { Exit::DiskFull } else { Exit::Failed };
        Self::new(exit, if exit == Exit::DiskFull { "disk_full" } else { "io" }, what).why(error.to_string())
    }

    /// Says why.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// A refusal of the registry, from its envelope.
    pub fn refused(status: u16, envelope: Value) -> Self {
        let error = &envelope["error"];
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        let reason = if text("reason").is_empty() { format!("http_{status}") } else { text("reason") };
        let exit = match (status, reason.as_str()) {
            (401, _) => Exit::Authentication,
            (507, _) | (503, "read_only") => Exit::DiskFull,
            _ => Exit::Failed,
        };
        let what = if text("message").is_empty() { format!("the registry answered {status}") } else { text("message") };
        let details = error["details"].as_array().map(Vec::as_slice).unwrap_or_default();
        let field = |detail: &Value| {
            let message = detail["message"].as_str().unwrap_or_default();
            (message != what).then(|| format!("{}: {message}", detail["field"].as_str().unwrap_or_default()))
        };
        let why: Vec<String> = details.iter().filter_map(field).collect();
        Self { exit, reason, why: why.join("; "), hint: String::new(), what, envelope: Some(Box::new(envelope)) }
    }

    /// The failure as one document in the API's envelope.
    pub fn to_envelope(&self) -> Value {
        if let Some(envelope) = &self.envelope {
            return Value::clone(envelope);
        }
        let parts = [&self.what, &self.why, &self.hint].map(String::as_str);
        let message = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
        json!({ "ok": false, "error": { "code": self.exit.kind(), "reason": self.reason, "message": message }, "meta": {} })
    }
}

fn is_disk(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

impl From<DirectoryError> for CliError {
    fn from(error: DirectoryError) -> Self {
        let what = error.to_string();
        match error {
            DirectoryError::Missing { path } => Self::new(Exit::NoData, "no_data_directory", what)
                .why("neither a flag, the environment nor a file names another directory, or it was not made yet")
                .hint(format!("name yours with --data DIR, or make one: vix-registry serve --data {}", quoted(&path))),
            DirectoryError::Foreign { .. } => Self::new(Exit::Failed, "foreign_directory", what)
                .why("a registry is made in a directory of its own")
                .hint("name an empty directory, or one that is not there yet, with --data DIR"),
            DirectoryError::WritableByOthers { path, .. } => Self::new(Exit::Failed, "writable_by_others", what)
                .why("they could exchange the registry's files")
                .hint(format!("chmod go-w {}", quoted(&path))),
            DirectoryError::NotOurs { path, owner, own } => Self::new(Exit::Failed, "not_ours", what)
                .why("files made by one could not be used by the other")
                .hint(format!("sudo -u '#{owner}' vix-registry …, or sudo chown -R {own} {}", quoted(&path))),
            DirectoryError::Locked { pid, .. } => {
                let who = pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
                Self::new(Exit::Locked, "locked", what)
                    .why(format!("{who} holds its lock, and one server or command at a time can"))
                    .hint(pid.map_or_else(
                        || "wait for it, or stop it".to_owned(),
                        |pid| format!("wait for it, or stop it: kill {pid}"),
                    ))
            }
            DirectoryError::Damaged { .. } => Self::new(Exit::Damaged, "damaged", what)
                .why("a registry of these artifacts was here, and a new one in its place would hide that")
                .hint("restore a whole copy of the directory, or name another one with --data DIR"),
            DirectoryError::Io { source, path, .. } => {
                let hint = if source.kind() == std::io::ErrorKind::PermissionDenied {
                    format!("let the user who runs this into it: chmod u+rwx {}", quoted(&path))
                } else {
                    "see to the disk or the path, then try again".to_owned()
                };
                Self::io(what, &source).hint(hint)
            }
        }
    }
}

impl CliError {
    /// Why the data of a directory can't be opened, and what to type next.
    pub fn opening(data: &Path, error: OpenError) -> Self {
        match error {
            OpenError::Refused(refusal) => Self::not_opened(data, &refusal),
            OpenError::Store(error) => error.into(),
            OpenError::Journal(error) => {
                let why = chain(&error);
                let (exit, reason, what) = match &error {
                    JournalError::Full { .. } => (Exit::DiskFull, "disk_full", "the registry's disk is full"),
                    JournalError::Io { source, .. } if is_disk(source) => {
                        (Exit::DiskFull, "disk_full", "the registry's disk is full or can only be read")
                    }
                    JournalError::Damaged { .. } | JournalError::Payload { .. } => {
                        (Exit::Damaged, "damaged", "the journal is damaged")
                    }
                    JournalError::Io { .. }
                    | JournalError::Unsynced { .. }
                    | JournalError::TooLarge { .. }
                    | JournalError::InUse { .. }
                    | JournalError::Rows(_) => (Exit::Failed, "store", "the journal can't be used"),
                };
                Self::new(exit, reason, what).why(why).hint("see to the disk, then try again: nothing was lost by this")
            }
            OpenError::Io { path, op, source } => Self::io(format!("`{}`: could not {op}", path.display()), &source)
                .hint("see to the disk or the path, then try again: nothing was lost by this"),
            OpenError::Cancelled(_) => Self::new(Exit::Interrupted, "stopped", "opening the data was stopped"),
        }
    }

    /// A directory that must not be opened as it is.
    fn not_opened(data: &Path, refusal: &OpenRefusal) -> Self {
        let place = match (refusal.files.first(), refusal.offset) {
            (Some(file), Some(offset)) => format!("{file}, byte {offset}: "),
            (Some(_), None) => format!("{}: ", refusal.files.join(", ")),
            (None, _) => String::new(),
        };
        let what = format!("{place}{}", refusal.what);
        match refusal.kind {
            RefusalKind::Damaged => Self::new(Exit::Damaged, "damaged", what)
                .why(format!("nothing was changed; {}", refusal.salvage))
                .hint(format!(
                    "set the directory aside and restore a backup, or look at what can be saved: \
                     vix-registry verify --salvage NEW-DIRECTORY --data {}",
                    quoted(data)
                )),
            RefusalKind::Outlasted => Self::new(Exit::Damaged, "copy_outlasted", what)
                .why("copying took longer than the original keeps what it no longer needs; nothing was changed")
                .hint("copy again, or raise storage.retention in the original before copying: vix-registry backup create NEW-DIRECTORY"),
            RefusalKind::Forked => Self::new(Exit::Refused, "forked", what)
                .why("which of the two is right only you can know; nothing was changed")
                .hint("restore one of the two alone into an empty place: vix-registry backup restore COPY --data NEW-DIRECTORY"),
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let why = chain(&error);
        match error {
            StoreError::Newer { .. } => {
                Self::new(Exit::Newer, "newer_format", "the data directory was written by a newer vix-registry")
                    .why(why)
                    .hint("use that version or a later one; nothing was changed")
            }
            StoreError::Corrupt { .. } => Self::new(Exit::Damaged, "damaged", "the metadata is damaged")
                .why(why)
                .hint("set the directory aside as it is, and restore a copy"),
            StoreError::Full { .. } => Self::new(Exit::DiskFull, "disk_full", "the registry's disk is full")
                .why(why)
                .hint("make room on it, then try again"),
            StoreError::ReadOnly => Self::new(Exit::DiskFull, "read_only", "the registry takes no writes")
                .why(why)
                .hint("see to its disk, then restart it"),
            StoreError::Busy | StoreError::Closed | StoreError::Backend { .. } | StoreError::Panicked(_) => {
                Self::new(Exit::Failed, "store", "the metadata can't be used").why(why)
            }
        }
    }
}

impl From<BlobError> for CliError {
    fn from(error: BlobError) -> Self {
        let (exit, reason) = match &error {
            BlobError::Full { .. } => (Exit::DiskFull, "disk_full"),
            BlobError::Damaged { .. } => (Exit::Damaged, "damaged"),
            BlobError::Io { source, .. } if is_disk(source) => (Exit::DiskFull, "disk_full"),
            BlobError::Io { .. } | BlobError::Missing | BlobError::Busy => (Exit::Failed, "store"),
        };
        Self::new(exit, reason, "the artifacts can't be used").why(chain(&error))
    }
}

impl From<ServiceError> for CliError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Refused(refusal) => Self::new(Exit::Failed, refusal.reason.as_str(), refusal.message),
            ServiceError::Internal { .. } => {
                Self::new(Exit::Failed, "internal", "something broke that should not").why(chain(&error))
            }
        }
    }
}

impl From<ConfigError> for CliError {
    /// All problems in one: the first names the case, the others follow in the why.
    fn from(error: ConfigError) -> Self {
        let mut problems = error.problems.into_iter();
        let Some(first) = problems.next() else { return Self::usage("the configuration is wrong") };
        let mut failure = Self::new(Exit::Usage, "config", first.what).why(first.why).hint(first.next);
        for problem in problems {
            failure.hint = format!("{}\nalso: {problem}", failure.hint);
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, reason: &str, expected: Exit) {
        let envelope = json!({ "ok": false, "error": { "code": "X", "reason": reason, "message": "m" }, "meta": {} });
        let failure = CliError::refused(status, envelope.clone());
        assert_eq!((failure.exit, failure.reason.as_str()), (expected, reason));
        assert_eq!(failure.to_envelope(), envelope);
    }

    #[test]
    fn refusals_of_the_registry_have_the_contracts_codes() {
        check(401, "expired_token", Exit::Authentication);
        check(404, "package_not_found", Exit::Failed);
        check(503, "read_only", Exit::DiskFull);
        check(503, "draining", Exit::Failed);
        check(507, "storage_full", Exit::DiskFull);
    }

    #[test]
    fn states_of_the_data_have_the_contracts_codes() {
        let path = || std::path::PathBuf::from("reg");
        let code = |error: CliError| error.exit.code();
        assert_eq!(code(DirectoryError::Missing { path: path() }.into()), 10);
        let locked: CliError = DirectoryError::Locked { path: path(), pid: Some(7) }.into();
        assert!(locked.why.contains("process 7"));
        assert_eq!(code(locked), 11);
        assert_eq!(code(DirectoryError::Damaged { path: path() }.into()), 12);
        assert_eq!(code(StoreError::Corrupt { table: "t", what: String::new() }.into()), 12);
        assert_eq!(code(StoreError::Full { free_bytes: 0 }.into()), 14);
        assert_eq!(code(StoreError::Newer { found: 2, known: 1 }.into()), 15);
        for (kind, expected) in [(RefusalKind::Damaged, 12), (RefusalKind::Outlasted, 12), (RefusalKind::Forked, 13)] {
            let refusal =
                OpenRefusal { kind, ..OpenRefusal::damaged(vec!["journal/a".to_owned()], Some(7), String::new()) };
            let error = CliError::opening(Path::new("a reg"), OpenError::from(refusal));
            assert!(error.what.starts_with("journal/a, byte 7: ") && error.hint.contains("vix-registry "), "{error:?}");
            assert_eq!(code(error), expected);
        }
        let full = JournalError::Full { free_bytes: 0 };
        assert_eq!(code(CliError::opening(Path::new("reg"), OpenError::Journal(full))), 14);
        let read_only = std::io::Error::from(std::io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(code(DirectoryError::Io { path: path(), op: "open it", source: read_only }.into()), 14);
    }
}

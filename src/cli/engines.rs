//! Failures of the engines that verbs run themselves (verify, backup, restore), with their exit codes.

use super::exit::{CliError, Exit};
use crate::storage::backup::BackupError;
use crate::storage::chain;
use crate::storage::journal::JournalError;
use crate::storage::journal::plan::{OpenRefusal, RefusalKind};
use crate::storage::scrub::ScrubError;

impl From<JournalError> for CliError {
    fn from(error: JournalError) -> Self {
        let why = chain(&error);
        match error {
            JournalError::Full { .. } => Self::new(Exit::DiskFull, "disk_full", "the disk is full").why(why),
            JournalError::Io { source, .. } | JournalError::Unsynced { source: Some(source), .. } => {
                Self::io("the journal can't be used", &source).why(why)
            }
            JournalError::Damaged { .. } | JournalError::Payload { .. } => {
                Self::new(Exit::Damaged, "damaged", "the journal is damaged")
                    .why(why)
                    .hint("`vix-registry verify` names all that is; restore a copy")
            }
            JournalError::Unsynced { source: None, .. }
            | JournalError::TooLarge { .. }
            | JournalError::InUse { .. }
            | JournalError::Rows(_) => Self::new(Exit::Failed, "store", "the journal can't be used").why(why),
        }
    }
}

impl From<ScrubError> for CliError {
    fn from(error: ScrubError) -> Self {
        let what = error.to_string();
        match error {
            ScrubError::Cancelled(_) => Self::new(Exit::Interrupted, "interrupted", what),
            ScrubError::Store(error) => error.into(),
            ScrubError::Journal(error) => error.into(),
            ScrubError::Refused(refusal) => refused(&refusal),
            ScrubError::Io { source, .. } => Self::io(what, &source),
            ScrubError::Panicked(_) => Self::new(Exit::Failed, "internal", what),
        }
    }
}

impl From<BackupError> for CliError {
    fn from(error: BackupError) -> Self {
        let what = error.to_string();
        match error {
            BackupError::Cancelled(_) => Self::new(Exit::Interrupted, "interrupted", what),
            BackupError::Exists(_) | BackupError::Foreign { .. } => Self::new(Exit::Failed, "exists", what)
                .why("nothing is ever written over what is there")
                .hint("name a place that is not there yet, or move what is there aside"),
            BackupError::Busy(_) => Self::new(Exit::Failed, "busy", what),
            BackupError::NoFolder(_) => Self::new(Exit::Failed, "no_folder", what),
            BackupError::NoRegistry(_) => Self::new(Exit::NoData, "no_data_directory", what).hint("check the path"),
            BackupError::BeforeJournal(_) => Self::new(Exit::Failed, "no_journal", what),
            BackupError::Refused(refusal) => refused(&refusal),
            BackupError::Outlasted { .. } => Self::new(Exit::Failed, "outlasted", what),
            BackupError::NotWhole { .. } => Self::new(Exit::Failed, "not_whole", what)
                .why("what was written was read back and differs")
                .hint("see to the disk it was written to, then try again"),
            BackupError::Full { .. } => {
                Self::new(Exit::DiskFull, "disk_full", what).hint("make room there, then try again")
            }
            BackupError::Journal(error) => error.into(),
            BackupError::Store(error) => error.into(),
            BackupError::Scrub(error) => error.into(),
            BackupError::Io { source, .. } => Self::io(what, &source),
        }
    }
}

/// A directory that would not be opened either.
fn refused(refusal: &OpenRefusal) -> CliError {
    let (exit, reason) = match refusal.kind {
        RefusalKind::Damaged => (Exit::Damaged, "damaged"),
        RefusalKind::Outlasted => (Exit::Damaged, "copy_outlasted"),
        RefusalKind::Forked => (Exit::Refused, "forked"),
    };
    CliError::new(exit, reason, refusal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::progress::Cancelled;

    #[test]
    fn failures_of_engines_have_the_contracts_codes() {
        let path = || std::path::PathBuf::from("copy");
        let check = |error: BackupError, expected: u8| assert_eq!(CliError::from(error).exit.code(), expected);
        let refusal = |kind| OpenRefusal { kind, ..OpenRefusal::damaged(Vec::new(), None, String::new()) };
        check(BackupError::Cancelled(Cancelled), 130);
        check(BackupError::Exists(path()), 1);
        check(BackupError::NoRegistry(path()), 10);
        check(BackupError::Refused(Box::new(refusal(RefusalKind::Damaged))), 12);
        check(BackupError::Refused(Box::new(refusal(RefusalKind::Outlasted))), 12);
        check(BackupError::Refused(Box::new(refusal(RefusalKind::Forked))), 13);
        check(BackupError::Full { path: path(), free_bytes: 0 }, 14);
        check(BackupError::Journal(JournalError::Full { free_bytes: 0 }), 14);
        let read_only = || std::io::Error::from(std::io::ErrorKind::ReadOnlyFilesystem);
        check(BackupError::Io { path: path(), op: "make it", source: read_only() }, 14);
        let damaged = JournalError::Payload { offset: 0, what: "" };
        assert_eq!(CliError::from(ScrubError::Journal(damaged)).exit.code(), 12);
    }
}

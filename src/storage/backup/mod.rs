//! Makes a backup of a data directory, and a data directory of a backup.
//!
//! Owns the place that a backup grows in until it is whole ([`partial`]). A backup is a data directory like any other
//! copy: a snapshot of one state, the header of the log that goes on from it, and the blobs that the state refers to; so
//! there is one way to restore, which is to open it. Must never write into the directory that is read, take a lock there
//! or look at its index: this is a copying tool, beside a running server or without one. Nothing has its final name
//! before every byte of it was read back.
//!
//! Start reading at [`create()`] and [`restore()`].

mod create;
mod files;
mod partial;
mod restore;

use std::io;
use std::path::PathBuf;

pub use self::create::{BackupOptions, BackupReport, create};
pub use self::restore::{RestoreReport, restore};
use super::StoreError;
use super::journal::JournalError;
use super::journal::name::Generation;
use super::journal::plan::OpenRefusal;
use super::progress::Cancelled;
use super::scrub::{Finding, ScrubError};

/// Why a backup was not made, or not restored. Nothing stands under the name that was asked for then.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// Something is there already.
    #[error("`{}` is there already: name a place that is not", .0.display())]
    Exists(PathBuf),
    /// Another process works on it.
    #[error("another process writes to `{}`: wait for it, or name another place", .0.display())]
    Busy(PathBuf),
    /// There are other things where the backup would grow.
    #[error("`{}` holds other things than an unfinished backup, such as `{entry}`: move it away", .path.display())]
    Foreign {
        /// The place.
        path: PathBuf,
        /// One thing in it.
        entry: String,
    },
    /// The folder in which it would be made is missing.
    #[error("the folder of `{}` is not there: make it first", .0.display())]
    NoFolder(PathBuf),
    /// There is no registry to copy.
    #[error("there is no registry in `{}`", .0.display())]
    NoRegistry(PathBuf),
    /// The directory is from before the journal, and was not opened since.
    #[error("`{}` was written by a version without a journal: start the server on it once", .0.display())]
    BeforeJournal(PathBuf),
    /// What is to be copied would not be opened either.
    #[error("it can't be opened: {0}")]
    Refused(Box<OpenRefusal>),
    /// Something that the state refers to was removed while it was copied, though it is kept for the retention.
    #[error(
        "`{file}` is gone: the backup took longer than `storage.retention`, or it was lost (`vix-registry verify` tells); \
         raise that, or copy it back, and try again"
    )]
    Outlasted {
        /// Which file, relative to the data directory.
        file: String,
    },
    /// What was written does not read back as it should.
    #[error("`{}` is not what was written: {}: {}", .path.display(), .finding.file, .finding.what)]
    NotWhole {
        /// Where it grew.
        path: PathBuf,
        /// The first thing that is wrong.
        finding: Box<Finding>,
    },
    /// There is no room.
    #[error("the disk of `{}` is full, {free_bytes} bytes are free", .path.display())]
    Full {
        /// Where.
        path: PathBuf,
        /// What was free just after.
        free_bytes: u64,
    },
    /// The journal can't be read or written.
    #[error(transparent)]
    Journal(JournalError),
    /// The rows can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Reading it all failed.
    #[error(transparent)]
    Scrub(ScrubError),
    /// The disk failed.
    #[error("`{}`: could not {op}", .path.display())]
    Io {
        /// What was used.
        path: PathBuf,
        /// What was to be done with it.
        op: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl From<ScrubError> for BackupError {
    fn from(error: ScrubError) -> Self {
        match error {
            ScrubError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            ScrubError::Store(error) => Self::Store(error),
            ScrubError::Journal(error) => Self::from(error),
            ScrubError::Refused(refusal) => Self::Refused(refusal),
            ScrubError::Io { path, op, source } => Self::Io { path, op, source },
            error @ ScrubError::Panicked(_) => Self::Scrub(error),
        }
    }
}

impl From<JournalError> for BackupError {
    fn from(error: JournalError) -> Self {
        let JournalError::Rows(source) = error else { return Self::Journal(error) };
        match source.downcast::<ScrubError>() {
            Ok(scrub) => Self::from(*scrub),
            Err(source) => Self::Journal(JournalError::Rows(source)),
        }
    }
}

/// Which state a backup holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateFacts {
    /// The generation of its snapshot.
    pub generation: Generation,
    /// The number of the last change in it.
    pub number: u64,
    /// The tick of that change.
    pub tick: u64,
}

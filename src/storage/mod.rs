//! What is kept on disk, behind two contracts: [`Metadata`] (rows, transactional) and the blob store (bytes).
//!
//! A read is one read transaction. A write is one transaction too: *load → decide → apply → commit*, where the
//! decision is a synchronous function of a [`View`], so that nothing can wait inside it, and a refusal writes nothing.
//! Nothing above this layer opens a file, and nothing above sees redb.

pub mod backup;
pub mod blobs;
pub mod directory;
pub mod disk;
pub mod fs;
pub mod journal;
pub mod keys;
pub mod leases;
mod lock;
pub mod open;
pub mod progress;
pub mod quarantine;
pub mod redb;
pub mod repair;
pub mod reports;
pub mod rows;
pub mod scans;
pub mod scrub;
pub mod tables;
#[cfg(test)]
pub(crate) mod tests;
pub mod view;

use std::future::Future;

use crate::domain::change::Change;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;

pub use self::redb::RotationRule;
pub use view::View;

/// The backend of metadata; becomes an enum when there is a second one.
pub type Backend = redb::RedbMetadata;

/// What a decision answers: the changes to record and what to tell the caller once they are durable.
#[derive(Debug)]
pub struct Decided<R> {
    /// Applied in order, all or none. Empty: nothing is written, and the answer rests on what was read.
    pub changes: Vec<Change>,
    /// Handed to the caller after the commit.
    pub answer: R,
}

impl<R> Decided<R> {
    /// An answer that needs no change.
    pub fn unchanged(answer: R) -> Self {
        Self { changes: Vec::new(), answer }
    }
}

/// Why a decision was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The decision was to refuse.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Storage failed; nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// When a decision is taken.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The server's wall clock, for people.
    pub now: Timestamp,
    /// Seconds in which a server ran on this directory, for retention: no clock that jumps can change them.
    pub tick: u64,
}

/// How much a read looks at, which decides where it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cost {
    /// A few rows: runs where it was called.
    Point,
    /// Possibly many rows: runs on a thread that may block.
    Scan,
}

/// Why storage failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too many writes are waiting already.
    #[error("the write queue is full")]
    Busy,
    /// The writer has stopped.
    #[error("the store is closed")]
    Closed,
    /// An earlier write failed in a way that only a restart gets over; reads go on.
    #[error("writes are refused since an earlier one failed")]
    ReadOnly,
    /// The disk has no room.
    #[error("the disk is full")]
    Full {
        /// What was free when it failed.
        free_bytes: u64,
    },
    /// A row does not read as what it should be.
    #[error("table {table}: {what}")]
    Corrupt {
        /// Which table.
        table: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The data was written by a newer version of this program.
    #[error("the data directory has format {found}, this program knows up to {known}")]
    Newer {
        /// The format of the data.
        found: u32,
        /// The newest format that is known here.
        known: u32,
    },
    /// The backend failed.
    #[error("{op} failed")]
    Backend {
        /// What was being done.
        op: &'static str,
        /// Its error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A decision or the applying of one panicked; its transaction was dropped.
    #[error("a decision panicked: {0}")]
    Panicked(String),
}

impl StoreError {
    /// Wraps a backend's error.
    pub fn backend(op: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Backend { op, source: source.into() }
    }
}

/// Rows in transactions.
pub trait Metadata: Send + Sync + 'static {
    /// Runs `query` in one read transaction.
    ///
    /// # Errors
    /// What `query` answers with, or that the backend failed.
    fn read<R, F>(&self, cost: Cost, query: F) -> impl Future<Output = Result<R, StoreError>> + Send
    where
        R: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<R, StoreError> + Send + 'static;

    /// Runs `decide` in one write transaction and answers once its changes are durable; a refusal is answered after
    /// the commit too, since it may rest on a decision that shares the transaction.
    ///
    /// `decide` may be run again when somebody else's changes of the same transaction failed, so it changes nothing
    /// outside.
    ///
    /// # Errors
    /// The refusal; or [`StoreError::Busy`] when too many writes wait, [`StoreError::Full`], [`StoreError::Backend`].
    fn change<R, F>(&self, decide: F) -> impl Future<Output = Result<R, ChangeError>> + Send
    where
        R: Send + 'static,
        F: Fn(&View<'_>, Moment) -> Result<Decided<R>, ChangeError> + Send + 'static;
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

//! Reads everything that is kept and says what is wrong: the engine of `verify`.
//!
//! Owns the checks: the journal's files ([`journal`]), the index against them ([`compare`], [`replica`]), rows against
//! each other ([`rows`]), files under `blobs/` against their rows ([`blobs`]). Must never change, repair or remove
//! anything, but for [`rebuild`]: a finding names its file and the next thing to type, and a person decides. Memory is
//! bounded whatever the size of the registry: rows are streamed, and look-ups go to an index.
//!
//! Start reading at [`verify`].

pub mod blobs;
pub mod compare;
pub mod findings;
#[cfg(test)]
pub(crate) mod fixture_tests;
pub mod journal;
#[cfg(test)]
pub(crate) mod memory_tests;
pub mod meter;
pub mod rebuild;
pub mod replica;
pub mod rows;
mod sources;
pub mod verify;

use std::io;
use std::path::PathBuf;

pub use self::findings::{FINDINGS_MAX, Finding, Findings};
use super::StoreError;
use super::journal::JournalError;
use super::journal::plan::OpenRefusal;
use super::open::OpenError;
use super::progress::Cancelled;

/// Why a verification could not go on. What is wrong with the data is no error but a [`Finding`].
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// It was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The rows could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal could not be read, or is damaged where it is needed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It would not be opened either.
    #[error(transparent)]
    Refused(Box<OpenRefusal>),
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
    /// A part of the work panicked.
    #[error("a part of the verification panicked: {0}")]
    Panicked(String),
}

impl From<OpenError> for ScrubError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Refused(refusal) => Self::Refused(refusal),
            OpenError::Store(error) => Self::Store(error),
            OpenError::Journal(error) => Self::Journal(error),
            OpenError::Io { path, op, source } => Self::Io { path, op, source },
            OpenError::Cancelled(cancelled) => Self::Cancelled(cancelled),
        }
    }
}

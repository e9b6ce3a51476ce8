//! Why a directory could not be opened.

use std::io;
use std::path::{Path, PathBuf};

use crate::storage::StoreError;
use crate::storage::journal::JournalError;
use crate::storage::journal::plan::OpenRefusal;
use crate::storage::progress::Cancelled;

/// Why a directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It must not be opened as it is; nothing was changed in it.
    #[error(transparent)]
    Refused(Box<OpenRefusal>),
    /// The index failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal failed.
    #[error(transparent)]
    Journal(JournalError),
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
    /// It was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl OpenError {
    /// The disk's error, for `map_err`.
    pub(super) fn io(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, op, source }
    }

    /// Whether a file is not what was written: something else may do instead.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Journal(error) => matches!(error, JournalError::Damaged { .. } | JournalError::Payload { .. }),
            Self::Store(error) => matches!(error, StoreError::Corrupt { .. } | StoreError::Panicked(_)),
            Self::Refused(_) | Self::Io { .. } | Self::Cancelled(_) => false,
        }
    }
}

impl From<OpenRefusal> for OpenError {
    fn from(refusal: OpenRefusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<JournalError> for OpenError {
    /// What a visitor of rows or frames failed with comes back as itself.
    fn from(error: JournalError) -> Self {
        let JournalError::Rows(source) = error else { return Self::Journal(error) };
        source.downcast::<Self>().map_or_else(|source| Self::Journal(JournalError::Rows(source)), |own| *own)
    }
}

/// Hands an error of ours through a reader of the journal.
pub(super) fn through(error: impl Into<OpenError>) -> JournalError {
    JournalError::rows(error.into())
}

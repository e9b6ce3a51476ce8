//! Why the journal could not be read or written.

use std::io;

/// Why the journal could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk failed. What was to be written is not acknowledged, and a later write begins a new log.
    #[error("the disk failed to {op} (`{file}`)")]
    Io {
        /// The step that failed, as a verb with its object.
        op: &'static str,
        /// The file's name within the data directory.
        file: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The disk or the quota is full, and what was reserved for this is used up.
    #[error("the disk is full, {free_bytes} bytes are free")]
    Full {
        /// What the file system said was free just after.
        free_bytes: u64,
    },
    /// What an fsync of this file or directory leaves behind can't be known: nothing is written until a restart.
    #[error("`{file}` could not be synced, so nothing more is written until a restart")]
    Unsynced {
        /// Its name within the data directory.
        file: String,
        /// What the operating system said; none when it was said earlier.
        #[source]
        source: Option<io::Error>,
    },
    /// A file's bytes are not what was written.
    #[error("`{file}` is damaged at byte {offset}: {what}")]
    Damaged {
        /// The file's name within the data directory.
        file: String,
        /// Where the first byte that can't be used stands.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A frame's payload, whose hash is right, is no list of rows that this program knows.
    #[error("the rows of a frame don't read at byte {offset} of them: {what}")]
    Payload {
        /// Within the payload.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// What was to be written is longer than anything of its kind may be.
    #[error("{what} has {bytes} bytes, at most {bytes_max} can be written")]
    TooLarge {
        /// A frame, a header or a row.
        what: &'static str,
        /// How long it is.
        bytes: u64,
        /// How long it may be.
        bytes_max: u64,
    },
    /// The file is part of what is written, so that it can't go.
    #[error("`{file}` is in use")]
    InUse {
        /// The file's name within the data directory.
        file: String,
    },
    /// The rows that were to be written, or those who were to take them, failed.
    #[error("the rows could not be passed on")]
    Rows(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl JournalError {
    /// Wraps the error of whoever gives or takes rows.
    pub fn rows(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Rows(source.into())
    }

    /// A file whose bytes are not what was written.
    pub(super) fn damaged(file: &str, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), offset, what: what.into() }
    }

    /// The disk's error, for `map_err`.
    pub(super) fn io(op: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { op, file: file.to_owned(), source }
    }
}

/// Whether an error of the disk says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

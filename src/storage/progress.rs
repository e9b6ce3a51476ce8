//! How a long work tells how far it is, and is told to stop.
//!
//! Owns the one thing that an engine (backup, verify, gc, rebuild) and whoever watches it share. An engine calls
//! [`Progress::advance`] after each piece of work, at the latest after [`PIECE_BYTES_MAX`] bytes or
//! [`PIECE_ROWS_MAX`] rows, and leaves at once when it says [`Cancelled`]; whatever it leaves behind then must be
//! harmless: a partial result under a name that nobody takes for a whole one, or nothing. Must never block: the watcher
//! keeps numbers, it does not write.

/// The most bytes that an engine handles between two calls of [`Progress::advance`].
pub const PIECE_BYTES_MAX: u64 = 8 << 20;

/// The most rows or files that an engine handles between two calls of [`Progress::advance`].
pub const PIECE_ROWS_MAX: u64 = 4096;

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Bytes read or written.
    Bytes,
    /// Blobs looked at, linked or removed.
    Blobs,
    /// Rows read, written or compared.
    Rows,
    /// Frames of the journal.
    Frames,
}

impl Unit {
    /// As the API and the command line say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Blobs => "blobs",
            Self::Rows => "rows",
            Self::Frames => "frames",
        }
    }
}

/// How far a work is.
///
/// A work of several parts (rows, then bytes) tells one part after another; `done` begins anew with each `unit`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advance {
    /// How many are done.
    pub done: u64,
    /// Of how many, when that is known.
    pub total: Option<u64>,
    /// What is counted.
    pub unit: Unit,
}

/// The work was told to stop: by a person, or because the server stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it was told to stop")]
pub struct Cancelled;

/// Watches a work.
pub trait Progress: Send + Sync {
    /// Takes note of how far the work is.
    ///
    /// # Errors
    /// [`Cancelled`] when the work shall stop; it says so from then on, each time.
    fn advance(&self, at: Advance) -> Result<(), Cancelled>;
}

/// Watches nothing, stops nothing.
#[derive(Clone, Copy, Default, Debug)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn advance(&self, _at: Advance) -> Result<(), Cancelled> {
        Ok(())
    }
}

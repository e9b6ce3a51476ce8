//! The journal: what is true. Everything else, the redb index above all, follows from it.
//!
//! Owns `journal/` in the data directory: logs of frames, which only ever grow and only by the process that made them,
//! and snapshots, which never change. Must never truncate or overwrite a file there, retry a failed fsync on one, or
//! interpret rows: a frame is puts and deletes, and replaying runs no logic. `docs/storage.md` has every byte of it.
//!
//! Start reading at [`Journal`], what the writer appends to, and at [`facts`]: what the files of a directory say before
//! it is decided how to open it.

mod append;
pub mod codec;
pub mod cut;
mod detach;
pub mod error;
pub mod facts;
pub mod frame;
pub mod header;
mod log;
pub mod name;
mod place;
pub mod plan;
mod prepared;
pub mod read;
pub mod retention;
pub mod retired;
mod scan;
pub mod snapshot;
pub mod snapshot_write;
pub mod survey;

#[cfg(test)]
mod tests;

pub use append::{Journal, JournalSizes, JournalStart, begin_log, settle, settle_newest};
pub use error::JournalError;
pub use log::RESERVE_BYTES;

use crate::domain::digest::Blake3;

/// The folder of logs and snapshots within the data directory.
pub const JOURNAL_FOLDER: &str = "journal";
/// The hash of the frame before the first one.
pub const NO_FRAME: Blake3 = Blake3([0; 32]);

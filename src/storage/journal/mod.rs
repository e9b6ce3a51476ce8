//! The journal: what is true. Everything else, the redb index above all, follows from it.
//!
//! Owns `journal/` in the data directory: logs of frames, which only ever grow and only by the process that made them,
//! and snapshots, which never change. Must never truncate or overwrite a file there, retry a failed fsync on one, or
//! interpret rows: a frame is puts and deletes, and replaying runs no logic. `docs/storage.md` has every byte of it.
//!
//! Start reading at [`facts`]: what the files of a directory say before it is decided how to open it.

pub mod facts;
pub mod header;
pub mod name;
pub mod plan;

/// The folder of logs and snapshots within the data directory.
pub const JOURNAL_FOLDER: &str = "journal";

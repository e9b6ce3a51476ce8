//! Why a directory is not opened, and what could be saved of it.

use std::fmt;

use super::runs::Route;
use crate::storage::journal::JOURNAL_FOLDER;
use crate::storage::journal::header::Position;
use crate::storage::journal::name::{FileKind, Generation};

/// Why a directory is not opened. Nothing was changed in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenRefusal {
    /// What kind of trouble, which is the exit code.
    pub kind: RefusalKind,
    /// The files that show it, relative to the data directory.
    pub files: Vec<String>,
    /// Where in the first of them.
    pub offset: Option<u64>,
    /// What is wrong, as one sentence without a full stop.
    pub what: String,
    /// What `--salvage` would keep.
    pub salvage: Box<Salvage>,
}

/// The kinds of trouble.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusalKind {
    /// Something that was written is not there, or not as it was written: exit 12.
    Damaged,
    /// This copy took longer than the retention, so that what it needs was removed before it was read: exit 12.
    Outlasted,
    /// Two directories lie over one another: exit 13.
    Forked,
}

/// What can still be read: the longest prefix of the history, without regard to what is wrong after it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Salvage {
    /// Ways to that state, the one that reaches furthest first; empty when the journal alone gives none.
    pub routes: Vec<Route>,
    /// The last frame that would be kept; of the index when `routes` is empty.
    pub kept: Option<Position>,
    /// What would be lost, each a file or the rest of one.
    pub lost: Vec<String>,
}

impl OpenRefusal {
    /// Something that is not there, or not as it was written.
    pub fn damaged(files: Vec<String>, offset: Option<u64>, what: String) -> Self {
        Self { kind: RefusalKind::Damaged, files, offset, what, salvage: Box::default() }
    }

    pub(super) fn forked(files: Vec<String>, what: String) -> Self {
        Self { kind: RefusalKind::Forked, files, offset: None, what, salvage: Box::default() }
    }

    /// A copy that took longer than what it needed was kept.
    pub fn outlasted(files: Vec<String>, what: String) -> Self {
        Self { kind: RefusalKind::Outlasted, files, offset: None, what, salvage: Box::default() }
    }

    pub(super) fn with(self, salvage: Salvage) -> Self {
        Self { salvage: Box::new(salvage), ..self }
    }
}

impl fmt::Display for OpenRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let (Some(file), Some(offset)) = (self.files.first(), self.offset) {
            write!(f, " ({file} at byte {offset})")?;
        } else if !self.files.is_empty() {
            write!(f, " ({})", self.files.join(", "))?;
        }
        match self.kind {
            RefusalKind::Damaged => write!(f, "; {}", self.salvage),
            RefusalKind::Outlasted => {
                f.write_str("; copy again, faster, or raise storage.retention in the original before copying")
            }
            RefusalKind::Forked => f.write_str("; restore into an empty place, from one of the two directories alone"),
        }
    }
}

impl std::error::Error for OpenRefusal {}

impl fmt::Display for Salvage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kept {
            Some(kept) => {
                write!(f, "--salvage would keep everything up to change {} of tick {}", kept.number, kept.tick)?;
            }
            None => f.write_str("--salvage finds nothing to keep")?,
        }
        if self.lost.is_empty() { Ok(()) } else { write!(f, " and lose {}", self.lost.join(", ")) }
    }
}

/// A file's name relative to the data directory.
pub(super) fn file(generation: Generation, kind: FileKind) -> String {
    format!("{JOURNAL_FOLDER}/{}", generation.file_name(kind))
}

/// A log's name relative to the data directory.
pub(super) fn log(generation: Generation) -> String {
    file(generation, FileKind::Log)
}

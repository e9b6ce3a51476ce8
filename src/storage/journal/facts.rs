//! What the files of a directory say, before anything is decided: the input of the pure decision.

use super::header::{Header, Position, Seal};
use super::name::{FileKind, Generation};
use crate::domain::digest::Blake3;

/// Everything that stands in `journal/`.
#[derive(Clone, Debug, Default)]
pub struct JournalFacts {
    /// Logs with a good header, in the order of their names.
    pub logs: Vec<LogFacts>,
    /// Snapshots whose head reads, in the order of their names. Whether the rest is whole shows when it is read.
    pub snapshots: Vec<SnapshotFacts>,
    /// Files whose head does not read.
    pub unreadable: Vec<Unreadable>,
    /// Generations that were retired by the server: a small note stands where the file was.
    pub retired: Vec<(Generation, FileKind)>,
}

/// What one log says.
#[derive(Clone, Debug)]
pub struct LogFacts {
    /// Its header.
    pub header: Header,
    /// All of its bytes.
    pub length: u64,
    /// Whether this file, in this directory, is the one that the mark describes.
    pub is_original: bool,
    /// The end of the header, then the end of each good frame that somebody refers to (a successor, the index), and
    /// last the end of the last good frame; ascending, never empty. A frame is good while everything before it in this
    /// log is: what stands behind damage is not among them.
    pub positions: Vec<Position>,
    /// What follows the last good frame.
    pub tail: Tail,
    /// What the last good frame says, when it is a seal.
    pub seal: Option<Seal>,
}

/// What follows the last good frame of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// Nothing.
    Clean,
    /// Bytes that are no frame, with no good frame after them: an append that was cut off.
    Torn,
    /// Bytes that are no frame, and a good frame after them: damage.
    Damaged {
        /// Where the next good frame begins.
        next_good: u64,
    },
}

/// What the head of a snapshot says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotFacts {
    /// Its log's generation; the file's name says the same.
    pub generation: Generation,
    /// The number of the last frame that its rows hold.
    pub number: u64,
    /// That frame's hash.
    pub hash: Blake3,
    /// That frame's tick.
    pub tick: u64,
    /// All of the file's bytes.
    pub length: u64,
}

/// A file of the journal that can't be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// Which file.
    pub generation: Generation,
    /// Of which kind.
    pub kind: FileKind,
    /// What is wrong with it, for people.
    pub what: String,
}

impl JournalFacts {
    /// Leaves out what is newer than this generation's number, as if its files were not there.
    pub fn keep_until(&mut self, number: u64) {
        self.logs.retain(|one| one.header.generation.number <= number);
        self.snapshots.retain(|one| one.generation.number <= number);
        self.unreadable.retain(|one| one.generation.number <= number);
        self.retired.retain(|(generation, _)| generation.number <= number);
    }
}

impl LogFacts {
    /// The end of the last good frame, or of the header.
    pub fn last(&self) -> Position {
        self.positions.last().copied().unwrap_or(Position {
            generation: self.header.generation,
            end: 0,
            number: 0,
            hash: Blake3([0; 32]),
            tick: 0,
        })
    }
}

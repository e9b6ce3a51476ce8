//! What stands at the head of a log, and where a frame stands.

use super::name::Generation;
use crate::domain::digest::Blake3;
use crate::domain::id::Id;

/// Where a history is after a frame: the frame's number, its hash, the tick of it, and where it ends in its log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// The log.
    pub generation: Generation,
    /// The offset of the first byte after the frame; after the header when the log has no frame yet.
    pub end: u64,
    /// The number of the last frame, from 1 and across all logs; 0 before the first.
    pub number: u64,
    /// The hash of the last frame. Before the first frame of a log it is that of the frame before it, so that the same
    /// state has the same hash in both logs.
    pub hash: Blake3,
    /// Seconds in which a server ran, as the frame tells.
    pub tick: u64,
}

/// The head of a log. Written whole and durable before the log has its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Which log this is; the file's name says the same.
    pub generation: Generation,
    /// When it was begun.
    pub tick: u64,
    /// How long, in ticks, what is superseded was kept when this log was begun.
    pub retention: u64,
    /// What the state at this log's beginning came from; none: it starts from nothing.
    pub continues: Option<Continues>,
    /// The histories that this one descends from, oldest first.
    pub lineage: Vec<Ancestor>,
    /// What tells this file from a copy of it.
    pub mark: Mark,
}

/// The log before, as it was when this one was begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Continues {
    /// Which log.
    pub generation: Generation,
    /// All of its bytes. What lies between `end` and here was not acknowledged and is void.
    pub length: u64,
    /// Where its last good frame ends.
    pub end: u64,
    /// The number of that frame.
    pub number: u64,
    /// Its hash.
    pub hash: Blake3,
}

impl Continues {
    /// What the first log of a directory continues that had a registry before it had a journal: a state that only the
    /// snapshot of that log holds. Without this, the log would seem to start from nothing when the snapshot is lost.
    pub fn before_the_journal(history: Id) -> Self {
        let generation = Generation { number: 0, history };
        Self { generation, length: 0, end: 0, number: 0, hash: Blake3([0; 32]) }
    }
}

/// A history that a later one was forked off, and the last frame that both have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ancestor {
    /// The history.
    pub history: Id,
    /// The number of the last common frame.
    pub number: u64,
    /// Its hash.
    pub hash: Blake3,
}

/// A log's birth mark: copying makes another file, or at least another directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Of the log itself.
    pub file: Identity,
    /// Of `journal/`.
    pub directory: Identity,
}

/// What no copy of a file or directory has in common with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The inode number.
    pub inode: u64,
    /// When the inode was made, in nanoseconds since 1970; none where the file system does not tell.
    pub born_ns: Option<i64>,
}

impl Identity {
    /// Whether what is `found` may be what was written down: a file system that tells no birth time makes every
    /// directory an original, since refusing harms less than cutting.
    pub fn may_be(self, found: Self) -> bool {
        match (self.born_ns, found.born_ns) {
            (Some(_), Some(_)) => self == found,
            (None, _) | (_, None) => true,
        }
    }
}

/// The last frame of a log that was ended by a clean stop: the index needs no check while it is as described here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seal {
    /// The index's inode.
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// Its last change (ctime), in nanoseconds since 1970.
    pub changed_ns: i64,
}

//! One log that this process made: begun whole, then only appended to.
//!
//! Must never be written to again after a failed append or fsync, cut, or made longer by anything but frames: another
//! reads it at any moment, and a second pass of rsync skips a file whose size and time are as before.

use std::fs::File;
use std::io;

use super::codec::encode_header;
use super::error::{JournalError, is_full};
use super::frame::Frame;
use super::header::{Ancestor, Continues, Header, Mark, Position};
use super::name::{FileKind, Generation};
use super::place::{Place, identity, unsynced};
use super::prepared::PreparedFile;
use super::survey;

/// Bytes past a log's end for which it has blocks while there is room: what can't wait is written there when the disk
/// is full.
pub const RESERVE_BYTES: u64 = 4 << 20;

/// What a new log's header says, but for its mark.
#[derive(Clone, Copy)]
pub(super) struct Draft<'d> {
    pub(super) generation: Generation,
    pub(super) tick: u64,
    pub(super) retention: u64,
    pub(super) continues: Option<Continues>,
    pub(super) lineage: &'d [Ancestor],
}

/// An open log.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    /// The end of its last good frame, or of its header.
    pub(super) at: Position,
    /// The tick of its first frame.
    pub(super) first_tick: Option<u64>,
    /// Set for good once an append or its fsync failed.
    pub(super) is_ended: bool,
    /// Where its blocks end; without end where the file system gives none ahead.
    allocated_until: u64,
}

impl Log {
    /// Makes a prepared file a log: header durable, then its name, then the directory.
    ///
    /// # Errors
    /// `Unsynced` once the name may be there and may not be durable: no other log may then continue what this one does.
    /// Otherwise there is no such log, and another may be begun.
    pub(super) fn begin(place: &Place, prepared: PreparedFile, draft: Draft<'_>) -> Result<Self, JournalError> {
        let PreparedFile { file, path, stat } = prepared;
        let Draft { generation, tick, retention, continues, lineage } = draft;
        let shown = generation.shown(FileKind::Log);
        let begun = place.identity().map_err(place.failed("look at the journal", &shown)).and_then(|directory| {
            let mark = Mark { file: identity(stat), directory };
            let header = Header { generation, tick, retention, continues, lineage: lineage.to_vec(), mark };
            let bytes = encode_header(&header)?;
            place.fs.write_all_at(&file, &bytes, 0).map_err(place.failed("write a log's header", &shown))?;
            place.fs.sync_data(&file).map_err(place.failed("sync a log's header", &shown))?;
            Ok(survey::begin(&header, bytes.len() as u64))
        });
        let named = begun.and_then(|at| {
            let to = place.path(generation, FileKind::Log);
            let Err(error) = place.fs.link(&path, &to) else { return Ok(at) };
            // An error does not say that nothing was done; only the directory does.
            match place.is_same(&to, &stat) {
                Ok(None) => Err(place.failed("name a log", &shown)(error)),
                Ok(Some(true)) => Ok(at),
                Ok(Some(false)) | Err(_) => {
                    place.distrust();
                    place.disk.note("name a log", &error);
                    Err(unsynced(&shown, Some(error)))
                }
            }
        });
        let durable = named.and_then(|at| place.sync().map(|()| at));
        // Its name in run/: no longer needed, or of a file that must not become another log.
        place.tidy(&path);
        Ok(Self { file, at: durable?, first_tick: None, is_ended: false, allocated_until: stat.allocated })
    }

    /// Writes and syncs one frame, whose bytes are given too.
    ///
    /// # Errors
    /// `Full` when there is no room: then, unless [`Log::is_ended`], nothing was written and the log goes on. `Io` ends it:
    /// what stands behind its last good frame can't be known.
    pub(super) fn append(&mut self, place: &Place, frame: &Frame, bytes: &[u8]) -> Result<Position, JournalError> {
        let end = self.at.end + bytes.len() as u64;
        if end > self.allocated_until && !self.allocate(place, end)? {
            return Err(JournalError::Full { free_bytes: place.fs.free_bytes(&place.data).unwrap_or(0) });
        }
        let shown = self.at.generation.shown(FileKind::Log);
        self.is_ended = true;
        place.fs.write_all_at(&self.file, bytes, self.at.end).map_err(place.failed("write a frame", &shown))?;
        place.fs.sync_data(&self.file).map_err(place.failed("sync a frame", &shown))?;
        self.is_ended = false;
        let (generation, number, hash, tick) = (self.at.generation, frame.number, frame.hash, frame.tick);
        self.at = Position { generation, end, number, hash, tick };
        self.first_tick.get_or_insert(tick);
        Ok(self.at)
    }

    /// Fills the reserve past the log's end up; `false` when there is no room for that.
    ///
    /// # Errors
    /// `Io` when the disk fails otherwise.
    pub(super) fn reserve(&mut self, place: &Place) -> Result<bool, JournalError> {
        let least = self.at.end + RESERVE_BYTES;
        if self.allocated_until >= least {
            return Ok(true);
        }
        // Twice as much, so that not every append asks; on a disk that is nearly full at least the reserve.
        Ok(self.allocate(place, least + RESERVE_BYTES)? || self.allocate(place, least)?)
    }

    fn allocate(&mut self, place: &Place, until: u64) -> Result<bool, JournalError> {
        let shown = self.at.generation.shown(FileKind::Log);
        let from = self.allocated_until.min(until);
        match place.fs.allocate(&self.file, from, until - from) {
            Ok(()) => self.allocated_until = self.allocated_until.max(until),
            Err(error) if is_full(&error) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.allocated_until = u64::MAX,
            Err(error) => return Err(place.failed("give a log blocks", &shown)(error)),
        }
        Ok(true)
    }

    /// What a log says that continues this one; the file's length as it stands, good or not.
    pub(super) fn continues(&self, place: &Place) -> Result<Continues, JournalError> {
        let Position { generation, end, number, hash, .. } = self.at;
        let shown = generation.shown(FileKind::Log);
        let length = place.fs.stat(&self.file).map_err(place.failed("look at a log", &shown))?.size;
        Ok(Continues { generation, length, end, number, hash })
    }

    /// Gives the blocks past the end back, now that nothing will be appended. Setting the length that it has does that
    /// and no more, and is only done while the length is known.
    pub(super) fn release(&self, place: &Place) {
        let is_known = place.fs.stat(&self.file).is_ok_and(|stat| stat.size == self.at.end);
        if is_known && let Err(error) = place.fs.set_len(&self.file, self.at.end) {
            tracing::debug!(%error, "a log keeps the blocks past its end");
        }
    }
}

//! The journal as its one writer has it: logs begun, appended to, sealed, and retired.
//!
//! Must never acknowledge a frame that the next open does not find, nor let a frame that was reported as failed come back
//! once a later one was acknowledged: a failed append or fsync ends its log for good, and the next log's header says
//! where that one's last good frame ends and how long it stood, which voids whatever lies between.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::detach::detach;
use super::error::{JournalError, is_full};
use super::frame::{Frame, FrameKind, encode_ops};
use super::header::{Ancestor, Continues, Position, Seal};
use super::log::{Draft, Log};
use super::name::{FileKind, Generation};
use super::place::{Place, unsynced};
use super::prepared::Prepared;
use super::retired::{NOTE_BYTES_MAX, Note};
use super::{JOURNAL_FOLDER, NO_FRAME, codec};
use crate::domain::id::Id;
use crate::storage::disk::{DiskState, Reserve};
use crate::storage::fs::{Access, Fs};
use crate::storage::tables::RowOp;

/// What the first log of this process begins with: the decision of how the directory was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalStart {
    /// The history that is written from now on: the one opened, or a new one when that was a copy's.
    pub history: Id,
    /// Those that it descends from, oldest first.
    pub lineage: Vec<Ancestor>,
    /// Greater than the number of any log in `journal/`, be it unreadable or retired.
    pub next_generation: u64,
    /// Where the history stands; none: at nothing.
    pub continues: Option<Continues>,
    /// The tick of the last frame.
    pub tick: u64,
    /// How long, in ticks, what is superseded is kept.
    pub retention: u64,
}

/// How much the journal has on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalSizes {
    /// Bytes of all files in `journal/`.
    pub bytes: u64,
    /// The log that is written; none before the first write.
    pub generation: Option<Generation>,
    /// Bytes of that log.
    pub log_bytes: u64,
}

/// The one writer of a data directory's journal.
#[derive(Debug)]
pub struct Journal {
    place: Place,
    prepared: Prepared,
    start: JournalStart,
    tip: Tip,
    /// The tick of the last try to fill the reserves up that found no room.
    found_full_at: Option<u64>,
}

/// Where the next frame or the next log follows.
#[derive(Debug)]
enum Tip {
    /// What was there before this process.
    Inherited,
    /// A log of this process.
    Own(Log),
}

/// Makes what an earlier process, or a copying tool, left in these files durable. Whoever was killed between a write and
/// its fsync leaves a frame that reads well and that a power loss takes away: nothing may rest on it before this. What
/// can't be made durable any more, since that was tried and failed, is not read from memory afterwards.
///
/// # Errors
/// `Io` when a file can't be opened, `Unsynced` when it can't be synced: then nothing may be written.
pub fn settle(fs: &dyn Fs, data: &Path, files: &[(Generation, FileKind)]) -> Result<(), JournalError> {
    for (generation, kind) in files {
        let shown = generation.shown(*kind);
        let file = fs.open(&generation.path(data, *kind), Access::Read);
        let file = file.map_err(JournalError::io("open a file of the journal", &shown))?;
        fs.sync_data(&file).map_err(|error| unsynced(&shown, Some(error)))?;
        if let Err(error) = fs.drop_cached(&file) {
            tracing::debug!(%error, file = shown, "memory keeps what it holds of a file");
        }
    }
    let dir = fs.open_dir(&data.join(JOURNAL_FOLDER)).map_err(JournalError::io("open the journal", JOURNAL_FOLDER))?;
    fs.sync_dir(&dir).map_err(|error| unsynced(JOURNAL_FOLDER, Some(error)))
}

/// Settles the newest logs of the directory, before anything is read from them. Those before were: each next log was
/// begun after that, or says which of their bytes are void.
///
/// # Errors
/// As [`settle`].
pub fn settle_newest(fs: &dyn Fs, data: &Path) -> Result<(), JournalError> {
    let names = match fs.list(&data.join(JOURNAL_FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names.map_err(JournalError::io("list the journal", JOURNAL_FOLDER))?,
    };
    let logs = names.iter().filter_map(|name| Generation::parse(name.to_str()?));
    let logs: Vec<_> = logs.filter(|(_, kind)| *kind == FileKind::Log).collect();
    let newest = logs.iter().map(|(generation, _)| generation.number).max();
    let newest: Vec<_> = logs.into_iter().filter(|(generation, _)| Some(generation.number) == newest).collect();
    settle(fs, data, &newest)
}

/// Makes a log of a header alone, durable under its name: what a snapshot needs beside it in a directory that nobody
/// writes to, such as a backup.
///
/// # Errors
/// `Io`, `Full` and `Unsynced`.
pub fn begin_log(fs: Arc<dyn Fs>, data: &Path, start: &JournalStart, tick: u64) -> Result<Position, JournalError> {
    let place = Place::open(fs, Arc::default(), data)?;
    let prepared = Prepared::none().take(&place)?;
    Log::begin(&place, prepared, start.draft(tick)).map(|log| log.at)
}

impl JournalStart {
    fn draft(&self, tick: u64) -> Draft<'_> {
        let generation = Generation { number: self.next_generation, history: self.history };
        Draft { generation, tick, retention: self.retention, continues: self.continues, lineage: &self.lineage }
    }
}

impl Journal {
    /// Takes the journal of `data` over. Nothing is written to it before the first append; `run/` has been emptied before
    /// if the directory is a copy.
    ///
    /// # Errors
    /// `Io`, `Full` and `Unsynced` when the directories, or the log that is to be continued, can't be made durable.
    pub fn open(fs: Arc<dyn Fs>, data: &Path, disk: Arc<DiskState>, start: JournalStart) -> Result<Self, JournalError> {
        let place = Place::open(fs, disk, data)?;
        // Generation 0 is no log: the state before the journal.
        let last = start.continues.filter(|from| from.generation.number > 0);
        let last = last.map(|from| (from.generation, FileKind::Log));
        settle(&*place.fs, data, last.as_slice())?;
        let prepared = Prepared::open(&place);
        let mut journal = Self { place, prepared, start, tip: Tip::Inherited, found_full_at: None };
        journal.keep_reserves();
        Ok(journal)
    }

    /// Where the history stands.
    pub fn position(&self) -> Position {
        match (&self.tip, self.start.continues) {
            (Tip::Own(log), _) => log.at,
            (Tip::Inherited, Some(Continues { generation, end, number, hash, .. })) => {
                Position { generation, end, number, hash, tick: self.start.tick }
            }
            (Tip::Inherited, None) => {
                let generation = Generation { number: self.start.next_generation, history: self.start.history };
                Position { generation, end: 0, number: 0, hash: NO_FRAME, tick: self.start.tick }
            }
        }
    }

    /// Makes a batch durable as one frame. Begins a log first when this process has none yet or the last append failed.
    ///
    /// # Errors
    /// `TooLarge`; `Full` when the reserve is used up; `Io`; `Unsynced` for good once a directory could not be synced. In
    /// each case the batch is not, and will not be, in the history, unless nothing is ever appended after it.
    pub fn append(&mut self, ops: &[RowOp], tick: u64) -> Result<Position, JournalError> {
        self.append_frame(FrameKind::Rows, encode_ops(ops), tick)
    }

    /// Ends the log, a new one when nothing was written, with what the closed index looks like.
    ///
    /// # Errors
    /// As [`Journal::append`]; the next open then checks the index.
    pub fn seal(&mut self, seal: Seal, tick: u64) -> Result<Position, JournalError> {
        let position = self.append_frame(FrameKind::Seal, codec::encode_seal(&seal), tick)?;
        if let Tip::Own(log) = &mut self.tip {
            log.is_ended = true;
            log.release(&self.place);
        }
        Ok(position)
    }

    /// Begins a new log that continues this one; answers with where it begins.
    ///
    /// # Errors
    /// As [`Journal::append`]; but for `Unsynced` the old log goes on.
    pub fn rotate(&mut self, tick: u64) -> Result<Position, JournalError> {
        self.begin(tick)?;
        Ok(self.position())
    }

    /// The tick of the first frame of the log that is written; none when it has none.
    pub fn first_tick(&self) -> Option<u64> {
        match &self.tip {
            Tip::Own(log) => log.first_tick,
            Tip::Inherited => None,
        }
    }

    /// Changes what the headers of later logs say.
    pub fn set_retention(&mut self, retention: u64) {
        self.start.retention = retention;
    }

    /// Tries to fill the reserves up; `true` when they are whole. The disk's state is told the same.
    pub fn reserve(&mut self) -> bool {
        self.found_full_at = None;
        self.keep_reserves()
    }

    /// Whether the reserves could not be kept whole; less and less can be appended then.
    pub fn is_full(&self) -> bool {
        self.found_full_at.is_some() || self.place.disk.is_full()
    }

    /// Tells that somebody else found `journal/` impossible to sync: nothing is appended until a restart.
    pub fn distrust_directory(&self) {
        self.place.distrust();
    }

    /// Removes a file of a generation that is not needed, leaving a note under its name, or nothing when there is no room
    /// for one.
    ///
    /// # Errors
    /// `InUse` for the log that is written or continued, and anything newer; `Io`; `Unsynced`.
    pub fn retire(&mut self, generation: Generation, kind: FileKind, tick: u64) -> Result<(), JournalError> {
        let shown = generation.shown(kind);
        if generation.number >= self.position().generation.number {
            return Err(JournalError::InUse { file: shown });
        }
        self.place.check()?;
        let failed = |op| self.place.failed(op, &shown);
        let path = self.place.path(generation, kind);
        match self.place.fs.open(&path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Ok(_) | Err(_) => {}
        }
        match self.put_note(&path, Note::Retired { at: tick }) {
            Err(error) if is_full(&error) => self.place.unlink(&path).map_err(failed("remove a file"))?,
            put => put.map_err(failed("retire a file"))?,
        }
        self.place.sync()
    }

    /// Removes the notes that have stood for `kept` ticks; answers with how many.
    ///
    /// # Errors
    /// `Io`.
    pub fn forget_notes(&mut self, kept: u64, tick: u64) -> Result<usize, JournalError> {
        let mut count = 0;
        for (generation, kind) in self.files()? {
            let (path, shown) = (self.place.path(generation, kind), generation.shown(kind));
            let Ok(file) = self.place.fs.open(&path, Access::Read) else { continue };
            let stat = self.place.fs.stat(&file).map_err(self.place.failed("look at a note", &shown))?;
            let note = if stat.size <= NOTE_BYTES_MAX as u64 { Note::read(&*self.place.fs, &file) } else { Ok(None) };
            if let Ok(Some(note)) = note
                && note.at().saturating_add(kept) < tick
            {
                self.place.unlink(&path).map_err(self.place.failed("remove a note", &shown))?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// How much there is on the disk.
    ///
    /// # Errors
    /// `Io`.
    pub fn sizes(&self) -> Result<JournalSizes, JournalError> {
        let mut bytes = 0;
        for (generation, kind) in self.files()? {
            let file = self.place.fs.open(&self.place.path(generation, kind), Access::Read);
            let stat = file.and_then(|file| self.place.fs.stat(&file));
            bytes += stat.map_err(self.place.failed("look at a file", &generation.shown(kind)))?.size;
        }
        let Position { generation, end, .. } = self.position();
        Ok(match self.tip {
            Tip::Own(_) => JournalSizes { bytes, generation: Some(generation), log_bytes: end },
            Tip::Inherited => JournalSizes { bytes, generation: None, log_bytes: 0 },
        })
    }

    fn files(&self) -> Result<Vec<(Generation, FileKind)>, JournalError> {
        let names = self.place.fs.list(&self.place.data.join(JOURNAL_FOLDER));
        let names = names.map_err(self.place.failed("list the journal", JOURNAL_FOLDER))?;
        Ok(names.iter().filter_map(|name| Generation::parse(name.to_str()?)).collect())
    }

    fn append_frame(&mut self, kind: FrameKind, payload: Vec<u8>, tick: u64) -> Result<Position, JournalError> {
        let frame = Frame::following(&self.position(), kind, tick, payload);
        let bytes = frame.encode()?;
        let appended = self.current(tick).and_then(|(log, place)| log.append(place, &frame, &bytes));
        if let Err(JournalError::Full { .. }) = &appended {
            self.place.disk.set_whole(Reserve::Journal, false);
            self.found_full_at = Some(tick);
        } else if appended.is_ok() && self.found_full_at != Some(tick) {
            self.found_full_at = (!self.keep_reserves()).then_some(tick);
        }
        appended
    }

    /// The log that can be appended to, begun if need be.
    fn current(&mut self, tick: u64) -> Result<(&mut Log, &Place), JournalError> {
        self.place.check()?;
        if !matches!(&self.tip, Tip::Own(log) if !log.is_ended) {
            self.begin(tick)?;
        }
        match &mut self.tip {
            Tip::Own(log) => Ok((log, &self.place)),
            Tip::Inherited => Err(unsynced(JOURNAL_FOLDER, None)),
        }
    }

    /// Begins a log where the history stands, and ends the one before.
    fn begin(&mut self, tick: u64) -> Result<(), JournalError> {
        self.place.check()?;
        match (&self.tip, &self.start.continues) {
            (Tip::Own(log), _) => self.start.continues = Some(log.continues(&self.place)?),
            // A new history is a copy's.
            (Tip::Inherited, Some(from)) if from.generation.history != self.start.history => detach(&self.place, from)?,
            (Tip::Inherited, _) => {}
        }
        let prepared = self.prepared.take(&self.place)?;
        let log = Log::begin(&self.place, prepared, self.start.draft(tick))?;
        self.start.next_generation += 1;
        if let Tip::Own(old) = std::mem::replace(&mut self.tip, Tip::Own(log))
            && !old.is_ended
        {
            old.release(&self.place);
        }
        self.keep_reserves();
        Ok(())
    }

    /// Fills up what there is room for. That a reserve can't be filled for another reason is no reason to fail a write.
    fn keep_reserves(&mut self) -> bool {
        let log = match &mut self.tip {
            Tip::Own(log) if !log.is_ended => log.reserve(&self.place),
            Tip::Own(_) | Tip::Inherited => Ok(true),
        };
        let told = [log, self.prepared.fill(&self.place)].map(|filled| {
            filled.unwrap_or_else(|error| {
                tracing::warn!(%error, "a reserve of blocks could not be filled up");
                true
            })
        });
        let is_whole = told == [true, true];
        self.place.disk.set_whole(Reserve::Journal, is_whole);
        is_whole
    }

    /// Renames a note over a name, durable first.
    fn put_note(&self, over: &Path, note: Note) -> io::Result<()> {
        let Place { fs, .. } = &self.place;
        let path = self.place.run().join("retired.new");
        self.place.unlink(&path)?;
        let file = fs.create(&path)?;
        let written = fs.write_all_at(&file, note.to_text().as_bytes(), 0).and_then(|()| fs.sync_all(&file));
        written.and_then(|()| fs.rename(&path, over)).inspect_err(|_| self.place.tidy(&path))
    }
}

//! What becomes of an index that failed: it is opened anew and brought up to the journal's end; else built anew from
//! the journal; else it serves reads as it was, and nothing is written.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::{Builder, Database, Durability, ReadableDatabase as _, StorageBackend};

use super::backend::IndexFile;
use super::gate::Gate;
use super::job::panic_text;
use super::replay::Replay;
use super::seq::read_seq;
use super::trail::Stretch;
use super::writer::Writer;
use super::{METADATA_FILE, backend, commit, from_io};
use crate::storage::disk::DiskState;
use crate::storage::fs::Fs;
use crate::storage::journal::JournalError;
use crate::storage::journal::frame::{Frame, FrameKind, decode_ops};
use crate::storage::journal::header::Position;
use crate::storage::journal::read::read_frames;
use crate::storage::open::{OpenError, OpenOptions, QUARANTINE_FOLDER, rebuild};
use crate::storage::{StoreError, chain};

/// An index that could not be opened again is left alone so many times as long as the attempt took, before the next
/// write tries once more.
const RESTS: u32 = 10;
/// The longest such rest.
pub(super) const REST_MAX: Duration = Duration::from_mins(1);

/// Where the index is and how it is opened.
pub(super) struct IndexSource {
    pub(super) fs: Arc<dyn Fs>,
    /// The data directory.
    pub(super) data: PathBuf,
    pub(super) disk: Arc<DiskState>,
    pub(super) cache_bytes: usize,
    /// The file that is open.
    pub(super) file: Arc<IndexFile>,
    /// When to try again what failed.
    pub(super) again_at: Option<Instant>,
}

impl Writer {
    /// Looks whether the index takes writes, and puts it in order if not.
    pub(super) fn examine(&mut self) {
        let looked = self.index.begin_write().map(commit::abort);
        if let Err(error) = looked
            && let Err(error) = self.recover(&error)
        {
            tracing::debug!(%error, "the index is still out of order");
        }
    }

    /// Puts an index in place that holds everything up to the journal's end. Readers wait meanwhile.
    ///
    /// # Errors
    /// When there is none: then nothing is written until a later attempt, and reads go on where they still can.
    pub(super) fn recover(&mut self, why: &StoreError) -> Result<(), StoreError> {
        let now = Instant::now();
        if self.source.again_at.is_some_and(|at| now < at) {
            return Err(StoreError::ReadOnly);
        }
        tracing::error!(error = %chain(why), "the index failed and is opened anew");
        self.source.disk.note("use the index", &chain(why));
        self.stop_renewal();
        self.index.close();
        let opened = self.reopen().or_else(|error| {
            tracing::error!(error = %chain(&error), "the index can't be opened anew and is built from the journal");
            self.rebuild()
        });
        match opened {
            Ok(database) => {
                self.source.again_at = None;
                self.index.put(database);
                self.learn_erased();
                tracing::warn!(frame = self.trail.to().number, ms = now.elapsed().as_millis(), "the index is in order");
                Ok(())
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "there is no index to write to");
                self.source.again_at = Some(Instant::now() + (now.elapsed() * RESTS).min(REST_MAX));
                self.health.set_read_only(true);
                self.freeze();
                Err(error)
            }
        }
    }

    /// The same file again, checked page by page, and the frames that it lacks.
    fn reopen(&mut self) -> Result<Database, StoreError> {
        let database = open_checked(self.source.file.backend(), self.source.cache_bytes)?;
        self.catch_up(&database)?;
        Ok(database)
    }

    /// Puts the frames into an index that it lacks.
    fn catch_up(&self, database: &Database) -> Result<(), StoreError> {
        let transaction = database.begin_read().map_err(|error| backend("beginning to read", error.into()))?;
        let stands = read_seq(&transaction)?;
        drop(transaction);
        let stands = stands.or_else(|| self.trail.nothing());
        let missing = stands.and_then(|stands| Some((stands, self.trail.after(&stands)?)));
        let (stands, missing) = missing.ok_or_else(|| lost_thread(stands))?;
        let replayed = self.replay(database, stands, &missing)?;
        if replayed.number == self.trail.to().number { Ok(()) } else { Err(lost_thread(Some(replayed))) }
    }

    /// Puts the frames of `missing` into an index that stands at `stands`. Not made durable: that takes room and time
    /// that there may not be, and is the next checkpoint's.
    pub(super) fn replay(
        &self,
        database: &Database,
        stands: Position,
        missing: &[Stretch],
    ) -> Result<Position, StoreError> {
        let mut replay = Replay::new(database);
        let mut last = stands;
        for Stretch { generation, range } in missing {
            let (fs, data) = (&*self.source.fs, &self.source.data);
            let mut put = |frame: &Frame, position| {
                if frame.number != last.number + 1 || frame.previous != last.hash {
                    return Err(JournalError::rows("a frame does not follow the one before"));
                }
                let ops = match frame.kind {
                    FrameKind::Rows => decode_ops(&frame.payload)?,
                    FrameKind::Seal => Vec::new(),
                };
                replay.put(&ops, position).map_err(JournalError::rows)?;
                last = position;
                Ok(ControlFlow::Continue(()))
            };
            let read = read_frames(fs, data, *generation, range.clone(), &mut put);
            read.map_err(|error| commit::from_journal("reading the journal", error))?;
        }
        replay.finish(Durability::None)?;
        Ok(last)
    }

    /// A new file from the journal; the old one is set aside.
    fn rebuild(&mut self) -> Result<Database, StoreError> {
        let IndexSource { fs, data, disk, cache_bytes, .. } = &self.source;
        let options = OpenOptions {
            cache_bytes: *cache_bytes,
            retention: self.rotation.rule.retention_ticks,
            disk: Arc::clone(disk),
            now: (self.moment)(),
        };
        let rebuilt = rebuild(fs, data, &self.trail.to(), &options);
        let (database, file) = rebuilt.map_err(|error| {
            if let OpenError::Store(error) = error { error } else { StoreError::backend("building the index", error) }
        })?;
        self.source.file = file;
        self.durable_now();
        Ok(database)
    }

    /// Removes the indexes that were set aside. Answers with their names.
    pub(super) fn remove_old_indexes(&self) -> Result<Vec<String>, StoreError> {
        let IndexSource { fs, data, .. } = &self.source;
        let folder = data.join(QUARANTINE_FOLDER);
        let failed = |error| from_io("removing what was set aside", error);
        let names = match fs.list(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            names => names.map_err(failed)?,
        };
        let mut removed = Vec::new();
        for name in names {
            fs.unlink(&folder.join(&name)).map_err(failed)?;
            removed.push(format!("{QUARANTINE_FOLDER}/{}", name.to_string_lossy()));
        }
        Ok(removed)
    }

    /// Reads go on over the file as it is, what it lacks kept in memory; nothing reaches the disk.
    fn freeze(&mut self) {
        match self.open_frozen() {
            Ok(database) => self.index.put_frozen(database),
            Err(error) => {
                tracing::error!(error = %chain(&error), "the index can't be read either");
                self.index.lose();
            }
        }
    }

    fn open_frozen(&self) -> Result<Database, StoreError> {
        let gate = Gate::closed(self.source.file.backend()).map_err(|error| from_io("reading the index", error))?;
        let database = open_checked(gate.backend(), self.source.cache_bytes)?;
        self.catch_up(&database)?;
        Ok(database)
    }
}

/// Opens a database with a check of every page that it has. redb may panic on a file that is not what it wrote; that is
/// damage, not a reason to crash.
pub(super) fn open_checked(file: impl StorageBackend, cache_bytes: usize) -> Result<Database, StoreError> {
    let opened = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let mut builder = Builder::new();
        builder.set_cache_size(cache_bytes).set_check_integrity_on_open(true);
        builder.create_with_backend(file)
    }));
    match opened {
        Ok(opened) => opened.map_err(|error| backend("opening the index", error.into())),
        Err(panic) => {
            let what = format!("its reader panicked: {}", panic_text(&*panic));
            Err(StoreError::Corrupt { table: METADATA_FILE, what })
        }
    }
}

fn lost_thread(stands: Option<Position>) -> StoreError {
    let what = match stands {
        Some(position) => format!("it stands at frame {}, from where nothing leads on", position.number),
        None => "it does not say at which frame it stands".to_owned(),
    };
    StoreError::Corrupt { table: METADATA_FILE, what }
}

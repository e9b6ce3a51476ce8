//! How the writer is set up over an index that was opened, and how it ends.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::RedbMetadata;
use super::checkpoint::{CheckpointRule, Checkpoints};
use super::commit::{Failed, from_journal};
use super::generations::{Generations, Record};
use super::health::Health;
use super::index::Index;
use super::keeper::Workplace;
use super::preface::{Begin, Preface};
use super::recover::IndexSource;
use super::renewal::Renewal;
use super::rotation::{Rotation, RotationRule};
use super::staging::Snapshot;
use super::trail::Trail;
use super::writer::Writer;
use crate::domain::change::Setting;
use crate::domain::time::Timestamp;
use crate::storage::disk::DiskState;
use crate::storage::fs::{Fs, RealFs};
use crate::storage::journal::Journal;
use crate::storage::journal::facts::{JournalFacts, SnapshotFacts};
use crate::storage::journal::header::{Position, Seal};
use crate::storage::journal::retention::Growth;
use crate::storage::open::{OpenOptions, OpenedAs, OpenedIndex};
use crate::storage::view::View;
use crate::storage::{Moment, StoreError, chain};

/// How a [`RedbMetadata`] works.
pub struct Options {
    /// redb's page cache, in bytes.
    pub cache_bytes: usize,
    /// How many writes may wait before more are answered with [`StoreError::Busy`].
    pub queue_length: usize,
    /// When the journal begins a new log, and how long the old ones stay.
    pub rotation: RotationRule,
    /// When the index is made durable.
    pub checkpoints: CheckpointRule,
    /// The disk.
    pub fs: Arc<dyn Fs>,
    /// What is known about it.
    pub disk: Arc<DiskState>,
    /// The wall clock, and the seconds since some fixed point that go on while a server runs.
    pub clock: Box<dyn Fn() -> Moment + Send + Sync>,
}

impl Default for Options {
    /// For a registry of moderate size on the real disk.
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            queue_length: 1024,
            rotation: RotationRule::default(),
            checkpoints: CheckpointRule::default(),
            fs: Arc::new(RealFs),
            disk: Arc::default(),
            clock: Box::new(|| Moment { now: wall_clock(), tick: RealFs.ticks() }),
        }
    }
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Options {
    /// How a directory is opened that is then to work like this.
    pub fn opening(&self) -> OpenOptions {
        OpenOptions {
            cache_bytes: self.cache_bytes,
            retention: self.rotation.retention_ticks,
            disk: Arc::clone(&self.disk),
            now: (self.clock)(),
        }
    }
}

impl RedbMetadata {
    /// Starts the writer over an index that was opened. In a new directory it writes the first frame.
    ///
    /// # Errors
    /// When the journal can't be written in a new directory, or there can be no thread.
    pub fn start(opened: OpenedIndex, data: &Path, options: Options) -> Result<Self, StoreError> {
        let OpenedIndex { database, index: file, position, start, is_copy, facts, report } = opened;
        let Options { cache_bytes, queue_length, rotation, checkpoints, fs, disk, clock } = options;
        let (history, begun) = (start.history, clock().tick);
        let moment = move || {
            let moment = clock();
            Moment { tick: position.tick.saturating_add(moment.tick.saturating_sub(begun)), ..moment }
        };
        let index = Arc::new(Index::new(database));
        let journal = Journal::open(Arc::clone(&fs), data, Arc::clone(&disk), start);
        let journal = journal.map_err(|error| from_journal("opening the journal", error))?;
        let health = Arc::new(Health::new(Arc::clone(&disk)));
        let (has_history, generations) = {
            let reading = index.begin_read()?.ok_or(StoreError::Closed)?;
            let snapshot = Snapshot::new(reading.transaction);
            let view = View::new(&snapshot);
            (view.setting(Setting::History)?.is_some(), Generations::of(&facts, &view, position.tick)?)
        };
        health.update(|status| {
            status.generation = Some(position.generation).filter(|generation| generation.number > 0);
            (status.frame, status.checkpoint_frame, status.tick) = (position.number, position.number, position.tick);
            status.bytes = generations.bytes();
            status.retention_ticks = rotation.retention_ticks;
        });
        health.set_generations(generations.list());
        let place = Workplace {
            fs: Arc::clone(&fs),
            data: data.to_owned(),
            frames: Arc::new(AtomicU64::new(0)),
            disk: Arc::clone(&disk),
            cache_bytes,
        };
        // What a process left that was killed while it wrote a fresh index.
        place.take_away_index();
        let (sender, queue) = mpsc::sync_channel(queue_length.max(1));
        let (appends, appended) = watch::channel(0);
        let preface = is_copy.then_some(Preface::Fork { history, frame: position.number });
        let mut writer = Writer {
            index: Arc::clone(&index),
            source: IndexSource { fs, data: data.to_owned(), disk, cache_bytes, file, again_at: None },
            journal,
            queue,
            moment: Box::new(moment),
            health: Arc::clone(&health),
            appended: appends,
            checkpoints: Checkpoints::new(checkpoints),
            trail: Trail::new(position),
            rotation: Rotation::new(rotation, place, growth(&facts, &position), generations),
            renewal: Renewal::default(),
            preface,
            reserve_at: None,
        };
        writer.learn_erased();
        if !has_history {
            writer.commit(&mut [Box::new(Begin(Preface::New { history }))]).map_err(Failed::into_error)?;
        }
        if report.opened_as == OpenedAs::Intake {
            writer.distrust_free_pages(position.tick)?;
            // Only with a log does the snapshot that was taken in stand for anything.
            writer.commit(&mut [Box::new(Record)]).map_err(Failed::into_error)?;
        }
        if !has_history || report.opened_as == OpenedAs::Intake {
            // An index that names no place in the journal is built anew at the next start, and needs room for that.
            writer.checkpoint();
        }
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| StoreError::backend("starting the writer", error))?;
        Ok(Self { index, queue: Some(sender), thread: Some(thread), health, appended })
    }
}

/// What the logs hold that came after the newest snapshot's state.
fn growth(facts: &JournalFacts, position: &Position) -> Growth {
    let has_log = |snapshot: &&SnapshotFacts| facts.logs.iter().any(|log| log.header.generation == snapshot.generation);
    let newest = facts.snapshots.iter().filter(has_log).max_by_key(|snapshot| snapshot.generation);
    let (from, number) = newest.map_or((0, 0), |newest| (newest.generation.number, newest.number));
    let logs = || facts.logs.iter().filter(|log| log.header.generation.number >= from);
    let seals = logs().filter(|log| log.seal.is_some()).count() as u64;
    let first_change = logs().map(|log| log.header.tick).min().filter(|_| position.number > number + seals);
    let log_bytes = logs().map(|log| log.length).sum();
    Growth { log_bytes, snapshot_bytes: newest.map_or(0, |newest| newest.length), first_change }
}

impl Writer {
    /// A clean stop: the index is closed, then the journal says what a closed index looks like, so that the next start
    /// need not check it page by page.
    pub(super) fn stop(mut self) {
        self.rotation.close();
        if let Some(preface) = self.preface.take() {
            // A seal needs a log, and the log of a copy belongs to a history of its own.
            self.settle(vec![Box::new(Begin(preface))]);
        }
        if let Err(error) = self.seal() {
            tracing::warn!(error = %chain(&error), "the index was not sealed and is checked at the next start");
        }
    }

    fn seal(&mut self) -> Result<(), StoreError> {
        self.index.shut()?;
        if !self.source.file.is_sound() {
            return Err(StoreError::backend("sealing the journal", "the index was not synced"));
        }
        let stat = self.source.file.stat().map_err(|error| StoreError::backend("looking at the index", error))?;
        let seal = Seal { inode: stat.inode, size: stat.size, changed_ns: stat.changed_ns };
        let sealed = self.journal.seal(seal, (self.moment)().tick);
        sealed.map(drop).map_err(|error| from_journal("sealing the journal", error))
    }
}

//! Long work on the journal and the index, on a thread of its own, so that no batch waits for it: writing a snapshot,
//! reading one back whole, and writing a fresh index.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::build::{Build, Built};
use super::index::Reading;
use super::staging::Snapshot;
use crate::storage::StoreError;
use crate::storage::disk::DiskState;
use crate::storage::fs::Fs;
use crate::storage::journal::JournalError;
use crate::storage::journal::facts::SnapshotFacts;
use crate::storage::journal::header::Position;
use crate::storage::journal::name::Generation;
use crate::storage::journal::snapshot::{VisitRow, read_snapshot};
use crate::storage::journal::snapshot_write::write_snapshot;
use crate::storage::tables::Table;
use crate::storage::view::{Direction, KeyRange, Rows as _};

/// Beside a busy writer a snapshot rests so many times as long as it works.
const RESTS: u32 = 2;
/// It never rests longer than this after one chunk.
const REST_MAX: Duration = Duration::from_millis(200);
/// How many rows are handed over between two looks at whether to stop.
const STOP_ROWS: u64 = 4096;
/// How many bytes of rows go into a fresh index between two rests.
const REST_BYTES: u64 = 1 << 20;

/// What is to be done.
pub(super) enum Work {
    /// Write the rows of a transaction that was begun at exactly this state.
    Snapshot(Box<Reading>, SnapshotFacts),
    /// Read every byte of a snapshot.
    ReadBack(Generation),
    /// Write the rows of a transaction, begun at exactly this state, into a fresh index.
    Index(Box<Reading>, Position),
}

/// What came of it.
pub(super) enum Done {
    /// The snapshot that was written or read.
    Snapshot(SnapshotFacts),
    /// The index, still beside the one in use.
    Index(Box<Built>),
}

/// Where work goes on, and how it learns that others wait for the disk.
#[derive(Clone)]
pub(super) struct Workplace {
    pub(super) fs: Arc<dyn Fs>,
    /// The data directory.
    pub(super) data: PathBuf,
    /// Counts frames: as long as it moves, the writer is busy.
    pub(super) frames: Arc<AtomicU64>,
    /// What is known about the disk.
    pub(super) disk: Arc<DiskState>,
    /// The page cache of a fresh index, in bytes.
    pub(super) cache_bytes: usize,
}

/// A work under way.
pub(super) struct Keeper {
    thread: JoinHandle<Result<Done, JournalError>>,
    stop: Arc<AtomicBool>,
    place: Workplace,
}

impl Keeper {
    /// Begins a work.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn start(place: &Workplace, work: Work) -> Result<Self, StoreError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (there, told) = (place.clone(), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("snapshots".to_owned()).spawn(move || match work {
            Work::Snapshot(reading, facts) => write(&there, *reading, facts, &told).map(Done::Snapshot),
            Work::ReadBack(generation) => read_back(&there, generation, &told).map(Done::Snapshot),
            Work::Index(reading, position) => {
                let built = build(&there, *reading, &position, &told);
                built.inspect_err(|_| there.take_away_index()).map(|built| Done::Index(Box::new(built)))
            }
        });
        let thread = thread.map_err(|error| StoreError::backend("starting a thread for snapshots", error))?;
        Ok(Self { thread, stop, place: place.clone() })
    }

    /// Whether the work has ended.
    pub(super) fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// What came of it; waits for the end.
    pub(super) fn finish(self) -> Result<Done, JournalError> {
        self.thread.join().unwrap_or_else(|_panic| Err(JournalError::rows("the work on a snapshot panicked")))
    }

    /// Ends it early; waits until it has.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        let place = self.place.clone();
        match self.finish() {
            Ok(Done::Snapshot(_)) => {}
            Ok(Done::Index(built)) => {
                drop(built);
                place.take_away_index();
            }
            Err(error) => tracing::debug!(%error, "the work on a snapshot was stopped"),
        }
    }
}

impl Workplace {
    /// Removes an index that was begun and is not used.
    pub(super) fn take_away_index(&self) {
        let path = Build::place(&self.data);
        match self.fs.unlink(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, file = %path.display(), "an index that was begun could not be removed");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

fn write(
    place: &Workplace,
    reading: Reading,
    facts: SnapshotFacts,
    stop: &AtomicBool,
) -> Result<SnapshotFacts, JournalError> {
    let begun = Instant::now();
    let Reading { transaction, handle } = reading;
    let rows = Snapshot::new(transaction);
    let mut give = |visit: &mut VisitRow<'_>| give_rows(&rows, stop, visit);
    let mut pace = pacing(&place.frames);
    let written = write_snapshot(&*place.fs, &place.data, facts, &mut give, &mut pace)?;
    drop((rows, handle));
    let (bytes, ms) = (written.length, begun.elapsed().as_millis());
    tracing::info!(generation = %written.generation, bytes, ms, "a snapshot of the journal was written");
    Ok(written)
}

fn give_rows(rows: &Snapshot, stop: &AtomicBool, visit: &mut VisitRow<'_>) -> Result<(), JournalError> {
    let mut given = 0_u64;
    for table in Table::ALL {
        let mut failed = None;
        rows.scan(*table, KeyRange::all(Direction::Up), &mut |key, value| {
            given += 1;
            let done = if given.is_multiple_of(STOP_ROWS) { check(stop) } else { Ok(()) };
            match done.and_then(|()| visit(*table, key, value)) {
                Ok(()) => Ok(ControlFlow::Continue(())),
                Err(error) => {
                    failed = Some(error);
                    Ok(ControlFlow::Break(()))
                }
            }
        })
        .map_err(JournalError::rows)?;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(())
}

/// Rests after each chunk as long as frames keep coming.
fn pacing(frames: &AtomicU64) -> impl FnMut(u64) -> Result<(), JournalError> {
    let (mut seen, mut since) = (frames.load(Ordering::Relaxed), Instant::now());
    move |_bytes| {
        let now = frames.load(Ordering::Relaxed);
        if now != seen {
            std::thread::sleep((since.elapsed() * RESTS).min(REST_MAX));
        }
        (seen, since) = (now, Instant::now());
        Ok(())
    }
}

/// A fresh index holds no byte of what is not in its rows.
fn build(place: &Workplace, reading: Reading, position: &Position, stop: &AtomicBool) -> Result<Built, JournalError> {
    let begun = Instant::now();
    let Workplace { fs, data, frames, disk, cache_bytes } = place;
    let Reading { transaction, handle } = reading;
    let rows = Snapshot::new(transaction);
    let build = Build::begin(Arc::clone(fs), &Build::place(data), *cache_bytes, Arc::clone(disk));
    let mut build = build.map_err(JournalError::rows)?.gently();
    let (mut pace, mut since) = (pacing(frames), 0);
    give_rows(&rows, stop, &mut |table, key, value| {
        build.put(table, key, value).map_err(JournalError::rows)?;
        since += (key.len() + value.len()) as u64;
        if since < REST_BYTES { Ok(()) } else { pace(std::mem::take(&mut since)) }
    })?;
    let built = build.finish(Some(position)).map_err(JournalError::rows)?;
    drop((rows, handle));
    tracing::info!(rows = built.rows, ms = begun.elapsed().as_millis(), "a fresh index was written");
    Ok(built)
}

fn read_back(place: &Workplace, generation: Generation, stop: &AtomicBool) -> Result<SnapshotFacts, JournalError> {
    let mut rows = 0_u64;
    read_snapshot(&*place.fs, &place.data, generation, &mut |_, _, _| {
        rows += 1;
        if rows.is_multiple_of(STOP_ROWS) { check(stop) } else { Ok(()) }
    })
}

fn check(stop: &AtomicBool) -> Result<(), JournalError> {
    if stop.load(Ordering::Relaxed) { Err(JournalError::rows("the server stops")) } else { Ok(()) }
}

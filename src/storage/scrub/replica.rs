//! What the journal says, as an index of its own elsewhere: built from a snapshot and logs, brought on frame by frame,
//! and gone when it is dropped. The data directory is only read.

use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, Durability};

use super::ScrubError;
use super::meter::Meter;
use crate::storage::fs::Fs;
use crate::storage::journal::JournalError;
use crate::storage::journal::frame::{Frame, FrameKind, decode_ops};
use crate::storage::journal::header::Position;
use crate::storage::journal::name::Generation;
use crate::storage::journal::plan::{Base, Route};
use crate::storage::journal::read::{read_frames, read_header};
use crate::storage::journal::snapshot::read_snapshot;
use crate::storage::progress::{Progress, Unit};
use crate::storage::redb::backend::IndexFile;
use crate::storage::redb::build::Build;
use crate::storage::redb::inspect::read_rows;
use crate::storage::redb::replay::Replay;
use crate::storage::tables::RowOp;
use crate::storage::view::Rows;

/// Most logs that are followed from one place to another; a rotation happens seldom.
const LOGS_MAX: usize = 10_000;

/// Where a replica is made, and how.
#[derive(Clone, Debug)]
pub struct Workshop {
    /// The disk.
    pub fs: Arc<dyn Fs>,
    /// The directory whose journal is read.
    pub data: PathBuf,
    /// Where the index is built; needs about as much room as `meta.redb` has.
    pub scratch: PathBuf,
    /// Memory for the index's pages, in bytes.
    pub cache_bytes: usize,
}

/// The state after a frame.
pub struct Replica {
    database: Database,
    _index: Arc<IndexFile>,
    workshop: Workshop,
    position: Position,
}

impl Replica {
    /// Builds the state of a route after the frame at `until`, or at its end.
    ///
    /// # Errors
    /// When the route can't be read, or the scratch directory not be written to.
    pub fn build(
        workshop: &Workshop,
        route: &Route,
        until: Option<&Position>,
        progress: &dyn Progress,
    ) -> Result<Self, ScrubError> {
        let Workshop { fs, data, scratch, cache_bytes } = workshop;
        let path = scratch.join(scratch_name()?);
        let mut build = Build::begin(Arc::clone(fs), &path, *cache_bytes, Arc::default())?;
        // Its name goes at once: whatever ends this, the file goes too.
        fs.unlink(&path).map_err(|source| ScrubError::Io { path, op: "take its name away", source })?;
        let meter = Meter::new(progress, Unit::Rows, None);
        let mut position = route.start().ok_or_else(|| ScrubError::Panicked("a route without logs".to_owned()))?;
        if route.base == Base::Snapshot {
            let rows = read_snapshot(&**fs, data, position.generation, &mut |table, key, value| {
                wrapped(build.put(table, key, value))?;
                wrapped(meter.add(1))
            });
            rows.map_err(unwrapped)?;
        }
        for link in &route.links {
            if until.is_some_and(|until| position.number >= until.number) {
                break;
            }
            let range = link.first.end..link.last.end;
            frames(workshop, link.first.generation, range, until, &mut |ops, at| {
                position = at;
                meter.add(ops.len() as u64)?;
                Ok(build.apply(ops, at.tick)?)
            })?;
            // An empty log is at the same frame as the end of the one before; the log counts.
            if until.is_none_or(|until| position.number < until.number) {
                position = link.last;
            }
        }
        let built = build.finish(Some(&position))?;
        meter.tell()?;
        Ok(Self { database: built.database, _index: built.index, workshop: workshop.clone(), position })
    }

    /// Brings the state on to the one after the frame at `to`, through as many logs as lie between.
    ///
    /// # Errors
    /// When the logs between can't be read.
    pub fn advance(&mut self, to: &Position, progress: &dyn Progress) -> Result<(), ScrubError> {
        if to.number <= self.position.number {
            return Ok(());
        }
        let meter = Meter::new(progress, Unit::Frames, None);
        let mut replay = Replay::new(&self.database);
        for (generation, range) in self.between(to)? {
            frames(&self.workshop, generation, range, Some(to), &mut |ops, at| {
                meter.add(1)?;
                Ok(replay.put(&ops, at)?)
            })?;
        }
        if let Some(position) = replay.finish(Durability::None)? {
            self.position = position;
        }
        Ok(())
    }

    /// The parts of logs between here and there, each log telling which one it continues.
    fn between(&self, to: &Position) -> Result<Vec<(Generation, Range<u64>)>, ScrubError> {
        let Workshop { fs, data, .. } = &self.workshop;
        let mut parts = Vec::new();
        let (mut generation, mut end) = (to.generation, to.end);
        while generation != self.position.generation && parts.len() < LOGS_MAX {
            parts.push((generation, 0..end));
            let header = read_header(&**fs, data, generation)?;
            let Some(continues) = header.continues else { break };
            (generation, end) = (continues.generation, continues.end);
        }
        if generation == self.position.generation {
            parts.push((generation, self.position.end..end));
        }
        parts.reverse();
        Ok(parts)
    }

    /// Where it stands.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Shows `query` its rows.
    ///
    /// # Errors
    /// When they can't be read, and what `query` answers with.
    pub fn read<R>(&self, query: impl FnOnce(&dyn Rows) -> Result<R, ScrubError>) -> Result<R, ScrubError> {
        let mut answer = None;
        read_rows(&self.database, |rows, _| query(rows).map(|found| answer = Some(found)))?;
        answer.ok_or_else(|| ScrubError::Panicked("a query without an answer".to_owned()))
    }
}

pub(super) type TakeFrame<'t> = dyn FnMut(Vec<RowOp>, Position) -> Result<(), ScrubError> + 't;

/// Hands over the operations of each frame in a range up to the one at `until`; a seal has none.
pub(super) fn frames(
    workshop: &Workshop,
    generation: Generation,
    range: Range<u64>,
    until: Option<&Position>,
    take: &mut TakeFrame<'_>,
) -> Result<(), ScrubError> {
    let is_beyond = |number: u64| until.is_some_and(|until| number > until.number);
    let visited = read_frames(&*workshop.fs, &workshop.data, generation, range, &mut |frame: &Frame, at| {
        if is_beyond(frame.number) {
            return Ok(ControlFlow::Break(()));
        }
        let ops = match frame.kind {
            FrameKind::Rows => decode_ops(&frame.payload)?,
            FrameKind::Seal => Vec::new(),
        };
        wrapped(take(ops, at))?;
        Ok(ControlFlow::Continue(()))
    });
    visited.map_err(unwrapped)
}

/// An error on its way through the journal's reader.
pub(super) fn wrapped<T>(result: Result<T, impl Into<ScrubError>>) -> Result<T, JournalError> {
    result.map_err(|error| JournalError::rows(error.into()))
}

/// The error that a visitor wrapped, or the journal's own.
pub(super) fn unwrapped(error: JournalError) -> ScrubError {
    let JournalError::Rows(source) = error else { return ScrubError::Journal(error) };
    match source.downcast::<ScrubError>() {
        Ok(own) => *own,
        Err(source) => ScrubError::Journal(JournalError::Rows(source)),
    }
}

/// A name that nobody has or guesses.
fn scratch_name() -> Result<String, ScrubError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| ScrubError::Panicked(error.to_string()))?;
    Ok(format!("vixr-{:032x}.redb", u128::from_be_bytes(random)))
}

/// The folder of a data directory's own scratch files, for a server: on the same disk, and no part of a backup.
pub fn scratch_of(data: &Path) -> PathBuf {
    data.join("run")
}

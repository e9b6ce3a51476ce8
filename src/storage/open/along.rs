//! Along the logs: from a state to a later one, frame by frame.

use std::ops::ControlFlow;
use std::path::Path;

use redb::{Database, Durability};

use super::error::through;
use super::{OpenError, Phase, Place};
use crate::storage::journal::JournalError;
use crate::storage::journal::facts::SnapshotFacts;
use crate::storage::journal::frame::{Frame, FrameKind, decode_ops};
use crate::storage::journal::header::Position;
use crate::storage::journal::name::FileKind;
use crate::storage::journal::plan::{Base, Link, Route};
use crate::storage::journal::read::read_frames;
use crate::storage::journal::snapshot::read_snapshot;
use crate::storage::progress::{PIECE_BYTES_MAX, PIECE_ROWS_MAX};
use crate::storage::redb::build::{Build, Built};
use crate::storage::redb::replay::Replay;
use crate::storage::tables::RowOp;

/// Takes the rows of a frame and where it ends; a seal has none.
pub(super) type VisitOps<'v> = dyn FnMut(Vec<RowOp>, Position) -> Result<(), OpenError> + 'v;

/// Finds out whether a frame of these links ends at `position`, and if so, notes it among their positions.
///
/// # Errors
/// When the log can't be read. One that does not read as it should is no error: nothing ends there.
pub(super) fn confirm(place: &Place<'_>, position: Position, links: &mut [Link]) -> Result<(), OpenError> {
    let Some(link) = links.iter_mut().find(|link| link.first.generation == position.generation) else { return Ok(()) };
    let is_within = link.first.end < position.end && position.end < link.last.end;
    if !is_within || link.positions.contains(&position) {
        return Ok(());
    }
    let mut follows = false;
    let range = position.end..link.last.end;
    let read = read_frames(&**place.fs, place.data, position.generation, range, &mut |frame, _| {
        follows = frame.previous == position.hash && frame.number == position.number + 1;
        Ok(ControlFlow::Break(()))
    });
    match read {
        Ok(()) if follows => {
            let at = link.positions.partition_point(|known| known.end < position.end);
            link.positions.insert(at, position);
            Ok(())
        }
        Ok(()) | Err(JournalError::Damaged { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Visits the frames of links, each checked to follow the one before.
pub(super) fn walk(place: &Place<'_>, links: &[Link], visit: &mut VisitOps<'_>) -> Result<(), OpenError> {
    let Some(mut last) = links.first().map(|link| link.first) else { return Ok(()) };
    for (at, link) in links.iter().enumerate() {
        // The first link may begin within its log, the others begin where their frames do.
        let start = if at == 0 { link.first.end } else { 0 };
        let mut take = |frame: &Frame, position: Position| {
            if frame.number != last.number + 1 || frame.previous != last.hash {
                let file = position.generation.shown(FileKind::Log);
                let what = "a frame does not follow the one before".to_owned();
                return Err(JournalError::Damaged { file, offset: last.end, what });
            }
            let ops = match frame.kind {
                FrameKind::Rows => decode_ops(&frame.payload)?,
                FrameKind::Seal => Vec::new(),
            };
            last = position;
            visit(ops, position).map_err(through)?;
            Ok(ControlFlow::Continue(()))
        };
        read_frames(&**place.fs, place.data, link.first.generation, start..link.last.end, &mut take)?;
    }
    Ok(())
}

/// Brings an index up to the end of `links`, which begin where it stands; how many frames that took.
///
/// # Errors
/// That the disk, the journal or the index failed: what was put in before may be there, with the frame that it belongs
/// to, and the next opening goes on from it.
pub(super) fn replay(place: &Place<'_>, database: &Database, links: &[Link]) -> Result<u64, OpenError> {
    let ends = links.first().zip(links.last()).map(|(first, last)| (first.first.number, last.last.number));
    let (from, to) = ends.unwrap_or_default();
    let (mut replay, total) = (Replay::new(database), to.saturating_sub(from));
    let mut frames = 0_u64;
    walk(place, links, &mut |ops, position| {
        if frames.is_multiple_of(PIECE_ROWS_MAX) {
            place.tell(Phase::Replay, frames, Some(total))?;
        }
        frames += 1;
        Ok(replay.put(&ops, position)?)
    })?;
    // On a full disk there may be no room to make it durable; the journal is, and the next opening replays it again.
    let durability = if place.options.disk.is_full() { Durability::None } else { Durability::Immediate };
    replay.finish(durability)?;
    Ok(frames)
}

/// Whether a route leads over this end of a frame or header.
pub(super) fn leads_to(route: &Route, at: &Position) -> bool {
    let holds =
        |link: &Link| link.first.generation == at.generation && link.first.end <= at.end && at.end <= link.last.end;
    route.links.iter().any(holds)
}

/// The route as far as `at`, to which it leads.
pub(super) fn until(route: &Route, at: Position) -> Route {
    let mut links: Vec<Link> = Vec::new();
    for link in &route.links {
        links.push(link.clone());
        if link.first.generation == at.generation {
            break;
        }
    }
    if let Some(last) = links.last_mut() {
        last.last = at;
    }
    // The last of these links that has a frame of its own is the one that tells the time.
    let with_frames = links.iter().rev().find(|link| link.last.number > link.first.number);
    let is_whole = route.end().is_some_and(|end| end.number == at.number);
    let tick = if is_whole { route.tick } else { with_frames.map_or(at.tick, |link| link.last.tick) };
    Route { base: route.base, links, tick }
}

/// Builds an index at `path`, from the route's base to its end; how many frames that took.
///
/// # Errors
/// That the disk failed, or that the base or a log is not what was written. Nothing is left of the build then.
pub(super) fn build(place: &Place<'_>, route: &Route, path: &Path) -> Result<(Built, u64), OpenError> {
    let built = begin_and_build(place, route, path);
    if built.is_err()
        && let Err(error) = place.fs.unlink(path)
    {
        tracing::debug!(%error, "an index that was not finished could not be removed");
    }
    built
}

fn begin_and_build(place: &Place<'_>, route: &Route, path: &Path) -> Result<(Built, u64), OpenError> {
    let mut build = place.begin_build(path)?;
    let mut meter = Meter { place, done: 0, told: 0 };
    match route.base {
        Base::Nothing => {}
        Base::Snapshot => from_snapshot(place, route, &mut build, &mut meter)?,
    }
    let mut frames = 0;
    walk(place, &route.links, &mut |ops, position| {
        frames += 1;
        meter.add(&ops)?;
        Ok(build.apply(ops, position.tick)?)
    })?;
    let end = route.end().map(|end| Position { tick: route.tick, ..end });
    Ok((build.finish(end.as_ref())?, frames))
}

fn from_snapshot(
    place: &Place<'_>,
    route: &Route,
    build: &mut Build,
    meter: &mut Meter<'_, '_>,
) -> Result<(), OpenError> {
    let Some(start) = route.start() else { return Ok(()) };
    let read = read_snapshot(&**place.fs, place.data, start.generation, &mut |table, key, value| {
        meter.add_bytes(key.len() + value.len()).map_err(through)?;
        build.put(table, key, value).map_err(through)
    })?;
    agrees(&read, &start)
}

/// Whether a snapshot is of the state at its log's header.
///
/// # Errors
/// That it is damaged, if not.
pub(super) fn agrees(read: &SnapshotFacts, start: &Position) -> Result<(), OpenError> {
    if (read.number, read.hash) == (start.number, start.hash) {
        return Ok(());
    }
    let (file, what) = (start.generation.shown(FileKind::Snapshot), "it is of another state than its log");
    Err(JournalError::Damaged { file, offset: 0, what: what.to_owned() }.into())
}

/// Tells how far a build is.
struct Meter<'m, 'p> {
    place: &'m Place<'p>,
    done: u64,
    told: u64,
}

impl Meter<'_, '_> {
    fn add(&mut self, ops: &[RowOp]) -> Result<(), OpenError> {
        let size = |op: &RowOp| match op {
            RowOp::Put { key, value, .. } => key.len() + value.len(),
            RowOp::Delete { key, .. } => key.len(),
        };
        self.add_bytes(ops.iter().map(size).sum())
    }

    fn add_bytes(&mut self, bytes: usize) -> Result<(), OpenError> {
        self.done += bytes as u64;
        if self.done - self.told >= PIECE_BYTES_MAX {
            self.told = self.done;
            self.place.tell(Phase::Build, self.done, None)?;
        }
        Ok(())
    }
}

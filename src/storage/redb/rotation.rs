//! When a new log is begun, the snapshot of the state at its beginning, and what happens to the files before it.
//!
//! A snapshot takes long, so it is written, and read back, on a thread of its own, from a read transaction that the
//! writer begins at exactly that state. One such work at a time: what is asked for meanwhile waits for the next.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::commit::from_journal;
use super::generations::Generations;
use super::keeper::{Done, Keeper, Work, Workplace};
use super::renewal::Serves;
use super::writer::Writer;
use crate::storage::journal::JournalError;
use crate::storage::journal::facts::SnapshotFacts;
use crate::storage::journal::header::Position;
use crate::storage::journal::name::{FileKind, Generation};
use crate::storage::journal::retention::{Growth, Limits, retention_in_force, rotation_due};
use crate::storage::{StoreError, chain};

/// How long after a work that failed no other one is begun by itself.
const AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// When the journal begins a new log, and how long what is superseded stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RotationRule {
    /// As soon as the logs since the last snapshot have so many bytes, or as many as that snapshot if it has more.
    pub rotate_bytes: u64,
    /// How many ticks what is superseded is kept.
    pub retention_ticks: u64,
    /// The bytes of all files above which that is cut short.
    pub journal_bytes_max: u64,
}

impl Default for RotationRule {
    fn default() -> Self {
        Self { rotate_bytes: 16 << 20, retention_ticks: 24 * 3600, journal_bytes_max: 16 << 30 }
    }
}

/// What is asked of the journal from outside.
pub(super) enum Request {
    /// A new log and its snapshot, now.
    Snapshot(oneshot::Sender<Result<SnapshotFacts, StoreError>>),
    /// The same, and then everything older gone, whatever its age.
    Compact(oneshot::Sender<Result<Compacted, StoreError>>),
}

/// What became of everything older than now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compacted {
    /// The snapshot that everything goes on from.
    pub snapshot: SnapshotFacts,
    /// The files that were removed, relative to the data directory.
    pub removed: Vec<String>,
}

impl Request {
    /// Tells that it was done.
    pub(super) fn done(self, compacted: &Compacted) {
        match self {
            Self::Snapshot(reply) => drop(reply.send(Ok(compacted.snapshot))),
            Self::Compact(reply) => drop(reply.send(Ok(compacted.clone()))),
        }
    }

    /// Tells why it was not.
    pub(super) fn failed(self, error: &StoreError) {
        let told = StoreError::backend("writing a snapshot or what follows it", chain(error));
        match self {
            Self::Snapshot(reply) => drop(reply.send(Err(told))),
            Self::Compact(reply) => drop(reply.send(Err(told))),
        }
    }
}

/// What the work under way is.
pub(super) enum Doing {
    /// Writing a snapshot; what its rotation had counted counts again if that fails.
    Snapshot(Growth),
    /// Reading back what is to replace older files.
    ReadBack(Generation),
    /// Writing a fresh index, and what is to be told then.
    Index(Option<Serves>),
}

/// A work under way, and who waits for it.
struct Working {
    keeper: Keeper,
    doing: Doing,
    serves: Vec<Request>,
}

/// The state of rotations and snapshots.
pub(super) struct Rotation {
    pub(super) rule: RotationRule,
    place: Workplace,
    growth: Growth,
    pub(super) generations: Generations,
    working: Option<Working>,
    asked: Vec<Request>,
    not_before: Option<Instant>,
    /// What is to be removed, oldest first.
    pub(super) doomed: VecDeque<(Generation, FileKind)>,
    /// The tick of the last look at what may be removed.
    looked_at: Option<u64>,
    /// The tick of the last look at notes.
    pub(super) notes_at: Option<u64>,
}

impl Rotation {
    pub(super) fn new(rule: RotationRule, place: Workplace, growth: Growth, generations: Generations) -> Self {
        Self {
            rule,
            place,
            growth,
            generations,
            working: None,
            asked: Vec::new(),
            not_before: None,
            doomed: VecDeque::new(),
            looked_at: None,
            notes_at: None,
        }
    }

    /// Where work goes on.
    pub(super) fn place(&self) -> &Workplace {
        &self.place
    }

    /// Takes note of a work that was begun.
    pub(super) fn work(&mut self, keeper: Keeper, doing: Doing) {
        self.working = Some(Working { keeper, doing, serves: Vec::new() });
    }

    /// Takes the work on a fresh index away, if that is what is under way.
    pub(super) fn take_renewal(&mut self) -> Option<(Keeper, Option<Serves>)> {
        let working = self.working.take_if(|working| matches!(working.doing, Doing::Index(_)))?;
        match working.doing {
            Doing::Index(serves) => Some((working.keeper, serves)),
            Doing::Snapshot(_) | Doing::ReadBack(_) => None,
        }
    }

    /// Whether a work is under way.
    pub(super) fn is_working(&self) -> bool {
        self.working.is_some()
    }

    /// Counts a frame.
    pub(super) fn add_frame(&mut self, position: &Position, bytes: u64) {
        self.place.frames.fetch_add(1, Ordering::Relaxed);
        self.growth.log_bytes += bytes;
        self.growth.first_change.get_or_insert(position.tick);
        self.generations.log_grew(position);
        self.generations.staged();
    }

    /// Ends the work under way; those who wait for it learn that nothing comes.
    pub(super) fn close(&mut self) {
        self.asked.clear();
        if let Some(Working { keeper, serves, doing }) = self.working.take() {
            keeper.stop();
            drop((serves, doing));
        }
    }
}

impl Writer {
    /// Takes a request; it is served when no other work is under way.
    pub(super) fn ask(&mut self, request: Request) {
        self.rotation.asked.push(request);
        self.rotation.not_before = None;
    }

    /// Ends a work that is done, and begins the next one if it is time.
    pub(super) fn look_after_generations(&mut self) {
        if let Some(working) = self.rotation.working.take_if(|working| working.keeper.is_done()) {
            self.end_work(working);
        }
        self.remove_some();
        if self.source.again_at.is_some() {
            fail(std::mem::take(&mut self.rotation.asked), &StoreError::ReadOnly);
            return;
        }
        if self.rotation.is_working() || self.rotation.not_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let tick = (self.moment)().tick;
        let asked = std::mem::take(&mut self.rotation.asked);
        let in_force = self.retention_in_force(tick);
        let is_due = rotation_due(self.rotation.growth, self.rotation.rule.rotate_bytes, tick, in_force);
        if !asked.is_empty() || (is_due && !self.health.disk().is_full()) {
            self.begin_snapshot(asked);
        } else if self.renewal_is_due(tick, in_force) {
            self.begin_renewal(None);
        } else if self.rotation.looked_at != Some(tick) {
            self.rotation.looked_at = Some(tick);
            self.retire(tick, in_force);
            self.forget_notes(tick);
        }
    }

    fn retention_in_force(&self, tick: u64) -> u64 {
        let RotationRule { retention_ticks: retention, journal_bytes_max, .. } = self.rotation.rule;
        retention_in_force(&self.rotation.generations.list(), tick, Limits { retention, journal_bytes_max })
    }

    fn begin_snapshot(&mut self, serves: Vec<Request>) {
        match self.rotate() {
            Ok(keeper) => {
                let before = self.rotation.growth;
                self.rotation.growth = Growth { log_bytes: 0, first_change: None, ..before };
                self.rotation.working = Some(Working { keeper, doing: Doing::Snapshot(before), serves });
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "no new log could be begun; the old one goes on");
                self.give_up(serves, &error);
            }
        }
    }

    /// Begins a new log and the snapshot of the state at its head.
    fn rotate(&mut self) -> Result<Keeper, StoreError> {
        let begun = self.journal.rotate((self.moment)().tick);
        let begun = begun.map_err(|error| from_journal("beginning a new log", error))?;
        self.rotation.generations.log_grew(&begun);
        self.health.update(|status| status.generation = Some(begun.generation));
        self.note_log(begun)?;
        // Nobody but this thread commits, so this is the state at the new log's header.
        let reading = self.index.begin_read()?.ok_or(StoreError::Closed)?;
        let Position { generation, number, hash, tick, end: _ } = begun;
        let facts = SnapshotFacts { generation, number, hash, tick, length: 0 };
        Keeper::start(&self.rotation.place, Work::Snapshot(Box::new(reading), facts))
    }

    fn end_work(&mut self, working: Working) {
        let Working { keeper, doing, serves } = working;
        let done = match (keeper.finish(), doing) {
            (Ok(Done::Index(built)), Doing::Index(serves)) => return self.end_renewal(Ok(*built), serves),
            (Err(error), Doing::Index(serves)) => return self.end_renewal(Err(error), serves),
            (Ok(Done::Snapshot(facts)), doing) => (Ok(facts), doing),
            (Err(error), doing) => (Err(error), doing),
            // No work on a snapshot ends with an index.
            (Ok(Done::Index(_)), Doing::Snapshot(_) | Doing::ReadBack(_)) => return,
        };
        match done {
            (_, Doing::Index(_)) => {}
            (Ok(facts), Doing::Snapshot(_)) => self.snapshot_made(facts, serves),
            (Ok(facts), Doing::ReadBack(generation)) => {
                self.rotation.generations.snapshot_read(generation);
                let compacts = !serves.is_empty();
                if compacts {
                    self.compact(&facts, serves);
                } else {
                    let tick = (self.moment)().tick;
                    self.retire(tick, self.retention_in_force(tick));
                }
                self.rotation.generations.forget_reading();
            }
            (Err(error), Doing::Snapshot(before)) => {
                if matches!(error, JournalError::Unsynced { .. }) {
                    self.journal.distrust_directory();
                }
                let error = from_journal("writing a snapshot", error);
                tracing::error!(error = %chain(&error), "a snapshot of the journal failed; the logs hold everything");
                let growth = &mut self.rotation.growth;
                growth.log_bytes += before.log_bytes;
                growth.first_change = before.first_change.or(growth.first_change);
                self.give_up(serves, &error);
            }
            (Err(error), Doing::ReadBack(generation)) => {
                let error = from_journal("reading a snapshot back", error);
                tracing::error!(%generation, error = %chain(&error), "a snapshot can't be read back");
                fail(serves, &error);
                self.replace_snapshot(generation);
            }
        }
    }

    fn snapshot_made(&mut self, facts: SnapshotFacts, serves: Vec<Request>) {
        let tick = (self.moment)().tick;
        self.rotation.generations.snapshot_made(&facts, tick);
        self.rotation.growth.snapshot_bytes = facts.length;
        self.tell_generations(tick, self.retention_in_force(tick));
        let mut compacting = Vec::new();
        for request in serves {
            match request {
                Request::Snapshot(reply) => drop(reply.send(Ok(facts))),
                Request::Compact(_) => compacting.push(request),
            }
        }
        if !compacting.is_empty() {
            self.read_back(facts.generation, compacting);
        }
    }

    /// A snapshot turned out to be damaged: it replaces nothing any more, and a new one is made at once.
    pub(super) fn replace_snapshot(&mut self, generation: Generation) {
        self.rotation.generations.snapshot_damaged(generation);
        if !self.health.disk().is_full() && !self.rotation.is_working() {
            self.begin_snapshot(Vec::new());
        }
    }

    pub(super) fn read_back(&mut self, generation: Generation, serves: Vec<Request>) {
        match Keeper::start(&self.rotation.place, Work::ReadBack(generation)) {
            Ok(keeper) => {
                self.rotation.working = Some(Working { keeper, doing: Doing::ReadBack(generation), serves });
            }
            Err(error) => self.give_up(serves, &error),
        }
    }

    fn give_up(&mut self, serves: Vec<Request>, error: &StoreError) {
        self.rotation.not_before = Some(Instant::now() + AGAIN_AFTER_FAILURE);
        fail(serves, error);
    }
}

/// Tells all of them why nothing was done.
pub(super) fn fail(serves: Vec<Request>, error: &StoreError) {
    for request in serves {
        request.failed(error);
    }
}

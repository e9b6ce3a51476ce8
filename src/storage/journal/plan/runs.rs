//! Which logs follow on which without a gap, and from where a state can be built.

use super::refusal::{OpenRefusal, Salvage, log};
use crate::storage::journal::facts::{JournalFacts, LogFacts, SnapshotFacts, Tail};
use crate::storage::journal::header::{Continues, Position};
use crate::storage::journal::name::FileKind;

/// The part of a log that counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The end of its header: reading begins here.
    pub first: Position,
    /// The end of its last frame that counts: reading ends here, whatever follows.
    pub last: Position,
    /// What is known of the ends of frames in between, the two included.
    pub positions: Vec<Position>,
}

/// What a state is built on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// Nothing: the registry began with the first link.
    Nothing,
    /// The snapshot of the first link's generation.
    Snapshot,
}

/// A way to build a state: the base, then the frames of the links in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// What it starts with: the state at the header of the first link.
    pub base: Base,
    /// The logs to replay; at least one.
    pub links: Vec<Link>,
    /// The tick of the last frame. That of a header is none: after a kill, ticks go on from the last frame's.
    pub tick: u64,
}

impl Route {
    /// The state of the base: the end of the first link's header.
    pub fn start(&self) -> Option<Position> {
        self.links.first().map(|link| link.first)
    }

    /// The state after the last frame.
    pub fn end(&self) -> Option<Position> {
        self.links.last().map(|link| link.last)
    }
}

/// Why a log does not simply go on from the log before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Beginning {
    /// There is none: it starts from nothing.
    Nothing,
    /// The log before is not there.
    Absent(Continues),
    /// The log before ends before this one begins, as it does when it was copied before that.
    Early(OpenRefusal),
    /// The log before does not say what this one says about it.
    Broken(OpenRefusal),
}

/// Logs of which each goes on where the one before ends.
#[derive(Clone, Debug)]
pub(super) struct Run<'a> {
    pub(super) logs: Vec<&'a LogFacts>,
    pub(super) links: Vec<Link>,
    pub(super) beginning: Beginning,
    /// Damage after the last frame that counts.
    pub(super) broken: Option<OpenRefusal>,
}

/// Where a log stands to the one it continues.
enum Joint {
    Linked(Position),
    Apart(Beginning),
}

fn joint(facts: &JournalFacts, next: &LogFacts) -> Joint {
    let Some(continues) = next.header.continues else { return Joint::Apart(Beginning::Nothing) };
    let Some(before) = facts.logs.iter().find(|one| one.header.generation == continues.generation) else {
        return Joint::Apart(Beginning::Absent(continues));
    };
    let named = |at: &&Position| at.end == continues.end && at.number == continues.number && at.hash == continues.hash;
    if let Some(position) = before.positions.iter().find(named) {
        return Joint::Linked(*position);
    }
    let files = vec![log(continues.generation), log(next.header.generation)];
    if before.length < continues.end && !matches!(before.tail, Tail::Damaged { .. }) {
        let what = format!("a log ends before byte {}, where the next one goes on", continues.end);
        return Joint::Apart(Beginning::Early(OpenRefusal::damaged(files, Some(before.last().end), what)));
    }
    let what = format!("a log does not hold change {} as the next one names it", continues.number);
    Joint::Apart(Beginning::Broken(OpenRefusal::damaged(files, Some(before.last().end), what)))
}

/// A link from a log's header to `last`.
fn link(facts: &LogFacts, last: Position) -> Link {
    let positions: Vec<Position> = facts.positions.iter().filter(|at| at.end <= last.end).copied().collect();
    Link { first: positions.first().copied().unwrap_or(last), last, positions }
}

/// All runs, by the generation of their last log; nothing may be forked any more.
pub(super) fn runs(facts: &JournalFacts) -> Vec<Run<'_>> {
    let mut logs: Vec<&LogFacts> = facts.logs.iter().collect();
    logs.sort_by_key(|one| (one.header.generation.number, one.header.lineage.len(), one.header.generation.history));
    let mut all: Vec<Run<'_>> = Vec::new();
    for next in logs {
        let beginning = match joint(facts, next) {
            Joint::Linked(position) => {
                if let Some(run) = all.iter_mut().find(|run| ends_with(run, &position)) {
                    if let Some((ended, before)) = run.links.last_mut().zip(run.logs.last()) {
                        *ended = link(before, position);
                    }
                    run.logs.push(next);
                    run.links.push(link(next, next.last()));
                    continue;
                }
                Beginning::Broken(OpenRefusal::damaged(
                    vec![log(next.header.generation)],
                    None,
                    "a log goes on from one that is not older".to_owned(),
                ))
            }
            Joint::Apart(beginning) => beginning,
        };
        all.push(Run { logs: vec![next], links: vec![link(next, next.last())], beginning, broken: None });
    }
    for run in &mut all {
        run.broken = run.logs.last().and_then(|last| broken_tail(last));
    }
    all.sort_by_key(|run| run.logs.last().map(|last| (last.header.generation.number, last.header.lineage.len())));
    all
}

fn ends_with(run: &Run<'_>, position: &Position) -> bool {
    run.logs.last().is_some_and(|last| last.header.generation == position.generation)
}

fn broken_tail(last: &LogFacts) -> Option<OpenRefusal> {
    let Tail::Damaged { next_good } = last.tail else { return None };
    let what = format!("a log has damaged bytes, and goes on at byte {next_good}");
    Some(OpenRefusal::damaged(vec![log(last.header.generation)], Some(last.last().end), what))
}

impl Run<'_> {
    /// The state after its last frame.
    pub(super) fn end(&self) -> Position {
        let end = self.links.last().map(|link| link.last);
        #[expect(clippy::expect_used, reason = "a run is made with a log, and none is taken away")]
        end.expect("a run has a log")
    }

    /// The ways to its end, the shortest first.
    pub(super) fn routes(&self, facts: &JournalFacts) -> Vec<Route> {
        let mut routes = Vec::new();
        for at in (0..self.links.len()).rev() {
            let Some((facts_of_log, links)) = self.logs.get(at).zip(self.links.get(at..)) else { continue };
            let snapshot = facts.snapshots.iter().find(|snapshot| is_of(snapshot, facts_of_log));
            let base = match (snapshot, facts_of_log.header.continues) {
                (Some(_), _) => Base::Snapshot,
                (None, None) => Base::Nothing,
                (None, Some(_)) => continue,
            };
            let with_frames = links.iter().rev().find(|link| link.last.number > link.first.number);
            let base_tick = snapshot.map_or(0, |snapshot| snapshot.tick);
            let tick = with_frames.map_or(base_tick, |link| link.last.tick);
            routes.push(Route { base, links: links.to_vec(), tick });
        }
        routes
    }
}

/// Whether a snapshot holds the state at a log's header.
fn is_of(snapshot: &SnapshotFacts, log: &LogFacts) -> bool {
    let first = log.positions.first();
    snapshot.generation == log.header.generation
        && first.is_some_and(|first| first.number == snapshot.number && first.hash == snapshot.hash)
}

/// The most that can be read, whatever is wrong.
pub(super) fn salvage(facts: &JournalFacts, runs: &[Run<'_>]) -> Salvage {
    let routes: Vec<Route> = runs.iter().rev().flat_map(|run| run.routes(facts)).collect();
    let kept = routes.first().and_then(Route::end);
    let kept_of = |one: &LogFacts| {
        let links = routes.first().map_or(&[][..], |route| &route.links);
        links.iter().find(|link| link.first.generation == one.header.generation)
    };
    let older = |one: &LogFacts| kept.is_some_and(|kept| one.header.generation.number < kept.generation.number);
    let mut lost = Vec::new();
    for one in &facts.logs {
        let (name, is_tip) =
            (log(one.header.generation), kept.is_some_and(|kept| kept.generation == one.header.generation));
        match kept_of(one) {
            Some(link) if is_tip && link.last.end < one.length => {
                lost.push(format!("{name} from byte {} on", link.last.end));
            }
            None if !older(one) => lost.push(name),
            Some(_) | None => {}
        }
    }
    let unreadable = facts.unreadable.iter().filter(|one| one.kind == FileKind::Log);
    lost.extend(
        unreadable
            .filter(|one| kept.is_none_or(|kept| one.generation.number > kept.generation.number))
            .map(|one| log(one.generation)),
    );
    Salvage { routes, kept, lost }
}

//! How a directory is opened, decided from what its files say and nothing else.
//!
//! Pure: reads no file and changes none. [`decide_lineup`] orders the logs and the states that they can be replayed on,
//! or says why they don't fit together; [`decide_index`] says what to do with the index beside them. A copy's route is
//! walked frame by frame afterwards ([`super::cut`]), since only then it shows which blobs are missing.
//!
//! Never cuts in an original: there, an end that comes too early is damage. In a copy it is what copying does.

mod forks;
mod refusal;
mod runs;
#[cfg(test)]
mod tests;

use super::JOURNAL_FOLDER;
use super::facts::{JournalFacts, LogFacts, Tail};
use super::header::{Continues, Position, Seal};
use super::name::{FileKind, Generation};
use refusal::{file, log};
use runs::{Beginning, Run};

pub use refusal::{OpenRefusal, RefusalKind, Salvage};
pub use runs::{Base, Link, Route};

/// What the journal of a directory is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lineup {
    /// There is no log.
    New {
        /// Snapshots that stand there all the same: of a taking-in that was cut off, or of lost logs.
        strays: Vec<Generation>,
    },
    /// The directory that the newest log was written in.
    Original(Original),
    /// A copy of another directory.
    Copy(Copied),
}

/// The journal of an original: nothing of it may be cut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Original {
    /// All logs that chain on to the newest, oldest first.
    pub links: Vec<Link>,
    /// Ways to the newest state, the shortest first.
    pub routes: Vec<Route>,
    /// The seal that ends the newest log.
    pub seal: Option<Seal>,
    /// What is not as it should be and not needed.
    pub findings: Vec<Finding>,
    /// Why the state can't be rebuilt, when `routes` is empty.
    unbased: Option<Box<OpenRefusal>>,
}

/// The journal of a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copied {
    /// Ways to a state, those that reach furthest first and of equals the shortest; at least one.
    pub routes: Vec<Route>,
    /// How long, in ticks, the original keeps what is superseded: no copy was promised to take longer.
    pub retention: u64,
    /// What is not as it should be and not needed.
    pub findings: Vec<Finding>,
    retired: Vec<(Generation, FileKind)>,
}

/// Something that does not keep a directory from being opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Where, relative to the data directory.
    pub file: String,
    /// What is wrong, as a sentence without a full stop.
    pub what: String,
}

/// What the index beside the journal is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IndexFacts {
    /// There is no meta.redb.
    Missing,
    /// It opens, and names no frame: it is from before the journal.
    Unnumbered,
    /// It opens, and holds the state after this frame.
    At(Position),
    /// It does not open, or is damaged.
    Unusable,
}

/// What to do about the index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IndexPlan {
    /// Begin a registry.
    Create,
    /// Write the index's rows as the snapshot of generation 1 and begin the journal with it, without these snapshots.
    TakeIn {
        /// What an earlier attempt left behind; it goes first.
        strays: Vec<Generation>,
    },
    /// Use the index, and replay these.
    Replay {
        /// Frames of the logs, the first one from the end of the index's own frame on.
        links: Vec<Link>,
    },
    /// Build a new index by the first of these routes that can be read; the index that is there is set aside.
    Rebuild {
        /// Ways to the newest state, the shortest first.
        routes: Vec<Route>,
    },
    /// Build a new index as far as a copy's files are whole; the one that is there is not looked at.
    Follow(Copied),
}

/// Puts the logs in order.
///
/// # Errors
/// [`RefusalKind::Damaged`] when something that is needed does not read, is not there or does not fit, and copying
/// can't be the reason; [`RefusalKind::Outlasted`] when what a copy needs was retired before it was read;
/// [`RefusalKind::Forked`] when the files are of two directories.
pub fn decide_lineup(facts: &JournalFacts) -> Result<Lineup, OpenRefusal> {
    let newest = |one: &&LogFacts| (one.header.generation.number, one.header.lineage.len());
    let Some(tip) = facts.logs.iter().max_by_key(newest) else { return without_logs(facts) };
    if let Some(bad) = facts.logs.iter().find(|one| !precedes(one)) {
        let what = "a log names one to go on from that is not older".to_owned();
        return Err(OpenRefusal::damaged(vec![log(bad.header.generation)], Some(0), what));
    }
    let runs = runs::runs(facts);
    let refuse = |refusal: OpenRefusal| refusal.with(runs::salvage(facts, &runs));
    forks::find_fork(facts, tip).map_err(refuse)?;
    let lineup = if tip.is_original {
        original(facts, tip, &runs).map(Lineup::Original)
    } else {
        copy(facts, &runs).map(Lineup::Copy)
    };
    lineup.map_err(refuse)
}

/// Says what to do with the index that stands beside the journal.
///
/// # Errors
/// [`RefusalKind::Damaged`] when the index knows more than the journal, or neither of them is enough.
pub fn decide_index(lineup: &Lineup, index: IndexFacts) -> Result<IndexPlan, OpenRefusal> {
    match lineup {
        Lineup::New { strays } => without_journal(strays, index),
        Lineup::Original(original) => original.decide_index(index),
        Lineup::Copy(copied) => Ok(IndexPlan::Follow(copied.clone())),
    }
}

fn precedes(one: &LogFacts) -> bool {
    one.header.continues.is_none_or(|it| it.generation.number < one.header.generation.number)
}

fn without_logs(facts: &JournalFacts) -> Result<Lineup, OpenRefusal> {
    if let Some(bad) = facts.unreadable.iter().find(|one| one.kind == FileKind::Log) {
        return Err(OpenRefusal::damaged(vec![log(bad.generation)], Some(0), bad.what.clone()));
    }
    if let Some((generation, kind)) = facts.retired.iter().max() {
        return Err(OpenRefusal::outlasted(vec![file(*generation, *kind)], OUTLASTED.to_owned()));
    }
    let unreadable = facts.unreadable.iter().map(|one| one.generation);
    let strays = facts.snapshots.iter().map(|one| one.generation).chain(unreadable).collect();
    Ok(Lineup::New { strays })
}

const OUTLASTED: &str = "this copy took longer than the original keeps what it no longer needs itself";

fn without_journal(strays: &[Generation], index: IndexFacts) -> Result<IndexPlan, OpenRefusal> {
    let refusal = match (index, strays.first()) {
        (IndexFacts::Missing, None) => return Ok(IndexPlan::Create),
        (IndexFacts::Unnumbered, _) => return Ok(IndexPlan::TakeIn { strays: strays.to_vec() }),
        (IndexFacts::Missing, Some(stray)) => {
            let what = "there is a snapshot and not the log that goes on from it".to_owned();
            OpenRefusal::damaged(vec![file(*stray, FileKind::Snapshot)], None, what)
        }
        (IndexFacts::At(position), _) => {
            let what = format!("the index holds change {}, and there is no journal", position.number);
            let salvage = Salvage { kept: Some(position), ..Salvage::default() };
            OpenRefusal::damaged(vec![JOURNAL_FOLDER.to_owned()], None, what).with(salvage)
        }
        (IndexFacts::Unusable, _) => {
            let what = "the index is damaged, and there is no journal to build it from".to_owned();
            OpenRefusal::damaged(vec!["meta.redb".to_owned()], None, what)
        }
    };
    Err(refusal)
}

/// What stands there and is not used.
fn findings(facts: &JournalFacts, used: &[&Run<'_>]) -> Vec<Finding> {
    let unreadable = facts.unreadable.iter();
    let mut found: Vec<Finding> =
        unreadable.map(|one| Finding { file: file(one.generation, one.kind), what: one.what.clone() }).collect();
    for run in used {
        let refusal = match &run.beginning {
            Beginning::Early(refusal) | Beginning::Broken(refusal) => Some(refusal),
            Beginning::Absent(_) | Beginning::Nothing => None,
        };
        for refusal in refusal.into_iter().chain(&run.broken) {
            found
                .push(Finding { file: refusal.files.first().cloned().unwrap_or_default(), what: refusal.what.clone() });
        }
    }
    found
}

/// A log that does not read, unless a state newer than it can be had without it.
fn unreadable_log(facts: &JournalFacts, newest_base: Option<u64>) -> Option<OpenRefusal> {
    let mut logs = facts.unreadable.iter().filter(|one| one.kind == FileKind::Log);
    let needed = logs.find(|one| newest_base.is_none_or(|base| base < one.generation.number))?;
    Some(OpenRefusal::damaged(vec![log(needed.generation)], Some(0), needed.what.clone()))
}

fn base_number(routes: &[Route]) -> Option<u64> {
    routes.iter().filter_map(Route::start).map(|start| start.generation.number).max()
}

fn original(facts: &JournalFacts, tip: &LogFacts, runs: &[Run<'_>]) -> Result<Original, OpenRefusal> {
    let of_tip = |run: &&Run<'_>| run.end().generation == tip.header.generation;
    let Some(run) = runs.iter().rev().find(of_tip) else { return Err(lost_log(tip.header.generation, None)) };
    if let Some(broken) = &run.broken {
        return Err(broken.clone());
    }
    let end = run.end();
    let ahead = |number: u64, generation: Generation| number > end.number || generation.number > end.generation.number;
    if let Some(snapshot) = facts.snapshots.iter().find(|one| ahead(one.number, one.generation)) {
        return Err(lost_log(snapshot.generation, Some(snapshot.generation)));
    }
    let routes = run.routes(facts);
    if let Some(refusal) = unreadable_log(facts, base_number(&routes)) {
        return Err(refusal);
    }
    let unbased = routes.is_empty().then(|| without_base(facts, run)).transpose()?;
    let unbased = unbased.map(|refusal| Box::new(refusal.with(runs::salvage(facts, runs))));
    let findings = findings(facts, &runs.iter().collect::<Vec<_>>());
    Ok(Original {
        links: run.links.clone(),
        routes,
        seal: tip.seal.filter(|_| tip.tail == Tail::Clean),
        findings,
        unbased,
    })
}

fn lost_log(generation: Generation, snapshot: Option<Generation>) -> OpenRefusal {
    let mut files = vec![log(generation)];
    files.extend(snapshot.map(|snapshot| file(snapshot, FileKind::Snapshot)));
    OpenRefusal::damaged(files, None, "a log is not there".to_owned())
}

/// Why an original's state can't be built from its journal: an error when something of it was lost, the refusal to use
/// if the index does not help when only a snapshot was.
fn without_base(facts: &JournalFacts, run: &Run<'_>) -> Result<OpenRefusal, OpenRefusal> {
    let first = run.logs.first().map(|one| one.header.generation);
    match &run.beginning {
        Beginning::Early(refusal) | Beginning::Broken(refusal) => Err(refusal.clone()),
        Beginning::Absent(Continues { generation, .. }) => {
            let is_retired = facts.retired.contains(&(*generation, FileKind::Log));
            if generation.number > 0 && !is_retired {
                return Err(lost_log(*generation, None));
            }
            let files = first.map(|first| file(first, FileKind::Snapshot)).into_iter().collect();
            let what = "no snapshot is there that the journal goes on from, and the index can't be used".to_owned();
            Ok(OpenRefusal::damaged(files, None, what))
        }
        Beginning::Nothing => Ok(OpenRefusal::damaged(Vec::new(), None, "the journal has no beginning".to_owned())),
    }
}

fn copy(facts: &JournalFacts, runs: &[Run<'_>]) -> Result<Copied, OpenRefusal> {
    let (mut routes, mut used): (Vec<Route>, Vec<&Run<'_>>) = (Vec::new(), Vec::new());
    for run in runs.iter().rev() {
        used.push(run);
        let damage = run.broken.as_ref().filter(|_| routes.is_empty());
        if let Some(damage) = damage {
            return Err(damage.clone());
        }
        if run.broken.is_none() {
            routes.extend(run.routes(facts));
        }
        if let Beginning::Broken(damage) = &run.beginning {
            if routes.is_empty() {
                return Err(damage.clone());
            }
            break;
        }
    }
    if let Some(refusal) = unreadable_log(facts, base_number(&routes)) {
        return Err(refusal);
    }
    if routes.is_empty() {
        if let Some((generation, kind)) = facts.retired.iter().max() {
            return Err(OpenRefusal::outlasted(vec![file(*generation, *kind)], OUTLASTED.to_owned()));
        }
        let first =
            runs.first().and_then(|run| run.logs.first()).map(|one| file(one.header.generation, FileKind::Snapshot));
        let what = "no snapshot is there that a log goes on from".to_owned();
        return Err(OpenRefusal::damaged(first.into_iter().collect(), None, what));
    }
    let retention = facts.logs.iter().map(|one| one.header.retention).max().unwrap_or_default();
    Ok(Copied { routes, retention, findings: findings(facts, &used), retired: facts.retired.clone() })
}

impl Original {
    fn decide_index(&self, index: IndexFacts) -> Result<IndexPlan, OpenRefusal> {
        let IndexFacts::At(position) = index else { return self.rebuild() };
        let end = self.links.last().map(|link| link.last);
        let ahead = |end: Position| {
            position.number > end.number
                || position.generation.number > end.generation.number
                || (position.generation == end.generation && position.end > end.end)
        };
        if let Some(end) = end.filter(|end| ahead(*end)) {
            let what = format!("the index holds change {}, and the journal ends with {}", position.number, end.number);
            let lost = vec![format!("changes {} to {}", end.number + 1, position.number)];
            let kept = self.routes.first().and_then(Route::end);
            let salvage = Salvage { routes: self.routes.clone(), kept, lost };
            return Err(OpenRefusal::damaged(vec![log(end.generation)], Some(end.end), what).with(salvage));
        }
        match self.after(&position) {
            Some(links) => Ok(IndexPlan::Replay { links }),
            None => self.rebuild(),
        }
    }

    fn rebuild(&self) -> Result<IndexPlan, OpenRefusal> {
        match &self.unbased {
            Some(refusal) => Err(refusal.as_ref().clone()),
            None => Ok(IndexPlan::Rebuild { routes: self.routes.clone() }),
        }
    }

    /// The frames after a state, when that is one of this journal's.
    fn after(&self, position: &Position) -> Option<Vec<Link>> {
        let same = |at: &Position| {
            (at.generation, at.end, at.number, at.hash)
                == (position.generation, position.end, position.number, position.hash)
        };
        let at = self.links.iter().position(|link| link.positions.iter().any(same))?;
        let mut links = self.links.get(at..)?.to_vec();
        let first = links.first_mut()?;
        first.first = *position;
        first.positions.retain(|known| known.end >= position.end);
        Some(links)
    }
}

impl Copied {
    /// Whether the state that a walk came to (`super::cut`) may be opened: not when the original went on from there and
    /// took away what tells how before it was copied.
    ///
    /// # Errors
    /// [`RefusalKind::Outlasted`].
    pub fn check(&self, kept: &Position) -> Result<(), OpenRefusal> {
        let later = self.retired.iter().filter(|(generation, _)| generation.number > kept.generation.number).max();
        later.map_or(Ok(()), |(generation, kind)| {
            Err(OpenRefusal::outlasted(vec![file(*generation, *kind)], OUTLASTED.to_owned()))
        })
    }
}

/// What a copy that was opened at `kept` sets aside before its first log is begun: logs and snapshots of what came
/// later in the original. Were they left there, two logs would go on from the same one.
pub fn beyond(facts: &JournalFacts, kept: &Position) -> Vec<(Generation, FileKind)> {
    let logs = facts.logs.iter().map(|one| (one.header.generation, FileKind::Log));
    let snapshots = facts.snapshots.iter().map(|one| (one.generation, FileKind::Snapshot));
    let unreadable = facts.unreadable.iter().map(|one| (one.generation, one.kind));
    let all = logs.chain(snapshots).chain(unreadable);
    all.filter(|(generation, _)| generation.number > kept.generation.number).collect()
}

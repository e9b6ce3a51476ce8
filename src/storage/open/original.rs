//! Opens a directory in which its journal was written: by the index that is there, or by a new one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::look::{Looked, panic_text};
use super::report::{OpenReport, OpenedAs};
use super::{OpenError, OpenedIndex, Place, along, aside, presence};
use crate::storage::StoreError;
use crate::storage::journal::facts::{JournalFacts, LogFacts};
use crate::storage::journal::header::{Continues, Position};
use crate::storage::journal::name::{FileKind, Generation};
use crate::storage::journal::plan::{
    Finding, IndexFacts, IndexPlan, Lineup, Link, OpenRefusal, RefusalKind, Route, decide_index,
};
use crate::storage::journal::{JOURNAL_FOLDER, JournalStart, NO_FRAME, settle};
use crate::storage::redb::METADATA_FILE;
use crate::storage::redb::build::Build;

/// Makes an empty index. The journal begins with the first frame: until there is one, this is done anew.
pub(super) fn create(place: &Place<'_>, facts: JournalFacts) -> Result<OpenedIndex, OpenError> {
    let (database, index) =
        place.begin_build(&Build::place(place.data))?.finish(None)?.install(&**place.fs, place.data)?;
    let generation = Generation { number: 1, history: place.new_history()? };
    let position = Position { generation, end: 0, number: 0, hash: NO_FRAME, tick: 0 };
    let start =
        JournalStart { continues: None, lineage: Vec::new(), next_generation: 1, ..start(place, &facts, position) };
    let report = OpenReport::of(OpenedAs::New);
    Ok(OpenedIndex { database, index, position, start, is_copy: false, facts, report })
}

/// Uses the index that is there and brings it up to the journal's end.
pub(super) fn replay(
    place: &Place<'_>,
    links: &[Link],
    (lineup, facts): (&Lineup, JournalFacts),
    looked: Looked,
) -> Result<OpenedIndex, OpenError> {
    let Looked { facts: was, held, is_sealed, why: _ } = looked;
    let (IndexFacts::At(stands), Some(held), Some(end)) = (was, held, links.last().map(|link| link.last)) else {
        return Err(StoreError::Closed.into());
    };
    settle(&**place.fs, place.data, &[(end.generation, FileKind::Log)])?;
    let position = Position { tick: last_tick(links, stands), ..end };
    let (database, index) = held.take()?;
    let replayed = catch_unwind(AssertUnwindSafe(|| along::replay(place, &database, links)));
    let replayed = replayed.unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(&*panic)).into()));
    let frames = match replayed {
        Ok(frames) => frames,
        Err(error) if error.is_damage() => {
            drop((database, index));
            let why = format!("it could not be brought up to the journal's end: {error}");
            let looked = Looked { why: Some(why), ..Looked::away() };
            let IndexPlan::Rebuild { routes } = decide_index(lineup, IndexFacts::Unusable)? else { return Err(error) };
            return rebuild(place, &routes, facts, looked);
        }
        Err(error) => return Err(error),
    };
    let mut report = OpenReport { is_sealed, frames, ..OpenReport::of(OpenedAs::Original) };
    if !is_sealed {
        report.missing = presence::missing(place, &database)?;
    }
    let start = start(place, &facts, position);
    Ok(OpenedIndex { database, index, position, start, is_copy: false, facts, report })
}

/// The tick of the last frame: time goes on from there, and a header's tick is none.
fn last_tick(links: &[Link], index: Position) -> u64 {
    let with_frames = links.iter().rev().find(|link| link.last.number > link.first.number);
    with_frames.map_or(index.tick, |link| link.last.tick)
}

/// Builds a new index from the journal and sets the old one aside.
pub(super) fn rebuild(
    place: &Place<'_>,
    routes: &[Route],
    facts: JournalFacts,
    looked: Looked,
) -> Result<OpenedIndex, OpenError> {
    let Looked { facts: was, held, why, is_sealed: _ } = looked;
    drop(held);
    let mut report = OpenReport::of(OpenedAs::Original);
    let mut refused = None;
    for route in routes {
        let Some(end) = route.end() else { continue };
        settle(&**place.fs, place.data, &[(end.generation, FileKind::Log)])?;
        match along::build(place, route, &Build::place(place.data)) {
            Ok((built, frames)) => {
                report.frames = frames;
                report.rebuilt = Some(why.unwrap_or_else(|| reason(was).to_owned()));
                if was != IndexFacts::Missing {
                    report.aside = aside::set_aside(place, &[METADATA_FILE.to_owned()])?;
                }
                let (database, index) = built.install(&**place.fs, place.data)?;
                report.missing = presence::missing(place, &database)?;
                let position = Position { tick: route.tick, ..end };
                let start = start(place, &facts, position);
                return Ok(OpenedIndex { database, index, position, start, is_copy: false, facts, report });
            }
            Err(error) if error.is_damage() => {
                let finding = finding(&error);
                tracing::warn!(file = finding.file, "{}: another way to the same state is tried", finding.what);
                report.findings.push(finding.clone());
                refused = Some(finding);
            }
            Err(error) => return Err(error),
        }
    }
    Err(no_way(refused).into())
}

fn reason(was: IndexFacts) -> &'static str {
    match was {
        IndexFacts::Missing => "it was not there",
        IndexFacts::Unnumbered => "it did not say where it stood",
        IndexFacts::At(_) => "it stood at a change that the journal does not know",
        IndexFacts::Unusable => "it could not be used",
    }
}

/// What a part of the journal is like that could not be used.
pub(super) fn finding(error: &OpenError) -> Finding {
    use crate::storage::journal::JournalError;
    match error {
        OpenError::Journal(JournalError::Damaged { file, offset, what }) => {
            Finding { file: file.clone(), what: format!("{what} (byte {offset})") }
        }
        OpenError::Journal(_)
        | OpenError::Store(_)
        | OpenError::Refused(_)
        | OpenError::Io { .. }
        | OpenError::Cancelled(_) => Finding { file: JOURNAL_FOLDER.to_owned(), what: error.to_string() },
    }
}

/// Every way to the state was tried.
pub(super) fn no_way(last: Option<Finding>) -> OpenRefusal {
    let (files, what) = last.map_or_else(
        || (vec![JOURNAL_FOLDER.to_owned()], "the journal can't be read".to_owned()),
        |finding| (vec![finding.file], finding.what),
    );
    OpenRefusal { kind: RefusalKind::Damaged, files, offset: None, what, salvage: Box::default() }
}

/// How the journal goes on in the same history.
pub(super) fn start(place: &Place<'_>, facts: &JournalFacts, position: Position) -> JournalStart {
    let tip = tip(facts, position);
    let Position { generation, end, number, hash, tick } = position;
    let length = tip.map_or(end, |tip| tip.length);
    let unreadable = facts.unreadable.iter().map(|one| (one.generation, one.kind));
    let logs = facts.logs.iter().map(|one| (one.header.generation, FileKind::Log));
    let all = logs.chain(unreadable).chain(facts.retired.iter().copied());
    let taken = all.filter(|(_, kind)| *kind == FileKind::Log).map(|(generation, _)| generation.number).max();
    JournalStart {
        history: generation.history,
        lineage: tip.map(|tip| tip.header.lineage.clone()).unwrap_or_default(),
        next_generation: taken.unwrap_or(0).max(generation.number) + 1,
        continues: Some(Continues { generation, length, end, number, hash }),
        tick,
        retention: place.options.retention,
    }
}

/// The log in which a position lies.
pub(super) fn tip(facts: &JournalFacts, position: Position) -> Option<&LogFacts> {
    facts.logs.iter().find(|one| one.header.generation == position.generation)
}

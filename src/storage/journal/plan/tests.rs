//! Claims about the decision, each on a directory of a few files.

use super::*;
use crate::domain::digest::Blake3;
use crate::domain::id::Id;
use crate::storage::journal::facts::{SnapshotFacts, Tail, Unreadable};
use crate::storage::journal::header::{Ancestor, Header, Identity, Mark};

const HEADER: u64 = 100;
const FRAME: u64 = 10;
const FIRST: Id = Id(1);
const SECOND: Id = Id(2);

fn generation(number: u64, history: Id) -> Generation {
    Generation { number, history }
}

fn hash(number: u64) -> Blake3 {
    Blake3::of(&number.to_le_bytes())
}

/// A log of generation `number` that starts after frame `from` and ends with frame `to`.
fn a_log(number: u64, from: u64, to: u64) -> LogFacts {
    let identity = Identity { inode: number, born_ns: Some(1) };
    let own = generation(number, FIRST);
    let position = |frame: u64| {
        let end = HEADER + (frame - from) * FRAME;
        Position { generation: own, end, number: frame, hash: hash(frame), tick: frame * 5 }
    };
    let continues = (number > 1).then(|| Continues {
        generation: generation(number - 1, FIRST),
        length: 0,
        end: 0,
        number: from,
        hash: hash(from),
    });
    LogFacts {
        header: Header {
            generation: own,
            tick: from * 5,
            retention: 60,
            continues,
            lineage: Vec::new(),
            mark: Mark { file: identity, directory: identity },
        },
        length: position(to).end,
        is_original: true,
        positions: (from..=to).map(position).collect(),
        tail: Tail::Clean,
        seal: None,
    }
}

/// Logs that chain, each with as many frames as its number says; the first starts from nothing.
fn chain(frames: &[u64]) -> JournalFacts {
    let mut logs: Vec<LogFacts> = Vec::new();
    let mut from = 0;
    for (number, count) in (1..).zip(frames) {
        let mut next = a_log(number, from, from + count);
        if let (Some(continues), Some(before)) = (&mut next.header.continues, logs.last()) {
            (continues.length, continues.end) = (before.length, before.last().end);
        }
        from += count;
        logs.push(next);
    }
    JournalFacts { logs, ..JournalFacts::default() }
}

fn snapshot(facts: &mut JournalFacts, number: u64) {
    let log = facts.logs.iter().find(|one| one.header.generation.number == number).unwrap();
    let at = log.positions[0];
    let (generation, number) = (at.generation, at.number);
    facts.snapshots.push(SnapshotFacts { generation, number, hash: at.hash, tick: at.tick, length: 1000 });
}

fn copied(mut facts: JournalFacts) -> JournalFacts {
    facts.logs.iter_mut().for_each(|log| log.is_original = false);
    facts
}

/// Cuts the log at `at` after its first `frames` frames.
fn shorten(facts: &mut JournalFacts, at: usize, frames: usize) {
    let log = &mut facts.logs[at];
    log.positions.truncate(frames + 1);
    log.length = log.last().end + 3;
    log.tail = Tail::Torn;
}

fn routes(facts: &JournalFacts) -> Vec<(Base, u64, u64)> {
    let routes = match decide_lineup(facts).unwrap() {
        Lineup::New { .. } => Vec::new(),
        Lineup::Original(original) => original.routes,
        Lineup::Copy(copied) => copied.routes,
    };
    let tell = |route: &Route| (route.base, route.start().unwrap().generation.number, route.end().unwrap().number);
    routes.iter().map(tell).collect()
}

fn refused(facts: &JournalFacts, kind: RefusalKind, file: &str) -> OpenRefusal {
    let refusal = decide_lineup(facts).expect_err("refused");
    assert_eq!(refusal.kind, kind, "{refusal}");
    assert!(refusal.files.iter().any(|name| name.contains(file)), "{refusal}");
    refusal
}

fn index(facts: &JournalFacts, at: Position) -> Result<IndexPlan, OpenRefusal> {
    decide_index(&decide_lineup(facts).unwrap(), IndexFacts::At(at))
}

#[test]
fn an_original_is_rebuilt_from_the_newest_snapshot_first() {
    let mut facts = chain(&[3, 4, 2]);
    snapshot(&mut facts, 2);
    snapshot(&mut facts, 3);
    assert_eq!(routes(&facts), [(Base::Snapshot, 3, 9), (Base::Snapshot, 2, 9), (Base::Nothing, 1, 9)]);
}

#[test]
fn the_tick_of_a_route_is_that_of_a_frame() {
    let mut facts = copied(chain(&[3, 4, 0]));
    facts.logs[2].positions[0].tick = 1000;
    snapshot(&mut facts, 3);
    facts.snapshots[0].tick = 35;
    let Lineup::Copy(copied) = decide_lineup(&facts).unwrap() else { panic!("a copy") };
    assert_eq!(copied.routes.iter().map(|route| route.tick).collect::<Vec<_>>(), [35, 35]);
}

#[test]
fn an_index_is_replayed_from_its_own_frame() {
    let facts = chain(&[3, 4, 2]);
    let at = facts.logs[1].positions[2];
    let IndexPlan::Replay { links } = index(&facts, at).unwrap() else { panic!("replayed") };
    assert_eq!(links.iter().map(|link| (link.first.number, link.last.number)).collect::<Vec<_>>(), [(5, 7), (7, 9)]);
    let strange = Position { hash: hash(77), ..at };
    assert!(matches!(index(&facts, strange), Ok(IndexPlan::Rebuild { .. })));
    let lineup = decide_lineup(&facts).unwrap();
    assert!(matches!(decide_index(&lineup, IndexFacts::Unusable), Ok(IndexPlan::Rebuild { .. })));
}

#[test]
fn an_index_that_knows_more_than_the_journal_is_damage() {
    let whole = chain(&[3, 4, 2]);
    let at = whole.logs[2].last();
    let mut lost = whole.clone();
    lost.logs.pop();
    let refusal = index(&lost, at).expect_err("the newest log is lost");
    assert_eq!((refusal.kind, refusal.offset), (RefusalKind::Damaged, Some(HEADER + 4 * FRAME)));
    assert_eq!(refusal.salvage.lost, ["changes 8 to 9"]);
    let mut torn = whole;
    shorten(&mut torn, 2, 1);
    assert_eq!(index(&torn, at).expect_err("truncated").salvage.kept.unwrap().number, 8);
    assert!(matches!(index(&torn, torn.logs[2].last()), Ok(IndexPlan::Replay { .. })), "a torn tail is none");
}

#[test]
fn an_original_without_a_log_that_it_needs_is_damaged() {
    let mut facts = chain(&[3, 4, 2]);
    let lost = facts.logs.remove(1);
    let refusal = refused(&facts, RefusalKind::Damaged, &lost.header.generation.file_name(FileKind::Log));
    assert_eq!(refusal.salvage.kept.unwrap().number, 3);
    assert!(refusal.salvage.lost[0].contains("0000000003."), "{refusal}");
    snapshot(&mut facts, 3);
    assert_eq!(routes(&facts), [(Base::Snapshot, 3, 9)], "not needed any more");
    facts.logs.pop();
    refused(&facts, RefusalKind::Damaged, "0000000003.");
}

#[test]
fn an_original_is_never_cut() {
    let mut facts = chain(&[3, 4, 2]);
    shorten(&mut facts, 1, 2);
    let refusal = refused(&facts, RefusalKind::Damaged, "0000000002.");
    assert_eq!((refusal.offset, refusal.salvage.kept.unwrap().number), (Some(HEADER + 2 * FRAME), 5));
    assert_eq!(routes(&copied(facts)), [(Base::Nothing, 1, 5)], "a copy is");
}

#[test]
fn damage_in_the_middle_of_a_log_is_refused_in_copies_too() {
    let mut facts = chain(&[3, 4]);
    facts.logs[1].positions.truncate(2);
    facts.logs[1].tail = Tail::Damaged { next_good: HEADER + 2 * FRAME };
    let refusal = refused(&facts, RefusalKind::Damaged, "0000000002.");
    assert_eq!((refusal.offset, refusal.salvage.kept.unwrap().number), (Some(HEADER + FRAME), 4));
    refused(&copied(facts), RefusalKind::Damaged, "0000000002.");
    let mut middle = chain(&[3, 4, 2]);
    middle.logs[1].positions.truncate(2);
    middle.logs[1].tail = Tail::Damaged { next_good: HEADER + 2 * FRAME };
    refused(&middle, RefusalKind::Damaged, "0000000002.");
    refused(&copied(middle.clone()), RefusalKind::Damaged, "0000000002.");
    snapshot(&mut middle, 3);
    assert_eq!(routes(&middle), [(Base::Snapshot, 3, 9)], "not needed");
}

#[test]
fn what_a_successor_voids_counts_for_nothing() {
    let mut facts = chain(&[3, 2]);
    let void = a_log(1, 0, 4);
    facts.logs[0].positions = void.positions;
    facts.logs[0].length = void.length;
    facts.logs[0].tail = Tail::Torn;
    facts.logs[1].header.continues.as_mut().unwrap().length = void.length;
    assert_eq!(routes(&facts), [(Base::Nothing, 1, 5)]);
    let Lineup::Original(original) = decide_lineup(&facts).unwrap() else { panic!("original") };
    assert_eq!(original.links[0].last.number, 3);
}

#[test]
fn a_log_that_grew_after_its_successor_was_begun_is_a_fork() {
    let mut facts = chain(&[3, 2]);
    facts.logs[0] = a_log(1, 0, 4);
    refused(&facts, RefusalKind::Forked, "0000000001.");
    refused(&copied(facts), RefusalKind::Forked, "0000000002.");
}

/// A copy of the first `logs` logs that was opened and written to, in a history of its own.
fn opened(facts: &JournalFacts, logs: usize) -> LogFacts {
    let last = facts.logs[logs - 1].clone();
    let at = last.last();
    let mut own = a_log(last.header.generation.number + 1, at.number, at.number + 1);
    own.header.generation.history = SECOND;
    own.positions.iter_mut().for_each(|position| position.generation.history = SECOND);
    let Position { generation, end, number, hash, .. } = at;
    own.header.continues = Some(Continues { generation, length: last.length, end, number, hash });
    own.header.lineage = vec![Ancestor { history: FIRST, number, hash }];
    own
}

#[test]
fn a_history_goes_on_in_a_copy_that_was_opened() {
    let mut facts = chain(&[3, 4]);
    facts.logs.push(opened(&facts, 2));
    assert_eq!(routes(&facts), [(Base::Nothing, 1, 8)]);
}

#[test]
fn two_directories_over_one_another_are_forked() {
    let whole = chain(&[3, 4, 2]);
    let mut twins = whole.clone();
    twins.logs.push(opened(&whole, 2));
    refused(&twins, RefusalKind::Forked, "0000000003.");
    let mut gap = whole.clone();
    gap.logs.push(opened(&whole, 1));
    gap.logs.remove(0);
    refused(&copied(gap), RefusalKind::Forked, &SECOND.to_string());
    let mut strange = chain(&[3]);
    let mut other = a_log(1, 0, 2);
    other.header.generation.history = SECOND;
    strange.logs.push(other);
    refused(&strange, RefusalKind::Forked, &FIRST.to_string());
}

#[test]
fn an_older_part_of_the_same_history_is_no_fork() {
    let mut facts = chain(&[3, 4]);
    let mut own = opened(&facts, 2);
    own.header.continues.as_mut().unwrap().generation.number = 20;
    own.header.generation.number = 21;
    own.positions.iter_mut().for_each(|position| position.generation.number = 21);
    facts.logs.push(own);
    snapshot(&mut facts, 21);
    assert_eq!(routes(&copied(facts)), [(Base::Snapshot, 21, 8), (Base::Nothing, 1, 7)]);
}

#[test]
fn a_copy_falls_back_behind_a_log_that_was_copied_early() {
    let mut facts = copied(chain(&[3, 4, 2]));
    snapshot(&mut facts, 2);
    shorten(&mut facts, 1, 1);
    assert_eq!(routes(&facts), [(Base::Snapshot, 2, 4), (Base::Nothing, 1, 4)]);
    snapshot(&mut facts, 3);
    assert_eq!(routes(&facts)[0], (Base::Snapshot, 3, 9));
}

#[test]
fn a_snapshot_that_does_not_agree_with_its_log_is_no_base() {
    let mut facts = copied(chain(&[3, 4]));
    snapshot(&mut facts, 2);
    facts.snapshots[0].hash = hash(99);
    assert_eq!(routes(&facts), [(Base::Nothing, 1, 7)]);
}

#[test]
fn a_retired_note_after_the_end_of_a_copy_means_that_it_took_too_long() {
    let mut facts = copied(chain(&[3]));
    facts.retired = vec![(generation(2, FIRST), FileKind::Log)];
    let Lineup::Copy(copied) = decide_lineup(&facts).unwrap() else { panic!("a copy") };
    let kept = facts.logs[0].last();
    assert_eq!(copied.check(&kept).expect_err("outlasted").kind, RefusalKind::Outlasted);
    let later = Position { generation: generation(2, FIRST), ..kept };
    assert_eq!(copied.check(&later), Ok(()));
    facts.logs.clear();
    refused(&facts, RefusalKind::Outlasted, "0000000002.");
}

#[test]
fn a_retired_log_with_a_lost_snapshot_needs_the_index() {
    let mut facts = chain(&[3, 4]);
    let retired = facts.logs.remove(0).header.generation;
    refused(&facts, RefusalKind::Damaged, "0000000001.");
    facts.retired = vec![(retired, FileKind::Log)];
    let at = facts.logs[0].positions[1];
    assert!(matches!(index(&facts, at), Ok(IndexPlan::Replay { .. })));
    let lineup = decide_lineup(&facts).unwrap();
    let refusal = decide_index(&lineup, IndexFacts::Missing).expect_err("no base");
    assert!(refusal.files[0].contains("0000000002."), "{refusal}");
}

#[test]
fn the_snapshot_of_a_registry_from_before_the_journal_is_needed() {
    let mut facts = chain(&[3]);
    facts.logs[0].header.continues = Some(Continues::before_the_journal(FIRST));
    assert_eq!(routes(&facts), []);
    refused(&copied(facts.clone()), RefusalKind::Damaged, "0000000001.");
    snapshot(&mut facts, 1);
    assert_eq!(routes(&facts), [(Base::Snapshot, 1, 3)]);
}

#[test]
fn an_unreadable_log_matters_unless_a_newer_base_is_there() {
    let mut facts = chain(&[3, 4, 2]);
    let bad = facts.logs.remove(1).header.generation;
    let what = "its header does not read".to_owned();
    facts.unreadable = vec![Unreadable { generation: bad, kind: FileKind::Log, what }];
    refused(&facts, RefusalKind::Damaged, "0000000002.");
    refused(&copied(facts.clone()), RefusalKind::Damaged, "0000000002.");
    snapshot(&mut facts, 3);
    let Lineup::Original(original) = decide_lineup(&facts).unwrap() else { panic!("original") };
    assert_eq!(original.findings.len(), 1);
    assert_eq!(routes(&copied(facts))[0], (Base::Snapshot, 3, 9));
}

#[test]
fn no_journal_is_a_new_directory_only_without_an_index() {
    let empty = decide_lineup(&JournalFacts::default()).unwrap();
    assert_eq!(decide_index(&empty, IndexFacts::Missing), Ok(IndexPlan::Create));
    assert_eq!(decide_index(&empty, IndexFacts::Unnumbered), Ok(IndexPlan::TakeIn { strays: Vec::new() }));
    let at = chain(&[3]).logs[0].last();
    assert_eq!(decide_index(&empty, IndexFacts::At(at)).expect_err("damage").kind, RefusalKind::Damaged);
    let mut lost = chain(&[3]);
    snapshot(&mut lost, 1);
    lost.logs.clear();
    let lost = decide_lineup(&lost).unwrap();
    assert!(decide_index(&lost, IndexFacts::Missing).is_err());
    assert!(
        matches!(decide_index(&lost, IndexFacts::Unnumbered), Ok(IndexPlan::TakeIn { strays }) if strays.len() == 1)
    );
}

#[test]
fn a_copy_that_was_cut_sets_aside_what_came_later() {
    let mut facts = chain(&[3, 4, 2]);
    snapshot(&mut facts, 3);
    let aside = beyond(&facts, &facts.logs[1].positions[1]);
    assert_eq!(aside, [(generation(3, FIRST), FileKind::Log), (generation(3, FIRST), FileKind::Snapshot)]);
}

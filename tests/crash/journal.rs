//! The journal alone: appended to, rotated, sealed, taken over by the next process.

use std::ops::ControlFlow;
use std::sync::Arc;

use vix_registry::domain::id::Id;
use vix_registry::storage::disk::DiskState;
use vix_registry::storage::journal::frame::{FrameKind, decode_ops};
use vix_registry::storage::journal::header::Continues;
use vix_registry::storage::journal::plan::{Lineup, decide_lineup};
use vix_registry::storage::journal::read::read_frames;
use vix_registry::storage::journal::survey::survey;
use vix_registry::storage::journal::{Journal, JournalError, JournalStart, settle_newest};
use vix_registry::storage::tables::{RowOp, Table};

use crate::random::{Random, is_long, seed};
use crate::sim::Disk;
use crate::sim::explore::{Effort, Moment, Outcome, Scratch, at_end, explore, never_synced_again};
use crate::sim::fault::{Fault, Lie};
use crate::told::told;

/// Of the calls, one in so many fails in the gate.
const GATE_EVERY: usize = 11;

/// What is done to a journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// A frame of so many bytes.
    Append(usize),
    Rotate,
    /// The process ends, with a seal or without, and another one takes over.
    Stop {
        sealed: bool,
    },
}

const LIFE: &[Step] = &[
    Step::Append(10),
    Step::Append(3000),
    Step::Append(500),
    Step::Rotate,
    Step::Append(100),
    Step::Stop { sealed: false },
    Step::Append(700),
    Step::Append(10),
    Step::Stop { sealed: true },
    Step::Stop { sealed: true },
    Step::Append(1500),
    Step::Rotate,
    Step::Rotate,
    Step::Append(50),
];

/// The frame of this number; its content tells which it is.
fn ops(number: u64, bytes: usize) -> Vec<RowOp> {
    let value = number.to_le_bytes().into_iter().cycle().take(bytes).collect();
    vec![RowOp::Put { table: Table::Settings, key: number.to_be_bytes().to_vec(), value }]
}

/// The frames that an opening finds, by the numbers in their keys, and where a journal goes on from there.
fn found(disk: &Arc<Disk>) -> Result<(Vec<u64>, JournalStart), String> {
    settle_newest(&**disk, disk.root()).map_err(|error| told("settle", &error))?;
    let facts = survey(&**disk, disk.root(), None).map_err(|error| told("survey", &error))?;
    let number = facts.logs.iter().map(|log| log.header.generation.number).max().unwrap_or(0);
    let mut start = JournalStart {
        history: Id(7),
        lineage: Vec::new(),
        next_generation: number + 1,
        continues: None,
        tick: 0,
        retention: 10,
    };
    let original = match decide_lineup(&facts).map_err(|refusal| format!("refused: {refusal}"))? {
        Lineup::New { .. } => return Ok((Vec::new(), start)),
        Lineup::Copy(_) => return Err("it is taken for a copy".to_owned()),
        Lineup::Original(original) => original,
    };
    let route = original.routes.first().ok_or("no way to its state")?;
    let mut frames = Vec::new();
    for link in &route.links {
        let range = link.first.end..link.last.end;
        let read = read_frames(&**disk, disk.root(), link.first.generation, range, &mut |frame, _| {
            if frame.kind == FrameKind::Rows {
                for op in decode_ops(&frame.payload)? {
                    let (RowOp::Put { key, .. } | RowOp::Delete { key, .. }) = op;
                    frames.push(u64::from_be_bytes(key.try_into().expect("eight bytes")));
                }
            }
            Ok(ControlFlow::Continue(()))
        });
        read.map_err(|error| told("read", &error))?;
        let log = facts.logs.iter().find(|log| log.header.generation == link.last.generation);
        let (length, last) = (log.expect("it was just read").length, link.last);
        start.continues = Some(Continues {
            generation: last.generation,
            length,
            end: last.end,
            number: last.number,
            hash: last.hash,
        });
        start.tick = last.tick;
    }
    Ok((frames, start))
}

fn open(disk: &Arc<Disk>) -> Result<Journal, String> {
    let (_, start) = found(disk)?;
    let journal = Journal::open(Arc::<Disk>::clone(disk), disk.root(), Arc::<DiskState>::default(), start);
    journal.map_err(|error| told("open", &error))
}

/// Lives; each mark is the number of a frame that was acknowledged. Frames that failed are told in the answer.
fn live(disk: &Arc<Disk>, journal: Journal) -> Result<Vec<(u64, JournalError)>, String> {
    let (mut journal, mut failed) = (Some(journal), Vec::new());
    for (number, step) in (1..).zip(LIFE) {
        let Some(current) = &mut journal else { break };
        match *step {
            Step::Append(bytes) => match current.append(&ops(number, bytes), number) {
                Ok(_) => disk.mark(number),
                Err(error) => failed.push((number, error)),
            },
            // Nobody waits for it; the old log goes on.
            Step::Rotate => drop(current.rotate(number)),
            Step::Stop { sealed } => {
                if sealed {
                    use vix_registry::storage::journal::header::Seal;
                    drop(current.seal(Seal { inode: 1, size: 2, changed_ns: 3 }, number));
                }
                drop(journal.take());
                disk.restart();
                // An opening that fails is tried again by whoever starts the server.
                journal = Some(open(disk).or_else(|_failed| {
                    disk.restart();
                    open(disk)
                })?);
            }
        }
    }
    Ok(failed)
}

/// Every acknowledged frame is there, in order, with none between them that was never to be, and the journal goes on.
fn check(moment: &mut Moment<'_>, failed: &[u64], scratch: &Scratch) -> Result<usize, String> {
    let dir = scratch.fresh();
    let disk = moment.image.place(&dir.path(), crate::sim::image::Look::Original);
    let (frames, start) = found(&disk)?;
    let acknowledged = moment.marks;
    let last = acknowledged.last().copied().unwrap_or(0);
    let until_last: Vec<u64> = frames.iter().copied().filter(|number| *number <= last).collect();
    if until_last != acknowledged {
        return Err(format!("acknowledged {acknowledged:?}, found {frames:?}"));
    }
    // What was under way when the power went, or failed and was followed by nothing that went well.
    let beyond: Vec<u64> = frames.iter().copied().filter(|number| *number > last).collect();
    if beyond.len() > 1 + failed.len() || !beyond.is_sorted() {
        return Err(format!("found {frames:?} after {last} was acknowledged"));
    }
    let journal = Journal::open(Arc::<Disk>::clone(&disk), disk.root(), Arc::default(), start);
    let mut journal = journal.map_err(|error| told("go on", &error))?;
    journal.append(&ops(1000, 10), 1000).map_err(|error| told("go on", &error))?;
    drop(journal);
    let expected: Vec<u64> = frames.into_iter().chain([1000]).collect();
    let (frames, _) = found(&disk)?;
    if frames == expected { Ok(0) } else { Err(format!("expected {expected:?}, found {frames:?}")) }
}

fn lose_power(lie: Lie, random: &mut Random, effort: Effort) -> Outcome {
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    disk.lie(lie);
    let journal = open(&disk).unwrap_or_else(|wrong| panic!("{wrong}"));
    let failed = live(&disk, journal).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(failed.is_empty(), "{failed:?}");
    explore(&disk.trace(), effort, random, |moment| check(moment, &[], &scratch))
}

#[test]
fn every_frame_that_was_acknowledged_is_found_wherever_the_power_goes() {
    let seed = seed("a journal without power");
    let random = if is_long() { 40 } else { 1 };
    let effort = Effort { calls_percent: 100, fixed_percent: 100, random };
    let outcome = lose_power(Lie::None, &mut Random::new(seed), effort);
    eprintln!("a journal: {} images", outcome.images);
    outcome.expect_none();
    assert!(outcome.images > 200, "{}", outcome.images);
}

#[test]
fn a_missing_sync_of_the_journal_is_caught() {
    let seed = seed("a journal on a disk that lies");
    let effort = Effort { calls_percent: 100, fixed_percent: 100, random: 1 };
    for lie in [Lie::Files, Lie::Folders, Lie::LogsLate] {
        let outcome = lose_power(lie, &mut Random::new(seed), effort);
        assert!(!outcome.failures.is_empty(), "{lie:?} went unseen in {} images", outcome.images);
    }
}

/// Lives on a disk that fails; nothing when there were fewer calls.
fn fail_at(fault: Fault, random: &mut Random, scratch: &Scratch) -> Result<Option<Vec<u64>>, String> {
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    let journal = open(&disk)?;
    disk.fail(fault);
    let failed: Vec<u64> = live(&disk, journal)?.into_iter().map(|(number, _)| number).collect();
    if disk.calls().1.is_none() {
        return Ok(None);
    }
    disk.fail(Fault::None);
    let trace = disk.trace();
    never_synced_again(&trace)?;
    let effort = Effort { calls_percent: 0, fixed_percent: 100, random: 2 };
    let outcome = explore(&at_end(&trace), effort, random, |moment| check(moment, &failed, scratch));
    outcome.into_result().map(|_| Some(failed))
}

#[test]
fn a_frame_that_failed_never_comes_back_once_a_later_one_was_acknowledged() {
    let seed = seed("a journal on a disk that fails");
    let (scratch, mut random) = (Scratch::new(), Random::new(seed));
    for fault in [|at| Fault::Once { at }, |at| Fault::Short { at }, |from| Fault::Full { from }] {
        let mut failures = 0;
        let step = if is_long() { 1 } else { GATE_EVERY };
        for at in (1 + random.below(step)..).step_by(step) {
            match fail_at(fault(at), &mut random, &scratch) {
                Ok(Some(failed)) => failures += failed.len(),
                Ok(None) => break,
                Err(wrong) => panic!("VIXR_TEST_SEED={seed}, {:?}: {wrong}", fault(at)),
            }
        }
        eprintln!("a journal: {failures} frames failed like {:?}", fault(0));
    }
}

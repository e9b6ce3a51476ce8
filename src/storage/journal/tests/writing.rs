//! The writer's side on a disk that works, and on one that is full.

use super::*;
use crate::storage::journal::retention::NOTES_KEPT_TICKS;
use crate::storage::journal::retired::Note;

fn allocated(path: &Path) -> u64 {
    RealFs.stat(&fs::File::open(path).unwrap()).unwrap().allocated
}

fn run_files(data: &Path) -> Vec<String> {
    let names = fs::read_dir(data.join("run")).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn works() -> (tempfile::TempDir, Arc<BrokenFs>) {
    (tempfile::tempdir().unwrap(), Arc::default())
}

#[test]
fn what_is_appended_is_read_back_across_rotations_seals_and_restarts() {
    let (data, disk) = works();
    let mut expected = Vec::new();
    for process in 0..3_u64 {
        let mut journal = open(&disk, data.path(), continued(data.path())).unwrap();
        for at in 0..6 {
            let rows = vec![put(&format!("{process}-{at}"), &vec![7; at * 100])];
            let position = journal.append(&rows, process * 10 + 3).unwrap();
            expected.push(rows);
            assert_eq!((position.number, position.tick), (expected.len() as u64, process * 10 + 3));
            assert_eq!(position, journal.position());
            if at == 3 {
                let begun = journal.rotate(process * 10 + 4).unwrap();
                assert_eq!((begun.number, begun.hash), (position.number, position.hash));
            }
        }
        if process == 1 {
            let seal = Seal { inode: 1, size: 2, changed_ns: 3 };
            journal.seal(seal, 19).unwrap();
            expected.push(Vec::new());
            assert_eq!(look(data.path()).logs.last().unwrap().seal, Some(seal));
        }
    }
    assert_eq!(history(data.path()), expected);
    let facts = look(data.path());
    assert_eq!(facts.logs.len(), 6);
    assert!(facts.logs.iter().all(|log| log.is_original && log.tail == Tail::Clean && log.header.retention == 60));
}

#[test]
fn nothing_is_written_into_the_journal_before_the_first_append() {
    let (data, disk) = works();
    let mut journal = open(&disk, data.path(), start()).unwrap();
    assert_eq!(fs::read_dir(data.path().join(JOURNAL_FOLDER)).unwrap().count(), 0);
    assert_eq!((journal.position().number, journal.first_tick()), (0, None));
    journal.append(&[put("a", b"")], 5).unwrap();
    journal.append(&[put("b", b"")], 9).unwrap();
    assert_eq!((journal.position().number, journal.first_tick()), (2, Some(5)));
    let sizes = journal.sizes().unwrap();
    let length = fs::metadata(log_path(data.path(), 1)).unwrap().len();
    assert_eq!(sizes, JournalSizes { bytes: length, generation: Some(generation(1)), log_bytes: length });
}

#[test]
fn a_header_is_durable_before_its_name_and_that_before_the_first_frame() {
    let (data, disk) = works();
    let mut journal = open(&disk, data.path(), start()).unwrap();
    disk.take_log();
    journal.append(&[put("a", b"")], 1).unwrap();
    let calls: Vec<_> = disk.take_log().into_iter().filter(|op| !matches!(*op, "open" | "stat")).collect();
    let begin = ["write_all_at", "sync_data", "link", "sync_dir", "unlink"];
    assert_eq!(calls[..5], begin, "{calls:?}");
    let last: Vec<_> = calls.into_iter().skip(5).filter(|op| matches!(*op, "write_all_at" | "sync_data")).collect();
    assert_eq!(last, ["write_all_at", "sync_data"]);
    journal.append(&[put("b", b"")], 1).unwrap();
    assert_eq!(disk.take_log(), ["write_all_at", "sync_data"], "one write and one sync a frame");
}

#[test]
fn the_history_of_a_copy_forks_under_a_new_name() {
    let (data, disk) = works();
    open(&disk, data.path(), start()).unwrap().append(&[put("a", b"")], 1).unwrap();
    let history = Id(77);
    let from = continued(data.path());
    let Continues { number, hash, .. } = from.continues.unwrap();
    let lineage = vec![header::Ancestor { history: from.history, number, hash }];
    let fork = JournalStart { history, lineage: lineage.clone(), ..from };
    let position = open(&disk, data.path(), fork).unwrap().append(&[put("b", b"")], 1).unwrap();
    assert_eq!(position.generation, Generation { number: 2, history });
    assert_eq!(look(data.path()).logs.last().unwrap().header.lineage, lineage);
}

#[test]
fn a_hard_link_copy_that_is_written_to_and_its_running_original_leave_each_other_alone() {
    let (data, disk) = works();
    let mut original = open(&disk, data.path(), start()).unwrap();
    original.append(&[put("both", &vec![5; 300_000])], 1).unwrap();
    let copy = directory();
    fs::hard_link(log_path(data.path(), 1), log_path(copy.path(), 1)).unwrap();
    let fork = JournalStart { history: Id(77), ..continued(copy.path()) };
    let mut copied = open(&disk, copy.path(), fork).unwrap();
    original.append(&[put("original's", b"")], 1).unwrap();
    disk.fail_op("rename", EIO);
    assert!(copied.append(&[put("copy's", b"")], 1).is_err());
    disk.mend();
    copied.append(&[put("copy's", b"")], 1).unwrap();
    original.append(&[put("original's too", b"")], 1).unwrap();
    let facts = look(copy.path());
    assert_eq!(facts.logs[0].length, facts.logs[1].header.continues.unwrap().length);
    assert_eq!(facts.logs[0].last().number, 1);
    assert_eq!(run_files(copy.path()), ["next-0.log", "next-1.log"]);
    let numbers = |data: &Path| look(data).logs.iter().map(|log| log.last().number).collect::<Vec<_>>();
    assert_eq!((numbers(data.path()), numbers(copy.path())), (vec![3], vec![1, 2]));
}

#[test]
fn a_directory_from_before_the_journal_gets_a_log_that_continues_no_file() {
    let (data, disk) = works();
    let before = Continues::before_the_journal(start().history);
    let mut journal = open(&disk, data.path(), JournalStart { continues: Some(before), ..start() }).unwrap();
    assert_eq!(journal.rotate(1).unwrap().number, 0);
    assert_eq!(journal.append(&[put("a", b"")], 1).unwrap().number, 1);
    assert_eq!(only_log(data.path()).header.continues, Some(before));
}

#[test]
fn a_log_of_a_header_alone_stands_beside_a_snapshot() {
    let data = tempfile::tempdir().unwrap();
    let continues = Continues { generation: generation(4), length: 9, end: 8, number: 7, hash: NO_FRAME };
    let start = JournalStart { next_generation: 5, continues: Some(continues), ..start() };
    let position = begin_log(Arc::new(RealFs), data.path(), &start, 3).unwrap();
    assert_eq!((position.generation, position.number), (generation(5), 7));
    assert_eq!(only_log(data.path()).positions, [position]);
    assert!(run_files(data.path()).is_empty());
}

#[test]
fn logs_own_blocks_past_their_end_and_give_them_back_when_they_are_ended() {
    let (data, disk) = works();
    let mut journal = open(&disk, data.path(), start()).unwrap();
    journal.append(&[put("a", &[1; 5000])], 1).unwrap();
    let (one, two) = (log_path(data.path(), 1), log_path(data.path(), 2));
    assert!(allocated(&one) >= RESERVE_BYTES);
    for name in run_files(data.path()) {
        assert!(allocated(&data.path().join("run").join(name)) >= RESERVE_BYTES);
    }
    assert_eq!(run_files(data.path()), ["next-0.log", "next-1.log"]);
    let before = fs::read(&one).unwrap();
    journal.rotate(2).unwrap();
    assert_eq!(fs::read(&one).unwrap(), before);
    assert!(allocated(&one) < 65_536 && allocated(&two) >= RESERVE_BYTES);
    for at in 0..12 {
        journal.append(&[put("big", &vec![at; 1 << 20])], 1).unwrap();
        let length = fs::metadata(&two).unwrap().len();
        assert!(allocated(&two) >= length + RESERVE_BYTES);
    }
}

#[test]
fn a_prepared_file_that_is_not_empty_or_has_a_second_name_is_not_written_to() {
    let (data, disk) = works();
    let copy = tempfile::tempdir_in(data.path()).unwrap();
    drop(open(&disk, data.path(), start()).unwrap());
    let run = data.path().join("run");
    fs::write(run.join("next-0.log"), "no longer empty").unwrap();
    fs::hard_link(run.join("next-1.log"), copy.path().join("next-1.log")).unwrap();
    let mut journal = open(&disk, data.path(), start()).unwrap();
    // And one that gets a second name while it waits.
    for name in run_files(data.path()) {
        fs::hard_link(run.join(&name), copy.path().join(format!("late-{name}"))).unwrap();
    }
    journal.append(&[put("a", b"")], 1).unwrap();
    journal.rotate(1).unwrap();
    journal.append(&[put("b", b"")], 1).unwrap();
    for entry in fs::read_dir(copy.path()).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().len(), 0);
    }
    assert_eq!(history(data.path()).len(), 2);
}

#[test]
fn a_full_disk_takes_frames_until_the_reserve_is_used_up_and_goes_on_by_itself() {
    let (data, disk) = works();
    let state = Arc::new(DiskState::default());
    let mut journal = Journal::open(Arc::<BrokenFs>::clone(&disk), data.path(), Arc::clone(&state), start()).unwrap();
    journal.append(&[put("a", b"")], 1).unwrap();
    assert!(!state.is_full() && !journal.is_full());
    disk.fill(true);
    let mut written = 1;
    let row = [put("yank", &vec![0; 60_000])];
    while journal.append(&row, 2).is_ok() {
        written += 1;
        assert!(written < 1000, "the disk is full");
    }
    assert!(written * 60_000 > RESERVE_BYTES && state.is_full() && journal.is_full());
    assert!(matches!(journal.append(&row, 3), Err(JournalError::Full { .. })));
    assert_eq!(look(data.path()).logs.len(), 1, "nothing was written that has to be voided");
    assert_eq!(only_log(data.path()).tail, Tail::Clean);
    assert!(!journal.reserve());
    // Killed and started again: what was prepared has blocks.
    drop(journal);
    let mut journal =
        Journal::open(Arc::<BrokenFs>::clone(&disk), data.path(), Arc::clone(&state), continued(data.path())).unwrap();
    for _ in 0..50 {
        journal.append(&row, 4).unwrap();
        written += 1;
    }
    assert!(state.is_full());
    disk.fill(false);
    journal.append(&row, 5).unwrap();
    assert!(!state.is_full() && !journal.is_full() && journal.reserve());
    assert_eq!(history(data.path()).len() as u64, written + 1);
}

#[test]
fn a_full_disk_is_asked_for_room_once_a_tick() {
    let (data, disk) = works();
    let mut journal = open(&disk, data.path(), start()).unwrap();
    let row = [put("a", &vec![0; 5 << 20])];
    journal.append(&row, 1).unwrap();
    disk.fail_op("allocate", ENOSPC);
    let small = [put("b", &vec![0; 3 << 19])];
    let mut asked = |tick: u64| {
        disk.take_log();
        journal.append(&small, tick).unwrap();
        disk.take_log().iter().filter(|op| **op == "allocate").count()
    };
    while asked(2) == 0 {}
    assert_eq!(asked(2), 0);
    assert!(asked(3) > 0);
}

#[test]
fn a_retired_file_leaves_a_note_that_goes_later_and_the_current_log_stays() {
    let (data, disk) = works();
    let mut journal = open(&disk, data.path(), start()).unwrap();
    journal.append(&[put("a", b"")], 1).unwrap();
    assert!(matches!(journal.retire(generation(1), FileKind::Log, 5), Err(JournalError::InUse { .. })));
    journal.rotate(2).unwrap();
    journal.retire(generation(1), FileKind::Log, 5).unwrap();
    journal.retire(generation(1), FileKind::Snapshot, 5).unwrap();
    let text = fs::read(log_path(data.path(), 1)).unwrap();
    assert_eq!(Note::parse(&text), Some(Note::Retired { at: 5 }));
    assert_eq!(look(data.path()).retired, [(generation(1), FileKind::Log)]);
    assert_eq!(run_files(data.path()), ["next-0.log", "next-1.log"]);
    assert_eq!(journal.forget_notes(NOTES_KEPT_TICKS, 5 + NOTES_KEPT_TICKS).unwrap(), 0);
    assert_eq!(journal.forget_notes(NOTES_KEPT_TICKS, 6 + NOTES_KEPT_TICKS).unwrap(), 1);
    assert!(!log_path(data.path(), 1).exists() && log_path(data.path(), 2).exists());
}

#[test]
fn a_retired_file_goes_without_a_note_when_there_is_no_room_for_one() {
    let (data, disk) = works();
    let mut journal = open(&disk, data.path(), start()).unwrap();
    journal.append(&[put("a", b"")], 1).unwrap();
    journal.rotate(2).unwrap();
    disk.fill(true);
    journal.retire(generation(1), FileKind::Log, 5).unwrap();
    assert!(!log_path(data.path(), 1).exists());
    assert_eq!(run_files(data.path()), ["next-0.log", "next-1.log"]);
}

#[test]
fn a_batch_that_is_too_large_is_refused_before_anything_is_written() {
    let (data, disk) = works();
    let mut journal = open(&disk, data.path(), start()).unwrap();
    let large = [put("a", &vec![0; usize::try_from(frame::FRAME_BYTES_MAX).unwrap()])];
    assert!(matches!(journal.append(&large, 1), Err(JournalError::TooLarge { .. })));
    assert!(look(data.path()).logs.is_empty());
    journal.append(&[put("b", b"")], 1).unwrap();
    assert_eq!(history(data.path()), [[put("b", b"")]]);
}

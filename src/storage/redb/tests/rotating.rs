//! New logs, their snapshots, and what becomes of the files before them.

use super::*;
use crate::storage::journal::name::FileKind;
use crate::storage::journal::retired::Note;
use crate::storage::journal::snapshot::read_snapshot;

pub(super) const T: u64 = 60;
/// The longest wait for what the writer does by itself.
pub(super) const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(30);

/// Rotates only when asked.
fn bench() -> Bench {
    Bench::with(RotationRule { rotate_bytes: 1 << 40, retention_ticks: T, journal_bytes_max: 1 << 40 })
}

impl Bench {
    fn rotate(&self) -> SnapshotFacts {
        block_on(self.store().rotate_now()).unwrap()
    }

    /// Lets time pass, with a write that has the writer look around.
    fn pass(&self, ticks: u64) {
        self.tick.fetch_add(ticks, Ordering::Relaxed);
        self.put("tick").unwrap();
    }

    /// The names in `journal/` that hold a log or a snapshot and no note.
    fn standing(&self) -> Vec<(u64, FileKind)> {
        let files = std::fs::read_dir(self.data().join("journal")).unwrap().map(|file| file.unwrap());
        let is_note = |file: &std::fs::DirEntry| Note::parse(&std::fs::read(file.path()).unwrap()).is_some();
        let names = files.filter(|file| !is_note(file)).map(|file| file.file_name().into_string().unwrap());
        let mut all: Vec<_> = names.map(|name| Generation::parse(&name).unwrap()).collect();
        all.sort_unstable();
        all.into_iter().map(|(generation, kind)| (generation.number, kind)).collect()
    }

    /// Waits until these files stand.
    fn wait_for(&self, expected: &[(u64, FileKind)]) {
        let begun = std::time::Instant::now();
        while begun.elapsed() < WAIT_MAX {
            if self.standing() == expected {
                return;
            }
            self.put("tick").unwrap();
        }
        panic!("{:?} are there, not {expected:?}", self.standing());
    }

    /// Waits until the newest snapshot is known to be so old.
    fn wait_for_age(&self, ticks: u64) {
        let begun = std::time::Instant::now();
        while self.store().journal_status().snapshot_age_ticks != Some(ticks) {
            assert!(begun.elapsed() < WAIT_MAX);
            self.put("tick").unwrap();
        }
    }

    pub(super) fn holds(&self, marker: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.data().to_owned()];
        while let Some(folder) = folders.pop() {
            for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap()) {
                if file.file_type().unwrap().is_dir() {
                    folders.push(file.path());
                } else if memchr(&std::fs::read(file.path()).unwrap(), marker.as_bytes()) {
                    found.push(file.path().display().to_string());
                }
            }
        }
        found
    }
}

pub(super) fn memchr(bytes: &[u8], marker: &[u8]) -> bool {
    bytes.windows(marker.len()).any(|window| window == marker)
}

pub(super) fn block_on<R>(work: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

use FileKind::{Log as LogFile, Snapshot as Snap};

#[test]
fn a_snapshot_holds_the_state_at_its_logs_beginning_and_the_index_is_built_from_both() {
    let mut bench = bench();
    for name in ["one", "two"] {
        bench.put(name).unwrap();
    }
    let facts = bench.rotate();
    bench.put("three").unwrap();
    assert_eq!(bench.standing(), [(1, LogFile), (2, LogFile), (2, Snap)]);
    let mut events = Vec::new();
    let read = read_snapshot(&*bench.fs, bench.data(), facts.generation, &mut |table, _, row| {
        if table == crate::storage::tables::Table::Events {
            events.push(String::from_utf8(row.to_vec()).unwrap());
        }
        Ok(())
    });
    assert_eq!(read.unwrap(), facts);
    let has = |name: &str| events.iter().any(|event| event.contains(&format!("\"{name}\"")));
    assert!(has("one") && has("two") && !has("three"), "{events:?}");
    // The way to the state leads over the snapshot once the first log is no more.
    drop(bench.store.take());
    std::fs::remove_file(bench.data().join(METADATA_FILE)).unwrap();
    bench.open();
    assert_eq!(bench.packages(), set(&["one", "two", "three"]));
}

#[test]
fn a_log_that_has_grown_or_is_old_is_ended_by_itself() {
    let mut bench = Bench::with(RotationRule { rotate_bytes: 4096, retention_ticks: T, journal_bytes_max: 1 << 40 });
    for number in 0..20 {
        bench.put(&format!("package-{number}")).unwrap();
    }
    bench.wait_for(&[(1, LogFile), (2, LogFile), (2, Snap)]);
    bench.rotation.rotate_bytes = 1 << 40;
    bench.restart();
    bench.pass(T + 1);
    bench.wait_for(&[(1, LogFile), (2, LogFile), (2, Snap), (3, LogFile), (4, LogFile), (4, Snap)]);
}

#[test]
fn what_a_snapshot_replaces_goes_when_it_is_older_than_the_retention_and_not_before() {
    let mut bench = bench();
    bench.put("one").unwrap();
    bench.rotate();
    bench.pass(T);
    let all = [(1, LogFile), (2, LogFile), (2, Snap)];
    bench.wait_for(&all);
    bench.wait_for_age(T);
    bench.restart();
    assert_eq!(bench.standing(), all, "its age outlives a restart");
    bench.pass(1);
    // The log's first change is as old: another snapshot is made at the same time.
    bench.wait_for(&[(2, LogFile), (2, Snap), (3, LogFile), (4, LogFile), (4, Snap)]);
    bench.restart();
    assert_eq!(bench.packages(), set(&["one", "tick"]));
}

#[test]
fn a_wall_clock_that_jumps_removes_nothing_and_begins_nothing() {
    const CENTURY_MS: i64 = 100 * 365 * 24 * 3_600_000;
    let mut bench = bench();
    bench.put("one").unwrap();
    bench.rotate();
    let before = bench.standing();
    for jump in [CENTURY_MS, -2 * CENTURY_MS] {
        bench.now.fetch_add(jump, Ordering::Relaxed);
        for _ in 0..3 {
            bench.put("tick").unwrap();
        }
        assert_eq!(bench.standing(), before);
    }
    bench.restart();
    bench.put("tick").unwrap();
    assert_eq!(bench.standing().first(), before.first(), "nor does a start with another clock");
}

#[test]
fn a_damaged_snapshot_replaces_nothing_and_is_made_anew() {
    let bench = bench();
    bench.put("one").unwrap();
    let facts = bench.rotate();
    let path = facts.generation.path(bench.data(), Snap);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    bench.tick.fetch_add(T + 1, Ordering::Relaxed);
    bench.wait_for(&[(1, LogFile), (2, LogFile), (2, Snap), (3, LogFile), (3, Snap)]);
    bench.wait_for_age(0);
    bench.pass(T + 1);
    bench.wait_for(&[(3, LogFile), (3, Snap), (4, LogFile), (4, Snap)]);
    bench.store().replace_snapshot(facts.generation).unwrap();
    bench.wait_for(&[(3, LogFile), (3, Snap), (4, LogFile), (4, Snap), (5, LogFile), (5, Snap)]);
}

#[test]
fn compacting_leaves_no_byte_of_what_was_there() {
    let mut bench = bench();
    bench.put("one").unwrap();
    let forget = bench.queue(|_, _| {
        let put = |bytes: &[u8]| Change::PutSetting { key: Setting::AdminTokenFile, value: Some(bytes.to_vec()) };
        Ok(Decided { changes: vec![put(b"a marker to be forgotten"), put(b"nothing")], answer: () })
    });
    forget.blocking_recv().unwrap().unwrap();
    bench.rotate();
    assert!(!bench.holds("a marker to be forgotten").is_empty());
    let compacted = block_on(bench.store().compact_history_now()).unwrap();
    assert_eq!(compacted.snapshot.generation.number, 3);
    assert_eq!(bench.standing(), [(3, LogFile), (3, Snap)]);
    assert_eq!(bench.holds("a marker to be forgotten"), Vec::<String>::new());
    bench.put("two").unwrap();
    bench.restart();
    assert_eq!(bench.packages(), set(&["one", "two"]));
}

/// Each call of a rotation fails once, and what comes after it goes on.
#[test]
fn a_single_failure_of_the_disk_costs_a_rotation_and_no_write() {
    for call in 1..2000 {
        let mut bench = bench();
        bench.put("one").unwrap();
        bench.fs.fail_call(call);
        let rotated = block_on(bench.store().rotate_now());
        let reached = bench.fs.mend();
        let answer = bench.put("two");
        // A directory that could not be synced is trusted again only after a restart.
        assert!(answer.is_ok() || bench.store().is_read_only(), "call {call}: {answer:?}");
        bench.restart();
        let expected = if answer.is_ok() { set(&["one", "two"]) } else { set(&["one"]) };
        assert_eq!(bench.packages(), expected, "call {call}");
        if !reached {
            rotated.unwrap();
            return;
        }
    }
    panic!("a rotation makes too many calls");
}

#[test]
fn a_full_disk_takes_small_writes_and_rotates_when_there_is_room_again() {
    let mut bench = Bench::with(RotationRule { rotate_bytes: 4096, retention_ticks: T, journal_bytes_max: 1 << 40 });
    bench.fs.fill(true);
    let mut written = BTreeSet::new();
    let mut number = 0;
    while !bench.store().is_full() {
        number += 1;
        bench.put(&format!("package-{number}")).unwrap();
        written.insert(format!("package-{number}"));
        assert!(number < 100_000);
    }
    let logs = bench.files("log");
    for number in 0..100 {
        bench.put(&format!("reserve-{number}")).unwrap();
        written.insert(format!("reserve-{number}"));
    }
    assert!(!bench.store().is_read_only() && bench.files("log") == logs, "nothing rotates while the disk is full");
    bench.fs.fill(false);
    while bench.store().is_full() {
        bench.put("waiting").unwrap();
    }
    written.insert("waiting".to_owned());
    bench.restart();
    assert_eq!(bench.packages(), written);
}

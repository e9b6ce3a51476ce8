//! Each call to the disk fails in turn: what was acknowledged is read back, and what was refused never comes back.

use super::*;

/// What a run of the writer was told, in order.
#[derive(Default)]
struct Told {
    acknowledged: Vec<Vec<RowOp>>,
    /// Refused, and something was acknowledged later.
    void: Vec<Vec<RowOp>>,
    /// Refused, and nothing came after it so far.
    open: Vec<Vec<RowOp>>,
}

impl Told {
    fn append(&mut self, journal: &mut Journal, name: &str, tick: u64) -> bool {
        let rows = vec![put(name, &[3; 700])];
        let position = journal.append(&rows, tick);
        match &position {
            Ok(_) => {
                self.void.append(&mut self.open);
                self.acknowledged.push(rows);
            }
            Err(_) => self.open.push(rows),
        }
        position.is_ok()
    }

    /// What the files say must be all that was acknowledged, in order; at its end there may be one that was refused.
    fn check(&self, data: &Path, at: &str) {
        let found: Vec<_> = history(data).into_iter().filter(|rows| !rows.is_empty()).collect();
        let (known, rest) = found.split_at_checked(self.acknowledged.len()).expect(at);
        assert!(known == self.acknowledged, "{at}");
        assert!(rest.len() <= 1 && rest.iter().all(|rows| self.open.contains(rows)), "{at}");
        assert!(!found.iter().any(|rows| self.void.contains(rows)), "{at}");
    }
}

/// Appends, rotates, retires and seals; nothing here stops at an error.
fn work(journal: &mut Journal, told: &mut Told, name: &str) {
    for at in 0..3 {
        told.append(journal, &format!("{name}-{at}"), 1);
    }
    let rotated = journal.rotate(2);
    told.append(journal, &format!("{name}-rotated"), 2);
    if rotated.is_ok() {
        drop(journal.retire(generation(1), FileKind::Snapshot, 2));
        told.append(journal, &format!("{name}-more"), 3);
    }
    if journal.seal(Seal { inode: 1, size: 2, changed_ns: 3 }, 4).is_ok() {
        told.void.append(&mut told.open);
    }
}

/// Works on a disk that `fail` broke, then on one that is mended, then as another process; answers whether anything
/// failed.
fn check(at: &str, fail: impl Fn(&BrokenFs)) -> bool {
    let (data, disk) = (tempfile::tempdir().unwrap(), Arc::new(BrokenFs::default()));
    let mut told = Told::default();
    told.append(&mut open(&disk, data.path(), start()).unwrap(), "before", 0);
    // A snapshot's place, of which no more is asked than that its name can be taken.
    let snapshot = generation(1).path(data.path(), FileKind::Snapshot);
    fs::write(snapshot, retired::Note::Retired { at: 0 }.to_text()).unwrap();
    fail(&disk);
    let mut failed = true;
    if let Ok(mut journal) = open(&disk, data.path(), continued(data.path())) {
        work(&mut journal, &mut told, "broken");
        told.check(data.path(), at);
        failed = disk.mend();
        if !told.append(&mut journal, "mended", 5) {
            let refused = journal.append(&[], 5).unwrap_err();
            assert!(failed && matches!(refused, JournalError::Unsynced { .. }), "{at}: {refused}");
        }
        told.check(data.path(), at);
        assert!(failed || (told.void.is_empty() && told.open.is_empty()), "{at}");
    }
    disk.mend();
    // The next process goes on where the files say that the history stands.
    told.acknowledged = history(data.path()).into_iter().filter(|rows| !rows.is_empty()).collect();
    told.open.clear();
    let mut journal = open(&disk, data.path(), continued(data.path())).unwrap();
    assert!(told.append(&mut journal, "restarted", 6), "{at}");
    told.check(data.path(), at);
    failed
}

#[test]
fn each_failing_call_loses_nothing_and_brings_nothing_back() {
    let mut calls = 1..400;
    assert!(
        calls.any(|number| !check(&format!("call {number}"), |disk| disk.fail_call(number))),
        "more calls than that"
    );
    assert!(calls.start > 60, "only {} calls were made to fail", calls.start);
}

#[test]
fn each_kind_of_call_failing_for_a_while_loses_nothing_and_brings_nothing_back() {
    let calls =
        ["create", "open", "write_all_at", "set_len", "allocate", "sync_data", "sync_all", "open_dir", "sync_dir"];
    for op in calls.into_iter().chain(["link", "rename", "unlink", "create_dir", "stat"]) {
        for code in [EIO, ENOSPC] {
            check(&format!("{op} fails with {code}"), |disk| disk.fail_op(op, code));
        }
    }
}

#[test]
fn a_failed_append_ends_its_log_and_the_next_one_voids_it() {
    for op in ["write_all_at", "sync_data"] {
        for code in [EIO, ENOSPC] {
            let (data, disk) = (tempfile::tempdir().unwrap(), Arc::new(BrokenFs::default()));
            let mut journal = open(&disk, data.path(), start()).unwrap();
            let mut told = Told::default();
            assert!(told.append(&mut journal, "good", 1));
            disk.fail_op(op, code);
            assert!(!told.append(&mut journal, "failed", 1), "{op}");
            disk.mend();
            let before = fs::read(log_path(data.path(), 1)).unwrap();
            disk.take_log();
            assert!(told.append(&mut journal, "next", 1));
            let calls = disk.take_log();
            assert!(!calls.contains(&"set_len"), "a log that failed is not touched");
            assert_eq!(
                calls.iter().filter(|op| **op == "sync_data").count(),
                2,
                "the new log's header and frame alone"
            );
            assert_eq!(fs::read(log_path(data.path(), 1)).unwrap(), before);
            told.check(data.path(), op);
            let facts = look(data.path());
            let continues = facts.logs[1].header.continues.unwrap();
            assert_eq!((continues.length, continues.number), (before.len() as u64, 1));
            assert!(continues.end < continues.length);
        }
    }
}

#[test]
fn a_log_that_cannot_be_begun_leaves_the_history_writable_once_it_can() {
    for op in ["write_all_at", "sync_data", "link"] {
        let (data, disk) = (tempfile::tempdir().unwrap(), Arc::new(BrokenFs::default()));
        let mut journal = open(&disk, data.path(), start()).unwrap();
        let mut told = Told::default();
        disk.fail_op(op, EIO);
        for at in 0..4 {
            assert!(!told.append(&mut journal, &format!("refused-{at}"), 1));
        }
        disk.mend();
        assert!(told.append(&mut journal, "done", 1));
        told.check(data.path(), op);
        assert_eq!(look(data.path()).logs.len(), 1);
    }
}

#[test]
fn a_failed_rotation_goes_on_in_the_old_log() {
    let (data, disk) = (tempfile::tempdir().unwrap(), Arc::new(BrokenFs::default()));
    let mut journal = open(&disk, data.path(), start()).unwrap();
    let mut told = Told::default();
    assert!(told.append(&mut journal, "a", 1));
    disk.fail_op("link", EIO);
    assert!(journal.rotate(2).is_err());
    disk.mend();
    assert!(told.append(&mut journal, "b", 2));
    assert_eq!(only_log(data.path()).last().number, 2);
    journal.rotate(3).unwrap();
    assert!(told.append(&mut journal, "c", 3));
    told.check(data.path(), "after a rotation that worked");
}

#[test]
fn a_failed_directory_fsync_is_final_until_a_restart() {
    let (data, disk) = (tempfile::tempdir().unwrap(), Arc::new(BrokenFs::default()));
    let mut journal = open(&disk, data.path(), start()).unwrap();
    let mut told = Told::default();
    assert!(told.append(&mut journal, "a", 1));
    disk.fail_op("sync_dir", EIO);
    assert!(matches!(journal.rotate(2), Err(JournalError::Unsynced { source: Some(_), .. })));
    disk.mend();
    disk.take_log();
    for _ in 0..2 {
        assert!(!told.append(&mut journal, "b", 2));
    }
    assert!(matches!(journal.append(&[], 2), Err(JournalError::Unsynced { source: None, .. })));
    assert!(matches!(journal.rotate(2), Err(JournalError::Unsynced { .. })));
    assert!(!disk.take_log().contains(&"sync_dir"), "never tried again");
    let mut journal = open(&disk, data.path(), continued(data.path())).unwrap();
    assert!(told.append(&mut journal, "c", 3));
    told.check(data.path(), "after a restart");
}

#[test]
fn what_an_earlier_process_left_unsynced_is_synced_before_anything_rests_on_it() {
    let (data, disk) = (tempfile::tempdir().unwrap(), Arc::new(BrokenFs::default()));
    open(&disk, data.path(), start()).unwrap().append(&[put("a", b"")], 1).unwrap();
    disk.take_log();
    drop(open(&disk, data.path(), continued(data.path())).unwrap());
    assert!(disk.take_log().contains(&"sync_data"));
    disk.fail_op("sync_data", EIO);
    assert!(matches!(open(&disk, data.path(), continued(data.path())), Err(JournalError::Unsynced { .. })));
}

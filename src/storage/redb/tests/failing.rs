//! What a failing disk does to writes, and what it does not.

use super::*;
use crate::storage::tests::broken_fs::EIO;

/// The most calls that a batch makes to the disk.
const CALLS_MAX: usize = 400;

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let mut bench = Bench::new();
    bench.put("one").unwrap();
    assert!(bench.batch(&["two", "three"]).iter().all(Result::is_ok));
    for _ in 0..2 {
        assert_eq!(bench.packages(), set(&["one", "two", "three"]));
        bench.restart();
    }
    assert_eq!(bench.files("log"), 2, "a process that only stops has a log of its own too");
}

#[test]
fn a_mate_that_panics_costs_the_others_nothing() {
    let bench = Bench::new();
    let answers = bench.batch(&["one", "panic", "two"]);
    assert!(matches!(answers[1], Err(ChangeError::Store(StoreError::Panicked(_)))), "{answers:?}");
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert_eq!(bench.packages(), set(&["one", "two"]));
}

#[test]
fn writes_end_while_logs_can_not_be_synced_and_go_on_by_themselves_afterwards() {
    let mut bench = Bench::new();
    bench.put("one").unwrap();
    bench.fs.fail_op("sync_data", EIO);
    assert!(bench.put("two").is_err());
    assert!(bench.store().is_read_only() && bench.store().first_error().is_some());
    assert!(bench.put("three").is_err());
    assert_eq!(bench.packages(), set(&["one"]), "reads go on");
    bench.fs.mend();
    // An index whose file had to grow just then rests before it is built anew.
    let begun = std::time::Instant::now();
    while bench.put("four").is_err() {
        assert!(begun.elapsed() < recover::REST_MAX, "writes do not go on");
    }
    assert!(!bench.store().is_read_only() && bench.store().first_error().is_some(), "the first error is kept");
    bench.restart();
    assert_eq!(bench.packages(), set(&["one", "four"]), "what was refused is not there");
}

/// Each call of a batch fails once: the frame, the log after it, what redb writes.
#[test]
fn a_single_failure_of_the_disk_costs_no_member_of_a_batch_anything() {
    for call in 1..CALLS_MAX {
        let mut bench = Bench::new();
        bench.put("before").unwrap();
        bench.fs.fail_call(call);
        let answers = bench.batch(&["one", "two", "three"]);
        let reached = bench.fs.mend();
        assert!(answers.iter().all(Result::is_ok), "call {call}: {answers:?}");
        bench.put("after").unwrap();
        let all = set(&["before", "one", "two", "three", "after"]);
        assert_eq!(bench.packages(), all, "call {call}");
        bench.restart();
        assert_eq!(bench.packages(), all, "call {call}, after a restart");
        if !reached {
            return;
        }
    }
    panic!("a batch makes more than {CALLS_MAX} calls");
}

/// A checkpoint follows each batch, and its sync fails like every other one.
#[test]
fn an_index_that_can_be_neither_synced_nor_built_anew_serves_reads_until_it_can() {
    let mut bench = Bench::new();
    bench.checkpoints.quiet = std::time::Duration::ZERO;
    bench.restart();
    bench.put("one").unwrap();
    // Syncs of the log work once more: the frame is durable and the checkpoint is what fails.
    bench.fs.fail_op("sync_data", EIO);
    assert!(bench.put("two").is_err());
    for _ in 0..3 {
        assert_eq!(bench.packages(), set(&["one"]));
        assert!(bench.put("three").is_err());
    }
    assert!(bench.store().is_read_only());
    bench.fs.mend();
    while let Err(error) = bench.put("four") {
        assert!(matches!(error, ChangeError::Store(StoreError::ReadOnly)), "{error}");
    }
    assert_eq!(bench.packages(), set(&["one", "four"]));
    bench.restart();
    assert_eq!(bench.packages(), set(&["one", "four"]));
}

//! A fresh index in place of one whose free pages hold what was erased.

use super::rotating::{T, WAIT_MAX, block_on, memchr};
use super::*;
use crate::domain::name::NamespaceName;
use crate::domain::package::{Namespace, Visibility};

const MARKER: &str = "a-marker-to-be-forgotten";

/// Rotates and renews only when asked or when time says so.
fn bench() -> Bench {
    Bench::with(RotationRule { rotate_bytes: 1 << 40, retention_ticks: T, journal_bytes_max: 1 << 40 })
}

impl Bench {
    /// Records a namespace with a text, or removes it.
    fn namespace(&self, name: &str, text: Option<&str>) {
        let (name, text) = (NamespaceName::parse(name).unwrap(), text.map(str::to_owned));
        let decide = move |_: &View<'_>, moment: Moment| {
            let change = match &text {
                None => Change::RemoveNamespace(name.clone()),
                Some(text) => Change::PutNamespace(Namespace {
                    name: name.clone(),
                    description: Some(text.clone()),
                    default_visibility: Visibility::Public,
                    held_package: false,
                    created_at: moment.now,
                }),
            };
            Ok(Decided { changes: vec![change], answer: () })
        };
        self.queue(decide).blocking_recv().unwrap().unwrap();
    }

    fn index_inode(&self) -> u64 {
        std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(self.data().join(METADATA_FILE)).unwrap())
    }

    fn index_holds_marker(&self) -> bool {
        memchr(&std::fs::read(self.data().join(METADATA_FILE)).unwrap(), MARKER.as_bytes())
    }

    /// Puts something again and again until the index is another one than this.
    fn wait_for_another_than(&self, inode: u64) {
        let begun = std::time::Instant::now();
        while self.index_inode() == inode {
            assert!(begun.elapsed() < WAIT_MAX, "the index is not written anew");
            self.put("tick").unwrap();
        }
    }
}

/// In so many rows that not all of their pages are used again at once.
fn with_a_marker_that_was_erased() -> Bench {
    let mut bench = bench();
    for number in 0..100 {
        bench.namespace(&format!("space-{number}"), Some(&MARKER.repeat(40)));
    }
    bench.restart();
    for number in 0..100 {
        bench.namespace(&format!("space-{number}"), None);
    }
    assert!(bench.index_holds_marker(), "the free pages are to hold it");
    bench
}

#[test]
fn what_was_erased_leaves_the_index_after_the_retention_and_not_before() {
    let mut bench = with_a_marker_that_was_erased();
    let before = bench.index_inode();
    bench.tick.fetch_add(T, Ordering::Relaxed);
    for _ in 0..3 {
        bench.put("tick").unwrap();
    }
    assert_eq!(bench.index_inode(), before, "it is not written anew before");
    bench.restart();
    bench.tick.fetch_add(1, Ordering::Relaxed);
    assert!(bench.index_holds_marker(), "nothing else takes it away");
    bench.wait_for_another_than(before);
    assert!(!bench.index_holds_marker());
    bench.restart();
    assert!(!bench.index_holds_marker());
    assert_eq!(bench.packages(), set(&["tick"]));
}

#[test]
fn frames_that_come_while_the_index_is_written_anew_are_in_it() {
    let mut bench = bench();
    let mut written = BTreeSet::new();
    let mut inodes = BTreeSet::new();
    for round in 0..20 {
        bench.namespace("gk", Some(MARKER));
        bench.namespace("gk", None);
        bench.tick.fetch_add(T + 1, Ordering::Relaxed);
        for number in 0..20 {
            let name = format!("package-{round}-{number}");
            bench.put(&name).unwrap();
            written.insert(name);
        }
        inodes.insert(bench.index_inode());
    }
    assert_eq!(bench.packages(), written);
    bench.restart();
    assert_eq!(bench.packages(), written);
    assert!(inodes.len() > 1, "it was never written anew");
    bench.namespace("gk", Some(MARKER));
    bench.namespace("gk", None);
    let before = bench.index_inode();
    bench.tick.fetch_add(T + 1, Ordering::Relaxed);
    bench.wait_for_another_than(before);
}

/// Each call of a snapshot, of the removal of what is older and of a fresh index fails once.
#[test]
fn a_single_failure_of_the_disk_costs_an_erasure_and_no_write() {
    for call in 1..3000 {
        let mut bench = bench();
        bench.put("one").unwrap();
        bench.namespace("gk", Some(MARKER));
        bench.namespace("gk", None);
        bench.fs.fail_call(call);
        let compacted = block_on(bench.store().compact_history_now());
        let reached = bench.fs.mend();
        let answer = bench.put("two");
        // A directory that could not be synced is trusted again only after a restart.
        assert!(answer.is_ok() || bench.store().is_read_only(), "call {call}: {answer:?}");
        bench.restart();
        let expected = if answer.is_ok() { set(&["one", "two"]) } else { set(&["one"]) };
        assert_eq!(bench.packages(), expected, "call {call}");
        if !reached {
            compacted.unwrap();
            assert_eq!(bench.holds(MARKER), Vec::<String>::new());
            return;
        }
    }
    panic!("an erasure makes too many calls");
}

#[test]
fn an_index_that_a_killed_process_had_begun_is_taken_away() {
    let mut bench = bench();
    bench.put("one").unwrap();
    drop(bench.store.take());
    std::fs::write(bench.data().join("meta.redb.new"), MARKER).unwrap();
    bench.open();
    assert_eq!(bench.holds(MARKER), Vec::<String>::new());
}

//! A copy goes on as a history of its own.

use super::*;
use crate::storage::rows::Parent;

impl Bench {
    /// A copy of the directory, open.
    fn copy(&self) -> Self {
        let mut copy = Self {
            dir: tempfile::tempdir().unwrap(),
            fs: Arc::default(),
            tick: Arc::default(),
            now: Arc::clone(&self.now),
            store: None,
            ..*self
        };
        let done = std::process::Command::new("cp").arg("-r").arg(self.data().join(".")).arg(copy.data()).status();
        assert!(done.unwrap().success());
        copy.open();
        copy
    }
}

#[test]
fn the_first_write_in_a_copy_begins_a_history_that_names_its_parent() {
    let bench = Bench::new();
    for name in ["one", "two"] {
        bench.put(name).unwrap();
    }
    let mut copy = bench.copy();
    let before = bench.history();
    assert_eq!((copy.history(), before.parent), (before, None), "reading begins nothing");
    assert_eq!(copy.packages(), set(&["one", "two"]));
    copy.put("three").unwrap();
    let after = copy.history();
    // The first frame began both logs, each of the others added one entry to the public one.
    assert_eq!(after.parent, Some(Parent { id: before.id, frame: 3, public: 2, internal: 0 }));
    assert_ne!(after.id, before.id);
    for _ in 0..2 {
        copy.restart();
        assert_eq!((copy.history(), copy.packages()), (after, set(&["one", "two", "three"])));
    }
    bench.put("four").unwrap();
    assert_eq!(bench.packages(), set(&["one", "two", "four"]), "the original goes on by itself");
}

#[test]
fn a_copy_that_only_read_is_a_registry_of_its_own_after_a_clean_stop() {
    let bench = Bench::new();
    bench.put("one").unwrap();
    let mut copy = bench.copy();
    copy.restart();
    let history = copy.history();
    assert_eq!(history.parent.map(|parent| parent.id), Some(bench.history().id));
    let grandchild = copy.copy();
    grandchild.put("two").unwrap();
    assert_eq!(grandchild.history().parent.map(|parent| parent.id), Some(history.id));
    assert_eq!(grandchild.packages(), set(&["one", "two"]));
}

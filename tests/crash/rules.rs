//! The simulated disk itself: what it keeps and what it may lose.

use vix_registry::storage::fs::{Access, Fs as _};

use crate::random::Random;
use crate::sim::explore::{Scratch, end};
use crate::sim::fault::{Fault, Lie};
use crate::sim::image::{Bytes, Look, Loss, Names};
use crate::sim::{Disk, Trace};

/// The files that are found after a loss, with their bytes.
fn found(trace: &Trace, loss: Loss, seed: u64) -> Vec<(String, Vec<u8>)> {
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = end(trace).lose_power(loss, &mut Random::new(seed)).place(&dir.path(), Look::Original);
    let mut names = disk.list(&dir.path()).expect("a directory");
    names.sort();
    let read = |name: std::ffi::OsString| {
        let bytes = std::fs::read(dir.path().join(&name)).expect("a file");
        (name.into_string().expect("an ASCII name"), bytes)
    };
    names.into_iter().map(read).collect()
}

fn loss(bytes: Bytes, names: Names) -> Loss {
    Loss { bytes, names }
}

#[test]
fn what_was_synced_stays_and_what_was_not_may_go_in_every_way() {
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    let file = disk.create(&dir.path().join("log")).expect("a new file");
    disk.write_all_at(&file, &[1; 600], 0).expect("room");
    disk.sync_data(&file).expect("a sound disk");
    disk.sync_dir(&disk.open_dir(&dir.path()).expect("a folder")).expect("a sound disk");
    disk.write_all_at(&file, &[2; 1000], 600).expect("room");
    disk.rename(&dir.path().join("log"), &dir.path().join("other")).expect("a free name");
    let trace = disk.trace();
    let durable = [1; 600].to_vec();
    let all = [vec![1; 600], vec![2; 1000]].concat();
    let zeros = [vec![1; 600], vec![0; 1000]].concat();
    let cases = [
        (Bytes::Lost, Names::Lost, ("log", durable.clone())),
        (Bytes::Kept, Names::Kept, ("other", all.clone())),
        (Bytes::Zeros, Names::Lost, ("log", zeros)),
        (Bytes::Lost, Names::Kept, ("other", durable)),
    ];
    for (bytes, names, (name, content)) in cases {
        assert_eq!(found(&trace, loss(bytes, names), 1), [(name.to_owned(), content)], "{bytes:?} {names:?}");
    }
    let mut outcomes = std::collections::BTreeSet::new();
    for seed in 1..200 {
        let files = found(&trace, loss(Bytes::Some(50), Names::Some(50)), seed);
        let [(_, content)] = files.as_slice() else { panic!("a rename is one change: {files:?}") };
        assert_eq!(content[..600], all[..600], "what was synced");
        outcomes.insert(files);
    }
    // Two names, and of the two or three sectors written to last any.
    assert!(outcomes.len() >= 8, "{}", outcomes.len());
}

#[test]
fn a_name_that_was_given_and_taken_again_is_lost_in_order() {
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    drop(disk.create(&first).expect("a new file"));
    disk.link(&first, &second).expect("a free name");
    disk.unlink(&first).expect("a name");
    let trace = disk.trace();
    let names = |seed| {
        let files = found(&trace, loss(Bytes::Kept, Names::Some(50)), seed);
        files.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let outcomes: std::collections::BTreeSet<_> = (1..100).map(names).collect();
    let expected: [&[&str]; 4] = [&[], &["first"], &["first", "second"], &["second"]];
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn what_a_failed_sync_was_to_make_durable_may_be_lost_even_after_the_next_one() {
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    let file = disk.create(&dir.path().join("log")).expect("a new file");
    disk.sync_dir(&disk.open_dir(&dir.path()).expect("a folder")).expect("a sound disk");
    disk.write_all_at(&file, &[1; 512], 0).expect("room");
    disk.fail(Fault::Once { at: 1 });
    assert!(disk.sync_data(&file).is_err());
    disk.write_all_at(&file, &[2; 512], 512).expect("room");
    disk.sync_data(&file).expect("a disk that works again");
    let lost = found(&disk.trace(), loss(Bytes::Lost, Names::Kept), 1);
    assert_eq!(lost, [("log".to_owned(), [[0; 512], [2; 512]].concat())]);
    let kept = found(&disk.trace(), loss(Bytes::Kept, Names::Kept), 1);
    assert_eq!(kept, [("log".to_owned(), [[1; 512], [2; 512]].concat())]);
}

#[test]
fn an_image_looks_like_the_original_or_like_a_copy() {
    let scratch = Scratch::new();
    let (dir, original, copy) = (scratch.fresh(), scratch.fresh(), scratch.fresh());
    let disk = Disk::new(&dir.path());
    let file = disk.create(&dir.path().join("log")).expect("a new file");
    disk.write_all_at(&file, b"bytes", 0).expect("room");
    let image = end(&disk.trace()).lose_power(loss(Bytes::Kept, Names::Kept), &mut Random::new(1));
    let stat = |disk: &Disk| {
        let file = disk.open(&disk.root().join("log"), Access::Read).expect("it was kept");
        let (file, dir) = (disk.stat(&file), disk.stat(&disk.open_dir(disk.root()).expect("a folder")));
        let (file, dir) = (file.expect("known"), dir.expect("known"));
        (file.inode, file.born_ns, file.changed_ns, dir.inode, dir.born_ns)
    };
    assert_eq!(stat(&image.place(&original.path(), Look::Original)), stat(&disk));
    let copied = stat(&image.place(&copy.path(), Look::Copy));
    assert!(copied.0 != stat(&disk).0 && copied.1 > stat(&disk).1 && copied.4 > stat(&disk).4, "{copied:?}");
}

#[test]
fn a_full_disk_takes_only_what_has_blocks_already() {
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    let file = disk.create(&dir.path().join("log")).expect("a new file");
    disk.allocate(&file, 0, 1000).expect("room");
    disk.fail(Fault::Full { from: 1 });
    disk.write_all_at(&file, &[1; 1000], 0).expect("its own blocks");
    assert_eq!(disk.write_all_at(&file, &[1; 1], 1000).expect_err("no room").raw_os_error(), Some(28));
    assert!(disk.create(&dir.path().join("other")).is_err());
    disk.link(&dir.path().join("log"), &dir.path().join("other")).expect("names fit");
}

#[test]
fn a_log_that_is_synced_too_late_is_not_sure_before_its_next_use() {
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    disk.lie(Lie::LogsLate);
    let file = disk.create(&dir.path().join("1.log")).expect("a new file");
    disk.sync_dir(&disk.open_dir(&dir.path()).expect("a folder")).expect("a sound disk");
    disk.write_all_at(&file, &[1; 3], 0).expect("room");
    disk.sync_data(&file).expect("a sound disk");
    let length = || found(&disk.trace(), loss(Bytes::Lost, Names::Kept), 1)[0].1.len();
    assert_eq!(length(), 0);
    disk.write_all_at(&file, &[2; 3], 3).expect("room");
    assert_eq!(length(), 3);
}

#[test]
fn only_the_driver_lets_time_pass() {
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    let before = disk.ticks();
    disk.pass(60);
    assert_eq!(disk.ticks(), before + 60);
}

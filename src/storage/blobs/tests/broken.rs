//! Each call to the disk fails in turn; what is left must be nothing or a whole named file.

use super::*;

/// What stands under the name before the ingest whose calls fail.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Nothing,
    Sound,
    Damaged,
}

fn fail_each_call(bytes: &[u8], before: Before, make: fn() -> Bench) {
    let mut reached_the_end = false;
    for number in 1..200 {
        let mut bench = make();
        if before != Before::Nothing {
            bench.keep(bytes).unwrap();
        }
        let damage = flipped(bytes, bytes.len() / 2);
        if before == Before::Damaged {
            bench.overwrite(bytes, &damage);
        }
        bench.fs.fail_call(number);
        let kept = bench.keep(bytes);
        let at = format!("call {number}, before: {before:?}, kept: {kept:?}");
        let failed = bench.fs.mend();
        let stored = fs::read(bench.path(bytes)).ok();
        if kept.is_ok() {
            assert!(stored.as_deref() == Some(bytes), "acknowledged but not there: {at}");
        }
        match before {
            Before::Nothing => assert!(stored.is_none_or(|stored| stored == bytes), "a part is named: {at}"),
            Before::Sound => assert!(stored.as_deref() == Some(bytes), "a sound blob was lost: {at}"),
            Before::Damaged => assert!(stored.is_some_and(|stored| stored == bytes || stored == damage), "{at}"),
        }
        bench.reopen();
        assert!(bench.files().iter().all(|file| *file == bench.path(bytes)), "litter: {at}: {:?}", bench.files());
        assert!(bench.keep(bytes).is_ok(), "not usable after a restart: {at}");
        assert!(fs::read(bench.path(bytes)).unwrap() == bytes, "{at}");
        if !failed {
            assert!(kept.is_ok(), "{at}");
            reached_the_end = true;
            break;
        }
    }
    assert!(reached_the_end, "more calls than were tried");
}

#[test]
fn each_failing_call_leaves_nothing_or_a_whole_file() {
    let bytes = some_bytes(1, 300_000);
    for before in [Before::Nothing, Before::Sound, Before::Damaged] {
        fail_each_call(&bytes, before, Bench::new);
        fail_each_call(&bytes, before, Bench::named);
    }
}

#[test]
fn a_failed_fsync_fails_the_upload_once_and_its_file_goes() {
    for bench in [Bench::new(), Bench::named()] {
        let staged = bench.stage(b"lost").unwrap();
        bench.fs.fail_op("sync_all", EIO);
        bench.fs.take_log();
        assert!(matches!(staged.keep(), Err(BlobError::Io { op: "sync an artifact", .. })));
        assert_eq!(bench.fs.take_log().iter().filter(|op| **op == "sync_all").count(), 1, "never retried");
        assert_eq!(bench.files(), Vec::<PathBuf>::new());
        bench.fs.mend();
        assert!(bench.keep(b"lost").is_ok(), "a new file is a new try");
    }
}

#[test]
fn a_failed_directory_fsync_makes_the_store_read_only_until_a_restart() {
    let mut bench = Bench::new();
    bench.keep(b"before").unwrap();
    let staged = bench.stage(b"not acknowledged").unwrap();
    bench.fs.fail_op("sync_dir", EIO);
    assert!(staged.keep().is_err());
    bench.fs.mend();
    assert!(bench.store.is_read_only());
    assert!(bench.keep(b"after").is_err());
    assert!(bench.store.remove(&Sha256::of(b"before")).is_err());
    assert!(bench.store.create_upload(&Id(1)).is_err());
    assert!(bench.store.open_blob(&Sha256::of(b"before")).is_ok());
    bench.reopen();
    assert!(!bench.store.is_read_only());
    assert!(bench.keep(b"after").is_ok());
}

#[test]
fn a_directory_that_cannot_be_opened_fails_only_that_upload() {
    let bench = Bench::new();
    let staged = bench.stage(b"x").unwrap();
    bench.fs.fail_op("open_dir", EIO);
    assert!(staged.keep().is_err());
    bench.fs.mend();
    assert!(!bench.store.is_read_only());
    assert!(bench.keep(b"x").is_ok());
}

#[test]
fn a_write_that_failed_half_way_is_never_staged() {
    let bench = Bench::new();
    let mut staging = bench.store.stage().unwrap();
    staging.write(b"good").unwrap();
    bench.fs.fail_op("write_all_at", ENOSPC);
    assert!(matches!(staging.write(b"torn"), Err(BlobError::Full { .. })));
    assert!(staging.finish().is_err(), "there are bytes in the file that no hash has seen");
}

#[test]
fn unreadable_stored_bytes_are_replaced() {
    let bench = Bench::new();
    bench.keep(b"unreadable").unwrap();
    bench.fs.fail_op("read_at", EIO);
    assert_eq!(bench.keep(b"unreadable").unwrap().stored, Stored::Healed);
}

#[test]
fn a_start_on_a_full_disk_falls_back_and_still_reads() {
    let mut bench = Bench::new();
    bench.keep(b"here").unwrap();
    bench.fs.fail_op("create_unnamed", ENOSPC);
    bench.store = BlobStore::open(bench.dir.path(), Arc::<BrokenFs>::clone(&bench.fs)).unwrap();
    assert!(!bench.store.unnamed);
    assert!(bench.store.open_blob(&Sha256::of(b"here")).is_ok());
}

//! The way in: hashes, durability in the right order, deduplication, healing, and nothing left of what was not kept.

use std::io::{Read as _, Seek as _, SeekFrom};

use bytes::Bytes;

use super::*;

#[test]
fn kept_bytes_stand_under_their_digest_with_both_hashes() {
    for bench in [Bench::new(), Bench::named()] {
        for (seed, size) in (0..).zip(SIZES) {
            let bytes = some_bytes(seed, size);
            let staged = bench.stage(&bytes).unwrap();
            assert_eq!(
                (staged.sha256(), staged.blake3()),
                (Sha256::of(&bytes), crate::domain::digest::Blake3::of(&bytes))
            );
            assert_eq!((staged.size(), staged.head()), (size as u64, &bytes[..size.min(HEAD_BYTES_MAX)]));
            assert!(!bench.path(&bytes).exists(), "no name before keep");
            let kept = staged.keep().unwrap();
            assert_eq!((kept.sha256, kept.size, kept.stored), (Sha256::of(&bytes), size as u64, Stored::New));
            assert_eq!(fs::read(bench.path(&bytes)).unwrap(), bytes);
            assert_eq!(mode(&bench.path(&bytes)), 0o400);
        }
        assert_eq!(bench.files().len(), SIZES.len(), "nothing but blobs: {:?}", bench.files());
    }
}

#[test]
fn directories_are_the_owners_alone() {
    let bench = Bench::new();
    bench.keep(b"x").unwrap();
    for dir in ["blobs", "blobs/sha256", "uploads"] {
        assert_eq!(mode(&bench.dir.path().join(dir)), 0o700, "{dir}");
    }
    assert_eq!(mode(bench.path(b"x").parent().unwrap()), 0o700);
}

#[test]
fn a_file_is_durable_before_its_name_and_its_name_before_the_answer() {
    let bench = Bench::new();
    let staged = bench.stage(b"order").unwrap();
    bench.fs.take_log();
    staged.keep().unwrap();
    let new_shard = ["set_read_only", "sync_all", "create_dir", "open_dir", "sync_dir", "link_file", "stat"];
    assert_eq!(bench.fs.take_log(), [&new_shard[..], &["open_dir", "sync_dir"]].concat());
    let staged = bench.stage(b"order").unwrap();
    bench.fs.take_log();
    assert_eq!(staged.keep().unwrap().stored, Stored::Present);
    let present = ["set_read_only", "sync_all", "link_file", "open", "stat", "read_at", "open_dir", "sync_dir"];
    assert_eq!(bench.fs.take_log(), present);
}

#[test]
fn what_is_not_kept_leaves_nothing() {
    for bench in [Bench::new(), Bench::named()] {
        let mut staging = bench.store.stage().unwrap();
        staging.write(b"half").unwrap();
        drop(staging);
        drop(bench.stage(b"whole").unwrap());
        assert_eq!(bench.files(), Vec::<PathBuf>::new());
    }
}

#[test]
fn temporary_files_of_a_killed_process_are_swept_at_start_and_uploads_are_not() {
    let mut bench = Bench::named();
    std::mem::forget(bench.stage(b"killed").unwrap());
    let id = Id(77);
    bench.store.create_upload(&id).unwrap();
    assert_eq!(bench.files().len(), 2);
    bench.reopen();
    assert_eq!(bench.files(), [bench.dir.path().join("uploads").join(id.to_string())]);
}

#[test]
fn damaged_and_short_and_long_files_are_healed() {
    let bytes = some_bytes(1, 600_000);
    for mut bench in [Bench::new(), Bench::named()] {
        let longer = [&bytes[..], b"!"].concat();
        for damage in [flipped(&bytes, 599_999), flipped(&bytes, 0), bytes[..599_999].to_vec(), Vec::new(), longer] {
            bench.keep(&bytes).unwrap();
            bench.overwrite(&bytes, &damage);
            assert_eq!(bench.keep(&bytes).unwrap().stored, Stored::Healed);
            assert_eq!(fs::read(bench.path(&bytes)).unwrap(), bytes);
            assert_eq!(mode(&bench.path(&bytes)), 0o400);
            assert_eq!(bench.files(), [bench.path(&bytes)]);
            bench.reopen();
            assert_eq!(bench.keep(&bytes).unwrap().stored, Stored::Present);
        }
    }
}

#[test]
fn sixteen_at_once_make_one_file() {
    for bench in [Bench::new(), Bench::named()] {
        let bytes = some_bytes(2, 300_000);
        let kept: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| bench.keep(&bytes).unwrap().stored)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(kept.iter().filter(|stored| **stored == Stored::New).count(), 1, "{kept:?}");
        assert_eq!(kept.iter().filter(|stored| **stored == Stored::Present).count(), 15, "{kept:?}");
        assert_eq!(bench.files(), [bench.path(&bytes)]);
    }
}

#[test]
fn staged_bytes_can_be_read_again_from_anywhere() {
    let bench = Bench::new();
    let bytes = some_bytes(3, 300_000);
    let staged = bench.stage(&bytes).unwrap();
    let (mut whole, mut other) = (staged.reader(), staged.reader());
    let mut read = Vec::new();
    whole.read_to_end(&mut read).unwrap();
    assert!(read == bytes);
    assert_eq!(other.seek(SeekFrom::End(-10)).unwrap(), 299_990);
    let mut tail = Vec::new();
    other.read_to_end(&mut tail).unwrap();
    assert_eq!(tail, bytes[299_990..]);
    assert!(other.seek(SeekFrom::Current(-300_001)).is_err());
    assert_eq!(other.seek(SeekFrom::Start(1 << 40)).unwrap(), 1 << 40);
    assert_eq!(other.read(&mut [0; 4]).unwrap(), 0);
    drop(staged);
    whole.seek(SeekFrom::Start(0)).unwrap();
    assert_eq!(whole.read(&mut [0; 4]).unwrap(), 4, "a reader outlives what it reads");
}

#[tokio::test]
async fn the_event_loop_brings_chunks_of_any_size_in_order() {
    let bench = Bench::new();
    for chunk in [7, 1_000, 65_536, 700_000] {
        let bytes = some_bytes(chunk as u64, 50_000 + 3 * chunk);
        let mut handle = bench.store.ingest();
        for part in bytes.chunks(chunk) {
            handle.write(Bytes::copy_from_slice(part)).await.unwrap();
        }
        let staged = handle.finish().await.unwrap();
        assert_eq!((staged.sha256(), staged.size()), (Sha256::of(&bytes), bytes.len() as u64));
        bench.store.blocking(|_| staged.keep()).await.unwrap();
        assert!(fs::read(bench.path(&bytes)).unwrap() == bytes);
    }
    let empty = bench.store.ingest().finish().await.unwrap();
    assert_eq!((empty.size(), empty.sha256()), (0, Sha256::of(b"")));
}

#[tokio::test]
async fn a_full_disk_fails_the_handle_for_good_and_leaves_nothing() {
    let bench = Bench::named();
    bench.fs.fail_op("write_all_at", ENOSPC);
    let mut handle = bench.store.ingest();
    let mut first = None;
    for _ in 0..64 {
        if let Err(error) = handle.write(Bytes::from(vec![1; 100_000])).await {
            first = Some(error);
            break;
        }
    }
    assert!(matches!(first, Some(BlobError::Full { free_bytes: 1.. })), "{first:?}");
    bench.fs.mend();
    assert!(matches!(handle.write(Bytes::from_static(b"x")).await, Err(BlobError::Io { .. })));
    assert!(matches!(handle.finish().await, Err(BlobError::Io { .. })));
    assert_eq!(bench.files(), Vec::<PathBuf>::new());
}

#[test]
fn a_client_that_hangs_up_leaves_nothing() {
    for bench in [Bench::new(), Bench::named()] {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let mut handle = bench.store.ingest();
            for _ in 0..20 {
                handle.write(Bytes::from(vec![2; 50_000])).await.unwrap();
            }
            drop(handle);
        });
        // Waits for the batch under way.
        drop(runtime);
        assert_eq!(bench.files(), Vec::<PathBuf>::new());
    }
}

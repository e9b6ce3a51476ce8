//! The way out: exact reads, proofs, and damage that is never served as a whole.

use bytes::Bytes;

use super::*;
use crate::domain::digest::Blake3;

async fn read_all(bench: &Bench, bytes: &[u8], blake3: Option<Blake3>) -> (Vec<Bytes>, Result<(), BlobError>) {
    let blob = Arc::new(bench.store.open_blob(&Sha256::of(bytes)).unwrap());
    let mut reader = VerifyingReader::new(&bench.store, &blob, blake3);
    let mut chunks = Vec::new();
    loop {
        match reader.next().await {
            Ok(Some(chunk)) => chunks.push(chunk),
            Ok(None) => return (chunks, Ok(())),
            Err(error) => return (chunks, Err(error)),
        }
    }
}

fn is_verified(bench: &Bench, bytes: &[u8]) -> bool {
    bench.store.is_verified(&bench.store.open_blob(&Sha256::of(bytes)).unwrap())
}

#[tokio::test]
async fn a_whole_reading_gives_all_bytes_and_proves_them() {
    let mut bench = Bench::new();
    for (seed, size) in (0..).zip(SIZES) {
        let bytes = some_bytes(seed, size);
        bench.keep(&bytes).unwrap();
        for blake3 in [None, Some(Blake3::of(&bytes))] {
            bench.reopen();
            assert!(!is_verified(&bench, &bytes));
            let (chunks, end) = read_all(&bench, &bytes, blake3).await;
            end.unwrap();
            assert!(chunks.concat() == bytes && chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES_MAX));
            assert!(is_verified(&bench, &bytes));
        }
    }
}

#[tokio::test]
async fn the_last_chunk_of_damaged_bytes_is_held_back() {
    let bytes = some_bytes(1, 3 * CHUNK_BYTES_MAX + 5);
    let bench = Bench::new();
    for at in [0, CHUNK_BYTES_MAX, bytes.len() - 1] {
        bench.keep(&bytes).unwrap();
        bench.overwrite(&bytes, &flipped(&bytes, at));
        for blake3 in [None, Some(Blake3::of(&bytes))] {
            let (chunks, end) = read_all(&bench, &bytes, blake3).await;
            assert!(matches!(end, Err(BlobError::Damaged { sha256 }) if sha256 == Sha256::of(&bytes)), "{end:?}");
            assert_eq!(chunks.concat().len(), 3 * CHUNK_BYTES_MAX);
            assert!(!is_verified(&bench, &bytes));
        }
    }
    for small in [&b"small"[..], b""] {
        bench.keep(small).unwrap();
        bench.overwrite(small, b"other");
        let (chunks, end) = read_all(&bench, small, None).await;
        assert!(chunks.is_empty() && matches!(end, Err(BlobError::Damaged { .. })), "not even its first byte");
    }
}

#[tokio::test]
async fn a_reader_that_failed_does_not_go_on() {
    let bench = Bench::new();
    bench.keep(b"x").unwrap();
    bench.overwrite(b"x", b"y");
    let blob = Arc::new(bench.store.open_blob(&Sha256::of(b"x")).unwrap());
    let mut reader = VerifyingReader::new(&bench.store, &blob, None);
    assert!(reader.next().await.is_err());
    assert!(reader.next().await.is_err());
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_read_is_damaged() {
    let bytes = some_bytes(2, 2 * CHUNK_BYTES_MAX);
    let bench = Bench::new();
    bench.keep(&bytes).unwrap();
    let blob = Arc::new(bench.store.open_blob(&Sha256::of(&bytes)).unwrap());
    let mut reader = VerifyingReader::new(&bench.store, &blob, None);
    assert!(reader.next().await.unwrap().is_some());
    bench.overwrite(&bytes, &bytes[..=CHUNK_BYTES_MAX]);
    assert!(matches!(reader.next().await, Err(BlobError::Damaged { .. })));
    assert!(matches!(blob.read_chunk(CHUNK_BYTES_MAX as u64, 100).await, Err(BlobError::Damaged { .. })));
}

#[tokio::test]
async fn a_chunk_is_exact_or_an_error() {
    let bytes = some_bytes(3, CHUNK_BYTES_MAX + 1_000);
    let bench = Bench::new();
    bench.keep(&bytes).unwrap();
    let blob = Arc::new(bench.store.open_blob(&Sha256::of(&bytes)).unwrap());
    assert_eq!((blob.size(), blob.sha256()), (bytes.len() as u64, Sha256::of(&bytes)));
    assert_eq!(blob.read_chunk(10, 5).await.unwrap(), bytes[10..15]);
    assert!(blob.read_chunk(1, usize::MAX).await.unwrap() == bytes[1..=CHUNK_BYTES_MAX]);
    assert_eq!(blob.read_chunk(bytes.len() as u64, 0).await.unwrap().len(), 0);
    assert!(matches!(blob.read_chunk(bytes.len() as u64 - 1, 2).await, Err(BlobError::Damaged { .. })));
    bench.fs.fail_op("read_at", EIO);
    assert!(matches!(blob.read_chunk(0, 1).await, Err(BlobError::Io { .. })));
}

#[test]
fn verify_tells_sound_damaged_and_missing() {
    let bytes = some_bytes(4, 300_000);
    let (name, size, blake3) = (Sha256::of(&bytes), 300_000, Blake3::of(&bytes));
    let bench = Bench::new();
    assert_eq!(bench.store.verify(&name, size, None).unwrap(), Soundness::Missing);
    assert!(matches!(bench.store.open_blob(&name), Err(BlobError::Missing)));
    bench.keep(&bytes).unwrap();
    for known in [None, Some(&blake3)] {
        assert_eq!(bench.store.verify(&name, size, known).unwrap(), Soundness::Sound);
        assert_eq!(bench.store.verify(&name, size - 1, known).unwrap(), Soundness::Damaged);
    }
    bench.overwrite(&bytes, &flipped(&bytes, 7));
    for known in [None, Some(&blake3)] {
        assert_eq!(bench.store.verify(&name, size, known).unwrap(), Soundness::Damaged);
        assert_eq!(bench.store.verify_once(&name, size, known).unwrap(), Soundness::Damaged);
    }
    bench.fs.fail_op("read_at", EIO);
    assert!(matches!(bench.store.verify(&name, size, None), Err(BlobError::Io { .. })));
}

#[test]
fn a_proven_file_is_not_read_again_until_it_changes_or_the_process_restarts() {
    // Longer than the note that could stand in its place, which is looked for in short files.
    let (proven, broken) = ([b'p'; 200], [b'b'; 200]);
    let (name, size) = (Sha256::of(&proven), 200);
    let reads = |bench: &Bench, expected: usize| {
        bench.fs.take_log();
        assert_eq!(bench.store.verify_once(&name, size, None).unwrap(), Soundness::Sound);
        assert_eq!(bench.fs.take_log().iter().filter(|op| **op == "read_at").count(), expected);
    };
    for mut bench in [Bench::new(), Bench::named()] {
        bench.keep(&proven).unwrap();
        reads(&bench, 0);
        bench.keep(&proven).unwrap();
        reads(&bench, 0);
        bench.reopen();
        reads(&bench, 1);
        reads(&bench, 0);
        bench.overwrite(&proven, &proven);
        reads(&bench, 1);
        bench.overwrite(&proven, &broken);
        assert!(!is_verified(&bench, &proven));
        bench.keep(&proven).unwrap();
        reads(&bench, 0);
    }
}

#[test]
fn a_file_changed_after_it_was_opened_is_not_verified() {
    let bench = Bench::new();
    bench.keep(b"proven").unwrap();
    let blob = bench.store.open_blob(&Sha256::of(b"proven")).unwrap();
    assert!(bench.store.is_verified(&blob));
    bench.overwrite(b"proven", b"broken");
    assert!(!bench.store.is_verified(&blob));
}

#[test]
fn a_removed_blob_is_gone_and_can_come_back() {
    let bench = Bench::new();
    let name = bench.keep(b"x").unwrap().sha256;
    assert_eq!(bench.store.list(name.0[0]).unwrap(), [name]);
    assert!(bench.store.remove(&name).unwrap());
    assert!(!bench.store.remove(&name).unwrap());
    assert_eq!(bench.store.list(name.0[0]).unwrap(), []);
    assert_eq!(bench.store.list(name.0[0] ^ 1).unwrap(), []);
    assert!(matches!(bench.store.open_blob(&name), Err(BlobError::Missing)));
    assert_eq!(bench.keep(b"x").unwrap().stored, Stored::New);
    assert!(bench.store.free_bytes().unwrap() > 0);
}

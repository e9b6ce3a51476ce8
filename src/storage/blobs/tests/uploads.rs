//! Resumable uploads: one writer, survival, and the step from an upload to a blob.

use bytes::Bytes;

use super::*;

const ID: Id = Id(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

fn upload(bench: &Bench, bytes: &[u8]) {
    bench.store.create_upload(&ID).unwrap();
    let mut upload = bench.store.open_upload(&ID).unwrap();
    upload.append(bytes).unwrap();
    assert_eq!(upload.sync().unwrap(), bytes.len() as u64);
}

fn upload_path(bench: &Bench) -> PathBuf {
    bench.dir.path().join("uploads").join(ID.to_string())
}

#[test]
fn an_upload_grows_across_restarts_and_becomes_a_blob() {
    for mut bench in [Bench::new(), Bench::named()] {
        let bytes = some_bytes(1, 700_000);
        upload(&bench, &bytes[..300_000]);
        assert_eq!(mode(&upload_path(&bench)), 0o600);
        bench.reopen();
        assert_eq!(bench.store.list_uploads().unwrap(), [ID]);
        assert_eq!(bench.store.upload_len(&ID).unwrap(), 300_000);
        let mut upload = bench.store.open_upload(&ID).unwrap();
        assert_eq!(upload.size(), 300_000);
        upload.append(&bytes[300_000..]).unwrap();
        upload.sync().unwrap();

        let staged = bench.store.open_upload(&ID).unwrap().finish().unwrap();
        assert_eq!((staged.sha256(), staged.size(), staged.head()), (Sha256::of(&bytes), 700_000, &bytes[..512]));
        assert_eq!(staged.keep().unwrap().stored, Stored::New);
        assert!(fs::read(bench.path(&bytes)).unwrap() == bytes);
        assert_eq!(mode(&bench.path(&bytes)), 0o400);

        let again = bench.store.open_upload(&ID).unwrap().finish().unwrap().keep().unwrap();
        assert_eq!(again.stored, Stored::Present, "finishing is repeatable");
        assert!(bench.store.remove_upload(&ID).unwrap());
        assert!(!bench.store.remove_upload(&ID).unwrap());
        assert_eq!(bench.files(), [bench.path(&bytes)]);
    }
}

#[test]
fn finishing_an_upload_of_any_size_tells_its_digest() {
    let bench = Bench::new();
    for (seed, size) in (0..).zip(SIZES) {
        let bytes = some_bytes(seed, size);
        upload(&bench, &bytes);
        let staged = bench.store.open_upload(&ID).unwrap().finish().unwrap();
        assert_eq!((staged.sha256(), staged.size()), (Sha256::of(&bytes), size as u64));
        drop(staged);
        assert_eq!(bench.store.upload_len(&ID).unwrap(), size as u64, "what is not kept stays an upload");
        bench.store.remove_upload(&ID).unwrap();
    }
}

#[test]
fn an_upload_heals_a_damaged_blob_but_not_the_one_that_it_is() {
    for bench in [Bench::new(), Bench::named()] {
        bench.keep(b"bytes").unwrap();
        bench.overwrite(b"bytes", b"broke");
        upload(&bench, b"bytes");
        let staged = bench.store.open_upload(&ID).unwrap().finish().unwrap();
        assert_eq!(staged.keep().unwrap().stored, Stored::Healed);
        assert_eq!(fs::read(bench.path(b"bytes")).unwrap(), b"bytes");
        assert_eq!(bench.files(), [bench.path(b"bytes"), upload_path(&bench)]);

        let staged = bench.store.open_upload(&ID).unwrap().finish().unwrap();
        bench.overwrite(b"bytes", b"broke");
        assert!(matches!(staged.keep(), Err(BlobError::Damaged { .. })));
    }
}

#[test]
fn a_stored_upload_can_not_be_written_to() {
    let bench = Bench::new();
    upload(&bench, b"stored");
    bench.store.open_upload(&ID).unwrap().finish().unwrap().keep().unwrap();
    let mut upload = bench.store.open_upload(&ID).unwrap();
    assert!(upload.append(b"!").is_err());
    assert!(upload.truncate(0).is_err());
    assert_eq!(fs::read(bench.path(b"stored")).unwrap(), b"stored");
}

#[test]
fn one_at_a_time_uses_an_upload() {
    let bench = Bench::new();
    upload(&bench, b"mine");
    let mine = bench.store.open_upload(&ID).unwrap();
    assert!(matches!(bench.store.open_upload(&ID), Err(BlobError::Busy)));
    assert!(matches!(bench.store.remove_upload(&ID), Err(BlobError::Busy)));
    assert_eq!(bench.store.upload_len(&ID).unwrap(), 4);
    let staged = mine.finish().unwrap();
    assert!(matches!(bench.store.open_upload(&ID), Err(BlobError::Busy)));
    drop(staged);
    assert!(bench.store.open_upload(&ID).is_ok());
}

#[test]
fn an_absent_upload_is_missing_and_a_taken_id_is_not_taken_over() {
    let bench = Bench::new();
    assert!(matches!(bench.store.open_upload(&ID), Err(BlobError::Missing)));
    assert!(matches!(bench.store.open_upload(&ID), Err(BlobError::Missing)), "a failed opening frees the lease");
    assert!(matches!(bench.store.upload_len(&ID), Err(BlobError::Missing)));
    upload(&bench, b"taken");
    assert!(bench.store.create_upload(&ID).is_err());
    assert_eq!(bench.store.upload_len(&ID).unwrap(), 5);
}

#[test]
fn an_upload_can_be_cut_but_not_lengthened() {
    let bench = Bench::new();
    upload(&bench, b"0123456789");
    let mut upload = bench.store.open_upload(&ID).unwrap();
    upload.truncate(20).unwrap();
    assert_eq!(upload.size(), 10);
    upload.truncate(4).unwrap();
    upload.append(b"!").unwrap();
    assert_eq!(upload.sync().unwrap(), 5);
    assert_eq!(fs::read(upload_path(&bench)).unwrap(), b"0123!");
}

#[test]
fn a_failed_sync_takes_the_upload_away() {
    let bench = Bench::new();
    upload(&bench, b"synced");
    let mut upload = bench.store.open_upload(&ID).unwrap();
    upload.append(b" not").unwrap();
    bench.fs.fail_op("sync_data", EIO);
    assert!(upload.sync().is_err());
    assert!(matches!(bench.store.upload_len(&ID), Err(BlobError::Missing)));
    bench.fs.mend();
    self::upload(&bench, b"again");
    let staged = bench.store.open_upload(&ID).unwrap().finish().unwrap();
    bench.fs.fail_op("sync_all", EIO);
    assert!(staged.keep().is_err());
    assert_eq!(bench.files(), Vec::<PathBuf>::new());
}

#[test]
fn an_upload_that_could_not_be_made_durable_was_not_begun() {
    let mut bench = Bench::new();
    for op in ["create", "sync_all", "sync_dir"] {
        bench.fs.fail_op(op, EIO);
        assert!(bench.store.create_upload(&ID).is_err());
        assert_eq!(bench.files(), Vec::<PathBuf>::new());
        bench.reopen();
    }
}

#[tokio::test]
async fn the_event_loop_appends_and_a_broken_body_leaves_what_came() {
    let bench = Bench::new();
    bench.store.create_upload(&ID).unwrap();
    let bytes = some_bytes(2, 1_000_000);
    for part in bytes.chunks(400_000) {
        let upload = bench.store.blocking(|store| store.open_upload(&ID)).await.unwrap();
        let mut handle = upload.feed();
        for chunk in part.chunks(30_000) {
            handle.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        handle.finish().await.unwrap();
    }
    assert!(fs::read(upload_path(&bench)).unwrap() == bytes);
    let mut handle = bench.store.open_upload(&ID).unwrap().feed();
    handle.write(Bytes::from_static(b"more")).await.unwrap();
    drop(handle);
    let left = fs::read(upload_path(&bench)).unwrap();
    assert!(left.starts_with(&bytes));
}

//! Verifying and backing up beside the running registry, while it is written to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::runtime::Handle;

use super::bench::{Bench, package, version};
use crate::domain::digest::Sha256;
use crate::services::Context;
use crate::services::Policy;
use crate::services::jobs::Live;
use crate::services::versions::VersionRef;
use crate::storage::backup::{BackupOptions, create};
use crate::storage::fs::{Fs, RealFs};
use crate::storage::progress::Unwatched;
use crate::storage::redb::RotationRule;
use crate::storage::scrub::blobs::blob_file;
use crate::storage::scrub::fixture_tests::{CACHE_BYTES, Directory, verify_copy};
use crate::storage::scrub::replica::Workshop;
use crate::storage::scrub::verify::{Verification, VerifyReport, Whose, verify};

/// Rotates after every few changes.
fn busy() -> Bench {
    Bench::rotating(Policy::default(), RotationRule { rotate_bytes: 16 << 10, ..RotationRule::default() })
}

fn workshop(bench: &Bench) -> Workshop {
    let scratch = tempfile::env::temp_dir();
    Workshop { fs: Arc::new(RealFs), data: bench.data().to_owned(), scratch, cache_bytes: CACHE_BYTES }
}

fn verify_live(bench: &Bench) -> VerifyReport {
    let workshop = workshop(bench);
    let live = Live { metadata: Arc::clone(&bench.stores.metadata), runtime: Handle::current() };
    let work = Verification { workshop: &workshop, whose: Whose::Server(&live), bytes_per_second_max: None };
    tokio::task::block_in_place(|| verify(&work, &Unwatched)).unwrap()
}

/// Publishes, yanks and purges until told to stop; `acknowledged` counts the publishes.
async fn write(bench: &Bench, stop: &AtomicBool, acknowledged: &AtomicU64) {
    let (pia, admin) = (bench.user("pia").await, bench.admin().await);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let name = format!("gk/p{}", number % 7);
        let text = format!("1.0.{number}");
        bench.publish(&pia, &name, &text).await;
        acknowledged.fetch_add(1, Ordering::Relaxed);
        let target = version(&name, &text);
        match number % 5 {
            0 => drop(bench.services.yanks.patch(&pia, &target, super::versions::yank(true)).await.unwrap()),
            1 => drop(bench.services.yanks.purge(&admin, &target, None).await.unwrap()),
            _ => {}
        }
        number += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_and_backup_beside_a_busy_server_find_nothing_wrong_and_miss_nothing() {
    let bench = Arc::new(busy());
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = {
        let (bench, stop, acknowledged) = (Arc::clone(&bench), Arc::clone(&stop), Arc::clone(&acknowledged));
        tokio::spawn(async move { write(&bench, &stop, &acknowledged).await })
    };
    let work = {
        let (bench, acknowledged) = (Arc::clone(&bench), Arc::clone(&acknowledged));
        move || {
            let fs: Arc<dyn Fs> = Arc::new(RealFs);
            let dest = tempfile::tempdir().unwrap();
            for at in 0..4 {
                let report = verify_live(&bench);
                assert_eq!(report.findings.list(), []);
                assert!(report.compared > 0 && report.rows > 0 && report.state.is_some());
                let before = acknowledged.load(Ordering::Relaxed);
                let to = dest.path().join(at.to_string());
                let options = BackupOptions { copy: at % 2 == 0, cache_bytes: CACHE_BYTES };
                let report = create(&fs, bench.data(), &to, &options, &Unwatched).unwrap();
                assert_eq!(report.findings.list(), []);
                let found = verify_copy(&to);
                assert_eq!(found.findings.list(), []);
                assert!(found.blobs.blobs + before / 5 + 2 >= before, "{before} published, {:?} there", found.blobs);
            }
        }
    };
    tokio::task::spawn_blocking(work).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    assert!(bench.stores.metadata.journal_status().generation.is_some_and(|it| it.number > 1), "it rotated");
    bench.check_rows().await;
    let Ok(bench) = Arc::try_unwrap(bench) else { panic!("somebody else has it") };
    let stopped = Directory::of(bench.stop()).verify();
    assert_eq!(stopped.findings.list(), []);
    assert!(stopped.compared >= stopped.rows, "{stopped:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_blob_is_never_served_and_a_publish_of_the_same_bytes_heals_it() {
    let bench = busy();
    let pia = bench.user("pia").await;
    bench.publish(&pia, "jwt", "1.0.0").await;
    let digest = Sha256::of(b"jwt 1.0.0");
    let directory = Directory::beside(bench.data());
    let file = blob_file(&digest);
    for wrong in [&b"jwt 1.0.1"[..], b"jwt", b""] {
        directory.replace(&file, wrong, 0o400);
        assert!(served(&bench, &pia).await.is_none_or(|bytes| bytes != wrong), "{wrong:?}");
        let report = verify_live(&bench);
        let [finding] = report.findings.list() else { panic!("{report:?}") };
        assert_eq!((finding.file.as_str(), finding.blob), (file.as_str(), Some(digest)));
        let copy = directory.copy();
        let copied = verify_copy(copy.data());
        assert!(copied.state.is_some() && copied.findings.count() == 1, "a copy made meanwhile opens: {copied:?}");
        bench.publish(&pia, "jwt", "1.0.0").await;
        // The same bytes again, under a name that has none yet: what is stored is read, and replaced.
        assert_eq!(directory.read(&file), b"jwt 1.0.0");
        assert_eq!(served(&bench, &pia).await.unwrap(), b"jwt 1.0.0");
        assert_eq!(verify_live(&bench).findings.list(), []);
    }
}

/// The bytes of `jwt` 1.0.0, if they are served as a success.
async fn served(bench: &Bench, who: &Context) -> Option<Vec<u8>> {
    let found = bench.services.downloads.artifact(who, &package("jwt"), VersionRef::Latest, None).await.ok()?;
    let mut reader = found.whole();
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.next().await.ok()? {
        bytes.extend_from_slice(&chunk);
    }
    Some(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rot_under_a_running_server_is_found_and_named() {
    let bench = busy();
    let pia = bench.user("pia").await;
    for number in 0..40 {
        bench.publish(&pia, "gk/jwt", &format!("1.0.{number}")).await;
    }
    assert_eq!(verify_live(&bench).findings.list(), []);
    let directory = Directory::beside(bench.data());
    let mut named = 0;
    for file in directory.files() {
        let sound = directory.read(&file);
        directory.rot(&file, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        });
        let report = verify_live(&bench);
        let files: Vec<&str> = report.findings.list().iter().map(|finding| finding.file.as_str()).collect();
        assert!(files.contains(&&*file), "{file}: {files:?}");
        let is_snapshot = file.contains(".snap");
        assert_eq!(report.rotten_snapshots.len(), usize::from(is_snapshot), "{file}");
        let is_blob = report.findings.list().iter().any(|finding| finding.blob.is_some());
        assert_eq!(is_blob, file.starts_with("blobs/"), "{file}");
        directory.rot(&file, |bytes| *bytes = sound);
        named += 1;
    }
    assert!(named > 40, "{named}");
    assert_eq!(verify_live(&bench).findings.list(), []);
    assert!(directory.files().iter().any(|file| file.contains(".snap")));
}

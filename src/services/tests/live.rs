//! Verifying and backing up beside the running registry, while it is written to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::bench::{Bench, version};
use crate::services::Policy;
use crate::storage::backup::{BackupOptions, create};
use crate::storage::fs::{Fs, RealFs};
use crate::storage::progress::Unwatched;
use crate::storage::redb::RotationRule;
use crate::storage::scrub::fixture::{CACHE_BYTES, Directory, verify_copy};
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
    let whose = Whose::Server(&*bench.stores.metadata);
    verify(&Verification { workshop: &workshop, whose, bytes_per_second_max: None }, &Unwatched).unwrap()
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

#[tokio::test]
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

//! What gc tells and removes, with time that is set by hand.

use std::fs;

use super::*;
use crate::domain::caller::Caller;
use crate::domain::digest::Sha256;
use crate::domain::token::Scope;
use crate::domain::upload::NewUpload;
use crate::services::Policy;
use crate::services::fixture_tests::{Body, Registry, name, number, request};
use crate::services::yank::VersionTarget;
use crate::storage::progress::Unwatched;

const RETENTION: u64 = 10;
const HOUR_MS: i64 = 3_600_000;
/// How often a test looks again for what the writer does in its own time.
const LOOKS_MAX: usize = 200;

struct Bench {
    registry: Registry,
    admin: Caller,
}

impl Bench {
    async fn new() -> Self {
        let policy = Policy { free_bytes_min: 0, retention_ticks: RETENTION, ..Policy::default() };
        let registry = Registry::with(policy);
        let admin = registry.user("ada", Scope::Admin, "*").await;
        Self { registry, admin }
    }

    /// Publishes these bytes, and removes what refers to them.
    async fn dropped(&self, version: &str, bytes: &[u8]) -> String {
        let (services, context) = (&self.registry.services, self.registry.context(&self.admin));
        services.publish.publish(&context, request("json", version), &mut Body::of(bytes)).await.unwrap();
        let target = VersionTarget { package: name("json"), number: number(version), precondition: None };
        services.yanks.purge(&context, &target, None).await.unwrap();
        crate::storage::scrub::blobs::blob_file(&Sha256::of(bytes))
    }

    fn set_aside(&self) -> std::path::PathBuf {
        let folder = self.registry.stores.blobs.data().join(QUARANTINE_FOLDER);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("meta.redb.1");
        fs::write(&file, b"old index").unwrap();
        file
    }

    async fn plan(&self, now: bool) -> GcResult {
        self.registry.services.gc.plan(now, &Unwatched).await.unwrap()
    }

    async fn run(&self, now: bool) -> GcResult {
        self.registry.services.gc.run(now, &Unwatched).await.unwrap()
    }
}

/// What is told of each file under these folders: whether it goes, and for how long it stays.
fn told(result: &GcResult, folders: &[&str]) -> Vec<(String, bool, Option<u64>)> {
    let wanted = result.entries.iter().filter(|entry| folders.iter().any(|folder| entry.file.starts_with(folder)));
    let mut told: Vec<_> = wanted.map(|entry| (entry.file.clone(), entry.goes, entry.stays_s)).collect();
    told.sort();
    told
}

#[tokio::test]
async fn a_plan_says_what_goes_and_until_when_the_rest_stays_and_changes_nothing() {
    let bench = Bench::new().await;
    let old = bench.dropped("1.0.0", b"old").await;
    bench.registry.pass_ticks(RETENTION + 1);
    let young = bench.dropped("2.0.0", b"young").await;
    bench.registry.pass_ticks(1);
    let mut expected = vec![(old.clone(), true, None), (young.clone(), false, Some(RETENTION))];
    expected.sort();
    let planned = bench.plan(false).await;
    assert_eq!(told(&planned, &["blobs"]), expected);
    assert_eq!((planned.applied, planned.removed, planned.removed_bytes), (false, 1, 3));
    assert!(planned.entries.iter().all(|entry| !entry.why.is_empty()));
    assert_eq!(told(&bench.plan(false).await, &["blobs"]), expected);
    let done = bench.run(false).await;
    assert_eq!((told(&done, &["blobs"]), done.applied), (expected, true));
    let after = bench.plan(false).await;
    let note = told(&after, &[&old]);
    assert!(matches!(note.as_slice(), [(_, false, Some(stays))] if *stays > 7 * 86_400), "{note:?}");
}

#[tokio::test]
async fn at_once_all_that_nothing_refers_to_goes_and_all_history_with_it() {
    let bench = Bench::new().await;
    let young = bench.dropped("1.0.0", b"young").await;
    let (aside, rows) = (bench.set_aside(), bench.plan(true).await);
    assert_eq!(
        told(&rows, &["blobs", "quarantine"]),
        [(young.clone(), true, None), ("quarantine/meta.redb.1".to_owned(), true, None)]
    );
    assert!(aside.exists());
    let journal = told(&rows, &["journal"]);
    assert!(!journal.is_empty() && journal.iter().all(|(_, goes, _)| *goes), "{journal:?}");
    let done = bench.run(true).await;
    assert_eq!(told(&done, &["blobs"]), [(young, true, None)]);
    assert!(!aside.exists());
    for (file, ..) in journal {
        let path = bench.registry.stores.blobs.data().join(&file);
        let text = fs::read(&path).unwrap_or_default();
        assert!(text.len() < 100, "{file} is still there");
        assert!(done.entries.iter().any(|entry| entry.file == file && entry.goes), "{file}");
    }
}

#[tokio::test]
async fn what_was_set_aside_stays_for_the_retention_and_uploads_for_their_time() {
    let bench = Bench::new().await;
    let aside = bench.set_aside();
    // The clock of this registry is set; that of the file system is not.
    let since = list(&bench.registry.stores.blobs).unwrap()[0].since.0;
    let clock = bench.registry.context(&bench.admin).now.0;
    bench.registry.pass_ms(since - clock);
    let context = bench.registry.context(&bench.admin);
    let announced = NewUpload { size: Some(3), ..NewUpload::default() };
    let upload = bench.registry.services.uploads.create(&context, announced).await.unwrap().upload;
    assert_eq!(
        told(&bench.plan(false).await, &["quarantine", "uploads"]),
        [("quarantine/meta.redb.1".to_owned(), false, Some(RETENTION + 1))]
    );
    bench.registry.pass_ms(25 * HOUR_MS);
    let expected = [("quarantine/meta.redb.1".to_owned(), true, None), (format!("uploads/{}", upload.id), true, None)];
    assert_eq!(told(&bench.plan(false).await, &["quarantine", "uploads"]), expected);
    assert_eq!(told(&bench.run(false).await, &["quarantine", "uploads"]), expected);
    assert!(!aside.exists());
    assert_eq!(told(&bench.plan(false).await, &["quarantine", "uploads"]), []);
}

#[tokio::test]
async fn what_a_snapshot_replaces_is_told_with_the_time_that_it_stays() {
    let bench = Bench::new().await;
    bench.registry.stores.metadata.rotate_now().await.unwrap();
    let mut replaced = Vec::new();
    for _ in 0..LOOKS_MAX {
        // The writer looks at its files once in a tick.
        bench.registry.pass_ticks(1);
        replaced = told(&bench.plan(false).await, &["journal"]);
        if !replaced.is_empty() {
            break;
        }
    }
    assert!(matches!(replaced.as_slice(), [(_, false, Some(_))]), "{replaced:?}");
}

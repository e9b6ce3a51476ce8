//! The sweep with time that is set by hand, and stopped in the middle.

use std::fs;
use std::sync::Arc;

use super::{Due, Mode, Swept};
use crate::domain::caller::Caller;
use crate::domain::digest::Sha256;
use crate::domain::refusal::Reason;
use crate::domain::token::Scope;
use crate::services::fixture_tests::{Body, Registry, name, number, refused, request};
use crate::services::versions::VersionRef;
use crate::services::yank::VersionTarget;
use crate::services::{Policy, ServiceError};
use crate::storage::journal::retention::NOTES_KEPT_TICKS;
use crate::storage::journal::retired::Note;
use crate::storage::progress::Unwatched;
use crate::storage::rows::BlobRow;
use crate::storage::tests::broken_fs::{BrokenFs, ENOSPC};
use crate::storage::{Cost, Metadata as _};

const RETENTION: u64 = 10;
const BYTES: &[u8] = b"artifact bytes";

struct Bench {
    registry: Registry,
    admin: Caller,
    fs: Arc<BrokenFs>,
}

impl Bench {
    async fn new() -> Self {
        let policy = Policy { free_bytes_min: 0, retention_ticks: RETENTION, ..Policy::default() };
        let fs = Arc::new(BrokenFs::default());
        let registry = Registry::on(Arc::clone(&fs) as Arc<_>, policy);
        let admin = registry.user("ada", Scope::Admin, "*").await;
        registry.pass_ticks(1);
        Self { registry, admin, fs }
    }

    async fn publish(&self, package: &str, version: &str) -> Result<(), ServiceError> {
        let context = self.registry.context(&self.admin);
        let published =
            self.registry.services.publish.publish(&context, request(package, version), &mut Body::of(BYTES)).await;
        published.map(drop)
    }

    async fn purge(&self, package: &str, version: &str) {
        let target = VersionTarget { package: name(package), number: number(version), precondition: None };
        self.registry.services.yanks.purge(&self.registry.context(&self.admin), &target, None).await.unwrap();
    }

    async fn sweep(&self, due: Due) -> Swept {
        self.registry.services.sweep.sweep(due, &Unwatched).await.unwrap()
    }

    async fn row(&self) -> Option<BlobRow> {
        let digest = Sha256::of(BYTES);
        self.registry.stores.metadata.read(Cost::Point, move |view| view.blob(&digest)).await.unwrap()
    }

    fn file(&self) -> Option<Vec<u8>> {
        fs::read(self.registry.blob_path(&Sha256::of(BYTES))).ok()
    }

    fn note(&self) -> Option<Note> {
        Note::parse(&self.file()?)
    }

    /// Bytes under their name that no row knows, as a crash leaves them.
    fn litter(&self, name: &Sha256, bytes: &[u8]) {
        let path = self.registry.blob_path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_blob_goes_when_nothing_has_referred_to_it_for_longer_than_the_retention() {
    let bench = Bench::new().await;
    bench.publish("json", "1.0.0").await.unwrap();
    bench.publish("json", "2.0.0").await.unwrap();
    bench.purge("json", "1.0.0").await;
    bench.registry.pass_ticks(5 * RETENTION);
    assert_eq!(bench.sweep(Due::Retention).await, Swept::default(), "a version still refers to it");
    bench.purge("json", "2.0.0").await;
    bench.registry.pass_ticks(RETENTION);
    assert_eq!(bench.sweep(Due::Retention).await, Swept::default(), "a tick is a second that has only begun");
    let dropped = bench.row().await.unwrap().dropped_since.unwrap();
    bench.registry.pass_ticks(1);
    let swept = Swept { blobs: 1, bytes: BYTES.len() as u64, ..Swept::default() };
    assert_eq!(bench.sweep(Due::Retention).await, swept);
    assert_eq!(bench.note(), Some(Note::Swept { dropped, at: dropped + RETENTION + 1 }));
    assert_eq!(bench.row().await, None);
    assert_eq!(bench.sweep(Due::Retention).await, Swept::default());
}

#[tokio::test]
async fn a_wall_clock_that_jumps_takes_nothing_away() {
    const CENTURY_MS: i64 = 100 * 365 * 24 * 3_600_000;
    let bench = Bench::new().await;
    bench.publish("json", "1.0.0").await.unwrap();
    bench.purge("json", "1.0.0").await;
    for jump in [CENTURY_MS, -2 * CENTURY_MS] {
        bench.registry.pass_ms(jump);
        assert_eq!(bench.sweep(Due::Retention).await, Swept::default());
        assert_eq!(bench.file().as_deref(), Some(BYTES));
    }
    bench.registry.pass_ticks(RETENTION + 1);
    assert_eq!(bench.sweep(Due::Retention).await.blobs, 1, "time that passed counts, whatever the clock says");
}

#[tokio::test]
async fn a_note_goes_when_no_copy_can_need_it_any_more() {
    let bench = Bench::new().await;
    bench.publish("json", "1.0.0").await.unwrap();
    bench.purge("json", "1.0.0").await;
    assert_eq!(bench.sweep(Due::Now).await.blobs, 1);
    bench.registry.pass_ticks(NOTES_KEPT_TICKS + RETENTION);
    assert_eq!(bench.sweep(Due::Retention).await.notes, 0);
    assert!(bench.note().is_some());
    bench.registry.pass_ticks(10);
    assert_eq!(bench.sweep(Due::Retention).await.notes, 1);
    assert_eq!(bench.file(), None);
}

#[tokio::test]
async fn at_once_means_at_once_and_only_what_nothing_refers_to() {
    let bench = Bench::new().await;
    bench.publish("json", "1.0.0").await.unwrap();
    bench.litter(&Sha256::of(b"litter"), b"litter");
    assert_eq!(bench.sweep(Due::Now).await, Swept { blobs: 1, bytes: 6, ..Swept::default() });
    assert!(!bench.registry.blob_path(&Sha256::of(b"litter")).exists());
    bench.purge("json", "1.0.0").await;
    assert_eq!(bench.sweep(Due::Now).await.blobs, 1);
    assert_eq!(bench.row().await, None);
    assert!(bench.note().is_some(), "a copy that is under way is refused");
}

#[tokio::test]
async fn the_same_bytes_are_published_again_over_their_note() {
    let bench = Bench::new().await;
    bench.publish("json", "1.0.0").await.unwrap();
    bench.purge("json", "1.0.0").await;
    bench.sweep(Due::Now).await;
    bench.publish("json", "2.0.0").await.unwrap();
    assert_eq!(bench.file().as_deref(), Some(BYTES));
    bench.registry.pass_ticks(NOTES_KEPT_TICKS * 2);
    assert_eq!(bench.sweep(Due::Retention).await, Swept::default());
    let (context, json) = (bench.registry.anonymous(), name("json"));
    assert!(bench.registry.services.downloads.artifact(&context, &json, VersionRef::Latest, None).await.is_ok());
}

#[tokio::test]
async fn what_somebody_holds_is_passed_by() {
    let bench = Bench::new().await;
    bench.publish("json", "1.0.0").await.unwrap();
    bench.purge("json", "1.0.0").await;
    bench.litter(&Sha256::of(b"litter"), b"litter");
    let held = bench.registry.stores.leases.take(vec![Sha256::of(BYTES), Sha256::of(b"litter")]).await.unwrap();
    assert_eq!(bench.sweep(Due::Now).await, Swept::default());
    drop(held);
    assert_eq!(bench.sweep(Due::Now).await.blobs, 2);
}

#[tokio::test]
async fn bytes_that_no_row_knows_go_a_retention_after_they_were_seen() {
    let bench = Bench::new().await;
    let (sound, rotten) = (Sha256::of(b"litter"), Sha256::of(b"something else"));
    bench.litter(&sound, b"litter");
    bench.litter(&rotten, b"rotten");
    assert_eq!(bench.sweep(Due::Retention).await, Swept { adopted: 2, ..Swept::default() });
    let rows =
        bench.registry.stores.metadata.read(Cost::Point, move |view| Ok((view.blob(&sound)?, view.blob(&rotten)?)));
    let (Some(sound_row), Some(rotten_row)) = rows.await.unwrap() else { panic!("no rows") };
    assert_eq!((sound_row.count, sound_row.damaged, sound_row.dropped_since), (0, false, Some(1)));
    assert_eq!((rotten_row.count, rotten_row.damaged, rotten_row.size), (0, true, 6));
    bench.registry.pass_ticks(RETENTION);
    assert_eq!(bench.sweep(Due::Retention).await.blobs, 0);
    bench.registry.pass_ticks(1);
    assert_eq!(bench.sweep(Due::Retention).await.blobs, 2);
}

#[tokio::test]
async fn a_publish_of_rotten_litter_writes_down_what_its_bytes_should_be() {
    let bench = Bench::new().await;
    bench.litter(&Sha256::of(BYTES), b"rotten");
    assert_eq!(bench.sweep(Due::Retention).await.adopted, 1);
    bench.publish("json", "1.0.0").await.unwrap();
    let row = bench.row().await.unwrap();
    assert_eq!((row.damaged, row.size, row.count), (false, BYTES.len() as u64, 1));
    assert_eq!(row.blake3.0, *blake3::hash(BYTES).as_bytes());
    assert_eq!(bench.file().as_deref(), Some(BYTES));
}

#[tokio::test]
async fn where_there_is_no_room_for_a_note_the_name_goes() {
    let bench = Bench::new().await;
    bench.publish("json", "1.0.0").await.unwrap();
    bench.purge("json", "1.0.0").await;
    bench.fs.fail_op("create", ENOSPC);
    assert_eq!(bench.sweep(Due::Now).await.blobs, 1);
    bench.fs.mend();
    assert_eq!(bench.file(), None);
}

#[tokio::test]
async fn what_could_not_be_removed_is_found_again() {
    let bench = Bench::new().await;
    bench.publish("json", "1.0.0").await.unwrap();
    bench.purge("json", "1.0.0").await;
    let path = bench.registry.blob_path(&Sha256::of(BYTES));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let swept = bench.sweep(Due::Now).await;
    assert_eq!((swept.blobs, swept.left), (1, 1));
    fs::remove_dir(&path).unwrap();
    bench.litter(&Sha256::of(BYTES), BYTES);
    assert_eq!(bench.sweep(Due::Now).await.blobs, 1);
    assert_eq!(bench.file(), None);
}

/// After each step of a sweep the process may end: what is there then is whole or is found and removed later.
#[tokio::test]
async fn a_sweep_that_ends_anywhere_leaves_nothing_wrong() {
    let mut call = 0;
    loop {
        call += 1;
        let bench = Bench::new().await;
        bench.publish("json", "1.0.0").await.unwrap();
        bench.publish("json", "2.0.0").await.unwrap();
        bench.purge("json", "1.0.0").await;
        bench.purge("json", "2.0.0").await;
        bench.fs.fail_call(call);
        let shard = Sha256::of(BYTES).0[0];
        let sweep = &bench.registry.services.sweep;
        let first = sweep.run(shard..=shard, sweep.rule(Due::Now, Mode::Work), &Unwatched).await.map(|_| ());
        let is_over = !bench.fs.mend();
        let Bench { registry, admin, fs } = bench;
        let bench = Bench { registry: registry.restarted(), admin, fs };
        if bench.row().await.is_some() {
            assert_eq!(bench.file().as_deref(), Some(BYTES), "call {call}: a row without its bytes ({first:?})");
        }
        bench.publish("json", "3.0.0").await.unwrap();
        assert_eq!(bench.file().as_deref(), Some(BYTES), "call {call}");
        bench.purge("json", "3.0.0").await;
        bench.sweep(Due::Now).await;
        assert!(bench.row().await.is_none() && bench.note().is_some(), "call {call}");
        if is_over {
            assert!(call > 10, "{call}");
            return;
        }
    }
}

#[tokio::test]
async fn a_publish_by_a_digest_that_was_swept_is_told_that_there_are_no_such_bytes() {
    let bench = Bench::new().await;
    bench.publish("json", "1.0.0").await.unwrap();
    let staged = bench.registry.stores.blobs.stage_stored(&Sha256::of(BYTES)).unwrap();
    bench.purge("json", "1.0.0").await;
    bench.sweep(Due::Now).await;
    let context = bench.registry.context(&bench.admin);
    let published = bench.registry.services.publish.publish_staged(&context, request("json", "2.0.0"), staged).await;
    assert_eq!(refused(published).reason, Reason::BlobNotFound);
}

//! What a publish refuses, whichever way its bytes came and whatever happened since it was admitted.

use super::*;
use crate::domain::caller::Caller;
use crate::domain::id::Id;
use crate::domain::package::{Dependency, Description};
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::domain::upload::{ContentRange, NewUpload, Part};
use crate::services::Policy;
use crate::services::fixture_tests::{Body, Registry, needs, refused, request};
use crate::services::uploads::ArtifactName;
use crate::storage::Moment;
use crate::storage::fs::RealFs;
use crate::storage::leases::Leases;
use crate::storage::redb::{Options, RedbMetadata};
use crate::storage::tests::broken_fs::{BrokenFs, EIO};

const BYTES: &[u8] = b"some bytes";

/// Uploads [`BYTES`] and publishes them by name.
async fn publish_named(registry: &Registry, context: &Context, request: PublishRequest) -> Refusal {
    let uploads = &registry.services.uploads;
    let id = uploads.create(context, NewUpload::default()).await.unwrap().upload.id;
    let part = Part { range: ContentRange::parse("bytes 0-9/10").unwrap(), length: None, sha256: None };
    uploads.append(context, id, &part, &mut Body::of(BYTES)).await.unwrap();
    uploads.finish(context, id, Sha256::of(BYTES)).await.unwrap();
    refused(uploads.publish(&registry.services.publish, context, request, ArtifactName::Upload(id)).await)
}

#[tokio::test]
async fn metadata_keeps_its_limits_whichever_way_the_bytes_came() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let long = |bytes: usize| "x".repeat(bytes);
    let many: Vec<Dependency> = (0..513).map(|at| needs(&format!("p{at} *"))).collect();
    let base = || request("gk/a", "1.0.0");
    let about = |about: Description| PublishRequest { about, ..base() };
    let wrong = [
        (PublishRequest { filename: Some("../a".to_owned()), ..base() }, Reason::InvalidField),
        (PublishRequest { readme: Some(long((256 << 10) + 1)), ..base() }, Reason::InvalidField),
        (PublishRequest { manifest: Some(long((64 << 10) + 1).into_bytes()), ..base() }, Reason::InvalidManifest),
        (PublishRequest { dependencies: Some(many), ..base() }, Reason::InvalidField),
        (PublishRequest { dependencies: Some(vec![needs("b *"), needs("b ^1")]), ..base() }, Reason::InvalidField),
        (about(Description { description: Some(long(1025)), ..Description::default() }), Reason::InvalidField),
        (about(Description { keywords: Some(vec![long(65)]), ..Description::default() }), Reason::InvalidField),
    ];
    for (request, reason) in wrong {
        let context = registry.context(&pia);
        for dry_run in [true, false] {
            let request = PublishRequest { dry_run, ..request.clone() };
            assert_eq!(publish_named(&registry, &context, request.clone()).await.reason, reason, "{request:?}");
            let raw = registry.services.publish.publish(&context, request, &mut Body::of(BYTES)).await;
            assert_eq!(refused(raw).reason, reason);
        }
    }
    assert!(!registry.blob_path(&Sha256::of(BYTES)).exists());
}

#[tokio::test]
async fn a_version_that_came_while_the_body_was_read_is_not_new() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let context = registry.context(&pia);
    let publish = &registry.services.publish;
    let only_new = PublishRequest { must_be_new: true, ..request("gk/a", "1.0.0") };
    assert!(matches!(publish.admit(&context, &only_new).await.unwrap(), Admission::ReadBody));
    let first = publish.publish(&context, request("gk/a", "1.0.0"), &mut Body::of(BYTES)).await.unwrap();
    assert!(first.created);
    let second = publish.publish(&context, only_new, &mut Body::of(BYTES)).await;
    assert_eq!(refused(second).reason, Reason::AlreadyExists);
}

#[tokio::test]
async fn a_repetition_leaves_no_bytes_that_nothing_refers_to() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let (context, publish) = (registry.context(&pia), &registry.services.publish);
    let archive = archive_with_readme(b"of the archive");
    let given = PublishRequest { readme: Some("given".to_owned()), ..request("gk/a", "1.0.0") };
    assert!(publish.publish(&context, given, &mut Body::of(&archive)).await.unwrap().created);
    let again = publish.publish(&context, request("gk/a", "1.0.0"), &mut Body::of(&archive)).await.unwrap();
    assert!(!again.created);
    assert!(registry.blob_path(&Sha256::of(&archive)).exists());
    assert!(registry.blob_path(&Sha256::of(b"given")).exists());
    assert!(!registry.blob_path(&Sha256::of(b"of the archive")).exists());
}

fn archive_with_readme(text: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    tar.append_data(&mut header, "README.md", text).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

#[tokio::test]
async fn a_write_that_failed_on_the_disk_keeps_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(BrokenFs::default());
    let clock = Box::new(|| Moment { now: Timestamp(1_700_000_000_000), tick: 0 });
    let fs = Arc::<BrokenFs>::clone(&disk);
    let options = Options { cache_bytes: 1 << 20, queue_length: 4, fs, clock, ..Options::default() };
    let stores = Stores {
        metadata: Arc::new(RedbMetadata::open(directory.path(), options).unwrap()),
        blobs: BlobStore::open(directory.path(), Arc::new(RealFs)).unwrap(),
        leases: Leases::default(),
        policy: Arc::new(Policy { free_bytes_min: 0, ..Policy::default() }),
    };
    let context = Context {
        caller: Caller::Local { uid: 0 },
        now: Timestamp(1_700_000_000_000),
        ip: None,
        request_id: "test".to_owned(),
        audit_id: Id(1),
    };
    let publish = PublishService::new(stores.clone());
    disk.fail_op("sync_data", EIO);
    let failed = publish.publish(&context, request("gk/a", "1.0.0"), &mut Body::of(BYTES)).await;
    assert!(matches!(failed, Err(ServiceError::Internal { .. })), "{failed:?}");
    assert!(stores.blobs.open_blob(&Sha256::of(BYTES)).is_ok());
    disk.mend();
    // What failed was perhaps the index, which is then built anew before long.
    loop {
        match publish.publish(&context, request("gk/a", "1.0.0"), &mut Body::of(BYTES)).await {
            Err(ServiceError::Refused(Refusal { reason: Reason::ReadOnly, .. })) => tokio::task::yield_now().await,
            published => break assert!(published.unwrap().created),
        }
    }
}

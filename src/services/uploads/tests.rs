//! Uploads over a real directory, through parts that break, restarts, and publishing by name.

use super::*;
use crate::domain::package::Visibility;
use crate::domain::token::Scope;
use crate::domain::upload::ContentRange;
use crate::services::Services;
use crate::services::fixture_tests::{Body, Registry, name, number, refused, request};
use crate::services::publish::PublishRequest;
use crate::services::versions::VersionRef;

const BYTES: &[u8] = b"0123456789abcdef";

fn part(range: &str) -> Part {
    Part { range: ContentRange::parse(range).unwrap(), length: None, sha256: None }
}

async fn begin(registry: &Registry, caller: &Caller) -> UploadId {
    let announced = NewUpload { size: Some(16), sha256: None };
    registry.services.uploads.create(&registry.context(caller), announced).await.unwrap().upload.id
}

async fn append(
    registry: &Registry,
    caller: &Caller,
    id: UploadId,
    part: &Part,
    mut body: Body,
) -> Result<UploadDetail, ServiceError> {
    registry.services.uploads.append(&registry.context(caller), id, part, &mut body).await
}

async fn offset(registry: &Registry, caller: &Caller, id: UploadId) -> u64 {
    registry.services.uploads.get(&registry.context(caller), id).await.unwrap().offset
}

/// A finished upload of [`BYTES`].
async fn finished(registry: &Registry, caller: &Caller) -> UploadId {
    let id = begin(registry, caller).await;
    append(registry, caller, id, &part("bytes 0-15/16"), Body::of(BYTES)).await.unwrap();
    registry.services.uploads.finish(&registry.context(caller), id, Sha256::of(BYTES)).await.unwrap();
    id
}

#[tokio::test]
async fn parts_go_together_across_a_restart() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let id = begin(&registry, &pia).await;
    let first = append(&registry, &pia, id, &part("bytes 0-5/16"), Body::of(&BYTES[..6])).await.unwrap();
    assert_eq!((first.offset, first.upload.size), (6, Some(16)));
    let registry = registry.restarted();
    assert_eq!(registry.services.uploads.reconcile().await.unwrap(), (0, 0));
    let early = registry.services.uploads.finish(&registry.context(&pia), id, Sha256::of(BYTES)).await;
    assert_eq!(refused(early).reason, Reason::UploadIncomplete);
    let last = append(&registry, &pia, id, &part("bytes 6-15/*"), Body::of(&BYTES[6..])).await.unwrap();
    assert_eq!((last.offset, last.upload.state), (16, UploadState::Open));
    let wrong = registry.services.uploads.finish(&registry.context(&pia), id, Sha256::of(b"other")).await;
    assert_eq!(refused(wrong).reason, Reason::DigestMismatch);
    for _ in 0..2 {
        let done = registry.services.uploads.finish(&registry.context(&pia), id, Sha256::of(BYTES)).await.unwrap();
        assert_eq!((done.upload.state, done.upload.sha256), (UploadState::Complete, Some(Sha256::of(BYTES))));
    }
    let more = append(&registry, &pia, id, &part("bytes 16-16/*"), Body::of(b"x")).await;
    assert_eq!(refused(more).reason, Reason::InvalidField);
}

#[tokio::test]
async fn the_right_offset_is_told() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let id = begin(&registry, &pia).await;
    append(&registry, &pia, id, &part("bytes 0-5/16"), Body::of(&BYTES[..6])).await.unwrap();
    let refusal = refused(append(&registry, &pia, id, &part("bytes 5-15/16"), Body::of(&BYTES[5..])).await);
    assert_eq!(refusal.reason, Reason::WrongOffset);
    let told: Vec<_> = refusal.details.iter().map(|detail| (detail.field.as_str(), detail.limit)).collect();
    assert_eq!(told, [("offset", Some(6))]);
    assert_eq!(offset(&registry, &pia, id).await, 6);
}

#[tokio::test]
async fn what_a_broken_body_brought_is_kept_and_what_is_wrong_is_not() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let id = begin(&registry, &pia).await;
    let whole = part("bytes 0-15/16");
    let broken = append(&registry, &pia, id, &whole, Body::cut_off_after(&BYTES[..7])).await;
    assert_eq!(refused(broken).reason, Reason::TruncatedBody);
    assert_eq!(offset(&registry, &pia, id).await, 7);
    let short = append(&registry, &pia, id, &part("bytes 7-15/16"), Body::of(&BYTES[7..9])).await;
    assert_eq!(refused(short).reason, Reason::TruncatedBody);
    assert_eq!(offset(&registry, &pia, id).await, 9);
    let digest = Part { sha256: Some(Sha256::of(b"other")), ..part("bytes 9-15/16") };
    let wrong = append(&registry, &pia, id, &digest, Body::of(&BYTES[9..])).await;
    assert_eq!(refused(wrong).reason, Reason::DigestMismatch);
    assert_eq!(offset(&registry, &pia, id).await, 9);
    let long = append(&registry, &pia, id, &part("bytes 9-10/16"), Body::of(&BYTES[9..])).await;
    assert_eq!(refused(long).reason, Reason::InvalidField);
    assert_eq!(offset(&registry, &pia, id).await, 9);
    let right = Part { sha256: Some(Sha256::of(&BYTES[9..])), ..digest };
    assert_eq!(append(&registry, &pia, id, &right, Body::of(&BYTES[9..])).await.unwrap().offset, 16);
    registry.services.uploads.finish(&registry.context(&pia), id, Sha256::of(BYTES)).await.unwrap();
}

#[tokio::test]
async fn an_upload_is_its_users_alone_and_has_one_writer() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let root = registry.user("root", Scope::Admin, "*").await;
    let id = begin(&registry, &pia).await;
    let uploads = &registry.services.uploads;
    for other in [&root, &Caller::Local { uid: 0 }, &Caller::Anonymous] {
        let context = registry.context(other);
        assert_eq!(refused(uploads.get(&context, id).await).reason, Reason::UploadNotFound);
        assert_eq!(refused(uploads.remove(&context, id).await).reason, Reason::UploadNotFound);
        let appended = append(&registry, other, id, &part("bytes 0-15/16"), Body::of(BYTES)).await;
        assert_eq!(refused(appended).reason, Reason::UploadNotFound);
    }
    let writer = registry.stores.blobs.open_upload(&id).unwrap();
    let second = append(&registry, &pia, id, &part("bytes 0-15/16"), Body::of(BYTES)).await;
    assert_eq!(refused(second).reason, Reason::UploadBusy);
    assert_eq!(refused(uploads.remove(&registry.context(&pia), id).await).reason, Reason::UploadBusy);
    drop(writer);
    let own = begin(&registry, &Caller::Local { uid: 0 }).await;
    uploads.remove(&registry.context(&Caller::Local { uid: 7 }), own).await.unwrap();
    assert_eq!(uploads.remove(&registry.context(&pia), id).await.unwrap().upload.id, id);
    assert_eq!(refused(uploads.get(&registry.context(&pia), id).await).reason, Reason::UploadNotFound);
    assert_eq!(std::fs::read_dir(registry.uploads_dir()).unwrap().count(), 0);
}

#[tokio::test]
async fn limits_hold_before_a_byte_is_stored() {
    let limits = Policy { free_bytes_min: 0, artifact_bytes_max: 20, uploads_per_user_max: 2, ..Policy::default() };
    let registry = Registry::with(limits);
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let max = registry.user("max", Scope::Publish, "*").await;
    let uploads = &registry.services.uploads;
    let create =
        async |caller: &Caller, size| uploads.create(&registry.context(caller), NewUpload { size, sha256: None }).await;
    assert_eq!(refused(create(&pia, Some(21)).await).reason, Reason::ArtifactTooLarge);
    let open = create(&pia, None).await.unwrap().upload.id;
    let large = append(&registry, &pia, open, &part("bytes 0-20/*"), Body::of(&[0; 21])).await;
    assert_eq!(refused(large).reason, Reason::ArtifactTooLarge);
    finished(&registry, &pia).await;
    create(&pia, None).await.unwrap();
    assert_eq!(refused(create(&pia, None).await).reason, Reason::TooManyUploads);
    create(&max, None).await.unwrap();
    let full = Registry::with(Policy { free_bytes_min: u64::MAX, ..Policy::default() });
    let pia = full.user("pia", Scope::Publish, "*").await;
    let refusal = refused(full.services.uploads.create(&full.context(&pia), NewUpload::default()).await);
    assert_eq!(refusal.reason, Reason::StorageFull);
    assert_eq!(std::fs::read_dir(full.uploads_dir()).unwrap().count(), 0);
}

#[tokio::test]
async fn uploads_expire_a_while_after_their_last_byte() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let ttl_ms = registry.stores.policy.upload_ttl_ms;
    let (idle, used) = (begin(&registry, &pia).await, begin(&registry, &pia).await);
    registry.pass_ms(ttl_ms - 1);
    append(&registry, &pia, used, &part("bytes 0-5/16"), Body::of(&BYTES[..6])).await.unwrap();
    registry.pass_ms(1);
    let uploads = &registry.services.uploads;
    assert_eq!(refused(uploads.get(&registry.context(&pia), idle).await).reason, Reason::UploadNotFound);
    assert_eq!(uploads.expire_uploads().await.unwrap(), 1);
    assert_eq!(uploads.expire_uploads().await.unwrap(), 0);
    assert_eq!(offset(&registry, &pia, used).await, 6);
    assert_eq!(registry.stores.blobs.list_uploads().unwrap(), [used]);
}

#[tokio::test]
async fn a_start_removes_what_a_stop_left_in_halves() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let (kept, no_file) = (begin(&registry, &pia).await, begin(&registry, &pia).await);
    registry.stores.blobs.remove_upload(&no_file).unwrap();
    registry.stores.blobs.create_upload(&crate::domain::id::Id(7)).unwrap();
    let registry = registry.restarted();
    let uploads = &registry.services.uploads;
    assert_eq!(uploads.reconcile().await.unwrap(), (1, 1));
    assert_eq!(uploads.reconcile().await.unwrap(), (0, 0));
    assert_eq!(registry.stores.blobs.list_uploads().unwrap(), [kept]);
    assert_eq!(refused(uploads.get(&registry.context(&pia), no_file).await).reason, Reason::UploadNotFound);
}

async fn publish(
    registry: &Registry,
    caller: &Caller,
    request: PublishRequest,
    artifact: ArtifactName,
) -> Result<crate::services::publish::Published, ServiceError> {
    let Services { uploads, publish, .. } = &registry.services;
    uploads.publish(publish, &registry.context(caller), request, artifact).await
}

#[tokio::test]
async fn an_upload_is_published_by_its_id_or_digest_and_used_up() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let open = begin(&registry, &pia).await;
    let unfinished = publish(&registry, &pia, request("gk/a", "1.0.0"), ArtifactName::Upload(open)).await;
    assert_eq!(refused(unfinished).reason, Reason::UploadIncomplete);
    let digest = Sha256::of(BYTES);
    for (version, by_digest) in [("1.0.0", false), ("2.0.0", true)] {
        let id = finished(&registry, &pia).await;
        let artifact = if by_digest { ArtifactName::Sha256(digest) } else { ArtifactName::Upload(id) };
        let dry = PublishRequest { dry_run: true, ..request("gk/a", version) };
        assert!(publish(&registry, &pia, dry, artifact).await.unwrap().dry_run);
        let other = PublishRequest { sha256: Some(Sha256::of(b"other")), ..request("gk/a", version) };
        assert_eq!(refused(publish(&registry, &pia, other, artifact).await).reason, Reason::DigestMismatch);
        let published = publish(&registry, &pia, request("gk/a", version), artifact).await.unwrap();
        assert_eq!((published.created, published.detail.version.artifact.sha256), (true, digest));
        let gone = registry.services.uploads.get(&registry.context(&pia), id).await;
        assert_eq!(refused(gone).reason, Reason::UploadNotFound);
    }
    let which = VersionRef::Number(number("2.0.0"));
    let download = registry.services.downloads.artifact(&registry.anonymous(), &name("gk/a"), which, None).await;
    let mut reader = download.unwrap().whole();
    assert_eq!(reader.next().await.unwrap().as_deref(), Some(BYTES));
}

#[tokio::test]
async fn a_digest_is_only_as_good_as_the_right_to_read_it() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let max = registry.user("max", Scope::Publish, "*").await;
    registry.publish_each(&pia, Visibility::Private, &["gk/hidden"]).await;
    let digest = Sha256::of(b"gk/hidden 1.0.0");
    let uploaded = finished(&registry, &pia).await;
    let mut answers = Vec::new();
    for unknown in [digest, Sha256::of(BYTES), Sha256::of(b"never stored")] {
        let refusal = refused(publish(&registry, &max, request("max", "1.0.0"), ArtifactName::Sha256(unknown)).await);
        assert_eq!(refusal.reason, Reason::BlobNotFound);
        answers.push(refusal.message.replace(&unknown.to_hex(), ""));
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
    let by_id = publish(&registry, &max, request("max", "1.0.0"), ArtifactName::Upload(uploaded)).await;
    assert_eq!(refused(by_id).reason, Reason::UploadNotFound);
    let again = publish(&registry, &pia, request("gk/copy", "1.0.0"), ArtifactName::Sha256(digest)).await.unwrap();
    assert_eq!((again.created, again.detail.version.artifact.size), (true, 15));
    let copied = publish(&registry, &max, request("max", "1.0.0"), ArtifactName::Sha256(digest)).await.unwrap();
    assert!(copied.created, "gk/copy is public");
}

#[tokio::test]
async fn stored_bytes_that_are_damaged_are_not_published_again() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    registry.publish_each(&pia, Visibility::Public, &["gk/a"]).await;
    let digest = Sha256::of(b"gk/a 1.0.0");
    let path = registry.blob_path(&digest);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"gk/a 1.0.1").unwrap();
    let refusal = refused(publish(&registry, &pia, request("gk/b", "1.0.0"), ArtifactName::Sha256(digest)).await);
    assert_eq!(refusal.reason, Reason::ArtifactDamaged);
    std::fs::remove_file(&path).unwrap();
    let refusal = refused(publish(&registry, &pia, request("gk/b", "1.0.0"), ArtifactName::Sha256(digest)).await);
    assert_eq!(refusal.reason, Reason::ArtifactDamaged);
}

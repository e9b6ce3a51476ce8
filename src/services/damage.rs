//! Makes sure of blobs that seem to be damaged or missing, and marks them or takes the mark away.
//!
//! A mark says that the bytes are not served. It comes from reading all of them here, never from the word of whoever
//! met them, and goes when they are right again: put back by hand here, or by a publish of the same bytes there.

use std::sync::Arc;

use super::{ServiceError, Stores};
use crate::domain::change::{BlobFacts, Change};
use crate::domain::digest::{Blake3, Sha256};
use crate::storage::blobs::{BlobError, BlobStore, Soundness, Standing};
use crate::storage::rows::BlobRow;
use crate::storage::{Cost, Decided, Metadata as _, View};

/// How often a blob is read again because its file was replaced while its mark was written.
const LOOKS_MAX: usize = 3;
/// What an unreadable sector gives (EIO); other errors say something about this process rather than about the bytes.
const UNREADABLE: i32 = 5;

/// What became of blobs that were looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Confirmed {
    /// Marked as damaged now.
    pub damaged: u64,
    /// Marked before, and found right.
    pub healed: u64,
}

/// Marks damaged blobs.
pub struct DamageService {
    stores: Stores,
}

impl DamageService {
    /// Looks at the blobs of `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores }
    }

    /// Waits until a blob was met that seems damaged or missing; those that were, possibly none.
    pub async fn suspected(&self) -> Vec<Sha256> {
        self.stores.blobs.suspected().await
    }

    /// Reads each of these blobs that a row knows, and marks it or takes its mark away.
    ///
    /// # Errors
    /// That the store failed, or a file could not be looked at for another reason than damage.
    pub async fn confirm(&self, suspects: Vec<Sha256>) -> Result<Confirmed, ServiceError> {
        let mut confirmed = Confirmed::default();
        for sha256 in suspects {
            for _ in 0..LOOKS_MAX {
                if self.look(sha256, &mut confirmed).await? {
                    break;
                }
            }
        }
        Ok(confirmed)
    }

    /// `false` when the file became another one meanwhile.
    async fn look(&self, sha256: Sha256, confirmed: &mut Confirmed) -> Result<bool, ServiceError> {
        // Keeps the sweeper away, so that no row comes or goes but by a publish.
        let lease = self.stores.leases.take(vec![sha256]).await?;
        let row = self.stores.metadata.read(Cost::Point, move |view| view.blob(&sha256)).await?;
        let Some(row) = row.filter(|row| row.count > 0 || row.damaged) else { return Ok(true) };
        let (stood, soundness) = self.stores.blobs.blocking(move |blobs| examine(blobs, &row)).await?;
        let mark = match (soundness, row.damaged) {
            (Soundness::Sound, false) | (Soundness::Damaged | Soundness::Missing, true) => return Ok(true),
            (Soundness::Sound, true) => Change::PutBlob(BlobFacts { sha256, blake3: row.blake3, size: row.size }),
            (Soundness::Damaged | Soundness::Missing, false) => Change::MarkBlobDamaged(sha256),
        };
        let write = move |_: &View<'_>, _| Ok(Decided { changes: vec![mark.clone()], answer: () });
        self.stores.metadata.change(write).await?;
        // A publish that put right bytes there before the mark has taken away no mark.
        let stands = self.stores.blobs.blocking(move |blobs| blobs.standing(&sha256)).await?;
        drop(lease);
        if stands != stood {
            return Ok(false);
        }
        if soundness == Soundness::Sound {
            tracing::info!(%sha256, "a blob that was marked as damaged is right again and is served");
            confirmed.healed += 1;
        } else {
            let (what, versions) = (if soundness == Soundness::Missing { "missing" } else { "damaged" }, row.count);
            tracing::error!(%sha256, what, versions, "a blob is not what was stored: it is not served any more");
            confirmed.damaged += 1;
        }
        Ok(true)
    }
}

/// What stands under the name, and what its bytes are.
fn examine(blobs: &Arc<BlobStore>, row: &BlobRow) -> Result<(Standing, Soundness), BlobError> {
    let stands = blobs.standing(&row.sha256)?;
    let blake3 = Some(&row.blake3).filter(|blake3| **blake3 != Blake3([0; 32]));
    match blobs.verify(&row.sha256, row.size, blake3) {
        Ok(soundness) => Ok((stands, soundness)),
        Err(BlobError::Io { source, .. }) if source.raw_os_error() == Some(UNREADABLE) => {
            Ok((stands, Soundness::Damaged))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::Caller;
    use crate::domain::refusal::Reason;
    use crate::domain::token::Scope;
    use crate::services::fixture_tests::{Body, Registry, name, number, refused, request};
    use crate::services::publish::{Admission, PublishRequest};
    use crate::services::versions::VersionRef;
    use crate::storage::tables::Counter;

    const BYTES: &[u8] = b"artifact bytes";

    async fn registry() -> (Registry, Caller, Sha256) {
        let registry = Registry::new();
        let pia = registry.user("pia", Scope::Publish, "*").await;
        publish(&registry, &pia).await;
        (registry, pia, Sha256::of(BYTES))
    }

    fn asked() -> PublishRequest {
        let readme = Some("Read me.".to_owned());
        PublishRequest { readme, sha256: Some(Sha256::of(BYTES)), ..request("json", "1.0.0") }
    }

    async fn publish(registry: &Registry, pia: &Caller) {
        let context = registry.context(pia);
        registry.services.publish.publish(&context, asked(), &mut Body::of(BYTES)).await.unwrap();
    }

    async fn marked(registry: &Registry, sha256: Sha256) -> (bool, u64) {
        let look = move |view: &View<'_>| {
            Ok((view.blob(&sha256)?.is_some_and(|row| row.damaged), view.counter(Counter::BlobsDamaged)?))
        };
        registry.stores.metadata.read(Cost::Point, look).await.unwrap()
    }

    fn put(registry: &Registry, sha256: &Sha256, bytes: &[u8]) {
        let path = registry.blob_path(sha256);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }

    async fn artifact(registry: &Registry) -> Result<Sha256, ServiceError> {
        let (context, json) = (registry.anonymous(), name("json"));
        let which = VersionRef::Number(number("1.0.0"));
        Ok(registry.services.downloads.artifact(&context, &json, which, None).await?.sha256)
    }

    #[tokio::test]
    async fn what_is_damaged_is_marked_and_what_is_right_again_is_served() {
        let (registry, _, sha256) = registry().await;
        let damage = &registry.services.damage;
        put(&registry, &sha256, b"artifact bytEs");
        let confirmed = damage.confirm(vec![sha256, Sha256::of(b"unknown")]).await.unwrap();
        assert_eq!((confirmed, marked(&registry, sha256).await), (Confirmed { damaged: 1, healed: 0 }, (true, 1)));
        assert_eq!(damage.confirm(vec![sha256]).await.unwrap(), Confirmed::default());
        assert_eq!(refused(artifact(&registry).await).reason, Reason::ArtifactDamaged);
        let (context, json) = (registry.anonymous(), name("json"));
        assert!(registry.services.downloads.readme(&context, &json, VersionRef::Latest).await.is_ok());
        assert!(registry.services.versions.get(&context, &json, VersionRef::Latest).await.is_ok());
        put(&registry, &sha256, BYTES);
        assert_eq!(damage.confirm(vec![sha256]).await.unwrap(), Confirmed { damaged: 0, healed: 1 });
        assert_eq!((artifact(&registry).await.unwrap(), marked(&registry, sha256).await), (sha256, (false, 0)));
    }

    #[tokio::test]
    async fn who_meets_a_missing_blob_has_it_marked() {
        let (registry, _, sha256) = registry().await;
        std::fs::remove_file(registry.blob_path(&sha256)).unwrap();
        assert_eq!(refused(artifact(&registry).await).reason, Reason::ArtifactDamaged);
        let suspects = registry.services.damage.suspected().await;
        assert_eq!(suspects, [sha256]);
        registry.services.damage.confirm(suspects).await.unwrap();
        assert_eq!(marked(&registry, sha256).await, (true, 1));
    }

    #[tokio::test]
    async fn a_suspicion_without_ground_changes_nothing() {
        let (registry, _, sha256) = registry().await;
        assert_eq!(registry.services.damage.confirm(vec![sha256]).await.unwrap(), Confirmed::default());
        assert_eq!(marked(&registry, sha256).await, (false, 0));
    }

    #[tokio::test]
    async fn a_publish_of_the_same_bytes_heals_whatever_of_them_is_marked() {
        let (registry, pia, sha256) = registry().await;
        let readme = Sha256::of(b"Read me.");
        for digest in [sha256, readme] {
            put(&registry, &digest, b"other");
            registry.services.damage.confirm(vec![digest]).await.unwrap();
            assert_eq!(marked(&registry, digest).await, (true, 1));
            let admitted = registry.services.publish.admit(&registry.context(&pia), &asked()).await.unwrap();
            assert!(matches!(admitted, Admission::ReadBody), "the bytes are needed");
            publish(&registry, &pia).await;
            assert_eq!(marked(&registry, digest).await, (false, 0));
            assert_eq!(artifact(&registry).await.unwrap(), sha256);
        }
        let admitted = registry.services.publish.admit(&registry.context(&pia), &asked()).await.unwrap();
        assert!(matches!(admitted, Admission::Done(_)));
    }

    #[tokio::test]
    async fn right_bytes_that_are_still_marked_are_asked_for_again() {
        let (registry, pia, sha256) = registry().await;
        registry.record(vec![Change::MarkBlobDamaged(sha256)]).await;
        let admitted = registry.services.publish.admit(&registry.context(&pia), &asked()).await.unwrap();
        assert!(matches!(admitted, Admission::ReadBody));
        publish(&registry, &pia).await;
        assert_eq!(marked(&registry, sha256).await, (false, 0));
    }
}

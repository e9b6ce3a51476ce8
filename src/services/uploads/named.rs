//! Publishing by name: bytes that were uploaded before, or that the caller may read already.

use std::sync::Arc;

use super::{UploadService, own};
use crate::domain::digest::Sha256;
use crate::domain::refusal::Refusal;
use crate::domain::upload::{Upload, UploadId, UploadState, mismatch, unfinished};
use crate::services::download::blob_not_found;
use crate::services::load::readable_blob;
use crate::services::publish::{Admission, PublishRequest, PublishService, Published};
use crate::services::versions::settle;
use crate::services::{Context, ServiceError};
use crate::storage::blobs::{BlobError, BlobStore, Staged};
use crate::storage::{ChangeError, Cost, Metadata as _, View};

/// How the bytes of a publish are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArtifactName {
    /// By the upload that brought them.
    Upload(UploadId),
    /// By their digest.
    Sha256(Sha256),
}

/// Bytes that were named, ready to be published.
#[derive(Debug)]
pub struct NamedArtifact {
    /// The bytes.
    pub staged: Staged,
    /// The upload that they are of, which a publish uses up.
    pub upload: Option<UploadId>,
}

/// Where named bytes are.
enum Place {
    Uploaded(Box<Upload>),
    Stored(Sha256),
}

impl UploadService {
    /// Publishes bytes by name; the upload that brought them is used up by it.
    ///
    /// # Errors
    /// Those of [`PublishService::admit`] and [`PublishService::publish_staged`], then those of
    /// [`UploadService::open_for_publish`]; `digest_mismatch` when the request announces other bytes than it names.
    pub async fn publish(
        &self,
        publisher: &PublishService,
        context: &Context,
        mut request: PublishRequest,
        name: ArtifactName,
    ) -> Result<Published, ServiceError> {
        if let ArtifactName::Sha256(digest) = name {
            request.sha256 = request.sha256.or(Some(digest));
        }
        if let Admission::Done(published) = publisher.admit(context, &request).await? {
            return Ok(*published);
        }
        let NamedArtifact { staged, upload } = self.open_for_publish(context, name).await?;
        check_announced(request.sha256, staged.sha256())?;
        let used_up = upload.filter(|_| !request.dry_run);
        let published = publisher.publish_staged(context, request, staged).await?;
        if let Some(id) = used_up {
            self.use_up(id).await;
        }
        Ok(published)
    }

    /// Opens named bytes: a finished upload of the caller's own, or what the caller may read now.
    ///
    /// # Errors
    /// `upload_not_found`, `upload_incomplete`, `upload_busy`; `blob_not_found` for any digest that the caller neither
    /// uploaded nor may read, stored or not; `artifact_damaged`.
    pub async fn open_for_publish(&self, context: &Context, name: ArtifactName) -> Result<NamedArtifact, ServiceError> {
        let (context, stores) = (context.clone(), &self.stores);
        let look = move |view: &View<'_>| settle(find(view, &context, name));
        match stores.metadata.read(Cost::Scan, look).await?? {
            Place::Uploaded(upload) => {
                let file = self.open(upload.id).await?;
                let staged = stores.blobs.blocking(move |_| file.finish()).await?;
                match upload.sha256 {
                    Some(sha256) if sha256 != staged.sha256() => Err(BlobError::Damaged { sha256 }.into()),
                    Some(_) | None => Ok(NamedArtifact { staged, upload: Some(upload.id) }),
                }
            }
            Place::Stored(digest) => {
                let stage = move |blobs: &Arc<BlobStore>| blobs.stage_stored(&digest);
                Ok(NamedArtifact { staged: stores.blobs.blocking(stage).await?, upload: None })
            }
        }
    }

    /// Removes an upload that was published. The version stands whatever comes of it; what stays expires.
    async fn use_up(&self, id: UploadId) {
        let removed = match self.remove_file(id).await {
            Ok(_) => self.forget(vec![id]).await,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!(%error, upload = %id, "an upload that was published stays until it expires");
        }
    }
}

fn find(view: &View<'_>, context: &Context, name: ArtifactName) -> Result<Place, ChangeError> {
    let Context { caller, now, .. } = context;
    let digest = match name {
        ArtifactName::Upload(id) => {
            let upload = own(view, caller, id, *now)?;
            return match upload.state {
                UploadState::Complete => Ok(Place::Uploaded(Box::new(upload))),
                UploadState::Open => Err(unfinished(id).into()),
            };
        }
        ArtifactName::Sha256(digest) => digest,
    };
    let mut uploaded = None;
    view.scan_uploads(|upload| {
        let finished = upload.state == UploadState::Complete && upload.sha256 == Some(digest);
        if finished && upload.is_visible(caller, *now) {
            uploaded = Some(upload);
            return Ok(std::ops::ControlFlow::Break(()));
        }
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    if let Some(upload) = uploaded {
        return Ok(Place::Uploaded(Box::new(upload)));
    }
    match readable_blob(view, caller, &digest)? {
        Some(_) => Ok(Place::Stored(digest)),
        None => Err(blob_not_found(&digest).into()),
    }
}

fn check_announced(announced: Option<Sha256>, found: Sha256) -> Result<(), Refusal> {
    match announced {
        Some(announced) if announced != found => Err(mismatch(&found, &announced)),
        Some(_) | None => Ok(()),
    }
}

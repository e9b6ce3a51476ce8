//! What ends uploads without their user: their time, and what a stop in the middle left.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::UploadService;
use crate::domain::upload::{Upload, UploadId};
use crate::services::ServiceError;
use crate::storage::blobs::{BlobError, BlobStore};
use crate::storage::{Cost, Decided, Metadata as _, Moment, StoreError, View};

impl UploadService {
    /// The uploads whose time is over.
    ///
    /// # Errors
    /// That the store failed.
    pub async fn expired(&self) -> Result<Vec<UploadId>, ServiceError> {
        // Nothing is written here: a decision is told the time, which a read is not.
        let look = |view: &View<'_>, moment: Moment| {
            Ok(Decided::unchanged(matching(view, |upload| upload.expires_at <= moment.now)?))
        };
        Ok(self.stores.metadata.change(look).await?)
    }

    /// Removes the uploads whose time is over, but those that somebody writes to just now: how many there were.
    ///
    /// # Errors
    /// That the store or the disk failed; what was not removed is seen again the next time.
    pub async fn expire_uploads(&self) -> Result<usize, ServiceError> {
        let expired = self.expired().await?;
        let mut removed = Vec::new();
        for id in expired {
            match self.stores.blobs.blocking(move |blobs| blobs.remove_upload(&id)).await {
                Ok(_) => removed.push(id),
                Err(BlobError::Busy) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let count = removed.len();
        if count > 0 {
            self.forget(removed).await?;
        }
        Ok(count)
    }

    /// Removes files without a row and rows without a file: how many of each. Runs once, before anybody is served: an
    /// upload that is just being begun has a file and no row yet.
    ///
    /// # Errors
    /// That the store or the disk failed.
    pub async fn reconcile(&self) -> Result<(usize, usize), ServiceError> {
        let files: HashSet<UploadId> =
            self.stores.blobs.blocking(|blobs| blobs.list_uploads()).await?.into_iter().collect();
        let rows = self.stores.metadata.read(Cost::Scan, |view| matching(view, |_| true)).await?;
        let dangling: Vec<UploadId> = rows.iter().copied().filter(|id| !files.contains(id)).collect();
        let rows: HashSet<UploadId> = rows.into_iter().collect();
        let litter: Vec<UploadId> = files.into_iter().filter(|id| !rows.contains(id)).collect();
        let counts = (litter.len(), dangling.len());
        let remove = move |blobs: &Arc<BlobStore>| litter.iter().try_for_each(|id| blobs.remove_upload(id).map(|_| ()));
        self.stores.blobs.blocking(remove).await?;
        if !dangling.is_empty() {
            self.forget(dangling).await?;
        }
        Ok(counts)
    }
}

fn matching(view: &View<'_>, wanted: impl Fn(&Upload) -> bool) -> Result<Vec<UploadId>, StoreError> {
    let mut ids = Vec::new();
    view.scan_uploads(|upload| {
        if wanted(&upload) {
            ids.push(upload.id);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(ids)
}

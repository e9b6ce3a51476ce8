//! Names under `blobs/` that no row knows: bytes that a crash left between their link and their row, or that a sweep could
//! not remove, and notes of blobs that were swept.
//!
//! Bytes get a row that says that nothing refers to them since now, and go with the others when the retention is over:
//! they may just be what a publish is about to refer to. Those that are not what their name says are marked as damaged.

use std::sync::Arc;

use super::{Due, PAGE_ROWS, Sweep, SweepError};
use crate::domain::change::Change;
use crate::domain::digest::Sha256;
use crate::services::{ServiceError, Stores};
use crate::storage::blobs::{BlobError, BlobStore, Litter, Standing};
use crate::storage::journal::retention::may_forget;
use crate::storage::leases::ExclusiveLease;
use crate::storage::{Cost, Decided, Metadata as _, View};

/// What a name without a row is.
#[derive(Clone, Copy, Debug)]
pub(in crate::services) struct Stray {
    pub(in crate::services) sha256: Sha256,
    pub(in crate::services) stands: Standing,
}

/// The names in one of the 256 directories that no row knows.
pub(in crate::services) async fn strays(stores: &Stores, first_byte: u8) -> Result<Vec<Stray>, ServiceError> {
    let names = stores.blobs.blocking(move |blobs| blobs.names(first_byte)).await?;
    let mut unknown = Vec::new();
    for page in names.chunks(PAGE_ROWS) {
        let page = page.to_vec();
        let load = move |view: &View<'_>| {
            let mut unknown = Vec::new();
            for digest in page {
                if view.blob(&digest)?.is_none() {
                    unknown.push(digest);
                }
            }
            Ok(unknown)
        };
        unknown.extend(stores.metadata.read(Cost::Scan, load).await?);
    }
    let look = move |blobs: &Arc<BlobStore>| {
        let stray = |sha256: Sha256| match blobs.standing(&sha256) {
            Ok(stands) => Some(Stray { sha256, stands }),
            Err(error) => {
                tracing::warn!(%error, %sha256, "what no row knows can't be looked at and stays");
                None
            }
        };
        Ok(unknown.into_iter().filter_map(stray).collect())
    };
    Ok(stores.blobs.blocking(look).await?)
}

impl Sweep<'_> {
    pub(super) async fn litter(&mut self, first_byte: u8) -> Result<(), SweepError> {
        let mut notes = Vec::new();
        for Stray { sha256, stands } in strays(self.stores, first_byte).await? {
            match stands {
                Standing::Note(note) if may_forget(note.at(), self.now.tick, self.rule.retention) => notes.push(sha256),
                Standing::Nothing | Standing::Note(_) => {}
                Standing::Bytes(_) => {
                    self.stray(sha256).await?;
                    self.advance(1)?;
                }
            }
        }
        for batch in notes.chunks(super::BATCH) {
            self.forget(batch).await?;
            self.rest().await;
        }
        Ok(())
    }

    async fn stray(&mut self, sha256: Sha256) -> Result<(), ServiceError> {
        // A publish holds what it linked until its row is there.
        let Some(alone) = self.stores.leases.try_exclusive(sha256) else { return Ok(()) };
        match self.rule.due {
            Due::Now => self.discard(alone).await,
            Due::Retention => {
                drop(alone);
                self.adopt(sha256).await
            }
        }
    }

    /// Gives bytes that nobody refers to a row, since when.
    async fn adopt(&mut self, sha256: Sha256) -> Result<(), ServiceError> {
        // Together with others: hashing takes long, and a publish that refers to the bytes meanwhile is right.
        let lease = self.stores.leases.take(vec![sha256]).await?;
        let litter = match self.stores.blobs.blocking(move |blobs| blobs.identify(&sha256)).await {
            Ok(litter) => litter,
            Err(BlobError::Missing) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, %sha256, "what no row knows can't be read and stays");
                return Ok(());
            }
        };
        let decide = move |view: &View<'_>, _| {
            let is_known = view.blob(&sha256)?.is_some();
            let changes = if is_known { Vec::new() } else { changes(&litter) };
            Ok(Decided { changes, answer: !is_known })
        };
        let adopted = self.stores.metadata.change(decide).await?;
        drop(lease);
        if adopted {
            tracing::info!(%sha256, sound = litter.is_sound, "bytes that no row knew go after the retention");
            self.swept.adopted += 1;
        }
        Ok(())
    }

    /// Removes bytes that nobody refers to at once.
    async fn discard(&mut self, alone: ExclusiveLease) -> Result<(), ServiceError> {
        let sha256 = alone.digest();
        if self.stores.metadata.read(Cost::Point, move |view| view.blob(&sha256)).await?.is_some() {
            return Ok(());
        }
        let remove = move |blobs: &Arc<BlobStore>| {
            let size = match blobs.open_blob(&sha256) {
                Ok(blob) => blob.size(),
                Err(BlobError::Missing) => return Ok(None),
                Err(_) => 0,
            };
            let removed = blobs.remove(&sha256)?.then_some(size);
            drop(alone);
            Ok(removed)
        };
        if let Some(bytes) = self.stores.blobs.blocking(remove).await? {
            self.swept.blobs += 1;
            self.swept.bytes += bytes;
        }
        Ok(())
    }

    async fn forget(&mut self, batch: &[Sha256]) -> Result<(), ServiceError> {
        let leases: Vec<ExclusiveLease> =
            batch.iter().filter_map(|digest| self.stores.leases.try_exclusive(*digest)).collect();
        self.swept.notes += self.stores.blobs.blocking(move |blobs| blobs.remove_notes(&leases)).await?;
        Ok(())
    }
}

fn changes(litter: &Litter) -> Vec<Change> {
    let mut changes = vec![Change::PutBlob(litter.facts)];
    if !litter.is_sound {
        changes.push(Change::MarkBlobDamaged(litter.facts.sha256));
    }
    changes
}

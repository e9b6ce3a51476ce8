//! Names under `blobs/` that no row knows: bytes that a crash left between their link and their row, or that a sweep could
//! not remove, and notes of blobs that were swept.
//!
//! Bytes get a row that says that nothing refers to them since now, and go with the others when the retention is over:
//! they may just be what a publish is about to refer to. Those that are not what their name says are marked as damaged.

use std::sync::Arc;

use super::tally::Thing;
use super::{BATCH, Due, Mode, PAGE_ROWS, Sweep, SweepError};
use crate::domain::change::Change;
use crate::domain::digest::Sha256;
use crate::services::{ServiceError, Stores};
use crate::storage::blobs::{BlobError, BlobStore, Litter, Standing};
use crate::storage::journal::retention::{NOTES_KEPT_TICKS, may_forget};
use crate::storage::journal::retired::Note;
use crate::storage::leases::ExclusiveLease;
use crate::storage::scrub::blobs::blob_file;
use crate::storage::{Cost, Decided, Metadata as _, View};

/// Why bytes that no row knows go, or stay for a while.
const UNKNOWN: &str = "no row knows it: a publish was cut off before its end";

/// The names in one of the 256 directories that no row knows, and what stands there.
async fn strays(stores: &Stores, first_byte: u8) -> Result<Vec<(Sha256, Standing)>, ServiceError> {
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
            Ok(stands) => Some((sha256, stands)),
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
        for (sha256, stands) in strays(self.stores, first_byte).await? {
            match stands {
                Standing::Nothing => {}
                Standing::Note(note) => {
                    let goes = may_forget(note.at(), self.now.tick, self.rule.retention);
                    self.tell_note(&sha256, note, goes);
                    notes.extend(goes.then_some(sha256));
                }
                Standing::Bytes(stamp) => {
                    self.stray(sha256, stamp.size()).await?;
                    self.advance(1)?;
                }
            }
        }
        if self.rule.mode == Mode::Work {
            for batch in notes.chunks(BATCH) {
                self.forget(batch).await?;
                self.rest().await;
            }
        }
        Ok(())
    }

    fn tell_note(&mut self, sha256: &Sha256, note: Note, goes: bool) {
        let why = format!("it says that a blob was removed at second {}, to copies that began before", note.at());
        let thing = Thing { file: blob_file(sha256), bytes: note.to_text().len() as u64, why };
        if goes {
            self.tally.goes(thing);
        } else {
            let over = note.at().saturating_add(self.rule.retention).saturating_add(NOTES_KEPT_TICKS + 1);
            self.tally.stays(thing, Some(over.saturating_sub(self.now.tick)));
        }
    }

    async fn stray(&mut self, sha256: Sha256, bytes: u64) -> Result<(), ServiceError> {
        // A publish holds what it linked until its row is there.
        let Some(alone) = self.stores.leases.try_exclusive(sha256) else { return Ok(()) };
        let thing = Thing { file: blob_file(&sha256), bytes, why: UNKNOWN.to_owned() };
        match (self.rule.due, self.rule.mode) {
            (Due::Now, Mode::Plan) => self.tally.goes(thing),
            (Due::Now, Mode::Work) => self.discard(alone, thing).await?,
            (Due::Retention, Mode::Plan) => self.tally.stays(thing, Some(self.rule.retention.saturating_add(1))),
            // Its row is among those that are looked at next.
            (Due::Retention, Mode::Work) => {
                drop(alone);
                self.adopt(sha256).await?;
            }
        }
        Ok(())
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
    async fn discard(&mut self, alone: ExclusiveLease, thing: Thing) -> Result<(), ServiceError> {
        let sha256 = alone.digest();
        if self.stores.metadata.read(Cost::Point, move |view| view.blob(&sha256)).await?.is_some() {
            return Ok(());
        }
        let remove = move |blobs: &Arc<BlobStore>| {
            let removed = blobs.remove(&sha256);
            drop(alone);
            removed
        };
        if self.stores.blobs.blocking(remove).await? {
            self.swept.blobs += 1;
            self.swept.bytes += thing.bytes;
            self.tally.goes(thing);
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

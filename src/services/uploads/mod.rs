//! Resumable uploads: begun, appended to, finished, abandoned; published by name in [`named`], swept in [`sweep`].
//!
//! The row says whose an upload is and until when, the file alone says how many bytes came. A file without a row, or a
//! row without a file, is what a stop in between left; both go at the next start.

mod named;
mod sweep;

use std::sync::Arc;

use super::load::recheck;
use super::publish::ByteSource;
use super::versions::settle;
use super::{Context, Policy, ServiceError, Stores, new_id};
use crate::domain::caller::Caller;
use crate::domain::change::Change;
use crate::domain::digest::Sha256;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::domain::upload::{
    Finish, NewUpload, Part, Upload, UploadId, UploadLimits, UploadState, decide_append, decide_begin, decide_finish,
    mismatch, upload_not_found,
};
use crate::storage::blobs::{BlobError, BlobStore, Upload as UploadFile};
use crate::storage::{ChangeError, Cost, Decided, Metadata as _, Moment, StoreError, View};

pub use named::{ArtifactName, NamedArtifact};

/// An upload with everything that is shown of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadDetail {
    /// The upload as it is kept.
    pub upload: Upload,
    /// How many bytes it has: where the next one goes.
    pub offset: u64,
}

/// Keeps uploads.
pub struct UploadService {
    stores: Stores,
}

/// How the bytes of a part ended.
enum Ending {
    /// All came.
    Whole,
    /// Not all came; those that did are kept.
    Cut(Refusal),
    /// They are not what was announced; none of them is kept.
    Wrong(Refusal),
}

impl UploadService {
    /// Keeps uploads in `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores }
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// `empty_artifact`, `artifact_too_large`, `too_many_uploads`, `storage_full`.
    pub async fn create(&self, context: &Context, announced: NewUpload) -> Result<UploadDetail, ServiceError> {
        let (id, limits) = (new_id(context.now)?, limits(&self.stores.policy));
        let begin = move |view: &View<'_>, caller: &Caller, now: Timestamp| -> Result<Upload, ChangeError> {
            let open = open_uploads(view, caller, now)?;
            Ok(decide_begin(id, caller, (&announced, open), &limits, now)?)
        };
        let (caller, now) = (context.caller.clone(), context.now);
        let outlook = move |view: &View<'_>| settle(begin(view, &caller, now));
        self.stores.metadata.read(Cost::Scan, outlook).await??;
        self.check_room(announced.size)?;
        self.stores.blobs.blocking(move |blobs| blobs.create_upload(&id)).await?;
        let caller = context.caller.clone();
        let record = move |view: &View<'_>, moment: Moment| {
            let caller = recheck(view, &caller, moment.now)?;
            let upload = begin(view, &caller, moment.now)?;
            Ok(Decided { changes: vec![Change::PutUpload(upload.clone())], answer: upload })
        };
        match self.stores.metadata.change(record).await {
            Ok(upload) => Ok(UploadDetail { upload, offset: 0 }),
            Err(error) => {
                self.remove_file(id).await?;
                Err(error.into())
            }
        }
    }

    /// An upload and how far it is.
    ///
    /// # Errors
    /// `upload_not_found`.
    pub async fn get(&self, context: &Context, id: UploadId) -> Result<UploadDetail, ServiceError> {
        let upload = self.load(context, id).await?;
        self.detail(upload).await
    }

    /// Appends a part. What came of a body that breaks off is kept; a part that is not what was announced is not.
    ///
    /// # Errors
    /// `upload_not_found`, `upload_busy`, those of [`decide_append`], `storage_full`: before a byte of the body is
    /// read. After that those of the body, `truncated_body`, `digest_mismatch`, `invalid_field` for more bytes than the
    /// range holds.
    pub async fn append(
        &self,
        context: &Context,
        id: UploadId,
        part: &Part,
        source: &mut impl ByteSource,
    ) -> Result<UploadDetail, ServiceError> {
        let upload = self.load(context, id).await?;
        let file = self.open(id).await?;
        decide_append(&upload, file.size(), part, self.stores.policy.artifact_bytes_max)?;
        self.check_room(Some(part.range.length()))?;
        let (file, ending) = receive(file, part, source).await?;
        let (first, announced) = (part.range.first, part.sha256);
        let end = move |_: &Arc<BlobStore>| end_part(file, first, announced, ending);
        let (offset, refusal) = match self.stores.blobs.blocking(end).await {
            Ok(ended) => ended,
            Err(error) => return Err(self.lost(id, error).await),
        };
        let upload = if offset > first { self.extend(context, id, part.range.total).await? } else { upload };
        refusal.map_or(Ok(UploadDetail { upload, offset }), |refusal| Err(refusal.into()))
    }

    /// Finishes an upload whose bytes hash to `sha256`; doing so again changes nothing.
    ///
    /// # Errors
    /// `upload_not_found`, `upload_busy`, those of [`decide_finish`], `digest_mismatch`.
    pub async fn finish(&self, context: &Context, id: UploadId, sha256: Sha256) -> Result<UploadDetail, ServiceError> {
        let upload = self.load(context, id).await?;
        if upload.state == UploadState::Complete {
            let detail = self.detail(upload).await?;
            decide_finish(&detail.upload, detail.offset, &sha256)?;
            return Ok(detail);
        }
        let file = self.open(id).await?;
        let size = file.size();
        if decide_finish(&upload, size, &sha256)? == Finish::Done {
            return Ok(UploadDetail { upload, offset: size });
        }
        let hash = move |_: &Arc<BlobStore>| {
            file.make_durable()?;
            file.finish()
        };
        // Held until the row says what the bytes are, so that none is appended meanwhile.
        let staged = match self.stores.blobs.blocking(hash).await {
            Ok(staged) => staged,
            Err(error) => return Err(self.lost(id, error).await),
        };
        if staged.sha256() != sha256 {
            return Err(mismatch(&staged.sha256(), &sha256).into());
        }
        let complete = move |upload: Upload, _: Timestamp| Upload {
            size: Some(size),
            sha256: Some(sha256),
            state: UploadState::Complete,
            ..upload
        };
        let upload = self.change(context, id, complete).await?;
        drop(staged);
        Ok(UploadDetail { upload, offset: size })
    }

    /// Abandons an upload; answers with what it was.
    ///
    /// # Errors
    /// `upload_not_found`, `upload_busy`.
    pub async fn remove(&self, context: &Context, id: UploadId) -> Result<UploadDetail, ServiceError> {
        let detail = self.get(context, id).await?;
        self.remove_file(id).await?;
        self.forget(vec![id]).await?;
        Ok(detail)
    }

    async fn detail(&self, upload: Upload) -> Result<UploadDetail, ServiceError> {
        let id = upload.id;
        let offset = self.stores.blobs.blocking(move |blobs| blobs.upload_len(&id)).await;
        Ok(UploadDetail { offset: offset.map_err(|error| absent(id, error))?, upload })
    }

    async fn load(&self, context: &Context, id: UploadId) -> Result<Upload, ServiceError> {
        let (caller, now) = (context.caller.clone(), context.now);
        let load = move |view: &View<'_>| settle(own(view, &caller, id, now));
        Ok(self.stores.metadata.read(Cost::Point, load).await??)
    }

    async fn open(&self, id: UploadId) -> Result<UploadFile, ServiceError> {
        let opened = self.stores.blobs.blocking(move |blobs| blobs.open_upload(&id)).await;
        opened.map_err(|error| absent(id, error))
    }

    /// Moves the end of an upload that got bytes, and notes its total once that is known.
    async fn extend(&self, context: &Context, id: UploadId, total: Option<u64>) -> Result<Upload, ServiceError> {
        let ttl_ms = self.stores.policy.upload_ttl_ms;
        let extend = move |upload: Upload, now: Timestamp| Upload {
            size: upload.size.or(total),
            expires_at: now.plus_ms(ttl_ms),
            ..upload
        };
        self.change(context, id, extend).await
    }

    async fn change(
        &self,
        context: &Context,
        id: UploadId,
        change: impl Fn(Upload, Timestamp) -> Upload + Send + 'static,
    ) -> Result<Upload, ServiceError> {
        let (caller, begun) = (context.caller.clone(), context.now);
        let record = move |view: &View<'_>, moment: Moment| {
            let caller = recheck(view, &caller, moment.now)?;
            // By when the request began: what lived then is not lost to the time that its body took.
            let upload = change(own(view, &caller, id, begun)?, moment.now);
            Ok(Decided { changes: vec![Change::PutUpload(upload.clone())], answer: upload })
        };
        Ok(self.stores.metadata.change(record).await?)
    }

    /// What to answer when the disk failed over an upload; its row goes when its file did.
    async fn lost(&self, id: UploadId, error: BlobError) -> ServiceError {
        let length = self.stores.blobs.blocking(move |blobs| blobs.upload_len(&id)).await;
        if matches!(length, Err(BlobError::Missing))
            && let Err(error) = self.forget(vec![id]).await
        {
            tracing::warn!(%error, upload = %id, "the row of an upload that is lost stays until the next start");
        }
        error.into()
    }

    async fn remove_file(&self, id: UploadId) -> Result<bool, ServiceError> {
        Ok(self.stores.blobs.blocking(move |blobs| blobs.remove_upload(&id)).await?)
    }

    async fn forget(&self, ids: Vec<UploadId>) -> Result<(), ServiceError> {
        let forget = move |_: &View<'_>, _| {
            Ok(Decided { changes: ids.iter().copied().map(Change::RemoveUpload).collect(), answer: () })
        };
        Ok(self.stores.metadata.change(forget).await?)
    }

    fn check_room(&self, size: Option<u64>) -> Result<(), ServiceError> {
        let (free, kept) = (self.stores.blobs.free_bytes()?, self.stores.policy.free_bytes_min);
        if free.saturating_sub(size.unwrap_or(0)) < kept {
            return Err(ServiceError::storage_full(kept, free));
        }
        Ok(())
    }
}

fn limits(policy: &Policy) -> UploadLimits {
    UploadLimits {
        bytes_max: policy.artifact_bytes_max,
        open_max: policy.uploads_per_user_max,
        ttl_ms: policy.upload_ttl_ms,
    }
}

/// An upload of the caller's own.
fn own(view: &View<'_>, caller: &Caller, id: UploadId, now: Timestamp) -> Result<Upload, ChangeError> {
    let upload = view.upload(id)?.filter(|upload| upload.is_visible(caller, now));
    Ok(upload.ok_or_else(|| upload_not_found(id))?)
}

fn open_uploads(view: &View<'_>, caller: &Caller, now: Timestamp) -> Result<usize, StoreError> {
    let mut open = 0;
    view.scan_uploads(|upload| {
        open += usize::from(upload.state == UploadState::Open && upload.is_visible(caller, now));
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    Ok(open)
}

fn absent(id: UploadId, error: BlobError) -> ServiceError {
    match error {
        BlobError::Missing => upload_not_found(id).into(),
        error @ (BlobError::Damaged { .. } | BlobError::Full { .. } | BlobError::Busy | BlobError::Io { .. }) => {
            error.into()
        }
    }
}

/// Writes a part's bytes as they come, never more than its range holds.
async fn receive(
    file: UploadFile,
    part: &Part,
    source: &mut impl ByteSource,
) -> Result<(UploadFile, Ending), ServiceError> {
    let (mut handle, mut left) = (file.feed(), part.range.length());
    let ending = loop {
        match source.next_chunk().await {
            Ok(Some(chunk)) => {
                let Some(rest) = left.checked_sub(chunk.len() as u64) else {
                    let message = format!("More bytes came than the {} of the range.", part.range.length());
                    break Ending::Wrong(Refusal::field(Reason::InvalidField, "content-range", message));
                };
                left = rest;
                handle.write(chunk).await?;
            }
            Ok(None) if left > 0 => {
                let message = format!("The body ended {left} bytes early: ask for the offset and go on from there.");
                break Ending::Cut(Refusal::new(Reason::TruncatedBody, message));
            }
            Ok(None) => break Ending::Whole,
            Err(refusal) => break Ending::Cut(refusal),
        }
    };
    Ok((handle.hand_back().await?, ending))
}

/// Checks a part's bytes, drops them when they are wrong, makes durable what stays: how many bytes there are now.
fn end_part(
    mut file: UploadFile,
    first: u64,
    announced: Option<Sha256>,
    ending: Ending,
) -> Result<(u64, Option<Refusal>), BlobError> {
    let (refusal, keep) = match (ending, announced) {
        (Ending::Whole, Some(announced)) => {
            let found = file.sha256_from(first)?;
            if found == announced { (None, true) } else { (Some(mismatch(&found, &announced)), false) }
        }
        (Ending::Whole, None) => (None, true),
        (Ending::Cut(refusal), _) => (Some(refusal), true),
        (Ending::Wrong(refusal), _) => (Some(refusal), false),
    };
    if !keep {
        file.truncate(first)?;
    }
    Ok((file.sync()?, refusal))
}

#[cfg(test)]
mod tests;

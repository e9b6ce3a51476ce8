//! From the event loop to the disk: chunks of a body, written and hashed on threads that may block.
//!
//! A thread is taken only while there are bytes to write, so that slow clients hold none; while one batch is written the
//! next one gathers. Must never hold more of a body than two batches, whatever its size.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::{BlobError, BlobStore, Staged, Staging, Upload};

/// Bytes that may gather while the disk is busy; then the sender waits. One chunk more than this may be held.
const PENDING_BYTES_MAX: usize = 256 * 1024;
/// Chunks that may gather: small ones can each hold a large buffer alive.
const PENDING_CHUNKS_MAX: usize = 16;

/// What takes chunks in order.
trait Sink: Send + 'static {
    fn put(&mut self, bytes: &[u8]) -> Result<(), BlobError>;
}

impl Sink for Staging {
    fn put(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.write(bytes)
    }
}

impl Sink for Upload {
    fn put(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.append(bytes)
    }
}

#[derive(Debug)]
struct Feed<S> {
    /// The batch under way, which hands the sink back. `None` once one failed.
    running: Option<JoinHandle<Result<S, BlobError>>>,
    pending: Vec<Bytes>,
    pending_bytes: usize,
}

impl<S: Sink> Feed<S> {
    fn new(start: impl FnOnce() -> Result<S, BlobError> + Send + 'static) -> Self {
        Self { running: Some(tokio::task::spawn_blocking(start)), pending: Vec::new(), pending_bytes: 0 }
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.pending_bytes += bytes.len();
        self.pending.push(bytes);
        let full = self.pending_bytes >= PENDING_BYTES_MAX || self.pending.len() >= PENDING_CHUNKS_MAX;
        if full || self.running.as_ref().is_none_or(JoinHandle::is_finished) {
            let sink = self.settle().await?;
            self.pending_bytes = 0;
            let batch = std::mem::take(&mut self.pending);
            self.running = Some(tokio::task::spawn_blocking(move || put_all(sink, &batch)));
        }
        Ok(())
    }

    async fn finish<T, F>(mut self, end: F) -> Result<T, BlobError>
    where
        T: Send + 'static,
        F: FnOnce(S) -> Result<T, BlobError> + Send + 'static,
    {
        let sink = self.settle().await?;
        let batch = std::mem::take(&mut self.pending);
        super::run_blocking(move || put_all(sink, &batch).and_then(end)).await
    }

    /// Waits for the batch under way. Cancelled while it waits, it loses nothing.
    async fn settle(&mut self) -> Result<S, BlobError> {
        let Some(running) = &mut self.running else {
            let source = io::Error::other("an earlier chunk could not be written");
            return Err(BlobError::Io { op: "write on", source });
        };
        let joined = running.await;
        self.running = None;
        joined.unwrap_or_else(|error| Err(BlobError::Io { op: "finish its work", source: io::Error::other(error) }))
    }
}

fn put_all<S: Sink>(mut sink: S, batch: &[Bytes]) -> Result<S, BlobError> {
    for bytes in batch {
        sink.put(bytes)?;
    }
    Ok(sink)
}

/// An artifact while its body arrives; dropping it leaves nothing on the disk once the batch under way is done.
#[derive(Debug)]
pub struct IngestHandle(Feed<Staging>);

impl BlobStore {
    /// Starts to take in an artifact from the event loop. That no file could be made shows at a later call.
    pub fn ingest(self: &Arc<Self>) -> IngestHandle {
        let store = Arc::clone(self);
        IngestHandle(Feed::new(move || store.stage()))
    }
}

impl IngestHandle {
    /// Adds bytes at the end; waits while the disk is slower than the sender.
    ///
    /// # Errors
    /// `Full` or `Io`, also for bytes of an earlier call; no call succeeds after it.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.0.write(bytes).await
    }

    /// Writes what is left and tells what came.
    ///
    /// # Errors
    /// `Full` or `Io`: then nothing is left on the disk.
    pub async fn finish(self) -> Result<Staged, BlobError> {
        self.0.finish(Staging::finish).await
    }
}

/// A part of a resumable upload while its body arrives; dropping it leaves what was written.
#[derive(Debug)]
pub struct UploadHandle(Feed<Upload>);

impl Upload {
    /// Appends from the event loop, from [`Upload::size`] on.
    pub fn feed(self) -> UploadHandle {
        UploadHandle(Feed::new(move || Ok(self)))
    }
}

impl UploadHandle {
    /// Adds bytes at the end; waits while the disk is slower than the sender.
    ///
    /// # Errors
    /// `Full` or `Io`, also for bytes of an earlier call; no call succeeds after it.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.0.write(bytes).await
    }

    /// Writes what is left and makes it durable; returns the upload's size. To be called for a broken body too, so that
    /// all that came is kept.
    ///
    /// # Errors
    /// `Full` or `Io`; when it was the sync that failed, the upload is gone.
    pub async fn finish(self) -> Result<u64, BlobError> {
        self.0.finish(Upload::sync).await
    }

    /// Writes what is left and hands the upload back, nothing of it durable yet.
    ///
    /// # Errors
    /// `Full` or `Io`; what was written stays.
    pub async fn hand_back(self) -> Result<Upload, BlobError> {
        self.0.finish(Ok).await
    }
}

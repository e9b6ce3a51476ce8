//! Resumable uploads: one named file each, which survives a restart and whose length is the truth about what came.
//!
//! Must never have two writers on one file, write to one that may be a blob already, or remove one that is in use.
//! Who may, how many and until when is the metadata's.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use super::ingest::{Measure, Staged, Temp};
use super::open::hash_chunks;
use super::{BlobError, BlobStore};
use crate::domain::digest::Sha256;
use crate::domain::id::Id;
use crate::storage::fs::Access;

/// The owner's right to write, taken away before a file gets its name as a blob.
const OWNER_WRITE: u32 = 0o200;

/// The right to be the only one who uses an upload, held until dropped.
#[derive(Debug)]
pub(super) struct Lease {
    store: Arc<BlobStore>,
    id: Id,
}

impl Lease {
    fn take(store: &Arc<BlobStore>, id: &Id) -> Result<Self, BlobError> {
        let mut leased = store.leased.lock().unwrap_or_else(PoisonError::into_inner);
        if leased.insert(*id) { Ok(Self { store: Arc::clone(store), id: *id }) } else { Err(BlobError::Busy) }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.store.upload_path(&self.id)
    }

    /// Removes the upload because its file could not be synced: what the disk holds of it is unknown.
    pub(super) fn discard(&self) {
        if let Err(error) = self.store.fs.unlink(&self.path()) {
            tracing::error!(%error, upload = %self.id, "an upload that could not be synced could not be removed either");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.store.leased.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl BlobStore {
    /// Makes an empty upload, durable.
    ///
    /// # Errors
    /// `Full` or `Io`: then there is none. `Io` when the id is taken.
    pub fn create_upload(&self, id: &Id) -> Result<(), BlobError> {
        self.check_directories()?;
        let path = self.upload_path(id);
        let file = self.fs.create(&path).map_err(self.failed("make an upload"))?;
        let synced = self.fs.sync_all(&file).map_err(self.failed("sync an upload"));
        let synced = synced.and_then(|()| self.sync_dir(&self.uploads));
        if synced.is_err()
            && let Err(error) = self.fs.unlink(&path)
        {
            tracing::warn!(%error, upload = %id, "an upload that was not begun leaves an empty file");
        }
        synced
    }

    /// Opens an upload for this caller alone; it is free again when what is returned, or made from it, is dropped.
    ///
    /// # Errors
    /// `Busy` when another has it, `Missing` when there is none, `Io`.
    pub fn open_upload(self: &Arc<Self>, id: &Id) -> Result<Upload, BlobError> {
        let lease = Lease::take(self, id)?;
        let path = self.upload_path(id);
        let opened = match self.fs.open(&path, Access::ReadWrite) {
            // A keep that failed after it made the file read-only: it can be finished again, not written.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.fs.open(&path, Access::Read),
            opened => opened,
        };
        let file = opened.map_err(|error| self.upload_failed(error))?;
        let stat = self.fs.stat(&file).map_err(self.failed("look at an upload"))?;
        Ok(Upload { file: Arc::new(file), size: stat.size, writable: stat.mode & OWNER_WRITE != 0, lease })
    }

    /// How many bytes an upload has, whoever is writing to it.
    ///
    /// # Errors
    /// `Missing` when there is none, `Io`.
    pub fn upload_len(&self, id: &Id) -> Result<u64, BlobError> {
        let file = self.fs.open(&self.upload_path(id), Access::Read).map_err(|error| self.upload_failed(error))?;
        Ok(self.fs.stat(&file).map_err(self.failed("look at an upload"))?.size)
    }

    /// Removes an upload; `false` when there was none. A blob that was kept from it stays.
    ///
    /// # Errors
    /// `Busy` when somebody has it open, `Io` when the name can't be removed durably.
    pub fn remove_upload(self: &Arc<Self>, id: &Id) -> Result<bool, BlobError> {
        self.check_directories()?;
        let lease = Lease::take(self, id)?;
        match self.fs.unlink(&lease.path()) {
            Ok(()) => self.sync_dir(&self.uploads).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed("remove an upload")(error)),
        }
    }

    /// The uploads that have a file, in order; names that are no id are passed over.
    ///
    /// # Errors
    /// `Io` when the directory can't be read.
    pub fn list_uploads(&self) -> Result<Vec<Id>, BlobError> {
        let names = self.fs.list(&self.uploads).map_err(self.failed("list uploads"))?;
        let mut ids: Vec<_> = names.iter().filter_map(|name| Id::parse(name.to_str()?)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn upload_failed(&self, error: io::Error) -> BlobError {
        if error.kind() == io::ErrorKind::NotFound {
            return BlobError::Missing;
        }
        self.failed("open an upload")(error)
    }
}

/// One resumable upload, opened by its only user. Dropping it leaves what was written.
#[derive(Debug)]
pub struct Upload {
    file: Arc<File>,
    size: u64,
    writable: bool,
    lease: Lease,
}

impl Upload {
    /// How many bytes it has: the offset of the next one.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds bytes at the end; they are durable after [`Upload::sync`].
    ///
    /// # Errors
    /// `Full` or `Io`; a part of `bytes` may have been added, which [`BlobStore::upload_len`] tells.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.check_writable()?;
        let store = &self.lease.store;
        let written = store.fs.write_all_at(&self.file, bytes, self.size);
        written.map_err(store.failed("write an upload"))?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Cuts it to `size` bytes; one that is shorter stays as it is.
    ///
    /// # Errors
    /// `Io`.
    pub fn truncate(&mut self, size: u64) -> Result<(), BlobError> {
        self.check_writable()?;
        let store = &self.lease.store;
        let size = size.min(self.size);
        store.fs.set_len(&self.file, size).map_err(store.failed("cut an upload"))?;
        self.size = size;
        Ok(())
    }

    /// Makes what was written durable, and gives the upload back for others; returns its size.
    ///
    /// # Errors
    /// `Full` or `Io`: then the upload is removed, because nobody can tell what the disk holds of it.
    pub fn sync(self) -> Result<u64, BlobError> {
        self.make_durable().map(|()| self.size)
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// As [`Upload::sync`]; the only sensible next step is to drop this.
    pub fn make_durable(&self) -> Result<(), BlobError> {
        let store = &self.lease.store;
        store.fs.sync_data(&self.file).map_err(|error| {
            self.lease.discard();
            store.failed("sync an upload")(error)
        })
    }

    /// SHA-256 of what stands from `offset` on.
    ///
    /// # Errors
    /// `Io` when it can't be read.
    pub fn sha256_from(&self, offset: u64) -> Result<Sha256, BlobError> {
        let (store, mut measure) = (&self.lease.store, Measure::default());
        let hashed = hash_chunks(&*store.fs, &self.file, offset..self.size, |bytes| measure.add(bytes));
        hashed.map_err(store.failed("read an upload"))?;
        Ok(measure.sha256())
    }

    /// Reads all of it and tells what it holds; the upload stays in use until what is returned is dropped or kept.
    ///
    /// # Errors
    /// `Io` when it can't be read, or is not as long as it was.
    pub fn finish(self) -> Result<Staged, BlobError> {
        let store = Arc::clone(&self.lease.store);
        let mut measure = Measure::default();
        let hashed = hash_chunks(&*store.fs, &self.file, 0..self.size, |bytes| measure.add(bytes));
        hashed.map_err(store.failed("read an upload"))?;
        measure.stage(Temp { store, file: self.file, owned: None, upload: Some(self.lease), stored: false })
    }

    fn check_writable(&self) -> Result<(), BlobError> {
        if self.writable {
            return Ok(());
        }
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "it may be stored already");
        Err(BlobError::Io { op: "write an upload", source })
    }
}

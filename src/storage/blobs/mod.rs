//! The content-addressed store of artifacts in one data directory.
//!
//! Owns `blobs/` and `uploads/`. A name under `blobs/sha256/` holds a whole, durable, read-only file from the moment it
//! exists until it is removed: bytes are written to a file without a name, fsynced, and only then linked. Must never
//! take a path or a name from a caller (paths are built from [`Sha256`] and [`Id`] alone), retry a failed fsync, change
//! a file that has its name, or decide when a blob may go: counts and leases live in the metadata.
//!
//! Start reading at [`BlobStore`], then [`Staging`] → [`Staged`] → [`Kept`] for the way in and [`BlobFile`] for the way
//! out. Functions block unless they are `async`; [`BlobStore::blocking`] carries the others off the event loop.

mod feed;
mod ingest;
mod keep;
mod open;
mod retire;
mod suspects;
mod uploads;
mod verified;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::domain::digest::Sha256;
use crate::domain::id::Id;
use crate::storage::fs::Fs;

pub use feed::{IngestHandle, UploadHandle};
pub use ingest::{Staged, StagedReader, Staging};
pub use keep::{Kept, Stored};
pub(in crate::storage) use open::read_note;
pub use open::{BlobFile, Soundness, VerifyingReader};
pub use retire::{Litter, Retired, Standing};
use suspects::Suspects;
pub use uploads::Upload;
pub use verified::Stamp;
use verified::Verified;

/// Bytes of one read from disk, and the most that [`BlobFile::read_chunk`] returns.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Bytes at the start of an artifact that are kept in memory, for telling its media type.
pub const HEAD_BYTES_MAX: usize = 512;

/// Names under `uploads/` that belong to nobody after a start.
const TEMP_PREFIX: &str = "tmp-";

/// Why the blob store could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no such blob or upload.
    #[error("the bytes are not stored")]
    Missing,
    /// Stored bytes are short, too long, or don't hash to their name.
    #[error("the stored bytes of `{sha256}` are damaged")]
    Damaged {
        /// The name of the blob.
        sha256: Sha256,
    },
    /// The disk or the quota is full.
    #[error("the disk is full, {free_bytes} bytes are free")]
    Full {
        /// What the file system said was free just after.
        free_bytes: u64,
    },
    /// Another writer, or a finish, has this upload.
    #[error("the upload is in use")]
    Busy,
    /// The disk refused for another reason.
    #[error("the disk failed to {op}")]
    Io {
        /// The step that failed, as a verb with its object.
        op: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

/// The blobs and unfinished uploads of one data directory.
#[derive(Debug)]
pub struct BlobStore {
    fs: Arc<dyn Fs>,
    data: PathBuf,
    shards: PathBuf,
    uploads: PathBuf,
    /// Whether files can be made without a name and linked by their descriptor.
    unnamed: bool,
    temp_count: AtomicU64,
    /// Shard directories whose own name is durable.
    shards_durable: [AtomicBool; 256],
    directory_failed: AtomicBool,
    verified: Verified,
    suspects: Arc<Suspects>,
    leased: Mutex<HashSet<Id>>,
}

impl BlobStore {
    /// Opens the store of `data`, makes its directories durable, and removes what an earlier process left unnamed.
    ///
    /// The caller holds the lock of the data directory: two stores over one directory sweep each other's files.
    ///
    /// # Errors
    /// `Full` or `Io` when a directory can't be made, read or synced.
    pub fn open(data: &Path, fs: Arc<dyn Fs>) -> Result<Arc<Self>, BlobError> {
        let blobs = data.join("blobs");
        let mut store = Self {
            data: data.to_owned(),
            shards: blobs.join("sha256"),
            uploads: data.join("uploads"),
            fs,
            unnamed: false,
            temp_count: AtomicU64::new(0),
            shards_durable: [const { AtomicBool::new(false) }; 256],
            directory_failed: AtomicBool::new(false),
            verified: Verified::default(),
            suspects: Arc::default(),
            leased: Mutex::default(),
        };
        for dir in [&blobs, &store.shards, &store.uploads] {
            store.create_dir(dir)?;
        }
        store.sweep()?;
        for dir in [data, &blobs] {
            store.sync_dir(dir)?;
        }
        store.unnamed = store.probe_unnamed().is_ok();
        Ok(Arc::new(store))
    }

    /// Runs `work` on a thread that may block; the work goes on to its end when the caller goes away.
    ///
    /// # Errors
    /// Those of `work`, and `Io` when it panicked or the runtime is shutting down.
    pub async fn blocking<T, F>(self: &Arc<Self>, work: F) -> Result<T, BlobError>
    where
        T: Send + 'static,
        F: FnOnce(&Arc<Self>) -> Result<T, BlobError> + Send + 'static,
    {
        let store = Arc::clone(self);
        run_blocking(move || work(&store)).await
    }

    /// The disk.
    pub fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Bytes that can still be written on the device of the data directory.
    ///
    /// # Errors
    /// `Io` when the file system does not tell.
    pub fn free_bytes(&self) -> Result<u64, BlobError> {
        self.fs.free_bytes(&self.uploads).map_err(self.failed("tell its free space"))
    }

    /// Whether a directory could not be synced: nothing more is kept or created until the process starts again.
    pub fn is_read_only(&self) -> bool {
        self.directory_failed.load(Ordering::Acquire)
    }

    /// Removes a blob that no frame ever referred to, without a note; `false` when there was none. Whether it may go is
    /// the caller's to know.
    ///
    /// # Errors
    /// `Io` when the name can't be removed, or its removal not made durable.
    pub fn remove(&self, sha256: &Sha256) -> Result<bool, BlobError> {
        self.check_directories()?;
        self.verified.forget(sha256);
        let removed = self.unlink_blob(sha256)?;
        if removed {
            self.sync_dir(&self.shard_path(sha256))?;
        }
        Ok(removed)
    }

    /// Notes that a blob seems to be damaged or missing, for whoever waits at [`BlobStore::suspected`].
    pub fn suspect(&self, sha256: Sha256) {
        self.suspects.add(sha256);
    }

    /// Waits until a blob was found damaged or missing, and hands over those that were; possibly none.
    pub async fn suspected(&self) -> Vec<Sha256> {
        self.suspects.added().await;
        self.suspects.take()
    }

    /// The blobs that were found damaged or missing since the last time.
    pub fn take_suspects(&self) -> Vec<Sha256> {
        self.suspects.take()
    }

    /// The digests that have a blob in one of the 256 directories, in order; notes and other names are passed over. Each
    /// file is opened, so that [`BlobStore::names`] is the cheaper question.
    ///
    /// # Errors
    /// `Io` when the directory can't be read or a file not be looked at.
    pub fn list(&self, first_byte: u8) -> Result<Vec<Sha256>, BlobError> {
        let mut digests = self.names(first_byte)?;
        let mut failed = None;
        digests.retain(|digest| match self.standing(digest) {
            Ok(standing) => matches!(standing, Standing::Bytes(_)),
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        failed.map_or(Ok(digests), Err)
    }

    /// The digests that are names in one of the 256 directories, of blobs and of notes, in order.
    ///
    /// # Errors
    /// `Io` when the directory can't be read.
    pub fn names(&self, first_byte: u8) -> Result<Vec<Sha256>, BlobError> {
        let mut first = [0; 32];
        first[0] = first_byte;
        let names = match self.fs.list(&self.shard_path(&Sha256(first))) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(self.failed("list blobs")(error)),
        };
        let digests = names.iter().filter_map(|name| Sha256::parse(name.to_str()?));
        let mut digests: Vec<_> = digests.filter(|digest| digest.0[0] == first_byte).collect();
        digests.sort_unstable();
        Ok(digests)
    }

    fn shard_path(&self, sha256: &Sha256) -> PathBuf {
        self.shards.join(format!("{:02x}", sha256.0[0]))
    }

    fn blob_path(&self, sha256: &Sha256) -> PathBuf {
        self.shard_path(sha256).join(sha256.to_hex())
    }

    fn upload_path(&self, id: &Id) -> PathBuf {
        self.uploads.join(id.to_string())
    }

    /// A name under `uploads/` that no file of this process has had; those of earlier ones were swept.
    fn temp_path(&self) -> PathBuf {
        self.uploads.join(format!("{TEMP_PREFIX}{}", self.temp_count.fetch_add(1, Ordering::Relaxed)))
    }

    /// Turns an error of the disk into ours; a full disk is told apart because it is the user's to cure.
    fn failed(&self, op: &'static str) -> impl FnOnce(io::Error) -> BlobError {
        move |source| {
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                return BlobError::Full { free_bytes: self.fs.free_bytes(&self.uploads).unwrap_or(0) };
            }
            BlobError::Io { op, source }
        }
    }

    fn create_dir(&self, path: &Path) -> Result<(), BlobError> {
        match self.fs.create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(self.failed("make a directory")(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Makes the names in a directory durable. A failure is final for this process: a second fsync would report success
    /// for names that the first one lost.
    fn sync_dir(&self, path: &Path) -> Result<(), BlobError> {
        self.check_directories()?;
        let dir = self.fs.open_dir(path).map_err(self.failed("open a directory"))?;
        self.fs.sync_dir(&dir).map_err(|error| {
            self.directory_failed.store(true, Ordering::Release);
            BlobError::Io { op: "sync a directory", source: error }
        })
    }

    fn check_directories(&self) -> Result<(), BlobError> {
        if self.is_read_only() {
            let source = io::Error::other("a directory could not be synced earlier; restart once the disk is sound");
            return Err(BlobError::Io { op: "sync a directory", source });
        }
        Ok(())
    }

    /// The directory of a digest, made and itself durable.
    fn durable_shard(&self, sha256: &Sha256) -> Result<PathBuf, BlobError> {
        let path = self.shard_path(sha256);
        let durable = &self.shards_durable[usize::from(sha256.0[0])];
        if !durable.load(Ordering::Acquire) {
            self.create_dir(&path)?;
            // Also when it was there: whoever made it may not have synced its parent yet.
            self.sync_dir(&self.shards)?;
            durable.store(true, Ordering::Release);
        }
        Ok(path)
    }

    fn sweep(&self) -> Result<(), BlobError> {
        for name in self.fs.list(&self.uploads).map_err(self.failed("list uploads"))? {
            if name.as_encoded_bytes().starts_with(TEMP_PREFIX.as_bytes()) {
                self.fs.unlink(&self.uploads.join(name)).map_err(self.failed("remove a temporary file"))?;
            }
        }
        Ok(())
    }

    /// Tries what every ingest will do; any failure (no `O_TMPFILE`, no `/proc`, a full disk) means named files.
    fn probe_unnamed(&self) -> io::Result<()> {
        let file = self.fs.create_unnamed(&self.uploads)?;
        let path = self.temp_path();
        self.fs.link_file(&file, &path)?;
        self.fs.unlink(&path)
    }
}

/// Runs `work` on tokio's blocking threads and waits for it.
async fn run_blocking<T, F>(work: F) -> Result<T, BlobError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, BlobError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(BlobError::Io { op: "finish its work", source: io::Error::other(error) }),
    }
}

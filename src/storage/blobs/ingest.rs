//! Bytes on their way in: written and hashed in one pass, without a name, gone with whoever drops them.
//!
//! Must never give a file its final name; that is `keep`'s, after the service agreed to what came.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use super::open::hash_chunks;
use super::uploads::Lease;
use super::{BlobError, BlobStore, HEAD_BYTES_MAX};
use crate::domain::digest::{Blake3, Sha256};
use crate::storage::fs::{Fs, Stat, read_full};

/// A file that is not a blob yet.
#[derive(Debug)]
pub(super) struct Temp {
    pub(super) store: Arc<BlobStore>,
    pub(super) file: Arc<File>,
    /// A name that goes when this is dropped.
    pub(super) owned: Option<PathBuf>,
    /// The resumable upload that the file belongs to, whose name stays.
    pub(super) upload: Option<Lease>,
    /// Whether the file is a blob already.
    pub(super) stored: bool,
}

impl Temp {
    fn create(store: &Arc<BlobStore>) -> Result<Self, BlobError> {
        let (file, owned) = if store.unnamed {
            (store.fs.create_unnamed(&store.uploads), None)
        } else {
            let path = store.temp_path();
            (store.fs.create(&path), Some(path))
        };
        let file = Arc::new(file.map_err(store.failed("make a temporary file"))?);
        Ok(Self { store: Arc::clone(store), file, owned, upload: None, stored: false })
    }

    pub(super) fn stat(&self) -> Result<Stat, BlobError> {
        self.store.fs.stat(&self.file).map_err(self.store.failed("look at a file"))
    }

    /// Takes the temporary name away, if there is one; what can't be removed now is swept at the next start.
    pub(super) fn drop_name(&mut self) {
        if let Some(path) = self.owned.take()
            && let Err(error) = self.store.fs.unlink(&path)
        {
            tracing::warn!(%error, "a temporary file stays until the next start");
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        self.drop_name();
    }
}

/// Both hashes, the length and the first bytes of what went by.
#[derive(Debug, Default)]
pub(super) struct Measure {
    sha256: sha2::Sha256,
    blake3: Box<blake3::Hasher>,
    size: u64,
    head: Vec<u8>,
}

impl Measure {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.sha256, bytes);
        self.blake3.update(bytes);
        self.size += bytes.len() as u64;
        let wanted = HEAD_BYTES_MAX - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(wanted)]);
    }

    pub(super) fn sha256(&self) -> Sha256 {
        Sha256(sha2::Digest::finalize(self.sha256.clone()).into())
    }

    pub(super) fn stage(self, temp: Temp) -> Result<Staged, BlobError> {
        // A write that failed half-way may have left bytes that no hash has seen.
        if temp.stat()?.size != self.size {
            let source = io::Error::other("the file's length is not what was written to it");
            return Err(BlobError::Io { op: "hold what was written", source });
        }
        Ok(Staged {
            sha256: self.sha256(),
            temp,
            blake3: Blake3(*self.blake3.finalize().as_bytes()),
            size: self.size,
            head: self.head,
        })
    }
}

/// An artifact while it is written; dropping it leaves nothing on the disk.
#[derive(Debug)]
pub struct Staging {
    temp: Temp,
    measure: Measure,
}

impl BlobStore {
    /// Starts to take in bytes of which nothing is known yet.
    ///
    /// # Errors
    /// `Full` or `Io` when no file can be made.
    pub fn stage(self: &Arc<Self>) -> Result<Staging, BlobError> {
        Ok(Staging { temp: Temp::create(self)?, measure: Measure::default() })
    }

    /// Reads all of a blob that is stored, so that it can be published again; no byte is copied.
    ///
    /// # Errors
    /// `Missing`, `Damaged`, or `Io` when it can't be read.
    pub fn stage_stored(self: &Arc<Self>, sha256: &Sha256) -> Result<Staged, BlobError> {
        let file = self.open_blob(sha256)?.into_file();
        let temp = Temp { store: Arc::clone(self), file: Arc::new(file), owned: None, upload: None, stored: true };
        let (size, mut measure) = (temp.stat()?.size, Measure::default());
        let hashed = hash_chunks(&*self.fs, &temp.file, 0..size, |bytes| measure.add(bytes));
        hashed.map_err(self.failed("read a blob"))?;
        let staged = measure.stage(temp)?;
        if staged.sha256 == *sha256 {
            return Ok(staged);
        }
        self.found_damaged(sha256);
        Err(BlobError::Damaged { sha256: *sha256 })
    }
}

impl Staging {
    /// Adds bytes at the end.
    ///
    /// # Errors
    /// `Full` or `Io`; what was written before still counts, but the only sensible next step is to drop this.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let store = &self.temp.store;
        let written = store.fs.write_all_at(&self.temp.file, bytes, self.measure.size());
        written.map_err(store.failed("write an artifact"))?;
        self.measure.add(bytes);
        Ok(())
    }

    /// How many bytes were written.
    pub fn size(&self) -> u64 {
        self.measure.size()
    }

    /// Ends the writing and tells what came. Nothing is durable, and nothing has a name, before [`Staged::keep`].
    ///
    /// # Errors
    /// `Io` when the file does not have the length that was written.
    pub fn finish(self) -> Result<Staged, BlobError> {
        self.measure.stage(self.temp)
    }
}

/// A whole artifact that is not stored yet; dropping it leaves nothing on the disk (an upload's own file stays).
#[derive(Debug)]
pub struct Staged {
    pub(super) temp: Temp,
    pub(super) sha256: Sha256,
    pub(super) blake3: Blake3,
    pub(super) size: u64,
    head: Vec<u8>,
}

impl Staged {
    /// SHA-256 of all bytes, their name once kept.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// BLAKE3 of all bytes.
    pub fn blake3(&self) -> Blake3 {
        self.blake3
    }

    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The first bytes, at most [`HEAD_BYTES_MAX`].
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Reads the bytes again, from the start; any number of readers go side by side, and outlive this.
    pub fn reader(&self) -> StagedReader {
        let fs = Arc::clone(&self.temp.store.fs);
        StagedReader { fs, file: Arc::clone(&self.temp.file), offset: 0, size: self.size }
    }
}

/// Reads and seeks within staged bytes. It makes a system call at each read: wrap it in a `BufReader` for small ones.
#[derive(Debug)]
pub struct StagedReader {
    fs: Arc<dyn Fs>,
    file: Arc<File>,
    offset: u64,
    size: u64,
}

impl Read for StagedReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let wanted = buf.len().min(left);
        let count = read_full(&*self.fs, &self.file, &mut buf[..wanted], self.offset)?;
        if count < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += count as u64;
        Ok(count)
    }
}

impl Seek for StagedReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.size.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.offset.checked_add_signed(delta),
        };
        self.offset = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset)
    }
}

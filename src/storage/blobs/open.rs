//! Bytes on their way out, and the proof that they are the right ones.
//!
//! Must never return fewer bytes than asked for as if they were all, or the last chunk of an unproven file before its
//! digest was seen right.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::suspects::Suspects;
use super::verified::Stamp;
use super::{BlobError, BlobStore, CHUNK_BYTES_MAX, run_blocking};
use crate::domain::digest::{Blake3, Sha256};
use crate::storage::fs::{Access, Fs, read_full};
use crate::storage::journal::retired::{NOTE_BYTES_MAX, Note};

/// What reading all bytes of a blob showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Soundness {
    /// The right bytes.
    Sound,
    /// Other bytes, or another number of them.
    Damaged,
    /// No file.
    Missing,
}

/// An open blob; it stays readable when its name goes.
#[derive(Debug)]
pub struct BlobFile {
    fs: Arc<dyn Fs>,
    suspects: Arc<Suspects>,
    file: File,
    sha256: Sha256,
    size: u64,
    stamp: Stamp,
}

impl BlobStore {
    /// Opens a blob. That its size and bytes are right is not known yet.
    ///
    /// # Errors
    /// `Missing` when there is no file or only the note of one, `Io` when it can't be opened.
    pub fn open_blob(&self, sha256: &Sha256) -> Result<BlobFile, BlobError> {
        let file = match self.fs.open(&self.blob_path(sha256), Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(BlobError::Missing),
            Err(error) => return Err(self.failed("open a blob")(error)),
        };
        let stat = self.fs.stat(&file).map_err(self.failed("look at a blob"))?;
        // Bytes that were proven are no note, and are not read for every request.
        if !self.verified.holds(sha256, stat.into()) {
            let note = read_note(&*self.fs, &file, stat.size, sha256).map_err(self.failed("read a blob"))?;
            if note.is_some() {
                return Err(BlobError::Missing);
            }
        }
        let (fs, suspects) = (Arc::clone(&self.fs), Arc::clone(&self.suspects));
        Ok(BlobFile { fs, suspects, file, sha256: *sha256, size: stat.size, stamp: stat.into() })
    }

    /// Whether all bytes of this file were seen right since the start, and the file did not change since.
    pub fn is_verified(&self, blob: &BlobFile) -> bool {
        // Looked at again: the file may have been written to since it was opened, and then `blob.size` is stale too.
        let now = self.fs.stat(&blob.file).map(Stamp::from);
        now.is_ok_and(|stamp| stamp == blob.stamp && self.verified.holds(&blob.sha256, stamp))
    }

    /// Reads all of a blob and tells whether it holds `size` bytes that hash right: to `blake3` when it is given (several
    /// times faster), else to its name.
    ///
    /// # Errors
    /// `Io` when the file can't be opened or read.
    pub fn verify(&self, sha256: &Sha256, size: u64, blake3: Option<&Blake3>) -> Result<Soundness, BlobError> {
        let blob = match self.open_blob(sha256) {
            Ok(blob) => blob,
            Err(BlobError::Missing) => return Ok(Soundness::Missing),
            Err(error) => return Err(error),
        };
        self.verify_file(&blob, size, blake3)
    }

    /// As [`BlobStore::verify`], but reads nothing when this file was proven since the start and did not change since.
    ///
    /// # Errors
    /// `Io` when the file can't be opened or read.
    pub fn verify_once(&self, sha256: &Sha256, size: u64, blake3: Option<&Blake3>) -> Result<Soundness, BlobError> {
        match self.open_blob(sha256) {
            Ok(blob) if blob.size == size && self.is_verified(&blob) => Ok(Soundness::Sound),
            Ok(blob) => self.verify_file(&blob, size, blake3),
            Err(BlobError::Missing) => Ok(Soundness::Missing),
            Err(error) => Err(error),
        }
    }

    fn verify_file(&self, blob: &BlobFile, size: u64, blake3: Option<&Blake3>) -> Result<Soundness, BlobError> {
        let mut proof = Proof::new(blob.sha256, blake3.copied());
        let hashed = blob.size == size && {
            let hashed = hash_chunks(&*self.fs, &blob.file, 0..size, |bytes| proof.add(bytes));
            hashed.map_err(self.failed("read a blob"))?
        };
        if hashed && proof.is_right() {
            self.verified.mark(blob.sha256, blob.stamp);
            return Ok(Soundness::Sound);
        }
        self.found_damaged(&blob.sha256);
        Ok(Soundness::Damaged)
    }
}

impl BlobFile {
    /// Its name.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// Its length when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The descriptor, for sendfile; reading through it misses the checks of the other methods.
    pub fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn into_file(self) -> File {
        self.file
    }

    /// Fills `buf` with the bytes at `offset`.
    ///
    /// # Errors
    /// `Damaged` when the file ends before `buf` is full, `Io` when it can't be read.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), BlobError> {
        match read_full(&*self.fs, &self.file, buf, offset) {
            Ok(count) if count == buf.len() => Ok(()),
            Ok(_) => {
                self.suspects.add(self.sha256);
                Err(BlobError::Damaged { sha256: self.sha256 })
            }
            Err(source) => {
                self.suspects.add(self.sha256);
                Err(BlobError::Io { op: "read a blob", source })
            }
        }
    }

    /// Reads `len` bytes at `offset`, at most [`CHUNK_BYTES_MAX`]: exactly that many come, or an error.
    ///
    /// # Errors
    /// As [`BlobFile::read_exact_at`].
    pub async fn read_chunk(self: &Arc<Self>, offset: u64, len: usize) -> Result<Bytes, BlobError> {
        let blob = Arc::clone(self);
        run_blocking(move || blob.chunk(offset, len)).await
    }

    fn chunk(&self, offset: u64, len: usize) -> Result<Bytes, BlobError> {
        let mut buf = vec![0; len.min(CHUNK_BYTES_MAX)];
        self.read_exact_at(&mut buf, offset)?;
        Ok(Bytes::from(buf))
    }
}

/// Reads a blob from its first byte to its last and proves it on the way: the last chunk comes only when all were right.
#[derive(Debug)]
pub struct VerifyingReader {
    store: Arc<BlobStore>,
    blob: Arc<BlobFile>,
    /// Taken while a chunk is under way; gone for good once one failed.
    progress: Option<(Proof, u64)>,
}

impl VerifyingReader {
    /// Starts at the first byte; hashes with BLAKE3 when that digest is known, else with SHA-256.
    pub fn new(store: &Arc<BlobStore>, blob: &Arc<BlobFile>, blake3: Option<Blake3>) -> Self {
        let proof = Proof::new(blob.sha256, blake3);
        Self { store: Arc::clone(store), blob: Arc::clone(blob), progress: Some((proof, 0)) }
    }

    /// The next chunk, `None` after the last one.
    ///
    /// # Errors
    /// `Damaged` when the file is short or all bytes don't hash right: then the last chunk was held back. `Io` when it
    /// can't be read. No chunk comes after an error, nor after a call that was cancelled.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        let Some((mut proof, offset)) = self.progress.take() else {
            let source = io::Error::other("an earlier chunk failed or was cancelled");
            return Err(BlobError::Io { op: "read a blob", source });
        };
        if offset > 0 && offset == self.blob.size {
            self.progress = Some((proof, offset));
            return Ok(None);
        }
        let (store, blob) = (Arc::clone(&self.store), Arc::clone(&self.blob));
        let (proof, bytes) = run_blocking(move || {
            let left = usize::try_from(blob.size - offset).unwrap_or(usize::MAX);
            let bytes = blob.chunk(offset, left)?;
            proof.add(&bytes);
            if offset + bytes.len() as u64 == blob.size {
                store.conclude(&blob, &proof)?;
            }
            Ok((proof, bytes))
        })
        .await?;
        self.progress = Some((proof, offset + bytes.len() as u64));
        Ok((!bytes.is_empty()).then_some(bytes))
    }
}

impl BlobStore {
    fn conclude(&self, blob: &BlobFile, proof: &Proof) -> Result<(), BlobError> {
        if proof.is_right() {
            self.verified.mark(blob.sha256, blob.stamp);
            return Ok(());
        }
        self.found_damaged(&blob.sha256);
        Err(BlobError::Damaged { sha256: blob.sha256 })
    }

    pub(super) fn found_damaged(&self, sha256: &Sha256) {
        self.verified.forget(sha256);
        self.suspects.add(*sha256);
    }
}

/// A digest under way, and what it should come to.
#[derive(Debug)]
enum Proof {
    Sha256(sha2::Sha256, Sha256),
    Blake3(Box<blake3::Hasher>, Blake3),
}

impl Proof {
    fn new(sha256: Sha256, blake3: Option<Blake3>) -> Self {
        match blake3 {
            Some(blake3) => Self::Blake3(Box::default(), blake3),
            None => Self::Sha256(sha2::Sha256::default(), sha256),
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher, _) => sha2::Digest::update(hasher, bytes),
            Self::Blake3(hasher, _) => {
                hasher.update(bytes);
            }
        }
    }

    fn is_right(&self) -> bool {
        match self {
            Self::Sha256(hasher, expected) => Sha256(sha2::Digest::finalize(hasher.clone()).into()) == *expected,
            Self::Blake3(hasher, expected) => Blake3(*hasher.finalize().as_bytes()) == *expected,
        }
    }
}

/// Hands these bytes of a file to `each` in order; `false` when it ends before.
pub(super) fn hash_chunks(
    fs: &dyn Fs,
    file: &File,
    bytes: Range<u64>,
    mut each: impl FnMut(&[u8]),
) -> io::Result<bool> {
    let Range { start: mut offset, end } = bytes;
    let mut buf = vec![0; CHUNK_BYTES_MAX.min(usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX))];
    while offset < end {
        let wanted = buf.len().min(usize::try_from(end - offset).unwrap_or(usize::MAX));
        let count = read_full(fs, file, &mut buf[..wanted], offset)?;
        each(&buf[..count]);
        if count < wanted {
            return Ok(false);
        }
        offset += count as u64;
    }
    Ok(true)
}

/// The note that stands under the name of `sha256`, if it is one: somebody may publish a note's text, and then the file is
/// the blob that its name says.
pub(in crate::storage) fn read_note(fs: &dyn Fs, file: &File, size: u64, sha256: &Sha256) -> io::Result<Option<Note>> {
    if size > NOTE_BYTES_MAX as u64 {
        return Ok(None);
    }
    let mut text = [0; NOTE_BYTES_MAX];
    let length = read_full(fs, file, &mut text, 0)?;
    let text = text.get(..length).unwrap_or_default();
    Ok(Note::parse(text).filter(|_| Sha256::of(text) != *sha256))
}

/// Both digests of the first `size` bytes of a file.
pub(super) fn hash_both(fs: &dyn Fs, file: &File, size: u64) -> io::Result<(Sha256, Blake3)> {
    let (mut sha256, mut blake3) = (sha2::Sha256::default(), blake3::Hasher::new());
    hash_chunks(fs, file, 0..size, |bytes| {
        sha2::Digest::update(&mut sha256, bytes);
        blake3.update(bytes);
    })?;
    Ok((Sha256(sha2::Digest::finalize(sha256).into()), Blake3(*blake3.finalize().as_bytes())))
}

/// BLAKE3 of the first `size` bytes of a file.
pub(super) fn hash_blake3(fs: &dyn Fs, file: &File, size: u64) -> io::Result<Blake3> {
    let mut hasher = blake3::Hasher::new();
    hash_chunks(fs, file, 0..size, |bytes| {
        hasher.update(bytes);
    })?;
    Ok(Blake3(*hasher.finalize().as_bytes()))
}

//! The store on a real directory, and on one whose disk breaks at each call in turn.

mod broken;
mod ingest;
mod reading;
mod uploads;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::storage::tests::broken_fs::{BrokenFs, EIO, ENOSPC};

/// A store in a directory of its own.
struct Bench {
    dir: tempfile::TempDir,
    fs: Arc<BrokenFs>,
    store: Arc<BlobStore>,
}

impl Bench {
    fn new() -> Self {
        Self::over(BrokenFs::default())
    }

    /// On a file system that knows no unnamed files.
    fn named() -> Self {
        Self::over(BrokenFs::named_only())
    }

    fn over(fs: BrokenFs) -> Self {
        let (dir, fs) = (tempfile::tempdir().unwrap(), Arc::new(fs));
        let store = BlobStore::open(dir.path(), Arc::<BrokenFs>::clone(&fs)).unwrap();
        assert_eq!(store.unnamed, !fs.named_only);
        Self { dir, fs, store }
    }

    /// As after a restart on a disk that works again.
    fn reopen(&mut self) {
        self.fs.mend();
        self.store = BlobStore::open(self.dir.path(), Arc::<BrokenFs>::clone(&self.fs)).unwrap();
    }

    fn stage(&self, bytes: &[u8]) -> Result<Staged, BlobError> {
        let mut staging = self.store.stage()?;
        for chunk in bytes.chunks(100_000) {
            staging.write(chunk)?;
        }
        staging.finish()
    }

    fn keep(&self, bytes: &[u8]) -> Result<Kept, BlobError> {
        self.stage(bytes)?.keep()
    }

    fn path(&self, bytes: &[u8]) -> PathBuf {
        let hex = Sha256::of(bytes).to_hex();
        self.dir.path().join("blobs/sha256").join(&hex[..2]).join(hex)
    }

    /// All files of the data directory, by path, in order.
    fn files(&self) -> Vec<PathBuf> {
        let mut dirs = vec![self.dir.path().to_owned()];
        let mut files = Vec::new();
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() { &mut dirs } else { &mut files }.push(entry.path());
            }
        }
        files.sort();
        files
    }

    /// Overwrites a stored file behind the store's back, until the kernel's coarse clock shows it.
    fn overwrite(&self, stored: &[u8], bytes: &[u8]) {
        let path = self.path(stored);
        let changed = || fs::metadata(&path).map(|metadata| (metadata.ctime(), metadata.ctime_nsec())).unwrap();
        let before = changed();
        while changed() == before {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            fs::write(&path, bytes).unwrap();
        }
    }
}

/// Bytes that differ from each other for each seed.
fn some_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

const SIZES: [usize; 10] =
    [0, 1, 511, 512, 513, 8191, CHUNK_BYTES_MAX - 1, CHUNK_BYTES_MAX, CHUNK_BYTES_MAX + 1, 3 << 20];

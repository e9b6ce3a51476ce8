//! The store on a real directory, and on one whose disk breaks at each call in turn.

mod broken;
mod ingest;
mod reading;
mod uploads;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::storage::fs::{Access, RealFs, Stat};

/// The real disk, but: it can lack unnamed files, fail one call (by number or by name), and it writes down what it did.
#[derive(Debug, Default)]
struct BrokenFs {
    named_only: bool,
    calls: AtomicUsize,
    /// The number of the one call that fails, from 1; 0 for none.
    fail_call: AtomicUsize,
    /// Each call of this name fails with this error.
    fail_op: Mutex<Option<(&'static str, i32)>>,
    log: Mutex<Vec<&'static str>>,
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EOPNOTSUPP: i32 = 95;

impl BrokenFs {
    fn step(&self, op: &'static str) -> io::Result<()> {
        self.log.lock().unwrap().push(op);
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if number == self.fail_call.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        match *self.fail_op.lock().unwrap() {
            Some((name, code)) if name == op => Err(io::Error::from_raw_os_error(code)),
            _ => Ok(()),
        }
    }

    /// From here on, the call of this number fails.
    fn fail_call(&self, number: usize) {
        self.calls.store(0, Ordering::SeqCst);
        self.fail_call.store(number, Ordering::SeqCst);
    }

    fn fail_op(&self, op: &'static str, code: i32) {
        *self.fail_op.lock().unwrap() = Some((op, code));
    }

    /// Whether the call chosen by [`BrokenFs::fail_call`] was reached; mends the disk.
    fn mend(&self) -> bool {
        *self.fail_op.lock().unwrap() = None;
        self.calls.load(Ordering::SeqCst) >= self.fail_call.swap(0, Ordering::SeqCst)
    }

    fn take_log(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

impl Fs for BrokenFs {
    fn create_unnamed(&self, dir: &Path) -> io::Result<File> {
        if self.named_only {
            return Err(io::Error::from_raw_os_error(EOPNOTSUPP));
        }
        self.step("create_unnamed").and_then(|()| RealFs.create_unnamed(dir))
    }
    fn create(&self, path: &Path) -> io::Result<File> {
        self.step("create").and_then(|()| RealFs.create(path))
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<File> {
        self.step("open").and_then(|()| RealFs.open(path, access))
    }
    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.step("read_at").and_then(|()| RealFs.read_at(file, buf, offset))
    }
    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.step("write_all_at") {
            // A write that fails may have written some.
            RealFs.write_all_at(file, &bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        RealFs.write_all_at(file, bytes, offset)
    }
    fn set_len(&self, file: &File, size: u64) -> io::Result<()> {
        self.step("set_len").and_then(|()| RealFs.set_len(file, size))
    }
    fn set_read_only(&self, file: &File) -> io::Result<()> {
        self.step("set_read_only").and_then(|()| RealFs.set_read_only(file))
    }
    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.step("sync_data").and_then(|()| RealFs.sync_data(file))
    }
    fn sync_all(&self, file: &File) -> io::Result<()> {
        self.step("sync_all").and_then(|()| RealFs.sync_all(file))
    }
    fn open_dir(&self, path: &Path) -> io::Result<File> {
        self.step("open_dir").and_then(|()| RealFs.open_dir(path))
    }
    fn sync_dir(&self, dir: &File) -> io::Result<()> {
        self.step("sync_dir").and_then(|()| RealFs.sync_dir(dir))
    }
    fn link_file(&self, file: &File, to: &Path) -> io::Result<()> {
        self.step("link_file").and_then(|()| RealFs.link_file(file, to))
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("link").and_then(|()| RealFs.link(from, to))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename").and_then(|()| RealFs.rename(from, to))
    }
    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.step("unlink").and_then(|()| RealFs.unlink(path))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step("create_dir").and_then(|()| RealFs.create_dir(path))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.step("list").and_then(|()| RealFs.list(dir))
    }
    fn stat(&self, file: &File) -> io::Result<Stat> {
        self.step("stat").and_then(|()| RealFs.stat(file))
    }
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        RealFs.free_bytes(dir)
    }
    fn ticks(&self) -> u64 {
        RealFs.ticks()
    }
}

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
        Self::over(BrokenFs { named_only: true, ..BrokenFs::default() })
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

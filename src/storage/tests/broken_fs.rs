//! A disk for tests, which breaks when it is told to.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::storage::fs::{Access, Fs, RealFs, Stat};

/// The real disk, but: it can lack unnamed files, fail one call (by number or by name), and it writes down what it did.
#[derive(Debug, Default)]
pub(crate) struct BrokenFs {
    pub(crate) named_only: bool,
    calls: AtomicUsize,
    /// The number of the one call that fails, from 1; 0 for none.
    fail_call: AtomicUsize,
    /// Each call of this name fails with this error.
    fail_op: Mutex<Option<(&'static str, i32)>>,
    log: Mutex<Vec<&'static str>>,
    /// No file gets any block that it does not have already.
    full: AtomicBool,
}

pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;
pub(crate) const EOPNOTSUPP: i32 = 95;

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

    /// One that knows no unnamed files.
    pub(crate) fn named_only() -> Self {
        Self { named_only: true, ..Self::default() }
    }

    /// From here on, the call of this number fails.
    pub(crate) fn fail_call(&self, number: usize) {
        self.calls.store(0, Ordering::SeqCst);
        self.fail_call.store(number, Ordering::SeqCst);
    }

    pub(crate) fn fail_op(&self, op: &'static str, code: i32) {
        *self.fail_op.lock().unwrap() = Some((op, code));
    }

    /// Whether the call chosen by [`BrokenFs::fail_call`] was reached; mends the disk.
    pub(crate) fn mend(&self) -> bool {
        *self.fail_op.lock().unwrap() = None;
        self.calls.load(Ordering::SeqCst) >= self.fail_call.swap(0, Ordering::SeqCst)
    }

    /// From here on the disk is full, or is so no more; blocks that a file has from its start on it can fill all the same.
    pub(crate) fn fill(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    fn room(&self, file: &File, end: u64) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) && RealFs.stat(file)?.allocated < end {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
    }

    pub(crate) fn take_log(&self) -> Vec<&'static str> {
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
        self.room(file, offset + bytes.len() as u64)?;
        RealFs.write_all_at(file, bytes, offset)
    }
    fn set_len(&self, file: &File, size: u64) -> io::Result<()> {
        self.step("set_len").and_then(|()| RealFs.set_len(file, size))
    }
    fn allocate(&self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        self.step("allocate")?;
        self.room(file, offset + len)?;
        RealFs.allocate(file, offset, len)
    }
    fn set_read_only(&self, file: &File) -> io::Result<()> {
        self.step("set_read_only").and_then(|()| RealFs.set_read_only(file))
    }
    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.step("sync_data").and_then(|()| RealFs.sync_data(file))
    }
    fn drop_cached(&self, file: &File) -> io::Result<()> {
        self.step("drop_cached").and_then(|()| RealFs.drop_cached(file))
    }
    fn sync_all(&self, file: &File) -> io::Result<()> {
        self.step("sync_all").and_then(|()| RealFs.sync_all(file))
    }
    fn sync_device(&self, dir: &File) -> io::Result<()> {
        self.step("sync_device").and_then(|()| RealFs.sync_device(dir))
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
        if self.full.load(Ordering::SeqCst) { Ok(0) } else { RealFs.free_bytes(dir) }
    }
    fn ticks(&self) -> u64 {
        RealFs.ticks()
    }
}

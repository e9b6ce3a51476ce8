//! redb's file, through the seam.
//!
//! Owns the blocks of that file: it has some past every byte written so far ([`RESERVE_BYTES`]), so that redb can go on
//! for a while on a disk that is full. Must never retry a failed sync, nor hide an error from redb, which takes none of
//! its writes back.
//!
//! Blocks are not allocated for all of the length that redb asks for: it doubles its file, and adds 4 GiB to a big one,
//! which a disk with room enough for years may not have; and what `fallocate` got before it failed, it keeps.

use std::fs::File;
use std::io;
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

use crate::storage::disk::{DiskState, Reserve};
use crate::storage::fs::{Access, Fs, Stat, read_full};

/// Bytes past the furthest write for which the file has blocks while there is room.
pub const RESERVE_BYTES: u64 = 8 << 20;
/// Blocks are asked for this many bytes at a time, so that a lack of room shows before the reserve is touched.
const AHEAD_BYTES: u64 = RESERVE_BYTES;
/// What is asked for at once when there is no room for all: finds what the file has already.
const STEP_BYTES: u64 = 256 << 10;

/// One open redb file and the blocks that it has. Outlives the database on it, so that whoever opened it can look after
/// its reserve.
#[derive(Debug)]
pub struct IndexFile {
    fs: Arc<dyn Fs>,
    disk: Arc<DiskState>,
    /// Where it lies.
    folder: PathBuf,
    file: File,
    blocks: Mutex<Blocks>,
    sync_failed: AtomicBool,
    in_use: AtomicBool,
}

/// How far the file is written, and how far it has blocks without a gap.
#[derive(Clone, Copy, Debug)]
struct Blocks {
    written_until: u64,
    allocated_until: u64,
    /// The length that redb set while the file kept its own.
    shown: Option<u64>,
}

/// What redb is given; one database at a time can be open on a file.
#[derive(Debug)]
pub struct IndexBackend {
    index: Arc<IndexFile>,
    holds: AtomicBool,
}

impl IndexFile {
    /// Makes the file; its name is durable only once the caller synced its directory.
    ///
    /// # Errors
    /// When it is there, or the disk fails.
    pub fn create(fs: Arc<dyn Fs>, path: &Path, disk: Arc<DiskState>) -> io::Result<Arc<Self>> {
        Self::over((fs.create(path)?, path), fs, disk)
    }

    /// Opens the file that is there.
    ///
    /// # Errors
    /// When there is none, or the disk fails.
    pub fn open(fs: Arc<dyn Fs>, path: &Path, disk: Arc<DiskState>) -> io::Result<Arc<Self>> {
        Self::over((fs.open(path, Access::ReadWrite)?, path), fs, disk)
    }

    fn over((file, path): (File, &Path), fs: Arc<dyn Fs>, disk: Arc<DiskState>) -> io::Result<Arc<Self>> {
        let stat = fs.stat(&file)?;
        // A length that redb asked for and never used has no blocks: it is not counted as written.
        let blocks = Blocks { written_until: stat.size.min(stat.allocated), allocated_until: 0, shown: None };
        let (sync_failed, in_use) = (AtomicBool::new(false), AtomicBool::new(false));
        let folder = path.parent().unwrap_or(path).to_owned();
        let index = Self { fs, disk, folder, file, blocks: Mutex::new(blocks), sync_failed, in_use };
        index.reserve()?;
        Ok(Arc::new(index))
    }

    /// What redb opens a database on: its `create_with_backend` takes an empty file and one with a database in it.
    pub fn backend(self: &Arc<Self>) -> IndexBackend {
        IndexBackend { index: Arc::clone(self), holds: AtomicBool::new(false) }
    }

    /// Fills the reserve up as far as there is room, and tells the disk's state whether it is whole.
    ///
    /// # Errors
    /// When the disk fails otherwise than for lack of room.
    pub fn reserve(&self) -> io::Result<()> {
        self.fill_up(&mut self.blocks())
    }

    /// Identity and length, as a seal keeps them.
    ///
    /// # Errors
    /// When the file system does not tell.
    pub fn stat(&self) -> io::Result<Stat> {
        self.fs.stat(&self.file)
    }

    /// Whether every sync so far succeeded.
    pub fn is_sound(&self) -> bool {
        !self.sync_failed.load(Ordering::Acquire)
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        // No invariant spans two statements that could panic: what a poisoned lock holds is right.
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for blocks when less than the reserve is left past the furthest write.
    fn fill_up(&self, blocks: &mut Blocks) -> io::Result<()> {
        let least = blocks.written_until + RESERVE_BYTES;
        if blocks.allocated_until >= least {
            self.disk.set_whole(Reserve::Index, true);
            return Ok(());
        }
        let (from, until) = (blocks.allocated_until, least + AHEAD_BYTES);
        let allocated = match self.fs.allocate(&self.file, from, until - from) {
            Err(error) if is_full(&error) => self.grow_in_steps(from, least),
            done => done.map(|()| until),
        };
        blocks.allocated_until = match allocated {
            // Such a disk has no reserve; the check of free space before each upload has to do.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => u64::MAX,
            allocated => allocated.map_err(|error| self.noted("give meta.redb blocks", error))?,
        };
        self.disk.set_whole(Reserve::Index, blocks.allocated_until >= least);
        Ok(())
    }

    /// Where the blocks that the file can have end.
    fn grow_in_steps(&self, from: u64, least: u64) -> io::Result<u64> {
        let mut until = from;
        while until < least {
            match self.fs.allocate(&self.file, until, STEP_BYTES) {
                Ok(()) => until += STEP_BYTES,
                Err(error) if is_full(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(until)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_synced()?;
        let end = offset + data.len() as u64;
        let mut blocks = self.blocks();
        if end > blocks.written_until {
            blocks.written_until = end;
            self.fill_up(&mut blocks)?;
        }
        drop(blocks);
        self.fs.write_all_at(&self.file, data, offset).map_err(|error| self.noted("write meta.redb", error))
    }

    fn len(&self) -> io::Result<u64> {
        let shown = self.blocks().shown;
        shown.map_or_else(|| Ok(self.stat()?.size), Ok)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_synced()?;
        let mut blocks = self.blocks();
        let real = self.fs.stat(&self.file)?.size;
        let seen = blocks.shown.unwrap_or(real);
        // redb cuts its file when it closes it. On a full disk others would have the blocks at once; with them the file is
        // longer than redb's header says, as after a crash while it grew.
        if len < seen && self.has_little_room() {
            blocks.shown = Some(len);
            return Ok(());
        }
        if len < seen {
            self.resize(len)?;
            blocks.shown = None;
            blocks.written_until = blocks.written_until.min(len);
            blocks.allocated_until = blocks.allocated_until.min(len);
            return self.fill_up(&mut blocks);
        }
        self.clear(seen..len.min(real))?;
        blocks.shown = Some(len).filter(|len| *len < real);
        // Setting the length that it has would give the blocks past its end back.
        if len > real { self.resize(len) } else { Ok(()) }
    }

    /// Whether blocks that are given back could be missed.
    fn has_little_room(&self) -> bool {
        let wanted = RESERVE_BYTES + AHEAD_BYTES;
        self.disk.is_full() || self.fs.free_bytes(&self.folder).is_ok_and(|free| free < wanted)
    }

    /// What redb gets back of its file is zeros, as it would be of a longer one.
    fn clear(&self, range: Range<u64>) -> io::Result<()> {
        let zeros = vec![0; usize::try_from(STEP_BYTES).unwrap_or(usize::MAX)];
        let mut at = range.start;
        while at < range.end {
            let count = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(zeros.len());
            let written = self.fs.write_all_at(&self.file, &zeros[..count], at);
            written.map_err(|error| self.noted("write meta.redb", error))?;
            at += count as u64;
        }
        Ok(())
    }

    fn resize(&self, len: u64) -> io::Result<()> {
        self.fs.set_len(&self.file, len).map_err(|error| self.noted("set the length of meta.redb", error))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.check_synced()?;
        self.fs.sync_data(&self.file).map_err(|error| {
            self.sync_failed.store(true, Ordering::Release);
            self.noted("sync meta.redb", error)
        })
    }

    /// After a failed sync the kernel may call pages clean that never reached the disk: a second one would succeed.
    fn check_synced(&self) -> io::Result<()> {
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(io::Error::other("an earlier sync of meta.redb failed"));
        }
        Ok(())
    }

    fn noted(&self, op: &'static str, error: io::Error) -> io::Error {
        if is_full(&error) {
            self.disk.set_whole(Reserve::Index, false);
        } else {
            self.disk.note(op, &error);
        }
        error
    }
}

impl StorageBackend for IndexBackend {
    fn len(&self) -> io::Result<u64> {
        self.index.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let index = &*self.index;
        let count = read_full(&*index.fs, &index.file, out, offset);
        let count = count.map_err(|error| index.noted("read meta.redb", error))?;
        if count < out.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.index.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.index.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.index.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        // redb closes the backend of a database that it refused to open, too.
        if self.holds.swap(false, Ordering::AcqRel) {
            self.index.in_use.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Keeps two databases of this process apart; the lock of the data directory keeps other processes away.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        match (start, end) {
            (Bound::Unbounded | Bound::Included(0), Bound::Unbounded) => {
                let is_free = !self.index.in_use.swap(true, Ordering::AcqRel);
                self.holds.fetch_or(is_free, Ordering::AcqRel);
                Ok(is_free)
            }
            _ => Err(BackendError::Unsupported),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

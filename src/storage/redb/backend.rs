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
use std::ops::Bound;
use std::path::Path;
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
        Self::over(fs.create(path)?, fs, disk)
    }

    /// Opens the file that is there.
    ///
    /// # Errors
    /// When there is none, or the disk fails.
    pub fn open(fs: Arc<dyn Fs>, path: &Path, disk: Arc<DiskState>) -> io::Result<Arc<Self>> {
        Self::over(fs.open(path, Access::ReadWrite)?, fs, disk)
    }

    fn over(file: File, fs: Arc<dyn Fs>, disk: Arc<DiskState>) -> io::Result<Arc<Self>> {
        let stat = fs.stat(&file)?;
        // A length that redb asked for and never used has no blocks: it is not counted as written.
        let blocks = Blocks { written_until: stat.size.min(stat.allocated), allocated_until: 0 };
        let (sync_failed, in_use) = (AtomicBool::new(false), AtomicBool::new(false));
        let index = Self { fs, disk, file, blocks: Mutex::new(blocks), sync_failed, in_use };
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

    /// Whether every sync so far succeeded. redb tells nobody of one that fails while it closes.
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

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_synced()?;
        let mut blocks = self.blocks();
        let before = self.fs.stat(&self.file)?.size;
        // Setting the length that it has would give the blocks past its end back.
        if len != before {
            self.fs.set_len(&self.file, len).map_err(|error| self.noted("set the length of meta.redb", error))?;
        }
        if len < before {
            blocks.written_until = blocks.written_until.min(len);
            blocks.allocated_until = blocks.allocated_until.min(len);
            self.fill_up(&mut blocks)?;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
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
        Ok(self.index.stat()?.size)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::tests::broken_fs::{BrokenFs, EIO, EOPNOTSUPP};
    use redb::{Builder, Database, DatabaseError, Durability, TableDefinition};
    use redb::{ReadableDatabase as _, ReadableTableMetadata as _};

    const ROWS: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("rows");
    const ROW_BYTES: usize = 2000;

    struct Bench {
        dir: tempfile::TempDir,
        fs: Arc<BrokenFs>,
        disk: Arc<DiskState>,
    }

    impl Bench {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), fs: Arc::default(), disk: Arc::default() }
        }

        fn create(&self) -> (Arc<IndexFile>, Database) {
            let path = self.dir.path().join("meta.redb");
            let index = IndexFile::create(Arc::<BrokenFs>::clone(&self.fs), &path, Arc::clone(&self.disk)).unwrap();
            let database = Builder::new().create_with_backend(index.backend()).unwrap();
            (index, database)
        }

        fn open(&self) -> Arc<IndexFile> {
            let path = self.dir.path().join("meta.redb");
            IndexFile::open(Arc::<BrokenFs>::clone(&self.fs), &path, Arc::clone(&self.disk)).unwrap()
        }
    }

    fn put(database: &Database, keys: std::ops::Range<u64>, durability: Durability) -> Result<(), redb::Error> {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(durability).unwrap();
        {
            let mut rows = transaction.open_table(ROWS)?;
            for key in keys {
                rows.insert(key, [7; ROW_BYTES].as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn count(database: &Database) -> u64 {
        database.begin_read().unwrap().open_table(ROWS).unwrap().len().unwrap()
    }

    #[test]
    fn redb_works_on_it_and_finds_its_rows_again() {
        let bench = Bench::new();
        let (index, mut database) = bench.create();
        put(&database, 0..20_000, Durability::Immediate).unwrap();
        assert!(index.stat().unwrap().allocated >= index.stat().unwrap().size.min(20_000 * ROW_BYTES as u64));
        put(&database, 20_000..20_010, Durability::None).unwrap();
        let before = index.stat().unwrap().size;
        {
            let transaction = database.begin_write().unwrap();
            transaction.open_table(ROWS).unwrap().retain(|key, _| key % 10 == 0).unwrap();
            transaction.commit().unwrap();
        }
        database.compact().unwrap();
        let stat = index.stat().unwrap();
        assert!(stat.size < before && stat.allocated >= stat.size + RESERVE_BYTES, "{stat:?}");
        drop((database, index));
        let database = Builder::new().create_with_backend(bench.open().backend()).unwrap();
        assert_eq!(count(&database), 2001);
        assert!(!bench.disk.is_full() && bench.disk.first_error().is_none());
    }

    #[test]
    fn one_database_at_a_time_is_open_on_a_file() {
        let (index, database) = Bench::new().create();
        for _ in 0..2 {
            let refused = Builder::new().create_with_backend(index.backend()).unwrap_err();
            assert!(matches!(refused, DatabaseError::DatabaseAlreadyOpen), "{refused}");
        }
        let reader = database.begin_read().unwrap();
        drop(database);
        drop(reader);
        Builder::new().create_with_backend(index.backend()).unwrap();
    }

    #[test]
    fn on_a_full_disk_changes_go_on_within_the_reserve_and_after_a_restart_too() {
        let bench = Bench::new();
        let (index, database) = bench.create();
        put(&database, 0..5000, Durability::Immediate).unwrap();
        bench.fs.fill(true);
        let mut rows = 5000;
        while !bench.disk.is_full() {
            put(&database, rows..rows + 100, Durability::Immediate).unwrap();
            rows += 100;
        }
        // What is written now lies in the reserve, though redb's file is longer than that by far.
        put(&database, rows..rows + 1000, Durability::Immediate).unwrap();
        rows += 1000;
        drop((database, index));
        let index = bench.open();
        let database = Builder::new().create_with_backend(index.backend()).unwrap();
        assert!(bench.disk.is_full());
        put(&database, rows..rows + 10, Durability::Immediate).unwrap();
        assert_eq!(count(&database), rows + 10);
        bench.fs.fill(false);
        index.reserve().unwrap();
        assert!(!bench.disk.is_full());
    }

    #[test]
    fn past_the_reserve_a_commit_fails_and_nothing_durable_is_lost() {
        let bench = Bench::new();
        let (index, database) = bench.create();
        put(&database, 0..100, Durability::Immediate).unwrap();
        bench.fs.fill(true);
        let refused = put(&database, 100..20_000, Durability::Immediate).unwrap_err();
        assert!(matches!(&refused, redb::Error::Io(error) if is_full(error)), "{refused}");
        assert!(bench.disk.is_full() && bench.disk.first_error().is_none());
        assert_eq!(count(&database), 100);
        drop((database, index));
        let database = Builder::new().create_with_backend(bench.open().backend()).unwrap();
        assert_eq!(count(&database), 100);
    }

    #[test]
    fn a_failed_sync_is_not_tried_again_and_its_error_is_kept() {
        let bench = Bench::new();
        let (index, database) = bench.create();
        put(&database, 0..10, Durability::Immediate).unwrap();
        bench.fs.fail_op("sync_data", EIO);
        bench.fs.take_log();
        put(&database, 10..20, Durability::Immediate).unwrap_err();
        bench.fs.mend();
        put(&database, 20..30, Durability::Immediate).unwrap_err();
        assert_eq!(count(&database), 10);
        drop(database);
        assert!(Builder::new().create_with_backend(index.backend()).is_err(), "its pages can't be trusted");
        assert_eq!(bench.fs.take_log().iter().filter(|op| **op == "sync_data").count(), 1);
        assert!(!index.is_sound() && bench.disk.first_error().unwrap().starts_with("sync meta.redb: "));
    }

    #[test]
    fn a_disk_that_gives_no_blocks_ahead_is_used_without_a_reserve() {
        let bench = Bench::new();
        bench.fs.fail_op("allocate", EOPNOTSUPP);
        let (_index, database) = bench.create();
        put(&database, 0..100, Durability::Immediate).unwrap();
        assert!(!bench.disk.is_full() && bench.disk.first_error().is_none());
    }
}

//! Builds an index from rows and frames, in a file that nobody takes for the index before it is whole.
//!
//! What a build that was cut off left under the file's name is unlinked, never written to: in a hard-link copy of a
//! directory the name may be another directory's file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Builder, Database, Durability, WriteTransaction};

use super::backend::IndexFile;
use super::replay::{apply_ops, size, table_of};
use super::seq::{note_erased, write_seq};
use super::staging::definition;
use super::{DATA_FORMAT, FORMAT, METADATA_FILE, NEW_FILE, backend, from_io};
use crate::storage::StoreError;
use crate::storage::disk::DiskState;
use crate::storage::fs::Fs;
use crate::storage::journal::header::Position;
use crate::storage::tables::{RowOp, Table};

const BUILDING: &str = "building the index";
const NAMING: &str = "giving the index its name";
/// Bytes of operations that are gathered and put in table by table: opening a table costs as much as a row.
const GATHERED_BYTES_MAX: usize = 4 << 20;
/// Bytes of rows that share a transaction; redb remembers each page of an open one.
const TRANSACTION_BYTES_MAX: usize = 64 << 20;
/// The same beside a writer at work, and then they are synced: a big sync would stall its frames.
const GENTLE_BYTES_MAX: usize = 8 << 20;

/// An index in the making. Dropped before [`Build::finish`], it leaves a file that the next build unlinks.
pub struct Build {
    path: PathBuf,
    index: Arc<IndexFile>,
    database: Database,
    open: Option<WriteTransaction>,
    gathered: Vec<RowOp>,
    gathered_bytes: usize,
    open_bytes: usize,
    rows: u64,
    is_gentle: bool,
    /// The tick of the first frame that erased rows.
    erased: Option<u64>,
}

/// A whole, durable index, open, whose name is the one that it was built under.
pub struct Built {
    /// The database.
    pub database: Database,
    /// Its file.
    pub index: Arc<IndexFile>,
    /// How many rows were put or deleted.
    pub rows: u64,
    path: PathBuf,
}

impl Build {
    /// Where the index of a directory is built.
    pub fn place(data: &Path) -> PathBuf {
        data.join(NEW_FILE)
    }

    /// Begins an empty index at `path`.
    ///
    /// # Errors
    /// `Full` and `Backend`, when the disk fails.
    pub fn begin(fs: Arc<dyn Fs>, path: &Path, cache_bytes: usize, disk: Arc<DiskState>) -> Result<Self, StoreError> {
        let io = |error: io::Error| from_io(BUILDING, error);
        match fs.unlink(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            Ok(()) | Err(_) => {}
        }
        let index = IndexFile::create(fs, path, disk).map_err(io)?;
        let database = Builder::new().set_cache_size(cache_bytes).create_with_backend(index.backend());
        let database = database.map_err(|error| backend(BUILDING, error.into()))?;
        let path = path.to_owned();
        let mut build = Self {
            path,
            index,
            database,
            open: None,
            gathered: Vec::new(),
            gathered_bytes: 0,
            open_bytes: 0,
            rows: 0,
            is_gentle: false,
            erased: None,
        };
        build.lay_out()?;
        Ok(build)
    }

    /// Built beside a writer at work: little is written at a time.
    #[must_use]
    pub fn gently(mut self) -> Self {
        self.is_gentle = true;
        self
    }

    /// Makes the tables, so that none is missing when nothing is put into it.
    fn lay_out(&mut self) -> Result<(), StoreError> {
        let failed = |error: redb::Error| backend(BUILDING, error);
        let transaction = self.transaction()?;
        for table in Table::ALL {
            transaction.open_table(definition(*table)).map_err(|error| failed(error.into()))?;
        }
        let mut format = transaction.open_table(FORMAT).map_err(|error| failed(error.into()))?;
        format.insert("data", DATA_FORMAT).map_err(|error| failed(error.into()))?;
        Ok(())
    }

    /// Puts one row.
    ///
    /// # Errors
    /// `Full` and `Backend`; the build is to be given up then.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.gather(RowOp::Put { table, key: key.to_vec(), value: value.to_vec() })
    }

    /// Puts the rows of a frame of this tick.
    ///
    /// # Errors
    /// As [`Build::put`].
    pub fn apply(&mut self, ops: impl IntoIterator<Item = RowOp>, tick: u64) -> Result<(), StoreError> {
        ops.into_iter().try_for_each(|op| {
            if op.erases() {
                self.erased.get_or_insert(tick);
            }
            self.gather(op)
        })
    }

    /// Makes what was put durable, as the state after `position`; without one, as a state from before the journal.
    ///
    /// # Errors
    /// As [`Build::put`].
    pub fn finish(mut self, position: Option<&Position>) -> Result<Built, StoreError> {
        self.spill()?;
        let transaction = match self.open.take() {
            Some(open) => open,
            None => self.database.begin_write().map_err(|error| backend(BUILDING, error.into()))?,
        };
        if let Some(position) = position {
            write_seq(&transaction, position)?;
        }
        if let Some(tick) = self.erased {
            note_erased(&transaction, tick)?;
        }
        commit(transaction, Durability::Immediate)?;
        let Self { path, index, database, rows, .. } = self;
        Ok(Built { database, index, rows, path })
    }

    fn gather(&mut self, op: RowOp) -> Result<(), StoreError> {
        self.gathered_bytes += size(&op) + size_of::<RowOp>();
        self.gathered.push(op);
        self.rows += 1;
        if self.gathered_bytes < GATHERED_BYTES_MAX { Ok(()) } else { self.spill() }
    }

    /// Puts what was gathered in, table by table: within a table the order stays, and tables know nothing of another.
    fn spill(&mut self) -> Result<(), StoreError> {
        let mut ops = std::mem::take(&mut self.gathered);
        ops.sort_by_key(|op| table_of(op) as u8);
        apply_ops(self.transaction()?, &ops)?;
        ops.clear();
        self.gathered = ops;
        self.open_bytes += std::mem::take(&mut self.gathered_bytes);
        let bytes_max = if self.is_gentle { GENTLE_BYTES_MAX } else { TRANSACTION_BYTES_MAX };
        if self.open_bytes >= bytes_max {
            self.open_bytes = 0;
            self.open.take().map_or(Ok(()), |open| commit(open, Durability::None))?;
            if self.is_gentle {
                self.index.sync().map_err(|error| from_io(BUILDING, error))?;
            }
        }
        Ok(())
    }

    fn transaction(&mut self) -> Result<&mut WriteTransaction, StoreError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.database.begin_write().map_err(|error| backend(BUILDING, error.into()))?,
        };
        Ok(self.open.insert(open))
    }
}

fn commit(mut transaction: WriteTransaction, durability: Durability) -> Result<(), StoreError> {
    transaction.set_durability(durability).map_err(|error| backend(BUILDING, error.into()))?;
    transaction.commit().map_err(|error| backend(BUILDING, error.into()))
}

impl Built {
    /// Gives it the name of the directory's index, in place of what has it, and makes that durable.
    ///
    /// # Errors
    /// `Full` and `Backend`; the name may stand for the old or the new index then.
    pub fn install(self, fs: &dyn Fs, data: &Path) -> Result<(Database, Arc<IndexFile>), StoreError> {
        let io = |error: io::Error| from_io(NAMING, error);
        let renamed = self.rename(fs, data)?;
        fs.sync_dir(&fs.open_dir(data).map_err(io)?).map_err(io)?;
        Ok(renamed)
    }

    /// Gives it the name of the directory's index, in place of what has it; the directory is still to be synced.
    ///
    /// # Errors
    /// `Full` and `Backend`; then the old index has its name still.
    pub fn rename(self, fs: &dyn Fs, data: &Path) -> Result<(Database, Arc<IndexFile>), StoreError> {
        fs.rename(&self.path, &data.join(METADATA_FILE)).map_err(|error| from_io(NAMING, error))?;
        Ok((self.database, self.index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Blake3;
    use crate::domain::id::Id;
    use crate::storage::fs::RealFs;
    use crate::storage::journal::name::Generation;
    use crate::storage::redb::seq::read_seq;
    use redb::{ReadableDatabase as _, ReadableTableMetadata as _};

    const CACHE: usize = 16 << 20;

    fn begin(data: &Path) -> Build {
        Build::begin(Arc::new(RealFs), &Build::place(data), CACHE, Arc::default()).unwrap()
    }

    fn position() -> Position {
        let generation = Generation { number: 1, history: Id(5) };
        Position { generation, end: 99, number: 7, hash: Blake3([1; 32]), tick: 3 }
    }

    #[test]
    fn rows_and_frames_are_found_in_the_index_after_a_restart() {
        let temp = tempfile::tempdir().unwrap();
        let mut build = begin(temp.path());
        for key in 0..100_000_u32 {
            build.put(Table::Versions, &key.to_be_bytes(), &[7; 100]).unwrap();
        }
        let put = |table, key: &[u8], value: &[u8]| RowOp::Put { table, key: key.to_vec(), value: value.to_vec() };
        let gone = RowOp::Delete { table: Table::Versions, key: 5_u32.to_be_bytes().to_vec() };
        build.apply([put(Table::Users, b"a", b"1"), gone, put(Table::Users, b"a", b"2")], 3).unwrap();
        let built = build.finish(Some(&position())).unwrap();
        assert_eq!(built.rows, 100_003);
        drop(built.install(&RealFs, temp.path()).unwrap());
        assert!(!Build::place(temp.path()).exists());
        let mut database = Database::open(temp.path().join(METADATA_FILE)).unwrap();
        assert!(database.check_integrity().unwrap());
        super::super::check_format(&database).unwrap();
        let read = database.begin_read().unwrap();
        assert_eq!(read_seq(&read).unwrap(), Some(position()));
        assert_eq!(read.open_table(definition(Table::Versions)).unwrap().len().unwrap(), 99_999);
        let users = read.open_table(definition(Table::Users)).unwrap();
        assert_eq!(users.get(b"a".as_slice()).unwrap().unwrap().value(), b"2");
        for table in Table::ALL {
            assert!(read.open_table(definition(*table)).is_ok(), "{table:?}");
        }
    }

    #[test]
    fn what_a_build_left_is_never_written_to() {
        let temp = tempfile::tempdir().unwrap();
        let elsewhere = temp.path().join("elsewhere");
        std::fs::write(&elsewhere, "somebody else's").unwrap();
        std::fs::hard_link(&elsewhere, Build::place(temp.path())).unwrap();
        let mut build = begin(temp.path());
        build.put(Table::Users, b"a", b"1").unwrap();
        drop(build);
        drop(begin(temp.path()).finish(None).unwrap().install(&RealFs, temp.path()).unwrap());
        assert_eq!(std::fs::read_to_string(elsewhere).unwrap(), "somebody else's");
        let database = Database::open(temp.path().join(METADATA_FILE)).unwrap();
        let read = database.begin_read().unwrap();
        assert_eq!(read_seq(&read).unwrap(), None);
        assert_eq!(read.open_table(definition(Table::Users)).unwrap().len().unwrap(), 0);
    }
}

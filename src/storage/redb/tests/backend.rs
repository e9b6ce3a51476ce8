//! redb on its file: rows, the reserve of blocks, a full disk, a sync that fails.

use std::io;
use std::sync::Arc;

use redb::{Builder, Database, DatabaseError, Durability, TableDefinition};
use redb::{ReadableDatabase as _, ReadableTableMetadata as _};

use crate::storage::disk::DiskState;
use crate::storage::redb::backend::{IndexFile, RESERVE_BYTES};
use crate::storage::tests::broken_fs::{BrokenFs, EIO, EOPNOTSUPP};

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
fn on_a_full_disk_no_block_is_given_back_by_a_file_that_shrinks() {
    let bench = Bench::new();
    let (index, mut database) = bench.create();
    put(&database, 0..20_000, Durability::Immediate).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(ROWS).unwrap().retain(|key, _| key % 10 == 0).unwrap();
    transaction.commit().unwrap();
    let before = index.stat().unwrap();
    bench.fs.fill(true);
    database.compact().unwrap();
    database.close().unwrap();
    let after = index.stat().unwrap();
    assert_eq!((after.size, after.allocated >= before.allocated), (before.size, true));
    drop(index);
    let index = bench.open();
    let database = Builder::new().create_with_backend(index.backend()).unwrap();
    assert_eq!(count(&database), 2000);
    put(&database, 20_000..22_000, Durability::Immediate).unwrap();
    bench.fs.fill(false);
    index.reserve().unwrap();
    database.close().unwrap();
    assert!(index.stat().unwrap().size < before.size);
    let database = Builder::new().create_with_backend(index.backend()).unwrap();
    assert_eq!(count(&database), 4000);
}

#[test]
fn past_the_reserve_a_commit_fails_and_nothing_durable_is_lost() {
    let bench = Bench::new();
    let (index, database) = bench.create();
    put(&database, 0..100, Durability::Immediate).unwrap();
    bench.fs.fill(true);
    let refused = put(&database, 100..20_000, Durability::Immediate).unwrap_err();
    assert!(matches!(&refused, redb::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull), "{refused}");
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

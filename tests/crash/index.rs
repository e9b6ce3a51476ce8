//! redb on the seam.

use std::sync::Arc;

use redb::{Builder, Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use vix_registry::storage::disk::DiskState;
use vix_registry::storage::fs::Fs as _;
use vix_registry::storage::redb::backend::IndexFile;

use crate::random::{Random, is_long, seed};
use crate::sim::Disk;
use crate::sim::explore::{Effort, Moment, Outcome, Scratch, at_end, explore};
use crate::sim::fault::{Fault, Lie};

const ROWS: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("rows");
const KEYS: u64 = 60;
const FILE: &str = "meta.redb";
/// Of the images, so many in a hundred lose the power again.
const AGAIN_PERCENT: u8 = 5;
/// More calls than a short run makes.
const CALLS_MAX: usize = 400;

/// Every row holds the number of the commit that put it, so that a row tells which commits were before.
fn row(commit: u64, key: u64) -> Vec<u8> {
    let len = usize::try_from(200 + (commit * 31 + key * 17) % 2500).expect("small");
    commit.to_le_bytes().into_iter().cycle().take(len).collect()
}

/// The keys that a commit puts, and those that it deletes.
fn touched(commit: u64) -> (Vec<u64>, Vec<u64>) {
    let puts = (0..8).map(|number| (commit * 7 + number * 5) % KEYS).collect();
    (puts, vec![(commit * 11) % KEYS])
}

/// The rows after so many commits.
fn rows_after(commits: u64) -> Vec<(u64, Vec<u8>)> {
    let mut rows = std::collections::BTreeMap::new();
    for commit in 1..=commits {
        let (puts, deletes) = touched(commit);
        for key in puts {
            rows.insert(key, row(commit, key));
        }
        for key in deletes {
            rows.remove(&key);
        }
    }
    rows.into_iter().collect()
}

fn commit(database: &Database, number: u64, durability: Durability) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(durability).expect("no savepoints");
    {
        let mut rows = transaction.open_table(ROWS)?;
        let (puts, deletes) = touched(number);
        for key in puts {
            rows.insert(key, row(number, key).as_slice())?;
        }
        for key in deletes {
            rows.remove(key)?;
        }
    }
    Ok(transaction.commit()?)
}

fn open(disk: &Arc<Disk>, create: bool) -> Result<Database, String> {
    let path = disk.root().join(FILE);
    let (fs, state) = (Arc::<Disk>::clone(disk), Arc::<DiskState>::default());
    let index = if create { IndexFile::create(fs, &path, state) } else { IndexFile::open(fs, &path, state) };
    let index = index.map_err(|error| format!("open: {error}"))?;
    // Small, so that pages are written before their commit too.
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        Builder::new().set_cache_size(100 << 10).create_with_backend(index.backend())
    }));
    opened.map_err(|_panic| "redb panicked".to_owned())?.map_err(|error| format!("open: {error}"))
}

/// A new database whose name is durable.
fn make(disk: &Arc<Disk>) -> Database {
    let database = open(disk, true).expect("a sound disk");
    disk.sync_dir(&disk.open_dir(disk.root()).expect("a folder")).expect("a sound disk");
    disk.mark(0);
    database
}

/// A mark is a commit that is durable.
fn run(disk: &Arc<Disk>, commits: u64) {
    let mut database = make(disk);
    for number in 1..=commits {
        let durability = if number % 3 == 0 { Durability::Immediate } else { Durability::None };
        commit(&database, number, durability).expect("a sound disk");
        if number % 3 == 0 {
            disk.mark(number);
        }
        if number % 15 == 0 {
            database.compact().expect("a sound disk");
            drop(database);
            database = open(disk, false).expect("a sound disk");
        }
    }
}

/// Opens an image, and some of what is left when the power goes again while it is repaired.
fn check(moment: &mut Moment<'_>, scratch: &Scratch, commits: u64) -> Result<usize, String> {
    let Some(durable) = moment.marks.last().copied() else { return Ok(0) };
    let dir = scratch.fresh();
    let disk = moment.image.place(&dir.path(), moment.look);
    check_rows(&disk, durable, commits)?;
    if !moment.random.chance(AGAIN_PERCENT) {
        return Ok(0);
    }
    let effort = Effort { calls_percent: 20, fixed_percent: 30, random: 1 };
    let again = explore(&disk.trace(), effort, moment.random, |moment| {
        let dir = scratch.fresh();
        check_rows(&moment.image.place(&dir.path(), moment.look), durable, commits).map(|()| 0)
    });
    again.into_result()
}

/// The rows are those of a commit that is durable or came after it, and another one can be made.
fn check_rows(disk: &Arc<Disk>, durable: u64, commits: u64) -> Result<(), String> {
    let database = open(disk, false)?;
    let transaction = database.begin_read().map_err(|error| error.to_string())?;
    let rows: Vec<(u64, Vec<u8>)> = match transaction.open_table(ROWS) {
        Err(redb::TableError::TableDoesNotExist(_)) => Vec::new(),
        Err(error) => return Err(error.to_string()),
        Ok(table) => {
            let rows = table.iter().map_err(|error| error.to_string())?;
            let rows: Result<Vec<_>, _> =
                rows.map(|row| row.map(|(key, value)| (key.value(), value.value().to_vec()))).collect();
            rows.map_err(|error| error.to_string())?
        }
    };
    let is_known = (durable..=commits).any(|number| rows_after(number) == rows);
    if !is_known {
        return Err(format!("its {} rows are those of no commit from the {durable}th on", rows.len()));
    }
    let mut transaction = database.begin_write().map_err(|error| format!("not usable: {error}"))?;
    transaction.set_durability(Durability::Immediate).expect("no savepoints");
    transaction.commit().map_err(|error| format!("not usable: {error}"))
}

fn explore_index(lie: Lie, random: &mut Random, commits: u64, effort: Effort) -> Outcome {
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    disk.lie(lie);
    run(&disk, commits);
    explore(&disk.trace(), effort, random, |moment| check(moment, &scratch, commits))
}

#[test]
fn redb_keeps_what_it_made_durable_when_the_power_goes() {
    let seed = seed("redb without power");
    let (commits, effort) = if is_long() {
        (60, Effort { calls_percent: 100, fixed_percent: 100, random: 3 })
    } else {
        (31, Effort { calls_percent: 10, fixed_percent: 50, random: 1 })
    };
    let outcome = explore_index(Lie::None, &mut Random::new(seed), commits, effort);
    eprintln!("redb: {} images", outcome.images);
    outcome.expect_none();
}

#[test]
fn a_missing_sync_of_redb_is_caught() {
    let seed = seed("redb on a disk that lies");
    let effort = Effort { calls_percent: 20, fixed_percent: 50, random: 2 };
    let outcome = explore_index(Lie::Files, &mut Random::new(seed), 15, effort);
    assert!(!outcome.failures.is_empty(), "unseen in {} images", outcome.images);
}

/// Runs until a call fails; what is left is checked as it is, and as the power would leave it. Whether any commit failed;
/// nothing when there were fewer calls.
fn fail_at(fault: Fault, random: &mut Random) -> Result<Option<bool>, String> {
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    let database = make(&disk);
    commit(&database, 1, Durability::Immediate).map_err(|error| error.to_string())?;
    disk.mark(1);
    disk.fail(fault);
    let mut failed = false;
    for number in 2..=9 {
        let done = commit(&database, number, if number % 3 == 0 { Durability::Immediate } else { Durability::None });
        if failed && done.is_ok() {
            return Err(format!("commit {number} went on after an error"));
        }
        failed |= done.is_err();
        if done.is_ok() && number % 3 == 0 {
            disk.mark(number);
        }
    }
    drop(database);
    if disk.calls().1.is_none() && !matches!(fault, Fault::Full { .. }) {
        return Ok(None);
    }
    disk.fail(Fault::None);
    let effort = Effort { calls_percent: 0, fixed_percent: 100, random: 2 };
    let outcome = explore(&at_end(&disk.trace()), effort, random, |moment| check(moment, &scratch, 9));
    outcome.into_result().map(|_| Some(failed))
}

#[test]
fn redb_stops_at_the_first_error_and_loses_nothing_durable() {
    let seed = seed("redb on a disk that fails");
    let mut random = Random::new(seed);
    for fault in [|at| Fault::Once { at }, |at| Fault::Short { at }, |from| Fault::Full { from }] {
        let mut failures = 0;
        for at in (1..CALLS_MAX).filter(|at| is_long() || at % 3 == 0) {
            match fail_at(fault(at), &mut random) {
                Ok(Some(failed)) => failures += usize::from(failed),
                Ok(None) => break,
                Err(wrong) => panic!("VIXR_TEST_SEED={seed}, {:?}: {wrong}", fault(at)),
            }
        }
        eprintln!("redb: {failures} failures like {:?}", fault(0));
        // What it needs on a full disk, its own blocks hold.
        let is_full = fault(0) == Fault::Full { from: 0 };
        assert!(if is_full { failures == 0 } else { failures > 10 }, "{failures}");
    }
}

//! Snapshots: written, read back, flipped, cut off, extended, replaced.

use super::snapshot::read_snapshot;
use super::snapshot_write::write_snapshot;
use super::*;
use crate::domain::digest::Blake3;
use crate::storage::journal::facts::SnapshotFacts;

type Rows = Vec<(Table, Vec<u8>, Vec<u8>)>;

const FACTS: SnapshotFacts =
    SnapshotFacts { generation: generation(5), number: 42, hash: Blake3([9; 32]), tick: 77, length: 0 };

fn some_rows() -> Rows {
    let row = |table, at: usize| (table, format!("key-{at:03}").into_bytes(), vec![b'x'; at * 3]);
    let tables = [Table::Packages, Table::Blobs, Table::Counters];
    tables.into_iter().flat_map(|table| (0..4).map(move |at| row(table, at))).collect()
}

fn write(data: &Path, rows: &Rows) -> Result<SnapshotFacts, JournalError> {
    let mut give =
        |visit: &mut snapshot::VisitRow<'_>| rows.iter().try_for_each(|(table, key, value)| visit(*table, key, value));
    write_snapshot(&RealFs, data, FACTS, &mut give, &mut |_| Ok(()))
}

fn read(data: &Path) -> Result<(SnapshotFacts, Rows), JournalError> {
    let mut rows = Rows::new();
    let facts = read_snapshot(&RealFs, data, FACTS.generation, &mut |table, key, value| {
        rows.push((table, key.to_vec(), value.to_vec()));
        Ok(())
    })?;
    Ok((facts, rows))
}

fn path(data: &Path) -> PathBuf {
    FACTS.generation.path(data, FileKind::Snapshot)
}

#[test]
fn a_snapshot_is_read_back_and_told_by_the_survey() {
    let data = directory();
    for rows in [Rows::new(), some_rows()] {
        let facts = write(data.path(), &rows).unwrap();
        assert_eq!(facts, SnapshotFacts { length: fs::metadata(path(data.path())).unwrap().len(), ..FACTS });
        assert_eq!(read(data.path()).unwrap(), (facts, rows));
        assert_eq!(look(data.path()).snapshots, [facts]);
    }
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 2, "no more than journal/ and run/ is left");
    assert_eq!(fs::read_dir(data.path().join("run")).unwrap().count(), 0);
}

#[test]
fn rows_beyond_one_chunk_and_one_sync_are_paced_and_read_back() {
    let data = directory();
    let long = |at: usize| (Table::Events, format!("{at:04}").into_bytes(), vec![b'y'; 300_000]);
    let mut rows: Rows = (0..40).map(long).collect();
    rows.push((Table::Leaves, b"big".to_vec(), vec![b'z'; 3 << 20]));
    let mut paces = Vec::new();
    let mut give =
        |visit: &mut snapshot::VisitRow<'_>| rows.iter().try_for_each(|(table, key, value)| visit(*table, key, value));
    write_snapshot(&RealFs, data.path(), FACTS, &mut give, &mut |bytes| {
        paces.push(bytes);
        Ok(())
    })
    .unwrap();
    assert!(paces.len() >= 10 && paces.windows(2).all(|pair| pair[0] < pair[1]), "{paces:?}");
    assert!(read(data.path()).unwrap().1 == rows);
}

#[test]
fn every_flipped_bit_every_cut_and_every_addition_is_found() {
    let data = directory();
    write(data.path(), &some_rows()).unwrap();
    let path = path(data.path());
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    for at in 0..bytes.len() {
        fs::write(&path, flipped(&bytes, at)).unwrap();
        assert!(matches!(read(data.path()), Err(JournalError::Damaged { .. })), "flipped at {at}");
        fs::write(&path, &bytes[..at]).unwrap();
        assert!(matches!(read(data.path()), Err(JournalError::Damaged { .. })), "cut off at {at}");
    }
    for more in [1, 32, 40_000] {
        fs::write(&path, [bytes.as_slice(), &vec![0; more]].concat()).unwrap();
        assert!(read(data.path()).is_err(), "{more} bytes more");
    }
    fs::write(&path, flipped(&bytes, 30)).unwrap();
    assert_eq!(look(data.path()).unreadable.len(), 1, "a damaged head shows in the survey");
}

#[test]
fn swapped_chunks_are_found() {
    let data = directory();
    let rows: Rows = (0..3).map(|at: u8| (Table::Events, vec![at], vec![at; (1 << 20) - 10])).collect();
    write(data.path(), &rows).unwrap();
    let path = path(data.path());
    let bytes = fs::read(&path).unwrap();
    let chunk = (1 << 20) + 36;
    let (head, rest) = bytes.split_at(116);
    let (one, rest) = rest.split_at(chunk);
    let (two, rest) = rest.split_at(chunk);
    fs::remove_file(&path).unwrap();
    fs::write(&path, [head, two, one, rest].concat()).unwrap();
    assert!(matches!(read(data.path()), Err(JournalError::Damaged { .. })));
    fs::write(&path, [head, one, rest].concat()).unwrap();
    assert!(matches!(read(data.path()), Err(JournalError::Damaged { .. })), "a chunk is missing");
    fs::write(&path, [head, one, two, rest].concat()).unwrap();
    assert!(read(data.path()).unwrap().1 == rows);
}

#[test]
fn rows_out_of_order_make_no_snapshot_and_a_pace_that_fails_leaves_nothing() {
    let data = directory();
    let mut rows = some_rows();
    rows.swap(1, 2);
    assert!(matches!(write(data.path(), &rows), Err(JournalError::Rows(_))));
    rows.swap(1, 2);
    rows.insert(1, rows[1].clone());
    assert!(matches!(write(data.path(), &rows), Err(JournalError::Rows(_))));
    let long: Rows = (0..3).map(|at: u8| (Table::Events, vec![at], vec![at; 1 << 20])).collect();
    let mut give =
        |visit: &mut snapshot::VisitRow<'_>| long.iter().try_for_each(|(table, key, value)| visit(*table, key, value));
    let stopped = write_snapshot(&RealFs, data.path(), FACTS, &mut give, &mut |_| Err(JournalError::rows("stopping")));
    assert!(matches!(stopped, Err(JournalError::Rows(_))));
    assert_eq!(fs::read_dir(data.path().join(JOURNAL_FOLDER)).unwrap().count(), 0);
}

#[test]
fn a_rotten_snapshot_is_replaced_by_another_file() {
    let data = directory();
    write(data.path(), &some_rows()).unwrap();
    let before = identity(&path(data.path()));
    let kept = fs::File::open(path(data.path())).unwrap();
    write(data.path(), &some_rows()).unwrap();
    assert_ne!(identity(&path(data.path())), before);
    drop(kept);
    assert!(read(data.path()).is_ok());
}

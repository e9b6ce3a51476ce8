//! Directories of every kind, opened.

mod copies;
mod originals;
mod salvaged;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::domain::change::Setting;
use crate::domain::digest::{Blake3, Sha256};
use crate::domain::time::Timestamp;
use crate::storage::fs::RealFs;
use crate::storage::journal::codec::{encode_header, encode_seal};
use crate::storage::journal::facts::SnapshotFacts;
use crate::storage::journal::frame::{Frame, FrameKind, encode_ops};
use crate::storage::journal::header::{Ancestor, Continues, Header, Identity, Mark, Seal};
use crate::storage::journal::name::{FileKind, Generation};
use crate::storage::journal::plan::{OpenRefusal, RefusalKind};
use crate::storage::journal::snapshot_write::write_snapshot;
use crate::storage::journal::{JOURNAL_FOLDER, NO_FRAME};
use crate::storage::redb::METADATA_FILE;
use crate::storage::redb::rows::{each_row, scan_rows};
use crate::storage::rows::{BlobRow, Row as _};
use crate::storage::tables::{RowOp, Table};
use crate::storage::view::{Direction, KeyRange};

/// Every row: its table's number, its key, its value.
type AllRows = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

/// Retention in the logs' headers, in ticks.
const RETENTION: u64 = 60;
const HISTORY: Id = Id(1 << 90);

/// Writes a directory as a server does, byte by byte, without one.
struct Scribe {
    temp: TempDir,
    data: PathBuf,
    history: Id,
    lineage: Vec<Ancestor>,
    /// The end of the last frame, and how the log it is in is to be continued.
    last: Option<Position>,
    rows: AllRows,
    tick: u64,
}

fn put(table: Table, key: &str, value: &[u8]) -> RowOp {
    RowOp::Put { table, key: key.into(), value: value.to_vec() }
}

fn blob_row(content: &[u8], since: u64) -> BlobRow {
    BlobRow {
        count: 1,
        size: content.len() as u64,
        sha256: Sha256::of(content),
        blake3: Blake3::of(content),
        referred_since: since,
        dropped_since: None,
        damaged: false,
    }
}

impl Scribe {
    /// A directory with one log, whose first frame names the history.
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let data = temp.path().join("reg");
        for folder in ["", JOURNAL_FOLDER, "blobs", "blobs/sha256", "uploads", "run"] {
            std::fs::create_dir(data.join(folder)).unwrap();
        }
        let mut scribe =
            Self { temp, data, history: HISTORY, lineage: Vec::new(), last: None, rows: BTreeMap::new(), tick: 0 };
        scribe.begin_log();
        let key = vec![Setting::History as u8];
        scribe.frame(&[RowOp::Put { table: Table::Settings, key, value: HISTORY.to_bytes().to_vec() }]);
        scribe
    }

    fn log(&self) -> PathBuf {
        self.at().generation.path(&self.data, FileKind::Log)
    }

    fn at(&self) -> Position {
        self.last.unwrap()
    }

    fn begin_log(&mut self) {
        let number = self.last.map_or(1, |last| last.generation.number + 1);
        let generation = Generation { number, history: self.history };
        let continues = self.last.map(|last| {
            let Position { generation, end, number, hash, .. } = last;
            let length = std::fs::metadata(generation.path(&self.data, FileKind::Log)).unwrap().len();
            Continues { generation, length, end, number, hash }
        });
        self.log_of(generation, continues);
    }

    fn log_of(&mut self, generation: Generation, continues: Option<Continues>) {
        let path = generation.path(&self.data, FileKind::Log);
        std::fs::write(&path, b"").unwrap();
        let mark = Mark { file: identity(&path), directory: identity(&self.data.join(JOURNAL_FOLDER)) };
        let (tick, lineage) = (self.tick, self.lineage.clone());
        let header = Header { generation, tick, retention: RETENTION, continues, lineage, mark };
        let bytes = encode_header(&header).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let (number, hash) = continues.map_or((0, NO_FRAME), |from| (from.number, from.hash));
        self.last = Some(Position { generation, end: bytes.len() as u64, number, hash, tick });
    }

    fn frame(&mut self, ops: &[RowOp]) {
        self.tick += 1;
        self.append(FrameKind::Rows, encode_ops(ops));
        for op in ops.iter().cloned() {
            match op {
                RowOp::Put { table, key, value } => drop(self.rows.insert((table as u8, key), value)),
                RowOp::Delete { table, key } => drop(self.rows.remove(&(table as u8, key))),
            }
        }
    }

    fn append(&mut self, kind: FrameKind, payload: Vec<u8>) {
        let last = self.at();
        let frame = Frame::following(&last, kind, self.tick, payload);
        let bytes = frame.encode().unwrap();
        let mut log = std::fs::OpenOptions::new().append(true).open(self.log()).unwrap();
        std::io::Write::write_all(&mut log, &bytes).unwrap();
        let (number, hash, tick) = (frame.number, frame.hash, frame.tick);
        self.last = Some(Position { end: last.end + bytes.len() as u64, number, hash, tick, ..last });
    }

    /// A user's row, for frames that only have to be different.
    fn write(&mut self, key: &str) {
        self.frame(&[put(Table::Users, key, key.as_bytes())]);
    }

    /// A blob and the frame that refers to it.
    fn publish(&mut self, content: &[u8]) -> Sha256 {
        let row = blob_row(content, self.tick + 1);
        self.blob(content);
        self.frame(&[RowOp::Put { table: Table::Blobs, key: row.sha256.0.to_vec(), value: row.to_row() }]);
        row.sha256
    }

    fn blob(&self, content: &[u8]) {
        let path = blob_path(&self.data, &Sha256::of(content));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The snapshot of the newest log, whose frames are still to come.
    fn snapshot(&self) {
        let Position { generation, number, hash, tick, .. } = self.at();
        let facts = SnapshotFacts { generation, number, hash, tick, length: 0 };
        let mut rows = |visit: &mut crate::storage::journal::snapshot::VisitRow<'_>| {
            let table = |number: u8| Table::ALL[usize::from(number)];
            self.rows.iter().try_for_each(|((number, key), value)| visit(table(*number), key, value))
        };
        write_snapshot(&RealFs, &self.data, facts, &mut rows, &mut |_| Ok(())).unwrap();
    }

    /// A clean stop after `opened` was closed.
    fn seal(&mut self) {
        let stat = std::fs::File::open(self.data.join(METADATA_FILE)).and_then(|file| RealFs.stat(&file)).unwrap();
        let seal = Seal { inode: stat.inode, size: stat.size, changed_ns: stat.changed_ns };
        self.append(FrameKind::Seal, encode_seal(&seal));
    }

    fn open(&self) -> Result<OpenedIndex, OpenError> {
        open(&self.data)
    }

    /// Opens, and everything that was written has to be in it.
    #[track_caller]
    fn opens(&self) -> OpenedIndex {
        let opened = self.open().unwrap();
        assert_eq!((opened.position.number, opened.position.hash), (self.at().number, self.at().hash));
        assert!(rows(&opened) == self.rows, "{:?}", opened.report);
        opened
    }

    /// Opening is refused, names the file, and changes nothing.
    #[track_caller]
    fn refused(&self, kind: RefusalKind, file: &str) -> OpenRefusal {
        let before = content(&self.data);
        let refusal = match self.open() {
            Err(OpenError::Refused(refusal)) => *refusal,
            other => panic!("{other:?}"),
        };
        assert_eq!(refusal.kind, kind, "{refusal}");
        assert!(refusal.files.iter().any(|named| named.contains(file)), "{refusal}");
        assert!(content(&self.data) == before, "{refusal}: something was changed");
        refusal
    }

    /// Another directory with the same files, as cp -r makes it or as cp -al does.
    fn copy(&self, name: &str, is_linked: bool) -> PathBuf {
        let to = self.temp.path().join(name);
        copy(&self.data, &to, is_linked);
        to
    }
}

fn options() -> OpenOptions {
    let now = Moment { now: Timestamp(1_700_000_000_000), tick: 0 };
    OpenOptions { cache_bytes: 8 << 20, retention: RETENTION, disk: Arc::default(), now }
}

fn open(data: &Path) -> Result<OpenedIndex, OpenError> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    open_data(&fs, data, &options(), &unwatched)
}

fn identity(path: &Path) -> Identity {
    let stat = RealFs.stat(&std::fs::File::open(path).unwrap()).unwrap();
    Identity { inode: stat.inode, born_ns: stat.born_ns }
}

fn blob_path(data: &Path, blob: &Sha256) -> PathBuf {
    data.join("blobs/sha256").join(format!("{:02x}", blob.0[0])).join(blob.to_hex())
}

/// Every row of an index.
fn rows(opened: &OpenedIndex) -> AllRows {
    let mut rows = BTreeMap::new();
    each_row(&opened.database, &mut |table, key, value| {
        rows.insert((table as u8, key.to_vec()), value.to_vec());
        Ok(())
    })
    .unwrap();
    rows
}

/// Every file below a directory with its bytes.
fn content(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut content(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

fn copy(from: &Path, to: &Path, is_linked: bool) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to, is_linked);
        } else if is_linked {
            std::fs::hard_link(path, to).unwrap();
        } else {
            std::fs::copy(path, to).unwrap();
        }
    }
}

fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn users(database: &Database) -> usize {
    let mut count = 0;
    scan_rows(database, Table::Users, KeyRange::all(Direction::Up), &mut |_, _| {
        count += 1;
        Ok(std::ops::ControlFlow::Continue(()))
    })
    .unwrap();
    count
}

#[test]
fn an_index_is_built_anew_at_any_place_that_the_journal_leads_to() {
    let mut scribe = Scribe::new();
    scribe.write("a");
    scribe.begin_log();
    scribe.snapshot();
    scribe.write("b");
    let (at, expected) = (scribe.at(), scribe.rows.clone());
    drop(scribe.opens());
    scribe.write("c");
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let (database, _index) = rebuild(&fs, &scribe.data, &at, &options()).unwrap();
    let mut rows = BTreeMap::new();
    each_row(&database, &mut |table, key, value| {
        rows.insert((table as u8, key.to_vec()), value.to_vec());
        Ok(())
    })
    .unwrap();
    assert!(rows == expected);
    assert_eq!(names(&scribe.data.join("quarantine")), [format!("1.{METADATA_FILE}")]);
    drop(database);
    assert_eq!(scribe.opens().report.frames, 1);
}

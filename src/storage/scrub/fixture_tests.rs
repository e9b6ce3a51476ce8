//! A data directory written by hand, for tests that break it: logs, snapshots, index and blobs of given states.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blobs::blob_file;
use super::memory_tests::MemoryRows;
use super::replica::Workshop;
use super::verify::{Verification, VerifyReport, Whose, verify};
use crate::domain::change::Setting;
use crate::domain::digest::Sha256;
use crate::domain::id::Id;
use crate::storage::fs::{Fs as _, RealFs};
use crate::storage::journal::codec::{encode_header, encode_seal};
use crate::storage::journal::facts::SnapshotFacts;
use crate::storage::journal::frame::{Frame, FrameKind, encode_ops};
use crate::storage::journal::header::{Continues, Header, Identity, Mark, Position, Seal};
use crate::storage::journal::name::{FileKind, Generation};
use crate::storage::journal::snapshot_write::write_snapshot;
use crate::storage::journal::{JOURNAL_FOLDER, NO_FRAME};
use crate::storage::progress::Unwatched;
use crate::storage::redb::METADATA_FILE;
use crate::storage::redb::build::Build;
use crate::storage::tables::{RowOp, Table};

/// Memory for an index's pages.
pub(crate) const CACHE_BYTES: usize = 8 << 20;

/// States of a registry in their order, and the bytes of its blobs.
#[derive(Clone, Default)]
pub(crate) struct Past {
    pub(crate) states: Vec<MemoryRows>,
    pub(crate) blobs: BTreeMap<Sha256, Vec<u8>>,
}

/// The directory.
pub(crate) struct Directory {
    data: PathBuf,
    /// Removed with it; none when it is somebody else's.
    _temp: Option<tempfile::TempDir>,
    /// Where each state stands.
    pub(crate) positions: Vec<Position>,
}

/// How it is written.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// A new log begins after this many states.
    pub(crate) rotate_every: usize,
    /// Which state the index holds, counted from the end.
    pub(crate) index_behind: usize,
    /// Whether the last log ends with a seal.
    pub(crate) sealed: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { rotate_every: 8, index_behind: 0, sealed: true }
    }
}

/// What leads from one state to the next.
fn difference(from: &MemoryRows, to: &MemoryRows) -> Vec<RowOp> {
    let mut ops = Vec::new();
    for table in Table::ALL {
        let (from, to) = (&from.0[usize::from(*table as u8)], &to.0[usize::from(*table as u8)]);
        for (key, value) in to.iter().filter(|(key, value)| from.get(*key) != Some(*value)) {
            ops.push(RowOp::Put { table: *table, key: key.clone(), value: value.clone() });
        }
        for key in from.keys().filter(|key| !to.contains_key(*key)) {
            ops.push(RowOp::Delete { table: *table, key: key.clone() });
        }
    }
    ops
}

impl Directory {
    pub(crate) fn write(past: &Past, shape: Shape) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let mut directory = Self::of(temp);
        for folder in ["", JOURNAL_FOLDER, "run", "uploads", "scratch"] {
            let path = directory.path(folder);
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        for (digest, bytes) in &past.blobs {
            directory.put_blob(digest, bytes);
        }
        let nothing = MemoryRows(vec![BTreeMap::new(); Table::ALL.len()]);
        let history = past.states[0].0[usize::from(Table::Settings as u8)][&vec![Setting::History as u8]].clone();
        let history = Id::from_bytes(&history[..16]).unwrap();
        let mut log = directory.begin(Generation { number: 1, history }, None);
        let mut state = &nothing;
        for (at, next) in past.states.iter().enumerate() {
            if at > 0 && at % shape.rotate_every == 0 {
                log = directory.rotate(&log, state);
            }
            let payload = encode_ops(&difference(state, next));
            directory.append(&mut log, FrameKind::Rows, payload);
            directory.positions.push(log);
            state = next;
        }
        let index = past.states.len() - 1 - shape.index_behind;
        directory.put_index(&past.states[index], &directory.positions[index]);
        if shape.sealed {
            let file = std::fs::File::open(directory.path(METADATA_FILE)).unwrap();
            let stat = RealFs.stat(&file).unwrap();
            let seal = Seal { inode: stat.inode, size: stat.size, changed_ns: stat.changed_ns };
            directory.append(&mut log, FrameKind::Seal, encode_seal(&seal));
        }
        directory
    }

    /// A directory that is there.
    pub(crate) fn of(temp: tempfile::TempDir) -> Self {
        Self { data: temp.path().to_owned(), _temp: Some(temp), positions: Vec::new() }
    }

    /// A directory that somebody else uses.
    pub(crate) fn beside(data: &Path) -> Self {
        Self { data: data.to_owned(), _temp: None, positions: Vec::new() }
    }

    /// A directory of its own with the same files.
    pub(crate) fn copy(&self) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let status = std::process::Command::new("cp").arg("-a").arg(self.path(".")).arg(temp.path()).status();
        assert!(status.unwrap().success());
        Self { positions: self.positions.clone(), ..Self::of(temp) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.data.clone() } else { self.data.join(name) }
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn put_blob(&self, digest: &Sha256, bytes: &[u8]) {
        let path = self.path(&blob_file(digest));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap()).unwrap();
        self.replace(&blob_file(digest), bytes, 0o400);
    }

    /// Writes another file of this name.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8], mode: u32) {
        let path = self.path(name);
        let new = self.path("new");
        std::fs::write(&new, bytes).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    /// Changes bytes of a file without making another one of it, so that it stays the original.
    pub(crate) fn rot(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.path(name);
        let mode = std::fs::metadata(&path).unwrap().permissions();
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, mode).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    /// Writes a file and the folders that it is in.
    pub(crate) fn make(&self, name: &str, bytes: &[u8]) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// How many names each file in a folder has.
    pub(crate) fn links(&self, folder: &str) -> Vec<u64> {
        let root = self.path(folder);
        let links = |name: &String| std::os::unix::fs::MetadataExt::nlink(&std::fs::metadata(root.join(name)).unwrap());
        files_under(&root).iter().map(links).collect()
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Every file that is kept, relative to the directory, in order.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![JOURNAL_FOLDER.to_owned(), "blobs".to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(self.path(&folder)).unwrap() {
                let entry = entry.unwrap();
                let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
                if entry.file_type().unwrap().is_dir() { folders.push(name) } else { files.push(name) }
            }
        }
        files.sort_unstable();
        files
    }

    pub(crate) fn put_index(&self, rows: &MemoryRows, position: &Position) {
        let path = self.path(METADATA_FILE);
        let mut build = Build::begin(Arc::new(RealFs), &path, CACHE_BYTES, Arc::default()).unwrap();
        for table in Table::ALL {
            for (key, value) in &rows.0[usize::from(*table as u8)] {
                build.put(*table, key, value).unwrap();
            }
        }
        drop(build.finish(Some(position)).unwrap());
    }

    pub(crate) fn workshop(&self) -> Workshop {
        let scratch = tempfile::env::temp_dir();
        Workshop { fs: Arc::new(RealFs), data: self.data().to_owned(), scratch, cache_bytes: CACHE_BYTES }
    }

    /// Verifies it as a directory that nobody uses.
    pub(crate) fn verify(&self) -> VerifyReport {
        let workshop = self.workshop();
        let work = Verification { workshop: &workshop, whose: Whose::Own, bytes_per_second_max: None };
        verify(&work, &Unwatched).unwrap()
    }

    fn log_path(&self, generation: Generation) -> PathBuf {
        generation.path(self.data(), FileKind::Log)
    }

    fn begin(&self, generation: Generation, continues: Option<Continues>) -> Position {
        let path = self.log_path(generation);
        let file = std::fs::File::create_new(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let dir = RealFs.open_dir(&self.path(JOURNAL_FOLDER)).unwrap();
        let identity = |file: &std::fs::File| {
            let stat = RealFs.stat(file).unwrap();
            Identity { inode: stat.inode, born_ns: stat.born_ns }
        };
        let mark = Mark { file: identity(&file), directory: identity(&dir) };
        let tick = generation.number;
        let header = Header { generation, tick, retention: 86_400, continues, lineage: Vec::new(), mark };
        let bytes = encode_header(&header).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let (number, hash) = continues.map_or((0, NO_FRAME), |from| (from.number, from.hash));
        Position { generation, end: bytes.len() as u64, number, hash, tick }
    }

    fn append(&self, log: &mut Position, kind: FrameKind, payload: Vec<u8>) {
        use std::io::Write as _;
        let frame = Frame::following(log, kind, log.tick + 1, payload);
        let mut file = std::fs::OpenOptions::new().append(true).open(self.log_path(log.generation)).unwrap();
        file.write_all(&frame.encode().unwrap()).unwrap();
        *log = Position {
            end: log.end + frame.length(),
            number: frame.number,
            hash: frame.hash,
            tick: frame.tick,
            ..*log
        };
    }

    fn rotate(&self, log: &Position, rows: &MemoryRows) -> Position {
        let Position { generation, end, number, hash, tick } = *log;
        let length = std::fs::metadata(self.log_path(generation)).unwrap().len();
        let continues = Continues { generation, length, end, number, hash };
        let next = Generation { number: generation.number + 1, ..generation };
        let begun = self.begin(next, Some(continues));
        let facts = SnapshotFacts { generation: next, number, hash, tick, length: 0 };
        let mut give = |visit: &mut crate::storage::journal::snapshot::VisitRow<'_>| {
            for table in Table::ALL {
                for (key, value) in &rows.0[usize::from(*table as u8)] {
                    visit(*table, key, value)?;
                }
            }
            Ok(())
        };
        write_snapshot(&RealFs, self.data(), facts, &mut give, &mut |_| Ok(())).unwrap();
        Position { tick, ..begun }
    }
}

/// Every file in a folder, relative to it, in order; none when there is no folder.
pub(crate) fn files_under(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort_unstable();
    files
}

/// Verifies a copy.
pub(crate) fn verify_copy(data: &Path) -> VerifyReport {
    let scratch = tempfile::env::temp_dir();
    let workshop = Workshop { fs: Arc::new(RealFs), data: data.to_owned(), scratch, cache_bytes: CACHE_BYTES };
    let work = Verification { workshop: &workshop, whose: Whose::Copy, bytes_per_second_max: None };
    verify(&work, &Unwatched).unwrap()
}

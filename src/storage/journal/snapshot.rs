//! Snapshots: every row as it stood at the header of one log.
//!
//! A head, chunks of rows in the order of tables and keys, and a trailer that counts them, so that a missing end shows.
//! Each part has its hash. [`write`](super::snapshot_write) makes them; here they are read, and nothing is handed over
//! whose hash is not right.

use std::fs::File;
use std::io;
use std::path::Path;

use super::codec::{HASH_BYTES, hash_at, u32_at, u64_at};
use super::error::JournalError;
use super::facts::SnapshotFacts;
use super::frame::{FRAME_BYTES_MAX, table_of};
use super::name::{FileKind, Generation};
use super::scan::HeadError;
use crate::domain::digest::Blake3;
use crate::domain::id::Id;
use crate::storage::fs::{Access, Fs, read_full};
use crate::storage::tables::Table;

/// The first bytes of a snapshot.
pub const SNAPSHOT_MAGIC: [u8; 8] = *b"VIXRSNP\n";
/// The format of snapshots that is written.
pub const SNAPSHOT_FORMAT: u32 = 1;
/// The bytes of a head: magic, format, generation, number, hash, tick, and the hash of all that.
const HEAD_BYTES: usize = 84 + HASH_BYTES;
/// The bytes of a row before its key: table, length of the key, length of the value.
const ROW_FRONT_BYTES: usize = 9;
/// The bytes of a table's line in the trailer: its number, how many rows it has.
const COUNT_BYTES: usize = 9;
/// The bytes of a chunk's length; 0 instead of one begins the trailer.
const LENGTH_BYTES: usize = 4;

/// Takes a row.
pub type VisitRow<'v> = dyn FnMut(Table, &[u8], &[u8]) -> Result<(), JournalError> + 'v;

/// Rows counted and checked for their order, and the hash of the hashes: what a trailer says.
pub(super) struct Tally {
    counts: Vec<u64>,
    chunks: u64,
    last: Option<(Table, Vec<u8>)>,
    hasher: blake3::Hasher,
}

impl Tally {
    pub(super) fn new(head: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(head);
        Self { counts: vec![0; Table::ALL.len()], chunks: 0, last: None, hasher }
    }

    /// Counts a row; `false` when it does not come after the one before.
    pub(super) fn row(&mut self, table: Table, key: &[u8]) -> bool {
        let follows =
            self.last.as_ref().is_none_or(|(before, last)| (*before as u8, last.as_slice()) < (table as u8, key));
        if let Some(count) = self.counts.get_mut(usize::from(table as u8)) {
            *count += 1;
        }
        let last = self.last.get_or_insert_with(|| (table, Vec::new()));
        last.0 = table;
        last.1.clear();
        last.1.extend_from_slice(key);
        follows
    }

    pub(super) fn chunk(&mut self, hash: &Blake3) {
        self.chunks += 1;
        self.hasher.update(&hash.0);
    }

    /// The trailer: a chunk's length of 0, how many tables, their rows, how many chunks, and the hash over the head,
    /// the hashes of all chunks, and the trailer before it.
    pub(super) fn trailer(mut self) -> Vec<u8> {
        let tables = u32::try_from(self.counts.len()).unwrap_or(u32::MAX);
        let mut bytes = [0_u32.to_le_bytes(), tables.to_le_bytes()].concat();
        for (table, count) in Table::ALL.iter().zip(&self.counts) {
            bytes.push(*table as u8);
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        bytes.extend_from_slice(&self.chunks.to_le_bytes());
        self.hasher.update(&bytes);
        bytes.extend_from_slice(self.hasher.finalize().as_bytes());
        bytes
    }

    /// Whether a trailer says what was counted. One written by a version with other tables lists those.
    fn agrees(mut self, trailer: &[u8]) -> Result<(), &'static str> {
        let Some((body, hash)) = trailer.split_last_chunk::<HASH_BYTES>() else { return Err("its end is missing") };
        self.hasher.update(body);
        if self.hasher.finalize().as_bytes() != hash {
            return Err("its end is not what was written");
        }
        let lines = body.get(2 * LENGTH_BYTES..).unwrap_or_default();
        let (lines, chunks) = lines.split_at_checked(lines.len().saturating_sub(8)).unwrap_or_default();
        let mut counted = vec![0; self.counts.len()];
        for line in lines.chunks(COUNT_BYTES) {
            let table =
                line.first().copied().and_then(table_of).ok_or("it has a table that this version does not know")?;
            if let Some(count) = counted.get_mut(usize::from(table as u8)) {
                *count = u64_at(line, 1).unwrap_or(0);
            }
        }
        let same = counted == self.counts && u64_at(chunks, 0) == Some(self.chunks);
        if same { Ok(()) } else { Err("it has other rows than its end counts") }
    }
}

/// The bytes of a head.
pub(super) fn encode_head(facts: &SnapshotFacts) -> Vec<u8> {
    let mut bytes = SNAPSHOT_MAGIC.to_vec();
    bytes.extend_from_slice(&SNAPSHOT_FORMAT.to_le_bytes());
    bytes.extend_from_slice(&facts.generation.number.to_le_bytes());
    bytes.extend_from_slice(&facts.generation.history.to_bytes());
    bytes.extend_from_slice(&facts.number.to_le_bytes());
    bytes.extend_from_slice(&facts.hash.0);
    bytes.extend_from_slice(&facts.tick.to_le_bytes());
    let hash = Blake3::of(&bytes);
    bytes.extend_from_slice(&hash.0);
    bytes
}

fn decode_head(bytes: &[u8], length: u64) -> Result<SnapshotFacts, String> {
    if !bytes.starts_with(&SNAPSHOT_MAGIC) {
        return Err("it does not begin like a snapshot".into());
    }
    match u32_at(bytes, 8) {
        Some(SNAPSHOT_FORMAT) => {}
        Some(other) => return Err(format!("it has the unknown format {other}, or a damaged head")),
        None => return Err("it is too short for a snapshot".into()),
    }
    let hash = bytes.split_last_chunk::<HASH_BYTES>().filter(|_| bytes.len() == HEAD_BYTES);
    if hash.is_none_or(|(all, hash)| Blake3::of(all).0 != *hash) {
        return Err("its head is not what was written".into());
    }
    let read = || {
        let history = bytes.get(20..36).and_then(Id::from_bytes)?;
        let generation = Generation { number: u64_at(bytes, 12)?, history };
        let (number, hash, tick) = (u64_at(bytes, 36)?, hash_at(bytes, 44)?, u64_at(bytes, 76)?);
        Some(SnapshotFacts { generation, number, hash, tick, length })
    };
    read().ok_or_else(|| "its head does not read".into())
}

/// Reads the head of the snapshot at `path`.
pub(super) fn read_facts(fs: &dyn Fs, path: &Path, generation: Generation) -> Result<SnapshotFacts, HeadError> {
    open(fs, path, generation).map(|(_, _, facts)| facts)
}

fn open(fs: &dyn Fs, path: &Path, generation: Generation) -> Result<(File, Vec<u8>, SnapshotFacts), HeadError> {
    let file = fs.open(path, Access::Read)?;
    let length = fs.stat(&file)?.size;
    let mut head = vec![0; HEAD_BYTES];
    let count = read_full(fs, &file, &mut head, 0)?;
    head.truncate(count);
    let facts = decode_head(&head, length).map_err(HeadError::Damaged)?;
    if facts.generation != generation {
        return Err(HeadError::Damaged(format!("its head is that of generation {}", facts.generation)));
    }
    Ok((file, head, facts))
}

/// Visits every row of a snapshot in the order of tables and keys, and checks every byte of it. The rows count for
/// nothing unless this ends well: that the end is missing shows at the end.
///
/// # Errors
/// `Io`; `Damaged` when it is not whole; the visitor's errors.
pub fn read_snapshot(
    fs: &dyn Fs,
    data: &Path,
    generation: Generation,
    visit: &mut VisitRow<'_>,
) -> Result<SnapshotFacts, JournalError> {
    let name = generation.shown(FileKind::Snapshot);
    let (file, head, facts) =
        open(fs, &generation.path(data, FileKind::Snapshot), generation).map_err(|error| match error {
            HeadError::Disk(source) => JournalError::io("read a snapshot", &name)(source),
            HeadError::Damaged(what) => JournalError::damaged(&name, 0, what),
        })?;
    let mut input = Input { fs, file, name, at: HEAD_BYTES as u64, length: facts.length };
    let mut tally = Tally::new(&head);
    loop {
        let at = input.at;
        let front = input.take(LENGTH_BYTES as u64)?;
        match u32_at(&front, 0).unwrap_or(0) {
            0 => {
                let trailer =
                    [front, input.take(facts.length.saturating_sub(input.at).min(TRAILER_BYTES_MAX))?].concat();
                tally.agrees(&trailer).map_err(|what| JournalError::damaged(&input.name, at, what))?;
                return if input.at == facts.length {
                    Ok(facts)
                } else {
                    Err(input.damaged("something follows its end"))
                };
            }
            length => {
                let chunk = input.chunk(&front, length, &mut tally)?;
                let what = visit_rows(&chunk, &mut tally, visit)?;
                what.map_err(|what| JournalError::damaged(&input.name, at, what))?;
            }
        }
    }
}

/// The longest trailer: of as many tables as a byte can number.
const TRAILER_BYTES_MAX: u64 = (LENGTH_BYTES + 256 * COUNT_BYTES + 8 + HASH_BYTES) as u64;

/// A snapshot read front to back.
struct Input<'f> {
    fs: &'f dyn Fs,
    file: File,
    name: String,
    at: u64,
    length: u64,
}

impl Input<'_> {
    fn damaged(&self, what: &str) -> JournalError {
        JournalError::damaged(&self.name, self.at, what)
    }

    /// The next `count` bytes; nothing is allocated for bytes that the file does not have.
    fn take(&mut self, count: u64) -> Result<Vec<u8>, JournalError> {
        if count > self.length.saturating_sub(self.at) {
            return Err(self.damaged("it is cut off"));
        }
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
        let read = read_full(self.fs, &self.file, &mut bytes, self.at);
        let read: io::Result<usize> = read;
        if read.map_err(JournalError::io("read a snapshot", &self.name))? != bytes.len() {
            return Err(self.damaged("it is cut off"));
        }
        self.at += count;
        Ok(bytes)
    }

    /// The rows of the chunk whose length was just read, their hash checked.
    fn chunk(&mut self, front: &[u8], length: u32, tally: &mut Tally) -> Result<Vec<u8>, JournalError> {
        if u64::from(length) > FRAME_BYTES_MAX {
            return Err(self.damaged("a chunk has an impossible length"));
        }
        let mut rows = self.take(u64::from(length) + HASH_BYTES as u64)?;
        let stored = rows.split_off(rows.len() - HASH_BYTES);
        let hash = hash_of(front, &rows);
        if stored != hash.0 {
            return Err(self.damaged("the chunk that ends here is not what was written"));
        }
        tally.chunk(&hash);
        Ok(rows)
    }
}

/// The hash of a chunk: of its length and its rows.
pub(super) fn hash_of(front: &[u8], rows: &[u8]) -> Blake3 {
    Blake3(*blake3::Hasher::new().update(front).update(rows).finalize().as_bytes())
}

/// Appends a row to a chunk.
pub(super) fn push_row(chunk: &mut Vec<u8>, table: Table, key: &[u8], value: &[u8]) {
    let length = |field: &[u8]| u32::try_from(field.len()).unwrap_or(u32::MAX).to_le_bytes();
    chunk.push(table as u8);
    chunk.extend_from_slice(&length(key));
    chunk.extend_from_slice(&length(value));
    chunk.extend_from_slice(key);
    chunk.extend_from_slice(value);
}

type Checked = Result<(), &'static str>;

fn visit_rows(mut rows: &[u8], tally: &mut Tally, visit: &mut VisitRow<'_>) -> Result<Checked, JournalError> {
    while !rows.is_empty() {
        let Some((front, rest)) = rows.split_at_checked(ROW_FRONT_BYTES) else { return Ok(Err("a row is cut off")) };
        let table = front.first().copied().and_then(table_of);
        let Some(table) = table else { return Ok(Err("a row of a table that this version does not know")) };
        let length = |at| u32_at(front, at).and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
        let split = rest.split_at_checked(length(1)).and_then(|(key, rest)| {
            let (value, rest) = rest.split_at_checked(length(5))?;
            Some((key, value, rest))
        });
        let Some((key, value, rest)) = split else { return Ok(Err("a row is cut off")) };
        if !tally.row(table, key) {
            return Ok(Err("rows are out of order"));
        }
        visit(table, key, value)?;
        rows = rest;
    }
    Ok(Ok(()))
}

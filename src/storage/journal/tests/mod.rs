//! The journal on real files, and on a disk whose calls fail one by one.

mod reading;
mod snapshots;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::codec::{encode_header, encode_seal};
use super::facts::{JournalFacts, LogFacts, Tail};
use super::frame::{Frame, FrameKind, decode_ops, encode_ops};
use super::header::{Continues, Header, Identity, Mark, Position, Seal};
use super::name::{FileKind, Generation};
use super::read::read_frames;
use super::survey::survey;
use super::*;
use crate::domain::id::Id;
use crate::storage::fs::{Fs as _, RealFs};
use crate::storage::tables::{RowOp, Table};

const fn generation(number: u64) -> Generation {
    Generation { number, history: Id(1 << 90) }
}

fn put(key: &str, value: &[u8]) -> RowOp {
    RowOp::Put { table: Table::Packages, key: key.into(), value: value.to_vec() }
}

/// A data directory with an empty journal.
fn directory() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    fs::create_dir(data.path().join(JOURNAL_FOLDER)).unwrap();
    data
}

fn identity(path: &Path) -> Identity {
    let stat = RealFs.stat(&fs::File::open(path).unwrap()).unwrap();
    Identity { inode: stat.inode, born_ns: stat.born_ns }
}

fn log_path(data: &Path, number: u64) -> PathBuf {
    generation(number).path(data, FileKind::Log)
}

/// A log with a frame for each payload, written as the format says; tells where it and each frame ends.
fn write_log(
    data: &Path,
    number: u64,
    from: Option<(Position, u64)>,
    frames: &[(FrameKind, Vec<u8>)],
) -> Vec<Position> {
    let path = log_path(data, number);
    fs::write(&path, b"").unwrap();
    let continues = from.map(|(at, length)| {
        let Position { generation, end, number, hash, .. } = at;
        Continues { generation, length, end, number, hash }
    });
    let mark = Mark { file: identity(&path), directory: identity(&data.join(JOURNAL_FOLDER)) };
    let generation = generation(number);
    let header = Header { generation, tick: 100, retention: 60, continues, lineage: Vec::new(), mark };
    let mut bytes = encode_header(&header).unwrap();
    let mut at = survey::begin(&header, bytes.len() as u64);
    let mut positions = vec![at];
    for (kind, payload) in frames {
        let frame = Frame::following(&at, *kind, at.tick + 1, payload.clone());
        bytes.extend_from_slice(&frame.encode().unwrap());
        let (number, hash, tick) = (frame.number, frame.hash, frame.tick);
        at = Position { generation, end: bytes.len() as u64, number, hash, tick };
        positions.push(at);
    }
    fs::write(&path, bytes).unwrap();
    positions
}

/// Frames of a few sizes.
fn some_frames(count: usize) -> Vec<(FrameKind, Vec<u8>)> {
    let frame = |at: usize| (FrameKind::Rows, encode_ops(&[put(&format!("package-{at}"), &vec![b'v'; at * 7])]));
    (0..count).map(frame).collect()
}

fn look(data: &Path) -> JournalFacts {
    survey(&RealFs, data, None).unwrap()
}

fn only_log(data: &Path) -> LogFacts {
    let facts = look(data);
    assert_eq!((facts.logs.len(), facts.unreadable.len()), (1, 0), "{facts:?}");
    facts.logs[0].clone()
}

/// Every frame between two offsets with where it ends.
fn frames(data: &Path, number: u64, range: std::ops::Range<u64>) -> Result<Vec<(Frame, Position)>, JournalError> {
    let mut found = Vec::new();
    read_frames(&RealFs, data, generation(number), range, &mut |frame, at| {
        found.push((frame.clone(), at));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// The files' bytes with one bit changed.
fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[at] ^= 1 << (at % 8);
    flipped
}

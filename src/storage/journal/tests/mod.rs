//! The journal on real files, and on a disk whose calls fail one by one.

mod broken;
mod reading;
mod snapshots;
mod writing;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::codec::{encode_header, encode_seal};
use super::facts::{JournalFacts, LogFacts, Tail};
use super::frame::{Frame, FrameKind, decode_ops, encode_ops};
use super::header::{Continues, Header, Identity, Mark, Position, Seal};
use super::name::{FileKind, Generation};
use super::read::read_frames;
use super::survey::survey;
use super::*;
use crate::domain::id::Id;
use crate::storage::disk::DiskState;
use crate::storage::fs::{Fs as _, RealFs};
use crate::storage::tables::{RowOp, Table};
use crate::storage::tests::broken_fs::{BrokenFs, EIO, ENOSPC};

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

/// How a new directory is written to.
fn start() -> JournalStart {
    let history = generation(1).history;
    JournalStart { history, lineage: Vec::new(), next_generation: 1, continues: None, tick: 0, retention: 60 }
}

/// How a directory is written to whose newest log ends as it is found.
fn continued(data: &Path) -> JournalStart {
    let facts = look(data);
    let Some(last) = facts.logs.last() else { return start() };
    let Position { generation, end, number, hash, tick } = last.last();
    let continues = Some(Continues { generation, length: last.length, end, number, hash });
    JournalStart { next_generation: generation.number + 1, continues, tick, ..start() }
}

fn open(fs: &Arc<BrokenFs>, data: &Path, start: JournalStart) -> Result<Journal, JournalError> {
    Journal::open(Arc::<BrokenFs>::clone(fs), data, Arc::default(), start)
}

/// The rows of the whole history, frame by frame, seals as none: each log up to where its successor continues it.
fn history(data: &Path) -> Vec<Vec<RowOp>> {
    let facts = look(data);
    assert!(facts.unreadable.is_empty(), "{facts:?}");
    let mut found = Vec::new();
    let mut until: Option<Continues> = None;
    for log in facts.logs.iter().rev() {
        let end = match until {
            None => log.last(),
            Some(from) => {
                assert_eq!(from.generation, log.header.generation, "two logs continue the same one");
                assert!(log.length <= from.length, "a log grew after it was continued");
                let named = |at: &&Position| (at.end, at.number, at.hash) == (from.end, from.number, from.hash);
                *log.positions.iter().find(named).expect("a successor continues a good frame")
            }
        };
        let mut own = frames(data, log.header.generation.number, 0..end.end).unwrap();
        own.reverse();
        found.extend(own.into_iter().map(|(frame, _)| frame));
        until = log.header.continues;
        if until.is_none() {
            break;
        }
    }
    found.reverse();
    let numbers: Vec<_> = found.iter().map(|frame| frame.number).collect();
    assert_eq!(numbers, (1..=found.len() as u64).collect::<Vec<_>>());
    let rows = |frame: &Frame| match frame.kind {
        FrameKind::Rows => decode_ops(&frame.payload).unwrap(),
        FrameKind::Seal => Vec::new(),
    };
    found.iter().map(rows).collect()
}

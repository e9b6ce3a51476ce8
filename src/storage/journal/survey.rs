//! Reads what the files in `journal/` say, all of them, and decides nothing.

use std::io;
use std::path::Path;

use super::codec::{SEAL_BYTES, decode_seal};
use super::error::JournalError;
use super::facts::{JournalFacts, LogFacts, Tail, Unreadable};
use super::frame::{FrameFront, FrameKind};
use super::header::{Header, Identity, Position, Seal};
use super::name::{FileKind, Generation};
use super::retired::Note;
use super::scan::{HeadError, LogReader, Next};
use super::{JOURNAL_FOLDER, NO_FRAME, snapshot};
use crate::storage::fs::{Access, Fs};

/// A place in a log that somebody refers to. A frame that matches in one of the two is told: whether it does in both is
/// the decision's to see.
struct Interest {
    generation: Generation,
    end: u64,
    number: u64,
}

/// Reads every header, frame and snapshot's head of a data directory; no `journal/` at all is an empty one.
///
/// `interest` is what the index says about itself: if a frame ends there, its log's positions tell it. May run beside
/// the server that writes: then it finds what was there at some moment, a file that went meanwhile left out, and a frame
/// that is just being appended as a torn tail.
///
/// # Errors
/// `Io` when the directory can't be read. A file that can't be is told among the unreadable ones.
pub fn survey(fs: &dyn Fs, data: &Path, interest: Option<Position>) -> Result<JournalFacts, JournalError> {
    let folder = data.join(JOURNAL_FOLDER);
    let Some((names, directory)) = list(fs, &folder)? else { return Ok(JournalFacts::default()) };
    let mut facts = JournalFacts::default();
    let mut logs = Vec::new();
    for (generation, kind) in names {
        let path = folder.join(generation.file_name(kind));
        let read = match kind {
            FileKind::Log => read_header(fs, &path, generation).map(|(_, header, _)| logs.push(header)),
            FileKind::Snapshot => snapshot::read_facts(fs, &path, generation).map(|told| facts.snapshots.push(told)),
        };
        if let Err(error) = read {
            set_aside(fs, &path, (generation, kind), error, &mut facts);
        }
    }
    let interests = interests(&logs, interest);
    for Header { generation, .. } in logs {
        let path = folder.join(generation.file_name(FileKind::Log));
        match read_frames(fs, &path, generation, (directory, &interests)) {
            Ok(told) => facts.logs.push(told),
            Err(error) => set_aside(fs, &path, (generation, FileKind::Log), error, &mut facts),
        }
    }
    Ok(facts)
}

type Listed = (Vec<(Generation, FileKind)>, Identity);

fn list(fs: &dyn Fs, folder: &Path) -> Result<Option<Listed>, JournalError> {
    let failed = |op| JournalError::io(op, JOURNAL_FOLDER);
    let dir = match fs.open_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed("open the journal"))?,
    };
    let stat = fs.stat(&dir).map_err(failed("look at the journal"))?;
    let names = fs.list(folder).map_err(failed("list the journal"))?;
    let mut names: Vec<_> = names.iter().filter_map(|name| Generation::parse(name.to_str()?)).collect();
    names.sort_unstable();
    Ok(Some((names, Identity { inode: stat.inode, born_ns: stat.born_ns })))
}

fn read_header<'f>(
    fs: &'f dyn Fs,
    path: &Path,
    generation: Generation,
) -> Result<(LogReader<'f>, Header, u64), HeadError> {
    let mut reader = LogReader::open(fs, path)?;
    let (header, header_end) = reader.header()?;
    if header.generation != generation {
        return Err(HeadError::Damaged(format!("its header is that of generation {}", header.generation)));
    }
    Ok((reader, header, header_end))
}

/// Tells a file that does not read: as gone if it went meanwhile, as retired if a note stands there.
fn set_aside(
    fs: &dyn Fs,
    path: &Path,
    (generation, kind): (Generation, FileKind),
    error: HeadError,
    facts: &mut JournalFacts,
) {
    let what = match error {
        HeadError::Disk(error) if error.kind() == io::ErrorKind::NotFound => return,
        HeadError::Disk(error) => format!("it can't be read: {error}"),
        HeadError::Damaged(what) => what,
    };
    let note = fs.open(path, Access::Read).and_then(|file| Note::read(fs, &file));
    if let Ok(Some(Note::Retired { .. })) = note {
        facts.retired.push((generation, kind));
    } else {
        facts.unreadable.push(Unreadable { generation, kind, what });
    }
}

fn interests(logs: &[Header], index: Option<Position>) -> Vec<Interest> {
    let successors = logs.iter().filter_map(|header| header.continues);
    let of_logs = successors.map(|from| Interest { generation: from.generation, end: from.end, number: from.number });
    let of_index = index.map(|at| Interest { generation: at.generation, end: at.end, number: at.number });
    of_logs.chain(of_index).collect()
}

/// Goes through a log's frames, from its header to the last good one.
fn read_frames(
    fs: &dyn Fs,
    path: &Path,
    generation: Generation,
    (directory, interests): (Identity, &[Interest]),
) -> Result<LogFacts, HeadError> {
    // The header once more, from the file whose frames are read: a note may have taken the name since.
    let (mut reader, header, header_end) = read_header(fs, path, generation)?;
    let is_wanted = |at: &Position| {
        let told = interests.iter().filter(|interest| interest.generation == generation);
        told.into_iter().any(|interest| interest.end == at.end || interest.number == at.number)
    };
    let begin = begin(&header, header_end);
    let mut positions = vec![begin];
    let (mut last, mut seal) = (begin, None);
    let tail = loop {
        match reader.next(&last)? {
            Next::End => break Tail::Clean,
            Next::Good(front, position) => {
                seal = match front.kind {
                    FrameKind::Rows => None,
                    FrameKind::Seal => read_seal(&mut reader, last.end, front)?,
                };
                last = position;
                if is_wanted(&last) {
                    positions.push(last);
                }
            }
            Next::Bad => {
                let found = reader.search(last.end, last.number)?;
                break found.map_or(Tail::Torn, |next_good| Tail::Damaged { next_good });
            }
        }
    };
    if positions.last() != Some(&last) {
        positions.push(last);
    }
    let file = Identity { inode: reader.stat.inode, born_ns: reader.stat.born_ns };
    let is_original = header.mark.file.may_be(file) && header.mark.directory.may_be(directory);
    Ok(LogFacts { header, length: reader.stat.size, is_original, positions, tail, seal })
}

fn read_seal(reader: &mut LogReader<'_>, at: u64, front: FrameFront) -> io::Result<Option<Seal>> {
    if front.payload_bytes() != SEAL_BYTES as u64 {
        return Ok(None);
    }
    Ok(reader.frame(at, front)?.and_then(|frame| decode_seal(&frame.payload)))
}

/// Where a log is before its first frame.
pub(super) fn begin(header: &Header, header_end: u64) -> Position {
    let (number, hash) = header.continues.map_or((0, NO_FRAME), |from| (from.number, from.hash));
    Position { generation: header.generation, end: header_end, number, hash, tick: header.tick }
}

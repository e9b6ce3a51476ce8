//! The frames of one log, handed over in order.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use super::error::JournalError;
use super::frame::Frame;
use super::header::{Header, Position};
use super::name::{FileKind, Generation};
use super::scan::{HeadError, LogReader};
use super::survey::begin;
use crate::storage::fs::Fs;

/// Takes a frame and where it ends; says whether to go on.
pub type VisitFrame<'v> = dyn FnMut(&Frame, Position) -> Result<ControlFlow<()>, JournalError> + 'v;

/// Reads the header of a log.
///
/// # Errors
/// `Io`, and `Damaged` when it is not what was written.
pub fn read_header(fs: &dyn Fs, data: &Path, generation: Generation) -> Result<Header, JournalError> {
    open(fs, data, generation).map(|(_, header, _)| header)
}

/// Visits the frames that lie in a range of a log's bytes, seals too. The range begins at the end of a frame that is
/// known to be good, or at 0 for the log's beginning, and ends at the end of the last frame that is wanted.
///
/// # Errors
/// `Io`; `Damaged` when what lies between is not whole frames, each chained to the one before; the visitor's errors.
pub fn read_frames(
    fs: &dyn Fs,
    data: &Path,
    generation: Generation,
    range: Range<u64>,
    visit: &mut VisitFrame<'_>,
) -> Result<(), JournalError> {
    let (mut reader, header, header_end) = open(fs, data, generation)?;
    let name = generation.shown(FileKind::Log);
    let failed = || JournalError::io("read a log", &name);
    let Range { start, end: until } = range;
    let mut last = begin(&header, header_end);
    if start > header_end && start < until {
        // What comes before is known to be good and not hashed again: the first frame tells what it follows.
        let front = reader.front(start).map_err(failed())?.filter(|front| front.number > last.number);
        let Some(front) = front else { return Err(JournalError::damaged(&name, start, NO_FRAME_HERE)) };
        last = Position { end: start, number: front.number - 1, hash: front.previous, ..last };
    }
    while last.end.max(start) < until {
        let at = last.end;
        let front = reader.follow(&last).map_err(failed())?.filter(|front| front.length <= until - at);
        let frame = front.map(|front| reader.frame(at, front)).transpose().map_err(failed())?.flatten();
        let Some((frame, front)) = frame.zip(front) else {
            return Err(JournalError::damaged(&name, at, NO_FRAME_HERE));
        };
        last = front.position(&last, frame.hash);
        if visit(&frame, last)?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

const NO_FRAME_HERE: &str = "there is no frame that follows the one before";

fn open<'f>(fs: &'f dyn Fs, data: &Path, generation: Generation) -> Result<(LogReader<'f>, Header, u64), JournalError> {
    let name = generation.shown(FileKind::Log);
    let failed = || JournalError::io("read a log", &name);
    let mut reader = LogReader::open(fs, &generation.path(data, FileKind::Log)).map_err(failed())?;
    let (header, header_end) = reader.header().map_err(|error| match error {
        HeadError::Disk(source) => failed()(source),
        HeadError::Damaged(what) => JournalError::damaged(&name, 0, what),
    })?;
    if header.generation != generation {
        return Err(JournalError::damaged(&name, 0, format!("its header is that of generation {}", header.generation)));
    }
    Ok((reader, header, header_end))
}

//! One log read front to back, with bounded memory and without trusting any length in it.
//!
//! A file that another process appends to meanwhile is read up to the length that it had when it was opened: an append
//! that is half there reads like one that was cut off.

use std::fs::File;
use std::io;
use std::path::Path;

use super::codec::{self, HASH_BYTES, HEADER_FRONT_BYTES, hash_at};
use super::frame::{FRAME_BYTES_MIN, FRAME_FRONT_BYTES, Frame, FrameFront, PLAUSIBLE_BYTES};
use super::header::{Header, Position};
use crate::domain::digest::Blake3;
use crate::storage::fs::{Access, Fs, Stat, read_full};

/// Bytes that are read at once.
const WINDOW_BYTES: usize = 256 * 1024;
/// How many times the bytes of a log may be hashed in the search for a frame behind junk. Junk that looks like so many
/// beginnings of frames was made to; the log is then taken for damaged, which refuses and loses nothing.
const SEARCH_FACTOR: u64 = 16;

/// An open log.
pub(super) struct LogReader<'f> {
    fs: &'f dyn Fs,
    file: File,
    /// What the file system said when it was opened. Nothing beyond its size is looked at.
    pub(super) stat: Stat,
    window: Vec<u8>,
    window_at: u64,
}

/// What begins at an offset.
pub(super) enum Next {
    /// Nothing: the log ends there.
    End,
    /// A good frame that follows the one before it.
    Good(FrameFront, Position),
    /// Something else.
    Bad,
}

/// Why a log's header could not be read.
pub(super) enum HeadError {
    Disk(io::Error),
    Damaged(String),
}

impl From<io::Error> for HeadError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl<'f> LogReader<'f> {
    pub(super) fn open(fs: &'f dyn Fs, path: &Path) -> io::Result<Self> {
        let file = fs.open(path, Access::Read)?;
        let stat = fs.stat(&file)?;
        Ok(Self { fs, file, stat, window: Vec::new(), window_at: 0 })
    }

    /// The header, and where it ends.
    pub(super) fn header(&mut self) -> Result<(Header, u64), HeadError> {
        let front = self.window(0, HEADER_FRONT_BYTES)?;
        let length = codec::header_length(front).map_err(HeadError::Damaged)?;
        let mut bytes = vec![0; length];
        let count = self.read(&mut bytes, 0)?;
        bytes.truncate(count);
        let header = codec::decode_header(&bytes).map_err(HeadError::Damaged)?;
        Ok((header, length as u64))
    }

    /// The front of what begins at `at`, if a frame may; nothing of it is checked.
    pub(super) fn front(&mut self, at: u64) -> io::Result<Option<FrameFront>> {
        Ok(FrameFront::read(self.window(at, FRAME_FRONT_BYTES)?))
    }

    /// What follows the frame that ends at `last`, all of its bytes hashed.
    pub(super) fn next(&mut self, last: &Position) -> io::Result<Next> {
        if last.end >= self.stat.size {
            return Ok(Next::End);
        }
        let Some(front) = self.follow(last)? else { return Ok(Next::Bad) };
        let Some(hash) = self.check(last.end, front.length)? else { return Ok(Next::Bad) };
        Ok(Next::Good(front, front.position(last, hash)))
    }

    /// The front of the frame that follows `last` by its number and what it is chained to; its hash is not looked at.
    pub(super) fn follow(&mut self, last: &Position) -> io::Result<Option<FrameFront>> {
        let front = self.front(last.end)?;
        Ok(front.filter(|front| Some(front.number) == last.number.checked_add(1) && front.previous == last.hash))
    }

    /// The whole frame of a front that stands at `at`; `None` when its hash is not right.
    pub(super) fn frame(&mut self, at: u64, front: FrameFront) -> io::Result<Option<Frame>> {
        let FrameFront { length, kind, number, tick, previous } = front;
        if length > self.stat.size.saturating_sub(at) {
            return Ok(None);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut bytes = if length <= WINDOW_BYTES {
            self.window(at, length)?.to_vec()
        } else {
            let mut bytes = vec![0; length];
            let count = self.read(&mut bytes, at)?;
            bytes.truncate(count);
            bytes
        };
        let hash = bytes.split_last_chunk::<HASH_BYTES>().map(|(all, hash)| (Blake3::of(all), Blake3(*hash)));
        let Some((hash, _)) = hash.filter(|(right, stored)| right == stored && bytes.len() == length) else {
            return Ok(None);
        };
        bytes.truncate(length - HASH_BYTES);
        bytes.drain(..FRAME_FRONT_BYTES);
        Ok(Some(Frame { kind, number, tick, previous, payload: bytes, hash }))
    }

    /// Where the first good frame after the junk at `junk` begins whose number can follow `last_number`.
    pub(super) fn search(&mut self, junk: u64, last_number: u64) -> io::Result<Option<u64>> {
        let size = self.stat.size;
        let mut budget = size.saturating_mul(SEARCH_FACTOR);
        let mut at = junk + 1;
        while size.saturating_sub(at) >= FRAME_BYTES_MIN {
            let frames_max = (size - junk) / FRAME_BYTES_MIN + 1;
            let numbers = last_number.saturating_add(1)..=last_number.saturating_add(frames_max);
            let window = self.window(at, WINDOW_BYTES)?;
            let starts = window.len().saturating_sub(PLAUSIBLE_BYTES - 1);
            let plausible = |&start: &usize| {
                let room = size.saturating_sub(at + start as u64);
                window.get(start..).is_some_and(|bytes| FrameFront::is_plausible(bytes, room, &numbers))
            };
            let Some(start) = (0..starts).find(plausible) else {
                if starts == 0 {
                    break;
                }
                at += starts as u64;
                continue;
            };
            at += start as u64;
            let front = self.front(at)?;
            if let Some(FrameFront { length, .. }) = front {
                if budget < length || self.check(at, length)?.is_some() {
                    return Ok(Some(at));
                }
                budget -= length;
            }
            at += 1;
        }
        Ok(None)
    }

    /// The hash at the end of the `length` bytes at `at`, if it is the hash of the others.
    fn check(&mut self, at: u64, length: u64) -> io::Result<Option<Blake3>> {
        if length > self.stat.size.saturating_sub(at) {
            return Ok(None);
        }
        let mut hasher = blake3::Hasher::new();
        let hashed = at + length - HASH_BYTES as u64;
        let mut from = at;
        while from < hashed {
            let wanted = usize::try_from(hashed - from).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
            let bytes = self.window(from, wanted)?;
            if bytes.is_empty() {
                return Ok(None);
            }
            hasher.update(bytes);
            from += bytes.len() as u64;
        }
        let stored = hash_at(self.window(hashed, HASH_BYTES)?, 0);
        Ok(stored.filter(|stored| stored.0 == *hasher.finalize().as_bytes()))
    }

    /// Up to `wanted` bytes at `at`, at most [`WINDOW_BYTES`]; fewer only where the file ends.
    fn window(&mut self, at: u64, wanted: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.stat.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = wanted.min(WINDOW_BYTES).min(left);
        let have = self.window_at..self.window_at + self.window.len() as u64;
        if at < have.start || at + wanted as u64 > have.end {
            self.window.resize(WINDOW_BYTES.min(left), 0);
            let mut window = std::mem::take(&mut self.window);
            let count = read_full(self.fs, &self.file, &mut window, at)?;
            window.truncate(count);
            (self.window, self.window_at) = (window, at);
        }
        let from = usize::try_from(at - self.window_at).unwrap_or(usize::MAX);
        let to = from.saturating_add(wanted).min(self.window.len());
        Ok(self.window.get(from..to).unwrap_or_default())
    }

    /// Reads all of `buf`, or up to the log's end.
    fn read(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let left = usize::try_from(self.stat.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let most = left.min(buf.len());
        read_full(self.fs, &self.file, &mut buf[..most], at)
    }
}

//! The packed bytes: counted, bounded, and with a failing disk told apart from a broken archive.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Seek, SeekFrom};

/// Why looking into an archive ended without an answer.
#[derive(Debug)]
pub(super) enum Stop {
    /// The reader that was handed in failed.
    Io(io::Error),
    /// These bytes are no archive at all.
    Opaque,
    /// A limit was passed; the text says which one.
    Limit(String),
    /// The archive ends before its end.
    Truncated,
    /// The archive breaks its format or uses what is not supported; the text says how.
    Unreadable(&'static str),
}

/// What became of the packed bytes, seen past the decoder that owns their reader.
#[derive(Default)]
pub(super) struct Tally {
    read: Cell<u64>,
    exhausted: Cell<bool>,
    failure: RefCell<Option<io::Error>>,
}

impl Tally {
    /// How many packed bytes were read so far, look-ahead included.
    pub(super) fn read(&self) -> u64 {
        self.read.get()
    }

    /// The reader's own failure behind what a decoder reported, or that its budget was used up.
    pub(super) fn cause(&self) -> Option<Stop> {
        if let Some(error) = self.failure.borrow_mut().take() {
            return Some(Stop::Io(error));
        }
        self.exhausted.get().then(|| Stop::Limit("too much of it would have to be read".to_owned()))
    }

    /// Turns an error into `stop`, unless there is a [`Tally::cause`] behind it.
    pub(super) fn or(&self, stop: Stop) -> impl FnOnce(io::Error) -> Stop + '_ {
        |_error| self.cause().unwrap_or(stop)
    }

    /// Tells what a decoder's error means.
    pub(super) fn stop(&self, error: &io::Error) -> Stop {
        let too_wide = zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge;
        let zstd_error = error.get_ref().and_then(|inner| inner.downcast_ref::<zstd::Error>());
        match self.cause() {
            Some(cause) => cause,
            None if error.kind() == io::ErrorKind::UnexpectedEof => Stop::Truncated,
            None if zstd_error.is_some_and(|inner| inner.is(too_wide)) => {
                Stop::Limit("its zstd window is too large".to_owned())
            }
            None => Stop::Unreadable("its compressed bytes are damaged"),
        }
    }
}

/// A reader that keeps a [`Tally`] and stops at a budget.
pub(super) struct Source<'a, R> {
    inner: R,
    tally: &'a Tally,
    budget: u64,
}

impl<'a, R> Source<'a, R> {
    pub(super) fn new(inner: R, tally: &'a Tally) -> Self {
        Self { inner, tally, budget: u64::MAX }
    }

    pub(super) fn with_budget(self, budget: u64) -> Self {
        Self { budget, ..self }
    }

    pub(super) fn tally(&self) -> &'a Tally {
        self.tally
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.tally.failure.replace(Some(error));
            }
            kind.into()
        })
    }
}

impl<R: Read> Read for Source<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.tally.read() >= self.budget {
            self.tally.exhausted.set(true);
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let read = self.inner.read(buffer);
        let read = self.note(read)?;
        self.tally.read.set(self.tally.read() + read as u64);
        Ok(read)
    }
}

impl<R: Seek> Seek for Source<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let moved = self.inner.seek(to);
        self.note(moved)
    }
}

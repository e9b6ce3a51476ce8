//! One file of a backup: a second name of the original, or a copy of its bytes.

use std::fs::File;
use std::io;
use std::path::Path;

use super::BackupError;
use super::partial::io_error;
use crate::storage::fs::{Access, Fs, read_full};
use crate::storage::progress::{Progress, Unit};
use crate::storage::scrub::meter::Meter;

/// Bytes copied at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Puts files where a backup grows.
pub(super) struct Porter<'p> {
    pub(super) fs: &'p dyn Fs,
    /// Whether files are given a second name where that can be.
    pub(super) links: bool,
    pub(super) meter: Meter<'p>,
    /// How many files are second names of the original's.
    pub(super) linked: u64,
    /// How many files were copied.
    pub(super) copied: u64,
    /// Bytes that were written.
    pub(super) bytes: u64,
}

/// Whether a file may change where it comes to stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    /// Its owner may write to it.
    Changing,
    /// Nobody may.
    Unchanging,
}

/// Whether a file was there to be put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Put {
    /// It is there now.
    Done,
    /// There was none.
    Missing,
}

impl<'p> Porter<'p> {
    pub(super) fn new(fs: &'p dyn Fs, links: bool, progress: &'p dyn Progress, bytes: Option<u64>) -> Self {
        let meter = Meter::new(progress, Unit::Bytes, bytes);
        Self { fs, links, meter, linked: 0, copied: 0, bytes: 0 }
    }

    /// Puts a file that never changes: by a second name, else by a copy that is durable and read-only.
    pub(super) fn put(&mut self, from: &Path, to: &Path, size: u64) -> Result<Put, BackupError> {
        if self.links {
            match self.fs.link(from, to) {
                Ok(()) => {
                    self.linked += 1;
                    self.meter.add(size)?;
                    return Ok(Put::Done);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Put::Missing),
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => self.links = false,
                // The file has as many names as it can have, or this user may not give it one: it is copied.
                Err(error)
                    if error.kind() == io::ErrorKind::TooManyLinks
                        || error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(io_error(to, "link a file to it")(error)),
            }
        }
        self.copy(from, to, Life::Unchanging)
    }

    /// Copies a file and makes it durable.
    pub(super) fn copy(&mut self, from: &Path, to: &Path, life: Life) -> Result<Put, BackupError> {
        let source = match self.fs.open(from, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Put::Missing),
            opened => opened.map_err(io_error(from, "open it"))?,
        };
        let file = self.fs.create(to).map_err(|error| full(self.fs, to, "make it")(error))?;
        self.pour(&source, &file, (from, to))?;
        if life == Life::Unchanging {
            self.fs.set_read_only(&file).map_err(io_error(to, "make it read-only"))?;
        }
        self.fs.sync_all(&file).map_err(|error| full(self.fs, to, "sync it")(error))?;
        self.copied += 1;
        Ok(Put::Done)
    }

    fn pour(&mut self, source: &File, file: &File, (from, to): (&Path, &Path)) -> Result<(), BackupError> {
        let mut buf = vec![0; PIECE_BYTES];
        let mut offset = 0;
        loop {
            let count = read_full(self.fs, source, &mut buf, offset).map_err(io_error(from, "read it"))?;
            let piece = buf.get(..count).unwrap_or_default();
            self.fs.write_all_at(file, piece, offset).map_err(|error| full(self.fs, to, "write it")(error))?;
            offset += count as u64;
            self.bytes += count as u64;
            self.meter.add(count as u64)?;
            if count < PIECE_BYTES {
                return Ok(());
            }
        }
    }
}

/// An error of the disk that is written to; a full one is told apart.
pub(super) fn full<'a>(fs: &'a dyn Fs, path: &'a Path, op: &'static str) -> impl FnOnce(io::Error) -> BackupError + 'a {
    move |error| {
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            let folder = path.parent().unwrap_or(path);
            return BackupError::Full { path: path.to_owned(), free_bytes: fs.free_bytes(folder).unwrap_or(0) };
        }
        io_error(path, op)(error)
    }
}

//! Where the journal's files are made, and what is known about the directory that names them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::JOURNAL_FOLDER;
use super::error::{JournalError, is_full};
use super::header::Identity;
use super::name::{FileKind, Generation};
use crate::storage::disk::DiskState;
use crate::storage::fs::{Access, Fs, Stat};

/// The folder for what is no part of a copy: files on their way to their names.
pub(super) const RUN_FOLDER: &str = "run";

/// The directories of one journal.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) disk: Arc<DiskState>,
    pub(super) data: PathBuf,
    /// `journal/`, kept open so that nothing but its fsync can fail once a name was put into it.
    dir: File,
    is_unsynced: AtomicBool,
}

impl Place {
    /// Makes the directories where they are missing, durable in any case: whoever made them may have been cut off.
    pub(super) fn open(fs: Arc<dyn Fs>, disk: Arc<DiskState>, data: &Path) -> Result<Self, JournalError> {
        for folder in [JOURNAL_FOLDER, RUN_FOLDER] {
            match fs.create_dir(&data.join(folder)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(&*fs, &disk, data)("make a directory", folder, error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let open = |path: &Path, name| fs.open_dir(path).map_err(JournalError::io("open a directory", name));
        let above = open(data, ".")?;
        let dir = open(&data.join(JOURNAL_FOLDER), JOURNAL_FOLDER)?;
        fs.sync_dir(&above).map_err(|error| unsynced(".", Some(error)))?;
        let place = Self { fs, disk, data: data.to_owned(), dir, is_unsynced: AtomicBool::new(false) };
        place.sync()?;
        Ok(place)
    }

    pub(super) fn path(&self, generation: Generation, kind: FileKind) -> PathBuf {
        generation.path(&self.data, kind)
    }

    pub(super) fn run(&self) -> PathBuf {
        self.data.join(RUN_FOLDER)
    }

    /// Refuses once the directory could not be synced.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        if self.is_unsynced.load(Ordering::Acquire) { Err(unsynced(JOURNAL_FOLDER, None)) } else { Ok(()) }
    }

    /// From now on nothing is written: what the directory holds can't be known.
    pub(super) fn distrust(&self) {
        self.is_unsynced.store(true, Ordering::Release);
    }

    /// Makes the names in `journal/` durable. A failure is final: a second fsync would report success for names that the
    /// first one lost.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        self.check()?;
        self.fs.sync_dir(&self.dir).map_err(|error| {
            self.distrust();
            self.disk.note("sync the journal's directory", &error);
            unsynced(JOURNAL_FOLDER, Some(error))
        })
    }

    /// What tells `journal/` from a copy of it.
    pub(super) fn identity(&self) -> io::Result<Identity> {
        self.fs.stat(&self.dir).map(identity)
    }

    /// The disk's error as ours; a lack of room is told apart, any other is kept as what went wrong first.
    pub(super) fn failed<'p>(
        &'p self,
        op: &'static str,
        file: &'p str,
    ) -> impl FnOnce(io::Error) -> JournalError + use<'p> {
        move |error| failed(&*self.fs, &self.disk, &self.data)(op, file, error)
    }

    /// Takes a name away if it is there.
    pub(super) fn unlink(&self, path: &Path) -> io::Result<()> {
        match self.fs.unlink(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Takes a name in `run/` away that nobody needs; whoever needs it next tries again.
    pub(super) fn tidy(&self, path: &Path) {
        if let Err(error) = self.unlink(path) {
            tracing::warn!(%error, "a file in {RUN_FOLDER}/ that is not needed could not be removed");
        }
    }

    /// Whether the file under this name is the one with this identity; `None` when there is none.
    pub(super) fn is_same(&self, path: &Path, stat: &Stat) -> io::Result<Option<bool>> {
        match self.fs.open(path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => {
                let found = self.fs.stat(&opened?)?;
                Ok(Some((found.device, found.inode) == (stat.device, stat.inode)))
            }
        }
    }
}

fn failed(fs: &dyn Fs, disk: &DiskState, data: &Path) -> impl FnOnce(&'static str, &str, io::Error) -> JournalError {
    move |op, file, error| {
        if is_full(&error) {
            return JournalError::Full { free_bytes: fs.free_bytes(data).unwrap_or(0) };
        }
        disk.note(op, &error);
        JournalError::io(op, file)(error)
    }
}

pub(super) fn unsynced(file: &str, source: Option<io::Error>) -> JournalError {
    JournalError::Unsynced { file: file.to_owned(), source }
}

pub(super) fn identity(stat: Stat) -> Identity {
    Identity { inode: stat.inode, born_ns: stat.born_ns }
}

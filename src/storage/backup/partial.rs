//! The place that a directory grows in until it gets its name.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;

use super::BackupError;
use crate::storage::fs::Fs;
use crate::storage::journal::JOURNAL_FOLDER;

/// What is put behind the name while it grows.
const SUFFIX: &str = ".partial";
/// What an unfinished backup may hold: whatever else is there is not ours to remove.
const KNOWN: &[&str] = &[JOURNAL_FOLDER, "blobs", "run", "config.toml", "config.json"];

/// A directory on its way to its name. What is left of it when the work fails goes, as far as that can be.
pub(super) struct Partial {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    dest: PathBuf,
    /// Locked, so that two works of the same name don't mix.
    lock: File,
    is_finished: bool,
}

impl Partial {
    /// Makes the place; what an interrupted work left there goes.
    ///
    /// `may_be_empty` says whether `dest` may be there as an empty folder.
    pub(super) fn begin(fs: &Arc<dyn Fs>, dest: &Path, may_be_empty: bool) -> Result<Self, BackupError> {
        match fs.list(dest) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(names) if may_be_empty && names.is_empty() => {}
            Ok(_) | Err(_) => return Err(BackupError::Exists(dest.to_owned())),
        }
        let Some(name) = dest.file_name() else { return Err(BackupError::Exists(dest.to_owned())) };
        let mut name = name.to_owned();
        name.push(SUFFIX);
        let path = dest.with_file_name(name);
        let failed = |op| io_error(&path, op);
        match fs.create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::NoFolder(dest.to_owned()));
            }
            Err(error) => return Err(failed("make it")(error)),
        }
        let lock = fs.open_dir(&path).map_err(failed("open it"))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(BackupError::Busy(path)),
            Err(error) => return Err(failed("lock it")(error.into())),
        }
        let names = fs.list(&path).map_err(failed("read it"))?;
        if let Some(other) = names.iter().find(|name| !name.to_str().is_some_and(|name| KNOWN.contains(&name))) {
            let entry = other.to_string_lossy().into_owned();
            return Err(BackupError::Foreign { path, entry });
        }
        let partial = Self { fs: Arc::clone(fs), path, dest: dest.to_owned(), lock, is_finished: false };
        partial.clear().map_err(io_error(&partial.path, "remove what an interrupted work left"))?;
        Ok(partial)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A folder within it, made durable with all those above it by [`Partial::sync`].
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, BackupError> {
        let path = self.path.join(name);
        match self.fs.create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error(&path, "make it")(error)),
            Ok(()) | Err(_) => Ok(path),
        }
    }

    /// Makes the names in a folder durable.
    pub(super) fn sync(&self, folder: &str) -> Result<(), BackupError> {
        let path = self.path.join(folder);
        let synced = self.fs.open_dir(&path).and_then(|dir| self.fs.sync_dir(&dir));
        synced.map_err(io_error(&path, "sync it"))
    }

    /// Gives it its name, durably.
    pub(super) fn finish(mut self) -> Result<(), BackupError> {
        self.fs.sync_dir(&self.lock).map_err(io_error(&self.path, "sync it"))?;
        let taken = [io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::AlreadyExists, io::ErrorKind::NotADirectory];
        match self.fs.rename(&self.path, &self.dest) {
            Err(error) if taken.contains(&error.kind()) => return Err(BackupError::Exists(self.dest.clone())),
            renamed => renamed.map_err(io_error(&self.dest, "give it its name"))?,
        }
        self.is_finished = true;
        let folder = self.dest.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = self.fs.open_dir(folder).and_then(|dir| self.fs.sync_dir(&dir));
        synced.map_err(io_error(folder, "sync it"))
    }

    fn clear(&self) -> io::Result<()> {
        for name in KNOWN {
            let path = self.path.join(name);
            let removed = match std::fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(&path),
                Ok(_) => std::fs::remove_file(&path),
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_finished {
            let removed = self.clear().and_then(|()| std::fs::remove_dir(&self.path));
            if let Err(error) = removed {
                tracing::debug!(%error, "what is left of an unfinished backup could not be removed");
            }
        }
    }
}

/// An error of the disk, for `map_err`.
pub(super) fn io_error(path: &Path, op: &'static str) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::Io { path, op, source }
}

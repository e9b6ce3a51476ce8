//! A directory that is made beside its place and gets its name once it is whole.

use std::io;
use std::path::{Path, PathBuf};

use super::{OpenError, Place};
use crate::storage::fs::Access;
use crate::storage::redb::build::Build;

/// A file that is copied is read in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// A directory in the making; it goes when it is dropped before it is kept.
pub(super) struct Partial<'p> {
    place: &'p Place<'p>,
    /// Where it is meanwhile.
    pub(super) path: PathBuf,
}

impl<'p> Partial<'p> {
    /// Makes it, beside the place that it is for; none when something is in the way.
    pub(super) fn make(place: &'p Place<'p>, dest: &Path) -> Result<Option<Self>, OpenError> {
        let mut name = dest.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let path = dest.with_file_name(name);
        if std::fs::symlink_metadata(dest).is_ok() {
            return Ok(None);
        }
        match place.fs.create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(OpenError::io("make it", &path)(error)),
            Ok(()) => Ok(Some(Self { place, path })),
        }
    }

    /// Makes a folder in it.
    pub(super) fn folder(&self, name: &str) -> Result<(), OpenError> {
        let path = self.path.join(name);
        self.place.fs.create_dir(&path).map_err(OpenError::io("make it", &path))
    }

    /// Writes a file, durable.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), OpenError> {
        let fs = &**self.place.fs;
        let written = fs.create(path).and_then(|file| {
            fs.write_all_at(&file, bytes, 0)?;
            fs.sync_all(&file)
        });
        written.map_err(OpenError::io("write it", path))
    }

    /// A second name of a file, or a copy on another file system; nothing when there is no file.
    pub(super) fn link(&self, from: &Path, to: &Path) -> Result<(), OpenError> {
        match self.place.fs.link(from, to) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => {
                tracing::debug!(%error, "no second name: the file is copied");
                self.copy(from, to)
            }
        }
    }

    /// A copy of a file; nothing when there is none.
    pub(super) fn copy(&self, from: &Path, to: &Path) -> Result<(), OpenError> {
        let fs = &**self.place.fs;
        let source = match fs.open(from, Access::Read) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(OpenError::io("read it", from)(error)),
        };
        let copied = || -> io::Result<()> {
            let file = fs.create(to)?;
            let mut buffer = vec![0; PIECE_BYTES];
            let mut at = 0;
            loop {
                match fs.read_at(&source, &mut buffer, at)? {
                    0 => return fs.sync_all(&file),
                    count => {
                        fs.write_all_at(&file, &buffer[..count], at)?;
                        at += count as u64;
                    }
                }
            }
        };
        copied().map_err(OpenError::io("copy it", from))
    }

    /// Gives it its name.
    pub(super) fn keep(self, dest: &Path) -> Result<(), OpenError> {
        let fs = &**self.place.fs;
        match fs.unlink(&Build::place(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::io("remove it", &Build::place(&self.path))(error));
            }
            Ok(()) | Err(_) => {}
        }
        self.place.sync_dir(&self.path)?;
        fs.rename(&self.path, dest).map_err(OpenError::io("give it its name", dest))?;
        let parent = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.place.sync_dir(parent)
    }
}

impl Drop for Partial<'_> {
    /// Nobody else has anything in it: it was made here.
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %self.path.display(), "what was begun could not be removed");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

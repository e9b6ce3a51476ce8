//! The data directory as a whole: made, checked, locked, and opened.
//!
//! Owns the rules of who may use a directory and the lock that one process at a time has on it. Must never change
//! permissions, remove what it finds or break a lock: it says what is wrong, and a person decides.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags};

use super::blobs::{BlobError, BlobStore};
use super::fs::{Fs as _, RealFs};
use super::journal::JOURNAL_FOLDER;
use super::journal::name::Generation;
use super::lock::{self, NEW_LOCK_FILE, Taken};
use super::open::{OpenError, OpenReport, Watch, examine, open_data};
use super::redb::{METADATA_FILE, Options, RedbMetadata, RotationRule};
use super::{Backend, Moment};
use crate::domain::time::Timestamp;

pub use super::lock::{LOCK_FILE, is_of};

/// The folder of the admin socket; no part of a backup.
pub const RUN_FOLDER: &str = "run";
/// The file with the admin token of a new directory.
pub const INITIAL_TOKEN_FILE: &str = "initial-admin-token";
/// Names that a directory may hold before there is a registry in it: ours, and what a file system puts there.
const EXPECTED: &[&str] = &[
    LOCK_FILE,
    NEW_LOCK_FILE,
    "meta.redb.new",
    JOURNAL_FOLDER,
    "blobs",
    "uploads",
    "quarantine",
    RUN_FOLDER,
    INITIAL_TOKEN_FILE,
    "config.toml",
    "config.json",
    "lost+found",
];
/// Permission bits by which others than the owner could change a directory.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Whether a registry may be made where there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Create {
    /// It is made.
    Yes,
    /// It has to be there.
    No,
}

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// There is no registry, and none may be made.
    #[error("there is no registry in `{}`", .path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The directory holds something else.
    #[error("`{}` holds other things than a registry, such as `{entry}`", .path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// One thing in it.
        entry: String,
    },
    /// Others may write into it.
    #[error("others than its owner can write to `{}` (mode {mode:03o})", .path.display())]
    WritableByOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("`{}` belongs to the user with id {owner}, not to the one who runs this ({own})", .path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs this.
        own: u32,
    },
    /// Another process has it.
    #[error("`{}` is in use by another process", .path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process, if it could be told.
        pid: Option<u32>,
    },
    /// There are artifacts, and nothing that says what they are.
    #[error("`{}` holds artifacts, but neither a journal nor {METADATA_FILE}", .path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("`{}`: could not {op}", .path.display())]
    Io {
        /// What was used.
        path: PathBuf,
        /// What was to be done with it.
        op: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// How the stores of a directory are opened.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Memory for the database's pages, in bytes.
    pub cache_bytes: usize,
    /// How many writes may wait.
    pub queue_length: usize,
    /// When the journal begins a new log, and how long the old ones stay.
    pub rotation: RotationRule,
}

impl StoreOptions {
    /// For work on the data without a writer.
    pub(super) fn alone(self) -> Options {
        let Self { cache_bytes, queue_length, rotation } = self;
        Options { cache_bytes, queue_length, rotation, clock: Box::new(moment), ..Options::default() }
    }
}

/// A data directory that this process alone uses, until it is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    is_new: bool,
    /// Its lock goes with its descriptor.
    _lock: File,
}

impl DataDirectory {
    /// Checks the directory and locks it; makes it when it is missing and may be made. A first start that was cut off
    /// is taken up where it stopped.
    ///
    /// # Errors
    /// As [`DirectoryError`]'s variants; a directory that is refused was not changed.
    pub fn open(path: &Path, create: Create) -> Result<Self, DirectoryError> {
        let dir = match open_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if create == Create::No {
                    return Err(DirectoryError::Missing { path: path.to_owned() });
                }
                make(path).map_err(io_error(path, "make it"))?;
                open_dir(path)
            }
            opened => opened,
        };
        let dir = dir.map_err(io_error(path, "open it as a directory"))?;
        check_owner(path, &dir)?;
        if !has_registry(path)? {
            check_empty(path, create)?;
        }
        let lock = match lock::take(path, &dir).map_err(io_error(&path.join(LOCK_FILE), "lock it"))? {
            Taken::Lock(lock) => lock,
            Taken::Held { pid } => return Err(DirectoryError::Locked { path: path.to_owned(), pid }),
        };
        // Looked at again: until now another process could be making it.
        let is_new = !has_registry(path)?;
        if is_new && has_blobs(path)? {
            return Err(DirectoryError::Damaged { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), is_new, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there was no registry in it.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Opens the rows, which are made in a new directory, and tells what that took; blocks.
    ///
    /// # Errors
    /// As [`open_data`], and when the writer can't be started.
    pub fn open_metadata(&self, options: StoreOptions, watch: Watch<'_>) -> Result<(Backend, OpenReport), OpenError> {
        let StoreOptions { cache_bytes, queue_length, rotation } = options;
        let clock = Box::new(moment);
        let options = Options { cache_bytes, queue_length, rotation, clock, ..Options::default() };
        let opened = open_data(&options.fs, &self.path, &options.opening(), watch)?;
        let report = opened.report.clone();
        Ok((RedbMetadata::start(opened, &self.path, options)?, report))
    }

    /// Looks how the rows would be opened, and changes nothing.
    ///
    /// # Errors
    /// As [`examine`].
    pub fn examine(&self, options: StoreOptions) -> Result<&'static str, OpenError> {
        let options = options.alone();
        examine(&options.fs, &self.path, &options.opening())
    }

    /// Opens the bytes.
    ///
    /// # Errors
    /// As [`BlobStore::open`].
    pub fn open_blobs(&self) -> Result<Arc<BlobStore>, BlobError> {
        BlobStore::open(&self.path, Arc::new(RealFs))
    }

    /// The folder of the admin socket, made (0700) when it is missing.
    ///
    /// # Errors
    /// `Io`; `WritableByOthers` and `NotOurs`, since who can write there could stand in for the server.
    pub fn run_folder(&self) -> Result<PathBuf, DirectoryError> {
        let path = self.path.join(RUN_FOLDER);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error(&path, "make it")(error)),
            Ok(()) | Err(_) => {
                check_owner(&path, &open_dir(&path).map_err(io_error(&path, "open it as a directory"))?)?;
                Ok(path)
            }
        }
    }
}

/// The time: the wall clock for people, and the seconds that this machine has run.
fn moment() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment { now: Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)), tick: RealFs.ticks() }
}

fn io_error(path: &Path, op: &'static str) -> impl FnOnce(io::Error) -> DirectoryError {
    let path = path.to_owned();
    move |source| DirectoryError::Io { path, op, source }
}

fn open_dir(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Makes the directory (0700), those above it too, and its name durable.
fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn check_owner(path: &Path, dir: &File) -> Result<(), DirectoryError> {
    let metadata = dir.metadata().map_err(io_error(path, "look at it"))?;
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own {
        return Err(DirectoryError::NotOurs { path: path.to_owned(), owner: metadata.uid(), own });
    }
    let mode = metadata.mode() & 0o777;
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(DirectoryError::WritableByOthers { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Whether there is an index, or any file of a journal: what is wrong with them shows when they are opened.
fn has_registry(path: &Path) -> Result<bool, DirectoryError> {
    if path.join(METADATA_FILE).try_exists().map_err(io_error(path, "look into it"))? {
        return Ok(true);
    }
    let journal = path.join(JOURNAL_FOLDER);
    match RealFs.list(&journal) {
        Ok(names) => Ok(names.iter().any(|name| name.to_str().and_then(Generation::parse).is_some())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error(&journal, "read it")(error)),
    }
}

/// A directory without a registry: nothing of anybody else's may be in it.
fn check_empty(path: &Path, create: Create) -> Result<(), DirectoryError> {
    let names = RealFs.list(path).map_err(io_error(path, "read it"))?;
    let other = names.iter().find(|name| !name.to_str().is_some_and(|name| EXPECTED.contains(&name)));
    match (create, other) {
        (Create::Yes, Some(entry)) => {
            let entry = entry.to_string_lossy().into_owned();
            Err(DirectoryError::Foreign { path: path.to_owned(), entry })
        }
        (Create::Yes, None) => Ok(()),
        (Create::No, _) if has_blobs(path)? => Err(DirectoryError::Damaged { path: path.to_owned() }),
        (Create::No, _) => Err(DirectoryError::Missing { path: path.to_owned() }),
    }
}

/// Whether artifacts are there; their folders are made with the first one.
fn has_blobs(path: &Path) -> Result<bool, DirectoryError> {
    match std::fs::read_dir(path.join("blobs").join("sha256")) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error(path, "read its artifacts")(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::open::unwatched;
    use std::os::unix::fs::PermissionsExt as _;

    fn options() -> StoreOptions {
        StoreOptions { cache_bytes: 1 << 20, queue_length: 8, rotation: RotationRule::default() }
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_missing_directory_is_made_for_its_owner_alone() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/reg");
        assert!(matches!(DataDirectory::open(&path, Create::No), Err(DirectoryError::Missing { .. })));
        assert!(!path.exists());
        let directory = DataDirectory::open(&path, Create::Yes).unwrap();
        assert!(directory.is_new());
        assert_eq!(
            (mode(&path), mode(&path.join(LOCK_FILE)), mode(&directory.run_folder().unwrap())),
            (0o700, 0o600, 0o700)
        );
    }

    #[test]
    fn one_process_at_a_time_and_its_id_is_told() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("reg");
        let first = DataDirectory::open(&path, Create::Yes).unwrap();
        let refused = DataDirectory::open(&path, Create::Yes).unwrap_err();
        assert!(
            matches!(refused, DirectoryError::Locked { pid: Some(pid), .. } if pid == std::process::id()),
            "{refused:?}"
        );
        drop(first);
        assert!(DataDirectory::open(&path, Create::Yes).is_ok());
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused_and_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o770)).unwrap();
        let refused = DataDirectory::open(temp.path(), Create::Yes).unwrap_err();
        assert!(matches!(refused, DirectoryError::WritableByOthers { mode: 0o770, .. }), "{refused:?}");
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_of_other_things_is_refused_and_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::write(temp.path().join("thesis.txt"), "a").unwrap();
        let refused = DataDirectory::open(temp.path(), Create::Yes).unwrap_err();
        assert!(matches!(&refused, DirectoryError::Foreign { entry, .. } if entry == "thesis.txt"), "{refused:?}");
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_first_start_that_was_cut_off_is_taken_up() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("reg");
        drop(DataDirectory::open(&path, Create::Yes).unwrap());
        std::fs::write(path.join("meta.redb.new"), "cut off").unwrap();
        assert!(matches!(DataDirectory::open(&path, Create::No), Err(DirectoryError::Missing { .. })));
        let directory = DataDirectory::open(&path, Create::Yes).unwrap();
        assert!(directory.is_new());
        drop((directory.open_metadata(options(), &unwatched).unwrap(), directory.open_blobs().unwrap()));
        drop(directory);
        assert!(!DataDirectory::open(&path, Create::No).unwrap().is_new());
    }

    #[test]
    fn artifacts_without_metadata_are_damage_and_no_new_registry() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("reg");
        drop(DataDirectory::open(&path, Create::Yes).unwrap());
        std::fs::create_dir_all(path.join("blobs/sha256/ab")).unwrap();
        for create in [Create::Yes, Create::No] {
            let refused = DataDirectory::open(&path, create).unwrap_err();
            assert!(matches!(refused, DirectoryError::Damaged { .. }), "{refused:?}");
        }
    }
}

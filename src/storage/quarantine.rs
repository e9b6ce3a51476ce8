//! What was set aside in `quarantine/`: indexes that failed, and parts of the journal that no state needed.
//!
//! Nothing reads them again but people. Must never remove anything that it did not list before, nor what is no file.

use std::io;

use super::blobs::BlobStore;
use super::fs::Access;
use crate::domain::time::Timestamp;

/// The folder, within the data directory.
pub const QUARANTINE_FOLDER: &str = "quarantine";
/// Files that are listed at once; what is beyond comes the next time.
const FILES_MAX: usize = 10_000;

/// A file that was set aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetAside {
    /// Its name in the folder.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// When it was last changed or moved: the file system's word, which follows the wall clock.
    pub since: Timestamp,
}

/// Lists what was set aside, in the order of the names; nothing when there is no such folder.
///
/// # Errors
/// The system's.
pub fn list(store: &BlobStore) -> io::Result<Vec<SetAside>> {
    let (fs, folder) = (store.fs(), store.data().join(QUARANTINE_FOLDER));
    let names = match fs.list(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names?,
    };
    let mut files = Vec::new();
    for name in names.iter().filter_map(|name| name.to_str()).take(FILES_MAX) {
        match fs.open(&folder.join(name), Access::Read).and_then(|file| fs.stat(&file)) {
            Ok(stat) => {
                let since = Timestamp(stat.changed_ns / 1_000_000);
                files.push(SetAside { name: name.to_owned(), bytes: stat.size, since });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, name, "a file in quarantine can't be looked at and stays"),
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

/// Removes one file; `false` when there was none.
///
/// # Errors
/// The system's.
pub fn remove(store: &BlobStore, file: &SetAside) -> io::Result<bool> {
    match store.fs().unlink(&store.data().join(QUARANTINE_FOLDER).join(&file.name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}

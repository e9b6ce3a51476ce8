//! Which blobs are there.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use redb::Database;

use super::{OpenError, Phase, Place};
use crate::domain::digest::Sha256;
use crate::storage::blobs::read_note;
use crate::storage::fs::{Access, Fs};
use crate::storage::journal::cut::Presence;
use crate::storage::journal::retired::Note;
use crate::storage::redb::rows::scan_rows;
use crate::storage::rows::{BlobRow, Row as _};
use crate::storage::tables::Table;
use crate::storage::view::{Direction, KeyRange};

/// The blobs that rows refer to, do not flag as damaged, and that no file has. One folder is held in memory at a time.
///
/// # Errors
/// When the disk or the index fails.
pub(super) fn missing(place: &Place<'_>, database: &Database) -> Result<Vec<Sha256>, OpenError> {
    let mut missing = Vec::new();
    for first in 0..=u8::MAX {
        place.tell(Phase::Blobs, u64::from(first), Some(u64::from(u8::MAX) + 1))?;
        let names = names(place, first)?;
        scan_rows(database, Table::Blobs, KeyRange::prefix(&[first], Direction::Up), &mut |_, value| {
            let row = BlobRow::from_row(Table::Blobs, value)?;
            if row.count > 0 && !row.damaged && !names.contains(&OsString::from(row.sha256.to_hex())) {
                missing.push(row.sha256);
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(missing)
}

/// The names in one of the 256 folders.
fn names(place: &Place<'_>, first: u8) -> Result<HashSet<OsString>, OpenError> {
    let folder = place.data.join("blobs").join("sha256").join(format!("{first:02x}"));
    match place.fs.list(&folder) {
        Ok(names) => Ok(names.into_iter().collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashSet::new()),
        Err(error) => Err(OpenError::io("read it", &folder)(error)),
    }
}

/// What stands under the names of single blobs. An error of the disk is kept, since who asks takes none.
pub(super) struct Presences<'p> {
    place: &'p Place<'p>,
    error: RefCell<Option<OpenError>>,
}

impl<'p> Presences<'p> {
    pub(super) fn new(place: &'p Place<'p>) -> Self {
        Self { place, error: RefCell::new(None) }
    }

    /// Looks at one blob.
    pub(super) fn look(&self, blob: &Sha256) -> Presence {
        presence(&**self.place.fs, self.place.data, blob).unwrap_or_else(|error| {
            let path = path(self.place.data, blob);
            self.error.borrow_mut().get_or_insert(OpenError::io("look at it", &path)(error));
            Presence::Missing
        })
    }

    /// The first error so far.
    ///
    /// # Errors
    /// That error.
    pub(super) fn failed(&self) -> Result<(), OpenError> {
        self.error.borrow_mut().take().map_or(Ok(()), Err)
    }
}

/// What stands under a blob's name.
///
/// # Errors
/// When the disk does not tell.
pub fn presence(fs: &dyn Fs, data: &Path, blob: &Sha256) -> io::Result<Presence> {
    let file = match fs.open(&path(data, blob), Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Presence::Missing),
        Err(error) => return Err(error),
    };
    let size = fs.stat(&file)?.size;
    match read_note(fs, &file, size, blob)? {
        Some(Note::Swept { dropped, .. }) => Ok(Presence::Swept { dropped }),
        Some(Note::Retired { .. }) | None => Ok(Presence::There),
    }
}

fn path(data: &Path, blob: &Sha256) -> PathBuf {
    let folder = data.join("blobs").join("sha256").join(format!("{:02x}", blob.0[0]));
    folder.join(blob.to_hex())
}

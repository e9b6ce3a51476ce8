//! The one place where bytes get their name: fsync, link, fsync of the directory, in this order.
//!
//! Must never acknowledge a name before its directory is durable, trust a file because its name is right, or leave a
//! moment in which a name that was there is not.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::ingest::{Staged, Temp};
use super::open::{hash_blake3, read_note};
use super::{BlobError, BlobStore};
use crate::domain::digest::{Blake3, Sha256};
use crate::storage::fs::{Access, Stat};

/// Turns at linking while another process of ours removes the same name again and again.
const LINK_ATTEMPTS_MAX: usize = 8;

/// How a blob came to be stored. Not for answers: deduplication shows in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was not there before.
    New,
    /// It was there and its bytes were read and found right.
    Present,
    /// It was there, damaged, and was replaced.
    Healed,
    /// It was there once, and the note of its end was replaced.
    Returned,
}

/// Bytes that are durable under their name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The name.
    pub sha256: Sha256,
    /// The second digest, for scrubbing.
    pub blake3: Blake3,
    /// How many bytes.
    pub size: u64,
    /// What was there before.
    pub stored: Stored,
}

/// What stands under a name, compared with what should.
enum Found {
    Sound(Stat),
    Damaged,
    Note,
    Nothing,
}

impl Staged {
    /// Makes the bytes durable under their name; when they are there already, reads those and replaces them if damaged.
    ///
    /// # Errors
    /// `Full` or `Io`: then nothing is acknowledged. A file that could not be synced is gone; a whole file whose
    /// directory could not be synced keeps its name (another upload may rest on it), and the store is read-only.
    /// `Damaged` when the upload's own file, stored by an earlier keep, changed since. `Damaged` or `Missing` when bytes
    /// that were stored already are so no more.
    pub fn keep(mut self) -> Result<Kept, BlobError> {
        let store = Arc::clone(&self.temp.store);
        store.check_directories()?;
        if !self.temp.stored {
            self.seal()?;
        }
        let shard = store.durable_shard(&self.sha256)?;
        let name = store.blob_path(&self.sha256);
        let stored = if self.temp.stored { self.look_again(&name)? } else { self.place(&name)? };
        store.sync_dir(&shard)?;
        Ok(Kept { sha256: self.sha256, blake3: self.blake3, size: self.size, stored })
    }

    /// Read-only and durable, before any name refers to it.
    fn seal(&self) -> Result<(), BlobError> {
        let Temp { store, file, upload, .. } = &self.temp;
        store.fs.set_read_only(file).map_err(store.failed("make a file read-only"))?;
        store.fs.sync_all(file).map_err(|error| {
            if let Some(lease) = upload {
                lease.discard();
            }
            store.failed("sync an artifact")(error)
        })
    }

    fn place(&mut self, name: &Path) -> Result<Stored, BlobError> {
        let store = Arc::clone(&self.temp.store);
        for _ in 0..LINK_ATTEMPTS_MAX {
            match self.temp.link(name) {
                Ok(()) => {
                    // Before the stamp is taken: taking a name away changes it.
                    self.temp.drop_name();
                    store.verified.mark(self.sha256, self.temp.stat()?.into());
                    return Ok(Stored::New);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(store.failed("name an artifact")(error)),
            }
            match self.inspect(name)? {
                Found::Sound(stat) => {
                    store.verified.mark(self.sha256, stat.into());
                    return Ok(Stored::Present);
                }
                found @ (Found::Damaged | Found::Note) => {
                    store.verified.forget(&self.sha256);
                    self.replace(name)?;
                    store.verified.mark(self.sha256, self.temp.stat()?.into());
                    return Ok(if matches!(found, Found::Note) { Stored::Returned } else { Stored::Healed });
                }
                Found::Nothing => {}
            }
        }
        Err(BlobError::Io { op: "name an artifact", source: io::ErrorKind::AlreadyExists.into() })
    }

    /// Whether a blob that was staged under its own name still stands there, sound.
    fn look_again(&self, name: &Path) -> Result<Stored, BlobError> {
        match self.inspect(name)? {
            Found::Sound(stat) => {
                self.temp.store.verified.mark(self.sha256, stat.into());
                Ok(Stored::Present)
            }
            Found::Damaged => {
                self.temp.store.found_damaged(&self.sha256);
                Err(BlobError::Damaged { sha256: self.sha256 })
            }
            Found::Note | Found::Nothing => Err(BlobError::Missing),
        }
    }

    /// Reads what stands under the name. Bytes that can't be read are damaged: the ones at hand replace them.
    fn inspect(&self, name: &Path) -> Result<Found, BlobError> {
        let BlobStore { fs, .. } = &*self.temp.store;
        let file = match fs.open(name, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(self.temp.store.failed("open a blob")(error)),
        };
        let stat = fs.stat(&file).map_err(self.temp.store.failed("look at a blob"))?;
        let sound =
            stat.size == self.size && hash_blake3(&**fs, &file, self.size).is_ok_and(|blake3| blake3 == self.blake3);
        if sound {
            return Ok(Found::Sound(stat));
        }
        if read_note(&**fs, &file, stat.size, &self.sha256).is_ok_and(|note| note.is_some()) {
            return Ok(Found::Note);
        }
        let own = self.temp.stat()?;
        if (own.device, own.inode) == (stat.device, stat.inode) {
            return Err(BlobError::Damaged { sha256: self.sha256 });
        }
        Ok(Found::Damaged)
    }

    /// Puts the staged file over the name in one step.
    fn replace(&mut self, name: &Path) -> Result<(), BlobError> {
        let store = Arc::clone(&self.temp.store);
        let from = if let Some(path) = &self.temp.owned {
            path.clone()
        } else {
            let path = store.temp_path();
            self.temp.link(&path).map_err(store.failed("name a temporary file"))?;
            self.temp.owned.insert(path).clone()
        };
        store.fs.rename(&from, name).map_err(store.failed("replace a damaged blob"))?;
        self.temp.owned = None;
        Ok(())
    }
}

impl Temp {
    fn link(&self, to: &Path) -> io::Result<()> {
        let Self { store, file, owned, upload, stored: _ } = self;
        let from = match (owned, upload) {
            _ if store.unnamed => return store.fs.link_file(file, to),
            (Some(path), _) => path,
            (None, Some(lease)) => &lease.path(),
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        store.fs.link(from, to)
    }
}

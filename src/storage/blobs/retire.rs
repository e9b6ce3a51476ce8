//! The end of a blob: its bytes go and a note stands under its name for a while; and what the sweeper looks at.
//!
//! Must never take away bytes whose row still says otherwise: the caller holds the blob alone and has its row removed,
//! durably, before.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::open::{hash_both, read_note};
use super::verified::Stamp;
use super::{BlobError, BlobStore};
use crate::domain::change::BlobFacts;
use crate::domain::digest::{Blake3, Sha256};
use crate::storage::fs::Access;
use crate::storage::journal::retired::Note;
use crate::storage::leases::ExclusiveLease;

/// What stands under a blob's name, without its bytes being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Nothing.
    Nothing,
    /// The note of a blob that was swept.
    Note(Note),
    /// A file of bytes, which is this one until somebody changes or replaces it.
    Bytes(Stamp),
}

/// A blob whose row is gone, durably, and whose bytes are to go.
#[derive(Debug)]
pub struct Retired {
    /// Held alone until the bytes are gone.
    pub lease: ExclusiveLease,
    /// What stands there instead.
    pub note: Note,
    /// How many bytes it had.
    pub size: u64,
}

/// What reading a file without a row showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Litter {
    /// Its name and what was read; of an unreadable file BLAKE3 is all zeros.
    pub facts: BlobFacts,
    /// Whether the bytes are what the name says.
    pub is_sound: bool,
}

impl BlobStore {
    /// What stands under the name now.
    ///
    /// # Errors
    /// `Io` when that can't be told.
    pub fn standing(&self, sha256: &Sha256) -> Result<Standing, BlobError> {
        let file = match self.fs.open(&self.blob_path(sha256), Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::Nothing),
            Err(error) => return Err(self.failed("open a blob")(error)),
        };
        let stat = self.fs.stat(&file).map_err(self.failed("look at a blob"))?;
        match read_note(&*self.fs, &file, stat.size, sha256) {
            Ok(Some(note)) => Ok(Standing::Note(note)),
            // Bytes that can't be read are bytes.
            Ok(None) | Err(_) => Ok(Standing::Bytes(stat.into())),
        }
    }

    /// Reads all of a file whose row is missing, to write one.
    ///
    /// # Errors
    /// `Missing` when it is gone, `Io` when it can't be opened.
    pub fn identify(&self, sha256: &Sha256) -> Result<Litter, BlobError> {
        let blob = self.open_blob(sha256)?;
        let found = hash_both(&*self.fs, blob.file(), blob.size());
        let (is_sound, blake3) = match found {
            Ok((name, blake3)) => (name == *sha256, blake3),
            Err(error) => {
                tracing::warn!(%error, %sha256, "a file that no row knows can't be read");
                (false, Blake3([0; 32]))
            }
        };
        Ok(Litter { facts: BlobFacts { sha256: *sha256, blake3, size: blob.size() }, is_sound })
    }

    /// Puts a note over each of these names, whose rows are gone. Where there is no room for one the name goes. What could
    /// not be taken away is left under its name, to be found as litter: how many those are.
    ///
    /// # Errors
    /// `Io` when a directory can't be synced.
    pub fn retire(&self, swept: &[Retired]) -> Result<usize, BlobError> {
        self.check_directories()?;
        let mut left = 0;
        for Retired { lease, note, size } in swept {
            let sha256 = lease.digest();
            self.verified.forget(&sha256);
            let name = self.blob_path(&sha256);
            let gone = self.put_note(&name, &note.to_text_unlike(*size)).or_else(|error| {
                tracing::debug!(%error, %sha256, "no note where a blob was");
                self.unlink_blob(&sha256).map(|_| ())
            });
            if let Err(error) = gone {
                tracing::warn!(%error, %sha256, "a blob that was dropped could not be removed and stays until the next sweep");
                left += 1;
            }
        }
        self.sync_shards(swept.iter().map(|retired| retired.lease.digest()))?;
        Ok(left)
    }

    /// Takes these notes away, if they are still notes: how many went.
    ///
    /// # Errors
    /// `Io` when one can't be looked at or removed, or a directory not be synced.
    pub fn remove_notes(&self, notes: &[ExclusiveLease]) -> Result<u64, BlobError> {
        self.check_directories()?;
        let mut removed = 0;
        for lease in notes {
            if let Standing::Note(_) = self.standing(&lease.digest())?
                && self.unlink_blob(&lease.digest())?
            {
                removed += 1;
            }
        }
        self.sync_shards(notes.iter().map(ExclusiveLease::digest))?;
        Ok(removed)
    }

    pub(super) fn unlink_blob(&self, sha256: &Sha256) -> Result<bool, BlobError> {
        match self.fs.unlink(&self.blob_path(sha256)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed("remove a blob")(error)),
        }
    }

    /// The note is durable before it takes the name: what stands there after a power loss is the blob or the note.
    fn put_note(&self, name: &Path, text: &str) -> io::Result<()> {
        let path = self.temp_path();
        let file = self.fs.create(&path)?;
        let put = self.fs.write_all_at(&file, text.as_bytes(), 0);
        let put = put.and_then(|()| self.fs.set_read_only(&file)).and_then(|()| self.fs.sync_all(&file));
        let put = put.and_then(|()| self.fs.rename(&path, name));
        if put.is_err()
            && let Err(error) = self.fs.unlink(&path)
        {
            tracing::warn!(%error, "a temporary file stays until the next start");
        }
        put
    }

    fn sync_shards(&self, digests: impl Iterator<Item = Sha256>) -> Result<(), BlobError> {
        let shards: BTreeSet<u8> = digests.map(|digest| digest.0[0]).collect();
        let mut first = Sha256([0; 32]);
        shards.into_iter().try_for_each(|byte| {
            first.0[0] = byte;
            match self.fs.open_dir(&self.shard_path(&first)) {
                // Its rows had no files: there is nothing to make durable.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Ok(_) | Err(_) => self.sync_dir(&self.shard_path(&first)),
            }
        })
    }
}

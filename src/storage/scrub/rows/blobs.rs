//! Rows of blobs: their counts are the references to them, and those are what versions name.

use super::RowCheck;
use super::packages::package_of;
use crate::domain::digest::Sha256;
use crate::domain::package::Version;
use crate::storage::keys;
use crate::storage::rows::{BlobRow, Row as _};
use crate::storage::scrub::ScrubError;
use crate::storage::tables::{Counter, Table};
use crate::storage::view::{Direction, KeyRange};

/// The bytes of a digest in a key.
const DIGEST_BYTES: usize = 32;

impl RowCheck<'_> {
    /// The blobs that a version refers to know of it.
    pub(super) fn version_blobs(&self, key: &[u8], version: &Version) -> Result<(), ScrubError> {
        for digest in version.blobs() {
            self.expect((Table::Versions, key), Table::BlobRefs, &keys::pair(&digest.0, key))?;
        }
        if version.purged.is_some() {
            return Ok(());
        }
        let artifact = &version.artifact;
        match self.look(|view| view.blob(&artifact.sha256))? {
            Some(blob) if blob.size != artifact.size => {
                let what = format!("has {} bytes, but its blob {}", artifact.size, blob.size);
                self.wrong(Table::Versions, key, &what);
            }
            Some(_) => {}
            None => self.wrong(Table::Versions, key, "its blob has no row"),
        }
        Ok(())
    }

    pub(super) fn blobs(&self) -> Result<(), ScrubError> {
        let (mut referred, mut damaged, mut bytes) = (0, 0, 0_u64);
        self.each(Table::Blobs, |key, value| {
            let Some(blob) = self.decoded::<BlobRow>(Table::Blobs, key, value) else { return Ok(()) };
            if key != blob.sha256.0 {
                self.wrong(Table::Blobs, key, &format!("holds the digest {}", blob.sha256));
                return Ok(());
            }
            if blob.count > 0 {
                referred += 1;
                damaged += u64::from(blob.damaged);
                bytes = bytes.saturating_add(blob.size);
            }
            if (blob.count == 0) != blob.dropped_since.is_some() {
                self.wrong(Table::Blobs, key, "its count and the time since which nothing refers to it differ");
            }
            let references = self.references(key)?;
            if references != blob.count {
                let what = format!("says that {} versions refer to it, but {references} do", blob.count);
                self.wrong(Table::Blobs, key, &what);
            }
            Ok(())
        })?;
        self.counter(Counter::Blobs, referred)?;
        self.counter(Counter::BlobBytes, bytes)?;
        self.counter(Counter::BlobsDamaged, damaged)?;
        self.each(Table::BlobRefs, |key, value| self.reference(key, value))?;
        Ok(())
    }

    fn references(&self, digest: &[u8]) -> Result<u64, ScrubError> {
        self.within(Table::BlobRefs, KeyRange::prefix(digest, Direction::Up), |_, _| Ok(()))
    }

    fn reference(&self, key: &[u8], value: &[u8]) -> Result<(), ScrubError> {
        self.empty(Table::BlobRefs, key, value);
        let (digest, version_key) = key.split_at_checked(DIGEST_BYTES).unwrap_or_default();
        let row = self.rows.get(Table::Versions, version_key)?;
        let version = row.and_then(|row| Version::from_row(Table::Versions, &row).ok());
        let names = |version: Version| version.blobs().any(|blob: Sha256| blob.0 == digest);
        if package_of(version_key).is_none() || !version.is_some_and(names) {
            self.wrong(Table::BlobRefs, key, "no such version refers to this blob");
        }
        if !self.has(Table::Blobs, digest)? {
            self.wrong(Table::BlobRefs, key, "the blob has no row");
        }
        Ok(())
    }
}

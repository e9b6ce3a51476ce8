//! Downloads: an artifact's bytes for those who may read them, never served as a success when they are damaged.
//!
//! The first reading of a blob after a start is checked against its digest: a whole one holds its last block back until
//! the digest was right, a part of one is sent after the whole was read. Later readings of an unchanged file go by.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::load::live_package_for;
use super::versions::{VersionRef, find_version, settle};
use super::{Context, ServiceError, Stores};
use crate::domain::change::Change;
use crate::domain::digest::Sha256;
use crate::domain::name::PackageName;
use crate::domain::package::{Version, Visibility};
use crate::domain::permission::Action;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::version::VersionNumber;
use crate::storage::blobs::{BlobError, BlobFile, BlobStore, Soundness, VerifyingReader};
use crate::storage::{Cost, Decided, Metadata as _, View};

/// Bytes of one piece of an answer.
pub const PIECE_BYTES: u64 = 256 * 1024;
/// How many versions' downloads are added up between two flushes; beyond that, downloads go uncounted until the next.
const COUNTED_MAX: usize = 65_536;

/// An artifact that may be sent to the caller.
#[derive(Clone)]
pub struct Download {
    blobs: Arc<BlobStore>,
    file: Arc<BlobFile>,
    /// Its digest.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
    /// The name under which it is saved.
    pub filename: String,
    /// What its bytes say they are.
    pub media_type: String,
    /// Whether an anonymous caller would now get the same.
    pub public: bool,
    /// The version's number, unless the bytes were asked for by digest.
    pub number: Option<VersionNumber>,
    /// What a download of it counts for.
    counted: Option<(PackageName, Vec<u8>)>,
}

/// Reads an answer's bytes piece by piece.
pub enum DownloadReader {
    /// The whole, checked on the way.
    Checked(Box<VerifyingReader>),
    /// A part, or the whole of what was checked before.
    Plain {
        /// The file.
        file: Arc<BlobFile>,
        /// Where the next piece begins.
        offset: u64,
        /// Where the last one ends.
        end: u64,
    },
}

impl Download {
    /// Reads the whole artifact. A damaged one ends in an error before its last byte.
    pub fn whole(&self) -> DownloadReader {
        if self.blobs.is_verified(&self.file) {
            DownloadReader::Plain { file: Arc::clone(&self.file), offset: 0, end: self.size }
        } else {
            DownloadReader::Checked(Box::new(VerifyingReader::new(&self.blobs, &self.file, None)))
        }
    }

    /// Reads `length` bytes from `offset` on. [`Download::check`] comes first.
    pub fn part(&self, offset: u64, length: u64) -> DownloadReader {
        let end = offset.saturating_add(length).min(self.size);
        DownloadReader::Plain { file: Arc::clone(&self.file), offset, end }
    }

    /// Makes sure, once after a start, that the bytes are what their name says.
    ///
    /// # Errors
    /// `artifact_damaged`.
    pub async fn check(&self) -> Result<(), ServiceError> {
        if self.blobs.is_verified(&self.file) {
            return Ok(());
        }
        let (digest, size) = (self.sha256, self.size);
        let verify = move |blobs: &Arc<BlobStore>| blobs.verify_once(&digest, size, None);
        match self.blobs.blocking(verify).await? {
            Soundness::Sound => Ok(()),
            Soundness::Damaged | Soundness::Missing => Err(BlobError::Damaged { sha256: digest }.into()),
        }
    }
}

impl DownloadReader {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When bytes can't be read, are short or fail their digest: the answer is then cut off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        match self {
            Self::Checked(reader) => reader.next().await,
            Self::Plain { file, offset, end } => {
                if *offset >= *end {
                    return Ok(None);
                }
                let length = (*end - *offset).min(PIECE_BYTES);
                let piece = file.read_chunk(*offset, usize::try_from(length).unwrap_or(usize::MAX)).await?;
                *offset += length;
                Ok(Some(piece))
            }
        }
    }
}

/// Opens artifacts, and counts downloads.
pub struct DownloadService {
    stores: Stores,
    counts: Mutex<HashMap<(PackageName, Vec<u8>), u64>>,
}

impl DownloadService {
    /// Opens the artifacts of `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores, counts: Mutex::default() }
    }

    /// The artifact of a version; `filename`, if one was asked for, must be the version's own.
    ///
    /// # Errors
    /// `package_not_found`, `version_not_found`, `no_matching_version`, `purged`, `artifact_damaged`.
    pub async fn artifact(
        &self,
        context: &Context,
        package: &PackageName,
        which: VersionRef,
        filename: Option<&str>,
    ) -> Result<Download, ServiceError> {
        let look_up = || async {
            let (version, public, is_damaged) = self.version(context, package, &which).await?;
            let sha256 = version.artifact.sha256;
            if is_damaged { Err(BlobError::Damaged { sha256 }.into()) } else { Ok((version, public)) }
        };
        let held = self.stores.held(look_up, |(version, _)| Some(version.artifact.sha256)).await?;
        let ((version, public), Some(file)) = held else { return Err(BlobError::Missing.into()) };
        let artifact = version.artifact;
        if filename.is_some_and(|asked| asked != artifact.filename) {
            let message =
                format!("`{package}` {} has another file: it is named `{}`.", version.number, artifact.filename);
            return Err(ServiceError::refused(Reason::VersionNotFound, message));
        }
        self.check_size(&file, artifact.size)?;
        Ok(Download {
            blobs: Arc::clone(&self.stores.blobs),
            sha256: artifact.sha256,
            size: artifact.size,
            filename: artifact.filename,
            media_type: artifact.media_type,
            public,
            counted: Some((package.clone(), version.number.precedence_key())),
            number: Some(version.number),
            file,
        })
    }

    /// The README of a version: its text, the digest of that, and the version's number.
    ///
    /// # Errors
    /// Those of [`DownloadService::artifact`]; `blob_not_found` when the version has none.
    pub async fn readme(
        &self,
        context: &Context,
        package: &PackageName,
        which: VersionRef,
    ) -> Result<(Vec<u8>, Sha256, VersionNumber), ServiceError> {
        let look_up = || self.version(context, package, &which);
        let ((version, ..), file) = self.stores.held(look_up, |(version, ..)| version.readme).await?;
        let Some(file) = file else {
            let message = format!("`{package}` {} has no README.", version.number);
            return Err(ServiceError::refused(Reason::BlobNotFound, message));
        };
        let digest = file.sha256();
        Ok((self.stores.read_small(file).await?, digest, version.number))
    }

    /// A blob by its digest, if a package that the caller may read refers to it.
    ///
    /// # Errors
    /// `blob_not_found` for everything else, stored or not; `artifact_damaged`.
    pub async fn blob(&self, context: &Context, digest: Sha256) -> Result<Download, ServiceError> {
        let caller = context.caller.clone();
        let anonymous_read = self.stores.policy.anonymous_read;
        let look_up = || {
            let caller = caller.clone();
            let load = move |view: &View<'_>| super::load::readable_blob(view, &caller, &digest);
            async move {
                let found = self.stores.metadata.read(Cost::Scan, load).await?;
                let (row, is_public) = found.ok_or_else(|| blob_not_found(&digest))?;
                if row.damaged { Err(BlobError::Damaged { sha256: digest }.into()) } else { Ok((row, is_public)) }
            }
        };
        let held = self.stores.held(look_up, move |_| Some(digest)).await?;
        let ((row, is_public), Some(file)) = held else { return Err(BlobError::Missing.into()) };
        self.check_size(&file, row.size)?;
        Ok(Download {
            blobs: Arc::clone(&self.stores.blobs),
            sha256: digest,
            size: row.size,
            filename: digest.to_hex(),
            media_type: "application/octet-stream".to_owned(),
            public: is_public && anonymous_read,
            number: None,
            counted: None,
            file,
        })
    }

    /// A version, whether anonymous callers would now see it, and whether its artifact is marked as damaged.
    async fn version(
        &self,
        context: &Context,
        package: &PackageName,
        which: &VersionRef,
    ) -> Result<(Version, bool, bool), ServiceError> {
        let (caller, name, which) = (context.caller.clone(), package.clone(), which.clone());
        let anonymous_read = self.stores.policy.anonymous_read;
        let load = move |view: &View<'_>| {
            let found = live_package_for(view, &caller, Action::Read, &name).and_then(|(package, _)| {
                let public = anonymous_read && package.visibility == Visibility::Public;
                let version = find_version(view, &package, &which)?;
                let is_damaged = view.blob(&version.artifact.sha256)?.is_some_and(|blob| blob.damaged);
                Ok((version, public, is_damaged))
            });
            settle(found)
        };
        Ok(self.stores.metadata.read(Cost::Point, load).await??)
    }

    fn check_size(&self, file: &BlobFile, size: u64) -> Result<(), ServiceError> {
        if file.size() == size {
            return Ok(());
        }
        let sha256 = file.sha256();
        self.stores.blobs.suspect(sha256);
        Err(BlobError::Damaged { sha256 }.into())
    }

    /// Counts one download: an answer that holds the first byte.
    pub fn count(&self, download: &Download) {
        let (Some(counted), Ok(mut counts)) = (&download.counted, self.counts.lock()) else { return };
        if counts.len() < COUNTED_MAX || counts.contains_key(counted) {
            *counts.entry(counted.clone()).or_default() += 1;
        }
    }

    /// Records the downloads that were counted since the last time, in one transaction.
    ///
    /// # Errors
    /// That the store failed; these counts are then lost, as the contract allows.
    pub async fn flush_counts(&self) -> Result<(), ServiceError> {
        let counts = self.counts.lock().map(|mut counts| std::mem::take(&mut *counts)).unwrap_or_default();
        if counts.is_empty() {
            return Ok(());
        }
        let record = move |_: &View<'_>, _| {
            let add = |((package, version_key), count): (&(PackageName, Vec<u8>), &u64)| Change::AddDownloads {
                package: package.clone(),
                version_key: version_key.clone(),
                count: *count,
            };
            Ok(Decided { changes: counts.iter().map(add).collect(), answer: () })
        };
        Ok(self.stores.metadata.change(record).await?)
    }
}

/// The refusal for a digest that nothing the caller may read refers to, stored or not.
pub fn blob_not_found(digest: &Sha256) -> Refusal {
    let message = format!(
        "There are no bytes `{digest}` that your credentials show: check the digest, or send a token that may read them."
    );
    Refusal::new(Reason::BlobNotFound, message)
}

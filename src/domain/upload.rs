//! Resumable uploads: bytes that arrive in parts before they are published by name.

use super::digest::Sha256;
use super::id::Id;
use super::time::Timestamp;
use super::user::UserId;

/// The id of an upload.
pub type UploadId = Id;

/// How far an upload is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UploadState {
    /// Bytes may be appended.
    Open,
    /// Its digest was checked; it can be published.
    Complete,
}

/// An upload as it is kept; how many bytes it has is told by its file alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    /// Its id, which names its file too.
    pub id: UploadId,
    /// Whose it is; nobody else can see it. None: somebody local.
    pub owner: Option<UserId>,
    /// The size announced at creation.
    pub size: Option<u64>,
    /// The digest announced at creation, or proven by finishing.
    pub sha256: Option<Sha256>,
    /// Open or complete.
    pub state: UploadState,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it ends unless more bytes arrive.
    pub expires_at: Timestamp,
}

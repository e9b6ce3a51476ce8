//! Why a service could not do what it was asked.

use crate::domain::refusal::{Detail, Reason, Refusal};
use crate::storage::blobs::BlobError;
use crate::storage::leases::LeaseTimeout;
use crate::storage::{ChangeError, StoreError};

/// The failure of an operation; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The request was refused, with the reason and the text for its sender.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// Something broke that the sender can do nothing about; the chain is logged, the sender learns only that it broke.
    #[error("internal: {context}")]
    Internal {
        /// What was being done.
        context: &'static str,
        /// What broke.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ServiceError {
    /// A refusal without details.
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(reason, message))
    }

    /// Something that broke here.
    pub fn internal(context: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal { context, source: source.into() }
    }

    /// The refusal of anything that would need more room than there is.
    pub fn storage_full(limit_bytes: u64, free_bytes: u64) -> Self {
        let message = format!(
            "The registry's disk has {free_bytes} bytes free and keeps {limit_bytes} of them: try again once its operator has made room."
        );
        let detail = |field: &str, message: String, limit| Detail {
            field: field.to_owned(),
            reason: Reason::StorageFull,
            message,
            limit: Some(limit),
        };
        let refusal = Refusal::new(Reason::StorageFull, message)
            .with_detail(detail("limit_bytes", "bytes that stay free".to_owned(), limit_bytes))
            .with_detail(detail("free_bytes", "bytes that are free now".to_owned(), free_bytes));
        Self::Refused(refusal)
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::refused(
                Reason::Overloaded,
                "Too many writes are waiting; nothing was changed. Try again in a moment.",
            ),
            StoreError::Closed => {
                Self::refused(Reason::Draining, "The registry is stopping; nothing was changed. Try again in a moment.")
            }
            StoreError::ReadOnly => Self::refused(
                Reason::ReadOnly,
                "The registry takes no writes since one failed, and nothing was changed: tell its operator to look at the \
                 log and restart it.",
            ),
            StoreError::Full { free_bytes } => Self::storage_full(0, free_bytes),
            error @ (StoreError::Corrupt { .. }
            | StoreError::Newer { .. }
            | StoreError::Backend { .. }
            | StoreError::Panicked(_)) => Self::internal("using the store", error),
        }
    }
}

impl From<LeaseTimeout> for ServiceError {
    fn from(_: LeaseTimeout) -> Self {
        Self::refused(
            Reason::Overloaded,
            "The same bytes are being removed, which takes unusually long; nothing was changed. Try again in a moment.",
        )
    }
}

impl From<ChangeError> for ServiceError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(refusal) => Self::Refused(refusal),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<BlobError> for ServiceError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full { free_bytes } => Self::storage_full(0, free_bytes),
            BlobError::Busy => Self::refused(
                Reason::UploadBusy,
                "Somebody else writes to this upload right now: wait for that, then ask for its offset.",
            ),
            BlobError::Missing | BlobError::Damaged { .. } => Self::refused(
                Reason::ArtifactDamaged,
                "The stored bytes are damaged and were not sent: publish the same bytes again to heal them, or ask an admin.",
            ),
            error @ BlobError::Io { .. } => Self::internal("using the blob store", error),
        }
    }
}

//! Why a service could not do what it was asked.

use crate::domain::refusal::{Reason, Refusal};

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
}

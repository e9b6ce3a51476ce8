//! The bytes of an artifact on their way in, whichever way they came: as the raw body, or as a part.

use bytes::Bytes;
use hyper::HeaderMap;

use crate::domain::refusal::{Reason, Refusal};
use crate::services::publish::ByteSource;

use super::body::RequestBody;
use super::json_body::{body_refusal, check_coding, too_large};
use super::multipart::ArtifactPart;

/// Bytes to be stored; read them to their `None`.
pub enum ArtifactBody {
    /// The whole body of a PUT or PATCH.
    Raw(RequestBody),
    /// The part `artifact`.
    Part(Box<ArtifactPart>),
}

impl ArtifactBody {
    /// The raw body of a request, of any type or none.
    ///
    /// # Errors
    /// `artifact_too_large` by the announced length; `content_coding`.
    pub fn raw(headers: &HeaderMap, mut body: RequestBody, bytes_max: u64) -> Result<Self, Refusal> {
        if body.declared_len().is_some_and(|bytes| bytes > bytes_max) {
            return Err(too_large(Reason::ArtifactTooLarge, bytes_max));
        }
        check_coding(headers)?;
        body.set_limit(bytes_max);
        Ok(Self::Raw(body))
    }

    /// The count of bytes, if the client announced it.
    pub fn declared_len(&self) -> Option<u64> {
        match self {
            Self::Raw(body) => body.declared_len(),
            Self::Part(_) => None,
        }
    }
}

impl ByteSource for ArtifactBody {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        match self {
            Self::Raw(body) => body.next_chunk().await.map_err(|error| body_refusal(&error, Reason::ArtifactTooLarge)),
            Self::Part(part) => part.next_chunk().await,
        }
    }
}

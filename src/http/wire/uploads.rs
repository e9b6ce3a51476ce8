//! Resumable uploads on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::digest;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::upload::{self, UploadState};
use crate::services::uploads::{ArtifactName, UploadDetail};

/// An upload.
#[derive(Serialize, JsonSchema)]
pub struct Upload {
    /// Its id.
    pub id: String,
    /// How many bytes it has: where the next one goes.
    pub offset: u64,
    /// How many it will have, once that is known.
    pub size: Option<u64>,
    /// The digest that was announced, or proven by finishing.
    pub sha256: Option<String>,
    /// `open` or `complete`.
    pub state: &'static str,
    /// When it was begun.
    pub created_at: String,
    /// When it ends unless more bytes come.
    pub expires_at: String,
}

impl From<&UploadDetail> for Upload {
    fn from(detail: &UploadDetail) -> Self {
        let upload = &detail.upload;
        Self {
            id: upload.id.to_string(),
            offset: detail.offset,
            size: upload.size,
            sha256: upload.sha256.map(|digest| digest.to_hex()),
            state: match upload.state {
                UploadState::Open => "open",
                UploadState::Complete => "complete",
            },
            created_at: upload.created_at.to_string(),
            expires_at: upload.expires_at.to_string(),
        }
    }
}

/// What is known of an upload before it comes; `{}` will do.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUpload {
    size: Option<u64>,
    sha256: Option<String>,
}

impl TryFrom<NewUpload> for upload::NewUpload {
    type Error = Refusal;

    fn try_from(body: NewUpload) -> Result<Self, Refusal> {
        Ok(Self { size: body.size, sha256: body.sha256.map(|text| digest("sha256", &text)).transpose()? })
    }
}

/// What all bytes of an upload hash to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishUpload {
    /// 64 lower-case hex digits.
    pub sha256: String,
}

/// Bytes that are here already: exactly one of the two.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactRef {
    upload: Option<String>,
    sha256: Option<String>,
}

impl TryFrom<ArtifactRef> for ArtifactName {
    type Error = Refusal;

    fn try_from(body: ArtifactRef) -> Result<Self, Refusal> {
        match (body.upload, body.sha256) {
            (Some(id), None) => {
                // What is no id names no upload: the same answer as for an id that is unknown.
                let refuse = || {
                    let message = format!("There is no upload `{}`: check its id.", crate::domain::name::shown(&id));
                    Refusal::new(Reason::UploadNotFound, message)
                };
                crate::domain::id::Id::parse(&id).map(Self::Upload).ok_or_else(refuse)
            }
            (None, Some(text)) => digest("artifact.sha256", &text).map(Self::Sha256),
            (Some(_), Some(_)) | (None, None) => {
                let message = "`artifact` names its bytes by `upload` or by `sha256`: give exactly one of the two.";
                Err(Refusal::field(Reason::InvalidField, "artifact", message))
            }
        }
    }
}

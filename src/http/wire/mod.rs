//! The shapes of JSON on the wire: the envelope here, each resource in a module of its own.
//!
//! The only types that (de)serialise JSON. They hold no logic; a conversion from and to the domain stands beside each
//! type. An answer's types derive `Serialize`, a request's `Deserialize`, none both (their schemas would collide).

pub mod audit;
pub mod closure;
pub mod feed;
pub mod jobs;
pub mod members;
pub mod namespaces;
pub mod operations;
pub mod packages;
pub mod patch;
pub mod publish;
pub mod standing;
pub mod tokens;
pub mod uploads;
pub mod users;
pub mod versions;

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::digest::Sha256;
use crate::domain::name::shown;
use crate::domain::refusal::{Reason, Refusal};

/// What stands around the data of a success; `data` is already JSON text when the envelope is written.
///
/// Its schema is named after what it holds: `VersionReply`, `Array_of_VersionReply`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}Reply")]
pub struct Envelope<T> {
    /// Always true.
    pub ok: bool,
    /// What was asked for.
    pub data: T,
    /// What belongs to the answer rather than to the data.
    pub meta: Meta,
}

/// The `meta` of a success. Absent members have no meaning for this answer.
#[derive(Serialize, JsonSchema, Default, Clone, Debug)]
pub struct Meta {
    /// The request's id, unless the answer has an `ETag` (its bytes must stay the same; the header has the id).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What went well, but not quite as asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("default" = []))]
    pub warnings: Vec<Warning>,
    /// Which part of a list this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    /// What single routes add, such as `last` and `history` of the change feed.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// Something that the client should know, though it is no failure.
#[derive(Serialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The exact case, for programs.
    pub reason: &'static str,
    /// One sentence for people.
    pub message: String,
}

/// Which part of a list an answer is.
#[derive(Serialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Entries of a full page.
    pub limit: usize,
    /// The `cursor` of the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// The whole body of a failure.
#[derive(Serialize, JsonSchema)]
pub struct Failed {
    /// Always false.
    pub ok: bool,
    /// What was refused, and what to do.
    pub error: Problem,
    /// What belongs to the answer.
    pub meta: Meta,
}

/// Why a request failed.
#[derive(Serialize, JsonSchema)]
pub struct Problem {
    /// The coarse kind, in upper case.
    pub code: &'static str,
    /// The exact case; branch on this one.
    pub reason: &'static str,
    /// What was wrong and what to do, for people.
    pub message: String,
    /// The fields that were refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("default" = []))]
    pub details: Vec<ProblemDetail>,
}

/// One refused field.
#[derive(Serialize, JsonSchema)]
pub struct ProblemDetail {
    /// Its path in the request, such as `dependencies[3].req`.
    pub field: String,
    /// Why it was refused.
    pub reason: &'static str,
    /// What to do about it.
    pub message: String,
    /// The limit that it passed, in its unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// The digest in a field.
///
/// # Errors
/// `invalid_digest`, naming the field.
pub fn digest(field: &str, text: &str) -> Result<Sha256, Refusal> {
    Sha256::parse(text).ok_or_else(|| {
        let message = format!("`{}` is no SHA-256: give 64 lower-case hex digits.", shown(text));
        Refusal::field(Reason::InvalidDigest, field, message)
    })
}

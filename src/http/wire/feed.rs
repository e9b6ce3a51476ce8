//! The change feed, and how much there is, on the wire.

use schemars::JsonSchema;
use serde::Serialize;

use crate::services::changes::ChangeRecord;
use crate::services::stats;

/// One change. What does not apply to its type is left out.
#[derive(Serialize, JsonSchema)]
pub struct Change {
    /// Its place in its log, from 1.
    pub serial: u64,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub time: String,
    /// To which package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// To which namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The opaque id of the user who became an owner or is none any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// To which version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version's artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The artifact's bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl From<ChangeRecord> for Change {
    fn from(record: ChangeRecord) -> Self {
        let ChangeRecord { serial, kind, time, package, namespace, owner, version, sha256, size } = record;
        Self { serial, kind, time, package, namespace, owner, version, sha256, size }
    }
}

/// The last serial of each log.
#[derive(Serialize, JsonSchema)]
pub struct Serials {
    /// Of the public log.
    pub public: u64,
    /// Of the internal log.
    pub internal: u64,
}

/// How much there is.
#[derive(Serialize, JsonSchema)]
pub struct Stats {
    /// Packages, purged ones left out.
    pub packages: u64,
    /// Versions, purged ones left out.
    pub versions: u64,
    /// Users.
    pub users: u64,
    /// Tokens that were not revoked.
    pub tokens: u64,
    /// Blobs that something refers to.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Bytes that can still be written.
    pub disk_free_bytes: u64,
    /// How far the logs are.
    pub serial: Serials,
    /// When a backup was last finished.
    pub last_backup_at: Option<String>,
    /// When all bytes were last verified.
    pub last_verify_at: Option<String>,
    /// What does not work, though reads do.
    pub degraded: Vec<&'static str>,
}

impl From<stats::Stats> for Stats {
    fn from(stats: stats::Stats) -> Self {
        Self {
            packages: stats.packages,
            versions: stats.versions,
            users: stats.users,
            tokens: stats.tokens,
            blobs: stats.blobs,
            blob_bytes: stats.blob_bytes,
            disk_free_bytes: stats.disk_free_bytes,
            serial: Serials { public: stats.public_serial, internal: stats.internal_serial },
            last_backup_at: stats.last_backup_at.map(|at| at.to_string()),
            last_verify_at: stats.last_verify_at.map(|at| at.to_string()),
            degraded: stats.degraded,
        }
    }
}

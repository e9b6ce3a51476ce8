//! What the registry says about itself: liveness, readiness, the service document.

use schemars::JsonSchema;
use serde::Serialize;

/// The process lives.
#[derive(Serialize, JsonSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: &'static str,
    /// The version of the program.
    pub version: &'static str,
}

/// Whether the registry can do its work.
#[derive(Serialize, JsonSchema)]
pub struct Ready {
    /// `ready`, `degraded`, `recovering`, `draining` or `failed`.
    pub status: &'static str,
    /// What does not work, though reads do.
    pub degraded: Vec<&'static str>,
    /// The single checks; only with `?verbose`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<Check>>,
}

/// One check of readiness.
#[derive(Serialize, JsonSchema)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// `ok`, `warn` or `fail`.
    pub status: &'static str,
    /// What was found.
    pub message: String,
}

/// What this registry is and can do.
#[derive(Serialize, JsonSchema)]
pub struct Service {
    /// Always `vix-registry`.
    pub service: &'static str,
    /// The version of the program.
    pub version: &'static str,
    /// The versions of the contract that it speaks.
    pub api: Vec<&'static str>,
    /// Whether public packages may be read without a token.
    pub anonymous_read: bool,
    /// Whether people may log in with a password.
    pub login: bool,
    /// Whether nothing can be written now.
    pub read_only: bool,
    /// Who may claim a namespace: `first_use` or `admin`.
    pub namespace_claim: &'static str,
    /// Where the registry is reached from outside, if its operator said so.
    pub public_url: Option<String>,
    /// What it can do beyond the least.
    pub features: Vec<&'static str>,
    /// Its limits.
    pub limits: ServiceLimits,
}

/// Limits that clients should know.
#[derive(Serialize, JsonSchema)]
pub struct ServiceLimits {
    /// Largest artifact, in bytes.
    pub artifact_bytes_max: u64,
    /// Largest JSON body, in bytes.
    pub json_bytes_max: u64,
    /// Deepest nesting of JSON.
    pub json_depth_max: u32,
    /// Longest README, in bytes.
    pub readme_bytes_max: u64,
    /// Most entries of a page.
    pub page_max: u64,
    /// How long an upload lives after its last byte, in seconds.
    pub upload_ttl_s: u64,
}

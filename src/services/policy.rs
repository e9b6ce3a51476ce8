//! The rules and limits that an operator can set, as the services see them.

use std::path::PathBuf;

use crate::domain::create::ClaimPolicy;
use crate::domain::text::TextLimits;

/// Rules and limits; the command line fills them in from the configuration.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether public packages may be read without a token.
    pub anonymous_read: bool,
    /// Who may claim a namespace.
    pub claims: ClaimPolicy,
    /// Largest artifact, in bytes.
    pub artifact_bytes_max: u64,
    /// Longest README, in bytes.
    pub readme_bytes_max: u64,
    /// Longest manifest, in bytes.
    pub manifest_bytes_max: u64,
    /// Longest description, in bytes.
    pub description_bytes_max: u64,
    /// Longest text of a yank, a deprecation or a purge, in bytes.
    pub reason_bytes_max: u64,
    /// Most keywords.
    pub keywords_max: u64,
    /// Most dependencies of one version.
    pub dependencies_max: u64,
    /// Most roots of one closure.
    pub roots_max: u64,
    /// Deepest nesting of JSON.
    pub json_depth_max: u32,
    /// Free space below which nothing is taken in, in bytes.
    pub free_bytes_min: u64,
    /// For how long what nothing refers to any more is kept, in ticks: seconds in which a server ran.
    pub retention_ticks: u64,
    /// How long an upload lives after its last byte, in milliseconds.
    pub upload_ttl_ms: i64,
    /// Most open uploads of one user.
    pub uploads_per_user_max: usize,
    /// How often counted downloads and uses of tokens are written down, in milliseconds.
    pub flush_interval_ms: u64,
    /// Longest life that a login token may give to another, in milliseconds; none: any.
    pub token_expires_max_ms: Option<i64>,
    /// The folder in which backups are made that are asked for over the API; none: there are none.
    pub backup_dir: Option<PathBuf>,
    /// Whether people may log in with a password.
    pub login: bool,
    /// How long a login token lives, in milliseconds.
    pub login_ttl_ms: i64,
    /// How many passwords are checked at once.
    pub login_concurrency: usize,
    /// Failed logins of one name or address within the window, after which more are refused.
    pub login_failures_max: u32,
    /// That window, in milliseconds.
    pub login_window_ms: i64,
}

impl Policy {
    /// The limits of texts that people give.
    pub const fn text_limits(&self) -> TextLimits {
        TextLimits {
            description_bytes_max: self.description_bytes_max,
            reason_bytes_max: self.reason_bytes_max,
            keywords_max: self.keywords_max,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        const HOUR_MS: i64 = 3_600_000;
        Self {
            anonymous_read: true,
            claims: ClaimPolicy::FirstUse,
            artifact_bytes_max: 1 << 30,
            readme_bytes_max: 256 << 10,
            manifest_bytes_max: 64 << 10,
            description_bytes_max: 1 << 10,
            reason_bytes_max: 512,
            keywords_max: 64,
            dependencies_max: 512,
            roots_max: 1000,
            json_depth_max: 32,
            free_bytes_min: 64 << 20,
            retention_ticks: 24 * 3600,
            upload_ttl_ms: 24 * HOUR_MS,
            uploads_per_user_max: 32,
            flush_interval_ms: 60_000,
            token_expires_max_ms: None,
            backup_dir: None,
            login: true,
            login_ttl_ms: 12 * HOUR_MS,
            login_concurrency: 2,
            login_failures_max: 10,
            login_window_ms: 60_000,
        }
    }
}

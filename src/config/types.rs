//! The typed configuration: what the rest of the program is given.
//!
//! One field for each key of `KEYS`, grouped as the keys are. It has no defaults of its own: they stand
//! in the table, and only loading builds one.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::network::Network;
use crate::telemetry::{Format, Level};

/// Every value that can be configured, checked and in its final type.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// The origin that clients reach the server under (`https://host[:port]`, no slash behind); links begin with it.
    pub public_url: Option<String>,
    /// Whether public packages can be read without a token.
    pub anonymous_read: bool,
    /// A file with the first admin's token (or its `sha256:<hex>`).
    pub admin_token_file: Option<PathBuf>,
    /// The listener, its timers and whom it believes.
    pub http: Http,
    /// What bounds a single request or resource.
    pub limits: Limits,
    /// Namespaces.
    pub namespaces: Namespaces,
    /// Cross-origin reading by browsers.
    pub cors: Cors,
    /// Resumable uploads.
    pub uploads: Uploads,
    /// Tokens of kind `token`.
    pub tokens: Tokens,
    /// Login by password.
    pub login: Login,
    /// The store.
    pub storage: Storage,
    /// Backups that are asked for over the API.
    pub backup: Backup,
    /// Download counts.
    pub downloads: Downloads,
    /// What is logged and how.
    pub log: Log,
}

/// The listener, its timers and whom it believes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Http {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// How many connections may be open at once.
    pub connections_max: usize,
    /// How long a new connection may stay silent.
    pub first_byte_timeout: Duration,
    /// How long the head of a request may take from its first byte.
    pub header_timeout: Duration,
    /// How long a connection may rest between requests.
    pub idle_timeout: Duration,
    /// The slowest body that is waited for, in bytes a second over [`Http::body_rate_window`].
    pub body_rate_min: u64,
    /// What [`Http::body_rate_min`] is averaged over.
    pub body_rate_window: Duration,
    /// How long the server may take to answer, the transfer of bodies not counted.
    pub request_timeout: Duration,
    /// How long open requests may take to finish after SIGTERM.
    pub shutdown_timeout: Duration,
    /// Peers whose forwarded headers count.
    pub trusted_proxies: Vec<Network>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            connections_max: 0,
            first_byte_timeout: Duration::ZERO,
            header_timeout: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            body_rate_min: 0,
            body_rate_window: Duration::ZERO,
            request_timeout: Duration::ZERO,
            shutdown_timeout: Duration::ZERO,
            trusted_proxies: Vec::new(),
        }
    }
}

/// What bounds a single request or resource. Sizes are bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// The largest artifact.
    pub artifact_bytes: u64,
    /// The largest JSON body.
    pub json_bytes: u64,
    /// The deepest nesting of a JSON body.
    pub json_depth: usize,
    /// All header fields of a request together.
    pub header_bytes: u64,
    /// The number of header fields of a request.
    pub header_count: usize,
    /// The request target.
    pub uri_bytes: u64,
    /// A version's readme.
    pub readme_bytes: u64,
    /// A version's manifest.
    pub manifest_bytes: u64,
    /// A package's or version's description.
    pub description_bytes: u64,
    /// The text of a yank, a deprecation or a purge.
    pub reason_bytes: u64,
    /// Keywords of a package or version.
    pub keywords: usize,
    /// Dependencies of a version.
    pub dependencies: usize,
    /// Roots of one `POST /v1/resolve`.
    pub resolve_roots: usize,
}

/// Namespaces.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Namespaces {
    /// Who may claim an unclaimed one.
    pub claim: NamespaceClaim,
}

/// Who may claim an unclaimed namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NamespaceClaim {
    /// Whoever asks first.
    #[default]
    FirstUse,
    /// Admins alone.
    Admin,
}

/// Cross-origin reading by browsers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cors {
    /// Origins as browsers send them: lower case, no default port, no slash at the end.
    pub origins: Vec<String>,
}

/// Resumable uploads.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Uploads {
    /// How long an upload lives after its last byte.
    pub ttl: Duration,
    /// How many a user may have open.
    pub per_user: usize,
}

/// Tokens of kind `token`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tokens {
    /// The longest life that a new token may have; `None`: no bound, and tokens without an end are allowed.
    pub expires_max: Option<Duration>,
}

/// Login by password.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Login {
    /// Whether `POST /v1/login` is served.
    pub enabled: bool,
    /// How long a login token lives.
    pub token_ttl: Duration,
    /// How many password hashes (about 19 MiB of memory each) are computed at once.
    pub concurrency: usize,
    /// How many failures are allowed within [`Login::failures_window`].
    pub failures_max: usize,
    /// What [`Login::failures_max`] is counted over.
    pub failures_window: Duration,
}

/// The store.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Storage {
    /// The database's page cache, in bytes.
    pub cache_bytes: u64,
    /// How many writes may wait for the writer.
    pub queue: usize,
    /// Free bytes on the data directory's file system below which publishing stops.
    pub free_bytes_min: u64,
    /// How long what was superseded or dropped is kept, in time that a server ran.
    pub retention: Duration,
    /// The least bytes of a log before a new one is begun.
    pub rotate_bytes: u64,
    /// Bytes of the journal above which the retention is cut short.
    pub journal_bytes_max: u64,
}

/// Backups that are asked for over the API.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Backup {
    /// The folder that they are made in; none: there are no such backups.
    pub dir: Option<PathBuf>,
}

/// Download counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Downloads {
    /// How often counts are written down.
    pub flush_interval: Duration,
}

/// What is logged and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Log {
    /// The least important level that is logged.
    pub level: Level,
    /// The shape of a log line.
    pub format: Format,
}

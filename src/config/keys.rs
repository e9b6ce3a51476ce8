//! THE table of what can be configured. A key that is not here does not exist; one that is here is read by somebody.
//!
//! Flags, environment, files, `config show`, the JSON Schema, the sample file and `docs/configuration.md` all follow
//! from it.

use std::time::Duration;

use super::kind::Kind;

/// What the environment variables of all keys begin with.
pub const ENV_PREFIX: &str = "VIX_REGISTRY_";

/// One setting.
pub struct Key {
    /// Its dotted name, such as `http.listen`.
    pub name: &'static str,
    /// What it is when nobody sets it, as one would write it.
    pub default: &'static str,
    /// What it takes and the field that it sets.
    pub kind: Kind,
    /// What it does, in one line.
    pub doc: &'static str,
}

impl Key {
    /// The key of that exact name.
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// The environment variable that sets it, such as `VIX_REGISTRY_HTTP_LISTEN`.
    pub fn env(&self) -> String {
        format!("{ENV_PREFIX}{}", self.name.replace('.', "_").to_ascii_uppercase())
    }

    /// The section and the name within it; the section of a top-level key is empty.
    pub fn split(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("", self.name))
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;
const TICK: Duration = Duration::from_millis(10);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);
const YEARS_10: Duration = Duration::from_hours(3_650 * 24);
const CENTURY: Duration = Duration::from_hours(36_500 * 24);
const MINUTES_10: Duration = Duration::from_mins(10);

/// Sections in the order of [`KEYS`], each with its heading.
pub const SECTIONS: &[(&str, &str)] = &[
    ("", "General"),
    ("http", "Listener, timers, proxies"),
    ("limits", "Limits of one request or resource"),
    ("namespaces", "Namespaces"),
    ("cors", "Reading by pages of other origins"),
    ("uploads", "Resumable uploads"),
    ("tokens", "Tokens"),
    ("login", "Login by password"),
    ("storage", "Store"),
    ("backup", "Backups asked for over the API"),
    ("downloads", "Download counts"),
    ("log", "Log"),
];

const fn key(name: &'static str, default: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, default, kind, doc }
}

/// Every key, grouped by section.
pub static KEYS: &[Key] = &[
    key(
        "data",
        "./reg",
        Kind::Path(|c| &mut c.data),
        "The data directory; a relative path in a file starts at the file's own directory.",
    ),
    key(
        "public_url",
        "none",
        Kind::Origin(|c| &mut c.public_url),
        "The origin that clients reach the server under; with it links are absolute, without it relative.",
    ),
    key(
        "anonymous_read",
        "true",
        Kind::Bool(|c| &mut c.anonymous_read),
        "Whether public packages can be read without a token.",
    ),
    key(
        "admin_token_file",
        "none",
        Kind::OptionalPath(|c| &mut c.admin_token_file),
        "A file with the token of the user `admin`, raw or as `sha256:<hex>`; default: the credential `admin-token`.",
    ),
    key(
        "http.listen",
        "127.0.0.1:8080",
        Kind::Address(|c| &mut c.http.listen),
        "Where to listen; port 0 picks a free one.",
    ),
    key(
        "http.connections_max",
        "1024",
        Kind::Count(1..=1_000_000, |c| &mut c.http.connections_max),
        "How many connections may be open at once.",
    ),
    key(
        "http.first_byte_timeout",
        "10 s",
        Kind::Duration(TICK..=MINUTES_10, |c| &mut c.http.first_byte_timeout),
        "How long a new connection may stay silent.",
    ),
    key(
        "http.header_timeout",
        "10 s",
        Kind::Duration(TICK..=MINUTES_10, |c| &mut c.http.header_timeout),
        "How long the head of a request may take from its first byte.",
    ),
    key(
        "http.idle_timeout",
        "60 s",
        Kind::Duration(TICK..=HOUR, |c| &mut c.http.idle_timeout),
        "How long a connection may rest between requests.",
    ),
    key(
        "http.body_rate_min",
        "1 KiB/s",
        Kind::Rate(0..=1024 * MIB, |c| &mut c.http.body_rate_min),
        "The slowest request body that is waited for, averaged over `http.body_rate_window`; 0 waits for any.",
    ),
    key(
        "http.body_rate_window",
        "30 s",
        Kind::Duration(TICK..=MINUTES_10, |c| &mut c.http.body_rate_window),
        "What `http.body_rate_min` is averaged over.",
    ),
    key(
        "http.request_timeout",
        "30 s",
        Kind::Duration(TICK..=MINUTES_10, |c| &mut c.http.request_timeout),
        "How long the server may work on an answer; the transfer of bodies does not count.",
    ),
    key(
        "http.shutdown_timeout",
        "30 s",
        Kind::Duration(Duration::ZERO..=HOUR, |c| &mut c.http.shutdown_timeout),
        "How long open requests may take to finish after SIGTERM.",
    ),
    key(
        "http.trusted_proxies",
        "none",
        Kind::Networks(|c| &mut c.http.trusted_proxies),
        "Networks of the proxies whose forwarded headers count.",
    ),
    key(
        "limits.artifact_bytes",
        "1 GiB",
        Kind::Bytes(1..=16 * TIB, |c| &mut c.limits.artifact_bytes),
        "The largest artifact.",
    ),
    key(
        "limits.json_bytes",
        "1 MiB",
        Kind::Bytes(256..=64 * MIB, |c| &mut c.limits.json_bytes),
        "The largest JSON body.",
    ),
    key(
        "limits.json_depth",
        "32",
        Kind::Count(4..=120, |c| &mut c.limits.json_depth),
        "The deepest nesting of a JSON body.",
    ),
    key(
        "limits.header_bytes",
        "16 KiB",
        Kind::Bytes(512..=256 * KIB, |c| &mut c.limits.header_bytes),
        "All header fields of a request together.",
    ),
    key(
        "limits.header_count",
        "100",
        Kind::Count(16..=1000, |c| &mut c.limits.header_count),
        "The number of header fields of a request.",
    ),
    key(
        "limits.uri_bytes",
        "8 KiB",
        Kind::Bytes(128..=60 * KIB, |c| &mut c.limits.uri_bytes),
        "The request target, path and query.",
    ),
    key(
        "limits.readme_bytes",
        "256 KiB",
        Kind::Bytes(1..=16 * MIB, |c| &mut c.limits.readme_bytes),
        "A version's readme.",
    ),
    key(
        "limits.manifest_bytes",
        "64 KiB",
        Kind::Bytes(1..=16 * MIB, |c| &mut c.limits.manifest_bytes),
        "A version's manifest.",
    ),
    key(
        "limits.description_bytes",
        "1 KiB",
        Kind::Bytes(1..=64 * KIB, |c| &mut c.limits.description_bytes),
        "The description of a package or version.",
    ),
    key(
        "limits.reason_bytes",
        "512 B",
        Kind::Bytes(1..=64 * KIB, |c| &mut c.limits.reason_bytes),
        "The text of a yank, a deprecation or a purge.",
    ),
    key(
        "limits.keywords",
        "64",
        Kind::Count(0..=1024, |c| &mut c.limits.keywords),
        "Keywords of a package or version.",
    ),
    key(
        "limits.dependencies",
        "512",
        Kind::Count(0..=10_000, |c| &mut c.limits.dependencies),
        "Dependencies of a version.",
    ),
    key(
        "limits.resolve_roots",
        "1000",
        Kind::Count(1..=10_000, |c| &mut c.limits.resolve_roots),
        "Roots of one `POST /v1/resolve`.",
    ),
    key(
        "namespaces.claim",
        "first_use",
        Kind::Choice(|c| &mut c.namespaces.claim),
        "Who may claim an unclaimed namespace: whoever asks first, or admins alone.",
    ),
    key(
        "cors.origins",
        "none",
        Kind::Origins(|c| &mut c.cors.origins),
        "Origins whose pages may read with GET and HEAD.",
    ),
    key(
        "uploads.ttl",
        "24 h",
        Kind::Duration(SECOND..=YEAR, |c| &mut c.uploads.ttl),
        "How long an unfinished upload lives after its last byte.",
    ),
    key(
        "uploads.per_user",
        "32",
        Kind::Count(1..=10_000, |c| &mut c.uploads.per_user),
        "How many uploads a user may have open.",
    ),
    key(
        "tokens.expires_max",
        "none",
        Kind::OptionalDuration(SECOND..=CENTURY, |c| &mut c.tokens.expires_max),
        "The longest life of a new token; `none` allows tokens without an end.",
    ),
    key("login.enabled", "true", Kind::Bool(|c| &mut c.login.enabled), "Whether users can log in with a password."),
    key(
        "login.token_ttl",
        "12 h",
        Kind::Duration(SECOND..=YEAR, |c| &mut c.login.token_ttl),
        "How long a login lasts.",
    ),
    key(
        "login.concurrency",
        "2",
        Kind::Count(1..=64, |c| &mut c.login.concurrency),
        "How many passwords are checked at once; each takes about 19 MiB of memory.",
    ),
    key(
        "login.failures_max",
        "10",
        Kind::Count(1..=100_000, |c| &mut c.login.failures_max),
        "How many failed logins are let through within `login.failures_window`.",
    ),
    key(
        "login.failures_window",
        "5 min",
        Kind::Duration(TICK..=DAY, |c| &mut c.login.failures_window),
        "What `login.failures_max` is counted over.",
    ),
    key(
        "storage.cache_bytes",
        "32 MiB",
        Kind::Bytes(MIB..=TIB, |c| &mut c.storage.cache_bytes),
        "Memory for the database's page cache.",
    ),
    key(
        "storage.queue",
        "1024",
        Kind::Count(1..=65_536, |c| &mut c.storage.queue),
        "How many writes may wait for the writer; more are answered 503.",
    ),
    key(
        "storage.free_bytes_min",
        "64 MiB",
        Kind::Bytes(0..=TIB, |c| &mut c.storage.free_bytes_min),
        "Free space on the data directory's disk below which publishing stops (507).",
    ),
    key(
        "storage.retention",
        "24 h",
        Kind::Duration(SECOND..=YEARS_10, |c| &mut c.storage.retention),
        "How long what was superseded or dropped is kept, in time that a server ran; a copy has to take less.",
    ),
    key(
        "storage.rotate_bytes",
        "16 MiB",
        Kind::Bytes(4 * KIB..=TIB, |c| &mut c.storage.rotate_bytes),
        "How large a log of the journal grows, if the last snapshot is not larger, before a new one is begun.",
    ),
    key(
        "storage.journal_bytes_max",
        "16 GiB",
        Kind::Bytes(MIB..=1024 * TIB, |c| &mut c.storage.journal_bytes_max),
        "Bytes of the journal above which `storage.retention` is cut short, though never to less than an hour.",
    ),
    key(
        "backup.dir",
        "none",
        Kind::OptionalPath(|c| &mut c.backup.dir),
        "The folder in which `POST /v1/admin/backup` makes backups; without one it makes none.",
    ),
    key(
        "downloads.flush_interval",
        "60 s",
        Kind::Duration(TICK..=HOUR, |c| &mut c.downloads.flush_interval),
        "How often download counts are written down.",
    ),
    key(
        "log.level",
        "info",
        Kind::Choice(|c| &mut c.log.level),
        "The least important level that is logged; requests are logged at `info`, failed ones (5xx) at `warn`.",
    ),
    key(
        "log.format",
        "auto",
        Kind::Choice(|c| &mut c.log.format),
        "Shape of log lines: `auto` is text on a terminal and JSON elsewhere.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_variables_are_unique_and_well_formed() {
        let names: BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
        let variables: BTreeSet<_> = KEYS.iter().map(Key::env).collect();
        assert_eq!((names.len(), variables.len()), (KEYS.len(), KEYS.len()));
        for key in KEYS {
            assert!(key.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.'), "{}", key.name);
            assert!(
                key.name.matches('.').count() <= 1 && key.doc.ends_with('.') && !key.doc.contains('|'),
                "{}",
                key.name
            );
        }
        assert_eq!(Key::find("http.listen").map(Key::env).as_deref(), Some("VIX_REGISTRY_HTTP_LISTEN"));
    }

    #[test]
    fn keys_stand_in_the_order_of_their_sections() {
        let place = |key: &Key| SECTIONS.iter().position(|(name, _)| *name == key.split().0);
        let places: Vec<_> = KEYS.iter().map(|key| place(key).expect(key.name)).collect();
        assert!(places.is_sorted());
        assert_eq!(places.into_iter().collect::<BTreeSet<_>>().len(), SECTIONS.len(), "no section is empty");
    }
}

//! Names that configurations of earlier registries use: understood, with a warning that tells the present name.

use super::keys::ENV_PREFIX;

/// One earlier name.
pub struct Alias {
    /// The name as earlier files have it.
    pub name: &'static str,
    /// What it stands for.
    pub meaning: Meaning,
    /// What to write in its place, for people.
    pub instead: &'static str,
}

/// What an earlier name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning {
    /// The same as this key.
    Key(&'static str),
    /// This key, in milliseconds.
    Milliseconds(&'static str),
    /// The port alone of `http.listen`.
    ListenPort,
    /// A word that was a choice once; only `redb` is left of it.
    StorageBackend,
    /// The directory of artifacts, which is always `blobs` in the data directory.
    ArtifactsDir,
}

/// Every earlier name.
pub const ALIASES: &[Alias] = &[
    Alias { name: "port", meaning: Meaning::ListenPort, instead: "`http.listen` (address and port)" },
    Alias { name: "log_level", meaning: Meaning::Key("log.level"), instead: "`log.level`" },
    Alias {
        name: "request_timeout_ms",
        meaning: Meaning::Milliseconds("http.request_timeout"),
        instead: "`http.request_timeout` (with a unit)",
    },
    Alias {
        name: "max_body_bytes",
        meaning: Meaning::Key("limits.artifact_bytes"),
        instead: "`limits.artifact_bytes`",
    },
    Alias { name: "storage_backend", meaning: Meaning::StorageBackend, instead: "nothing: the store is always `redb`" },
    Alias {
        name: "artifacts_dir",
        meaning: Meaning::ArtifactsDir,
        instead: "nothing: artifacts are always in `blobs` of the data directory",
    },
];

impl Alias {
    /// The alias of that exact name.
    pub fn find(name: &str) -> Option<&'static Self> {
        ALIASES.iter().find(|alias| alias.name == name)
    }

    /// Its environment variable.
    pub fn env(&self) -> String {
        format!("{ENV_PREFIX}{}", self.name.to_ascii_uppercase())
    }
}

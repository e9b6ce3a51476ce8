//! The event log's entries: every public fact, as the exact bytes that are hashed.
//!
//! There are two logs. A package lives in one of them at a time: flipping its visibility ends it in the one
//! (`package.hidden`) and announces it again, whole, in the other. Texts are not in events, or go by hash; people are
//! opaque ids, so that erasing a person never rewrites the log.

use super::digest::Sha256;
use super::id::Id;
use super::name::{NamespaceName, PackageName};
use super::package::Visibility;
use super::time::Timestamp;
use super::version::VersionNumber;

/// Longest entry that a log may hold, in bytes (the limit of C2SP tlog-tiles entry bundles).
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// One of the two logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Log {
    /// What anonymous callers may follow.
    Public,
    /// Private packages, for those who may read them.
    Internal,
}

impl Log {
    /// Both logs.
    pub const ALL: [Self; 2] = [Self::Public, Self::Internal];

    /// The log's name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
        }
    }

    /// The log in which packages of this visibility live.
    pub const fn of(visibility: Visibility) -> Self {
        match visibility {
            Visibility::Public => Self::Public,
            Visibility::Private => Self::Internal,
        }
    }
}

/// What an owner belongs to, in an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Owned {
    /// One package.
    Package(PackageName),
    /// A namespace.
    Namespace(NamespaceName),
}

/// What happened; a closed list, only ever added to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    /// The first entry of a log: it names the history that the log belongs to.
    LogOpened {
        /// The random id of this data directory's history.
        history: Id,
    },
    /// A package was made, or announced again in this log.
    PackageCreated {
        /// Which.
        package: PackageName,
    },
    /// A package's own fields changed; the texts are not in the log.
    PackageUpdated {
        /// Which.
        package: PackageName,
        /// SHA-256 of the deprecation's text, while it is deprecated.
        deprecated: Option<Sha256>,
    },
    /// The package is not in this log from here on.
    PackageHidden {
        /// Which.
        package: PackageName,
    },
    /// An admin purged the package and all of its versions; also ends a package that is deleted.
    PackagePurged {
        /// Which.
        package: PackageName,
    },
    /// A version was published.
    VersionPublished {
        /// Of which package.
        package: PackageName,
        /// Its number.
        version: VersionNumber,
        /// Its artifact.
        sha256: Sha256,
        /// The artifact's bytes.
        size: u64,
        /// SHA-256 of its dependencies in their canonical text ([`super::publish::dependencies_digest`]).
        dependencies: Sha256,
    },
    /// A version was yanked.
    VersionYanked {
        /// Of which package.
        package: PackageName,
        /// Its number.
        version: VersionNumber,
    },
    /// A yank was taken back.
    VersionUnyanked {
        /// Of which package.
        package: PackageName,
        /// Its number.
        version: VersionNumber,
    },
    /// A version's deprecation was set (with its text's hash) or taken back (without).
    VersionDeprecated {
        /// Of which package.
        package: PackageName,
        /// Its number.
        version: VersionNumber,
        /// SHA-256 of the text; none when it was taken back.
        message: Option<Sha256>,
    },
    /// A version was purged.
    VersionPurged {
        /// Of which package.
        package: PackageName,
        /// Its number.
        version: VersionNumber,
        /// The artifact that is no longer served.
        sha256: Sha256,
        /// The artifact's bytes.
        size: u64,
    },
    /// Somebody became an owner.
    OwnerAdded {
        /// Of what.
        of: Owned,
        /// The user's opaque id.
        owner: Id,
    },
    /// Somebody is no longer an owner.
    OwnerRemoved {
        /// Of what.
        of: Owned,
        /// The user's opaque id.
        owner: Id,
    },
    /// A namespace was claimed.
    NamespaceCreated {
        /// Which.
        namespace: NamespaceName,
    },
}

/// One entry of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Which log it goes into.
    pub log: Log,
    /// When it happened; a package that is announced again keeps its original times.
    pub time: Timestamp,
    /// What happened.
    pub fact: Fact,
}

impl Fact {
    /// The `type` of the change feed.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::LogOpened { .. } => "log.opened",
            Self::PackageCreated { .. } => "package.created",
            Self::PackageUpdated { .. } => "package.updated",
            Self::PackageHidden { .. } => "package.hidden",
            Self::PackagePurged { .. } => "package.purged",
            Self::VersionPublished { .. } => "version.published",
            Self::VersionYanked { .. } => "version.yanked",
            Self::VersionUnyanked { .. } => "version.unyanked",
            Self::VersionDeprecated { .. } => "version.deprecated",
            Self::VersionPurged { .. } => "version.purged",
            Self::OwnerAdded { .. } => "owner.added",
            Self::OwnerRemoved { .. } => "owner.removed",
            Self::NamespaceCreated { .. } => "namespace.created",
        }
    }
}

impl Event {
    /// The entry's exact bytes: compact JSON with the keys in a fixed order. These bytes are stored, hashed and served.
    ///
    /// Every value is of a type whose text needs no JSON escape (names, versions, digests, ids, times).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{{\"v\":1,\"type\":\"{}\",\"time\":\"{}\"", self.fact.type_name(), self.time);
        let mut field = |key: &str, value: &dyn std::fmt::Display| {
            text.extend([",\"", key, "\":\"", &value.to_string(), "\""]);
        };
        match &self.fact {
            Fact::LogOpened { history } => {
                field("log", &self.log.as_str());
                field("history", history);
            }
            Fact::PackageCreated { package } | Fact::PackageHidden { package } | Fact::PackagePurged { package } => {
                field("package", package);
            }
            Fact::PackageUpdated { package, deprecated } => {
                field("package", package);
                if let Some(digest) = deprecated {
                    field("deprecated", digest);
                }
            }
            Fact::VersionYanked { package, version } | Fact::VersionUnyanked { package, version } => {
                field("package", package);
                field("version", version);
            }
            Fact::VersionDeprecated { package, version, message } => {
                field("package", package);
                field("version", version);
                if let Some(digest) = message {
                    field("message", digest);
                }
            }
            Fact::VersionPublished { package, version, sha256, size, dependencies } => {
                field("package", package);
                field("version", version);
                field("sha256", sha256);
                field("dependencies", dependencies);
                text.extend([",\"size\":", &size.to_string()]);
            }
            Fact::VersionPurged { package, version, sha256, size } => {
                field("package", package);
                field("version", version);
                field("sha256", sha256);
                text.extend([",\"size\":", &size.to_string()]);
            }
            Fact::OwnerAdded { of, owner } | Fact::OwnerRemoved { of, owner } => {
                match of {
                    Owned::Package(package) => field("package", package),
                    Owned::Namespace(namespace) => field("namespace", namespace),
                }
                field("owner", owner);
            }
            Fact::NamespaceCreated { namespace } => field("namespace", namespace),
        }
        text.push('}');
        text.into_bytes()
    }
}

/// The Merkle leaf hash of an entry: SHA-256 of a zero byte and the entry (RFC 6962, section 2.1).
pub fn leaf_hash(entry: &[u8]) -> Sha256 {
    let mut prefixed = Vec::with_capacity(entry.len() + 1);
    prefixed.push(0);
    prefixed.extend_from_slice(entry);
    Sha256::of(&prefixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_compact_json_in_a_fixed_order() {
        let event = Event {
            log: Log::Public,
            time: Timestamp(0),
            fact: Fact::VersionPurged {
                package: PackageName::parse("gk/jwt").unwrap(),
                version: VersionNumber::parse("1.0.0+b").unwrap(),
                sha256: Sha256::of(b""),
                size: 7,
            },
        };
        let expected = format!(
            "{{\"v\":1,\"type\":\"version.purged\",\"time\":\"1970-01-01T00:00:00.000Z\",\"package\":\"gk/jwt\",\
             \"version\":\"1.0.0+b\",\"sha256\":\"{}\",\"size\":7}}",
            Sha256::of(b"")
        );
        assert_eq!(String::from_utf8(event.to_bytes()).unwrap(), expected);
    }

    #[test]
    fn the_empty_leaf_is_the_one_of_rfc_6962() {
        let expected = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(leaf_hash(b"").to_hex(), expected);
    }
}

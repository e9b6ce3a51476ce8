//! Packages, their namespaces, members and versions, as the registry keeps them.

use std::collections::BTreeMap;

use super::digest::Sha256;
use super::name::{NamespaceName, PackageName};
use super::time::Timestamp;
use super::user::UserId;
use super::version::VersionNumber;

/// Who may read a package.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visibility {
    /// Everybody (or everybody with a token, where anonymous reading is off).
    Public,
    /// Its members and those of its namespace.
    Private,
}

impl Visibility {
    /// The word used in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }

    /// The inverse of [`Visibility::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "public" => Some(Self::Public),
            "private" => Some(Self::Private),
            _ => None,
        }
    }
}

/// What a member may do; each role includes the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Reads a private package.
    Reader,
    /// Publishes, yanks and deprecates.
    Publisher,
    /// Governs and publishes.
    Owner,
}

impl Role {
    /// The word used in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Publisher => "publisher",
            Self::Owner => "owner",
        }
    }

    /// The inverse of [`Role::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Reader, Self::Publisher, Self::Owner].into_iter().find(|role| role.as_str() == text)
    }
}

/// A user's membership of a package or a namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// As what.
    pub role: Role,
    /// Since when, in this role.
    pub since: Timestamp,
}

/// What members belong to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum MemberOf {
    /// One package.
    Package(PackageName),
    /// A namespace, for all of its packages.
    Namespace(NamespaceName),
}

/// A namespace as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Namespace {
    /// Its name.
    pub name: NamespaceName,
    /// What it is for, in at most 1 KiB.
    pub description: Option<String>,
    /// What a package made without a visibility gets.
    pub default_visibility: Visibility,
    /// Whether a package was ever made in it, after which it can't be deleted.
    pub held_package: bool,
    /// When it was claimed.
    pub created_at: Timestamp,
}

/// Why a package or version should not be used any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deprecation {
    /// What users should know, in at most 512 bytes.
    pub message: String,
    /// The package to use instead.
    pub replaced_by: Option<PackageName>,
    /// When it was said.
    pub at: Timestamp,
}

/// Web addresses by kind: `homepage repository documentation issues changelog`.
pub type Links = BTreeMap<String, String>;

/// The descriptive fields that a package and each of its versions have.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Description {
    /// One paragraph of plain text.
    pub description: Option<String>,
    /// An SPDX expression or a name.
    pub license: Option<String>,
    /// `None` when nobody gave any.
    pub keywords: Option<Vec<String>>,
    /// `None` when nobody gave any.
    pub links: Option<Links>,
}

/// A package as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Package {
    /// Its name, which never changes.
    pub name: PackageName,
    /// Who may read it.
    pub visibility: Visibility,
    /// What was set on the package itself; what was not follows its `latest` version.
    pub about: Description,
    /// Set when the whole package is deprecated.
    pub deprecated: Option<Deprecation>,
    /// Set when an admin purged the package; it answers 410 from then on.
    pub purged_at: Option<Timestamp>,
    /// Whether a version was ever published, after which it can't be deleted.
    pub published: bool,
    /// How many versions it has, tombstones left out.
    pub version_count: u64,
    /// The version that `latest` names now, if there is one.
    pub latest: Option<VersionNumber>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When anything about it changed last.
    pub updated_at: Timestamp,
}

/// When a dependency is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DependencyKind {
    /// To use the package.
    Normal,
    /// To test or develop it.
    Dev,
    /// To build it.
    Build,
}

impl DependencyKind {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Dev => "dev",
            Self::Build => "build",
        }
    }

    /// The inverse of [`DependencyKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Normal, Self::Dev, Self::Build].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One dependency of a version. The requirement is kept as it was written, and was parsed once to be sure of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dependency {
    /// The package that is needed.
    pub name: PackageName,
    /// Which versions of it will do.
    pub req: String,
    /// When it is needed.
    pub kind: DependencyKind,
    /// Whether it can be left out.
    pub optional: bool,
}

/// The bytes of a version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Artifact {
    /// Their SHA-256: the identity.
    pub sha256: Sha256,
    /// How many bytes.
    pub size: u64,
    /// The name under which they are downloaded.
    pub filename: String,
    /// What the first bytes say they are.
    pub media_type: String,
}

/// That a version was withdrawn from new resolutions; it stays downloadable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Yank {
    /// Why, in at most 512 bytes.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// That a version was purged: its bytes are gone, its number stays used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tombstone {
    /// Why, as the admin put it.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A published version as it is kept, its dependencies left out (they are a row of their own).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// Its number, build metadata included.
    pub number: VersionNumber,
    /// Its bytes. A tombstone keeps digest and size, for the log.
    pub artifact: Artifact,
    /// Its own descriptive fields.
    pub about: Description,
    /// The blob that holds its manifest, compact JSON.
    pub manifest: Option<Sha256>,
    /// The blob that holds its README.
    pub readme: Option<Sha256>,
    /// Set while it is yanked.
    pub yank: Option<Yank>,
    /// Set while it is deprecated.
    pub deprecated: Option<Deprecation>,
    /// Set for good once it was purged.
    pub purged: Option<Tombstone>,
    /// When it was published.
    pub published_at: Timestamp,
    /// By whom; none when somebody local did.
    pub published_by: Option<UserId>,
}

impl Version {
    /// The blobs that this version refers to: none once it is purged.
    pub fn blobs(&self) -> impl Iterator<Item = Sha256> {
        let live = self.purged.is_none();
        let own = [Some(self.artifact.sha256), self.manifest, self.readme];
        own.into_iter().flatten().filter(move |_| live)
    }
}

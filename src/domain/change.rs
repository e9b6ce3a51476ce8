//! Every fact that storage may be asked to record: the closed list that decisions answer with.

use super::audit::AuditEntry;
use super::digest::{Blake3, Sha256};
use super::event::Event;
use super::name::{NamespaceName, PackageName};
use super::package::{Dependency, Member, MemberOf, Namespace, Package, Version};
use super::token::Token;
use super::upload::{Upload, UploadId};
use super::user::{User, UserId};

/// A blob that is durable already, before the transaction that refers to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlobFacts {
    /// Its public name.
    pub sha256: Sha256,
    /// For scrubbing.
    pub blake3: Blake3,
    /// Bytes.
    pub size: u64,
}

/// One recorded fact. The changes of one decision are applied in order, in one transaction, together or not at all.
///
/// What can be derived is derived by storage: reference counts of blobs, the sort orders of lists, look-alike keys,
/// who depends on whom (from each package's `latest`).
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// The package is now like this. A new `latest` comes after the change that put that version.
    PutPackage(Box<Package>),
    /// A package in which nothing was ever published is no more; its members go with it.
    RemovePackage(PackageName),
    /// The version is now like this.
    PutVersion {
        /// Of which package.
        package: PackageName,
        /// The version.
        version: Box<Version>,
        /// Given when it is new: its dependencies, which never change afterwards.
        dependencies: Option<Vec<Dependency>>,
    },
    /// A blob that a later change of the same decision refers to.
    PutBlob(BlobFacts),
    /// A blob's bytes were found not to be what their name says, or gone; it is no longer served.
    MarkBlobDamaged(Sha256),
    /// A blob that nothing refers to is no more; its bytes go after this is durable.
    RemoveBlob(Sha256),
    /// The namespace is now like this.
    PutNamespace(Namespace),
    /// A namespace that never held a package is no more; its members go with it.
    RemoveNamespace(NamespaceName),
    /// The member is now like this.
    PutMember {
        /// Of what.
        of: MemberOf,
        /// Who, as what.
        member: Member,
    },
    /// The user is no longer a member.
    RemoveMember {
        /// Of what.
        of: MemberOf,
        /// Who.
        user: UserId,
    },
    /// The user is now like this; the name of a new one is taken for ever.
    PutUser(Box<User>),
    /// The user is no more, nor are its tokens and memberships; the name stays taken.
    RemoveUser(UserId),
    /// The token is now like this.
    PutToken(Box<Token>),
    /// The upload is now like this.
    PutUpload(Upload),
    /// The upload is no more.
    RemoveUpload(UploadId),
    /// Downloads that were counted since the last time.
    AddDownloads {
        /// Of which package.
        package: PackageName,
        /// The version's precedence key.
        version_key: Vec<u8>,
        /// How many more.
        count: u64,
    },
    /// One more entry of an event log.
    Event(Event),
    /// One more audit entry.
    Audit(Box<AuditEntry>),
    /// A named setting of the data directory itself; none removes it.
    PutSetting {
        /// Which.
        key: Setting,
        /// Its value.
        value: Option<Vec<u8>>,
    },
}

/// What is kept about the data directory itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// The random id of this directory's history (16 bytes); for one that went on from a copy, where it left its parent.
    History,
    /// The token in `initial-admin-token` (its id, 16 bytes), while it lives.
    InitialAdminToken,
    /// The SHA-256 that the configured admin token file stood for (32 bytes), and the id of its token (16 bytes).
    AdminTokenFile,
}

//! Every table on one screen: what its key is, what its row is, and the operations that a commit is made of.

/// Declares the tables; the number of a table stands in journal frames and is never used for another one.
macro_rules! tables {
    ($($(#[$doc:meta])+ $variant:ident = $number:literal, $name:literal;)+) => {
        /// A table of rows: byte keys in byte order, byte values with a leading format byte.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Table {
            $($(#[$doc])+ $variant = $number,)+
        }

        impl Table {
            /// Every table.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The table's name on disk.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

tables! {
    /// Setting's number → bytes; what is known about the directory itself.
    Settings = 0, "settings-v1";
    /// Package → package row.
    Packages = 1, "packages-v1";
    /// Namespace or nothing, `/`, look-alike key → the package that has it.
    Lookalikes = 2, "lookalikes-v1";
    /// Package, 0, precedence key → version row.
    Versions = 3, "versions-v1";
    /// Package, 0, precedence key → the version's dependencies.
    Dependencies = 4, "dependencies-v1";
    /// Needed package, 0, needing package → nothing; from each package's `latest` alone.
    Dependents = 5, "dependents-v1";
    /// Namespace → namespace row.
    Namespaces = 6, "namespaces-v1";
    /// `p` package or `n` namespace, 0, user id → member row.
    Members = 7, "members-v1";
    /// User id, `p` package or `n` namespace → nothing.
    Memberships = 8, "memberships-v1";
    /// User id → user row.
    Users = 9, "users-v1";
    /// User name → user id, also of users that are no more.
    UserNames = 10, "user-names-v1";
    /// Token id → token row.
    Tokens = 11, "tokens-v1";
    /// SHA-256 of a token's text → token id.
    TokenHashes = 12, "token-hashes-v1";
    /// User id, token id → nothing.
    UserTokens = 13, "user-tokens-v1";
    /// SHA-256 → blob row: count, size, digests, since when referred to or dropped.
    Blobs = 14, "blobs-v1";
    /// SHA-256, package, 0, precedence key → nothing: which version refers to the blob.
    BlobRefs = 15, "blob-refs-v1";
    /// Upload id → upload row.
    Uploads = 16, "uploads-v1";
    /// Package, or package, 0, precedence key → how often it was downloaded.
    Downloads = 17, "downloads-v1";
    /// `updated_at`, package → nothing: the order of `sort=updated`.
    ByUpdated = 18, "by-updated-v1";
    /// Downloads, package → nothing: the order of `sort=downloads`.
    ByDownloads = 19, "by-downloads-v1";
    /// Log, serial → an event's exact bytes.
    Events = 20, "events-v1";
    /// Log, serial → the event's leaf hash.
    Leaves = 21, "leaves-v1";
    /// Audit id → audit row.
    Audit = 22, "audit-v1";
    /// Counter's number → how many (packages, versions, users, tokens, blobs, blob bytes, damaged blobs).
    Counters = 23, "counters-v1";
    /// Generation number, history → the tick at which that snapshot was durable.
    Snapshots = 24, "snapshots-v1";
}

/// One step of a commit. A batch's steps, in order, are everything that the commit does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RowOp {
    /// The row is now this.
    Put {
        /// In which table.
        table: Table,
        /// Under which key.
        key: Vec<u8>,
        /// The row's bytes.
        value: Vec<u8>,
    },
    /// The row is no more.
    Delete {
        /// From which table.
        table: Table,
        /// Under which key.
        key: Vec<u8>,
    },
}

impl RowOp {
    /// Whether it takes away something that may be there no more at all: what a purge or the end of a user, a package or
    /// a namespace takes away. A version's row stays, without its texts; what goes is that it refers to blobs.
    pub fn erases(&self) -> bool {
        match self {
            Self::Put { .. } => false,
            Self::Delete { table, .. } => {
                matches!(table, Table::BlobRefs | Table::Packages | Table::Namespaces | Table::Users | Table::Tokens)
            }
        }
    }
}

/// What is counted as rows come and go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counter {
    /// Packages, purged ones left out.
    Packages,
    /// Versions, tombstones left out.
    Versions,
    /// Users.
    Users,
    /// Tokens that were not revoked.
    Tokens,
    /// Blobs that something refers to.
    Blobs,
    /// Their bytes.
    BlobBytes,
    /// Seconds in which a server ran on this directory, as of before the journal, whose frames tell them now.
    Ticks,
    /// Blobs that something refers to and that are marked as damaged.
    BlobsDamaged,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_of_tables_are_distinct() {
        for (at, table) in Table::ALL.iter().enumerate() {
            assert_eq!(usize::from(*table as u8), at, "{table:?}");
            assert!(Table::ALL.iter().skip(at + 1).all(|other| other.name() != table.name()), "{table:?}");
        }
    }
}

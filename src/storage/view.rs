//! What a read or a decision sees: typed look-ups over rows, written once for every kind of transaction.

use std::ops::{Bound, ControlFlow};

use super::StoreError;
use super::journal::name::Generation;
use super::keys;
use super::rows::{BlobRow, HistoryRow, Row, corrupt};
use super::tables::{Counter, Table};
use crate::domain::audit::AuditEntry;
use crate::domain::change::Setting;
use crate::domain::digest::Sha256;
use crate::domain::event::Log;
use crate::domain::id::Id;
use crate::domain::name::{NamespaceName, PackageName, UserName};
use crate::domain::package::{Dependency, Member, MemberOf, Namespace, Package, Version};
use crate::domain::token::{Token, TokenId};
use crate::domain::upload::{Upload, UploadId};
use crate::domain::user::{User, UserId};
use crate::domain::version::VersionNumber;

/// Which way a scan goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Smallest key first.
    Up,
    /// Largest key first.
    Down,
}

/// The keys that a scan looks at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRange {
    /// Where the smallest keys begin.
    pub from: Bound<Vec<u8>>,
    /// Where the largest end.
    pub to: Bound<Vec<u8>>,
    /// Which end comes first.
    pub direction: Direction,
}

impl KeyRange {
    /// Every key of a table.
    pub fn all(direction: Direction) -> Self {
        Self { from: Bound::Unbounded, to: Bound::Unbounded, direction }
    }

    /// Every key that starts with `prefix`.
    pub fn prefix(prefix: &[u8], direction: Direction) -> Self {
        let to = keys::after_prefix(prefix).map_or(Bound::Unbounded, Bound::Excluded);
        Self { from: Bound::Included(prefix.to_vec()), to, direction }
    }

    /// The part of the range that a scan has still to look at once it has seen `key`.
    #[must_use]
    pub fn beyond(mut self, key: Vec<u8>) -> Self {
        match self.direction {
            Direction::Up => self.from = Bound::Excluded(key),
            Direction::Down => self.to = Bound::Excluded(key),
        }
        self
    }
}

/// What a scan does with a row; breaking ends the scan.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError> + 'v;

/// Rows of one transaction, as they stand at this moment in it.
pub trait Rows {
    /// The row under `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Shows `visit` the rows of a range in order until it breaks.
    fn scan(&self, table: Table, range: KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// Typed look-ups in one transaction.
pub struct View<'t> {
    rows: &'t dyn Rows,
}

impl<'t> View<'t> {
    /// Looks at the rows of one transaction.
    pub fn new(rows: &'t dyn Rows) -> Self {
        Self { rows }
    }

    /// The rows as bytes, for what reads every table.
    pub fn rows(&self) -> &'t dyn Rows {
        self.rows
    }

    fn row<T: Row>(&self, table: Table, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.rows.get(table, key)?.map(|bytes| T::from_row(table, &bytes)).transpose()
    }

    /// Whether there is a row under the key.
    pub fn has(&self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.rows.get(table, key)?.is_some())
    }

    /// Shows `visit` each key and row of a range until it breaks.
    pub fn scan_rows<T: Row>(
        &self,
        table: Table,
        range: KeyRange,
        mut visit: impl FnMut(&[u8], T) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        self.rows.scan(table, range, &mut |key, bytes| visit(key, T::from_row(table, bytes)?))
    }

    /// Shows `visit` each key of a range until it breaks.
    pub fn scan_keys(
        &self,
        table: Table,
        range: KeyRange,
        mut visit: impl FnMut(&[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        self.rows.scan(table, range, &mut |key, _| visit(key))
    }

    /// A package, purged ones too.
    pub fn package(&self, name: &PackageName) -> Result<Option<Package>, StoreError> {
        self.row(Table::Packages, &keys::package(name))
    }

    /// The package whose name is the same but for runs of `-`, `_`, `.`.
    pub fn lookalike(&self, name: &PackageName) -> Result<Option<PackageName>, StoreError> {
        let Some(bytes) = self.rows.get(Table::Lookalikes, &keys::lookalike(name))? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        PackageName::parse(text).map(Some).map_err(|refusal| corrupt(Table::Lookalikes, refusal.message))
    }

    /// A version by precedence, whatever its build metadata; tombstones too.
    pub fn version(&self, name: &PackageName, number: &VersionNumber) -> Result<Option<Version>, StoreError> {
        self.row(Table::Versions, &keys::version(name, number))
    }

    /// Shows `visit` a package's versions in order of precedence, tombstones too. `beyond` is the row key after which
    /// to go on.
    pub fn scan_versions(
        &self,
        name: &PackageName,
        direction: Direction,
        beyond: Option<Vec<u8>>,
        visit: impl FnMut(&[u8], Version) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let range = KeyRange::prefix(&keys::versions_of(name), direction);
        let range = match beyond {
            Some(key) => range.beyond(key),
            None => range,
        };
        self.scan_rows(Table::Versions, range, visit)
    }

    /// All versions of a package, highest first, tombstones too.
    pub fn versions(&self, name: &PackageName) -> Result<Vec<Version>, StoreError> {
        let mut versions = Vec::new();
        self.scan_versions(name, Direction::Down, None, |_, version| {
            versions.push(version);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(versions)
    }

    /// What a version depends on.
    pub fn dependencies(&self, name: &PackageName, number: &VersionNumber) -> Result<Vec<Dependency>, StoreError> {
        Ok(self.row(Table::Dependencies, &keys::version(name, number))?.unwrap_or_default())
    }

    /// A namespace.
    pub fn namespace(&self, name: &NamespaceName) -> Result<Option<Namespace>, StoreError> {
        self.row(Table::Namespaces, name.as_str().as_bytes())
    }

    /// One member.
    pub fn member(&self, of: &MemberOf, user: UserId) -> Result<Option<Member>, StoreError> {
        self.row(Table::Members, &keys::member(of, user))
    }

    /// All members, in the order of their ids.
    pub fn members(&self, of: &MemberOf) -> Result<Vec<Member>, StoreError> {
        let mut members = Vec::new();
        self.scan_rows(Table::Members, KeyRange::prefix(&keys::members_of(of), Direction::Up), |_, member| {
            members.push(member);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(members)
    }

    /// What a user is a member of.
    pub fn memberships(&self, user: UserId) -> Result<Vec<MemberOf>, StoreError> {
        let mut found = Vec::new();
        let range = KeyRange::prefix(&user.to_bytes(), Direction::Up);
        self.scan_keys(Table::Memberships, range, |key| {
            let of = key.get(16..).and_then(keys::parse_member_of);
            found.push(of.ok_or_else(|| corrupt(Table::Memberships, "key does not read"))?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// A user by id.
    pub fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.row(Table::Users, &id.to_bytes())
    }

    /// The id behind a user's name, also of a user that is no more.
    pub fn user_id(&self, name: &UserName) -> Result<Option<UserId>, StoreError> {
        self.row(Table::UserNames, name.as_str().as_bytes())
    }

    /// A user by name.
    pub fn user_named(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        match self.user_id(name)? {
            Some(id) => self.user(id),
            None => Ok(None),
        }
    }

    /// A token by id.
    pub fn token(&self, id: TokenId) -> Result<Option<Token>, StoreError> {
        self.row(Table::Tokens, &id.to_bytes())
    }

    /// A token by the hash of its present or former text.
    pub fn token_by_hash(&self, hash: &Sha256) -> Result<Option<Token>, StoreError> {
        match self.row::<Id>(Table::TokenHashes, &hash.0)? {
            Some(id) => self.token(id),
            None => Ok(None),
        }
    }

    /// All tokens of a user, oldest first.
    pub fn tokens_of(&self, user: UserId) -> Result<Vec<Token>, StoreError> {
        let mut ids = Vec::new();
        self.scan_keys(Table::UserTokens, KeyRange::prefix(&user.to_bytes(), Direction::Up), |key| {
            let id = key.get(16..).and_then(Id::from_bytes);
            ids.push(id.ok_or_else(|| corrupt(Table::UserTokens, "key does not read"))?);
            Ok(ControlFlow::Continue(()))
        })?;
        let tokens: Result<Vec<_>, _> = ids.into_iter().map(|id| self.token(id)).collect();
        Ok(tokens?.into_iter().flatten().collect())
    }

    /// A blob.
    pub fn blob(&self, sha256: &Sha256) -> Result<Option<BlobRow>, StoreError> {
        self.row(Table::Blobs, &sha256.0)
    }

    /// Shows `visit` each package that refers to a blob, once for each version that does, until it breaks.
    pub fn scan_blob_packages(
        &self,
        sha256: &Sha256,
        mut visit: impl FnMut(PackageName) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        self.scan_keys(Table::BlobRefs, KeyRange::prefix(&sha256.0, Direction::Up), |key| {
            let name = key.get(32..).and_then(|rest| rest.split(|byte| *byte == 0).next());
            let name = name.and_then(|name| std::str::from_utf8(name).ok());
            let name = name.and_then(|name| PackageName::parse(name).ok());
            visit(name.ok_or_else(|| corrupt(Table::BlobRefs, "key does not read"))?)
        })
    }

    /// An upload.
    pub fn upload(&self, id: UploadId) -> Result<Option<Upload>, StoreError> {
        self.row(Table::Uploads, &id.to_bytes())
    }

    /// How often a package was downloaded, or one version of it.
    pub fn downloads(&self, name: &PackageName, number: Option<&VersionNumber>) -> Result<u64, StoreError> {
        let key = number.map_or_else(|| keys::package(name), |number| keys::version(name, number));
        self.counted(Table::Downloads, &key)
    }

    /// The number under a key of a table of numbers; none is 0.
    pub fn counted(&self, table: Table, key: &[u8]) -> Result<u64, StoreError> {
        Ok(self.row(table, key)?.unwrap_or(0))
    }

    /// How many entries a log has, which is also the serial of the next one.
    pub fn log_size(&self, log: Log) -> Result<u64, StoreError> {
        let mut size = 0;
        self.scan_keys(Table::Leaves, KeyRange::prefix(&[keys::log_byte(log)], Direction::Down), |key| {
            let serial = key.get(1..).and_then(|serial| serial.try_into().ok()).map(u64::from_be_bytes);
            let serial = serial.ok_or_else(|| corrupt(Table::Leaves, "key does not read"))?;
            size = serial.saturating_add(1);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(size)
    }

    /// Shows `visit` the entries of a log from serial `from` on: serial and exact bytes.
    pub fn scan_events(
        &self,
        log: Log,
        from: u64,
        mut visit: impl FnMut(u64, &[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut range = KeyRange::prefix(&[keys::log_byte(log)], Direction::Up);
        range.from = Bound::Included(keys::event(log, from));
        self.rows.scan(Table::Events, range, &mut |key, bytes| {
            let serial = key.get(1..).and_then(|serial| serial.try_into().ok()).map(u64::from_be_bytes);
            visit(serial.ok_or_else(|| corrupt(Table::Events, "key does not read"))?, bytes)
        })
    }

    /// Shows `visit` audit entries, newest first, from before `before` on.
    pub fn scan_audit(
        &self,
        before: Option<Id>,
        mut visit: impl FnMut(AuditEntry) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let range = KeyRange::all(Direction::Down);
        let range = match before {
            Some(id) => range.beyond(id.to_bytes().to_vec()),
            None => range,
        };
        self.scan_rows(Table::Audit, range, |_, entry| visit(entry))
    }

    /// A setting of the directory itself.
    pub fn setting(&self, key: Setting) -> Result<Option<Vec<u8>>, StoreError> {
        self.rows.get(Table::Settings, &[key as u8])
    }

    /// At which tick a snapshot of the journal was durable.
    pub fn snapshot_tick(&self, generation: &Generation) -> Result<Option<u64>, StoreError> {
        self.row(Table::Snapshots, &keys::snapshot(generation))
    }

    /// The snapshots that have a row.
    pub fn snapshot_rows(&self) -> Result<Vec<Generation>, StoreError> {
        let mut found = Vec::new();
        self.scan_keys(Table::Snapshots, KeyRange::all(Direction::Up), |key| {
            let generation = keys::parse_snapshot(key);
            found.push(generation.ok_or_else(|| corrupt(Table::Snapshots, "key does not read"))?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Which history the serials belong to.
    pub fn history(&self) -> Result<HistoryRow, StoreError> {
        HistoryRow::from_bytes(&self.setting(Setting::History)?.unwrap_or_default())
    }

    /// A counter.
    pub fn counter(&self, counter: Counter) -> Result<u64, StoreError> {
        self.counted(Table::Counters, &[counter as u8])
    }
}

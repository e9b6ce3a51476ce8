//! Typed scans over many rows, for lists that go across packages: names, rankings, reverse dependencies, uploads.
//!
//! Looks of one package or one user are in [`super::view`]. Nothing here decides who may see what.

use std::ops::ControlFlow;

use super::rows::{BlobRow, corrupt};
use super::tables::Table;
use super::view::{Direction, KeyRange};
use super::{StoreError, View, keys};
use crate::domain::digest::Sha256;
use crate::domain::name::{NamespaceName, PackageName};
use crate::domain::package::Package;
use crate::domain::upload::Upload;

/// An order of packages by a number that rows keep sorted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ranking {
    /// By the time of the last change.
    Updated,
    /// By how often they were downloaded.
    Downloads,
}

impl Ranking {
    const fn table(self) -> Table {
        match self {
            Self::Updated => Table::ByUpdated,
            Self::Downloads => Table::ByDownloads,
        }
    }
}

impl View<'_> {
    /// Shows `visit` each package's key and row in the order of names, purged ones too, those of one namespace or all.
    /// `beyond` is the key after which to go on.
    pub fn scan_packages(
        &self,
        namespace: Option<&NamespaceName>,
        beyond: Option<Vec<u8>>,
        visit: impl FnMut(&[u8], Package) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let range = match namespace {
            Some(namespace) => KeyRange::prefix(format!("{namespace}/").as_bytes(), Direction::Up),
            None => KeyRange::all(Direction::Up),
        };
        self.scan_rows(Table::Packages, go_on(range, beyond), visit)
    }

    /// Shows `visit` the key and name of each package, purged ones too, the highest number first, and among equal
    /// numbers the last name first. `beyond` is the key after which to go on.
    pub fn scan_ranking(
        &self,
        ranking: Ranking,
        beyond: Option<Vec<u8>>,
        mut visit: impl FnMut(&[u8], PackageName) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let table = ranking.table();
        self.scan_keys(table, go_on(KeyRange::all(Direction::Down), beyond), |key| {
            visit(key, name_at(table, key.get(size_of::<u64>()..))?)
        })
    }

    /// Shows `visit` each package whose `latest` needs this one, in the order of names, from behind `beyond` on.
    pub fn scan_dependents(
        &self,
        needed: &PackageName,
        beyond: Option<&PackageName>,
        mut visit: impl FnMut(PackageName) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let prefix = keys::versions_of(needed);
        let beyond = beyond.map(|name| keys::pair(&prefix, name.to_string().as_bytes()));
        let range = go_on(KeyRange::prefix(&prefix, Direction::Up), beyond);
        self.scan_keys(Table::Dependents, range, |key| visit(name_at(Table::Dependents, key.get(prefix.len()..))?))
    }

    /// Shows `visit` the row of each blob whose digest begins with this byte, in order, from behind `beyond` on.
    pub fn scan_blobs(
        &self,
        first_byte: u8,
        beyond: Option<&Sha256>,
        mut visit: impl FnMut(BlobRow) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let range = go_on(KeyRange::prefix(&[first_byte], Direction::Up), beyond.map(|digest| digest.0.to_vec()));
        self.scan_rows(Table::Blobs, range, |_, row| visit(row))
    }

    /// Shows `visit` each upload, oldest first.
    pub fn scan_uploads(
        &self,
        mut visit: impl FnMut(Upload) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        self.scan_rows(Table::Uploads, KeyRange::all(Direction::Up), |_, upload| visit(upload))
    }
}

fn go_on(range: KeyRange, beyond: Option<Vec<u8>>) -> KeyRange {
    match beyond {
        Some(key) => range.beyond(key),
        None => range,
    }
}

fn name_at(table: Table, text: Option<&[u8]>) -> Result<PackageName, StoreError> {
    let name = text.and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| PackageName::parse(text).ok());
    name.ok_or_else(|| corrupt(table, "key does not read"))
}

//! Packages, their versions, and what is derived from them: look-alikes, dependents, rankings, downloads.

use std::ops::ControlFlow;

use super::RowCheck;
use crate::domain::name::PackageName;
use crate::domain::package::{Dependency, Package, Version};
use crate::domain::resolve::{Candidate, decide_latest};
use crate::domain::version::VersionNumber;
use crate::storage::keys;
use crate::storage::scrub::ScrubError;
use crate::storage::tables::{Counter, Table};

impl RowCheck<'_> {
    pub(super) fn packages(&self) -> Result<(), ScrubError> {
        let mut live = 0;
        self.each(Table::Packages, |key, value| {
            let Some(package) = self.decoded::<Package>(Table::Packages, key, value) else { return Ok(()) };
            live += u64::from(package.purged_at.is_none());
            self.package(key, &package)
        })?;
        self.counter(Counter::Packages, live)?;
        self.each(Table::Lookalikes, |key, value| self.lookalike(key, value))?;
        self.each(Table::ByUpdated, |key, value| self.ranking(Table::ByUpdated, key, value))?;
        self.each(Table::ByDownloads, |key, value| self.ranking(Table::ByDownloads, key, value))?;
        self.each(Table::Dependents, |key, value| self.dependent(key, value))?;
        self.versions()?;
        self.downloads()
    }

    fn package(&self, key: &[u8], package: &Package) -> Result<(), ScrubError> {
        let name = &package.name;
        let row = (Table::Packages, key);
        if key != keys::package(name) {
            self.wrong(Table::Packages, key, &format!("holds the package `{name}`"));
            return Ok(());
        }
        if self.look(|view| view.lookalike(name))?.as_ref() != Some(name) {
            self.wrong(Table::Packages, key, "is not the package of its look-alike key");
        }
        self.expect(row, Table::ByUpdated, &keys::ranked(package.updated_at.unix_ms(), name))?;
        let downloads = self.look(|view| view.downloads(name, None).map(Some))?.unwrap_or(0);
        self.expect(row, Table::ByDownloads, &keys::ranked(downloads, name))?;
        let (count, latest) = self.versions_of(name)?;
        if package.version_count != count {
            let what = format!("says that it has {} versions, but there are {count}", package.version_count);
            self.wrong(Table::Packages, key, &what);
        }
        if package.latest.as_ref().map(VersionNumber::to_string) != latest.as_ref().map(VersionNumber::to_string) {
            self.wrong(Table::Packages, key, "names another version than its latest one");
        }
        if count > 0 && !package.published {
            self.wrong(Table::Packages, key, "says that nothing was ever published");
        }
        for needed in self.latest_dependencies(package)? {
            self.expect(row, Table::Dependents, &dependent_key(&needed.name, name))?;
        }
        Ok(())
    }

    /// How many versions of a package are no tombstones, and which one is its latest.
    fn versions_of(&self, name: &PackageName) -> Result<(u64, Option<VersionNumber>), ScrubError> {
        let mut count = 0;
        let mut latest: Option<VersionNumber> = None;
        self.within(Table::Versions, prefix(&keys::versions_of(name)), |_, value| {
            use crate::storage::rows::Row as _;
            // What does not decode is told when the table itself is read.
            let Ok(version) = Version::from_row(Table::Versions, value) else { return Ok(()) };
            if version.purged.is_none() {
                count += 1;
                let new = Candidate { version: &version.number, yanked: version.yank.is_some() };
                let former = latest.iter().map(|version| Candidate { version, yanked: false });
                latest = decide_latest(former.chain([new])).cloned();
            }
            Ok(())
        })?;
        Ok((count, latest))
    }

    fn latest_dependencies(&self, package: &Package) -> Result<Vec<Dependency>, ScrubError> {
        let Some(number) = &package.latest else { return Ok(Vec::new()) };
        let found = self.look(|view| view.dependencies(&package.name, number).map(Some))?;
        Ok(found.unwrap_or_default())
    }

    fn lookalike(&self, key: &[u8], value: &[u8]) -> Result<(), ScrubError> {
        let name = parse_name(value).filter(|name| keys::lookalike(name) == key);
        let known = match &name {
            Some(name) => self.has(Table::Packages, &keys::package(name))?,
            None => false,
        };
        if !known {
            self.wrong(Table::Lookalikes, key, "names no package that looks like this");
        }
        Ok(())
    }

    fn ranking(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), ScrubError> {
        self.empty(table, key, value);
        let (rank, name) = key.split_at_checked(size_of::<u64>()).unwrap_or_default();
        let Some(name) = parse_name(name) else {
            self.wrong(table, key, "key does not read");
            return Ok(());
        };
        let package = self.look(|view| view.package(&name))?;
        let expected = match (package, table == Table::ByUpdated) {
            (None, _) => None,
            (Some(package), true) => Some(package.updated_at.unix_ms()),
            (Some(_), false) => self.look(|view| view.downloads(&name, None).map(Some))?,
        };
        if expected.is_none_or(|expected| expected.to_be_bytes() != rank) {
            self.wrong(table, key, "is not where its package belongs");
        }
        Ok(())
    }

    fn dependent(&self, key: &[u8], value: &[u8]) -> Result<(), ScrubError> {
        self.empty(Table::Dependents, key, value);
        let mut names = key.splitn(2, |byte| *byte == 0).map(parse_name);
        let (Some(Some(needed)), Some(Some(by))) = (names.next(), names.next()) else {
            self.wrong(Table::Dependents, key, "key does not read");
            return Ok(());
        };
        let needs = match self.look(|view| view.package(&by))? {
            Some(package) => self.latest_dependencies(&package)?.iter().any(|one| one.name == needed),
            None => false,
        };
        if !needs {
            self.wrong(Table::Dependents, key, &format!("the latest version of `{by}` does not need `{needed}`"));
        }
        Ok(())
    }

    fn versions(&self) -> Result<(), ScrubError> {
        let mut live = 0;
        let mut known: Option<PackageName> = None;
        let versions = self.each(Table::Versions, |key, value| {
            let Some(version) = self.decoded::<Version>(Table::Versions, key, value) else { return Ok(()) };
            live += u64::from(version.purged.is_none());
            let Some(name) = package_of(key).filter(|name| keys::version(name, &version.number) == key) else {
                self.wrong(Table::Versions, key, &format!("holds the version {}", version.number));
                return Ok(());
            };
            if known.as_ref() != Some(&name) {
                if !self.has(Table::Packages, &keys::package(&name))? {
                    self.wrong(Table::Versions, key, "belongs to no package");
                }
                known = Some(name);
            }
            self.expect((Table::Versions, key), Table::Dependencies, key)?;
            self.version_blobs(key, &version)
        })?;
        self.counter(Counter::Versions, live)?;
        let dependencies = self.each(Table::Dependencies, |key, value| {
            self.decoded::<Vec<Dependency>>(Table::Dependencies, key, value);
            Ok(())
        })?;
        if dependencies > versions {
            self.each(Table::Dependencies, |key, _| {
                if !self.has(Table::Versions, key)? {
                    self.wrong(Table::Dependencies, key, "belongs to no version");
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Downloads of a package stand before those of its versions, and are their sum.
    fn downloads(&self) -> Result<(), ScrubError> {
        let mut total: Option<(Vec<u8>, u64)> = None;
        let mut sum = 0_u64;
        self.each(Table::Downloads, |key, value| {
            let Some(count) = self.decoded::<u64>(Table::Downloads, key, value) else { return Ok(()) };
            if key.contains(&0) {
                sum = sum.saturating_add(count);
                if !self.has(Table::Versions, key)? {
                    self.wrong(Table::Downloads, key, "counts downloads of no version");
                }
                return Ok(());
            }
            self.download_sum(total.take(), sum);
            (total, sum) = (Some((key.to_vec(), count)), 0);
            if !self.has(Table::Packages, key)? {
                self.wrong(Table::Downloads, key, "counts downloads of no package");
            }
            Ok(())
        })?;
        self.download_sum(total, sum);
        Ok(())
    }

    fn download_sum(&self, total: Option<(Vec<u8>, u64)>, sum: u64) {
        match total {
            Some((key, total)) if total != sum => {
                let what = format!("says {total} downloads, but those of its versions come to {sum}");
                self.wrong(Table::Downloads, &key, &what);
            }
            None if sum > 0 => self.finding(format!("{sum} downloads of versions belong to no package")),
            Some(_) | None => {}
        }
    }

    /// Shows `visit` each version of a package with its dependencies.
    pub(super) fn contents(
        &self,
        name: &PackageName,
        mut visit: impl FnMut(&Version, &[Dependency]),
    ) -> Result<(), ScrubError> {
        let scanned = self.look(|view| {
            view.scan_versions(name, crate::storage::view::Direction::Up, None, |_, version| {
                let dependencies = view.dependencies(name, &version.number)?;
                visit(&version, &dependencies);
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(Some(()))
        });
        scanned.map(drop)
    }
}

/// The keys that start like this, smallest first.
fn prefix(start: &[u8]) -> crate::storage::view::KeyRange {
    crate::storage::view::KeyRange::prefix(start, crate::storage::view::Direction::Up)
}

fn dependent_key(needed: &PackageName, by: &PackageName) -> Vec<u8> {
    keys::pair(&keys::versions_of(needed), by.to_string().as_bytes())
}

fn parse_name(text: &[u8]) -> Option<PackageName> {
    PackageName::parse(std::str::from_utf8(text).ok()?).ok()
}

/// The package of a version's key.
pub(super) fn package_of(key: &[u8]) -> Option<PackageName> {
    parse_name(key.split(|byte| *byte == 0).next()?)
}

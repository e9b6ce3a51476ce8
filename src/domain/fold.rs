//! What a log says: its events, folded into the state that resolvers act on.
//!
//! Owns the promise *state == fold(log)*: packages, versions, digests, yanks, deprecations, purges and owners follow
//! from the events alone. [`PackageState::of`] and [`PackageState::add_version`] build the same from what is stored, so
//! that the two can be compared.

use std::collections::{BTreeMap, BTreeSet};

use super::digest::Sha256;
use super::event::{Event, Fact, Log, Owned};
use super::name::{NamespaceName, PackageName};
use super::package::{Dependency, Member, Package, Role, Version};
use super::patch::deprecation_digest;
use super::publish::dependencies_digest;
use super::user::UserId;
use super::version::VersionNumber;

/// What is known of a version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionState {
    /// Its number as text, build metadata included.
    pub number: String,
    /// Its artifact.
    pub sha256: Sha256,
    /// The artifact's bytes.
    pub size: u64,
    /// The digest of its dependencies.
    pub dependencies: Sha256,
    /// Whether it is yanked.
    pub yanked: bool,
    /// The digest of its deprecation, while it is deprecated.
    pub deprecated: Option<Sha256>,
    /// Whether it was purged.
    pub purged: bool,
}

/// What is known of a package.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PackageState {
    /// The digest of its deprecation, while it is deprecated.
    pub deprecated: Option<Sha256>,
    /// Its versions, tombstones too.
    pub versions: BTreeMap<VersionNumber, VersionState>,
    /// Its own owners.
    pub owners: BTreeSet<UserId>,
}

/// The state that events come to; the same fold takes both logs, each in its order.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    packages: BTreeMap<PackageName, BTreeMap<Log, PackageState>>,
    namespaces: BTreeMap<NamespaceName, BTreeSet<UserId>>,
}

/// An event that can't have happened after those before it, or a state that no events lead to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what}")]
pub struct Contradiction {
    /// What contradicts what, for people.
    pub what: String,
}

fn contradiction(what: String) -> Contradiction {
    Contradiction { what }
}

impl Fold {
    /// Goes on by one event of a log.
    ///
    /// # Errors
    /// When the events before it say otherwise; it is then passed over.
    pub fn take(&mut self, event: &Event) -> Result<(), Contradiction> {
        let log = event.log;
        match &event.fact {
            Fact::LogOpened { .. } => Ok(()),
            Fact::PackageCreated { package } => {
                self.packages.entry(package.clone()).or_default().insert(log, PackageState::default());
                Ok(())
            }
            Fact::PackageHidden { package } | Fact::PackagePurged { package } => self.end(log, package),
            Fact::PackageUpdated { package, deprecated } => {
                self.live(log, package)?.deprecated = *deprecated;
                Ok(())
            }
            Fact::VersionPublished { package, version, sha256, size, dependencies } => {
                let state = VersionState {
                    number: version.to_string(),
                    sha256: *sha256,
                    size: *size,
                    dependencies: *dependencies,
                    yanked: false,
                    deprecated: None,
                    purged: false,
                };
                match self.live(log, package)?.versions.insert(version.clone(), state) {
                    None => Ok(()),
                    Some(_) => Err(contradiction(format!("`{package}` {version} is published twice"))),
                }
            }
            Fact::VersionYanked { package, version } => self.version(log, package, version, |it| it.yanked = true),
            Fact::VersionUnyanked { package, version } => self.version(log, package, version, |it| it.yanked = false),
            Fact::VersionDeprecated { package, version, message } => {
                self.version(log, package, version, |it| it.deprecated = *message)
            }
            Fact::VersionPurged { package, version, .. } => self.version(log, package, version, |it| it.purged = true),
            Fact::OwnerAdded { of, owner } => {
                self.owners(log, of)?.insert(*owner);
                Ok(())
            }
            Fact::OwnerRemoved { of, owner } => {
                self.owners(log, of)?.remove(owner);
                Ok(())
            }
            Fact::NamespaceCreated { namespace } => {
                self.namespaces.insert(namespace.clone(), BTreeSet::new());
                Ok(())
            }
        }
    }

    fn end(&mut self, log: Log, package: &PackageName) -> Result<(), Contradiction> {
        self.live(log, package)?;
        if let Some(logs) = self.packages.get_mut(package) {
            logs.remove(&log);
            if logs.is_empty() {
                self.packages.remove(package);
            }
        }
        Ok(())
    }

    fn live(&mut self, log: Log, package: &PackageName) -> Result<&mut PackageState, Contradiction> {
        let found = self.packages.get_mut(package).and_then(|logs| logs.get_mut(&log));
        found.ok_or_else(|| contradiction(format!("`{package}` does not live in the {} log", log.as_str())))
    }

    fn version(
        &mut self,
        log: Log,
        package: &PackageName,
        version: &VersionNumber,
        change: impl FnOnce(&mut VersionState),
    ) -> Result<(), Contradiction> {
        let state = self.live(log, package)?.versions.get_mut(version);
        let state = state.ok_or_else(|| contradiction(format!("`{package}` {version} was never published")))?;
        change(state);
        Ok(())
    }

    fn owners(&mut self, log: Log, of: &Owned) -> Result<&mut BTreeSet<UserId>, Contradiction> {
        match of {
            Owned::Package(package) => self.live(log, package).map(|state| &mut state.owners),
            Owned::Namespace(namespace) => {
                let owners = self.namespaces.get_mut(namespace);
                owners.ok_or_else(|| contradiction(format!("the namespace `{namespace}` was never claimed")))
            }
        }
    }

    /// What the logs say of a package, and which one it lives in; `None` when it lives in none.
    ///
    /// # Errors
    /// When it lives in both.
    pub fn package(&self, package: &PackageName) -> Result<Option<(Log, &PackageState)>, Contradiction> {
        let Some(logs) = self.packages.get(package) else { return Ok(None) };
        let mut living = logs.iter().map(|(log, state)| (*log, state));
        match (living.next(), living.next()) {
            (found, None) => Ok(found),
            (_, Some(_)) => Err(contradiction(format!("`{package}` lives in both logs"))),
        }
    }

    /// The packages that live in a log, in the order of their names.
    pub fn packages(&self) -> impl Iterator<Item = &PackageName> {
        self.packages.keys()
    }

    /// The owners of a namespace that was claimed.
    pub fn namespace(&self, namespace: &NamespaceName) -> Option<&BTreeSet<UserId>> {
        self.namespaces.get(namespace)
    }

    /// The namespaces that somebody owns, in the order of their names.
    pub fn owned_namespaces(&self) -> impl Iterator<Item = &NamespaceName> {
        self.namespaces.iter().filter(|(_, owners)| !owners.is_empty()).map(|(name, _)| name)
    }
}

/// Those of some members that are owners.
pub fn owners<'m>(members: impl IntoIterator<Item = &'m Member>) -> BTreeSet<UserId> {
    let is_owner = |member: &&Member| member.role == Role::Owner;
    members.into_iter().filter(is_owner).map(|member| member.user).collect()
}

impl PackageState {
    /// The state of a stored package that was not purged, without its versions.
    pub fn of(package: &Package, members: &[Member]) -> Self {
        let deprecated = package.deprecated.as_ref().map(deprecation_digest);
        Self { deprecated, versions: BTreeMap::new(), owners: owners(members) }
    }

    /// Adds a stored version.
    pub fn add_version(&mut self, version: &Version, dependencies: &[Dependency]) {
        let state = VersionState {
            number: version.number.to_string(),
            sha256: version.artifact.sha256,
            size: version.artifact.size,
            dependencies: dependencies_digest(dependencies),
            yanked: version.yank.is_some(),
            deprecated: version.deprecated.as_ref().map(deprecation_digest),
            purged: version.purged.is_some(),
        };
        self.versions.insert(version.number.clone(), state);
    }

    /// The first thing in which what is stored differs from what the log says, for people.
    pub fn difference(&self, stored: &Self) -> Option<String> {
        if self.deprecated != stored.deprecated {
            return Some("its deprecation differs".to_owned());
        }
        if self.owners != stored.owners {
            return Some("its owners differ".to_owned());
        }
        let numbers: BTreeSet<_> = self.versions.keys().chain(stored.versions.keys()).collect();
        let differs = |number: &&&VersionNumber| self.versions.get(**number) != stored.versions.get(**number);
        let number = numbers.iter().find(differs)?;
        Some(match (self.versions.get(*number), stored.versions.get(*number)) {
            (Some(_), Some(_)) => format!("version {number} differs"),
            (None, _) => format!("version {number} is stored, but not in the log"),
            (Some(_), None) => format!("version {number} is in the log, but not stored"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn event(log: Log, fact: Fact) -> Event {
        Event { log, time: Timestamp(0), fact }
    }

    fn jwt() -> PackageName {
        PackageName::parse("gk/jwt").unwrap()
    }

    fn one() -> VersionNumber {
        VersionNumber::parse("1.0.0").unwrap()
    }

    fn published() -> Fact {
        let none = Sha256::of(b"");
        Fact::VersionPublished { package: jwt(), version: one(), sha256: none, size: 0, dependencies: none }
    }

    #[test]
    fn a_package_lives_where_it_was_announced_last() {
        let mut fold = Fold::default();
        let mut take = |log, fact| fold.take(&event(log, fact));
        take(Log::Public, Fact::PackageCreated { package: jwt() }).unwrap();
        take(Log::Public, published()).unwrap();
        take(Log::Public, Fact::VersionYanked { package: jwt(), version: one() }).unwrap();
        take(Log::Public, Fact::PackageHidden { package: jwt() }).unwrap();
        take(Log::Internal, Fact::PackageCreated { package: jwt() }).unwrap();
        take(Log::Internal, published()).unwrap();
        let (log, state) = fold.package(&jwt()).unwrap().unwrap();
        assert_eq!((log, state.versions[&one()].yanked), (Log::Internal, false));
        fold.take(&event(Log::Internal, Fact::PackagePurged { package: jwt() })).unwrap();
        assert_eq!(fold.package(&jwt()), Ok(None));
    }

    #[test]
    fn events_that_contradict_each_other_are_told() {
        let mut fold = Fold::default();
        let yanked = || event(Log::Public, Fact::VersionYanked { package: jwt(), version: one() });
        let created = |log| event(log, Fact::PackageCreated { package: jwt() });
        assert!(fold.take(&yanked()).is_err());
        fold.take(&created(Log::Public)).unwrap();
        assert!(fold.take(&yanked()).is_err());
        fold.take(&event(Log::Public, published())).unwrap();
        assert!(fold.take(&event(Log::Public, published())).is_err());
        assert!(fold.take(&event(Log::Internal, Fact::PackageHidden { package: jwt() })).is_err());
        fold.take(&created(Log::Internal)).unwrap();
        assert!(fold.package(&jwt()).is_err());
    }
}

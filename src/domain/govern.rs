//! The decisions to make a package and to change its own fields, its visibility among them.

use super::caller::Caller;
use super::change::Change;
use super::create::{Creation, NameState, decide_creation, decide_creator};
use super::event::{Event, Fact, Log, Owned};
use super::name::PackageName;
use super::package::{Dependency, Description, Links, Member, Package, Role, Version, Visibility};
use super::patch::{DeprecationAsk, Field, deprecation_digest};
use super::publish::dependencies_digest;
use super::refusal::{Reason, Refusal};
use super::text::{TextLimits, check_about};
use super::time::Timestamp;
use super::token::Scope;

/// What is asked of a package.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PackagePatch {
    /// Who may read it from now on; none: as it is.
    pub visibility: Option<Visibility>,
    /// Its description.
    pub description: Field<String>,
    /// Its licence.
    pub license: Field<String>,
    /// Its keywords.
    pub keywords: Field<Vec<String>>,
    /// Its links, all of them.
    pub links: Field<Links>,
    /// Whether and how it is deprecated.
    pub deprecated: Field<DeprecationAsk>,
}

/// Everything of a package that a log holds, but for the package itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Contents {
    /// Its own members.
    pub members: Vec<Member>,
    /// All of its versions, tombstones too, each with its dependencies.
    pub versions: Vec<(Version, Vec<Dependency>)>,
}

impl PackagePatch {
    /// Whether the package changes over to the other log, for which [`Contents`] are needed.
    pub fn flips(&self, package: &Package) -> bool {
        self.visibility.is_some_and(|visibility| visibility != package.visibility)
    }

    fn about(&self, current: &Description) -> Description {
        Description {
            description: self.description.applied_to(current.description.as_ref()),
            license: self.license.applied_to(current.license.as_ref()),
            keywords: self.keywords.applied_to(current.keywords.as_ref()),
            links: self.links.applied_to(current.links.as_ref()),
        }
    }

    /// Checks the texts that are given, and those alone: stored ones were good when they came.
    fn check(&self, limits: TextLimits) -> Result<(), Refusal> {
        check_about(&self.about(&Description::default()), limits)?;
        self.deprecated.check(limits)
    }
}

/// Decides to make a package that must not exist yet.
///
/// # Errors
/// `missing_token`, `missing_scope`, `token_packages`; those of [`decide_creator`], which say the same whether the
/// package exists or not; then `package_exists`, `name_retired`, `name_too_similar`; then those of the texts.
pub fn decide_create(
    caller: &Caller,
    name: &PackageName,
    state: &NameState,
    (creation, limits): (&Creation, TextLimits),
    now: Timestamp,
) -> Result<(Vec<Change>, Package), Refusal> {
    check_writer(caller, caller.covers_package(name), &format!("`{name}`"))?;
    decide_creator(caller, name, state, creation)?;
    if let Some(package) = &state.package {
        return Err(if package.purged_at.is_some() {
            let message = format!("`{name}` was purged, and its name is never used again: choose another one.");
            Refusal::new(Reason::NameRetired, message)
        } else {
            let message = format!("`{name}` exists already: publish to it, or choose another name.");
            Refusal::new(Reason::PackageExists, message)
        });
    }
    let made = decide_creation(caller, name, state, creation, now)?;
    check_about(&creation.about, limits)?;
    Ok(made)
}

/// Whether a caller's credentials may write to `what` at all; `covered` says whether the token's patterns cover it.
///
/// # Errors
/// `missing_token`, `missing_scope` or `token_packages`.
pub fn check_writer(caller: &Caller, covered: bool, what: &str) -> Result<(), Refusal> {
    if *caller == Caller::Anonymous {
        let message = format!("To write to {what} you need a token: send one.");
        return Err(Refusal::new(Reason::MissingToken, message));
    }
    if !caller.has_scope(Scope::Publish) {
        let message = format!("To write to {what} a token needs the scope `publish`: use such a token.");
        return Err(Refusal::new(Reason::MissingScope, message));
    }
    if !covered {
        let message = format!("The token's package patterns don't cover {what}: use a token whose patterns do.");
        return Err(Refusal::new(Reason::TokenPackages, message));
    }
    Ok(())
}

/// Decides a PATCH of a package that was not purged. `None`: it is like that already, and nothing is recorded.
///
/// # Errors
/// `invalid_field` for a text that is wrong, `private_needs_namespace`.
pub fn decide_patch(
    package: &Package,
    patch: &PackagePatch,
    contents: &Contents,
    limits: TextLimits,
    now: Timestamp,
) -> Result<Option<(Vec<Change>, Package)>, Refusal> {
    let name = &package.name;
    if patch.visibility == Some(Visibility::Private) && name.namespace.is_none() {
        let message =
            format!("`{name}` has no namespace and can only be public: make a package in a namespace instead.");
        return Err(Refusal::field(Reason::PrivateNeedsNamespace, "visibility", message));
    }
    patch.check(limits)?;
    let changed = Package {
        visibility: patch.visibility.unwrap_or(package.visibility),
        about: patch.about(&package.about),
        deprecated: patch.deprecated.deprecation(package.deprecated.as_ref(), now),
        ..package.clone()
    };
    if changed == *package {
        return Ok(None);
    }
    let changed = Package { updated_at: now, ..changed };
    let mut changes = vec![Change::PutPackage(Box::new(changed.clone()))];
    if patch.flips(package) {
        let fact = Fact::PackageHidden { package: name.clone() };
        changes.push(Change::Event(Event { log: Log::of(package.visibility), time: now, fact }));
        changes.extend(announcement(&changed, contents).into_iter().map(Change::Event));
    } else {
        let deprecated = changed.deprecated.as_ref().map(deprecation_digest);
        let fact = Fact::PackageUpdated { package: name.clone(), deprecated };
        changes.push(Change::Event(Event { log: Log::of(changed.visibility), time: now, fact }));
    }
    Ok(Some((changes, changed)))
}

/// A whole package as the entries of the log that it now lives in, with its original times.
///
/// Versions come in the order in which they were published, so that a follower sees what one from the start saw.
fn announcement(package: &Package, contents: &Contents) -> Vec<Event> {
    let name = &package.name;
    let mut facts = vec![(package.created_at, Fact::PackageCreated { package: name.clone() })];
    for member in contents.members.iter().filter(|member| member.role == Role::Owner) {
        facts.push((member.since, Fact::OwnerAdded { of: Owned::Package(name.clone()), owner: member.user }));
    }
    if let Some(deprecated) = &package.deprecated {
        let digest = Some(deprecation_digest(deprecated));
        facts.push((deprecated.at, Fact::PackageUpdated { package: name.clone(), deprecated: digest }));
    }
    let mut versions: Vec<_> = contents.versions.iter().collect();
    versions.sort_by_key(|(version, _)| (version.published_at, version.number.clone()));
    for (version, dependencies) in versions {
        facts.extend(version_facts(name, version, dependencies));
    }
    let log = Log::of(package.visibility);
    facts.into_iter().map(|(time, fact)| Event { log, time, fact }).collect()
}

fn version_facts(name: &PackageName, stored: &Version, dependencies: &[Dependency]) -> Vec<(Timestamp, Fact)> {
    let (package, version) = (|| name.clone(), || stored.number.clone());
    let (sha256, size) = (stored.artifact.sha256, stored.artifact.size);
    let dependencies = dependencies_digest(dependencies);
    let published = Fact::VersionPublished { package: package(), version: version(), sha256, size, dependencies };
    let mut facts = vec![(stored.published_at, published)];
    if let Some(yank) = &stored.yank {
        facts.push((yank.at, Fact::VersionYanked { package: package(), version: version() }));
    }
    if let Some(deprecated) = &stored.deprecated {
        let message = Some(deprecation_digest(deprecated));
        facts.push((deprecated.at, Fact::VersionDeprecated { package: package(), version: version(), message }));
    }
    if let Some(tombstone) = &stored.purged {
        facts.push((tombstone.at, Fact::VersionPurged { package: package(), version: version(), sha256, size }));
    }
    facts
}

#[cfg(test)]
#[path = "govern_tests.rs"]
mod tests;

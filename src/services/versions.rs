//! Versions: what was published, for those who may read it.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::load::live_package_for;
use super::{Context, ServiceError, Stores};
use crate::domain::name::{PackageName, UserName};
use crate::domain::package::{Dependency, Package, Version, Visibility};
use crate::domain::permission::Action;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::requirement::{Prereleases, Requirement};
use crate::domain::resolve::{Candidate, ResolveOptions, decide_resolve};
use crate::domain::version::VersionNumber;
use crate::storage::view::Direction;
use crate::storage::{ChangeError, Cost, Metadata as _, StoreError, View};

/// Which version of a package is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VersionRef {
    /// The one with this precedence; build metadata must be the stored one's or left out.
    Number(VersionNumber),
    /// The alias `latest`.
    Latest,
}

/// A version with everything that is shown of it.
#[derive(Clone, Debug)]
pub struct VersionDetail {
    /// Of which package.
    pub package: PackageName,
    /// The version itself.
    pub version: Version,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
    /// Its manifest as compact JSON, where it was asked for.
    pub manifest: Option<Vec<u8>>,
    /// How often it was downloaded, to within the last flush.
    pub downloads: u64,
    /// Who published it; none once that user is gone.
    pub published_by: Option<UserName>,
    /// Whether an anonymous caller would see the same.
    pub public: bool,
}

/// Which versions a list shows.
#[derive(Clone, Debug, Default)]
pub struct VersionFilter {
    /// Those that match.
    pub req: Option<Requirement>,
    /// Also yanked ones.
    pub include_yanked: bool,
    /// Those after this row key, which the page before ended with.
    pub beyond: Option<Vec<u8>>,
    /// At most so many.
    pub limit: usize,
}

/// A page of versions, highest first.
#[derive(Clone, Debug)]
pub struct VersionPage {
    /// The versions, without their manifests.
    pub versions: Vec<VersionDetail>,
    /// The row key to go on behind; none when this was the last page.
    pub next: Option<Vec<u8>>,
    /// Whether an anonymous caller would see the same.
    pub public: bool,
}

/// Every version of a package that resolvers may choose from.
#[derive(Clone, Debug)]
pub struct Index {
    /// Highest first; yanked ones are in, purged ones are not.
    pub entries: Vec<(Version, Vec<Dependency>)>,
    /// Whether an anonymous caller would see the same.
    pub public: bool,
}

/// Reads versions.
pub struct VersionService {
    stores: Stores,
}

impl VersionService {
    /// Reads the versions of `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores }
    }

    /// One version.
    ///
    /// # Errors
    /// `package_not_found`, `version_not_found`, `no_matching_version` (of `latest`), `purged`.
    pub async fn get(
        &self,
        context: &Context,
        package: &PackageName,
        which: VersionRef,
    ) -> Result<VersionDetail, ServiceError> {
        let look_up = || async {
            let (caller, name, which) = (context.caller.clone(), package.clone(), which.clone());
            let policy = Arc::clone(&self.stores.policy);
            let load = move |view: &View<'_>| {
                let found = live_package_for(view, &caller, Action::Read, &name)
                    .and_then(|(package, _)| Ok((find_version(view, &package, &which)?, package)));
                let (version, package) = match settle(found)? {
                    Ok(found) => found,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                let public = policy.anonymous_read && package.visibility == Visibility::Public;
                detail(view, &name, version, public).map(Ok)
            };
            Ok(self.stores.metadata.read(Cost::Point, load).await??)
        };
        let (mut detail, file) = self.stores.held(look_up, |detail: &VersionDetail| detail.version.manifest).await?;
        detail.manifest = match file {
            Some(file) => Some(self.stores.read_small(file).await?),
            None => None,
        };
        Ok(detail)
    }

    /// A page of a package's versions, highest first, tombstones left out.
    ///
    /// # Errors
    /// `package_not_found`, `purged`.
    pub async fn list(
        &self,
        context: &Context,
        package: &PackageName,
        filter: VersionFilter,
    ) -> Result<VersionPage, ServiceError> {
        let (caller, name) = (context.caller.clone(), package.clone());
        let anonymous_read = self.stores.policy.anonymous_read;
        let load = move |view: &View<'_>| {
            let found = match settle(live_package_for(view, &caller, Action::Read, &name))? {
                Ok((package, _)) => package,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let public = anonymous_read && found.visibility == Visibility::Public;
            page(view, &name, &filter, public).map(Ok)
        };
        Ok(self.stores.metadata.read(Cost::Scan, load).await??)
    }

    /// The best version for a requirement.
    ///
    /// # Errors
    /// `package_not_found`, `no_matching_version`, `purged`.
    pub async fn resolve(
        &self,
        context: &Context,
        package: &PackageName,
        req: &Requirement,
        options: ResolveOptions,
    ) -> Result<VersionDetail, ServiceError> {
        let index = self.index(context, package).await?;
        let candidates = index
            .entries
            .iter()
            .map(|(version, _)| Candidate { version: &version.number, yanked: version.yank.is_some() });
        let best = decide_resolve(candidates, req, options).cloned().ok_or_else(|| {
            let message = format!(
                "No version of `{package}` matches `{}`: list its versions, or allow prereleases or yanked ones.",
                req.as_str()
            );
            Refusal::new(Reason::NoMatchingVersion, message)
        })?;
        self.get(context, package, VersionRef::Number(best)).await
    }

    /// Every version of a package, for resolvers.
    ///
    /// # Errors
    /// `package_not_found`, `purged`.
    pub async fn index(&self, context: &Context, package: &PackageName) -> Result<Index, ServiceError> {
        let (caller, name) = (context.caller.clone(), package.clone());
        let anonymous_read = self.stores.policy.anonymous_read;
        let load = move |view: &View<'_>| {
            let found = match settle(live_package_for(view, &caller, Action::Read, &name))? {
                Ok((package, _)) => package,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let mut entries = Vec::new();
            for version in view.versions(&name)?.into_iter().filter(|version| version.purged.is_none()) {
                let dependencies = view.dependencies(&name, &version.number)?;
                entries.push((version, dependencies));
            }
            Ok(Ok(Index { entries, public: anonymous_read && found.visibility == Visibility::Public }))
        };
        Ok(self.stores.metadata.read(Cost::Scan, load).await??)
    }
}

/// Takes a refusal out of what a read may fail with: it is an answer, not a fault of the store.
///
/// # Errors
/// The store's own.
pub fn settle<T>(result: Result<T, ChangeError>) -> Result<Result<T, Refusal>, StoreError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(ChangeError::Refused(refusal)) => Ok(Err(refusal)),
        Err(ChangeError::Store(error)) => Err(error),
    }
}

/// The version of a package that the caller may read.
///
/// # Errors
/// `version_not_found`, `no_matching_version` or `purged`.
pub fn find_version(view: &View<'_>, package: &Package, which: &VersionRef) -> Result<Version, ChangeError> {
    let name = &package.name;
    let number = match (which, &package.latest) {
        (VersionRef::Number(number), _) | (VersionRef::Latest, Some(number)) => number,
        (VersionRef::Latest, None) => {
            let message = format!("`{name}` has no version that `latest` could name: publish one, or unyank one.");
            return Err(Refusal::new(Reason::NoMatchingVersion, message).into());
        }
    };
    let has_build = !number.semver().build.is_empty();
    let is_meant = |version: &Version| !has_build || version.number.to_string() == number.to_string();
    match view.version(name, number)?.filter(is_meant) {
        None => Err(version_not_found(name, number).into()),
        Some(version) if version.purged.is_some() => {
            let message =
                format!("`{name}` {number} was purged by an admin and is served no more: use another version.");
            Err(Refusal::new(Reason::Purged, message).into())
        }
        Some(version) => Ok(version),
    }
}

/// The refusal for a number that was never published.
pub fn version_not_found(name: &PackageName, number: &VersionNumber) -> Refusal {
    let message = format!("`{name}` has no version `{number}`: list its versions to see which there are.");
    Refusal::new(Reason::VersionNotFound, message)
}

/// What is shown of a version, its manifest left out.
pub fn detail(
    view: &View<'_>,
    package: &PackageName,
    version: Version,
    public: bool,
) -> Result<VersionDetail, StoreError> {
    let publisher = match version.published_by {
        Some(id) => view.user(id)?,
        None => None,
    };
    Ok(VersionDetail {
        package: package.clone(),
        dependencies: view.dependencies(package, &version.number)?,
        manifest: None,
        downloads: view.downloads(package, Some(&version.number))?,
        published_by: publisher.map(|user| user.name),
        version,
        public,
    })
}

fn page(view: &View<'_>, name: &PackageName, filter: &VersionFilter, public: bool) -> Result<VersionPage, StoreError> {
    let mut found: Vec<(Vec<u8>, Version)> = Vec::new();
    let wanted = |version: &Version| {
        let req = filter.req.as_ref().is_none_or(|req| req.matches(&version.number, Prereleases::OnlyNamed));
        version.purged.is_none() && (filter.include_yanked || version.yank.is_none()) && req
    };
    view.scan_versions(name, Direction::Down, filter.beyond.clone(), |key, version| {
        if wanted(&version) {
            found.push((key.to_vec(), version));
        }
        Ok(if found.len() > filter.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let more = found.len() > filter.limit;
    found.truncate(filter.limit);
    let next = found.last().filter(|_| more).map(|(key, _)| key.clone());
    let versions: Result<Vec<_>, _> =
        found.into_iter().map(|(_, version)| detail(view, name, version, public)).collect();
    Ok(VersionPage { versions: versions?, next, public })
}

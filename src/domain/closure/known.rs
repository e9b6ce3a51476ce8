//! What a search has read so far: packages, the versions of them that may be chosen, and what those need.

use std::collections::BTreeMap;
use std::fmt;

use pubgrub::VersionSet as _;

use super::ordinals::Ordinals;
use super::{ClosureError, ClosureRequest, ClosureSource, PACKAGES_MAX, VERSIONS_MAX, unresolvable};
use crate::domain::name::PackageName;
use crate::domain::package::{Dependency, DependencyKind};
use crate::domain::requirement::Requirement;
use crate::domain::version::VersionNumber;

/// A package in the search, told by its place in [`Known::packages`], or the request as a whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Node {
    /// The request: it has one version, 0, which needs the roots.
    Request,
    /// A package by its place.
    Package(usize),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => f.write_str("request"),
            Self::Package(place) => write!(f, "package {place}"),
        }
    }
}

/// A package that was read.
pub(super) struct Package {
    pub(super) name: PackageName,
    /// Whether the source knows it.
    pub(super) exists: bool,
    /// The versions that may be chosen, lowest first; an ordinal is a place in this list.
    pub(super) versions: Vec<Usable>,
    /// The other ones, lowest first.
    pub(super) yanked: Vec<VersionNumber>,
    /// The place of the locked version, if it still exists.
    pub(super) locked: Option<u32>,
}

/// A version that may be chosen.
pub(super) struct Usable {
    pub(super) number: VersionNumber,
    /// What it needs, once it was tried.
    pub(super) needs: Option<Needs>,
}

/// What a version needs, or why it can't be used at all.
pub(super) type Needs = Result<Vec<Need>, String>;

/// A package that is needed.
pub(super) struct Need {
    /// The place of the package.
    pub(super) package: usize,
    /// All of these must hold.
    pub(super) reqs: Vec<Requirement>,
    /// The versions of it that fit.
    pub(super) fitting: Ordinals,
}

impl Need {
    /// The requirements in words: `^1` or `^1 and <1.5`.
    pub(super) fn wanted(&self) -> String {
        let texts: Vec<_> = self.reqs.iter().map(Requirement::as_str).collect();
        texts.join(" and ")
    }
}

/// Everything read so far.
pub(super) struct Known<'a> {
    pub(super) request: &'a ClosureRequest,
    pub(super) packages: Vec<Package>,
    /// What the request itself needs.
    pub(super) roots: Vec<Need>,
    places: BTreeMap<PackageName, usize>,
    versions_total: usize,
}

impl<'a> Known<'a> {
    /// Knows the roots and nothing else.
    pub(super) fn start<S: ClosureSource>(
        source: &mut S,
        request: &'a ClosureRequest,
    ) -> Result<Self, ClosureError<S::Error>> {
        let mut known = Self { request, packages: vec![], roots: vec![], places: BTreeMap::new(), versions_total: 0 };
        known.roots = known.needs(source, request.roots.iter().cloned())?;
        Ok(known)
    }

    /// The needs of a version that was tried, none if it can't be used.
    pub(super) fn needs_of(&self, package: usize, ordinal: u32) -> &[Need] {
        let usable = &self.packages[package].versions[ordinal as usize];
        usable.needs.as_ref().and_then(|needs| needs.as_deref().ok()).unwrap_or_default()
    }

    /// Reads what a version needs; asked again, it answers from memory.
    pub(super) fn try_version<S: ClosureSource>(
        &mut self,
        source: &mut S,
        package: usize,
        ordinal: u32,
    ) -> Result<&Needs, ClosureError<S::Error>> {
        let at = ordinal as usize;
        if self.packages[package].versions[at].needs.is_none() {
            let Package { name, versions, .. } = &self.packages[package];
            let dependencies = source.dependencies(name, &versions[at].number).map_err(ClosureError::Source)?;
            let needs = match read_requirements(dependencies) {
                Ok(wanted) => {
                    let needs = self.needs(source, wanted.into_iter())?;
                    without_itself(needs, package, ordinal)
                }
                Err(why) => Err(why),
            };
            self.packages[package].versions[at].needs = Some(needs);
        }
        Ok(self.packages[package].versions[at].needs.get_or_insert_with(|| Ok(Vec::new())))
    }

    /// Finds the packages of some requirements; several for one package become one need.
    fn needs<S: ClosureSource>(
        &mut self,
        source: &mut S,
        wanted: impl Iterator<Item = (PackageName, Requirement)>,
    ) -> Result<Vec<Need>, ClosureError<S::Error>> {
        let mut needs: BTreeMap<usize, Need> = BTreeMap::new();
        for (name, req) in wanted {
            let package = self.load(source, &name)?;
            let fits = |usable: &Usable| req.matches(&usable.number, self.request.prereleases);
            let fitting = Ordinals::of(self.packages[package].versions.iter().map(fits));
            let need =
                needs.entry(package).or_insert_with(|| Need { package, reqs: vec![], fitting: Ordinals::full() });
            need.fitting = need.fitting.intersection(&fitting);
            if !need.reqs.contains(&req) {
                need.reqs.push(req);
            }
        }
        Ok(needs.into_values().collect())
    }

    fn load<S: ClosureSource>(&mut self, source: &mut S, name: &PackageName) -> Result<usize, ClosureError<S::Error>> {
        if let Some(place) = self.places.get(name) {
            return Ok(*place);
        }
        if self.packages.len() >= PACKAGES_MAX {
            let message =
                format!("the closure has more than {PACKAGES_MAX} packages, which is the limit; ask for fewer roots");
            return Err(unresolvable(message));
        }
        let found = source.versions(name).map_err(ClosureError::Source)?;
        let exists = found.is_some();
        let mut all = found.unwrap_or_default();
        self.versions_total += all.len();
        if self.versions_total > VERSIONS_MAX {
            let message = format!(
                "the packages of the closure have more than {VERSIONS_MAX} versions, which is the limit; ask for fewer roots"
            );
            return Err(unresolvable(message));
        }
        all.sort_by(|a, b| a.number.cmp(&b.number));
        all.dedup_by(|a, b| a.number == b.number);
        let wanted = self.request.locked.get(name);
        let (yanked, usable): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|version| version.yanked && wanted != Some(&version.number));
        let versions: Vec<_> =
            usable.into_iter().map(|version| Usable { number: version.number, needs: None }).collect();
        let locked = (0..).zip(&versions).find(|(_, usable)| Some(&usable.number) == wanted).map(|(place, _)| place);
        let yanked = yanked.into_iter().map(|version| version.number).collect();
        let place = self.packages.len();
        self.packages.push(Package { name: name.clone(), exists, versions, yanked, locked });
        self.places.insert(name.clone(), place);
        Ok(place)
    }
}

/// Keeps the dependencies that are followed and reads what they ask for.
fn read_requirements(dependencies: Vec<Dependency>) -> Result<Vec<(PackageName, Requirement)>, String> {
    let followed = dependencies.into_iter().filter(|dependency| {
        !dependency.optional
            && match dependency.kind {
                DependencyKind::Normal | DependencyKind::Build => true,
                DependencyKind::Dev => false,
            }
    });
    followed
        .map(|Dependency { name, req, .. }| match Requirement::parse(&req) {
            Ok(req) => Ok((name, req)),
            Err(refusal) => Err(format!("what it needs of {name} can't be read: {}", refusal.message)),
        })
        .collect()
}

/// A version that needs its own package needs nothing more if it fits, and can't be used if it does not.
fn without_itself(mut needs: Vec<Need>, package: usize, ordinal: u32) -> Needs {
    match needs.iter().position(|need| need.package == package) {
        None => Ok(needs),
        Some(at) => {
            let itself = needs.remove(at);
            if itself.fitting.contains(&ordinal) {
                Ok(needs)
            } else {
                Err(format!("it needs {} of its own package", itself.wanted()))
            }
        }
    }
}

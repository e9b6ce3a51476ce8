//! Closures: one version for each package that some roots need, directly or through others, such that all fit.
//!
//! Start at [`decide_closure`]. It reads packages through a [`ClosureSource`] only when it comes to them, and the
//! dependencies only of versions that it tries. Followed are `normal` and `build` dependencies that are not optional;
//! `dev` ones concern who works on a package, not who uses it. The search is that of the `pubgrub` crate, the words in
//! which it fails are ours (`explain`). Nothing here may recurse with the depth of the graph.

use std::collections::BTreeMap;

use super::name::PackageName;
use super::package::Dependency;
use super::refusal::{Reason, Refusal};
use super::requirement::{Prereleases, Requirement};
use super::version::VersionNumber;

mod explain;
mod known;
mod ordinals;
mod solver;

/// The most packages that one closure may look at.
pub const PACKAGES_MAX: usize = 10_000;

/// The most versions that those packages may have together.
pub const VERSIONS_MAX: usize = 500_000;

/// The most choices of a version, those taken back included.
pub const STEPS_MAX: u32 = 50_000;

/// How often choices may be taken back.
pub const RETREATS_MAX: u32 = 1_000;

/// What a closure is asked for.
#[derive(Clone, Debug)]
pub struct ClosureRequest {
    /// The packages that are wanted, and which versions of them.
    pub roots: Vec<(PackageName, Requirement)>,
    /// Versions chosen earlier: kept wherever they still fit, even when yanked. Those of other packages do nothing.
    pub locked: BTreeMap<PackageName, VersionNumber>,
    /// Which prereleases match.
    pub prereleases: Prereleases,
}

/// A version that a package has.
#[derive(Clone, Debug)]
pub struct ClosureVersion {
    /// Its number.
    pub number: VersionNumber,
    /// Whether it is yanked; such a version is only chosen when it is locked.
    pub yanked: bool,
}

/// Where a closure reads packages: one consistent view, asked at most once for each package and each version.
pub trait ClosureSource {
    /// Why reading failed.
    type Error;

    /// All versions of a package in any order, purged ones left out; `None` when the caller may not know of it.
    fn versions(&mut self, package: &PackageName) -> Result<Option<Vec<ClosureVersion>>, Self::Error>;

    /// Everything that one of those versions depends on, of any kind.
    fn dependencies(&mut self, package: &PackageName, number: &VersionNumber) -> Result<Vec<Dependency>, Self::Error>;

    /// Asked before every step, so that a source can stop a search whose time is over; its error comes back.
    fn may_go_on(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Chosen versions that all fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closure {
    /// The versions of the roots.
    pub roots: BTreeMap<PackageName, VersionNumber>,
    /// Every package that is needed, the roots too, sorted by name.
    pub packages: Vec<Pinned>,
}

/// One package of a closure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pinned {
    /// Its name.
    pub name: PackageName,
    /// The version that was chosen.
    pub version: VersionNumber,
    /// The packages that this version needs, and the versions that were chosen for them.
    pub dependencies: BTreeMap<PackageName, VersionNumber>,
}

/// Why there is no closure.
#[derive(Debug)]
pub enum ClosureError<E> {
    /// [`Reason::Unresolvable`]: nothing fits, or a limit was reached; the message says which.
    Refused(Refusal),
    /// The source could not be read.
    Source(E),
}

/// Chooses the highest versions that fit together, and says why if there are none.
///
/// # Errors
/// [`ClosureError::Refused`] when no choice satisfies every requirement or when [`PACKAGES_MAX`], [`VERSIONS_MAX`],
/// [`STEPS_MAX`] or [`RETREATS_MAX`] is passed; [`ClosureError::Source`] with the source's own error.
pub fn decide_closure<S: ClosureSource>(
    source: &mut S,
    request: &ClosureRequest,
) -> Result<Closure, ClosureError<S::Error>> {
    solver::solve(source, request)
}

fn unresolvable<E>(message: String) -> ClosureError<E> {
    ClosureError::Refused(Refusal::new(Reason::Unresolvable, message))
}

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod tests;

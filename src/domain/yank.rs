//! The decisions to yank, unyank and deprecate a version. Its content never changes: all of this stands beside it.

use super::change::Change;
use super::event::{Event, Fact, Log};
use super::package::{Package, Version, Yank};
use super::patch::{DeprecationAsk, Field, deprecation_digest};
use super::refusal::{Reason, Refusal};
use super::resolve::{Candidate, decide_latest};
use super::text::{TextLimits, check_reason};
use super::time::Timestamp;

/// A version among those of its package.
#[derive(Clone, Copy, Debug)]
pub struct VersionState<'a> {
    /// The package.
    pub package: &'a Package,
    /// All of its versions, tombstones too, in any order.
    pub versions: &'a [Version],
    /// The version that is meant, which is no tombstone.
    pub version: &'a Version,
}

/// What is asked of a version.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VersionPatch {
    /// Whether it is to be yanked; none: as it is.
    pub yanked: Option<bool>,
    /// Why it is yanked; given with `yanked: true` alone.
    pub reason: Field<String>,
    /// Whether and how it is deprecated.
    pub deprecated: Field<DeprecationAsk>,
}

/// What becomes of a version: the changes, the package and the version as they are from now on.
#[derive(Clone, PartialEq, Debug)]
pub struct VersionChange {
    /// In order.
    pub changes: Vec<Change>,
    /// The package, with its new `latest`.
    pub package: Package,
    /// The version.
    pub version: Version,
}

/// Decides a PATCH of a version. `None`: it is like that already, and nothing is recorded.
///
/// # Errors
/// `invalid_field` for a text that is wrong, or a reason without a yank.
pub fn decide_version_patch(
    state: VersionState<'_>,
    patch: &VersionPatch,
    limits: TextLimits,
    now: Timestamp,
) -> Result<Option<VersionChange>, Refusal> {
    check(patch, limits)?;
    let former = state.version;
    let version = Version {
        yank: yank_after(former.yank.as_ref(), patch, now),
        deprecated: patch.deprecated.deprecation(former.deprecated.as_ref(), now),
        ..former.clone()
    };
    let mut facts = Vec::new();
    let (package, number) = (state.package.name.clone(), version.number.clone());
    if version.yank != former.yank {
        let (package, version) = (package.clone(), number.clone());
        facts.push(if patch.yanked == Some(true) {
            Fact::VersionYanked { package, version }
        } else {
            Fact::VersionUnyanked { package, version }
        });
    }
    if version.deprecated != former.deprecated {
        let message = version.deprecated.as_ref().map(deprecation_digest);
        facts.push(Fact::VersionDeprecated { package, version: number, message });
    }
    Ok((!facts.is_empty()).then(|| recorded(state, version, facts, now)))
}

/// The changes that put a version in another state: the version, then its package with what follows from it.
pub(super) fn recorded(state: VersionState<'_>, version: Version, facts: Vec<Fact>, now: Timestamp) -> VersionChange {
    let others = state.versions.iter().filter(|other| other.number != version.number);
    let live: Vec<&Version> = others.chain([&version]).filter(|one| one.purged.is_none()).collect();
    let candidates = live.iter().map(|one| Candidate { version: &one.number, yanked: one.yank.is_some() });
    let package = Package {
        latest: decide_latest(candidates).cloned(),
        version_count: live.len() as u64,
        updated_at: now,
        ..state.package.clone()
    };
    let log = Log::of(package.visibility);
    let put_version =
        Change::PutVersion { package: package.name.clone(), version: Box::new(version.clone()), dependencies: None };
    let mut changes = vec![put_version, Change::PutPackage(Box::new(package.clone()))];
    changes.extend(facts.into_iter().map(|fact| Change::Event(Event { log, time: now, fact })));
    VersionChange { changes, package, version }
}

fn check(patch: &VersionPatch, limits: TextLimits) -> Result<(), Refusal> {
    if patch.yanked != Some(true) && patch.reason != Field::Keep {
        let message =
            "`reason` says why a version is yanked: give it together with `\"yanked\":true`, or leave it out.";
        return Err(Refusal::field(Reason::InvalidField, "reason", message));
    }
    patch.reason.value().map_or(Ok(()), |reason| check_reason("reason", reason, limits))?;
    patch.deprecated.check(limits)
}

/// A yank that says the same, or that is repeated without a reason, keeps what it was.
fn yank_after(current: Option<&Yank>, patch: &VersionPatch, now: Timestamp) -> Option<Yank> {
    match (patch.yanked, current) {
        (None, current) => current.cloned(),
        (Some(false), _) => None,
        (Some(true), None) => Some(Yank { reason: patch.reason.value().cloned(), at: now }),
        (Some(true), Some(yank)) => Some(Yank { reason: patch.reason.applied_to(yank.reason.as_ref()), at: yank.at }),
    }
}

#[cfg(test)]
#[path = "yank_tests.rs"]
mod tests;

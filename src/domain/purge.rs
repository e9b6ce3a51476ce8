//! The decisions to purge a version or a whole package: bytes are no longer served, names and numbers stay used.

use super::change::Change;
use super::event::{Event, Fact, Log};
use super::package::{Description, Package, Tombstone, Version};
use super::refusal::{Reason, Refusal};
use super::time::Timestamp;
use super::yank::{VersionChange, VersionState, recorded};

/// Decides to purge one version, which was not purged before.
pub fn decide_version_purge(state: VersionState<'_>, reason: Option<&str>, now: Timestamp) -> VersionChange {
    let version = tombstone(state.version, reason, now);
    let fact = Fact::VersionPurged {
        package: state.package.name.clone(),
        version: version.number.clone(),
        sha256: version.artifact.sha256,
        size: version.artifact.size,
    };
    recorded(state, version, vec![fact], now)
}

/// Decides to purge a package, which was not purged before, with all of its versions. Its one event implies theirs.
pub fn decide_package_purge(
    package: &Package,
    versions: &[Version],
    reason: Option<&str>,
    now: Timestamp,
) -> (Vec<Change>, Package) {
    let name = &package.name;
    let live = versions.iter().filter(|version| version.purged.is_none());
    let mut changes: Vec<Change> = live
        .map(|version| Change::PutVersion {
            package: name.clone(),
            version: Box::new(tombstone(version, reason, now)),
            dependencies: None,
        })
        .collect();
    let purged = Package {
        about: Description::default(),
        purged_at: Some(now),
        version_count: 0,
        latest: None,
        updated_at: now,
        ..package.clone()
    };
    changes.push(Change::PutPackage(Box::new(purged.clone())));
    let fact = Fact::PackagePurged { package: name.clone() };
    changes.push(Change::Event(Event { log: Log::of(package.visibility), time: now, fact }));
    (changes, purged)
}

/// Decides to delete a package in which nothing was ever published; its name is free again.
///
/// # Errors
/// `not_empty` when something was.
pub fn decide_delete(package: &Package, now: Timestamp) -> Result<Vec<Change>, Refusal> {
    let name = &package.name;
    if package.published {
        let message = format!(
            "Versions of `{name}` were published, so it can't be deleted: yank or deprecate them, or ask an admin to purge it (`?purge=true`)."
        );
        return Err(Refusal::new(Reason::NotEmpty, message));
    }
    let fact = Fact::PackagePurged { package: name.clone() };
    let event = Event { log: Log::of(package.visibility), time: now, fact };
    Ok(vec![Change::RemovePackage(name.clone()), Change::Event(event)])
}

/// What stays of a version: its number, its artifact's facts and its yank and deprecation, for the log; no other text.
fn tombstone(version: &Version, reason: Option<&str>, now: Timestamp) -> Version {
    Version {
        about: Description::default(),
        manifest: None,
        readme: None,
        purged: Some(Tombstone { reason: reason.map(str::to_owned), at: now }),
        ..version.clone()
    }
}

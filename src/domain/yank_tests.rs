//! Yanks, deprecations and purges of one version: what is recorded, and what `latest` becomes.

use super::super::change::Change;
use super::super::digest::Sha256;
use super::super::name::PackageName;
use super::super::package::{Artifact, Description, Tombstone, Visibility};
use super::super::purge::decide_version_purge;
use super::super::version::VersionNumber;
use super::*;

const LIMITS: TextLimits = TextLimits { description_bytes_max: 8, reason_bytes_max: 8, keywords_max: 2 };
const NOW: Timestamp = Timestamp(100);

fn version(text: &str) -> Version {
    let (number, yanked) = (text.trim_start_matches(['!', '#']), text.starts_with('!'));
    Version {
        number: VersionNumber::parse(number).unwrap(),
        artifact: Artifact {
            sha256: Sha256::of(number.as_bytes()),
            size: 7,
            filename: String::new(),
            media_type: String::new(),
        },
        about: Description { license: Some("MIT".to_owned()), ..Description::default() },
        manifest: Some(Sha256::of(b"manifest")),
        readme: None,
        yank: yanked.then(|| Yank { reason: Some("bad".to_owned()), at: Timestamp(50) }),
        deprecated: None,
        purged: text.starts_with('#').then_some(Tombstone { reason: None, at: Timestamp(60) }),
        published_at: Timestamp(10),
        published_by: None,
    }
}

fn package(latest: Option<&str>) -> Package {
    Package {
        name: PackageName::parse("gk/jwt").unwrap(),
        visibility: Visibility::Private,
        about: Description::default(),
        deprecated: None,
        purged_at: None,
        published: true,
        version_count: 9,
        latest: latest.map(|text| VersionNumber::parse(text).unwrap()),
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
    }
}

fn yank(yanked: bool) -> VersionPatch {
    VersionPatch { yanked: Some(yanked), ..VersionPatch::default() }
}

/// What a decision about the first version comes to: event types, the log, `latest` and how many versions there are.
fn decide(versions: &str, patch: &VersionPatch) -> Result<Option<VersionChange>, Refusal> {
    let versions: Vec<Version> = versions.split(' ').map(version).collect();
    let package = package(None);
    let state = VersionState { package: &package, versions: &versions, version: &versions[0] };
    decide_version_patch(state, patch, LIMITS, NOW)
}

#[track_caller]
fn check(change: Option<VersionChange>, expected: Option<(&[&str], Option<&str>, u64)>) {
    let Some(VersionChange { changes, package, .. }) = change else { return assert!(expected.is_none()) };
    let events = changes.iter().filter_map(|change| if let Change::Event(event) = change { Some(event) } else { None });
    let types: Vec<&str> =
        events.inspect(|event| assert_eq!(event.log, Log::Internal)).map(|e| e.fact.type_name()).collect();
    assert!(matches!(changes[..2], [Change::PutVersion { .. }, Change::PutPackage(_)]), "the version comes first");
    assert_eq!(package.updated_at, NOW);
    let latest = package.latest.map(|number| number.to_string());
    assert_eq!(Some((&types[..], latest.as_deref(), package.version_count)), expected);
}

#[test]
fn a_yank_moves_latest_and_unyanking_moves_it_back() {
    let yanked = Some((&["version.yanked"][..], Some("1.0.0"), 3));
    check(decide("1.1.0 1.0.0 #1.2.0 2.0.0-rc.1", &yank(true)).unwrap(), yanked);
    check(decide("1.1.0 !1.0.0", &yank(true)).unwrap(), Some((&["version.yanked"], None, 2)));
    check(decide("!1.1.0 1.0.0", &yank(false)).unwrap(), Some((&["version.unyanked"], Some("1.1.0"), 2)));
}

#[test]
fn repeating_a_yank_or_a_deprecation_changes_nothing() {
    check(decide("!1.1.0", &yank(true)).unwrap(), None);
    check(decide("!1.1.0", &VersionPatch { reason: Field::Set("bad".to_owned()), ..yank(true) }).unwrap(), None);
    check(decide("1.1.0", &yank(false)).unwrap(), None);
    check(decide("1.1.0", &VersionPatch::default()).unwrap(), None);
    check(decide("1.1.0", &VersionPatch { deprecated: Field::Clear, ..VersionPatch::default() }).unwrap(), None);
}

#[test]
fn another_reason_is_recorded_and_the_time_of_the_yank_stays() {
    let changed = decide("!1.1.0", &VersionPatch { reason: Field::Set("worse".to_owned()), ..yank(true) }).unwrap();
    let kept = changed.as_ref().unwrap().version.yank.clone().unwrap();
    assert_eq!(kept, Yank { reason: Some("worse".to_owned()), at: Timestamp(50) });
    check(changed, Some((&["version.yanked"], None, 1)));
    let cleared = decide("!1.1.0", &VersionPatch { reason: Field::Clear, ..yank(true) }).unwrap();
    assert_eq!(cleared.unwrap().version.yank.unwrap().reason, None);
}

#[test]
fn a_yank_and_a_deprecation_come_together() {
    let deprecated = Field::Set(DeprecationAsk { message: "old".to_owned(), replaced_by: None });
    let both = decide("1.1.0", &VersionPatch { deprecated, ..yank(true) }).unwrap();
    check(both, Some((&["version.yanked", "version.deprecated"], None, 1)));
}

#[test]
fn wrong_texts_are_refused_by_field() {
    let refused = |patch: VersionPatch| {
        let refusal = decide("1.1.0", &patch).unwrap_err();
        (refusal.details[0].field.clone(), refusal.details[0].limit)
    };
    let text = |text: &str| Field::Set(text.to_owned());
    assert_eq!(refused(VersionPatch { reason: text("123456789"), ..yank(true) }), ("reason".to_owned(), Some(8)));
    assert_eq!(refused(VersionPatch { reason: text("no"), ..yank(false) }), ("reason".to_owned(), None));
    assert_eq!(refused(VersionPatch { reason: Field::Clear, ..VersionPatch::default() }), ("reason".to_owned(), None));
}

#[test]
fn a_purge_leaves_a_tombstone_without_texts() {
    let versions: Vec<Version> = ["!1.1.0", "1.0.0"].into_iter().map(version).collect();
    let package = package(Some("1.0.0"));
    let state = VersionState { package: &package, versions: &versions, version: &versions[0] };
    let change = decide_version_purge(state, Some("leak"), NOW);
    let left = change.version.clone();
    assert_eq!(left.purged, Some(Tombstone { reason: Some("leak".to_owned()), at: NOW }));
    assert_eq!((left.blobs().count(), left.about, left.artifact.size), (0, Description::default(), 7));
    check(Some(change), Some((&["version.purged"], Some("1.0.0"), 1)));
}

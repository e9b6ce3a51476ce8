//! The decision to publish: what is known about the name and the number, what is asked, what comes of it.

use super::caller::Caller;
use super::change::{BlobFacts, Change};
use super::create::{Creation, NameState, decide_creation, decide_creator};
use super::digest::Sha256;
use super::event::{Event, Fact, Log};
use super::name::PackageName;
use super::package::{Artifact, Dependency, Description, Package, Version};
use super::permission::{Action, Verdict, denied, may, package_not_found};
use super::refusal::{Reason, Refusal};
use super::time::Timestamp;
use super::version::VersionNumber;

/// What is to be published, apart from the bytes' digests, which are known last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    /// Its number.
    pub number: VersionNumber,
    /// The file name, if one was given.
    pub filename: Option<String>,
    /// The fields that were given; those that were not are `None`.
    pub about: Description,
    /// Given dependencies.
    pub dependencies: Option<Vec<Dependency>>,
    /// The blob of the manifest that was given.
    pub manifest: Option<Sha256>,
    /// The blob of the README that was given.
    pub readme: Option<Sha256>,
}

/// The bytes, now durable or about to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bytes {
    /// Digests and size.
    pub facts: BlobFacts,
    /// What their beginning says they are.
    pub media_type: String,
    /// The usual ending for that.
    pub extension: &'static str,
}

/// What a publish comes to.
#[derive(Clone, PartialEq, Debug)]
pub enum Publication {
    /// A new version: record this.
    Created {
        /// In order.
        changes: Vec<Change>,
        /// The version as it is from now on.
        version: Box<Version>,
        /// The package's visibility, which says how the answer may be cached.
        package: Box<Package>,
    },
    /// The same was published before: nothing to record.
    Unchanged,
}

/// Everything that a publish is decided from, but for what is stored.
#[derive(Clone, Copy, Debug)]
pub struct PublishAsk<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// Under which name.
    pub name: &'a PackageName,
    /// What the request itself gave: compared with what is stored when the version exists.
    pub given: &'a Release,
    /// What is to be stored: the given fields, and those that were read from the archive.
    pub effective: &'a Release,
    /// The bytes.
    pub bytes: &'a Bytes,
    /// How to make the package if it does not exist; none: don't.
    pub create: Option<&'a Creation>,
    /// When.
    pub now: Timestamp,
}

/// Whether the caller may publish under this name, before anything about the version or its bytes is looked at.
///
/// # Errors
/// `package_not_found` for what is absent or hidden, and a 403 reason for the rest. To create a name that the caller
/// may not see answers exactly what an unused name in that namespace would.
pub fn decide_admission(
    caller: &Caller,
    name: &PackageName,
    state: &NameState,
    create: Option<&Creation>,
) -> Result<(), Refusal> {
    let existing = state.standing().map(|standing| may(caller, Action::Publish, name, standing));
    match (existing, create) {
        (Some(Verdict::Allowed), _) => Ok(()),
        (Some(Verdict::Hidden) | None, None) => Err(package_not_found(name)),
        (Some(Verdict::Denied(reason)), None) => Err(denied(reason, Action::Publish, name)),
        (Some(Verdict::Denied(reason)), Some(_)) if reason != Reason::MissingRole || name.namespace.is_none() => {
            Err(denied(reason, Action::Publish, name))
        }
        (Some(Verdict::Hidden | Verdict::Denied(_)) | None, Some(creation)) => {
            decide_creator(caller, name, state, creation)
        }
    }
}

/// Whether a number is free in its package, before the bytes are known.
///
/// # Errors
/// `purged` when the package is, `version_purged` when the number is, `version_exists` when it is used with other build
/// metadata.
pub fn decide_number(
    name: &PackageName,
    package: Option<&Package>,
    number: &VersionNumber,
    existing: Option<&Version>,
) -> Result<(), Refusal> {
    if package.is_some_and(|package| package.purged_at.is_some()) {
        let message = format!("`{name}` was purged and takes no versions any more: publish under another name.");
        return Err(Refusal::new(Reason::Purged, message));
    }
    let Some(existing) = existing else { return Ok(()) };
    if existing.purged.is_some() {
        let message =
            format!("`{name}` {number} was purged, and its number is never used again: publish a higher one.");
        return Err(Refusal::new(Reason::VersionPurged, message));
    }
    if existing.number.to_string() != number.to_string() {
        let message = format!(
            "`{name}` has {} already, and versions that differ only in build metadata can't coexist: publish a higher one.",
            existing.number
        );
        return Err(Refusal::new(Reason::VersionExists, message));
    }
    Ok(())
}

/// Decides one publish on what is stored at this moment: of several at once, one finds the number free.
///
/// # Errors
/// Those of [`decide_admission`] and [`decide_number`]; `version_exists` when the number has other content.
pub fn decide_publish(
    ask: &PublishAsk<'_>,
    state: &NameState,
    existing: Option<(&Version, &[Dependency])>,
) -> Result<Publication, Refusal> {
    decide_admission(ask.caller, ask.name, state, ask.create)?;
    decide_number(ask.name, state.package.as_ref(), &ask.given.number, existing.map(|(version, _)| version))?;
    if let Some((version, dependencies)) = existing {
        let differing = differing_field(ask.given, ask.bytes, version, dependencies);
        return match differing {
            None => Ok(Publication::Unchanged),
            Some(field) => Err(version_exists(ask.name, version, field)),
        };
    }
    let (mut changes, mut package) = match (&state.package, ask.create) {
        (Some(package), _) => (Vec::new(), package.clone()),
        (None, Some(creation)) => decide_creation(ask.caller, ask.name, state, creation, ask.now)?,
        (None, None) => return Err(package_not_found(ask.name)),
    };
    let version = new_version(ask);
    let dependencies = ask.effective.dependencies.clone().unwrap_or_default();
    let fact = Fact::VersionPublished {
        package: ask.name.clone(),
        version: version.number.clone(),
        sha256: version.artifact.sha256,
        size: version.artifact.size,
        dependencies: dependencies_digest(&dependencies),
    };
    package.published = true;
    package.version_count = package.version_count.saturating_add(1);
    package.latest = Some(later(package.latest.take(), &version.number));
    package.updated_at = ask.now;
    changes.push(Change::PutBlob(ask.bytes.facts));
    let put = Change::PutVersion {
        package: ask.name.clone(),
        version: Box::new(version.clone()),
        dependencies: Some(dependencies),
    };
    changes.push(put);
    changes.push(Change::PutPackage(Box::new(package.clone())));
    changes.push(Change::Event(Event { log: Log::of(package.visibility), time: ask.now, fact }));
    Ok(Publication::Created { changes, version: Box::new(version), package: Box::new(package) })
}

/// The refusal for a number that has other content.
pub fn version_exists(name: &PackageName, existing: &Version, field: &str) -> Refusal {
    let message = format!(
        "`{name}` {} is published already with another `{field}`, and a published version never changes: publish a higher number.",
        existing.number
    );
    Refusal::field(Reason::VersionExists, field, message)
}

fn new_version(ask: &PublishAsk<'_>) -> Version {
    let release = ask.effective;
    let default_filename = || format!("{}-{}.{}", ask.name.name, release.number, ask.bytes.extension);
    Version {
        number: release.number.clone(),
        artifact: Artifact {
            sha256: ask.bytes.facts.sha256,
            size: ask.bytes.facts.size,
            filename: release.filename.clone().unwrap_or_else(default_filename),
            media_type: ask.bytes.media_type.clone(),
        },
        about: release.about.clone(),
        manifest: release.manifest,
        readme: release.readme,
        yank: None,
        deprecated: None,
        purged: None,
        published_at: ask.now,
        published_by: ask.caller.user(),
    }
}

/// What `latest` names once `new` is there: a release beats every prerelease, then the higher one wins.
fn later(latest: Option<VersionNumber>, new: &VersionNumber) -> VersionNumber {
    let rank = |number: &VersionNumber| (!number.is_prerelease(), number.clone());
    match latest {
        Some(latest) if rank(&latest) > rank(new) => latest,
        Some(_) | None => new.clone(),
    }
}

/// The first field that the request gives and that is stored otherwise. What was not given is not compared.
pub fn differing_field(
    given: &Release,
    bytes: &Bytes,
    stored: &Version,
    dependencies: &[Dependency],
) -> Option<&'static str> {
    let Description { description, license, keywords, links } = &given.about;
    let differs = [
        ("sha256", bytes.facts.sha256 != stored.artifact.sha256),
        ("filename", given.filename.as_ref().is_some_and(|name| *name != stored.artifact.filename)),
        ("description", description.is_some() && *description != stored.about.description),
        ("license", license.is_some() && *license != stored.about.license),
        ("keywords", keywords.as_ref().is_some_and(|given| Some(given) != stored.about.keywords.as_ref())),
        ("links", links.as_ref().is_some_and(|given| Some(given) != stored.about.links.as_ref())),
        ("readme", given.readme.is_some() && given.readme != stored.readme),
        ("manifest", given.manifest.is_some() && given.manifest != stored.manifest),
        ("dependencies", given.dependencies.as_ref().is_some_and(|given| given.as_slice() != dependencies)),
    ];
    differs.into_iter().find(|(_, differs)| *differs).map(|(field, _)| field)
}

/// The SHA-256 of dependencies as the log names them: for each one, in order, `name`, `req`, `kind` and `optional`
/// (`true` or `false`) with a tab between and a newline behind.
pub fn dependencies_digest(dependencies: &[Dependency]) -> Sha256 {
    let line = |one: &Dependency| format!("{}\t{}\t{}\t{}\n", one.name, one.req, one.kind.as_str(), one.optional);
    Sha256::of(dependencies.iter().map(line).collect::<String>().as_bytes())
}

//! What is published beside the bytes: the given fields, checked, and what the archive tells of itself.

use std::sync::Arc;

use super::PublishRequest;
use crate::domain::change::BlobFacts;
use crate::domain::digest::{Blake3, Sha256};
use crate::domain::media::MediaType;
use crate::domain::name::NamespaceName;
use crate::domain::package::{Dependency, Description};
use crate::domain::publish::Release;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::text::{LICENSE_BYTES_MAX, TextLimits, check_about};
use crate::services::archive::{ArchiveLimits, Warning, inspect};
use crate::services::manifest::{self, ManifestFields, ManifestLimits};
use crate::services::{Policy, ServiceError};
use crate::storage::blobs::{BlobError, BlobStore, Staged};

/// Longest file name, in bytes.
const FILENAME_BYTES_MAX: usize = 128;

/// What is stored beside the bytes.
pub(super) struct Contents {
    /// The given fields, and those that were read from the archive.
    pub(super) effective: Release,
    /// The texts that are blobs of their own.
    pub(super) texts: Texts,
    /// What the publisher should know.
    pub(super) warnings: Vec<Warning>,
}

/// The texts of a version that are stored as blobs of their own.
pub(super) struct Texts {
    pub(super) manifest: Option<Vec<u8>>,
    pub(super) readme: Option<Vec<u8>>,
}

impl Texts {
    fn iter(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.manifest.iter().chain(&self.readme)
    }

    /// The blobs that the texts are.
    pub(super) fn facts(&self) -> Vec<BlobFacts> {
        let facts =
            |text: &Vec<u8>| BlobFacts { sha256: Sha256::of(text), blake3: Blake3::of(text), size: text.len() as u64 };
        self.iter().map(facts).collect()
    }
}

/// The fields that the request itself gives.
pub(super) fn release_of(request: &PublishRequest) -> Release {
    Release {
        number: request.version.clone(),
        filename: request.filename.clone(),
        about: request.about.clone(),
        dependencies: request.dependencies.clone(),
        manifest: request.manifest.as_deref().map(Sha256::of),
        readme: request.readme.as_deref().map(|text| Sha256::of(text.as_bytes())),
    }
}

/// Checks the given fields against their limits, before a byte of the artifact is read.
///
/// # Errors
/// `invalid_field` and `invalid_manifest`, naming the field and its limit.
pub(super) fn check(request: &PublishRequest, policy: &Policy) -> Result<(), Refusal> {
    let limits = TextLimits {
        description_bytes_max: policy.description_bytes_max,
        reason_bytes_max: policy.reason_bytes_max,
        keywords_max: policy.keywords_max,
    };
    check_about(&request.about, limits)?;
    if let Some(filename) = &request.filename {
        check_filename(filename)?;
    }
    let sizes = [
        ("readme", Reason::InvalidField, request.readme.as_ref().map(String::len), policy.readme_bytes_max, "bytes"),
        (
            "manifest",
            Reason::InvalidManifest,
            request.manifest.as_ref().map(Vec::len),
            policy.manifest_bytes_max,
            "bytes",
        ),
        (
            "dependencies",
            Reason::InvalidField,
            request.dependencies.as_ref().map(Vec::len),
            policy.dependencies_max,
            "entries",
        ),
    ];
    for (field, reason, found, limit, unit) in sizes {
        if let Some(found) = found.filter(|found| *found as u64 > limit) {
            let message = format!("`{field}` has {found} {unit}, and at most {limit} are taken: make it shorter.");
            return Err(Refusal::field(reason, field, message).with_limit(limit));
        }
    }
    check_repeated(request.dependencies.as_deref().unwrap_or_default())
}

/// Two dependencies on one package for one purpose could contradict each other.
fn check_repeated(dependencies: &[Dependency]) -> Result<(), Refusal> {
    for (at, one) in dependencies.iter().enumerate() {
        let earlier = dependencies.iter().take(at);
        if earlier.clone().any(|other| other.name == one.name && other.kind == one.kind) {
            let message = format!("`{}` is there twice with the kind `{}`: name it once.", one.name, one.kind.as_str());
            return Err(Refusal::field(Reason::InvalidField, format!("dependencies[{at}].name"), message));
        }
    }
    Ok(())
}

fn check_filename(filename: &str) -> Result<(), Refusal> {
    let is_inner = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'_' | b'+' | b'-');
    let starts_well = filename.bytes().next().is_some_and(|letter| letter.is_ascii_alphanumeric());
    if starts_well && filename.len() <= FILENAME_BYTES_MAX && filename.bytes().all(is_inner) {
        return Ok(());
    }
    let message = format!(
        "`filename` is 1 to {FILENAME_BYTES_MAX} letters, digits, `.`, `_`, `+` or `-` and begins with a letter or digit: leave it out for the usual one."
    );
    Err(Refusal::field(Reason::InvalidField, "filename", message).with_limit(FILENAME_BYTES_MAX as u64))
}

/// Fills in from the archive what the request left out. Blocks: the archive is unpacked once, within limits.
///
/// # Errors
/// `invalid_manifest`; internal when the staged bytes can't be read.
pub(super) fn read(
    request: &PublishRequest,
    staged: &Staged,
    media: MediaType,
    policy: &Policy,
) -> Result<Contents, ServiceError> {
    let limits = ArchiveLimits {
        manifest_bytes_max: policy.manifest_bytes_max,
        readme_bytes_max: policy.readme_bytes_max,
        ..ArchiveLimits::default()
    };
    let inspection = inspect(staged.reader(), media, &limits)
        .map_err(|error| ServiceError::internal("reading staged bytes", error))?;
    let mut contents = Contents {
        effective: release_of(request),
        texts: Texts {
            manifest: request.manifest.clone(),
            readme: request.readme.clone().map(String::into_bytes).or(inspection.readme),
        },
        warnings: inspection.warnings,
    };
    if let Some(bytes) = inspection.manifest {
        let fields = manifest::parse(&bytes, &manifest_limits(policy))?;
        contents.warnings.extend(difference(request, &fields));
        fill(&mut contents, fields)?;
    }
    contents.effective.readme = contents.texts.readme.as_deref().map(Sha256::of);
    contents.effective.manifest = contents.texts.manifest.as_deref().map(Sha256::of);
    Ok(contents)
}

fn manifest_limits(policy: &Policy) -> ManifestLimits {
    let count = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    ManifestLimits {
        bytes_max: policy.manifest_bytes_max,
        description_bytes_max: count(policy.description_bytes_max),
        license_bytes_max: count(LICENSE_BYTES_MAX),
        keywords_max: count(policy.keywords_max),
        dependencies_max: count(policy.dependencies_max),
        ..ManifestLimits::default()
    }
}

fn fill(contents: &mut Contents, fields: ManifestFields) -> Result<(), ServiceError> {
    let ManifestFields { description, license, keywords, links, dependencies, value, warnings, .. } = fields;
    let about = &mut contents.effective.about;
    let Description { description: own_description, license: own_license, keywords: own_keywords, links: own_links } =
        about;
    *own_description = own_description.take().or(description);
    *own_license = own_license.take().or(license);
    *own_keywords = own_keywords.take().or(keywords);
    *own_links = own_links.take().or(if links.is_empty() { None } else { Some(links) });
    let read = dependencies.map(|all| {
        let one = |it: manifest::ManifestDependency| Dependency {
            name: it.name,
            req: it.req,
            kind: it.kind,
            optional: it.optional,
        };
        all.into_iter().map(one).collect()
    });
    contents.effective.dependencies = contents.effective.dependencies.take().or(read);
    if contents.texts.manifest.is_none() {
        let compact = serde_json::to_vec(&value);
        contents.texts.manifest = Some(compact.map_err(|error| ServiceError::internal("writing the manifest", error))?);
    }
    contents.warnings.extend(warnings);
    Ok(())
}

/// A quarter of real manifests lag behind the version that they are published as, so this is no refusal.
fn difference(request: &PublishRequest, fields: &ManifestFields) -> Option<Warning> {
    let (namespace, name) = (&request.package.namespace, request.package.name.as_str());
    let full = request.package.to_string();
    let own_namespace = namespace.as_ref().map(NamespaceName::as_str);
    let differs = |found: &Option<String>, is_meant: &dyn Fn(&str) -> bool| {
        found.as_deref().filter(|text| !is_meant(text)).map(crate::domain::name::shown)
    };
    let found = differs(&fields.name, &|text| text == name || text.trim_start_matches('@') == full)
        .or_else(|| differs(&fields.namespace, &|text| Some(text) == own_namespace))
        .or_else(|| differs(&fields.version, &|text| text.trim_start_matches('v') == request.version.to_string()))?;
    let message =
        format!("The archive's vix.json says `{found}`, and it was published as `{full}` {}.", request.version);
    Some(Warning { reason: "manifest_differs", message })
}

/// Makes the bytes durable under their names; from then on a row may refer to them.
pub(super) fn keep_all(blobs: &Arc<BlobStore>, staged: Staged, texts: &Texts) -> Result<(), BlobError> {
    for text in texts.iter() {
        let mut staging = blobs.stage()?;
        staging.write(text)?;
        staging.finish()?.keep()?;
    }
    staged.keep()?;
    Ok(())
}

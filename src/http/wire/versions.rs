//! Versions as JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::packages::Deprecation;
use crate::domain::name::PackageName;
use crate::domain::package;
use crate::domain::version::VersionNumber;
use crate::services::versions::VersionDetail;

/// A version, as lists show it: without its manifest.
#[derive(Serialize, JsonSchema)]
pub struct ListedVersion {
    /// Of which package.
    pub package: String,
    /// Its number, build metadata included.
    pub version: String,
    /// The artifact's identity.
    pub sha256: String,
    /// The artifact's bytes.
    pub size: u64,
    /// The name under which the artifact is downloaded.
    pub filename: String,
    /// What the artifact's first bytes say it is.
    pub media_type: String,
    /// Where the artifact is, relative to this registry.
    pub url: String,
    /// One paragraph.
    pub description: Option<String>,
    /// An SPDX expression or a name.
    pub license: Option<String>,
    /// What it is about.
    pub keywords: Vec<String>,
    /// Web addresses by kind.
    pub links: BTreeMap<String, String>,
    /// What it needs.
    pub dependencies: Vec<Dependency>,
    /// Whether it has a README.
    pub has_readme: bool,
    /// Whether it was withdrawn from new resolutions.
    pub yanked: bool,
    /// Why and when it was yanked.
    pub yank: Option<Yank>,
    /// Set when it is deprecated.
    pub deprecated: Option<Deprecation>,
    /// How often it was downloaded, to within an hour.
    pub downloads: u64,
    /// When it was published.
    pub published_at: String,
    /// By whom; null once that user is gone.
    pub published_by: Option<String>,
}

/// A version.
#[derive(Serialize, JsonSchema)]
pub struct Version {
    /// Everything but the manifest.
    #[serde(flatten)]
    pub listed: ListedVersion,
    /// Its `vix.json`, if it has one.
    pub manifest: Option<Map<String, Value>>,
}

/// A dependency of a version.
#[derive(Serialize, JsonSchema)]
pub struct Dependency {
    /// The package that is needed.
    pub name: String,
    /// Which versions of it will do.
    pub req: String,
    /// `normal`, `dev` or `build`.
    pub kind: &'static str,
    /// Whether it can be left out.
    pub optional: bool,
}

/// Why and when a version was yanked.
#[derive(Serialize, JsonSchema)]
pub struct Yank {
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: String,
}

/// A line of the index.
#[derive(Serialize)]
pub struct IndexLine {
    v: u32,
    version: String,
    sha256: String,
    size: u64,
    deps: Vec<Dependency>,
    yanked: bool,
    published_at: String,
}

/// The path of a version, below the registry's own address.
pub fn version_path(package: &PackageName, number: &VersionNumber) -> String {
    format!("/v1/packages/{package}/versions/{number}")
}

impl From<&package::Dependency> for Dependency {
    fn from(one: &package::Dependency) -> Self {
        Self { name: one.name.to_string(), req: one.req.clone(), kind: one.kind.as_str(), optional: one.optional }
    }
}

impl ListedVersion {
    /// The version with an address that begins with `base`: `public_url` or nothing.
    pub fn new(detail: &VersionDetail, base: &str) -> Self {
        let (version, about) = (&detail.version, &detail.version.about);
        let yank = |yank: &package::Yank| Yank { reason: yank.reason.clone(), at: yank.at.to_string() };
        Self {
            package: detail.package.to_string(),
            version: version.number.to_string(),
            sha256: version.artifact.sha256.to_hex(),
            size: version.artifact.size,
            filename: version.artifact.filename.clone(),
            media_type: version.artifact.media_type.clone(),
            url: format!("{base}{}/artifact", version_path(&detail.package, &version.number)),
            description: about.description.clone(),
            license: about.license.clone(),
            keywords: about.keywords.clone().unwrap_or_default(),
            links: about.links.clone().unwrap_or_default(),
            dependencies: detail.dependencies.iter().map(Dependency::from).collect(),
            has_readme: version.readme.is_some(),
            yanked: version.yank.is_some(),
            yank: version.yank.as_ref().map(yank),
            deprecated: version.deprecated.as_ref().map(Deprecation::from),
            downloads: detail.downloads,
            published_at: version.published_at.to_string(),
            published_by: detail.published_by.as_ref().map(|name| format!("user:{name}")),
        }
    }
}

impl Version {
    /// The version with an address that begins with `base`: `public_url` or nothing.
    pub fn new(detail: &VersionDetail, base: &str) -> Self {
        let manifest = detail.manifest.as_deref().and_then(|manifest| serde_json::from_slice(manifest).ok());
        Self { listed: ListedVersion::new(detail, base), manifest }
    }
}

impl IndexLine {
    /// The line of one version.
    pub fn new(version: &package::Version, dependencies: &[package::Dependency]) -> Self {
        Self {
            v: 1,
            version: version.number.to_string(),
            sha256: version.artifact.sha256.to_hex(),
            size: version.artifact.size,
            deps: dependencies.iter().map(Dependency::from).collect(),
            yanked: version.yank.is_some(),
            published_at: version.published_at.to_string(),
        }
    }
}

//! Versions, their publishing and their index lines on the wire.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::digest::Sha256;
use crate::domain::name::{PackageName, shown};
use crate::domain::package::{Dependency, DependencyKind, Deprecation, Description, Version};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::requirement::Requirement;
use crate::domain::version::VersionNumber;
use crate::services::publish::{PublishRequest, Published};
use crate::services::versions::VersionDetail;

/// One dependency, in answers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Dependency")]
pub struct DependencyBody {
    /// The package that is needed.
    pub name: String,
    /// Which versions of it will do.
    pub req: String,
    /// `normal`, `dev` or `build`.
    pub kind: &'static str,
    /// Whether it can be left out.
    pub optional: bool,
}

/// Why something should not be used any more.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Deprecation")]
pub struct DeprecationBody {
    /// What users should know.
    pub message: String,
    /// The package to use instead.
    pub replaced_by: Option<String>,
}

/// Since when and why a version is yanked.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Yank")]
pub struct YankBody {
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: String,
}

/// A version.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Version")]
pub struct VersionBody {
    /// Of which package.
    pub package: String,
    /// Its number.
    pub version: String,
    /// Its artifact's digest.
    pub sha256: String,
    /// Its artifact's bytes.
    pub size: u64,
    /// Its artifact's name.
    pub filename: String,
    /// What its artifact is.
    pub media_type: String,
    /// Where its artifact is.
    pub url: String,
    /// One paragraph.
    pub description: Option<String>,
    /// The licence.
    pub license: Option<String>,
    /// Search words.
    pub keywords: Vec<String>,
    /// Web addresses by kind.
    pub links: BTreeMap<String, String>,
    /// What it needs.
    pub dependencies: Vec<DependencyBody>,
    /// The manifest; lists leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, Value>>")]
    pub manifest: Option<Value>,
    /// Whether it has a README.
    pub has_readme: bool,
    /// Whether it is yanked.
    pub yanked: bool,
    /// Since when and why.
    pub yank: Option<YankBody>,
    /// Why not to use it.
    pub deprecated: Option<DeprecationBody>,
    /// How often it was downloaded.
    pub downloads: u64,
    /// When it was published.
    pub published_at: String,
    /// By whom.
    pub published_by: Option<String>,
}

/// A version that was just published, or would be.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PublishedVersion")]
pub struct PublishedBody {
    /// The version.
    #[serde(flatten)]
    pub version: VersionBody,
    /// Whether it is new.
    pub created: bool,
    /// Whether nothing was stored because that was asked.
    pub dry_run: bool,
}

/// A line of the index.
#[derive(Serialize)]
pub struct IndexLine {
    v: u32,
    version: String,
    sha256: String,
    size: u64,
    deps: Vec<DependencyBody>,
    yanked: bool,
    published_at: String,
}

/// The metadata of a publish.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PublishMetadata")]
pub struct PublishMetadata {
    /// The number.
    pub version: String,
    /// The artifact's digest, to be checked.
    pub sha256: Option<String>,
    /// The artifact's name.
    pub filename: Option<String>,
    /// One paragraph.
    pub description: Option<String>,
    /// The licence.
    pub license: Option<String>,
    /// Search words.
    pub keywords: Option<Vec<String>>,
    /// Web addresses by kind.
    pub links: Option<BTreeMap<String, String>>,
    /// The README, Markdown.
    pub readme: Option<String>,
    /// What it needs.
    pub dependencies: Option<Vec<GivenDependency>>,
    /// The manifest.
    pub manifest: Option<BTreeMap<String, Value>>,
}

/// One dependency, in requests.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenDependency {
    /// The package that is needed.
    pub name: String,
    /// Which versions of it will do.
    pub req: String,
    /// `normal` (the default), `dev` or `build`.
    pub kind: Option<String>,
    /// Whether it can be left out.
    pub optional: Option<bool>,
}

/// The path of a version, below the registry's own address.
pub fn version_path(package: &PackageName, number: &VersionNumber) -> String {
    format!("/v1/packages/{package}/versions/{number}")
}

impl From<&Dependency> for DependencyBody {
    fn from(one: &Dependency) -> Self {
        Self { name: one.name.to_string(), req: one.req.clone(), kind: one.kind.as_str(), optional: one.optional }
    }
}

impl From<&Deprecation> for DeprecationBody {
    fn from(one: &Deprecation) -> Self {
        Self { message: one.message.clone(), replaced_by: one.replaced_by.as_ref().map(PackageName::to_string) }
    }
}

impl VersionBody {
    /// The body of a version; `base` is `public_url` or nothing.
    pub fn new(detail: &VersionDetail, base: &str) -> Self {
        let VersionDetail { package, version, dependencies, .. } = detail;
        let about = &version.about;
        Self {
            package: package.to_string(),
            version: version.number.to_string(),
            sha256: version.artifact.sha256.to_hex(),
            size: version.artifact.size,
            filename: version.artifact.filename.clone(),
            media_type: version.artifact.media_type.clone(),
            url: format!("{base}{}/artifact", version_path(package, &version.number)),
            description: about.description.clone(),
            license: about.license.clone(),
            keywords: about.keywords.clone().unwrap_or_default(),
            links: about.links.clone().unwrap_or_default(),
            dependencies: dependencies.iter().map(Into::into).collect(),
            manifest: Some(manifest_value(detail)),
            has_readme: version.readme.is_some(),
            yanked: version.yank.is_some(),
            yank: version.yank.as_ref().map(|yank| YankBody { reason: yank.reason.clone(), at: yank.at.to_string() }),
            deprecated: version.deprecated.as_ref().map(Into::into),
            downloads: detail.downloads,
            published_at: version.published_at.to_string(),
            published_by: detail.published_by.as_ref().map(|name| format!("user:{name}")),
        }
    }

    /// The same as it stands in lists: without the manifest.
    #[must_use]
    pub fn in_list(self) -> Self {
        Self { manifest: None, ..self }
    }
}

fn manifest_value(detail: &VersionDetail) -> Value {
    let stored = detail.manifest.as_deref().map(serde_json::from_slice);
    stored.and_then(Result::ok).unwrap_or(Value::Null)
}

impl PublishedBody {
    /// The body of a publish.
    pub fn new(published: &Published, base: &str) -> Self {
        let Published { detail, created, dry_run, .. } = published;
        Self { version: VersionBody::new(detail, base), created: *created, dry_run: *dry_run }
    }
}

impl IndexLine {
    /// The line of one version.
    pub fn new(version: &Version, dependencies: &[Dependency]) -> Self {
        Self {
            v: 1,
            version: version.number.to_string(),
            sha256: version.artifact.sha256.to_hex(),
            size: version.artifact.size,
            deps: dependencies.iter().map(Into::into).collect(),
            yanked: version.yank.is_some(),
            published_at: version.published_at.to_string(),
        }
    }
}

impl PublishMetadata {
    /// Takes the metadata over into a request, checking each field's form.
    ///
    /// # Errors
    /// `invalid_digest`, `invalid_name`, `invalid_requirement`, `invalid_field`, `invalid_manifest`; the field is named.
    pub fn fill(self, request: &mut PublishRequest) -> Result<(), Refusal> {
        if let Some(text) = self.sha256 {
            let digest = Sha256::parse(&text).ok_or_else(|| {
                let message = format!("`{}` is no SHA-256: give 64 lower-case hex digits.", shown(&text));
                Refusal::field(Reason::InvalidDigest, "sha256", message)
            })?;
            request.sha256 = Some(digest);
        }
        request.filename = self.filename;
        request.about = Description {
            description: self.description,
            license: self.license,
            keywords: self.keywords,
            links: self.links,
        };
        request.readme = self.readme;
        let dependencies = self.dependencies.map(|all| all.into_iter().enumerate().map(dependency).collect());
        request.dependencies = dependencies.transpose()?;
        request.manifest = match self.manifest.as_ref().map(serde_json::to_vec).transpose() {
            Ok(manifest) => manifest,
            Err(error) => return Err(Refusal::field(Reason::InvalidManifest, "manifest", error.to_string())),
        };
        Ok(())
    }
}

fn dependency((at, given): (usize, GivenDependency)) -> Result<Dependency, Refusal> {
    let named = |field: &str, refusal: Refusal| {
        Refusal::field(refusal.reason, format!("dependencies[{at}].{field}"), refusal.message)
    };
    let kind = match given.kind.as_deref() {
        None => DependencyKind::Normal,
        Some(text) => DependencyKind::parse(text).ok_or_else(|| {
            let message = format!("`{}` is no kind of dependency: use `normal`, `dev` or `build`.", shown(text));
            named("kind", Refusal::new(Reason::InvalidField, message))
        })?,
    };
    let req = Requirement::parse(&given.req).map_err(|refusal| named("req", refusal))?;
    Ok(Dependency {
        name: PackageName::parse(&given.name).map_err(|refusal| named("name", refusal))?,
        req: req.as_str().to_owned(),
        kind,
        optional: given.optional.unwrap_or(false),
    })
}

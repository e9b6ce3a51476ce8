//! A publish on the wire: its metadata, and what comes of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digest;
use super::uploads::ArtifactRef;
use super::versions::Version;
use crate::domain::name::{PackageName, shown};
use crate::domain::package::{Dependency, DependencyKind, Description};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::requirement::Requirement;
use crate::services::publish::{PublishRequest, Published};

/// A version that was just published, or would be.
#[derive(Serialize, JsonSchema)]
pub struct PublishedVersion {
    /// The version.
    #[serde(flatten)]
    pub version: Version,
    /// Whether it is new.
    pub created: bool,
    /// Whether nothing was stored because that was asked.
    pub dry_run: bool,
}

/// The metadata of a publish.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
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
    /// Bytes that are here already: in a JSON body, and there alone.
    pub artifact: Option<ArtifactRef>,
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

impl PublishedVersion {
    /// The body of a publish; `base` is `public_url` or nothing.
    pub fn new(published: &Published, base: &str) -> Self {
        let Published { detail, created, dry_run, .. } = published;
        Self { version: Version::new(detail, base), created: *created, dry_run: *dry_run }
    }
}

impl PublishMetadata {
    /// Takes the metadata over into a request, checking each field's form.
    ///
    /// # Errors
    /// `invalid_digest`, `invalid_name`, `invalid_requirement`, `invalid_field`, `invalid_manifest`; the field is named.
    pub fn fill(self, request: &mut PublishRequest) -> Result<(), Refusal> {
        request.sha256 = self.sha256.map(|text| digest("sha256", &text)).transpose()?;
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

//! Packages as JSON, and what is asked of packages and versions.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patch::Patch;
use crate::domain::name::PackageName;
use crate::domain::package::{self, Description};
use crate::domain::patch::{DeprecationAsk, Field};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::{govern, yank};
use crate::services::packages::{self, PackageDetail};

/// Who may read a package.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Its members and those of its namespace.
    Private,
}

impl From<Visibility> for package::Visibility {
    fn from(visibility: Visibility) -> Self {
        match visibility {
            Visibility::Public => Self::Public,
            Visibility::Private => Self::Private,
        }
    }
}

/// A package.
#[derive(Serialize, JsonSchema)]
pub struct Package {
    /// `name` or `namespace/name`.
    pub name: String,
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    /// `public` or `private`.
    pub visibility: &'static str,
    /// Its own, or that of `latest`.
    pub description: Option<String>,
    /// Its own, or that of `latest`.
    pub license: Option<String>,
    /// Its own, or those of `latest`.
    pub keywords: Vec<String>,
    /// Its own, or those of `latest`.
    pub links: BTreeMap<String, String>,
    /// Set when the whole package is deprecated.
    pub deprecated: Option<Deprecation>,
    /// Its own owners, as principals.
    pub owners: Vec<String>,
    /// What `latest` stands for.
    pub latest: Option<String>,
    /// How many versions it has, purged ones left out.
    pub version_count: u64,
    /// How often it was downloaded, to within an hour.
    pub downloads: u64,
    /// When it was made.
    pub created_at: String,
    /// When it changed last.
    pub updated_at: String,
}

impl From<&PackageDetail> for Package {
    fn from(detail: &PackageDetail) -> Self {
        let (package, about) = (&detail.package, &detail.about);
        Self {
            name: package.name.to_string(),
            namespace: package.name.namespace.as_ref().map(ToString::to_string),
            visibility: package.visibility.as_str(),
            description: about.description.clone(),
            license: about.license.clone(),
            keywords: about.keywords.clone().unwrap_or_default(),
            links: about.links.clone().unwrap_or_default(),
            deprecated: package.deprecated.as_ref().map(Deprecation::from),
            owners: detail.owners.iter().map(|name| format!("user:{name}")).collect(),
            latest: package.latest.as_ref().map(ToString::to_string),
            version_count: package.version_count,
            downloads: detail.downloads,
            created_at: package.created_at.to_string(),
            updated_at: package.updated_at.to_string(),
        }
    }
}

/// Why a package or version should not be used any more.
#[derive(Serialize, JsonSchema)]
pub struct Deprecation {
    /// What users should know.
    pub message: String,
    /// The package to use instead.
    pub replaced_by: Option<String>,
}

impl From<&package::Deprecation> for Deprecation {
    fn from(deprecation: &package::Deprecation) -> Self {
        let replaced_by = deprecation.replaced_by.as_ref().map(ToString::to_string);
        Self { message: deprecation.message.clone(), replaced_by }
    }
}

/// A package to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPackage {
    name: String,
    #[serde(default)]
    visibility: Option<Visibility>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    license: Option<String>,
    #[serde(default)]
    keywords: Option<Vec<String>>,
    #[serde(default)]
    links: Option<BTreeMap<String, String>>,
}

impl TryFrom<NewPackage> for packages::NewPackage {
    type Error = Refusal;

    fn try_from(asked: NewPackage) -> Result<Self, Refusal> {
        let NewPackage { name, visibility, description, license, keywords, links } = asked;
        let about = Description { description, license, keywords, links };
        Ok(Self { name: PackageName::parse(&name)?, visibility: visibility.map(Into::into), about })
    }
}

/// A deprecation to be set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDeprecation {
    message: String,
    #[serde(default)]
    replaced_by: Option<String>,
}

impl TryFrom<NewDeprecation> for DeprecationAsk {
    type Error = Refusal;

    fn try_from(asked: NewDeprecation) -> Result<Self, Refusal> {
        let other = asked.replaced_by.as_deref().map(PackageName::parse).transpose();
        let replaced_by = other.map_err(|refusal| {
            let field = "deprecated.replaced_by";
            Refusal::field(refusal.reason, field, format!("`{field}`: {}", refusal.message))
        })?;
        Ok(Self { message: asked.message, replaced_by })
    }
}

/// A change of a package: fields that are left out stay as they are, `null` clears.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackagePatch {
    #[serde(default)]
    visibility: Patch<Visibility>,
    #[serde(default)]
    description: Patch<String>,
    #[serde(default)]
    license: Patch<String>,
    #[serde(default)]
    keywords: Patch<Vec<String>>,
    #[serde(default)]
    links: Patch<BTreeMap<String, String>>,
    #[serde(default)]
    deprecated: Patch<NewDeprecation>,
}

impl TryFrom<PackagePatch> for govern::PackagePatch {
    type Error = Refusal;

    fn try_from(asked: PackagePatch) -> Result<Self, Refusal> {
        Ok(Self {
            visibility: required(asked.visibility, "visibility")?.map(Into::into),
            description: asked.description.into(),
            license: asked.license.into(),
            keywords: asked.keywords.into(),
            links: asked.links.into(),
            deprecated: asked.deprecated.try_map(DeprecationAsk::try_from)?.into(),
        })
    }
}

/// A change of a version: fields that are left out stay as they are, `null` clears.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionPatch {
    #[serde(default)]
    yanked: Patch<bool>,
    #[serde(default)]
    reason: Patch<String>,
    #[serde(default)]
    deprecated: Patch<NewDeprecation>,
}

impl TryFrom<VersionPatch> for yank::VersionPatch {
    type Error = Refusal;

    fn try_from(asked: VersionPatch) -> Result<Self, Refusal> {
        Ok(Self {
            yanked: required(asked.yanked, "yanked")?,
            reason: asked.reason.into(),
            deprecated: asked.deprecated.try_map(DeprecationAsk::try_from)?.into(),
        })
    }
}

impl<T> From<Patch<T>> for Field<T> {
    fn from(patch: Patch<T>) -> Self {
        match patch {
            Patch::Absent => Self::Keep,
            Patch::Null => Self::Clear,
            Patch::Value(value) => Self::Set(value),
        }
    }
}

/// A field that always has a value: it may be left out, but not cleared.
///
/// # Errors
/// `invalid_field` for `null`.
pub fn required<T>(patch: Patch<T>, field: &str) -> Result<Option<T>, Refusal> {
    match patch {
        Patch::Absent => Ok(None),
        Patch::Value(value) => Ok(Some(value)),
        Patch::Null => {
            let message = format!("`{field}` always has a value and can't be `null`: give one, or leave it out.");
            Err(Refusal::field(Reason::InvalidField, field, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_tells_absent_null_and_value_apart() {
        let read = |json: &str| govern::PackagePatch::try_from(serde_json::from_str::<PackagePatch>(json).unwrap());
        assert_eq!(read("{}").unwrap(), govern::PackagePatch::default());
        let patch = read(r#"{"license":null,"description":"a","keywords":[],"deprecated":null}"#).unwrap();
        assert_eq!((patch.license, patch.description), (Field::Clear, Field::Set("a".to_owned())));
        assert_eq!((patch.keywords, patch.deprecated), (Field::Set(Vec::new()), Field::Clear));
        let field = |json: &str| read(json).unwrap_err().details[0].field.clone();
        assert_eq!(field(r#"{"visibility":null}"#), "visibility");
        assert_eq!(field(r#"{"deprecated":{"message":"a","replaced_by":"A"}}"#), "deprecated.replaced_by");
    }
}

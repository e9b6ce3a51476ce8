//! Namespaces as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::packages::{Visibility, required};
use super::patch::Patch;
use crate::domain::name::NamespaceName;
use crate::domain::namespace::{self, Claim};
use crate::domain::package;
use crate::domain::refusal::Refusal;
use crate::services::namespaces::NamespaceDetail;

/// A namespace.
#[derive(Serialize, JsonSchema)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What a package made without a visibility gets.
    pub default_visibility: &'static str,
    /// Its owners, as principals.
    pub owners: Vec<String>,
    /// When it was claimed.
    pub created_at: String,
}

impl From<&NamespaceDetail> for Namespace {
    fn from(detail: &NamespaceDetail) -> Self {
        let namespace = &detail.namespace;
        Self {
            name: namespace.name.to_string(),
            description: namespace.description.clone(),
            default_visibility: namespace.default_visibility.as_str(),
            owners: detail.owners.iter().map(|name| format!("user:{name}")).collect(),
            created_at: namespace.created_at.to_string(),
        }
    }
}

/// A namespace to be claimed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNamespace {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    default_visibility: Option<Visibility>,
}

impl TryFrom<NewNamespace> for Claim {
    type Error = Refusal;

    fn try_from(asked: NewNamespace) -> Result<Self, Refusal> {
        let default_visibility = asked.default_visibility.map_or(package::Visibility::Public, Into::into);
        Ok(Self { name: NamespaceName::parse(&asked.name)?, description: asked.description, default_visibility })
    }
}

/// A change of a namespace: fields that are left out stay as they are, `null` clears.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamespacePatch {
    #[serde(default)]
    description: Patch<String>,
    #[serde(default)]
    default_visibility: Patch<Visibility>,
}

impl TryFrom<NamespacePatch> for namespace::NamespacePatch {
    type Error = Refusal;

    fn try_from(asked: NamespacePatch) -> Result<Self, Refusal> {
        let default_visibility = required(asked.default_visibility, "default_visibility")?.map(Into::into);
        Ok(Self { description: asked.description.into(), default_visibility })
    }
}

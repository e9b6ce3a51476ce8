//! Rows of packages, namespaces, members, versions and dependencies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Row, corrupt, decode, encode};
use crate::domain::digest::Sha256;
use crate::domain::id::Id;
use crate::domain::name::{NamespaceName, PackageName};
use crate::domain::package::{
    Artifact, Dependency, DependencyKind, Deprecation, Description, Member, Namespace, Package, Role, Tombstone,
    Version, Visibility, Yank,
};
use crate::domain::time::Timestamp;
use crate::domain::version::VersionNumber;
use crate::storage::StoreError;
use crate::storage::tables::Table;

#[derive(Serialize, Deserialize)]
struct DiskDescription {
    description: Option<String>,
    license: Option<String>,
    keywords: Option<Vec<String>>,
    links: Option<BTreeMap<String, String>>,
}

#[derive(Serialize, Deserialize)]
struct DiskDeprecation {
    message: String,
    replaced_by: Option<String>,
    at: i64,
}

#[derive(Serialize, Deserialize)]
struct DiskPackage {
    name: String,
    private: bool,
    about: DiskDescription,
    deprecated: Option<DiskDeprecation>,
    purged_at: Option<i64>,
    published: bool,
    version_count: u64,
    latest: Option<String>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize, Deserialize)]
struct DiskVersion {
    number: String,
    sha256: [u8; 32],
    size: u64,
    filename: String,
    media_type: String,
    about: DiskDescription,
    manifest: Option<[u8; 32]>,
    readme: Option<[u8; 32]>,
    yank: Option<(Option<String>, i64)>,
    deprecated: Option<DiskDeprecation>,
    purged: Option<(Option<String>, i64)>,
    published_at: i64,
    published_by: Option<u128>,
}

impl From<&Description> for DiskDescription {
    fn from(about: &Description) -> Self {
        let Description { description, license, keywords, links } = about.clone();
        Self { description, license, keywords, links }
    }
}

impl From<DiskDescription> for Description {
    fn from(disk: DiskDescription) -> Self {
        let DiskDescription { description, license, keywords, links } = disk;
        Self { description, license, keywords, links }
    }
}

impl From<&Deprecation> for DiskDeprecation {
    fn from(deprecation: &Deprecation) -> Self {
        Self {
            message: deprecation.message.clone(),
            replaced_by: deprecation.replaced_by.as_ref().map(PackageName::to_string),
            at: deprecation.at.0,
        }
    }
}

impl DiskDeprecation {
    fn into_domain(self, table: Table) -> Result<Deprecation, StoreError> {
        let replaced_by = self.replaced_by.map(|name| package_name(table, &name)).transpose()?;
        Ok(Deprecation { message: self.message, replaced_by, at: Timestamp(self.at) })
    }
}

/// A name that was valid when it was stored.
pub(crate) fn package_name(table: Table, text: &str) -> Result<PackageName, StoreError> {
    PackageName::parse(text).map_err(|refusal| corrupt(table, refusal.message))
}

fn version_number(table: Table, text: &str) -> Result<VersionNumber, StoreError> {
    VersionNumber::parse(text).map_err(|refusal| corrupt(table, refusal.message))
}

impl Row for Package {
    fn to_row(&self) -> Vec<u8> {
        encode(&DiskPackage {
            name: self.name.to_string(),
            private: self.visibility == Visibility::Private,
            about: (&self.about).into(),
            deprecated: self.deprecated.as_ref().map(Into::into),
            purged_at: self.purged_at.map(|at| at.0),
            published: self.published,
            version_count: self.version_count,
            latest: self.latest.as_ref().map(VersionNumber::to_string),
            created_at: self.created_at.0,
            updated_at: self.updated_at.0,
        })
    }

    fn from_row(table: Table, bytes: &[u8]) -> Result<Self, StoreError> {
        let disk: DiskPackage = decode(table, bytes)?;
        Ok(Self {
            name: package_name(table, &disk.name)?,
            visibility: if disk.private { Visibility::Private } else { Visibility::Public },
            about: disk.about.into(),
            deprecated: disk.deprecated.map(|it| it.into_domain(table)).transpose()?,
            purged_at: disk.purged_at.map(Timestamp),
            published: disk.published,
            version_count: disk.version_count,
            latest: disk.latest.map(|text| version_number(table, &text)).transpose()?,
            created_at: Timestamp(disk.created_at),
            updated_at: Timestamp(disk.updated_at),
        })
    }
}

impl Row for Version {
    fn to_row(&self) -> Vec<u8> {
        encode(&DiskVersion {
            number: self.number.to_string(),
            sha256: self.artifact.sha256.0,
            size: self.artifact.size,
            filename: self.artifact.filename.clone(),
            media_type: self.artifact.media_type.clone(),
            about: (&self.about).into(),
            manifest: self.manifest.map(|digest| digest.0),
            readme: self.readme.map(|digest| digest.0),
            yank: self.yank.as_ref().map(|yank| (yank.reason.clone(), yank.at.0)),
            deprecated: self.deprecated.as_ref().map(Into::into),
            purged: self.purged.as_ref().map(|purged| (purged.reason.clone(), purged.at.0)),
            published_at: self.published_at.0,
            published_by: self.published_by.map(|user| user.0),
        })
    }

    fn from_row(table: Table, bytes: &[u8]) -> Result<Self, StoreError> {
        let disk: DiskVersion = decode(table, bytes)?;
        Ok(Self {
            number: version_number(table, &disk.number)?,
            artifact: Artifact {
                sha256: Sha256(disk.sha256),
                size: disk.size,
                filename: disk.filename,
                media_type: disk.media_type,
            },
            about: disk.about.into(),
            manifest: disk.manifest.map(Sha256),
            readme: disk.readme.map(Sha256),
            yank: disk.yank.map(|(reason, at)| Yank { reason, at: Timestamp(at) }),
            deprecated: disk.deprecated.map(|it| it.into_domain(table)).transpose()?,
            purged: disk.purged.map(|(reason, at)| Tombstone { reason, at: Timestamp(at) }),
            published_at: Timestamp(disk.published_at),
            published_by: disk.published_by.map(Id),
        })
    }
}

impl Row for Vec<Dependency> {
    fn to_row(&self) -> Vec<u8> {
        let disk: Vec<(String, &str, u8, bool)> = self
            .iter()
            .map(|one| (one.name.to_string(), one.req.as_str(), kind_number(one.kind), one.optional))
            .collect();
        encode(&disk)
    }

    fn from_row(table: Table, bytes: &[u8]) -> Result<Self, StoreError> {
        let disk: Vec<(String, String, u8, bool)> = decode(table, bytes)?;
        let one = |(name, req, kind, optional): (String, String, u8, bool)| {
            Ok(Dependency { name: package_name(table, &name)?, req, kind: kind_of(table, kind)?, optional })
        };
        disk.into_iter().map(one).collect()
    }
}

const fn kind_number(kind: DependencyKind) -> u8 {
    match kind {
        DependencyKind::Normal => 0,
        DependencyKind::Dev => 1,
        DependencyKind::Build => 2,
    }
}

fn kind_of(table: Table, number: u8) -> Result<DependencyKind, StoreError> {
    match number {
        0 => Ok(DependencyKind::Normal),
        1 => Ok(DependencyKind::Dev),
        2 => Ok(DependencyKind::Build),
        other => Err(corrupt(table, format!("dependency kind {other}"))),
    }
}

impl Row for Namespace {
    fn to_row(&self) -> Vec<u8> {
        let private = self.default_visibility == Visibility::Private;
        encode(&(self.name.as_str(), &self.description, private, self.held_package, self.created_at.0))
    }

    fn from_row(table: Table, bytes: &[u8]) -> Result<Self, StoreError> {
        let (name, description, private, held_package, created_at): (String, Option<String>, bool, bool, i64) =
            decode(table, bytes)?;
        Ok(Self {
            name: NamespaceName::parse(&name).map_err(|refusal| corrupt(table, refusal.message))?,
            description,
            default_visibility: if private { Visibility::Private } else { Visibility::Public },
            held_package,
            created_at: Timestamp(created_at),
        })
    }
}

impl Row for Member {
    fn to_row(&self) -> Vec<u8> {
        let role: u8 = match self.role {
            Role::Reader => 0,
            Role::Publisher => 1,
            Role::Owner => 2,
        };
        encode(&(self.user.0, role, self.since.0))
    }

    fn from_row(table: Table, bytes: &[u8]) -> Result<Self, StoreError> {
        let (user, role, since): (u128, u8, i64) = decode(table, bytes)?;
        let role = match role {
            0 => Role::Reader,
            1 => Role::Publisher,
            2 => Role::Owner,
            other => return Err(corrupt(table, format!("role {other}"))),
        };
        Ok(Self { user: Id(user), role, since: Timestamp(since) })
    }
}

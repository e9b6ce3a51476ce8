//! The order of steps of each operation: who may, what is stored first, what is answered.
//!
//! Services know neither HTTP nor tables. They load through [`crate::storage`], let [`crate::domain`] decide, and hand
//! back domain values or a [`ServiceError`].

pub mod archive;
pub mod auth;
pub mod context;
pub mod download;
pub mod error;
pub mod load;
pub mod manifest;
pub mod members;
pub mod namespaces;
pub mod packages;
pub mod policy;
pub mod precondition;
pub mod publish;
pub mod stores;
pub mod versions;
pub mod yank;

pub use context::Context;
pub use error::ServiceError;
pub use policy::Policy;
pub use stores::Stores;

/// All services of one registry.
pub struct Services {
    /// Who asks.
    pub auth: auth::AuthService,
    /// What was published.
    pub versions: versions::VersionService,
    /// Packages' own fields, their beginning and their end.
    pub packages: packages::PackageService,
    /// Namespaces.
    pub namespaces: namespaces::NamespaceService,
    /// Members of both.
    pub members: members::MemberService,
    /// Yanks, deprecations and purges of versions.
    pub yanks: yank::YankService,
    /// Artifacts' bytes.
    pub downloads: download::DownloadService,
    /// Publishing.
    pub publish: publish::PublishService,
}

impl Services {
    /// Puts the services together over one store.
    pub fn new(stores: &Stores) -> Self {
        Self {
            auth: auth::AuthService::new(stores.clone()),
            versions: versions::VersionService::new(stores.clone()),
            packages: packages::PackageService::new(stores.clone()),
            namespaces: namespaces::NamespaceService::new(stores.clone()),
            members: members::MemberService::new(stores.clone()),
            yanks: yank::YankService::new(stores.clone()),
            downloads: download::DownloadService::new(stores.clone()),
            publish: publish::PublishService::new(stores.clone()),
        }
    }
}

/// Draws a new id.
///
/// # Errors
/// [`ServiceError::Internal`] when the system has no randomness.
pub fn new_id(now: crate::domain::time::Timestamp) -> Result<crate::domain::id::Id, ServiceError> {
    Ok(crate::domain::id::Id::from_parts(now.unix_ms(), u128::from_be_bytes(random()?)))
}

/// Draws random bytes from the operating system.
///
/// # Errors
/// [`ServiceError::Internal`] when the system has no randomness.
pub fn random<const N: usize>() -> Result<[u8; N], ServiceError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| ServiceError::internal("drawing randomness", error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;

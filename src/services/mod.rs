//! The order of steps of each operation: who may, what is stored first, what is answered.
//!
//! Services know neither HTTP nor tables. They load through [`crate::storage`], let [`crate::domain`] decide, and hand
//! back domain values or a [`ServiceError`].

pub mod accounts;
pub mod archive;
pub mod audit;
pub mod auth;
pub mod changes;
pub mod closure;
pub mod context;
pub mod damage;
pub mod dependents;
pub mod download;
pub mod error;
pub mod gc;
pub mod jobs;
pub mod load;
pub mod manifest;
pub mod members;
pub mod namespaces;
pub mod packages;
pub mod policy;
pub mod precondition;
pub mod publish;
pub mod reach;
pub mod reports;
pub mod search;
pub mod standing;
pub mod stats;
pub mod stores;
pub mod sweep;
pub mod upkeep;
pub mod uploads;
pub mod versions;
pub mod yank;

#[cfg(test)]
mod fixture_tests;

use std::sync::Arc;

use tokio::sync::Notify;

use accounts::initial::InitialTokens;
use accounts::login::LoginService;
use accounts::passwords::PasswordGate;
use accounts::tokens::TokenService;
use accounts::users::UserService;
pub use context::Context;
pub use error::ServiceError;
pub use policy::Policy;
pub use stores::Stores;

/// All services of one registry.
pub struct Services {
    /// Who asks.
    pub auth: auth::AuthService,
    /// Users.
    pub users: UserService,
    /// Their tokens.
    pub tokens: TokenService,
    /// Their passwords.
    pub login: LoginService,
    /// The admin tokens that a start makes.
    pub initial: InitialTokens,
    /// Who did what.
    pub audit: audit::AuditService,
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
    /// Which of them are damaged.
    pub damage: damage::DamageService,
    /// What ends those that nothing refers to.
    pub sweep: Arc<sweep::SweepService>,
    /// What removes everything that nothing needs, when it is asked to.
    pub gc: gc::GcService,
    /// Publishing.
    pub publish: publish::PublishService,
    /// Finding packages.
    pub search: search::SearchService,
    /// Who depends on a package.
    pub dependents: dependents::DependentService,
    /// What changed.
    pub changes: changes::ChangeService,
    /// Bytes that arrive in parts.
    pub uploads: uploads::UploadService,
    /// Everything that some packages need.
    pub closures: closure::ClosureService,
    /// How much there is, and whether it works.
    pub stats: stats::StatsService,
    /// When it was last copied, verified and cleaned.
    pub standing: standing::StandingService,
    /// Backups, verifications and what removes garbage.
    pub jobs: jobs::JobService,
}

impl Services {
    /// Puts the services together over one store.
    pub fn new(stores: &Stores) -> Self {
        let changed = Arc::new(Notify::new());
        let sweep = Arc::new(sweep::SweepService::new(stores.clone()));
        let passwords = Arc::new(PasswordGate::new(stores.policy.login_concurrency));
        Self {
            auth: auth::AuthService::new(stores.clone()),
            users: UserService::new(stores.clone(), Arc::clone(&passwords), Arc::clone(&changed)),
            tokens: TokenService::new(stores.clone(), Arc::clone(&changed)),
            login: LoginService::new(stores.clone(), passwords, Arc::clone(&changed)),
            initial: InitialTokens::new(stores.clone(), changed),
            audit: audit::AuditService::new(stores.clone()),
            versions: versions::VersionService::new(stores.clone()),
            packages: packages::PackageService::new(stores.clone()),
            namespaces: namespaces::NamespaceService::new(stores.clone()),
            members: members::MemberService::new(stores.clone()),
            yanks: yank::YankService::new(stores.clone()),
            downloads: download::DownloadService::new(stores.clone()),
            damage: damage::DamageService::new(stores.clone()),
            gc: gc::GcService::new(stores.clone(), Arc::clone(&sweep)),
            sweep,
            publish: publish::PublishService::new(stores.clone()),
            search: search::SearchService::new(stores.clone()),
            dependents: dependents::DependentService::new(stores.clone()),
            changes: changes::ChangeService::new(stores.clone()),
            uploads: uploads::UploadService::new(stores.clone()),
            closures: closure::ClosureService::new(stores.clone()),
            stats: stats::StatsService::new(stores.clone()),
            standing: standing::StandingService::new(stores.clone()),
            jobs: jobs::JobService::new(stores.clone()),
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

//! Puts the layers together: the only place where configuration, storage, services and HTTP meet.

use std::sync::Arc;
use std::time::Duration;

use super::exit::CliError;
use crate::config::{Config, NamespaceClaim};
use crate::domain::create::ClaimPolicy;
use crate::domain::digest::Sha256;
use crate::http::app::{App, HttpLimits, HttpSettings};
use crate::http::client::Network;
use crate::http::connection::ConnectionLimits;
use crate::http::json_body::JsonLimits;
use crate::services::{Policy, Services, Stores, upkeep};
use crate::storage::RotationRule;
use crate::storage::directory::{DataDirectory, StoreOptions};
use crate::storage::leases::Leases;
use crate::storage::open::Watch;

/// A registry that this process runs. What it is made of ends in this order: the services, the stores, the lock.
pub struct Registry {
    /// What answers requests.
    pub app: Arc<App>,
    /// The rules that the services follow.
    pub policy: Arc<Policy>,
    /// The directory, locked.
    pub directory: DataDirectory,
    /// Blobs that the opening found to be missing.
    missing: Vec<Sha256>,
}

impl Registry {
    /// Opens what is in the directory and puts the services over it; blocks.
    ///
    /// # Errors
    /// When the data can't be opened.
    pub fn open(config: &Config, directory: DataDirectory, watch: Watch<'_>) -> Result<Self, CliError> {
        let opened = directory.open_metadata(store_options(config), watch);
        let (metadata, report) = opened.map_err(|error| CliError::opening(directory.path(), error))?;
        let metadata = Arc::new(metadata);
        let blobs = directory.open_blobs()?;
        let policy = Arc::new(policy(config));
        let stores = Stores { metadata, blobs, leases: Leases::default(), policy: Arc::clone(&policy) };
        let app = App::new(Services::new(&stores), http_settings(config), http_limits(config));
        Ok(Self { app: Arc::new(app), policy, directory, missing: report.missing })
    }

    /// Writes down which artifacts are damaged, as far as opening the directory showed it. What can't be written down is
    /// found again by who asks for it.
    pub async fn mark_missing(&mut self) {
        let missing = std::mem::take(&mut self.missing);
        if let Err(error) = self.app.services.damage.confirm(missing).await {
            tracing::error!(%error, "missing blobs could not be marked");
        }
    }

    /// Waits for writes that still run, stops jobs, writes down what was only counted, and closes the stores.
    pub async fn close(self) {
        let Self { app, policy: _, directory, missing: _ } = self;
        app.tracker.idle().await;
        app.services.jobs.stop().await;
        upkeep::flush_counts(&app.services).await;
        if Arc::into_inner(app).is_none() {
            tracing::error!("something still uses the stores: they are closed by the end of the process");
        }
        drop(directory);
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn signed_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn claims(config: &Config) -> ClaimPolicy {
    match config.namespaces.claim {
        NamespaceClaim::FirstUse => ClaimPolicy::FirstUse,
        NamespaceClaim::Admin => ClaimPolicy::Admin,
    }
}

fn json_depth(config: &Config) -> u32 {
    u32::try_from(config.limits.json_depth).unwrap_or(u32::MAX)
}

/// How the stores work.
pub(super) fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        cache_bytes: usize::try_from(config.storage.cache_bytes).unwrap_or(usize::MAX),
        queue_length: config.storage.queue,
        rotation: RotationRule {
            rotate_bytes: config.storage.rotate_bytes,
            retention_ticks: config.storage.retention.as_secs().max(1),
            journal_bytes_max: config.storage.journal_bytes_max,
        },
    }
}

fn policy(config: &Config) -> Policy {
    let limits = &config.limits;
    Policy {
        anonymous_read: config.anonymous_read,
        claims: claims(config),
        artifact_bytes_max: limits.artifact_bytes,
        readme_bytes_max: limits.readme_bytes,
        manifest_bytes_max: limits.manifest_bytes,
        description_bytes_max: limits.description_bytes,
        reason_bytes_max: limits.reason_bytes,
        keywords_max: limits.keywords as u64,
        dependencies_max: limits.dependencies as u64,
        roots_max: limits.resolve_roots as u64,
        json_depth_max: json_depth(config),
        free_bytes_min: config.storage.free_bytes_min,
        retention_ticks: config.storage.retention.as_secs(),
        upload_ttl_ms: signed_ms(config.uploads.ttl),
        uploads_per_user_max: config.uploads.per_user,
        token_expires_max_ms: config.tokens.expires_max.map(signed_ms),
        backup_dir: config.backup.dir.clone(),
        login: config.login.enabled,
        login_ttl_ms: signed_ms(config.login.token_ttl),
        login_concurrency: config.login.concurrency,
        login_failures_max: u32::try_from(config.login.failures_max).unwrap_or(u32::MAX),
        login_window_ms: signed_ms(config.login.failures_window),
        flush_interval_ms: ms(config.downloads.flush_interval),
    }
}

/// What the operator set for HTTP.
pub(super) fn http_settings(config: &Config) -> HttpSettings {
    let proxies = config.http.trusted_proxies.iter();
    HttpSettings {
        public_url: config.public_url.clone(),
        anonymous_read: config.anonymous_read,
        login: config.login.enabled,
        claims: claims(config),
        trusted_proxies: proxies.map(|net| Network { address: net.address(), prefix: net.prefix() }).collect(),
        cors_origins: config.cors.origins.clone(),
    }
}

/// The bounds of requests.
pub(super) fn http_limits(config: &Config) -> HttpLimits {
    let limits = &config.limits;
    HttpLimits {
        header_bytes_max: usize::try_from(limits.header_bytes).unwrap_or(usize::MAX),
        header_count_max: limits.header_count,
        uri_bytes_max: usize::try_from(limits.uri_bytes).unwrap_or(usize::MAX),
        json: JsonLimits { bytes_max: limits.json_bytes, depth_max: json_depth(config) },
        artifact_bytes_max: limits.artifact_bytes,
        readme_bytes_max: limits.readme_bytes,
        upload_ttl_s: config.uploads.ttl.as_secs(),
        request_timeout: config.http.request_timeout,
    }
}

/// The bounds of connections. hyper's own bounds of a head lie above the pipeline's, which refuses in the contract's
/// form.
pub(super) fn connection_limits(config: &Config) -> ConnectionLimits {
    let (http, defaults) = (&config.http, ConnectionLimits::default());
    let header_bytes = usize::try_from(config.limits.header_bytes.max(config.limits.uri_bytes)).unwrap_or(usize::MAX);
    ConnectionLimits {
        connections_max: http.connections_max,
        first_byte_timeout_ms: ms(http.first_byte_timeout),
        header_timeout_ms: ms(http.header_timeout),
        idle_timeout_ms: ms(http.idle_timeout),
        body_rate_bytes_per_s_min: http.body_rate_min,
        body_rate_window_ms: ms(http.body_rate_window),
        header_buffer_bytes: defaults.header_buffer_bytes.max(header_bytes.saturating_mul(4)),
        header_count_max: defaults.header_count_max.max(config.limits.header_count.saturating_add(28)),
        http2_header_list_bytes_max: u32::try_from(config.limits.header_bytes).unwrap_or(u32::MAX),
        shutdown_timeout_ms: ms(http.shutdown_timeout),
        ..defaults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the store does with its memory can't be seen from outside; the other keys are seen in `tests/settings`.
    #[test]
    fn the_store_is_given_its_memory_and_its_queue() {
        let mut config = Config::defaults();
        (config.storage.cache_bytes, config.storage.queue) = (3 << 20, 7);
        let options = store_options(&config);
        assert_eq!((options.cache_bytes, options.queue_length), (3 << 20, 7));
    }
}

//! What all requests share: the services, the settings and limits of this layer, and what is running.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::domain::create::ClaimPolicy;
use crate::domain::time::Timestamp;
use crate::services::Services;

use super::client::Network;
use super::json_body::JsonLimits;
use super::multipart::PartLimits;

/// Bounds that this layer keeps; the defaults are the contract's.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Most bytes of a request's header fields.
    pub header_bytes_max: usize,
    /// Most header fields.
    pub header_count_max: usize,
    /// Longest request target, in bytes.
    pub uri_bytes_max: usize,
    /// JSON bodies.
    pub json: JsonLimits,
    /// Largest artifact, in bytes.
    pub artifact_bytes_max: u64,
    /// Longest README, in bytes.
    pub readme_bytes_max: u64,
    /// How long an upload lives after its last byte, in seconds.
    pub upload_ttl_s: u64,
    /// How long a read may take until its answer begins; a long poll's `wait` comes on top.
    pub request_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            header_bytes_max: 16 << 10,
            header_count_max: 100,
            uri_bytes_max: 8 << 10,
            json: JsonLimits { bytes_max: 1 << 20, depth_max: 32 },
            artifact_bytes_max: 1 << 30,
            readme_bytes_max: 256 << 10,
            upload_ttl_s: 24 * 60 * 60,
            request_timeout: Duration::from_secs(30),
        }
    }
}

impl HttpLimits {
    /// The bounds of a publish in parts.
    pub fn parts(&self) -> PartLimits {
        PartLimits { metadata_bytes_max: self.json.bytes_max, artifact_bytes_max: self.artifact_bytes_max }
    }
}

/// What the operator set for this layer.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Where the registry is reached from outside, without a slash at the end.
    pub public_url: Option<String>,
    /// Whether public packages may be read without a token.
    pub anonymous_read: bool,
    /// Whether people may log in with a password.
    pub login: bool,
    /// Who may claim a namespace.
    pub claims: ClaimPolicy,
    /// Peers whose forwarded headers count.
    pub trusted_proxies: Vec<Network>,
    /// Origins (`https://ui.example`) whose pages may read.
    pub cors_origins: Vec<String>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            public_url: None,
            anonymous_read: true,
            login: true,
            claims: ClaimPolicy::FirstUse,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
        }
    }
}

/// Tells the time; tests bring their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// One registry as this layer sees it.
pub struct App {
    /// What it can do.
    pub services: Services,
    /// Its bounds.
    pub limits: HttpLimits,
    /// What the operator set.
    pub settings: HttpSettings,
    /// Writes that run apart from their connections.
    pub tracker: Tracker,
    clock: Clock,
    draining: AtomicBool,
}

impl App {
    /// Puts a registry together, on the system's clock.
    pub fn new(services: Services, settings: HttpSettings, limits: HttpLimits) -> Self {
        Self {
            services,
            limits,
            settings,
            tracker: Tracker::new(),
            clock: Arc::new(system_time),
            draining: AtomicBool::new(false),
        }
    }

    /// The same on another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// From now on `/readyz` says 503, so that load balancers look elsewhere; what comes is still answered.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the registry is on its way down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// What stands before a path in a body, `Location` or `Link`: nothing, unless `public_url` is set.
    pub fn base_url(&self) -> &str {
        self.settings.public_url.as_deref().unwrap_or("")
    }
}

/// The system's clock.
pub(super) fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Counts writes that run apart from their connections, so that a drain can wait for them.
pub struct Tracker {
    running: watch::Sender<usize>,
}

/// One running write; dropped when it ends, by a panic too.
pub struct Running {
    running: watch::Sender<usize>,
}

impl Tracker {
    fn new() -> Self {
        Self { running: watch::Sender::new(0) }
    }

    /// Counts one more.
    pub fn begin(&self) -> Running {
        self.running.send_modify(|count| *count += 1);
        Running { running: self.running.clone() }
    }

    /// How many run.
    pub fn count(&self) -> usize {
        *self.running.borrow()
    }

    /// Waits until none runs.
    pub async fn idle(&self) {
        let mut running = self.running.subscribe();
        // The sender lives in `self`, so waiting can't fail.
        drop(running.wait_for(|count| *count == 0).await);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.running.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_what_runs() {
        let tracker = Arc::new(Tracker::new());
        tracker.idle().await;
        let (one, other) = (tracker.begin(), tracker.begin());
        assert_eq!(tracker.count(), 2);
        let waiter = tokio::spawn({
            let tracker = Arc::clone(&tracker);
            async move { tracker.idle().await }
        });
        drop(one);
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(other);
        waiter.await.unwrap();
    }
}

//! How much there is, and whether everything works: for admins, load balancers and people who look.

use super::jobs::JobKind;
use super::reports::Reports;
use super::{ServiceError, Stores};
use crate::domain::event::Log;
use crate::domain::time::Timestamp;
use crate::storage::tables::Counter;
use crate::storage::{Cost, Metadata as _, StoreError, View};

/// That reads work and writes don't.
pub const READ_ONLY: &str = "read_only";

/// How much there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Packages, purged ones left out.
    pub packages: u64,
    /// Versions, tombstones left out.
    pub versions: u64,
    /// Users.
    pub users: u64,
    /// Tokens that were not revoked.
    pub tokens: u64,
    /// Blobs that something refers to.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Bytes that can still be written.
    pub disk_free_bytes: u64,
    /// The last serial of the public log.
    pub public_serial: u64,
    /// The last serial of the internal log.
    pub internal_serial: u64,
    /// When a backup was last finished.
    pub last_backup_at: Option<Timestamp>,
    /// When all bytes were last verified, whatever was found.
    pub last_verify_at: Option<Timestamp>,
    /// What does not work, though reads do.
    pub degraded: Vec<&'static str>,
}

/// How a check went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// As it should be.
    Ok,
    /// Reads go on.
    Warn,
    /// Reads don't work.
    Fail,
}

impl Health {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One check of readiness.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadinessCheck {
    /// What was looked at.
    pub name: &'static str,
    /// How it went.
    pub health: Health,
    /// What was found, for people; nothing about the host stands in it.
    pub message: String,
}

/// Whether the registry can do its work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Readiness {
    /// The worst of the checks.
    pub health: Health,
    /// What does not work, though reads do.
    pub degraded: Vec<&'static str>,
    /// The single checks.
    pub checks: Vec<ReadinessCheck>,
}

/// Counts and checks.
pub struct StatsService {
    stores: Stores,
    reports: Reports,
}

impl StatsService {
    /// Looks at `stores`.
    pub fn new(stores: Stores) -> Self {
        let reports = Reports::of(stores.blobs.data());
        Self { stores, reports }
    }

    /// How much there is.
    ///
    /// # Errors
    /// That the store can't be read, or the disk does not tell its free space.
    pub async fn stats(&self) -> Result<Stats, ServiceError> {
        let disk_free_bytes = self.stores.blobs.free_bytes()?;
        let degraded = self.readiness().await.degraded;
        let [last_backup_at, last_verify_at] =
            [JobKind::Backup, JobKind::Verify].map(|kind| self.reports.last(kind)?.done_at);
        let count = move |view: &View<'_>| {
            Ok(Stats {
                packages: view.counter(Counter::Packages)?,
                versions: view.counter(Counter::Versions)?,
                users: view.counter(Counter::Users)?,
                tokens: view.counter(Counter::Tokens)?,
                blobs: view.counter(Counter::Blobs)?,
                blob_bytes: view.counter(Counter::BlobBytes)?,
                disk_free_bytes,
                public_serial: last_serial(view, Log::Public)?,
                internal_serial: last_serial(view, Log::Internal)?,
                last_backup_at,
                last_verify_at,
                degraded,
            })
        };
        Ok(self.stores.metadata.read(Cost::Point, count).await?)
    }

    /// Whether an earlier write failed such that nothing is written until a restart.
    pub fn is_read_only(&self) -> bool {
        self.stores.metadata.is_read_only() || self.stores.blobs.is_read_only()
    }

    /// Whether reads work, whether writes do, and what was looked at to know.
    pub async fn readiness(&self) -> Readiness {
        let checks = vec![self.check_reads().await, self.check_writes(), self.check_room()];
        let worst = |worst: Health, check: &ReadinessCheck| match (worst, check.health) {
            (Health::Fail, _) | (_, Health::Fail) => Health::Fail,
            (Health::Warn, _) | (_, Health::Warn) => Health::Warn,
            (Health::Ok, Health::Ok) => Health::Ok,
        };
        let health = checks.iter().fold(Health::Ok, worst);
        let degraded =
            if checks.iter().any(|check| check.health == Health::Warn) { vec![READ_ONLY] } else { Vec::new() };
        Readiness { health, degraded, checks }
    }

    async fn check_reads(&self) -> ReadinessCheck {
        let read = self.stores.metadata.read(Cost::Point, |view| view.log_size(Log::Public)).await;
        let (health, message) = match read {
            Ok(_) => (Health::Ok, "packages can be read"),
            Err(error) => {
                tracing::error!(%error, "the store can't be read");
                (Health::Fail, "packages can't be read; the server's log says why")
            }
        };
        ReadinessCheck { name: "store", health, message: message.to_owned() }
    }

    fn check_writes(&self) -> ReadinessCheck {
        let (health, message) = if self.is_read_only() {
            (Health::Warn, "an earlier write failed on the disk; nothing is written until a restart")
        } else {
            (Health::Ok, "changes can be written")
        };
        ReadinessCheck { name: "writes", health, message: message.to_owned() }
    }

    fn check_room(&self) -> ReadinessCheck {
        let kept = self.stores.policy.free_bytes_min;
        let (health, message) = match self.stores.blobs.free_bytes() {
            Ok(free) if free >= kept => (Health::Ok, format!("{free} bytes are free")),
            Ok(free) => (Health::Warn, format!("{free} bytes are free, and {kept} have to stay free: no publishing")),
            Err(error) => {
                tracing::error!(%error, "the disk does not tell its free space");
                (Health::Warn, "the disk does not tell its free space".to_owned())
            }
        };
        ReadinessCheck { name: "disk", health, message }
    }
}

/// The serial of a log's last entry; 0 is the one that opens it.
fn last_serial(view: &View<'_>, log: Log) -> Result<u64, StoreError> {
    Ok(view.log_size(log)?.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::package::Visibility;
    use crate::domain::token::Scope;
    use crate::services::Policy;
    use crate::services::fixture_tests::Registry;

    #[tokio::test]
    async fn what_there_is_is_counted() {
        let registry = Registry::new();
        let pia = registry.user("pia", Scope::Publish, "*").await;
        registry.publish_each(&pia, Visibility::Public, &["gk/a", "b"]).await;
        registry.publish_each(&pia, Visibility::Private, &["gk/c"]).await;
        let stats = registry.services.stats.stats().await.unwrap();
        let counts = (stats.packages, stats.versions, stats.users, stats.tokens, stats.blobs, stats.blob_bytes);
        assert_eq!(counts, (3, 3, 1, 1, 3, 27));
        assert_eq!((stats.public_serial, stats.internal_serial), (8, 3));
        assert!(stats.degraded.is_empty() && stats.disk_free_bytes > 0);
    }

    #[tokio::test]
    async fn little_room_degrades_and_does_not_fail() {
        let registry = Registry::with(Policy { free_bytes_min: u64::MAX, ..Policy::default() });
        let readiness = registry.services.stats.readiness().await;
        assert_eq!((readiness.health, readiness.degraded.as_slice()), (Health::Warn, &[READ_ONLY][..]));
        let health: Vec<_> = readiness.checks.iter().map(|check| (check.name, check.health)).collect();
        assert_eq!(health, [("store", Health::Ok), ("writes", Health::Ok), ("disk", Health::Warn)]);
        assert_eq!(registry.services.stats.stats().await.unwrap().degraded, [READ_ONLY]);
        let sound = Registry::new().services.stats.readiness().await;
        assert_eq!((sound.health, sound.degraded.len()), (Health::Ok, 0));
    }
}

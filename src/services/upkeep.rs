//! What a server does by itself, at its own pace: writes down what was counted, ends what has expired.
//!
//! Each task is a function that can be called alone; [`run`] only says when. A task that fails is logged and comes
//! again, so nothing here stops a server.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::sweep::{Due, SweepError};
use super::{Policy, ServiceError, Services};
use crate::storage::progress::{Advance, Cancelled, Progress};

/// How often expired uploads are looked for.
const EXPIRE_EVERY: Duration = Duration::from_mins(1);
/// The longest time between two sweeps of blobs.
const SWEEP_EVERY_MAX: Duration = Duration::from_mins(10);
/// Sweeps within one retention.
const SWEEPS_PER_RETENTION: u64 = 4;

/// Works until `shutdown` says true (or its sender is gone), then ends the waits of the change feed, stops jobs, and
/// writes down what was counted so far. What is still answered while the server drains is left to one more [`flush_counts`].
pub async fn run(services: &Services, policy: &Policy, shutdown: watch::Receiver<bool>) {
    let stop = Stop(shutdown);
    tokio::join!(count(services, policy, stop.clone()), sweep(services, policy, stop.clone()), damage(services, stop));
    services.changes.end_waits();
    services.jobs.stop().await;
    flush_counts(services).await;
}

/// Tells works of the server's own when to stop.
#[derive(Clone)]
struct Stop(watch::Receiver<bool>);

impl Stop {
    async fn wait(&mut self) {
        drop(self.0.wait_for(|stopping| *stopping).await);
    }
}

impl Progress for Stop {
    fn advance(&self, _at: Advance) -> Result<(), Cancelled> {
        let is_stopping = *self.0.borrow() || self.0.has_changed().is_err();
        if is_stopping { Err(Cancelled) } else { Ok(()) }
    }
}

async fn count(services: &Services, policy: &Policy, mut stop: Stop) {
    let mut flush = every(Duration::from_millis(policy.flush_interval_ms.max(1)));
    let mut expire = every(EXPIRE_EVERY);
    loop {
        tokio::select! {
            _ = flush.tick() => flush_counts(services).await,
            _ = expire.tick() => expire_uploads(services).await,
            () = stop.wait() => return,
        }
    }
}

async fn sweep(services: &Services, policy: &Policy, mut stop: Stop) {
    let period = Duration::from_secs(policy.retention_ticks / SWEEPS_PER_RETENTION);
    let mut due = every(period.clamp(Duration::from_secs(1), SWEEP_EVERY_MAX));
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = stop.wait() => return,
        }
        match services.sweep.sweep(Due::Retention, &stop).await {
            Ok(_) | Err(SweepError::Cancelled(_)) => {}
            Err(SweepError::Failed(error)) => note("removing blobs that nothing refers to", Err(error)),
        }
    }
}

async fn damage(services: &Services, mut stop: Stop) {
    loop {
        let suspects = tokio::select! {
            suspects = services.damage.suspected() => suspects,
            () = stop.wait() => return,
        };
        note("looking at blobs that seem damaged", services.damage.confirm(suspects).await.map(|_| ()));
    }
}

/// What a start does before anybody is served.
///
/// # Errors
/// That the store or the disk failed.
pub async fn prepare(services: &Services) -> Result<(), ServiceError> {
    let (files, rows) = services.uploads.reconcile().await?;
    if files + rows > 0 {
        tracing::info!(files, rows, "halves of uploads that a stop left were removed");
    }
    Ok(())
}

/// Writes down downloads and uses of tokens.
pub async fn flush_counts(services: &Services) {
    note("writing down downloads", services.downloads.flush_counts().await);
    note("writing down uses of tokens", services.auth.flush_uses().await);
}

/// Removes uploads whose time is over.
pub async fn expire_uploads(services: &Services) {
    note("removing expired uploads", services.uploads.expire_uploads().await.map(|_| ()));
}

fn note(task: &'static str, result: Result<(), ServiceError>) {
    if let Err(error) = result {
        tracing::warn!(%error, task, "a task of the server's own failed");
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::package::Visibility;
    use crate::domain::token::Scope;
    use crate::services::fixture_tests::{Registry, name};
    use crate::services::versions::VersionRef;
    use crate::storage::{Cost, Metadata as _};

    #[tokio::test]
    async fn what_was_counted_is_written_down_at_the_end() {
        let registry = Registry::new();
        let pia = registry.user("pia", Scope::Publish, "*").await;
        registry.publish_each(&pia, Visibility::Public, &["json"]).await;
        let (services, context, json) = (&registry.services, registry.anonymous(), name("json"));
        let artifact = services.downloads.artifact(&context, &json, VersionRef::Latest, None).await.unwrap();
        services.downloads.count(&artifact);
        let (stop, stopping) = watch::channel(true);
        run(services, &registry.stores.policy, stopping).await;
        drop(stop);
        let count = registry.stores.metadata.read(Cost::Point, move |view| view.downloads(&json, None)).await;
        assert_eq!(count.unwrap(), 1);
    }
}

//! What a server does by itself, at its own pace: writes down what was counted, ends what has expired.
//!
//! Each task is a function that can be called alone; [`run`] only says when. A task that fails is logged and comes
//! again, so nothing here stops a server.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Policy, ServiceError, Services};

/// How often expired uploads are looked for.
const EXPIRE_EVERY: Duration = Duration::from_mins(1);

/// Works until `shutdown` says true (or its sender is gone), then ends the waits of the change feed, stops jobs, and
/// writes down what was counted so far. What is still answered while the server drains is left to one more [`flush_counts`].
pub async fn run(services: &Services, policy: &Policy, mut shutdown: watch::Receiver<bool>) {
    let mut flush = every(Duration::from_millis(policy.flush_interval_ms.max(1)));
    let mut expire = every(EXPIRE_EVERY);
    loop {
        tokio::select! {
            _ = flush.tick() => flush_counts(services).await,
            _ = expire.tick() => expire_uploads(services).await,
            () = async { drop(shutdown.wait_for(|stopping| *stopping).await) } => break,
        }
    }
    services.changes.end_waits();
    services.jobs.stop().await;
    flush_counts(services).await;
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

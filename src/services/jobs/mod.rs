//! Long works that outlive the request that asked for them: backup, verify, gc.
//!
//! Owns when they may begin, where they run (a thread that may block), and how they end: a client that hangs up changes
//! nothing, and a server that stops stops them at their next piece, after which everything is as harmless as if it had
//! been killed there. What each kind does is an engine's of the storage layer or a service's; start at [`JobService`].

mod backup;
mod board;
mod gc;
mod job;
mod result;
mod verify;

use std::sync::Arc;
use std::time::Duration;

pub use board::JOBS_MAX;
use board::{Board, Ended};
pub use gc::GcAsk;
pub use job::{Job, JobError, JobKind, JobState};
use result::findings;
pub use result::{BackupResult, Finding, GcEntry, GcResult, JobResult, LISTED_MAX, VerifyResult};
#[cfg(test)]
pub(super) use verify::Live;

use super::accounts::page;
use super::context::Deed;
use super::reports::{Outcome, Reports};
use super::{Context, ServiceError, Stores};
use crate::domain::id::Id;
use crate::domain::permission::instance_admin;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::services::new_id;
use crate::storage::progress::{Cancelled, Progress};
use crate::storage::{ChangeError, Decided, Metadata as _, StoreError, View};

/// How long [`JobService::stop`] waits for jobs that were told to stop. Each looks after a piece of its work, at most
/// 8 MiB, so that this is enough for the slowest of disks.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// A job of the registry.
pub type RegistryJob = Job<JobResult>;

/// Begins jobs, and knows how they are.
pub struct JobService {
    stores: Stores,
    board: Arc<Board<JobResult>>,
    reports: Reports,
}

/// What a job is to do.
pub struct Order<'a, W> {
    /// One of a kind is under way at a time.
    pub kind: JobKind,
    /// What the audit calls it.
    pub action: &'static str,
    /// What it is done to, for the audit.
    pub target: Option<&'a str>,
    /// What is done, on a thread that may block.
    pub work: W,
}

/// Why a work ended without a result.
#[derive(Debug)]
pub enum Broken {
    /// It was told to stop.
    Cancelled,
    /// It could not go on.
    Failed(ServiceError),
}

impl From<Cancelled> for Broken {
    fn from(Cancelled: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<ServiceError> for Broken {
    fn from(error: ServiceError) -> Self {
        Self::Failed(error)
    }
}

impl JobService {
    /// Works on `stores`.
    pub fn new(stores: Stores) -> Self {
        let reports = Reports::of(stores.blobs.data());
        Self { stores, board: Arc::new(Board::new()), reports }
    }

    /// Jobs that were begun before the one called `before`, newest first, and the one from which older ones follow.
    ///
    /// # Errors
    /// As [`instance_admin`].
    pub fn list(
        &self,
        ctx: &Context,
        before: Option<Id>,
        limit: usize,
    ) -> Result<(Vec<RegistryJob>, Option<Id>), ServiceError> {
        instance_admin(&ctx.caller)?;
        Ok(page(self.board.list(before, limit.saturating_add(1)), limit, |job| job.id))
    }

    /// One job.
    ///
    /// # Errors
    /// As [`instance_admin`]; `job_not_found` when there is none, or it was forgotten.
    pub fn get(&self, ctx: &Context, id: Id) -> Result<RegistryJob, ServiceError> {
        instance_admin(&ctx.caller)?;
        self.board.get(id).ok_or_else(|| {
            let message = format!(
                "There is no job `{id}`: check its id. The newest {JOBS_MAX} are remembered, until the server stops."
            );
            ServiceError::refused(Reason::JobNotFound, message)
        })
    }

    /// Takes no job any more, tells those under way to stop, and waits for them.
    pub async fn stop(&self) {
        self.board.close();
        if tokio::time::timeout(STOP_PATIENCE, self.board.idle()).await.is_err() {
            tracing::error!("a job did not stop when it was told to; the end of the process ends it");
        }
    }

    /// Begins a job on a thread that may block. The audit has its entry before anything is done.
    ///
    /// # Errors
    /// As [`instance_admin`]; `job_running` when one of its kind is under way, `draining` when the server stops.
    pub async fn begin<W>(&self, ctx: &Context, order: Order<'_, W>) -> Result<RegistryJob, ServiceError>
    where
        W: FnOnce(&dyn Progress) -> Result<JobResult, Broken> + Send + 'static,
    {
        instance_admin(&ctx.caller)?;
        let Order { kind, action, target, work } = order;
        let task = self.board.admit(new_id(ctx.now)?, kind, ctx.now)?;
        if let Err(error) = self.audit(ctx, Deed { action, target, ..Deed::default() }).await {
            self.board.withdraw(&task);
            return Err(error);
        }
        let job = task.look();
        let (board, reports) = (Arc::clone(&self.board), self.reports.clone());
        tokio::spawn(async move {
            let working = Arc::clone(&task);
            let ended = tokio::task::spawn_blocking(move || {
                working.begin();
                let ended = work(&*working);
                // Report and job tell one time.
                let at = working.now();
                note(&reports, kind, at, &ended);
                (at, ended)
            });
            let (at, ended) = ended.await.unwrap_or_else(|panic| {
                let error = ServiceError::internal("running a job", panic.to_string());
                (task.now(), Err(Broken::Failed(error)))
            });
            board.finish(&task, at, told(kind, ended));
        });
        Ok(job)
    }

    /// Writes down who asked. A registry that takes no writes can still be read, verified and copied, just then.
    async fn audit(&self, ctx: &Context, deed: Deed<'_>) -> Result<(), ServiceError> {
        let action = deed.action;
        let entry = ctx.audit(deed);
        let write = move |_: &View<'_>, _| Ok(Decided { changes: vec![entry.clone()], answer: () });
        match self.stores.metadata.change(write).await {
            Err(ChangeError::Store(StoreError::ReadOnly)) => {
                tracing::warn!(action, request_id = ctx.request_id, "an entry is missing from the audit: read-only");
                Ok(())
            }
            written => Ok(written?),
        }
    }
}

/// Writes the report of a work that ended by itself.
fn note(reports: &Reports, kind: JobKind, at: Timestamp, ended: &Result<JobResult, Broken>) {
    let told = match ended {
        Ok(result) => result.report(),
        Err(Broken::Cancelled) => None,
        Err(Broken::Failed(ServiceError::Refused(refusal))) => Some((Outcome::Failed, refusal.message.clone())),
        Err(Broken::Failed(error @ ServiceError::Internal { .. })) => Some((Outcome::Failed, error.to_string())),
    };
    if let Some((outcome, text)) = told {
        reports.note(kind, at, outcome, &text);
    }
}

/// The end of a work as its asker is told.
fn told(kind: JobKind, ended: Result<JobResult, Broken>) -> Ended<JobResult> {
    ended.map_err(|broken| match broken {
        Broken::Cancelled => JobError {
            reason: Reason::Draining,
            message: "The server stopped before it was done, and left nothing half-done: ask again.".to_owned(),
        },
        Broken::Failed(ServiceError::Refused(Refusal { reason, message, .. })) => JobError { reason, message },
        Broken::Failed(error @ ServiceError::Internal { .. }) => {
            tracing::error!(error = &error as &dyn std::error::Error, job = kind.as_str(), "a job failed");
            let message = "The job failed; the server's log says why.".to_owned();
            JobError { reason: Reason::Internal, message }
        }
    })
}

#[cfg(test)]
mod tests;

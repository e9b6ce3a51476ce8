//! `gc` as a job: what nothing needs any more is told, and removed when that is asked.

use tokio::runtime::Handle;

use super::{Broken, JobKind, JobResult, JobService, Order, RegistryJob};
use crate::services::gc::GcService;
use crate::services::{Context, ServiceError};
use crate::storage::progress::Progress;

/// What a gc is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GcAsk {
    /// Whether it is done, too; else it is a plan.
    pub apply: bool,
    /// Whether the retention counts for nothing.
    pub now: bool,
}

impl JobService {
    /// Begins to look for what may go, and to remove it when that is asked.
    ///
    /// # Errors
    /// As [`JobService::begin`].
    pub async fn gc(&self, ctx: &Context, gc: &GcService, ask: GcAsk) -> Result<RegistryJob, ServiceError> {
        let (gc, runtime) = (gc.clone(), Handle::current());
        let work = move |progress: &dyn Progress| -> Result<JobResult, Broken> {
            let done = runtime.block_on(async {
                if ask.apply { gc.run(ask.now, progress).await } else { gc.plan(ask.now, progress).await }
            });
            Ok(JobResult::Gc(done?))
        };
        let target = match ask {
            GcAsk { apply: false, .. } => "plan",
            GcAsk { apply: true, now: false } => "apply",
            GcAsk { apply: true, now: true } => "apply now",
        };
        self.begin(ctx, Order { kind: JobKind::Gc, action: "admin.gc", target: Some(target), work }).await
    }
}

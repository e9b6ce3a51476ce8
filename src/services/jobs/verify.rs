//! `verify` as a job of a running server.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::{Broken, JobKind, JobResult, JobService, Order, RegistryJob, VerifyResult, findings};
use crate::services::damage::DamageService;
use crate::services::{Context, ServiceError};
use crate::storage::Backend;
use crate::storage::progress::Progress;
use crate::storage::scrub::ScrubError;
use crate::storage::scrub::replica::{Workshop, scratch_of};
use crate::storage::scrub::verify::{LiveIndex, Verification, VerifyReport, VisitIndex, Whose, verify};

/// Memory for the pages of the index that is built to compare with, in bytes.
const CACHE_BYTES: usize = 16 << 20;

impl JobService {
    /// Begins to read every byte and row.
    ///
    /// # Errors
    /// As [`JobService::begin`].
    pub async fn verify(&self, ctx: &Context) -> Result<RegistryJob, ServiceError> {
        let (stores, runtime) = (self.stores.clone(), Handle::current());
        let work = move |progress: &dyn Progress| {
            let workshop = Workshop {
                fs: Arc::clone(stores.blobs.fs()),
                data: stores.blobs.data().to_owned(),
                scratch: scratch_of(stores.blobs.data()),
                cache_bytes: CACHE_BYTES,
            };
            make_scratch(&workshop)?;
            let live = Live { metadata: Arc::clone(&stores.metadata), runtime };
            let whose = Whose::Server(&live);
            let report = verify(&Verification { workshop: &workshop, whose, bytes_per_second_max: None }, progress)?;
            for generation in &report.rotten_snapshots {
                if let Err(error) = live.metadata.replace_snapshot(*generation) {
                    tracing::warn!(%error, %generation, "a damaged snapshot could not be made anew");
                }
            }
            let suspects = report.findings.list().iter().filter_map(|finding| finding.blob).collect();
            // What can't be marked now is met again: by a download, or by the next verification.
            if let Err(error) = live.runtime.block_on(DamageService::new(stores).confirm(suspects)) {
                tracing::warn!(%error, "damaged blobs could not be marked");
            }
            Ok(JobResult::Verify(report.into()))
        };
        self.begin(ctx, Order { kind: JobKind::Verify, action: "admin.verify", target: None, work }).await
    }
}

/// The index that this server uses, read from a thread that may block.
pub(in crate::services) struct Live {
    pub(in crate::services) metadata: Arc<Backend>,
    pub(in crate::services) runtime: Handle,
}

impl LiveIndex for Live {
    fn read(&self, visit: &mut VisitIndex<'_>) -> Result<(), ScrubError> {
        self.runtime.block_on(self.metadata.read_at(|rows, position| visit(rows, position)))
    }
}

fn make_scratch(workshop: &Workshop) -> Result<(), ServiceError> {
    match workshop.fs.create_dir(&workshop.scratch) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(ServiceError::internal("making a place for the replica", error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

impl From<ScrubError> for Broken {
    fn from(error: ScrubError) -> Self {
        match error {
            ScrubError::Cancelled(_) => Self::Cancelled,
            ScrubError::Store(error) => Self::Failed(error.into()),
            error @ (ScrubError::Journal(_)
            | ScrubError::Refused(_)
            | ScrubError::Io { .. }
            | ScrubError::Panicked(_)) => Self::Failed(ServiceError::internal("verifying", error)),
        }
    }
}

impl From<VerifyReport> for VerifyResult {
    fn from(report: VerifyReport) -> Self {
        Self {
            blobs: report.blobs.blobs,
            blob_bytes: report.blobs.bytes,
            frames: report.journal.frames,
            snapshots: report.journal.snapshots,
            rows: report.rows,
            findings: findings(&report.findings),
            findings_left_off: report.findings.left_off(),
        }
    }
}

//! `backup` as a job of a running server: into the configured folder, and nowhere else.

use std::path::{Path, PathBuf};

use super::{BackupResult, Broken, JobKind, JobResult, JobService, Order, RegistryJob, findings};
use crate::domain::backup::BackupName;
use crate::domain::permission::instance_admin;
use crate::domain::refusal::{Reason, Refusal};
use crate::services::{Context, ServiceError};
use crate::storage::backup::{BackupError, BackupOptions, BackupReport, create};
use crate::storage::progress::Progress;

/// Memory for the pages of the index that is built to read the backup back, in bytes.
const CACHE_BYTES: usize = 16 << 20;

impl JobService {
    /// Begins to make a backup under this name.
    ///
    /// # Errors
    /// As [`JobService::begin`]; `invalid_field` when no folder is configured, `already_exists` when the name is taken.
    pub async fn backup(&self, ctx: &Context, name: BackupName) -> Result<RegistryJob, ServiceError> {
        instance_admin(&ctx.caller)?;
        let dest = self.place(&name)?;
        let stores = self.stores.clone();
        let target = name.to_string();
        let work = move |progress: &dyn Progress| {
            // What is linked would share the fate of the registry's disk; a folder on that disk is the operator's word.
            let options = BackupOptions { copy: false, cache_bytes: CACHE_BYTES };
            let report = create(stores.blobs.fs(), stores.blobs.data(), &dest, &options, progress)?;
            Ok(JobResult::Backup(BackupResult::new(name.to_string(), &report)))
        };
        let order = Order { kind: JobKind::Backup, action: "admin.backup", target: Some(&target), work };
        self.begin(ctx, order).await
    }

    /// Where a backup of that name goes, if nothing is there.
    fn place(&self, name: &BackupName) -> Result<PathBuf, Refusal> {
        let Some(folder) = &self.stores.policy.backup_dir else {
            let message = "This registry makes no backups over the API: its operator has to set `backup.dir`, or to run \
                           `vix-registry backup create`.";
            return Err(Refusal::field(Reason::InvalidField, "name", message));
        };
        let dest = folder.join(name.as_str());
        if is_there(self, &dest) { Err(taken(name.as_str())) } else { Ok(dest) }
    }
}

fn is_there(jobs: &JobService, path: &Path) -> bool {
    jobs.stores.blobs.fs().open_dir(path).is_ok()
}

fn taken(name: &str) -> Refusal {
    let message = format!("There is something under the name `{name}` already: choose another name.");
    Refusal::new(Reason::AlreadyExists, message)
}

impl From<BackupError> for Broken {
    /// In words without a path of the host.
    fn from(error: BackupError) -> Self {
        let failed = |reason, message: &str| Self::Failed(ServiceError::refused(reason, message));
        match error {
            BackupError::Cancelled(_) => Self::Cancelled,
            BackupError::Exists(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Self::Failed(taken(&name).into())
            }
            BackupError::Foreign { .. } => failed(
                Reason::AlreadyExists,
                "There are other things where the unfinished backup would grow: choose another name.",
            ),
            BackupError::Busy(_) => {
                failed(Reason::AlreadyExists, "Another process makes a backup of that name: choose another name.")
            }
            BackupError::NoFolder(_) => failed(
                Reason::Internal,
                "The folder that `backup.dir` names is not there: its operator has to make it.",
            ),
            BackupError::Outlasted { file } => failed(
                Reason::Internal,
                &format!(
                    "`{file}` is gone: the backup took longer than `storage.retention`, or it was lost; verify, and try again."
                ),
            ),
            BackupError::NotWhole { finding, .. } => failed(
                Reason::Internal,
                &format!("What was written does not read back: {}: {}.", finding.file, finding.what),
            ),
            BackupError::Full { free_bytes, .. } => Self::Failed(ServiceError::storage_full(0, free_bytes)),
            BackupError::Store(error) => Self::Failed(error.into()),
            BackupError::Scrub(error) => error.into(),
            error @ (BackupError::NoRegistry(_)
            | BackupError::BeforeJournal(_)
            | BackupError::Refused(_)
            | BackupError::Journal(_)
            | BackupError::Io { .. }) => Self::Failed(ServiceError::internal("making a backup", error)),
        }
    }
}

impl BackupResult {
    /// Of a backup that was made as `name`.
    pub fn new(name: String, report: &BackupReport) -> Self {
        Self {
            name,
            number: report.state.number,
            rows: report.rows,
            blobs: report.blobs,
            blob_bytes: report.blob_bytes,
            linked: report.linked,
            findings: findings(&report.findings),
            findings_left_off: report.findings.left_off(),
        }
    }
}

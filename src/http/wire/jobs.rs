//! Jobs, and what they are asked and end with, as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::backup::BackupName;
use crate::domain::refusal::Refusal;
use crate::http::problem;
use crate::services::jobs::{self, GcAsk, RegistryJob};

/// A backup to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBackup {
    name: String,
}

impl NewBackup {
    /// Its name under the configured folder.
    ///
    /// # Errors
    /// `invalid_field`.
    pub fn read(&self) -> Result<BackupName, Refusal> {
        BackupName::parse(&self.name)
    }
}

/// What a gc may do; without a body, or with `{}`, it only plans.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct GcRequest {
    /// Whether it is done, too.
    #[serde(default)]
    pub apply: bool,
    /// Whether also that goes which is kept for copies under way, and what was purged from the journal; copies under
    /// way are void then.
    #[serde(default)]
    pub now: bool,
}

impl GcRequest {
    /// What the service is asked.
    pub fn read(&self) -> GcAsk {
        GcAsk { apply: self.apply, now: self.now }
    }
}

/// A long work that goes on after its request.
#[derive(Serialize, JsonSchema)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// `backup`, `verify` or `gc`.
    pub kind: &'static str,
    /// `queued`, `running`, `done` or `failed`.
    pub state: &'static str,
    /// How far it is. A work of several parts tells one part after another, each in its own unit.
    pub progress: JobProgress,
    /// When it was asked for.
    pub created_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// What it ended with; which fields it has follows from `kind`.
    pub result: Option<JobResult>,
    /// Why it failed.
    pub error: Option<JobError>,
}

/// How far a job is.
#[derive(Serialize, JsonSchema)]
pub struct JobProgress {
    /// How many are done.
    pub done: u64,
    /// Of how many, when that is known.
    pub total: Option<u64>,
    /// What is counted: `bytes`, `blobs`, `rows` or `frames`.
    pub unit: &'static str,
}

/// Why a job failed; as in the failure of a request.
#[derive(Serialize, JsonSchema)]
pub struct JobError {
    /// The coarse kind, in upper case.
    pub code: &'static str,
    /// The exact case; branch on this one.
    pub reason: &'static str,
    /// What was wrong and what to do, for people.
    pub message: String,
}

/// What a job ended with.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum JobResult {
    /// Of a backup.
    Backup(BackupResult),
    /// Of a verification.
    Verify(VerifyResult),
    /// Of a gc.
    Gc(GcResult),
}

/// A backup that was made and found whole.
#[derive(Serialize, JsonSchema)]
pub struct BackupResult {
    /// Its name under the configured folder.
    pub name: String,
    /// The number of the last frame of the journal that is in it.
    pub number: u64,
    /// Rows.
    pub rows: u64,
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Of the blobs, those that are hard links to the registry's own files and share its disk's fate.
    pub linked: u64,
    /// What is wrong with the registry's artifacts, and so with the backup's; empty is good.
    pub findings: Vec<Finding>,
    /// How many findings are left off the list, which has 1000 at most.
    pub findings_left_off: u64,
}

/// What was read, and what was found.
#[derive(Serialize, JsonSchema)]
pub struct VerifyResult {
    /// Blobs that were read and hashed.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Frames of the journal that were read.
    pub frames: u64,
    /// Snapshots that were read.
    pub snapshots: u64,
    /// Rows of the index that were compared.
    pub rows: u64,
    /// What is not as it should be; empty is good.
    pub findings: Vec<Finding>,
    /// How many findings are left off the list, which has 1000 at most.
    pub findings_left_off: u64,
}

/// Something that is not as it should be.
#[derive(Serialize, JsonSchema)]
pub struct Finding {
    /// The file, from the data directory on.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

/// What goes and what stays.
#[derive(Serialize, JsonSchema)]
pub struct GcResult {
    /// Whether it was done; else this is a plan.
    pub applied: bool,
    /// How many things go, or went.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// How many things stay though nothing needs them any more.
    pub kept: u64,
    /// Their bytes.
    pub kept_bytes: u64,
    /// The things, and why each goes or stays.
    pub entries: Vec<GcEntry>,
    /// How many things are left off the list, which has 1000 at most.
    pub entries_left_off: u64,
}

/// One thing that a gc looked at.
#[derive(Serialize, JsonSchema)]
pub struct GcEntry {
    /// The file, from the data directory on.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// Whether it goes, or went.
    pub goes: bool,
    /// Why.
    pub why: String,
    /// For how many more seconds of a running server it stays, when that is known.
    pub stays_s: Option<u64>,
}

impl From<&RegistryJob> for Job {
    fn from(job: &RegistryJob) -> Self {
        Self {
            id: job.id.to_string(),
            kind: job.kind.as_str(),
            state: job.state.as_str(),
            progress: JobProgress {
                done: job.progress.done,
                total: job.progress.total,
                unit: job.progress.unit.as_str(),
            },
            created_at: job.created_at.to_string(),
            finished_at: job.finished_at.map(|at| at.to_string()),
            result: job.result.as_ref().map(JobResult::from),
            error: job.error.as_ref().map(|error| JobError {
                code: problem::answer(error.reason).code,
                reason: error.reason.as_str(),
                message: error.message.clone(),
            }),
        }
    }
}

impl From<&jobs::JobResult> for JobResult {
    fn from(result: &jobs::JobResult) -> Self {
        match result {
            jobs::JobResult::Backup(backup) => Self::Backup(backup.into()),
            jobs::JobResult::Verify(verify) => Self::Verify(verify.into()),
            jobs::JobResult::Gc(gc) => Self::Gc(gc.into()),
        }
    }
}

impl From<&jobs::BackupResult> for BackupResult {
    fn from(backup: &jobs::BackupResult) -> Self {
        let jobs::BackupResult { name, number, rows, blobs, blob_bytes, linked, findings, findings_left_off } =
            backup.clone();
        let findings = findings.into_iter().map(Finding::from).collect();
        Self { name, number, rows, blobs, blob_bytes, linked, findings, findings_left_off }
    }
}

impl From<&jobs::VerifyResult> for VerifyResult {
    fn from(verify: &jobs::VerifyResult) -> Self {
        Self {
            blobs: verify.blobs,
            blob_bytes: verify.blob_bytes,
            frames: verify.frames,
            snapshots: verify.snapshots,
            rows: verify.rows,
            findings: verify.findings.iter().cloned().map(Finding::from).collect(),
            findings_left_off: verify.findings_left_off,
        }
    }
}

impl From<jobs::Finding> for Finding {
    fn from(finding: jobs::Finding) -> Self {
        let jobs::Finding { file, what, fix } = finding;
        Self { file, what, fix }
    }
}

impl From<&jobs::GcResult> for GcResult {
    fn from(gc: &jobs::GcResult) -> Self {
        let entry = |jobs::GcEntry { file, bytes, goes, why, stays_s }| GcEntry { file, bytes, goes, why, stays_s };
        Self {
            applied: gc.applied,
            removed: gc.removed,
            removed_bytes: gc.removed_bytes,
            kept: gc.kept,
            kept_bytes: gc.kept_bytes,
            entries: gc.entries.iter().cloned().map(entry).collect(),
            entries_left_off: gc.entries_left_off,
        }
    }
}

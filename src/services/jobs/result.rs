//! What jobs end with.

use crate::services::reports::Outcome;
use crate::storage::scrub::{self, Findings};

/// Most findings, or entries of a gc's plan, that one result lists; the rest is counted.
pub const LISTED_MAX: usize = 1000;

/// What a job ended with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobResult {
    /// A backup was made and found whole.
    Backup(BackupResult),
    /// Everything was read.
    Verify(VerifyResult),
    /// It is told what goes and what stays, and why.
    Gc(GcResult),
}

/// A backup that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupResult {
    /// Its name under the configured folder, or where it is.
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
    /// What is wrong with the registry's artifacts, and so with the backup's; at most [`LISTED_MAX`].
    pub findings: Vec<Finding>,
    /// How many more were found.
    pub findings_left_off: u64,
}

/// Something that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file, from the data directory on.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

/// What was read, and what was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
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
    /// What is not as it should be; at most [`LISTED_MAX`].
    pub findings: Vec<Finding>,
    /// How many more were found.
    pub findings_left_off: u64,
}

/// One thing that a gc looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GcEntry {
    /// The file, from the data directory on.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// Whether it goes (or went).
    pub goes: bool,
    /// Why.
    pub why: String,
    /// For how many more seconds of a running server it stays, when that is known.
    pub stays_s: Option<u64>,
}

/// What goes and what stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
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
    /// The things; at most [`LISTED_MAX`].
    pub entries: Vec<GcEntry>,
    /// How many more there are.
    pub entries_left_off: u64,
}

/// What an engine found, as jobs tell it.
pub(super) fn findings(found: &Findings) -> Vec<Finding> {
    let told = |finding: &scrub::Finding| {
        let scrub::Finding { file, what, fix, blob: _ } = finding.clone();
        Finding { file, what, fix }
    };
    found.list().iter().map(told).collect()
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

impl BackupResult {
    /// How it is remembered.
    pub fn outcome(&self) -> Outcome {
        if self.findings.is_empty() { Outcome::Ok } else { Outcome::Findings }
    }

    /// In one line.
    pub fn summary(&self) -> String {
        let (blobs, findings) = (counted(self.blobs, "blob", "blobs"), self.findings.len() as u64);
        let mut told = format!("`{}`: {} rows, {blobs} of {} bytes", self.name, self.rows, self.blob_bytes);
        if findings > 0 {
            let findings = counted(findings.saturating_add(self.findings_left_off), "finding", "findings");
            told = format!("{told}; {findings} about artifacts that were damaged before");
        }
        told
    }
}

impl VerifyResult {
    /// How many findings there are, listed or not.
    pub fn findings_count(&self) -> u64 {
        self.findings_left_off.saturating_add(self.findings.len() as u64)
    }

    /// How it is remembered.
    pub fn outcome(&self) -> Outcome {
        if self.findings_count() > 0 { Outcome::Findings } else { Outcome::Ok }
    }

    /// In one line.
    pub fn summary(&self) -> String {
        let (blobs, frames) = (counted(self.blobs, "blob", "blobs"), counted(self.frames, "frame", "frames"));
        let findings = counted(self.findings_count(), "finding", "findings");
        format!("{findings} in {blobs} of {} bytes, {frames} and {} rows", self.blob_bytes, self.rows)
    }
}

impl GcResult {
    /// In one line.
    pub fn summary(&self) -> String {
        let verb = if self.applied { "removed" } else { "would remove" };
        let (removed, kept) = (counted(self.removed, "thing", "things"), counted(self.kept, "thing", "things"));
        format!("{verb} {removed} of {} bytes; {kept} of {} bytes stay for now", self.removed_bytes, self.kept_bytes)
    }
}

impl JobResult {
    /// What is remembered of it; a plan changes nothing, so it is nothing to remember.
    pub fn report(&self) -> Option<(Outcome, String)> {
        match self {
            Self::Backup(backup) => Some((backup.outcome(), backup.summary())),
            Self::Verify(verify) => Some((verify.outcome(), verify.summary())),
            Self::Gc(gc) => gc.applied.then(|| (Outcome::Ok, gc.summary())),
        }
    }
}

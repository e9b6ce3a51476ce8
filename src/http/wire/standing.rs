//! How the registry stands with its disk: `meta.storage` of the stats.

use serde::Serialize;

use crate::services::reports;
use crate::services::standing;

/// How it stands.
#[derive(Serialize)]
pub struct Standing {
    /// How the last backup went.
    pub backup: Option<Report>,
    /// How the last verification went.
    pub verify: Option<Report>,
    /// How garbage was last removed.
    pub gc: Option<Report>,
    /// For how many seconds of a running server what was superseded or dropped is kept now.
    pub retention_s: u64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// How many seconds of a running server ago the newest snapshot was durable.
    pub snapshot_age_s: Option<u64>,
    /// Whether nothing can be written now.
    pub read_only: bool,
    /// Whether the disk has no room left but what is reserved.
    pub full: bool,
    /// The first error of the disk since the start.
    pub first_error: Option<String>,
}

/// How something last went.
#[derive(Serialize)]
pub struct Report {
    /// When it ended.
    pub finished_at: String,
    /// `ok`, `findings` or `failed`.
    pub outcome: &'static str,
    /// What was done or why not, for people.
    pub text: String,
    /// When it was last done, with findings or without.
    pub done_at: Option<String>,
}

impl From<standing::Standing> for Standing {
    fn from(standing: standing::Standing) -> Self {
        Self {
            backup: standing.backup.map(Report::from),
            verify: standing.verify.map(Report::from),
            gc: standing.gc.map(Report::from),
            retention_s: standing.retention_s,
            journal_bytes: standing.journal_bytes,
            snapshot_age_s: standing.snapshot_age_s,
            read_only: standing.read_only,
            full: standing.full,
            first_error: standing.first_error,
        }
    }
}

impl From<reports::Report> for Report {
    fn from(report: reports::Report) -> Self {
        Self {
            finished_at: report.finished_at.to_string(),
            outcome: report.outcome.as_str(),
            text: report.text,
            done_at: report.done_at.map(|at| at.to_string()),
        }
    }
}

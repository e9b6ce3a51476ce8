//! How the last backup, verify and gc went, for whoever asks how the registry is.
//!
//! Kept in files beside the data, so that it outlives the process and verbs that work beside a server can write it too.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::jobs::JobKind;
use crate::domain::time::Timestamp;
use crate::storage::reports::ReportFiles;

/// The most characters of a report's text.
const TEXT_CHARS_MAX: usize = 1000;

/// How something went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should.
    Ok,
    /// It was done, and found something that is not as it should be.
    Findings,
    /// It could not be done.
    Failed,
}

impl Outcome {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Findings => "findings",
            Self::Failed => "failed",
        }
    }
}

/// How it last went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// When it ended.
    pub finished_at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// What was done or why not, for people.
    pub text: String,
    /// When it was last done, with findings or without.
    pub done_at: Option<Timestamp>,
}

/// The file's content; times are milliseconds since 1970.
#[derive(Serialize, Deserialize)]
struct Row {
    finished_at_ms: i64,
    outcome: Outcome,
    text: String,
    done_at_ms: Option<i64>,
}

/// The reports of one registry.
#[derive(Clone, Debug)]
pub struct Reports {
    files: ReportFiles,
}

impl Reports {
    /// Those of the data directory at `data`.
    pub fn of(data: &Path) -> Self {
        Self { files: ReportFiles::of(data) }
    }

    /// How the last work of this kind went; none when there was none, or when its report can't be read.
    pub fn last(&self, kind: JobKind) -> Option<Report> {
        let bytes = match self.files.read(kind.as_str()) {
            Ok(bytes) => bytes?,
            Err(error) => {
                tracing::warn!(%error, kind = kind.as_str(), "a report can't be read");
                return None;
            }
        };
        let row: Row = serde_json::from_slice(&bytes).ok()?;
        Some(Report {
            finished_at: Timestamp(row.finished_at_ms),
            outcome: row.outcome,
            text: row.text,
            done_at: row.done_at_ms.map(Timestamp),
        })
    }

    /// Notes how a work went. A report that can't be written is logged, and changes nothing: the work was done.
    pub fn note(&self, kind: JobKind, finished_at: Timestamp, outcome: Outcome, text: &str) {
        let done_at = match outcome {
            Outcome::Ok | Outcome::Findings => Some(finished_at),
            Outcome::Failed => self.last(kind).and_then(|last| last.done_at),
        };
        let row = Row {
            finished_at_ms: finished_at.0,
            outcome,
            text: text.chars().take(TEXT_CHARS_MAX).collect(),
            done_at_ms: done_at.map(|at| at.0),
        };
        let written = serde_json::to_vec(&row).map_err(std::io::Error::from);
        if let Err(error) = written.and_then(|bytes| self.files.write(kind.as_str(), &bytes)) {
            tracing::warn!(%error, kind = kind.as_str(), "a report can't be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_when_it_was_last_done() {
        let data = tempfile::tempdir().unwrap();
        let reports = Reports::of(data.path());
        assert_eq!(reports.last(JobKind::Backup), None);
        reports.note(JobKind::Backup, Timestamp(1), Outcome::Failed, "no room");
        assert_eq!(reports.last(JobKind::Backup).unwrap().done_at, None);
        reports.note(JobKind::Backup, Timestamp(2), Outcome::Ok, "3 blobs");
        reports.note(JobKind::Backup, Timestamp(3), Outcome::Failed, "no room");
        let expected = Report {
            finished_at: Timestamp(3),
            outcome: Outcome::Failed,
            text: "no room".to_owned(),
            done_at: Some(Timestamp(2)),
        };
        assert_eq!(reports.last(JobKind::Backup), Some(expected));
        assert_eq!(reports.last(JobKind::Gc), None);
    }

    #[test]
    fn what_is_no_report_is_passed_over() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(data.path().join("run/reports")).unwrap();
        std::fs::write(data.path().join("run/reports/gc.json"), "{").unwrap();
        assert_eq!(Reports::of(data.path()).last(JobKind::Gc), None);
    }
}

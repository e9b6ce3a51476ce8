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
        let standing::Standing { backup, verify, gc } = standing;
        let [backup, verify, gc] = [backup, verify, gc].map(|report| report.map(Report::from));
        Self { backup, verify, gc }
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

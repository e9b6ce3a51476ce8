//! What an opening did: for the log, and for those who look at the status later.

use std::time::Duration;

use crate::domain::digest::Sha256;
use crate::storage::journal::header::Position;
use crate::storage::journal::plan::Finding;

/// The most blobs that the log names one by one.
const NAMED_MAX: usize = 20;

/// What a directory was opened as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenedAs {
    /// There was nothing.
    New,
    /// The directory in which its journal was written.
    Original,
    /// A copy of another directory.
    Copy,
    /// A directory from before there was a journal.
    Intake,
}

/// What an opening did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenReport {
    /// What the directory was opened as.
    pub opened_as: OpenedAs,
    /// Whether the index was as its seal says, so that it was not checked.
    pub is_sealed: bool,
    /// Why the index was built from the journal, if it was.
    pub rebuilt: Option<String>,
    /// Frames that were put into the index.
    pub frames: u64,
    /// Of a copy: why what came after `position` was left out, if anything was.
    pub cut: Option<String>,
    /// What was set aside, relative to the data directory.
    pub aside: Vec<String>,
    /// What is not as it should be and not needed.
    pub findings: Vec<Finding>,
    /// Blobs that versions refer to and that are not there: damage of those versions alone.
    pub missing: Vec<Sha256>,
    /// How long it took.
    pub took: Duration,
}

impl OpenReport {
    pub(super) fn of(opened_as: OpenedAs) -> Self {
        Self {
            opened_as,
            is_sealed: false,
            rebuilt: None,
            frames: 0,
            cut: None,
            aside: Vec::new(),
            findings: Vec::new(),
            missing: Vec::new(),
            took: Duration::ZERO,
        }
    }

    /// One line that says what was done, and one for each thing that somebody should look at.
    pub(super) fn log(&self, position: &Position) {
        let opened_as = match self.opened_as {
            OpenedAs::New => "a new directory",
            OpenedAs::Original => "the original",
            OpenedAs::Copy => "a copy",
            OpenedAs::Intake => "a directory from before the journal",
        };
        tracing::info!(
            opened_as,
            change = position.number,
            tick = position.tick,
            replayed = self.frames,
            rebuilt = self.rebuilt.as_deref(),
            left_out = self.cut.as_deref(),
            set_aside = self.aside.len(),
            missing_blobs = self.missing.len(),
            ms = self.took.as_millis(),
            "the data is open"
        );
        for finding in &self.findings {
            tracing::warn!(file = finding.file, "{}; it is not needed", finding.what);
        }
        for file in &self.aside {
            tracing::warn!(file, "set aside");
        }
        for blob in self.missing.iter().take(NAMED_MAX) {
            tracing::error!(%blob, "a blob is not there: what refers to it is answered with 500 artifact_damaged");
        }
        if self.missing.len() > NAMED_MAX {
            tracing::error!(more = self.missing.len() - NAMED_MAX, "more blobs are not there: `verify` names them");
        }
    }
}

//! What a job is, and what it ends with.

use crate::domain::id::Id;
use crate::domain::refusal::Reason;
use crate::domain::time::Timestamp;
use crate::storage::progress::Advance;

/// What is done; one of a kind at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum JobKind {
    /// Makes a copy of the registry.
    Backup,
    /// Reads every byte and row.
    Verify,
    /// Removes what nothing refers to any more, or says what would be removed.
    Gc,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Backup, Self::Verify, Self::Gc];

    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Verify => "verify",
            Self::Gc => "gc",
        }
    }
}

/// How far a job is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobState {
    /// It waits for a thread.
    Queued,
    /// It works.
    Running,
    /// It ended with a result.
    Done,
    /// It ended with an error.
    Failed,
}

impl JobState {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more will happen to it.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Done | Self::Failed => true,
            Self::Queued | Self::Running => false,
        }
    }
}

/// Why a job failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobError {
    /// The exact case, for programs.
    pub reason: Reason,
    /// What was wrong and what to do, for people.
    pub message: String,
}

/// A job as it was when it was asked for.
#[derive(Clone, Debug)]
pub struct Job<R> {
    /// Its id; sorts by the time it was begun.
    pub id: Id,
    /// What is done.
    pub kind: JobKind,
    /// How far it is.
    pub state: JobState,
    /// The same in numbers.
    pub progress: Advance,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What it ended with, when it is done.
    pub result: Option<R>,
    /// Why it failed, when it did.
    pub error: Option<JobError>,
}

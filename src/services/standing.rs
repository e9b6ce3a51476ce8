//! How the registry stands with its disk and its keepers: when it was last copied, verified and cleaned, and what an
//! operator asks first. For admins; [`stats`](super::stats) tells how much there is.

use super::Stores;
use super::jobs::JobKind;
use super::reports::{Report, Reports};

/// How it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
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
    /// How many seconds of a running server ago the newest snapshot was durable; none when there is none.
    pub snapshot_age_s: Option<u64>,
    /// Whether nothing can be written now.
    pub read_only: bool,
    /// Whether the disk has no room left but what is reserved.
    pub full: bool,
    /// The first error of the disk since the start.
    pub first_error: Option<String>,
}

/// Looks.
pub struct StandingService {
    stores: Stores,
    reports: Reports,
}

impl StandingService {
    /// Looks at `stores`.
    pub fn new(stores: Stores) -> Self {
        let reports = Reports::of(stores.blobs.data());
        Self { stores, reports }
    }

    /// How it stands now.
    pub fn look(&self) -> Standing {
        let metadata = &self.stores.metadata;
        let journal = metadata.journal_status();
        Standing {
            backup: self.reports.last(JobKind::Backup),
            verify: self.reports.last(JobKind::Verify),
            gc: self.reports.last(JobKind::Gc),
            // A tick is a second in which a server runs.
            retention_s: journal.retention_ticks,
            journal_bytes: journal.bytes,
            snapshot_age_s: journal.snapshot_age_ticks,
            read_only: metadata.is_read_only() || self.stores.blobs.is_read_only(),
            full: metadata.is_full(),
            first_error: metadata.first_error(),
        }
    }
}

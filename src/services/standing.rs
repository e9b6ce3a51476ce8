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
}

/// Looks.
pub struct StandingService {
    reports: Reports,
}

impl StandingService {
    /// Looks at `stores`.
    pub fn new(stores: &Stores) -> Self {
        Self { reports: Reports::of(stores.blobs.data()) }
    }

    /// How it stands now.
    pub fn look(&self) -> Standing {
        Standing {
            backup: self.reports.last(JobKind::Backup),
            verify: self.reports.last(JobKind::Verify),
            gc: self.reports.last(JobKind::Gc),
        }
    }
}

//! What an opening is at, for those who wait for it.

use std::fmt;

use crate::storage::progress::{Advance, Cancelled};

/// A part of an opening that may take long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Reading what stands in `journal/`.
    Survey,
    /// Checking the index's pages.
    Check,
    /// Bringing the index up to the journal's end.
    Replay,
    /// Building the index from a snapshot and the logs after it.
    Build,
    /// Looking whether every blob is there.
    Blobs,
    /// Taking in a directory from before the journal.
    Intake,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Survey => "reading the journal",
            Self::Check => "checking the index",
            Self::Replay => "replaying the journal",
            Self::Build => "building the index",
            Self::Blobs => "looking for blobs",
            Self::Intake => "writing the first snapshot",
        }
    }
}

/// How far an opening is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// At what.
    pub phase: Phase,
    /// How far with it.
    pub at: Advance,
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Advance { done, total, unit } = self.at;
        match total {
            Some(total) => write!(f, "{}: {done} of {total} {}", self.phase.as_str(), unit.as_str()),
            None if done == 0 => write!(f, "{}", self.phase.as_str()),
            None => write!(f, "{}: {done} {}", self.phase.as_str(), unit.as_str()),
        }
    }
}

/// Watches an opening, and may stop it; it must not block. An opening that is stopped leaves what a crash would.
pub type Watch<'w> = &'w (dyn Fn(Opening) -> Result<(), Cancelled> + Sync);

/// Watches nothing.
///
/// # Errors
/// None.
pub fn unwatched(_at: Opening) -> Result<(), Cancelled> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::progress::Unit;

    #[test]
    fn how_far_it_is_is_told_in_words() {
        let told = |phase, done, total, unit| Opening { phase, at: Advance { done, total, unit } }.to_string();
        assert_eq!(told(Phase::Build, 7, Some(9), Unit::Rows), "building the index: 7 of 9 rows");
        assert_eq!(told(Phase::Survey, 8, None, Unit::Bytes), "reading the journal: 8 bytes");
        assert_eq!(told(Phase::Check, 0, None, Unit::Bytes), "checking the index");
    }
}

//! How long stored bytes live: the decisions on a blob by what is known of it. Times are ticks, seconds in which a server
//! ran, so that no clock that jumps ends anything.

use super::change::Change;
use super::digest::Sha256;

/// What a blob's row says about its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlobLife {
    /// How many versions refer to it.
    pub count: u64,
    /// The tick since when nothing does.
    pub dropped_since: Option<u64>,
    /// Whether its bytes were found not to be what their name says.
    pub damaged: bool,
}

/// What becomes of a blob.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Versions refer to it.
    Referred,
    /// Nothing refers to it, but a copy that was begun before may still need it.
    Kept {
        /// The first tick at which it goes.
        until: u64,
    },
    /// It goes.
    Due,
}

impl BlobLife {
    /// What becomes of the blob at `tick`, when what is dropped is kept for `retention` ticks.
    pub fn fate(self, tick: u64, retention: u64) -> Fate {
        if self.count > 0 {
            return Fate::Referred;
        }
        // A row without references always says since when; one that does not would be kept.
        let until = self.dropped_since.unwrap_or(tick.saturating_add(1)).saturating_add(retention);
        if until <= tick { Fate::Due } else { Fate::Kept { until } }
    }
}

/// Decides to remove a blob's row, at the moment of the removal: it may have been referred to again since it was chosen.
pub fn decide_sweep(sha256: Sha256, life: Option<BlobLife>, tick: u64, retention: u64) -> Option<Change> {
    let due = life.is_some_and(|life| life.fate(tick, retention) == Fate::Due);
    due.then_some(Change::RemoveBlob(sha256))
}

/// Decides to flag a blob whose bytes were found wrong or missing, once.
pub fn decide_damage(sha256: Sha256, life: Option<BlobLife>) -> Option<Change> {
    life.is_some_and(|life| !life.damaged).then_some(Change::MarkBlobDamaged(sha256))
}

/// The first tick at which the note of a blob that was swept goes: nobody reads a copy that was begun before for longer.
pub const fn note_until(swept: u64, retention: u64) -> u64 {
    swept.saturating_add(RETIRED_KEPT_TICKS).saturating_add(retention)
}

/// How long, beyond the retention, a note stays where a blob or a part of the journal was: 7 days.
pub const RETIRED_KEPT_TICKS: u64 = 7 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(count: u64, dropped_since: Option<u64>, tick: u64, retention: u64, expected: Fate) {
        let life = BlobLife { count, dropped_since, damaged: false };
        assert_eq!(life.fate(tick, retention), expected);
        let removed = decide_sweep(Sha256([1; 32]), Some(life), tick, retention);
        assert_eq!(removed.is_some(), expected == Fate::Due);
    }

    #[test]
    fn a_blob_goes_when_nothing_has_referred_to_it_for_the_retention() {
        check(0, Some(10), 14, 5, Fate::Kept { until: 15 });
        check(0, Some(10), 15, 5, Fate::Due);
        check(0, Some(10), 10, 0, Fate::Due);
        check(1, None, 1000, 5, Fate::Referred);
        check(1, Some(10), 1000, 5, Fate::Referred);
        check(0, Some(u64::MAX), 1000, 5, Fate::Kept { until: u64::MAX });
        check(0, None, 1000, 0, Fate::Kept { until: 1001 });
        assert_eq!(decide_sweep(Sha256([1; 32]), None, 1000, 0), None);
    }

    #[test]
    fn damage_is_flagged_once() {
        let (digest, sound) = (Sha256([1; 32]), BlobLife { count: 1, dropped_since: None, damaged: false });
        assert_eq!(decide_damage(digest, Some(sound)), Some(Change::MarkBlobDamaged(digest)));
        assert_eq!(decide_damage(digest, Some(BlobLife { damaged: true, ..sound })), None);
        assert_eq!(decide_damage(digest, None), None);
    }
}

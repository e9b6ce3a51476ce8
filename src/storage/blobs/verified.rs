//! Which blob files were seen to hold the right bytes since the start of this process.
//!
//! Owns a bounded memory of proofs. Must never be the reason to serve bytes that nobody read: a file counts only while
//! inode, size and change time are those under which it was hashed. Forgetting costs a reading, never a wrong answer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::digest::Sha256;
use crate::storage::fs::Stat;

/// Proofs held at most; in two halves, of which the older is forgotten whole when the younger is full.
const PROOFS_MAX: usize = 65_536;

/// Identity of a file's content: any write, truncation, replacement or `touch` makes another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    size: u64,
    changed_ns: i64,
}

impl Stamp {
    /// How many bytes the file has.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

impl From<Stat> for Stamp {
    fn from(stat: Stat) -> Self {
        Self { inode: stat.inode, size: stat.size, changed_ns: stat.changed_ns }
    }
}

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<Sha256, Stamp>,
    old: HashMap<Sha256, Stamp>,
}

/// The set of proofs.
#[derive(Debug, Default)]
pub(super) struct Verified(Mutex<Halves>);

impl Verified {
    /// Notes that the file with this stamp, taken *before* it was read, hashed to `sha256`.
    pub(super) fn mark(&self, sha256: Sha256, stamp: Stamp) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if halves.young.len() >= PROOFS_MAX / 2 {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.young.insert(sha256, stamp);
    }

    /// Whether exactly this state of the file was proven.
    pub(super) fn holds(&self, sha256: &Sha256, stamp: Stamp) -> bool {
        let halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.young.get(sha256).or_else(|| halves.old.get(sha256)) == Some(&stamp)
    }

    /// Drops what is known about `sha256`.
    pub(super) fn forget(&self, sha256: &Sha256) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.young.remove(sha256);
        halves.old.remove(sha256);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { inode: 7, size: 3, changed_ns: 11 };

    fn numbered(number: usize) -> Sha256 {
        Sha256::of(&number.to_be_bytes())
    }

    #[test]
    fn a_changed_file_is_not_proven() {
        let verified = Verified::default();
        verified.mark(numbered(1), STAMP);
        assert!(verified.holds(&numbered(1), STAMP));
        for other in [Stamp { inode: 8, ..STAMP }, Stamp { size: 4, ..STAMP }, Stamp { changed_ns: 12, ..STAMP }] {
            assert!(!verified.holds(&numbered(1), other));
        }
        verified.forget(&numbered(1));
        assert!(!verified.holds(&numbered(1), STAMP));
    }

    #[test]
    fn the_number_of_proofs_is_bounded_and_the_newest_stay() {
        let verified = Verified::default();
        let total = PROOFS_MAX + PROOFS_MAX / 2 + 1;
        for number in 0..total {
            verified.mark(numbered(number), STAMP);
        }
        let halves = verified.0.lock().unwrap();
        assert!(halves.young.len() + halves.old.len() <= PROOFS_MAX);
        drop(halves);
        assert!(verified.holds(&numbered(total - 1), STAMP));
        assert!(!verified.holds(&numbered(0), STAMP));
    }
}

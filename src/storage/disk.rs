//! What storage knows about its disk: whether it is full, and the first error that it gave.

use std::fmt::Display;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

/// What keeps blocks of its own for the time when there are no others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Reserve {
    /// The log that is written, and the one prepared to follow it.
    Journal = 1,
    /// The redb file.
    Index = 2,
}

/// The state of the disk under a data directory, told by those who write to it. Shared by all of them.
#[derive(Debug, Default)]
pub struct DiskState {
    /// The reserves that are not whole, as bits.
    missing: AtomicU8,
    first_error: Mutex<Option<String>>,
}

impl DiskState {
    /// Whether any reserve is not whole: what can wait must wait, so that what can't still goes on.
    pub fn is_full(&self) -> bool {
        self.missing.load(Ordering::Acquire) != 0
    }

    /// Tells whether a reserve is whole.
    pub fn set_whole(&self, reserve: Reserve, whole: bool) {
        let bit = reserve as u8;
        let before = if whole {
            self.missing.fetch_and(!bit, Ordering::AcqRel)
        } else {
            self.missing.fetch_or(bit, Ordering::AcqRel)
        };
        if (before & bit == 0) != whole {
            if whole {
                tracing::info!(?reserve, "a reserve of blocks is whole again");
            } else {
                tracing::warn!(?reserve, "the disk is full: a reserve of blocks can't be kept");
            }
        }
    }

    /// Keeps the error if it is the first.
    pub fn note(&self, op: &'static str, error: &dyn Display) {
        let mut first = self.first_error.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            tracing::error!(op, %error, "the disk failed for the first time");
            *first = Some(format!("{op}: {error}"));
        }
    }

    /// The first error since the start, with what was being done.
    pub fn first_error(&self) -> Option<String> {
        self.first_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_full_until_every_reserve_is_whole_and_the_first_error_stays() {
        let disk = DiskState::default();
        disk.set_whole(Reserve::Journal, false);
        disk.set_whole(Reserve::Index, false);
        disk.set_whole(Reserve::Journal, true);
        assert!(disk.is_full());
        disk.set_whole(Reserve::Index, true);
        assert!(!disk.is_full());
        disk.note("sync a log", &"first");
        disk.note("write a log", &"second");
        assert_eq!(disk.first_error().as_deref(), Some("sync a log: first"));
    }
}

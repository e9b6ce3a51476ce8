//! What goes and what stays, and why: counted, and listed as far as a list is read.

use crate::services::jobs::{GcEntry, GcResult, LISTED_MAX};

/// A thing that nothing needs any more, or soon does not.
#[derive(Clone, Debug)]
pub(in crate::services) struct Thing {
    /// From the data directory on.
    pub(in crate::services) file: String,
    pub(in crate::services) bytes: u64,
    pub(in crate::services) why: String,
}

/// The things that a sweep or a gc looked at.
#[derive(Debug, Default)]
pub(in crate::services) struct Tally(GcResult);

impl Tally {
    /// It goes, or went.
    pub(in crate::services) fn goes(&mut self, thing: Thing) {
        self.0.removed += 1;
        self.0.removed_bytes += thing.bytes;
        self.list(thing, true, None);
    }

    /// It stays for so many ticks more; none: for as long as its reason holds.
    pub(in crate::services) fn stays(&mut self, thing: Thing, ticks: Option<u64>) {
        self.0.kept += 1;
        self.0.kept_bytes += thing.bytes;
        self.list(thing, false, ticks);
    }

    pub(in crate::services) fn result(self, applied: bool) -> GcResult {
        GcResult { applied, ..self.0 }
    }

    fn list(&mut self, Thing { file, bytes, why }: Thing, goes: bool, stays_s: Option<u64>) {
        if self.0.entries.len() < LISTED_MAX {
            self.0.entries.push(GcEntry { file, bytes, goes, why, stays_s });
        } else {
            self.0.entries_left_off += 1;
        }
    }
}

//! Which blobs were found damaged or missing and wait for somebody to make sure and to flag them.
//!
//! Owns a bounded set. Must never decide: what was seen may have been healed, replaced or removed since.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::domain::digest::Sha256;

/// Suspects held at most; one that is left off is found again when it is next read.
const SUSPECTS_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Suspects {
    digests: Mutex<BTreeSet<Sha256>>,
    added: Notify,
}

impl Suspects {
    pub(super) fn add(&self, sha256: Sha256) {
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if digests.len() < SUSPECTS_MAX && digests.insert(sha256) {
            self.added.notify_one();
        }
    }

    pub(super) fn take(&self) -> Vec<Sha256> {
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *digests).into_iter().collect()
    }

    /// Returns when there was one added since the last time.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }
}

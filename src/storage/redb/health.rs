//! What others are told about the state of the writer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::storage::disk::DiskState;
use crate::storage::journal::name::Generation;
use crate::storage::journal::retention::{GenerationFiles, Settling};

/// How the journal stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JournalStatus {
    /// The log that is written; the one written last, when this process wrote none yet.
    pub generation: Option<Generation>,
    /// The number of the last frame.
    pub frame: u64,
    /// The tick that it is now.
    pub tick: u64,
    /// Bytes of all files in `journal/`.
    pub bytes: u64,
    /// For how many ticks superseded generations and dropped blobs are kept now.
    pub retention_ticks: u64,
    /// How many ticks ago the newest snapshot was durable; none: there is no snapshot.
    pub snapshot_age_ticks: Option<u64>,
    /// The number of the last frame that the index holds durably.
    pub checkpoint_frame: u64,
}

/// What the writer tells about itself, for `status` and `/readyz`.
#[derive(Debug)]
pub(super) struct Health {
    read_only: AtomicBool,
    disk: Arc<DiskState>,
    settling: Mutex<Settling>,
    status: Mutex<JournalStatus>,
    generations: Mutex<Vec<GenerationFiles>>,
}

impl Health {
    pub(super) fn new(disk: Arc<DiskState>) -> Self {
        let (settling, status, generations) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { read_only: AtomicBool::new(false), disk, settling, status, generations }
    }

    /// Whether the last attempt to write failed, and not because of the change itself.
    pub(super) fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    pub(super) fn set_read_only(&self, read_only: bool) {
        self.read_only.store(read_only, Ordering::Relaxed);
    }

    pub(super) fn disk(&self) -> &DiskState {
        &self.disk
    }

    pub(super) fn status(&self) -> JournalStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The journal's files, in the order of their numbers, as of the last look.
    pub(super) fn generations(&self) -> Vec<GenerationFiles> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_generations(&self, generations: Vec<GenerationFiles>) {
        *self.generations.lock().unwrap_or_else(PoisonError::into_inner) = generations;
    }

    /// A frame whose rows have the tick `decided` was durable at the tick `now`.
    pub(super) fn settled(&self, decided: u64, now: u64) {
        self.settling.lock().unwrap_or_else(PoisonError::into_inner).durable(decided, now);
    }

    pub(super) fn settling(&self) -> Settling {
        *self.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut JournalStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

//! Counts work and tells it, in pieces that are not too small.

use std::cell::Cell;

use crate::storage::progress::{Advance, Cancelled, PIECE_BYTES_MAX, PIECE_ROWS_MAX, Progress, Unit};

/// Counts one unit of a work and tells its watcher after each piece.
pub struct Meter<'p> {
    progress: &'p dyn Progress,
    unit: Unit,
    total: Option<u64>,
    done: Cell<u64>,
    told: Cell<u64>,
}

impl<'p> Meter<'p> {
    /// Begins to count.
    pub fn new(progress: &'p dyn Progress, unit: Unit, total: Option<u64>) -> Self {
        Self { progress, unit, total, done: Cell::new(0), told: Cell::new(0) }
    }

    /// Counts `more`.
    ///
    /// # Errors
    /// [`Cancelled`] when the work is to stop.
    pub fn add(&self, more: u64) -> Result<(), Cancelled> {
        self.done.set(self.done.get().saturating_add(more));
        let piece = match self.unit {
            Unit::Bytes => PIECE_BYTES_MAX,
            Unit::Blobs | Unit::Rows | Unit::Frames => PIECE_ROWS_MAX,
        };
        if self.done.get() - self.told.get() < piece { Ok(()) } else { self.tell() }
    }

    /// Tells how far the work is, whatever was told last.
    ///
    /// # Errors
    /// [`Cancelled`] when the work is to stop.
    pub fn tell(&self) -> Result<(), Cancelled> {
        self.told.set(self.done.get());
        self.progress.advance(Advance { done: self.done.get(), total: self.total, unit: self.unit })
    }

    /// How much was counted.
    pub fn done(&self) -> u64 {
        self.done.get()
    }
}

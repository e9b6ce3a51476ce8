//! One batch: staged, appended to the journal, put into the index. Between the second and the third step it is durable,
//! whatever happens to the index.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use redb::{Durability, WriteTransaction};

use super::backend;
use super::generations::Generations;
use super::job::{Job, panic_text};
use super::preface::Preface;
use super::seq::{note_erased, write_seq};
use super::staging::Staging;
use super::trail::Trail;
use super::writer::Writer;
use crate::storage::journal::JournalError;
use crate::storage::journal::header::Position;
use crate::storage::tables::{RowOp, Table};
use crate::storage::{Moment, StoreError, chain};

/// Why a batch is not answered as it was decided.
#[derive(Debug)]
pub(super) enum Failed {
    /// Nothing of it was done. Its members may try alone, each on a state that holds nothing of the others.
    Dropped(StoreError),
    /// It is durable, but there is no index to show it, and none of its members may be decided once more.
    Unindexed(StoreError),
}

impl Failed {
    /// The error, whatever it says about the batch.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Dropped(error) | Self::Unindexed(error) => error,
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Dropped(error)
    }
}

impl Writer {
    /// Does the batch whole or not at all.
    ///
    /// # Errors
    /// As [`Failed`] says.
    pub(super) fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), Failed> {
        let moment = (self.moment)();
        let transaction = match self.index.begin_write() {
            Ok(transaction) => transaction,
            Err(error) => {
                self.recover(&error)?;
                self.index.begin_write()?
            }
        };
        let ops = match stage(&transaction, (self.preface, &self.rotation.generations), batch, moment) {
            Ok(ops) => ops,
            Err(error) => {
                abort(transaction);
                self.examine();
                return Err(Failed::Dropped(error));
            }
        };
        if ops.is_empty() {
            abort(transaction);
            return Ok(());
        }
        let position = match self.journal.append(&ops, moment.tick) {
            Ok(position) => position,
            Err(error) => {
                abort(transaction);
                return Err(Failed::Dropped(self.not_appended(error)));
            }
        };
        self.note_frame(position, moment.tick);
        self.preface = None;
        let erases = ops.iter().any(RowOp::erases).then_some(position.tick);
        self.renewal.erased = self.renewal.erased.or(erases);
        if let Err(error) = guarded(transaction, &position, erases) {
            self.recover(&error).map_err(Failed::Unindexed)?;
        }
        if ops.iter().any(is_event) {
            self.appended.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// The batch is durable: whoever opens the index from now on finds this frame in its trail.
    fn note_frame(&mut self, position: Position, decided: u64) {
        let former = self.trail.to();
        let from = if former.generation == position.generation { former.end } else { 0 };
        let bytes = position.end.saturating_sub(from);
        self.trail.extend(position);
        self.renewal.extend(position);
        self.checkpoints.add(bytes, Instant::now());
        self.rotation.add_frame(&position, bytes);
        self.health.settled(decided, (self.moment)().tick);
        self.health.set_read_only(false);
        self.health.update(|status| {
            (status.generation, status.frame, status.tick) =
                (Some(position.generation), position.number, position.tick);
            status.bytes += bytes;
        });
    }

    /// A log was begun without a frame. The index says so too: the log before may be gone when it is opened next.
    pub(super) fn note_log(&mut self, begun: Position) -> Result<(), StoreError> {
        self.trail.extend(begun);
        self.renewal.extend(begun);
        self.checkpoints.add(0, Instant::now());
        let noted = self.index.begin_write().and_then(|transaction| guarded(transaction, &begun, None));
        noted.or_else(|error| self.recover(&error))
    }

    /// Nothing can be written as long as neither the log nor a new one takes a frame; each write tries again.
    fn not_appended(&mut self, error: JournalError) -> StoreError {
        match &error {
            JournalError::Io { .. } | JournalError::Unsynced { .. } => {
                let was_read_only = self.health.is_read_only();
                self.health.set_read_only(true);
                if was_read_only {
                    tracing::warn!(error = %chain(&error), "nothing can be written still");
                    return StoreError::ReadOnly;
                }
            }
            // These say nothing about the next write.
            JournalError::Full { .. }
            | JournalError::Damaged { .. }
            | JournalError::InUse { .. }
            | JournalError::Payload { .. }
            | JournalError::TooLarge { .. }
            | JournalError::Rows(_) => {}
        }
        from_journal("writing the journal", error)
    }

    /// Makes the index durable. A failure harms nobody: the frames are.
    pub(super) fn checkpoint(&mut self) {
        let done = self.index.begin_write().and_then(|transaction| {
            let committed = std::panic::catch_unwind(AssertUnwindSafe(|| transaction.commit()));
            let committed = committed.map_err(|panic| StoreError::Panicked(panic_text(&*panic)))?;
            committed.map_err(|error| backend("making the index durable", error.into()))
        });
        match done {
            Ok(()) => self.durable_now(),
            // What recovers notes the error and says what follows from it.
            Err(error) => drop(self.recover(&error)),
        }
    }
}

impl Writer {
    /// The index on disk holds everything now.
    pub(super) fn durable_now(&mut self) {
        self.checkpoints.clear();
        let position = self.trail.to();
        self.trail = Trail::new(position);
        self.health.update(|status| status.checkpoint_frame = position.number);
    }

    /// Fills up what keeps the rest going on a full disk; whether that worked is told to the disk's state.
    pub(super) fn fill_reserves(&mut self) {
        if !self.journal.reserve() {
            tracing::debug!("the journal's reserve can't be filled up yet");
        }
        if let Err(error) = self.source.file.reserve() {
            tracing::warn!(%error, "the index's reserve can't be filled up");
        }
    }
}

/// Decides all members in turn, each on the state that those before it left, and gives what they do together.
fn stage(
    transaction: &WriteTransaction,
    (preface, generations): (Option<Preface>, &Generations),
    batch: &mut [Box<dyn Job>],
    moment: Moment,
) -> Result<Vec<RowOp>, StoreError> {
    let staged = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let staging = Staging::open(transaction)?;
        preface.map_or(Ok(()), |preface| preface.stage(&staging, moment))?;
        let begun = staging.len();
        for job in batch.iter_mut() {
            job.stage(&staging, moment)?;
        }
        // Neither does a history begin with a change that was refused, nor is there a frame for it.
        if staging.len() == begun && !batch.iter().any(|job| job.is_change()) {
            return Ok(Vec::new());
        }
        generations.stage(&staging)?;
        Ok(staging.into_ops())
    }));
    staged.unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(&*panic))))
}

/// Commits what was staged as the state after `position`, which erased rows at a tick; a panic of redb is an error of the
/// index.
fn guarded(transaction: WriteTransaction, position: &Position, erased: Option<u64>) -> Result<(), StoreError> {
    let indexed = std::panic::catch_unwind(AssertUnwindSafe(|| put_into_index(transaction, position, erased)));
    indexed.unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(&*panic))))
}

fn put_into_index(
    mut transaction: WriteTransaction,
    position: &Position,
    erased: Option<u64>,
) -> Result<(), StoreError> {
    write_seq(&transaction, position)?;
    erased.map_or(Ok(()), |tick| note_erased(&transaction, tick))?;
    transaction.set_durability(Durability::None).map_err(|error| backend("committing", error.into()))?;
    transaction.commit().map_err(|error| backend("committing", error.into()))
}

/// An abort that fails leaves a database that refuses the next write, which is when it is opened anew.
pub(super) fn abort(transaction: WriteTransaction) {
    if let Err(error) = transaction.abort() {
        tracing::warn!(%error, "a write could not be given up in order");
    }
}

fn is_event(op: &RowOp) -> bool {
    matches!(op, RowOp::Put { table: Table::Events, .. })
}

/// The journal's error, as storage tells it.
pub(super) fn from_journal(op: &'static str, error: JournalError) -> StoreError {
    match error {
        JournalError::Full { free_bytes } => StoreError::Full { free_bytes },
        JournalError::Unsynced { .. } => StoreError::ReadOnly,
        JournalError::Io { .. }
        | JournalError::Damaged { .. }
        | JournalError::InUse { .. }
        | JournalError::Payload { .. }
        | JournalError::TooLarge { .. }
        | JournalError::Rows(_) => StoreError::backend(op, error),
    }
}

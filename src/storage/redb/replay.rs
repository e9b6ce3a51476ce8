//! Puts frames of the journal into an index, rows and position in one transaction, without any logic.

use redb::{Database, Durability, WriteTransaction};

use super::backend;
use super::seq::{note_erased, write_seq};
use super::staging::definition;
use crate::storage::StoreError;
use crate::storage::journal::header::Position;
use crate::storage::tables::{RowOp, Table};

/// Bytes of rows that share a transaction, which keeps them in memory until its commit.
const TRANSACTION_BYTES_MAX: usize = 8 << 20;

/// An index that frames are put into, one after another and in order. What is not committed by [`Replay::finish`] may
/// be lost, and only that.
pub struct Replay<'d> {
    database: &'d Database,
    open: Option<WriteTransaction>,
    bytes: usize,
    last: Option<Position>,
}

impl<'d> Replay<'d> {
    /// Will put frames into `database`, whose `seq` is that of the frame before the first one.
    pub fn new(database: &'d Database) -> Self {
        Self { database, open: None, bytes: 0, last: None }
    }

    /// Puts the rows of one frame, which ends at `position`.
    ///
    /// # Errors
    /// That redb fails; the index is to be thrown away or opened anew then.
    pub fn put(&mut self, ops: &[RowOp], position: Position) -> Result<(), StoreError> {
        let transaction = match self.open.take() {
            Some(open) => open,
            None => begin(self.database)?,
        };
        apply_ops(&transaction, ops)?;
        if ops.iter().any(RowOp::erases) {
            note_erased(&transaction, position.tick)?;
        }
        self.open = Some(transaction);
        self.last = Some(position);
        self.bytes += ops.iter().map(size).sum::<usize>();
        if self.bytes >= TRANSACTION_BYTES_MAX { self.commit(Durability::None) } else { Ok(()) }
    }

    /// Commits what was put, such that it survives what `durability` says. Answers where the index stands then, if
    /// anything was put.
    ///
    /// # Errors
    /// As [`Replay::put`].
    pub fn finish(mut self, durability: Durability) -> Result<Option<Position>, StoreError> {
        if self.last.is_some() {
            if self.open.is_none() {
                self.open = Some(begin(self.database)?);
            }
            self.commit(durability)?;
        }
        Ok(self.last)
    }

    fn commit(&mut self, durability: Durability) -> Result<(), StoreError> {
        self.bytes = 0;
        let (Some(mut transaction), Some(last)) = (self.open.take(), self.last) else { return Ok(()) };
        write_seq(&transaction, &last)?;
        transaction.set_durability(durability).map_err(|error| backend("replaying the journal", error.into()))?;
        transaction.commit().map_err(|error| backend("replaying the journal", error.into()))
    }
}

fn begin(database: &Database) -> Result<WriteTransaction, StoreError> {
    database.begin_write().map_err(|error| backend("replaying the journal", error.into()))
}

/// Bytes of the row.
pub(super) fn size(op: &RowOp) -> usize {
    match op {
        RowOp::Put { key, value, .. } => key.len() + value.len(),
        RowOp::Delete { key, .. } => key.len(),
    }
}

/// Carries the operations out, in order. A table is opened once for each run of operations on it.
pub(super) fn apply_ops(transaction: &WriteTransaction, ops: &[RowOp]) -> Result<(), StoreError> {
    for run in ops.chunk_by(|one, next| table_of(one) == table_of(next)) {
        let Some(first) = run.first() else { continue };
        let opened = transaction.open_table(definition(table_of(first)));
        let mut table = opened.map_err(|error| backend("replaying the journal", error.into()))?;
        for op in run {
            match op {
                RowOp::Put { key, value, .. } => table.insert(key.as_slice(), value.as_slice()).map(drop),
                RowOp::Delete { key, .. } => table.remove(key.as_slice()).map(drop),
            }
            .map_err(|error| backend("replaying the journal", error.into()))?;
        }
    }
    Ok(())
}

/// The table that it changes.
pub(super) fn table_of(op: &RowOp) -> Table {
    match op {
        RowOp::Put { table, .. } | RowOp::Delete { table, .. } => *table,
    }
}

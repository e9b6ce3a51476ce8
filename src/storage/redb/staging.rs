//! The rows of a write transaction, seen and changed in order, and of a read transaction.

use std::cell::RefCell;
use std::ops::{Bound, ControlFlow};

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::backend;
use crate::storage::StoreError;
use crate::storage::tables::{RowOp, Table};
use crate::storage::view::{Direction, KeyRange, Rows, Visit};

/// How redb knows a table.
pub(super) const fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

type StagedTable<'t> = RefCell<redb::Table<'t, &'static [u8], &'static [u8]>>;

/// A batch in the making: what is put here is seen by every later look-up of the same transaction, and is kept as one
/// ordered list for the journal.
pub(super) struct Staging<'t> {
    tables: Vec<StagedTable<'t>>,
    ops: RefCell<Vec<RowOp>>,
}

impl<'t> Staging<'t> {
    /// Opens every table for the batch.
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        let open = |table: &Table| transaction.open_table(definition(*table)).map(RefCell::new);
        let tables: Result<Vec<_>, _> = Table::ALL.iter().map(open).collect();
        let tables = tables.map_err(|error| backend("opening the tables", error.into()))?;
        Ok(Self { tables, ops: RefCell::default() })
    }

    fn table(&self, table: Table) -> Result<&StagedTable<'t>, StoreError> {
        self.tables.get(usize::from(table as u8)).ok_or_else(|| crate::storage::rows::corrupt(table, "not opened"))
    }

    /// The row is from now on this.
    pub(super) fn put(&self, table: Table, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        let mut rows = self.table(table)?.borrow_mut();
        rows.insert(key.as_slice(), value.as_slice()).map_err(|error| backend("putting a row", error.into()))?;
        self.ops.borrow_mut().push(RowOp::Put { table, key, value });
        Ok(())
    }

    /// The row is from now on not there.
    pub(super) fn delete(&self, table: Table, key: Vec<u8>) -> Result<(), StoreError> {
        let mut rows = self.table(table)?.borrow_mut();
        let was_there = rows.remove(key.as_slice()).map_err(|error| backend("deleting a row", error.into()))?.is_some();
        if was_there {
            self.ops.borrow_mut().push(RowOp::Delete { table, key });
        }
        Ok(())
    }

    /// The batch: every step, in order.
    pub(super) fn into_ops(self) -> Vec<RowOp> {
        self.ops.into_inner()
    }

    /// How many steps there are so far.
    pub(super) fn len(&self) -> usize {
        self.ops.borrow().len()
    }
}

impl Rows for Staging<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        get(&*self.table(table)?.borrow(), key)
    }

    fn scan(&self, table: Table, range: KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        scan(&*self.table(table)?.borrow(), range, visit)
    }
}

type OpenTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// The rows of a read transaction; each table is opened when it is first looked at.
pub(super) struct Snapshot {
    transaction: ReadTransaction,
    tables: Vec<std::cell::OnceCell<OpenTable>>,
}

impl Snapshot {
    pub(super) fn new(transaction: ReadTransaction) -> Self {
        Self { transaction, tables: Table::ALL.iter().map(|_| std::cell::OnceCell::new()).collect() }
    }

    fn table(&self, table: Table) -> Result<&OpenTable, StoreError> {
        let cell = self.tables.get(usize::from(table as u8));
        let cell = cell.ok_or_else(|| crate::storage::rows::corrupt(table, "not a table"))?;
        if let Some(open) = cell.get() {
            return Ok(open);
        }
        let open = self.transaction.open_table(definition(table));
        let open = open.map_err(|error| backend("opening a table", error.into()))?;
        Ok(cell.get_or_init(|| open))
    }
}

impl Rows for Snapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        get(self.table(table)?, key)
    }

    fn scan(&self, table: Table, range: KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        scan(self.table(table)?, range, visit)
    }
}

fn get(table: &impl ReadableTable<&'static [u8], &'static [u8]>, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let row = table.get(key).map_err(|error| backend("reading a row", error.into()))?;
    Ok(row.map(|row| row.value().to_vec()))
}

fn scan(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    range: KeyRange,
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    let KeyRange { from, to, direction } = range;
    if is_empty(&from, &to) {
        return Ok(());
    }
    let bounds = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
    let mut rows = table.range::<&[u8]>(bounds).map_err(|error| backend("scanning rows", error.into()))?;
    loop {
        let next = match direction {
            Direction::Up => rows.next(),
            Direction::Down => rows.next_back(),
        };
        let Some(row) = next else { return Ok(()) };
        let (key, value) = row.map_err(|error| backend("scanning rows", error.into()))?;
        if visit(key.value(), value.value())? == ControlFlow::Break(()) {
            return Ok(());
        }
    }
}

/// Whether no key can lie between the bounds; redb takes such a range for a mistake.
fn is_empty(from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
    }
}

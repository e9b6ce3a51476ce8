//! The rows of an open index, for those who read all of them.

use std::ops::ControlFlow;

use redb::{Database, ReadableDatabase as _, TableHandle as _};

use super::staging::Snapshot;
use super::{DATA_FORMAT, FORMAT, backend};
use crate::storage::StoreError;
use crate::storage::journal::JournalError;
use crate::storage::journal::snapshot::VisitRow;
use crate::storage::tables::Table;
use crate::storage::view::{Direction, KeyRange, Rows as _, Visit};

/// Shows `visit` the rows of a range of one table, in a read transaction of its own.
///
/// # Errors
/// That redb fails, and those of `visit`.
pub fn scan_rows(database: &Database, table: Table, range: KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError> {
    snapshot(database)?.scan(table, range, visit)
}

/// Shows `visit` every row of one state, in the order of tables and keys.
///
/// # Errors
/// That redb fails, and those of `visit`.
pub fn each_row(database: &Database, visit: &mut VisitRow<'_>) -> Result<(), JournalError> {
    let transaction = database.begin_read().map_err(JournalError::rows)?;
    let tables = transaction.list_tables().map_err(JournalError::rows)?;
    let there: Vec<String> = tables.map(|table| table.name().to_owned()).collect();
    let rows = Snapshot::new(transaction);
    // One that an older program made may lack a table that came since.
    for table in Table::ALL.iter().filter(|table| there.iter().any(|name| name == table.name())) {
        let mut failed = None;
        let scanned = rows.scan(*table, KeyRange::all(Direction::Up), &mut |key, value| {
            Ok(visit(*table, key, value).map_or_else(
                |error| {
                    failed = Some(error);
                    ControlFlow::Break(())
                },
                ControlFlow::Continue,
            ))
        });
        scanned.map_err(JournalError::rows)?;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(())
}

/// Says that the index has a journal beside it, so that no program from before there was one writes to it.
///
/// # Errors
/// That redb fails.
pub fn set_format(database: &Database) -> Result<(), StoreError> {
    let failed = |error: redb::Error| backend("writing the format", error);
    let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
    {
        let mut format = transaction.open_table(FORMAT).map_err(|error| failed(error.into()))?;
        format.insert("data", DATA_FORMAT).map_err(|error| failed(error.into()))?;
        for table in Table::ALL {
            transaction.open_table(super::staging::definition(*table)).map_err(|error| failed(error.into()))?;
        }
    }
    transaction.commit().map_err(|error| failed(error.into()))
}

fn snapshot(database: &Database) -> Result<Snapshot, StoreError> {
    let transaction = database.begin_read().map_err(|error| backend("beginning to read", error.into()))?;
    Ok(Snapshot::new(transaction))
}

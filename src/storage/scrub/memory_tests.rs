//! Rows in memory, for tests that break them.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use crate::storage::StoreError;
use crate::storage::tables::Table;
use crate::storage::view::{Direction, KeyRange, Rows, Visit};

/// Every table as a map.
#[derive(Clone, Default)]
pub(crate) struct MemoryRows(pub(crate) Vec<BTreeMap<Vec<u8>, Vec<u8>>>);

impl MemoryRows {
    /// A copy of all rows.
    pub(crate) fn copy(rows: &dyn Rows) -> Self {
        let mut copy = Self(vec![BTreeMap::new(); Table::ALL.len()]);
        for table in Table::ALL {
            let scanned = rows.scan(*table, KeyRange::all(Direction::Up), &mut |key, value| {
                copy.table(*table).insert(key.to_vec(), value.to_vec());
                Ok(ControlFlow::Continue(()))
            });
            scanned.unwrap();
        }
        copy
    }

    pub(crate) fn table(&mut self, table: Table) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        &mut self.0[usize::from(table as u8)]
    }
}

impl Rows for MemoryRows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0[usize::from(table as u8)].get(key).cloned())
    }

    fn scan(&self, table: Table, range: KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let KeyRange { from, to, direction } = range;
        let inside = |key: &Vec<u8>| {
            let above = match &from {
                Bound::Unbounded => true,
                Bound::Included(from) => key >= from,
                Bound::Excluded(from) => key > from,
            };
            above
                && match &to {
                    Bound::Unbounded => true,
                    Bound::Included(to) => key <= to,
                    Bound::Excluded(to) => key < to,
                }
        };
        let mut rows: Vec<_> = self.0[usize::from(table as u8)].iter().filter(|(key, _)| inside(key)).collect();
        if direction == Direction::Down {
            rows.reverse();
        }
        for (key, value) in rows {
            if visit(key, value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

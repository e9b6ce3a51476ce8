//! Two sets of rows side by side: what differs, and what only one of them has.
//!
//! A page at a time, so that each page can be looked at in a transaction of its own: a long one would make a running
//! server's index grow.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::{Bound, ControlFlow};

use super::ScrubError;
use super::findings::Findings;
use super::rows::{REBUILD, shown};
use crate::storage::redb::METADATA_FILE;
use crate::storage::tables::Table;
use crate::storage::view::{Direction, KeyRange, Rows};

/// Rows of a page.
const PAGE_ROWS_MAX: usize = 8192;
/// Bytes of a page, unless one row has more.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// How far a comparison is: which table, and after which key.
#[derive(Clone, Debug)]
pub struct Cursor {
    tables: VecDeque<Table>,
    after: Bound<Vec<u8>>,
}

/// What one page came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Rows of the index in it.
    pub rows: u64,
    /// Whether it was the last one.
    pub is_last: bool,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { tables: Table::ALL.iter().copied().collect(), after: Bound::Unbounded }
    }
}

impl Cursor {
    /// Compares the next page of the index with the same keys of what the journal says.
    ///
    /// # Errors
    /// When rows can't be read.
    pub fn compare(
        &mut self,
        index: &dyn Rows,
        journal: &dyn Rows,
        findings: &mut Findings,
    ) -> Result<Page, ScrubError> {
        let Some(table) = self.tables.front().copied() else { return Ok(Page { rows: 0, is_last: true }) };
        let ours = Rowset::read(index, table, &self.after)?;
        let theirs = Rowset::read(journal, table, &self.after)?;
        // Both are known up to here.
        let until = match (ours.end(), theirs.end()) {
            (Some(one), Some(other)) => Some(one.min(other).to_vec()),
            (Some(end), None) | (None, Some(end)) => Some(end.to_vec()),
            (None, None) => None,
        };
        let rows = merge(table, ours, theirs, until.as_deref(), findings);
        self.after = if let Some(until) = until {
            Bound::Excluded(until)
        } else {
            self.tables.pop_front();
            Bound::Unbounded
        };
        Ok(Page { rows, is_last: self.tables.is_empty() })
    }
}

/// Some rows in order.
struct Rowset {
    rows: VecDeque<(Vec<u8>, Vec<u8>)>,
    /// Whether the table goes on behind them.
    is_cut: bool,
}

impl Rowset {
    fn read(rows: &dyn Rows, table: Table, after: &Bound<Vec<u8>>) -> Result<Self, ScrubError> {
        let mut set = Self { rows: VecDeque::new(), is_cut: false };
        let mut bytes = 0;
        let range = KeyRange { from: after.clone(), to: Bound::Unbounded, direction: Direction::Up };
        rows.scan(table, range, &mut |key, value| {
            set.rows.push_back((key.to_vec(), value.to_vec()));
            bytes += key.len() + value.len();
            set.is_cut = set.rows.len() >= PAGE_ROWS_MAX || bytes >= PAGE_BYTES_MAX;
            Ok(if set.is_cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(set)
    }

    /// The last key, when there may be more behind it.
    fn end(&self) -> Option<&[u8]> {
        self.rows.back().filter(|_| self.is_cut).map(|(key, _)| key.as_slice())
    }

    /// The first key, unless it lies beyond `until`.
    fn first(&self, until: Option<&[u8]>) -> Option<&[u8]> {
        let key = self.rows.front().map(|(key, _)| key.as_slice())?;
        until.is_none_or(|until| key <= until).then_some(key)
    }
}

/// Goes through both and returns how many rows of the index there were.
fn merge(table: Table, mut ours: Rowset, mut theirs: Rowset, until: Option<&[u8]>, findings: &mut Findings) -> u64 {
    let mut rows = 0;
    loop {
        let order = match (ours.first(until), theirs.first(until)) {
            (None, None) => return rows,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.cmp(other),
        };
        rows += u64::from(order != Ordering::Greater);
        let one = if order == Ordering::Greater { None } else { ours.rows.pop_front() };
        let other = if order == Ordering::Less { None } else { theirs.rows.pop_front() };
        let what = match (&one, &other) {
            (Some((_, one)), Some((_, other))) if one == other => continue,
            (Some(_), Some(_)) => "is not what the journal says",
            (Some(_), None) => "is not in the journal",
            (None, Some(_)) => "is in the journal, and missing here",
            (None, None) => return rows,
        };
        if let Some((key, _)) = one.or(other) {
            let what = format!("table {}, row `{}`: {what}", table.name(), shown(&key));
            findings.file(METADATA_FILE, what, REBUILD);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::scrub::memory_tests::MemoryRows;

    const PAGE: u32 = 8192;

    fn rows(count: u32) -> MemoryRows {
        let mut rows = MemoryRows(vec![std::collections::BTreeMap::new(); Table::ALL.len()]);
        for key in 0..count {
            rows.table(Table::Versions).insert(key.to_be_bytes().to_vec(), vec![1; 20]);
        }
        rows.table(Table::Users).insert(vec![1], vec![2]);
        rows
    }

    fn compare(index: &MemoryRows, journal: &MemoryRows) -> (u64, Vec<String>) {
        let (mut cursor, mut findings, mut rows) = (Cursor::default(), Findings::default(), 0);
        loop {
            let page = cursor.compare(index, journal, &mut findings).unwrap();
            rows += page.rows;
            if page.is_last {
                break;
            }
        }
        (rows, findings.list().iter().map(|finding| finding.what.clone()).collect())
    }

    #[test]
    fn the_same_rows_differ_in_nothing() {
        let all = rows(PAGE * 2 + 7);
        assert_eq!(compare(&all, &all), (PAGE_ROWS_MAX as u64 * 2 + 8, Vec::new()));
    }

    #[test]
    fn every_difference_is_told_once_wherever_pages_end() {
        let count = PAGE * 2 + 7;
        let journal = rows(count);
        for place in [0, 5, PAGE - 1, PAGE, PAGE + 1, count - 1] {
            let key = place.to_be_bytes().to_vec();
            let check = |change: &dyn Fn(&mut MemoryRows), what: &str| {
                let mut index = journal.clone();
                change(&mut index);
                let (_, told) = compare(&index, &journal);
                assert!(matches!(&told[..], [one] if one.contains(what) && one.contains("versions-v1")), "{told:?}");
            };
            check(&|index| drop(index.table(Table::Versions).remove(&key)), "missing here");
            check(&|index| drop(index.table(Table::Versions).insert(key.clone(), vec![1; 19])), "not what the journal");
            let longer = [&key[..], b"x"].concat();
            check(&|index| drop(index.table(Table::Versions).insert(longer.clone(), vec![1])), "is not in the journal");
        }
        let (_, told) = compare(&rows(0), &journal);
        assert_eq!(told.len(), crate::storage::scrub::FINDINGS_MAX.min(count as usize));
    }
}

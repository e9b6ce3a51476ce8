//! Rows against each other: every row of every table decodes under its key, what is derived follows from what it is
//! derived from and the other way round, counters count, and the state is what the logs say.
//!
//! Start reading at [`check_rows`]. `storage::redb::apply` says what is derived from what.

mod accounts;
mod blobs;
mod log;
mod packages;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::findings::Findings;
use super::meter::Meter;
use super::{Finding, ScrubError};
use crate::domain::change::Setting;
use crate::domain::package::MemberOf;
use crate::storage::progress::{Progress, Unit};
use crate::storage::redb::METADATA_FILE;
use crate::storage::rows::{Row, empty_row};
use crate::storage::tables::{Counter, Table};
use crate::storage::view::{Direction, KeyRange, Rows};
use crate::storage::{StoreError, View};

/// What to do about rows that contradict each other.
pub const REBUILD: &str = "stop the server and type `vix-registry verify --rebuild`";
/// How much of a key is shown.
const KEY_SHOWN_BYTES_MAX: usize = 96;
/// The bytes of a generation in a key: number, history.
const SNAPSHOT_KEY_BYTES: usize = 24;

/// Checks the rows of one transaction; returns how many rows there are.
///
/// # Errors
/// When the rows can't be read at all, or the work was told to stop.
pub fn check_rows(rows: &dyn Rows, progress: &dyn Progress, findings: &mut Findings) -> Result<u64, ScrubError> {
    let check = RowCheck {
        rows,
        view: View::new(rows),
        findings: RefCell::new(std::mem::take(findings)),
        meter: Meter::new(progress, Unit::Rows, None),
        counted: RefCell::default(),
    };
    let checked = check.all();
    *findings = check.findings.into_inner();
    checked
}

/// One pass over all rows.
struct RowCheck<'r> {
    rows: &'r dyn Rows,
    view: View<'r>,
    findings: RefCell<Findings>,
    meter: Meter<'r>,
    /// How many rows each table has that was read so far.
    counted: RefCell<BTreeMap<&'static str, u64>>,
}

impl RowCheck<'_> {
    fn all(&self) -> Result<u64, ScrubError> {
        self.packages()?;
        self.accounts()?;
        self.blobs()?;
        self.log()?;
        self.small_tables()?;
        self.fold()?;
        self.meter.tell()?;
        Ok(self.counted.borrow().values().sum())
    }

    /// Tables that nothing is derived from.
    fn small_tables(&self) -> Result<(), ScrubError> {
        self.each(Table::Settings, |key, _| {
            if key.len() != 1 {
                self.wrong(Table::Settings, key, "key does not read");
            }
            Ok(())
        })?;
        let history = self.rows.get(Table::Settings, &[Setting::History as u8])?;
        if history.is_none_or(|history| history.len() < size_of::<u128>()) {
            self.finding("the id of the directory's history is missing".to_owned());
        }
        self.each(Table::Counters, |key, value| {
            if key.len() != 1 || self.decoded::<u64>(Table::Counters, key, value).is_none() {
                self.wrong(Table::Counters, key, "is no counter");
            }
            Ok(())
        })?;
        self.each(Table::Snapshots, |key, value| {
            if key.len() != SNAPSHOT_KEY_BYTES {
                self.wrong(Table::Snapshots, key, "key does not read");
            }
            self.decoded::<u64>(Table::Snapshots, key, value);
            Ok(())
        })?;
        Ok(())
    }

    /// Shows `visit` each row of a table.
    fn each(&self, table: Table, visit: impl FnMut(&[u8], &[u8]) -> Result<(), ScrubError>) -> Result<u64, ScrubError> {
        let count = self.within(table, KeyRange::all(Direction::Up), visit)?;
        self.counted.borrow_mut().insert(table.name(), count);
        Ok(count)
    }

    fn within(
        &self,
        table: Table,
        range: KeyRange,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), ScrubError>,
    ) -> Result<u64, ScrubError> {
        let mut failed = None;
        let mut count = 0;
        self.rows.scan(table, range, &mut |key, value| {
            count += 1;
            match self.meter.add(1).map_err(ScrubError::from).and_then(|()| visit(key, value)) {
                Ok(()) => Ok(ControlFlow::Continue(())),
                Err(error) => {
                    failed = Some(error);
                    Ok(ControlFlow::Break(()))
                }
            }
        })?;
        failed.map_or(Ok(count), Err)
    }

    /// The row, or a finding.
    fn decoded<T: Row>(&self, table: Table, key: &[u8], value: &[u8]) -> Option<T> {
        match T::from_row(table, value) {
            Ok(row) => Some(row),
            Err(error) => {
                self.wrong(table, key, &error.to_string());
                None
            }
        }
    }

    /// A finding unless the row says nothing, as all of this table do.
    fn empty(&self, table: Table, key: &[u8], value: &[u8]) {
        if value != empty_row() {
            self.wrong(table, key, "its row is not empty");
        }
    }

    /// A look-up; a row that does not decode is told where its own table is read, and counts as absent here.
    fn look<T>(&self, query: impl FnOnce(&View<'_>) -> Result<Option<T>, StoreError>) -> Result<Option<T>, ScrubError> {
        match query(&self.view) {
            Ok(found) => Ok(found),
            Err(StoreError::Corrupt { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the row is there.
    fn has(&self, table: Table, key: &[u8]) -> Result<bool, ScrubError> {
        Ok(self.view.has(table, key)?)
    }

    /// A finding unless there is a row under `derived`, which follows from the row under `key`.
    fn expect(&self, (table, key): (Table, &[u8]), of: Table, derived: &[u8]) -> Result<(), ScrubError> {
        if !self.has(of, derived)? {
            self.wrong(table, key, &format!("{} has no row `{}` for it", of.name(), shown(derived)));
        }
        Ok(())
    }

    /// Adds a finding about a row.
    fn wrong(&self, table: Table, key: &[u8], what: &str) {
        let what = format!("table {}, row `{}`: {what}", table.name(), shown(key));
        self.finding(what);
    }

    fn finding(&self, what: String) {
        let finding = Finding { file: METADATA_FILE.to_owned(), what, fix: REBUILD.to_owned(), blob: None };
        self.findings.borrow_mut().add(finding);
    }

    /// A finding unless the counter says `counted`.
    fn counter(&self, counter: Counter, counted: u64) -> Result<(), ScrubError> {
        let kept = self.look(|view| view.counter(counter).map(Some))?;
        if kept != Some(counted) {
            let kept = kept.map_or_else(|| "nothing".to_owned(), |kept| kept.to_string());
            self.finding(format!("counter {counter:?} says {kept}, but there are {counted}"));
        }
        Ok(())
    }

    fn exists(&self, of: &MemberOf) -> Result<bool, ScrubError> {
        match of {
            MemberOf::Package(name) => Ok(self.look(|view| view.package(name))?.is_some()),
            MemberOf::Namespace(name) => Ok(self.look(|view| view.namespace(name))?.is_some()),
        }
    }
}

/// A key for people: a name as it is, what follows it and other bytes in hexadecimal.
pub(super) fn shown(key: &[u8]) -> String {
    let cut = key.get(..KEY_SHOWN_BYTES_MAX).unwrap_or(key);
    let name = cut.split(|byte| *byte == 0).next().unwrap_or_default();
    let is_text = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let (name, rest) = cut.split_at(if is_text { name.len() } else { 0 });
    let nibbles = rest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let hex: String = nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect();
    format!("{}{}{hex}", name.escape_ascii(), if name.is_empty() || hex.is_empty() { "" } else { " " })
}

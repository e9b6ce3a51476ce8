//! Takes in a directory that had a registry before there was a journal: its rows become the first snapshot.

use std::io;

use super::look::Looked;
use super::report::{OpenReport, OpenedAs};
use super::{OpenError, OpenedIndex, Phase, Place, original, presence};
use crate::domain::change::Setting;
use crate::domain::id::Id;
use crate::storage::StoreError;
use crate::storage::journal::facts::{JournalFacts, SnapshotFacts};
use crate::storage::journal::header::{Continues, Position};
use crate::storage::journal::name::{FileKind, Generation};
use crate::storage::journal::snapshot_write::write_snapshot;
use crate::storage::journal::{JOURNAL_FOLDER, JournalStart, NO_FRAME};
use crate::storage::redb::read_view;
use crate::storage::redb::rows::{each_row, set_format};
use crate::storage::tables::Counter;

/// Writes the snapshot. The first log, which makes it count, is begun by the writer with its first frame: a crash before
/// leaves an index that does not say where it stands, and this is done again.
pub(super) fn take_in(
    place: &Place<'_>,
    strays: &[Generation],
    mut facts: JournalFacts,
    looked: Looked,
) -> Result<OpenedIndex, OpenError> {
    let Some(held) = looked.held else { return Err(StoreError::Closed.into()) };
    let (history, tick) = read_view(&held.database, |view| {
        let history = view.setting(Setting::History)?.and_then(|bytes| Id::from_bytes(&bytes));
        Ok((history, view.counter(Counter::Ticks)?))
    })?;
    let what = || "the history has no id".to_owned();
    let history = history.ok_or_else(|| StoreError::Corrupt { table: "settings-v1", what: what() })?;
    make_folder(place)?;
    for stray in strays {
        let path = stray.path(place.data, FileKind::Snapshot);
        match place.fs.unlink(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::io("remove it", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let generation = Generation { number: 1, history };
    let head = SnapshotFacts { generation, number: 0, hash: NO_FRAME, tick, length: 0 };
    let mut rows = |visit: &mut crate::storage::journal::snapshot::VisitRow<'_>| each_row(&held.database, visit);
    let written = write_snapshot(&**place.fs, place.data, head, &mut rows, &mut |bytes| {
        place.tell(Phase::Intake, bytes, None).map_err(super::error::through)
    })?;
    let (database, index) = held.take()?;
    // From here on a program from before the journal would leave it behind.
    set_format(&database)?;
    let position = Position { generation, end: 0, number: 0, hash: NO_FRAME, tick };
    let continues = Some(Continues::before_the_journal(history));
    facts.snapshots = vec![written];
    let start = JournalStart { continues, next_generation: 1, ..original::start(place, &facts, position) };
    let mut report = OpenReport::of(OpenedAs::Intake);
    report.missing = presence::missing(place, &database)?;
    Ok(OpenedIndex { database, index, position, start, is_copy: false, facts, report })
}

fn make_folder(place: &Place<'_>) -> Result<(), OpenError> {
    let folder = place.data.join(JOURNAL_FOLDER);
    match place.fs.create_dir(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(OpenError::io("make it", &folder)(error)),
        Ok(()) | Err(_) => place.sync_dir(place.data),
    }
}

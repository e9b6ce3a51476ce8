//! Saves what can be saved of a directory that is refused: into another directory, which opens as a copy does.
//!
//! Owns the choice of what to save: the longest history that can be read without regard to what is wrong after it, be it
//! the journal's or, when that holds more, the index's own. Must never change anything in the directory that it reads.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::Database;

use super::error::through;
use super::look::{Held, Looked, look};
use super::partial::Partial;
use super::presence::Presences;
use super::report::{OpenReport, OpenedAs};
use super::{OpenError, OpenOptions, Phase, Place, Watch, along, copied, original};
use crate::domain::digest::Sha256;
use crate::storage::fs::Fs;
use crate::storage::journal::codec::encode_header;
use crate::storage::journal::cut::Presence;
use crate::storage::journal::facts::{JournalFacts, SnapshotFacts};
use crate::storage::journal::header::{Continues, Header, Identity, Mark, Position};
use crate::storage::journal::name::{FileKind, Generation};
use crate::storage::journal::plan::{IndexFacts, IndexPlan, Lineup, OpenRefusal, Route, decide_index, decide_lineup};
use crate::storage::journal::snapshot::VisitRow;
use crate::storage::journal::snapshot_write::write_snapshot;
use crate::storage::journal::survey::survey;
use crate::storage::journal::{JOURNAL_FOLDER, JournalError};
use crate::storage::redb::build::{Build, Built};
use crate::storage::redb::read_view;
use crate::storage::redb::rows::{each_row, scan_rows};
use crate::storage::rows::{BlobRow, Row as _};
use crate::storage::tables::{Counter, Table};
use crate::storage::view::{Direction, KeyRange};

/// Lost blobs that are named; their number is told in any case.
pub const LOST_NAMED_MAX: usize = 20;
/// The mark of a log that no file has: what is saved opens as a copy, and goes on as a history of its own.
const NO_MARK: Identity = Identity { inode: 0, born_ns: Some(0) };
/// Settings, which go along.
const SETTINGS: &[&str] = &["config.toml", "config.json"];

/// What would be saved, or was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SalvageReport {
    /// Why the directory is refused.
    pub refusal: OpenRefusal,
    /// Whether it is the index that tells the state, since it holds more than the journal.
    pub from_index: bool,
    /// The last change that is kept.
    pub change: u64,
    /// Its tick.
    pub tick: u64,
    /// Packages that are kept.
    pub packages: u64,
    /// Versions that are kept.
    pub versions: u64,
    /// Blobs that are kept.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// What is lost of the journal, each a file or the rest of one.
    pub lost: Vec<String>,
    /// Blobs that are lost: the versions that refer to them are kept, and answered with 500 `artifact_damaged`.
    pub lost_blobs: u64,
    /// The first of them, at most [`LOST_NAMED_MAX`].
    pub lost_blobs_named: Vec<Sha256>,
}

/// Why nothing was saved.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// The directory opens as it is.
    #[error("there is nothing to save: the directory opens as it is")]
    Sound,
    /// There is nothing that could be read.
    #[error("nothing can be saved: {0}")]
    Nothing(Box<OpenRefusal>),
    /// Something is there already, or what an earlier attempt that was cut off left beside it.
    #[error("`{}`, or the same name with `.partial`, is there already", .0.display())]
    Exists(PathBuf),
    /// The disk, the journal or the index failed.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Whether to save or to show what would be saved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// Nothing is left behind.
    Show,
    /// The directory is made.
    Save,
}

/// The state that is saved, open to be read.
enum State {
    /// The index that is there, unchanged.
    Index(Held),
    /// One that was built from the journal.
    Built(Box<Built>),
}

impl State {
    fn database(&self) -> &Database {
        match self {
            Self::Index(held) => &held.database,
            Self::Built(built) => &built.database,
        }
    }
}

/// Saves what can be saved of `data` into `dest`, which must not be there, or shows it. The caller holds the lock of
/// `data`. An index is built beside `dest` in both cases.
///
/// # Errors
/// As [`SalvageError`]'s variants. There is nothing at `dest` then.
pub fn salvage(
    fs: &Arc<dyn Fs>,
    (data, dest): (&Path, &Path),
    deed: Deed,
    options: &OpenOptions,
    watch: Watch<'_>,
) -> Result<SalvageReport, SalvageError> {
    let place = Place { fs, data, options, watch };
    let facts = survey(&**fs, data, None).map_err(OpenError::from)?;
    let (refusal, routes) = why_refused(&place, &facts)?;
    let partial = Partial::make(&place, dest)?.ok_or_else(|| SalvageError::Exists(dest.to_owned()))?;
    let found = state(&place, &routes, &partial.path)?;
    let Some((state, position)) = found else { return Err(SalvageError::Nothing(Box::new(refusal))) };
    let from_index = matches!(state, State::Index(_));
    let lost = if from_index { Vec::new() } else { refusal.salvage.lost.clone() };
    let (lost_blobs, lost_blobs_named) = lost_blobs(&place, state.database())?;
    let counts = read_view(state.database(), |view| {
        let count = |counter| view.counter(counter);
        Ok([count(Counter::Packages)?, count(Counter::Versions)?, count(Counter::Blobs)?, count(Counter::BlobBytes)?])
    });
    let [packages, versions, blobs, blob_bytes] = counts.map_err(OpenError::from)?;
    let Position { number: change, tick, .. } = position;
    let blobs = blobs.saturating_sub(lost_blobs);
    if deed == Deed::Save {
        write(&place, &partial, (state.database(), position), &facts)?;
        drop(state);
        partial.keep(dest)?;
    }
    Ok(SalvageReport {
        refusal,
        from_index,
        change,
        tick,
        packages,
        versions,
        blobs,
        blob_bytes,
        lost,
        lost_blobs,
        lost_blobs_named,
    })
}

/// Why the directory does not open, and the ways to what its journal tells, the one that reaches furthest first.
fn why_refused(place: &Place<'_>, facts: &JournalFacts) -> Result<(OpenRefusal, Vec<Route>), SalvageError> {
    let saved = |refusal: OpenRefusal| {
        let routes = refusal.salvage.routes.clone();
        Ok((refusal, routes))
    };
    let mut lineup = match decide_lineup(facts) {
        Ok(lineup) => lineup,
        Err(refusal) => return saved(refusal),
    };
    if let Lineup::Copy(copied) = &lineup {
        return match copied::choose(place, copied, &mut OpenReport::of(OpenedAs::Copy)) {
            Ok(_) => Err(SalvageError::Sound),
            Err(OpenError::Refused(refusal)) => Ok((*refusal, copied.routes.clone())),
            Err(error) => Err(error.into()),
        };
    }
    let looked = look(place, None)?;
    if let (Lineup::Original(original), IndexFacts::At(position)) = (&mut lineup, looked.facts) {
        along::confirm(place, position, &mut original.links)?;
    }
    match decide_index(&lineup, looked.facts) {
        Err(refusal) => saved(refusal),
        // Whether a way can be read shows when it is gone.
        Ok(IndexPlan::Rebuild { routes }) => Ok((original::no_way(None), routes)),
        Ok(IndexPlan::Create | IndexPlan::TakeIn { .. } | IndexPlan::Replay { .. } | IndexPlan::Follow(_)) => {
            Err(SalvageError::Sound)
        }
    }
}

/// The furthest state that can be read: the index's own, if the journal does not reach as far.
fn state(place: &Place<'_>, routes: &[Route], partial: &Path) -> Result<Option<(State, Position)>, OpenError> {
    let furthest = routes.first().and_then(Route::end).map(|end| end.number);
    if let Looked { facts: IndexFacts::At(position), held: Some(held), .. } = look(place, None)?
        && furthest.is_none_or(|furthest| furthest < position.number)
    {
        return Ok(Some((State::Index(held), position)));
    }
    for route in routes {
        let Some(end) = route.end() else { continue };
        match along::build(place, route, &Build::place(partial)) {
            Ok((built, _)) => return Ok(Some((State::Built(Box::new(built)), Position { tick: route.tick, ..end }))),
            Err(error) if error.is_damage() => tracing::warn!(%error, "another way is tried"),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// How many blobs are referred to and not there, and the first of them.
fn lost_blobs(place: &Place<'_>, database: &Database) -> Result<(u64, Vec<Sha256>), OpenError> {
    let presences = Presences::new(place);
    let (mut count, mut named, mut looked) = (0, Vec::new(), 0_u64);
    scan_rows(database, Table::Blobs, KeyRange::all(Direction::Up), &mut |_, value| {
        let row = BlobRow::from_row(Table::Blobs, value)?;
        if row.count > 0 && presences.look(&row.sha256) != Presence::There {
            count += 1;
            if named.len() < LOST_NAMED_MAX {
                named.push(row.sha256);
            }
        }
        looked += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    place.tell(Phase::Blobs, looked, Some(looked))?;
    presences.failed()?;
    Ok((count, named))
}

/// Writes what a copy consists of: a snapshot, the log that goes on from it, and the blobs.
fn write(
    place: &Place<'_>,
    partial: &Partial<'_>,
    (database, position): (&Database, Position),
    facts: &JournalFacts,
) -> Result<(), OpenError> {
    let Position { generation, end, number, hash, tick } = position;
    let next = Generation { number: generation.number + 1, ..generation };
    let tip = original::tip(facts, position);
    partial.folder(JOURNAL_FOLDER)?;
    let presences = Presences::new(place);
    let mut rows = |visit: &mut VisitRow<'_>| {
        each_row(database, &mut |table, key, value| match flagged(&presences, table, value)? {
            Some(flagged) => visit(table, key, &flagged),
            None => visit(table, key, value),
        })
    };
    let head = SnapshotFacts { generation: next, number, hash, tick, length: 0 };
    write_snapshot(&**place.fs, &partial.path, head, &mut rows, &mut |bytes| {
        place.tell(Phase::Intake, bytes, None).map_err(through)
    })?;
    presences.failed()?;
    let length = tip.map_or(end, |tip| tip.length.max(end));
    let header = Header {
        generation: next,
        tick,
        retention: tip.map_or(place.options.retention, |tip| tip.header.retention),
        continues: Some(Continues { generation, length, end, number, hash }),
        lineage: tip.map(|tip| tip.header.lineage.clone()).unwrap_or_default(),
        mark: Mark { file: NO_MARK, directory: NO_MARK },
    };
    partial.write(&next.path(&partial.path, FileKind::Log), &encode_header(&header)?)?;
    place.sync_dir(&partial.path.join(JOURNAL_FOLDER))?;
    blobs(place, partial, database)?;
    for name in SETTINGS {
        partial.copy(&place.data.join(name), &partial.path.join(name))?;
    }
    Ok(())
}

/// The row of a blob that is lost, with the flag that says so: else the directory would not open for lack of it.
fn flagged(presences: &Presences<'_>, table: Table, value: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
    if table != Table::Blobs {
        return Ok(None);
    }
    let row = BlobRow::from_row(Table::Blobs, value).map_err(through)?;
    let is_lost = row.count > 0 && !row.damaged && presences.look(&row.sha256) != Presence::There;
    Ok(is_lost.then(|| BlobRow { damaged: true, ..row }.to_row()))
}

/// Gives every blob that is referred to a second name, or copies it where there can't be one.
fn blobs(place: &Place<'_>, partial: &Partial<'_>, database: &Database) -> Result<(), OpenError> {
    partial.folder("blobs")?;
    partial.folder("blobs/sha256")?;
    let mut done = 0;
    for first in 0..=u8::MAX {
        let mut names = Vec::new();
        scan_rows(database, Table::Blobs, KeyRange::prefix(&[first], Direction::Up), &mut |_, value| {
            let row = BlobRow::from_row(Table::Blobs, value)?;
            names.extend((row.count > 0).then(|| row.sha256.to_hex()));
            Ok(ControlFlow::Continue(()))
        })?;
        if names.is_empty() {
            continue;
        }
        let shard = format!("blobs/sha256/{first:02x}");
        partial.folder(&shard)?;
        for name in names {
            partial.link(&place.data.join(&shard).join(&name), &partial.path.join(&shard).join(&name))?;
            done += 1;
        }
        place.sync_dir(&partial.path.join(&shard))?;
        place.tell(Phase::Blobs, done, None)?;
    }
    place.sync_dir(&partial.path.join("blobs/sha256"))?;
    place.sync_dir(&partial.path.join("blobs"))
}

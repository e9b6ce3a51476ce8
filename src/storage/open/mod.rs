//! Opens the data of a directory: looks at everything, decides, and only then changes anything.
//!
//! Owns the steps from the files of a directory to an index that holds all that counts of its journal. What is to be
//! done is decided by [`plan`](super::journal::plan), which reads nothing; here it is carried out. Must never change a
//! byte in a directory that is refused, write into a file that another directory may share, or write a frame: that is
//! the writer's, which takes over from [`OpenedIndex`].
//!
//! Each step can be cut off and begun again: an index is built beside and renamed, and what is taken away is either
//! nobody's (`uploads/`, `run/` of a copy) or set aside first.

mod along;
mod aside;
mod copied;
mod error;
mod intake;
mod look;
mod original;
mod partial;
pub mod presence;
mod report;
pub mod salvage;
pub mod watch;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use redb::Database;

pub use aside::FOLDER as QUARANTINE_FOLDER;
pub use error::OpenError;
pub use report::{OpenReport, OpenedAs};
pub use watch::{Opening, Phase, Watch, unwatched};

use self::look::Looked;
use super::disk::DiskState;
use super::fs::Fs;
use super::journal::JournalStart;
use super::journal::cut::Kept;
use super::journal::facts::JournalFacts;
use super::journal::header::Position;
use super::journal::plan::{Copied, Finding, IndexFacts, IndexPlan, Lineup, Route, decide_index, decide_lineup};
use super::journal::settle_newest;
use super::journal::survey::survey;
use super::progress::{Advance, Cancelled, Unit};
use super::redb::METADATA_FILE;
use super::redb::backend::IndexFile;
use super::redb::build::Build;
use super::{Moment, StoreError};
use crate::domain::id::Id;
use crate::domain::time::Timestamp;

/// How a directory is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// redb's page cache, in bytes.
    pub cache_bytes: usize,
    /// How long, in ticks, what is superseded is kept from now on.
    pub retention: u64,
    /// What is known about the disk.
    pub disk: Arc<DiskState>,
    /// When it is opened, for the ids of new histories.
    pub now: Moment,
}

/// What the writer goes on from.
#[derive(Debug)]
pub struct OpenedIndex {
    /// The index, which holds the state after `position`.
    pub database: Database,
    /// Its file.
    pub index: Arc<IndexFile>,
    /// Where it stands, which is where the journal ends; number 0 before the first frame. Its tick is the last frame's,
    /// from which time goes on.
    pub position: Position,
    /// How the journal goes on. A log is begun with the first frame and not before.
    pub start: JournalStart,
    /// Whether the first frame begins a history that goes on from another one's. An index without a history begins one
    /// with nothing.
    pub is_copy: bool,
    /// What the journal's files say that are still there.
    pub facts: JournalFacts,
    /// What was done, for the log and the status.
    pub report: OpenReport,
}

/// What every step works with.
struct Place<'p> {
    fs: &'p Arc<dyn Fs>,
    data: &'p Path,
    options: &'p OpenOptions,
    watch: Watch<'p>,
}

/// Opens the data of the directory `data`, whose lock the caller holds.
///
/// # Errors
/// [`OpenError::Refused`] when it is not to be opened: nothing was changed in it. Otherwise that the disk or redb
/// failed, or that it was told to stop: opening it again goes on from there.
pub fn open_data(
    fs: &Arc<dyn Fs>,
    data: &Path,
    options: &OpenOptions,
    watch: Watch<'_>,
) -> Result<OpenedIndex, OpenError> {
    let begun = Instant::now();
    let place = Place { fs, data, options, watch };
    place.tell(Phase::Survey, 0, None)?;
    // What is read from here on is on the disk, and not in memory alone.
    settle_newest(&**fs, data)?;
    let facts = survey(&**fs, data, None)?;
    let mut lineup = decide_lineup(&facts)?;
    let looked = match &mut lineup {
        Lineup::Copy(_) => Looked::away(),
        Lineup::New { .. } => look::look(&place, None)?,
        Lineup::Original(original) => {
            let looked = look::look(&place, original.seal.as_ref())?;
            if let IndexFacts::At(position) = looked.facts {
                along::confirm(&place, position, &mut original.links)?;
            }
            looked
        }
    };
    let mut opened = match decide_index(&lineup, looked.facts)? {
        IndexPlan::Create => original::create(&place, facts)?,
        IndexPlan::TakeIn { strays } => intake::take_in(&place, &strays, facts, looked)?,
        IndexPlan::Follow(copied) => copied::follow(&place, &copied, facts)?,
        IndexPlan::Replay { links } => original::replay(&place, &links, (&lineup, facts), looked)?,
        IndexPlan::Rebuild { routes } => original::rebuild(&place, &routes, facts, looked)?,
    };
    opened.report.findings.extend(findings(&lineup));
    opened.report.took = begun.elapsed();
    opened.report.log(&opened.position);
    Ok(opened)
}

/// Says how a directory would be opened, from a look at its journal's frames and at where its index stands; changes
/// nothing, and reads neither every row nor any blob.
///
/// # Errors
/// As [`open_data`], as far as that shows.
pub fn examine(fs: &Arc<dyn Fs>, data: &Path, options: &OpenOptions) -> Result<&'static str, OpenError> {
    let place = Place { fs, data, options, watch: &unwatched };
    let mut lineup = decide_lineup(&survey(&**fs, data, None)?)?;
    let facts = match &mut lineup {
        Lineup::Copy(_) => IndexFacts::Unusable,
        Lineup::New { .. } => look::look(&place, None)?.facts,
        Lineup::Original(original) => {
            let facts = look::peek(&place, original.seal.as_ref())?;
            if let IndexFacts::At(position) = facts {
                along::confirm(&place, position, &mut original.links)?;
            }
            facts
        }
    };
    Ok(match decide_index(&lineup, facts)? {
        IndexPlan::Create => "there is no registry yet: one is begun",
        IndexPlan::TakeIn { .. } => "the data is from before the journal, which is begun with it",
        IndexPlan::Follow(_) => "this is a copy: its index is built, and it goes on as a history of its own",
        IndexPlan::Replay { .. } => "the journal and the index fit together, and this program knows their format",
        IndexPlan::Rebuild { .. } => "the journal is sound; the index can't be used and is built anew from it",
    })
}

/// Builds the index of an open directory anew, as it stands after `position`, and sets the old file aside; for an index
/// whose file failed while it was in use. Nothing is appended to the journal meanwhile.
///
/// # Errors
/// As [`open_data`].
pub fn rebuild(
    fs: &Arc<dyn Fs>,
    data: &Path,
    position: &Position,
    options: &OpenOptions,
) -> Result<(Database, Arc<IndexFile>), OpenError> {
    let place = Place { fs, data, options, watch: &unwatched };
    let routes = match decide_lineup(&survey(&**fs, data, Some(*position))?)? {
        Lineup::New { .. } => Vec::new(),
        Lineup::Original(original) => original.routes,
        Lineup::Copy(copied) => copied.routes,
    };
    let mut refused = None;
    for route in routes.iter().filter(|route| along::leads_to(route, position)) {
        match along::build(&place, &along::until(route, *position), &Build::place(data)) {
            Ok((built, _)) => {
                aside::set_aside(&place, &[METADATA_FILE.to_owned()])?;
                return Ok(built.install(&**fs, data)?);
            }
            Err(error) if error.is_damage() => refused = Some(original::finding(&error)),
            Err(error) => return Err(error),
        }
    }
    Err(original::no_way(refused).into())
}

/// The state that a copy opens at, and the way to it. Nothing is changed: for those who only read the copy.
///
/// # Errors
/// As [`open_data`].
pub fn state_of_copy(
    fs: &Arc<dyn Fs>,
    data: &Path,
    copied: &Copied,
    watch: Watch<'_>,
) -> Result<(Route, Kept), OpenError> {
    let now = Moment { now: Timestamp(0), tick: 0 };
    let options = OpenOptions { cache_bytes: 0, retention: copied.retention, disk: Arc::default(), now };
    let place = Place { fs, data, options: &options, watch };
    copied::choose(&place, copied, &mut OpenReport::of(OpenedAs::Copy))
}

fn findings(lineup: &Lineup) -> Vec<Finding> {
    match lineup {
        Lineup::New { .. } => Vec::new(),
        Lineup::Original(original) => original.findings.clone(),
        Lineup::Copy(copied) => copied.findings.clone(),
    }
}

impl Place<'_> {
    /// Tells how far it is.
    fn tell(&self, phase: Phase, done: u64, total: Option<u64>) -> Result<(), Cancelled> {
        let unit = match phase {
            Phase::Survey | Phase::Check | Phase::Build | Phase::Intake => Unit::Bytes,
            Phase::Replay => Unit::Frames,
            Phase::Blobs => Unit::Blobs,
        };
        (self.watch)(Opening { phase, at: Advance { done, total, unit } })
    }

    /// Begins an index.
    fn begin_build(&self, path: &Path) -> Result<Build, OpenError> {
        let OpenOptions { cache_bytes, disk, .. } = self.options;
        Ok(Build::begin(Arc::clone(self.fs), path, *cache_bytes, Arc::clone(disk))?)
    }

    /// An id for a history that begins now.
    fn new_history(&self) -> Result<Id, OpenError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| StoreError::backend("drawing a history id", error.to_string()))?;
        Ok(Id::from_parts(self.options.now.now.unix_ms(), u128::from_be_bytes(random)))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), OpenError> {
        let synced = self.fs.open_dir(path).and_then(|dir| self.fs.sync_dir(&dir));
        synced.map_err(OpenError::io("sync it", path))
    }
}

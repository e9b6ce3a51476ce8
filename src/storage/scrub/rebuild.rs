//! `verify --rebuild`: a fresh index from the journal, for a directory that nobody uses.
//!
//! The old index is set aside in `quarantine/`, and the new one has its name only once it is whole and durable. A crash
//! in between leaves what the next opening mends.

use std::path::Path;
use std::sync::Arc;

use super::ScrubError;
use crate::storage::fs::Fs;
use crate::storage::journal::header::Position;
use crate::storage::journal::plan::{Lineup, decide_lineup};
use crate::storage::journal::settle_newest;
use crate::storage::journal::survey::survey;
use crate::storage::open::{self, OpenOptions};

/// What became of the index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rebuilt {
    /// There is a new one, which holds the journal up to here.
    Done(Position),
    /// The directory is a copy that was never opened: opening it builds its index.
    NotNeeded,
    /// There is no journal to build it from.
    NoJournal,
}

/// Builds the index of `data`, whose lock the caller holds, anew.
///
/// # Errors
/// When the journal does not lead to a state, or the disk fails.
pub fn rebuild(fs: &Arc<dyn Fs>, data: &Path, options: &OpenOptions) -> Result<Rebuilt, ScrubError> {
    // What a process that was killed had written and not synced must not be in the index and then not in the journal.
    settle_newest(&**fs, data)?;
    let facts = survey(&**fs, data, None)?;
    let original = match decide_lineup(&facts).map_err(|refusal| ScrubError::Refused(Box::new(refusal)))? {
        Lineup::Original(original) => original,
        Lineup::Copy(_) => return Ok(Rebuilt::NotNeeded),
        Lineup::New { .. } => return Ok(Rebuilt::NoJournal),
    };
    let Some(end) = original.links.last().map(|link| link.last) else { return Ok(Rebuilt::NoJournal) };
    let (database, index) = open::rebuild(fs, data, &end, options)?;
    drop(database);
    drop(index);
    Ok(Rebuilt::Done(end))
}

//! Makes a data directory of a backup, or of any other copy.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::files::{Life, Porter, Put};
use super::partial::{Partial, io_error};
use super::{BackupError, StateFacts};
use crate::domain::digest::Sha256;
use crate::storage::fs::{Access, Fs};
use crate::storage::journal::JOURNAL_FOLDER;
use crate::storage::journal::name::{FileKind, Generation};
use crate::storage::journal::plan::{Lineup, decide_lineup};
use crate::storage::journal::survey::survey;
use crate::storage::open::state_of_copy;
use crate::storage::progress::Progress;
use crate::storage::redb::METADATA_FILE;
use crate::storage::scrub::replica::Workshop;
use crate::storage::scrub::verify::{Verification, VerifyReport, Whose, verify};
use crate::storage::scrub::{Findings, ScrubError};

/// What was restored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RestoreReport {
    /// The state that it opens at; none for a backup from before the journal.
    pub state: Option<StateFacts>,
    /// Rows.
    pub rows: u64,
    /// Blobs, each of which was read back and hashed.
    pub blobs: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// What is wrong with the backup, and so with what was restored: artifacts that are damaged or lost.
    pub findings: Findings,
}

/// Copies the backup at `dir` to `dest`, which must not be there or be empty. Nothing of it is linked.
///
/// # Errors
/// As [`BackupError`]'s variants; there is nothing at `dest` then.
pub fn restore(
    fs: &Arc<dyn Fs>,
    dir: &Path,
    dest: &Path,
    cache_bytes: usize,
    progress: &dyn Progress,
) -> Result<RestoreReport, BackupError> {
    let partial = Partial::begin(fs, dest, true)?;
    let scratch = partial.path().to_owned();
    let source = Workshop { fs: Arc::clone(fs), data: dir.to_owned(), scratch, cache_bytes };
    let is_old = check_openable(&source, progress)?;
    let mut porter = Porter::new(&**fs, false, progress, None);
    copy_files(&mut porter, &source, &partial, is_old)?;
    let bytes = porter.bytes;
    let workshop = Workshop { data: partial.path().to_owned(), ..source };
    let report = read_back(&workshop, &partial, is_old, progress)?;
    partial.finish()?;
    let state = |at: crate::storage::journal::header::Position| StateFacts {
        generation: at.generation,
        number: at.number,
        tick: at.tick,
    };
    Ok(RestoreReport {
        state: report.state.map(state),
        rows: report.rows,
        blobs: report.blobs.blobs,
        bytes,
        findings: report.findings,
    })
}

/// Looks whether the backup would open; `true` when it is one from before the journal.
fn check_openable(source: &Workshop, progress: &dyn Progress) -> Result<bool, BackupError> {
    let facts = survey(&*source.fs, &source.data, None)?;
    match decide_lineup(&facts).map_err(|refusal| BackupError::Refused(Box::new(refusal)))? {
        Lineup::Original(_) => Ok(false),
        Lineup::Copy(copied) => {
            let found = state_of_copy(&source.fs, &source.data, &copied, &|at| progress.advance(at.at));
            Ok(found.map(|_| false).map_err(ScrubError::from)?)
        }
        Lineup::New { .. } => match source.fs.open(&source.data.join(METADATA_FILE), Access::Read) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(BackupError::NoRegistry(source.data.clone())),
            Err(error) => Err(io_error(&source.data.join(METADATA_FILE), "open it")(error)),
        },
    }
}

fn copy_files(porter: &mut Porter<'_>, source: &Workshop, partial: &Partial, is_old: bool) -> Result<(), BackupError> {
    // Blobs last: a log that grows meanwhile may only name blobs that are copied after it.
    let life_of_journal = |name: &str| match Generation::parse(name)? {
        (_, FileKind::Log) => Some(Life::Changing),
        (_, FileKind::Snapshot) => Some(Life::Unchanging),
    };
    copy_folder(porter, (source, partial), JOURNAL_FOLDER, life_of_journal)?;
    let settings = ["config.toml", "config.json"].into_iter();
    for name in settings.chain(is_old.then_some(METADATA_FILE)) {
        porter.copy(&source.data.join(name), &partial.path().join(name), Life::Changing)?;
    }
    partial.folder("blobs")?;
    partial.folder("blobs/sha256")?;
    for first_byte in 0..=u8::MAX {
        let life_of_blob = |name: &str| {
            let digest = Sha256::parse(name).filter(|digest| digest.0[0] == first_byte);
            digest.map(|_| Life::Unchanging)
        };
        copy_folder(porter, (source, partial), &format!("blobs/sha256/{first_byte:02x}"), life_of_blob)?;
    }
    for folder in ["blobs/sha256", "blobs", ""] {
        partial.sync(folder)?;
    }
    Ok(())
}

/// Copies the files of a folder whose names are expected there; one that goes meanwhile is left out.
fn copy_folder(
    porter: &mut Porter<'_>,
    (source, partial): (&Workshop, &Partial),
    folder: &str,
    life: impl Fn(&str) -> Option<Life>,
) -> Result<(), BackupError> {
    let from = source.data.join(folder);
    let mut names = match source.fs.list(&from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed.map_err(io_error(&from, "read it"))?,
    };
    names.sort_unstable();
    let to = partial.folder(folder)?;
    for (name, life) in names.iter().filter_map(|name| Some((name, name.to_str().and_then(&life)?))) {
        if porter.copy(&from.join(name), &to.join(name), life)? == Put::Missing {
            tracing::debug!(name = %name.to_string_lossy(), "a file went while it was to be copied");
        }
    }
    partial.sync(folder)
}

fn read_back(
    workshop: &Workshop,
    partial: &Partial,
    is_old: bool,
    progress: &dyn Progress,
) -> Result<VerifyReport, BackupError> {
    let work = Verification { workshop, whose: Whose::Copy, bytes_per_second_max: None };
    let report = verify(&work, progress)?;
    if report.state.is_some() || is_old {
        return Ok(report);
    }
    let path = partial.path().to_owned();
    match report.findings.list().first() {
        Some(finding) => Err(BackupError::NotWhole { path, finding: Box::new(finding.clone()) }),
        None => Err(BackupError::NoRegistry(path)),
    }
}

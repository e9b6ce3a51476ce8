//! Makes a backup.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::files::{Life, Porter, full};
use super::partial::{Partial, io_error};
use super::{BackupError, StateFacts};
use crate::storage::fs::{Access, Fs};
use crate::storage::journal::codec::encode_header;
use crate::storage::journal::cut::{Kept, Presence};
use crate::storage::journal::facts::{JournalFacts, SnapshotFacts};
use crate::storage::journal::header::{Continues, Header, Identity, Mark, Position};
use crate::storage::journal::name::{FileKind, Generation};
use crate::storage::journal::plan::{Lineup, Route, decide_lineup};
use crate::storage::journal::snapshot::VisitRow;
use crate::storage::journal::snapshot_write::write_snapshot;
use crate::storage::journal::survey::survey;
use crate::storage::journal::{JOURNAL_FOLDER, JournalError};
use crate::storage::open::presence::presence;
use crate::storage::open::state_of_copy;
use crate::storage::progress::{Advance, Progress, Unit};
use crate::storage::redb::METADATA_FILE;
use crate::storage::rows::BlobRow;
use crate::storage::scrub::blobs::blob_file;
use crate::storage::scrub::replica::{Replica, Workshop};
use crate::storage::scrub::verify::{Verification, VerifyReport, Whose, blob_rows, verify};
use crate::storage::scrub::{Finding, Findings, ScrubError};
use crate::storage::tables::{Counter, Table};
use crate::storage::view::{Direction, KeyRange, Rows, View};

/// How often a running server's journal is looked at anew when files of it went while they were read.
const LOOKS_MAX: usize = 5;
/// Settings, which are copied as they are.
const SETTINGS: &[&str] = &["config.toml", "config.json"];
/// The mark of a log that no file has: what is restored from a backup is a copy, and begins a history of its own.
const NO_MARK: Identity = Identity { inode: 0, born_ns: Some(0) };

/// How a backup is made.
#[derive(Clone, Copy, Debug)]
pub struct BackupOptions {
    /// Whether blobs are copied even where a second name would do: they share their disk's fate then.
    pub copy: bool,
    /// Memory for an index's pages, in bytes.
    pub cache_bytes: usize,
}

/// What was backed up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupReport {
    /// Which state.
    pub state: StateFacts,
    /// Rows.
    pub rows: u64,
    /// Blobs, each of which was read and hashed.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// Blobs that are second names of the registry's own files.
    pub linked: u64,
    /// Blobs that were copied.
    pub copied: u64,
    /// What is wrong with the registry itself, and so with its backup: artifacts that are damaged or lost.
    pub findings: Findings,
}

/// The state that is backed up, and what its journal says about itself.
struct Source {
    replica: Replica,
    /// The header of the last log.
    header: Header,
    /// All of that log's bytes.
    length: u64,
}

/// Makes a backup of `data` at `dest`, which must not be there. A server may be writing meanwhile.
///
/// # Errors
/// As [`BackupError`]'s variants; there is nothing at `dest` then.
pub fn create(
    fs: &Arc<dyn Fs>,
    data: &Path,
    dest: &Path,
    options: &BackupOptions,
    progress: &dyn Progress,
) -> Result<BackupReport, BackupError> {
    let partial = Partial::begin(fs, dest, false)?;
    let workshop = Workshop {
        fs: Arc::clone(fs),
        data: data.to_owned(),
        scratch: partial.path().to_owned(),
        cache_bytes: options.cache_bytes,
    };
    let source = read_source(&workshop, progress)?;
    let state = write_state(&**fs, &partial, &source, progress)?;
    let bytes = source.replica.read(|rows| Ok(View::new(rows).counter(Counter::BlobBytes)?))?;
    let mut porter = Porter::new(&**fs, !options.copy, progress, Some(bytes));
    put_blobs(&mut porter, (data, &partial), &source)?;
    for name in SETTINGS {
        porter.copy(&data.join(name), &partial.path().join(name), Life::Changing)?;
    }
    partial.sync("")?;
    let Porter { linked, copied, bytes, .. } = porter;
    drop(source);
    let report = read_back(&workshop, &partial, &state, progress)?;
    partial.finish()?;
    Ok(BackupReport {
        state,
        rows: report.rows,
        blobs: report.blobs.blobs,
        blob_bytes: report.blobs.bytes,
        bytes,
        linked,
        copied,
        findings: report.findings,
    })
}

/// The newest state that the journal tells, in a replica. A running server removes files: then it is looked at again.
fn read_source(workshop: &Workshop, progress: &dyn Progress) -> Result<Source, BackupError> {
    let mut looks = 0;
    loop {
        looks += 1;
        match look(workshop, progress) {
            Err(BackupError::Journal(_) | BackupError::Refused(_)) if looks < LOOKS_MAX => {}
            looked => return looked,
        }
    }
}

fn look(workshop: &Workshop, progress: &dyn Progress) -> Result<Source, BackupError> {
    let facts = survey(&*workshop.fs, &workshop.data, None)?;
    let (routes, until) = match decide_lineup(&facts).map_err(|refusal| BackupError::Refused(Box::new(refusal)))? {
        Lineup::New { .. } => return Err(without_journal(workshop)),
        Lineup::Original(original) => (original.routes, None),
        Lineup::Copy(copied) => {
            let found = state_of_copy(&workshop.fs, &workshop.data, &copied, &|at| progress.advance(at.at));
            let (route, Kept { at, .. }) = found.map_err(ScrubError::from)?;
            (vec![route], Some(at))
        }
    };
    let replica = build(workshop, &routes, until.as_ref(), progress)?;
    let (header, length) =
        last_log(&facts, replica.position()).ok_or_else(|| BackupError::NoRegistry(workshop.data.clone()))?;
    Ok(Source { replica, header, length })
}

fn without_journal(workshop: &Workshop) -> BackupError {
    let data = &workshop.data;
    match workshop.fs.open(&data.join(METADATA_FILE), Access::Read) {
        Ok(_) => BackupError::BeforeJournal(data.clone()),
        Err(_) => BackupError::NoRegistry(data.clone()),
    }
}

/// By the first route that can be read; the error is the last one's.
fn build(
    workshop: &Workshop,
    routes: &[Route],
    until: Option<&Position>,
    progress: &dyn Progress,
) -> Result<Replica, BackupError> {
    let mut failed = None;
    for route in routes {
        match Replica::build(workshop, route, until, progress) {
            Ok(replica) => return Ok(replica),
            Err(ScrubError::Journal(error)) => failed = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(failed.map_or_else(|| BackupError::NoRegistry(workshop.data.clone()), BackupError::Journal))
}

fn last_log(facts: &JournalFacts, position: &Position) -> Option<(Header, u64)> {
    let log = facts.logs.iter().find(|log| log.header.generation == position.generation)?;
    Some((log.header.clone(), log.length))
}

/// Writes the snapshot and the header of the log that goes on from it, both durable.
fn write_state(
    fs: &dyn Fs,
    partial: &Partial,
    source: &Source,
    progress: &dyn Progress,
) -> Result<StateFacts, BackupError> {
    let Position { generation, end, number, hash, tick } = *source.replica.position();
    let next = Generation { number: generation.number + 1, ..generation };
    let folder = partial.folder(JOURNAL_FOLDER)?;
    let header = Header {
        generation: next,
        tick,
        retention: source.header.retention,
        continues: Some(Continues { generation, length: source.length.max(end), end, number, hash }),
        lineage: source.header.lineage.clone(),
        mark: Mark { file: NO_MARK, directory: NO_MARK },
    };
    let facts = SnapshotFacts { generation: next, number, hash, tick, length: 0 };
    source.replica.read(|rows| {
        let mut give = |visit: &mut VisitRow<'_>| give_rows(rows, visit);
        let mut pace = |bytes| {
            let at = Advance { done: bytes, total: None, unit: Unit::Bytes };
            progress.advance(at).map_err(|cancelled| JournalError::rows(ScrubError::from(cancelled)))
        };
        Ok(write_snapshot(fs, partial.path(), facts, &mut give, &mut pace)?)
    })?;
    let path = folder.join(next.file_name(FileKind::Log));
    let bytes = encode_header(&header)?;
    let file = fs.create(&path).map_err(full(fs, &path, "make it"))?;
    let written = fs.write_all_at(&file, &bytes, 0).and_then(|()| fs.sync_all(&file));
    written.map_err(full(fs, &path, "write it"))?;
    partial.sync(JOURNAL_FOLDER)?;
    Ok(StateFacts { generation: next, number, tick })
}

/// Every row in the order of tables and keys.
fn give_rows(rows: &dyn Rows, visit: &mut VisitRow<'_>) -> Result<(), JournalError> {
    for table in Table::ALL {
        let mut failed = None;
        let scanned = rows.scan(*table, KeyRange::all(Direction::Up), &mut |key, value| {
            failed = visit(*table, key, value).err();
            Ok(if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        failed.map_or(Ok(()), Err)?;
        scanned.map_err(|error| JournalError::rows(ScrubError::from(error)))?;
    }
    Ok(())
}

/// Links or copies each blob that the state refers to.
fn put_blobs(porter: &mut Porter<'_>, (data, partial): (&Path, &Partial), source: &Source) -> Result<(), BackupError> {
    partial.folder("blobs")?;
    partial.folder("blobs/sha256")?;
    for first_byte in 0..=u8::MAX {
        let rows = source.replica.read(|rows| blob_rows(rows, first_byte))?;
        let folder = format!("blobs/sha256/{first_byte:02x}");
        let mut is_made = false;
        for row in rows.iter().filter(|row| row.count > 0) {
            if !is_made {
                partial.folder(&folder)?;
                is_made = true;
            }
            let file = blob_file(&row.sha256);
            porter.put(&data.join(&file), &partial.path().join(&file), row.size)?;
            check_there(porter.fs, partial, row, source)?;
        }
        if is_made {
            partial.sync(&folder)?;
        }
    }
    partial.sync("blobs/sha256")?;
    partial.sync("blobs")
}

/// A blob that was swept meanwhile is the end of this backup; one that was lost or known as damaged before is not.
fn check_there(fs: &dyn Fs, partial: &Partial, row: &BlobRow, source: &Source) -> Result<(), BackupError> {
    let file = blob_file(&row.sha256);
    let found = presence(fs, partial.path(), &row.sha256);
    let is_old = row.referred_since.saturating_add(source.header.retention) < source.replica.position().tick;
    match found.map_err(io_error(&partial.path().join(&file), "look for it"))? {
        Presence::There => Ok(()),
        Presence::Swept { dropped } if dropped >= row.referred_since => Err(BackupError::Outlasted { file }),
        Presence::Swept { .. } | Presence::Missing if row.damaged || is_old => Ok(()),
        Presence::Swept { .. } | Presence::Missing => Err(BackupError::Outlasted { file }),
    }
}

/// Reads everything back as an opening would, and all of its bytes.
fn read_back(
    workshop: &Workshop,
    partial: &Partial,
    state: &StateFacts,
    progress: &dyn Progress,
) -> Result<VerifyReport, BackupError> {
    let own = Workshop { data: partial.path().to_owned(), ..workshop.clone() };
    let work = Verification { workshop: &own, whose: Whose::Copy, bytes_per_second_max: None };
    let report = verify(&work, progress)?;
    // What is wrong with blobs was wrong before.
    let mut found = report.findings.list().iter().filter(|finding| !finding.file.starts_with("blobs/"));
    let finding = match (found.next(), &report.state) {
        (Some(finding), _) => finding.clone(),
        (None, Some(at)) if at.number == state.number => return Ok(report),
        (None, _) => Finding {
            file: JOURNAL_FOLDER.to_owned(),
            what: "it opens at another state than was written".to_owned(),
            fix: "try again".to_owned(),
            blob: None,
        },
    };
    Err(BackupError::NotWhole { path: partial.path().to_owned(), finding: Box::new(finding) })
}

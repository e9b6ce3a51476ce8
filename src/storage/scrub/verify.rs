//! `verify` as a whole: the journal, the index against it, the rows, and the blobs; beside a running server or without.
//!
//! The state is always taken from the journal: it is replayed into a replica elsewhere, the index is compared with that
//! row by row at the same frame, and the rows and blobs are checked against the newest state. A server's index is only
//! looked at a page at a time, so that nothing of it is pinned while blobs are read.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::ScrubError;
use super::blobs::{BlobCounts, BlobRows, BlobScan, check_blobs};
use super::compare::{Cursor, Page};
use super::findings::Findings;
use super::journal::{Expects, JournalCounts, SALVAGE, check_journal, refused};
use super::meter::Meter;
use super::replica::{Replica, Workshop};
use super::rows::{REBUILD, check_rows};
pub use super::sources::blob_rows;
use super::sources::{DatabaseRows, LiveRows, NoRows, ReplicaRows};
use crate::storage::StoreError;
use crate::storage::journal::header::Position;
use crate::storage::journal::name::Generation;
use crate::storage::journal::plan::{Copied, Lineup, Original, Route};
use crate::storage::open::{OpenError, state_of_copy};
use crate::storage::progress::{Progress, Unit};
use crate::storage::redb::METADATA_FILE;
use crate::storage::redb::inspect::{Inspection, inspect, read_rows};
use crate::storage::tables::Counter;
use crate::storage::view::{Rows, View};

/// Takes the rows of one read transaction, and the frame after which they are the state.
pub type VisitIndex<'v> = dyn FnMut(&dyn Rows, Position) -> Result<(), ScrubError> + 'v;

/// The index of a running server.
pub trait LiveIndex {
    /// Shows `visit` the rows as they stand now, in one short read transaction.
    ///
    /// # Errors
    /// When the index can't be read, and what `visit` answers with.
    fn read(&self, visit: &mut VisitIndex<'_>) -> Result<(), ScrubError>;
}

/// Whose directory is verified.
#[derive(Clone, Copy)]
pub enum Whose<'v> {
    /// The running server's, whose index this is.
    Server(&'v dyn LiveIndex),
    /// This process's own, which nobody else uses.
    Own,
    /// A backup or another copy: its index is no part of it, and it may end where copying ended it.
    Copy,
}

/// What is verified, and with what.
#[derive(Clone, Copy)]
pub struct Verification<'v> {
    /// The disk, the directory, and where the replica is built.
    pub workshop: &'v Workshop,
    /// Whose it is.
    pub whose: Whose<'v>,
    /// The most that is read of blobs in a second; none: as fast as the disk is.
    pub bytes_per_second_max: Option<u64>,
}

/// What was checked, and what is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VerifyReport {
    /// Files of the journal.
    pub journal: JournalCounts,
    /// Rows of the state, each checked against the others.
    pub rows: u64,
    /// Rows of the index that were compared with the journal.
    pub compared: u64,
    /// Files of blobs.
    pub blobs: BlobCounts,
    /// Snapshots that are not what was written: a running server writes a new one in place of each.
    pub rotten_snapshots: Vec<Generation>,
    /// The last frame of the state that was checked; none when there is no state.
    pub state: Option<Position>,
    /// What is wrong.
    pub findings: Findings,
}

/// Reads everything.
///
/// # Errors
/// When the scratch directory can't be used, the disk fails, or the work was told to stop. What is wrong with the data
/// is in the report.
pub fn verify(work: &Verification<'_>, progress: &dyn Progress) -> Result<VerifyReport, ScrubError> {
    let mut verifier = Verifier { work, progress, report: VerifyReport::default() };
    let live = verifier.live_position()?;
    let expects = match (work.whose, &live) {
        (Whose::Server(_), Some(live)) => Expects::AtLeast(live),
        (Whose::Own | Whose::Server(_), _) => Expects::All,
        (Whose::Copy, _) => Expects::Prefix,
    };
    let check = check_journal(work.workshop, expects, progress, &mut verifier.report.findings)?;
    verifier.report.journal = check.counts;
    verifier.report.rotten_snapshots = check.rotten_snapshots;
    let replica = match (check.lineup, live) {
        (Some(Lineup::Original(original)), Some(live)) => verifier.beside_server(&original, &live)?,
        (Some(Lineup::Original(original)), None) => verifier.original(&original)?,
        (Some(Lineup::Copy(copied)), None) => verifier.copy(&copied)?,
        (Some(Lineup::New { .. }), None) => return verifier.without_journal(),
        (Some(Lineup::New { .. } | Lineup::Copy(_)), Some(_)) => {
            verifier.report.findings.file("journal", "it is not the one that the running server writes", SALVAGE);
            None
        }
        (None, _) => None,
    };
    match replica {
        Some(replica) => verifier.state(&replica)?,
        None => verifier.without_state()?,
    }
    Ok(verifier.report)
}

struct Verifier<'v> {
    work: &'v Verification<'v>,
    progress: &'v dyn Progress,
    report: VerifyReport,
}

impl Verifier<'_> {
    fn live(&self) -> Option<&dyn LiveIndex> {
        match self.work.whose {
            Whose::Server(live) => Some(live),
            Whose::Own | Whose::Copy => None,
        }
    }

    fn live_position(&self) -> Result<Option<Position>, ScrubError> {
        let Some(live) = self.live() else { return Ok(None) };
        let mut position = None;
        live.read(&mut |_, at| {
            position = Some(at);
            Ok(())
        })?;
        Ok(position)
    }

    /// A replica of the state after `until`, by the first route that can be read.
    fn replica(&mut self, routes: &[Route], until: &Position) -> Result<Option<Replica>, ScrubError> {
        for route in routes.iter().filter(|route| route.start().is_some_and(|start| start.number <= until.number)) {
            match Replica::build(self.work.workshop, route, Some(until), self.progress) {
                Ok(replica) => return Ok(Some(replica)),
                // Which file it is was told when the journal was read.
                Err(ScrubError::Journal(error)) => tracing::debug!(%error, "a route of the journal can't be read"),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The index of a running server, a page at a time, each page at the frame where the index stands then.
    fn beside_server(&mut self, original: &Original, live: &Position) -> Result<Option<Replica>, ScrubError> {
        let Some(mut replica) = self.replica(&original.routes, live)? else { return Ok(None) };
        let Whose::Server(index) = self.work.whose else { return Ok(Some(replica)) };
        let meter = Meter::new(self.progress, Unit::Rows, None);
        let mut cursor = Cursor::default();
        let findings = &mut self.report.findings;
        loop {
            let mut page = Page { rows: 0, is_last: true };
            let progress = self.progress;
            let compared = guarded(|| {
                index.read(&mut |rows, at| {
                    replica.advance(&at, progress)?;
                    page = replica.read(|journal| cursor.compare(rows, journal, findings))?;
                    Ok(())
                })
            });
            if let Some(what) = index_fault(compared)? {
                findings.file(METADATA_FILE, what, REBUILD);
                break;
            }
            meter.add(page.rows)?;
            if page.is_last {
                break;
            }
        }
        self.report.compared = meter.done();
        Ok(Some(replica))
    }

    /// The index of a directory that nobody uses, then the newest state of its journal.
    fn original(&mut self, original: &Original) -> Result<Option<Replica>, ScrubError> {
        let Some(end) = original.links.last().map(|link| link.last) else { return Ok(None) };
        if matches!(self.work.whose, Whose::Copy) {
            return self.replica(&original.routes, &end);
        }
        let Workshop { fs, data, cache_bytes, .. } = self.work.workshop;
        let mut found = |what: String, fix: &str| self.report.findings.file(METADATA_FILE, what, fix);
        let (database, position) = match inspect(fs, &data.join(METADATA_FILE), *cache_bytes)? {
            Inspection::Sound { database, position: Some(position) } => (database, position),
            Inspection::Missing => {
                found("it is missing".to_owned(), REBUILD);
                return self.replica(&original.routes, &end);
            }
            Inspection::Sound { position: None, .. } => {
                found("it does not say which change it holds last".to_owned(), REBUILD);
                return self.replica(&original.routes, &end);
            }
            Inspection::Damaged(what) => {
                found(format!("its pages are not what was written: {what}"), REBUILD);
                return self.replica(&original.routes, &end);
            }
        };
        if position.number > end.number {
            let what = format!("it holds change {}, and the journal ends with {}", position.number, end.number);
            found(what, SALVAGE);
            return self.replica(&original.routes, &end);
        }
        // A clean stop makes the index durable before it seals the journal.
        if original.seal.is_some() && position.number + 1 < end.number {
            let what = format!("it holds change {}, and the server stopped after {}", position.number, end.number - 1);
            found(what, REBUILD);
        }
        let Some(mut replica) = self.replica(&original.routes, &position)? else {
            return self.replica(&original.routes, &end);
        };
        if replica.position().hash == position.hash {
            self.compare(&database, &replica)?;
        } else {
            let what = format!("it holds a change {} that is not in the journal", position.number);
            self.report.findings.file(METADATA_FILE, what, REBUILD);
        }
        replica.advance(&end, self.progress)?;
        Ok(Some(replica))
    }

    /// A copy that was never opened: its index is not looked at, and its state is the one that it would open at.
    fn copy(&mut self, copied: &Copied) -> Result<Option<Replica>, ScrubError> {
        let Workshop { fs, data, .. } = self.work.workshop;
        match state_of_copy(fs, data, copied, &|at| self.progress.advance(at.at)) {
            Ok((route, kept)) => self.replica(&[route], &kept.at),
            Err(OpenError::Refused(refusal)) => {
                let (file, what, fix) = refused(&refusal);
                let mut told = self.report.findings.list().iter();
                if told.all(|finding| finding.file != file) {
                    self.report.findings.file(file, what, fix);
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn compare(&mut self, database: &redb::Database, replica: &Replica) -> Result<(), ScrubError> {
        let meter = Meter::new(self.progress, Unit::Rows, None);
        let mut cursor = Cursor::default();
        let findings = &mut self.report.findings;
        let compared = guarded(|| {
            read_rows(database, |rows, _| {
                loop {
                    let page = replica.read(|journal| cursor.compare(rows, journal, findings))?;
                    meter.add(page.rows)?;
                    if page.is_last {
                        return Ok(());
                    }
                }
            })
        });
        if let Some(what) = index_fault(compared)? {
            self.report.findings.file(METADATA_FILE, what, REBUILD);
        }
        self.report.compared = meter.done();
        Ok(())
    }

    /// Rows against each other, and blobs against rows.
    fn state(&mut self, replica: &Replica) -> Result<(), ScrubError> {
        self.report.state = Some(*replica.position());
        let findings = &mut self.report.findings;
        self.report.rows = replica.read(|rows| check_rows(rows, self.progress, findings))?;
        let expected = replica.read(|rows| Ok(View::new(rows).counter(Counter::BlobBytes)?))?;
        match self.work.whose {
            Whose::Server(live) => self.blobs(&LiveRows(live), Some(expected)),
            Whose::Own | Whose::Copy => self.blobs(&ReplicaRows(replica), Some(expected)),
        }
    }

    /// A directory from before the journal: the index is all there is.
    fn without_journal(mut self) -> Result<VerifyReport, ScrubError> {
        let Workshop { fs, data, cache_bytes, .. } = self.work.workshop;
        match inspect(fs, &data.join(METADATA_FILE), *cache_bytes)? {
            Inspection::Missing => {
                self.report.findings.file(METADATA_FILE, "there is neither an index nor a journal", SALVAGE);
            }
            Inspection::Damaged(what) => {
                let what = format!("its pages are not what was written, and there is no journal: {what}");
                self.report.findings.file(METADATA_FILE, what, SALVAGE);
            }
            Inspection::Sound { database, position: Some(_) } => {
                drop(database);
                self.report.findings.file("journal", "the logs that the index names are not there", SALVAGE);
            }
            Inspection::Sound { database, position: None } => {
                let (progress, findings) = (self.progress, &mut self.report.findings);
                let mut counted = 0;
                read_rows(&database, |rows, _| check_rows(rows, progress, findings).map(|rows| counted = rows))?;
                self.report.rows = counted;
                self.blobs(&DatabaseRows(&database), None)?;
            }
        }
        Ok(self.report)
    }

    /// Nothing tells what blobs there should be: those that are there are read all the same.
    fn without_state(&mut self) -> Result<(), ScrubError> {
        match self.work.whose {
            Whose::Server(live) => self.blobs(&LiveRows(live), None),
            Whose::Own | Whose::Copy => self.blobs(&NoRows, None),
        }
    }

    fn blobs(&mut self, rows: &dyn BlobRows, bytes_expected: Option<u64>) -> Result<(), ScrubError> {
        let Workshop { fs, data, .. } = self.work.workshop;
        let bytes_per_second_max = self.work.bytes_per_second_max;
        let scan = BlobScan { fs: &**fs, data, bytes_per_second_max, bytes_expected };
        self.report.blobs = check_blobs(&scan, rows, self.progress, &mut self.report.findings)?;
        Ok(())
    }
}

/// Runs what reads an index whose pages may be anything: redb panics on some of them.
fn guarded(work: impl FnOnce() -> Result<(), ScrubError>) -> Result<(), ScrubError> {
    let ran = catch_unwind(AssertUnwindSafe(work));
    ran.unwrap_or_else(|_| {
        let what = "its reader panicked".to_owned();
        Err(StoreError::Corrupt { table: METADATA_FILE, what }.into())
    })
}

/// What is wrong with an index that could not be read to its end; other errors stay errors.
fn index_fault(compared: Result<(), ScrubError>) -> Result<Option<String>, ScrubError> {
    match compared {
        Ok(()) => Ok(None),
        Err(ScrubError::Store(error @ (StoreError::Corrupt { .. } | StoreError::Backend { .. }))) => {
            Ok(Some(format!("it can't be read to its end: {error}")))
        }
        Err(error) => Err(error),
    }
}

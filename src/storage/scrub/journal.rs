//! The journal's files: every frame of every log, every snapshot whole, and that they chain on to one state.
//!
//! [`survey`] reads each frame and [`decide_lineup`] says whether the logs fit together, exactly as an opening would;
//! here that becomes findings, one for each file that is not as it should be.

use std::io;

use super::ScrubError;
use super::findings::Findings;
use super::meter::Meter;
use super::replica::Workshop;
use crate::storage::journal::facts::{JournalFacts, LogFacts, Tail};
use crate::storage::journal::header::Position;
use crate::storage::journal::name::{FileKind, Generation};
use crate::storage::journal::plan::{Lineup, OpenRefusal, RefusalKind, decide_lineup};
use crate::storage::journal::snapshot::read_snapshot;
use crate::storage::journal::survey::survey;
use crate::storage::journal::{JOURNAL_FOLDER, JournalError};
use crate::storage::progress::{Progress, Unit};

/// How often the journal of a running server is looked at when it does not fit together: files go while it is read.
const LOOKS_MAX: usize = 3;

/// What to do about a file of the journal that is rotten and not the only one that has what it holds.
pub const RENEW: &str = "type `vix-registry gc --now --yes`, which writes a new snapshot and removes what is older";
/// What to do about a journal that does not open.
pub const SALVAGE: &str =
    "restore a backup into an empty place, or see what `vix-registry verify --salvage NEW-DIRECTORY` would keep";
const RESTORE: &str = "restore into an empty place, from one of the two directories alone";
const COPY_AGAIN: &str = "copy again, faster, or raise `storage.retention` in the original before copying";
const START_ONCE: &str = "start the server and stop it, then verify again: it begins a new log";
const MOVE_AWAY: &str = "move it elsewhere: nothing here refers to it";

/// How much of its history a journal has to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expects<'e> {
    /// All of it: nobody is writing.
    All,
    /// All up to where the index of a running server stands; what follows may just be on its way.
    AtLeast(&'e Position),
    /// As much as a copy has.
    Prefix,
}

/// What was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct JournalCounts {
    /// Logs with a good header.
    pub logs: u64,
    /// Good frames in them.
    pub frames: u64,
    /// Snapshots that are whole.
    pub snapshots: u64,
    /// Notes that stand for files that were removed.
    pub notes: u64,
}

/// The journal as it was found.
pub struct JournalCheck {
    /// How it is opened; none when it is refused.
    pub lineup: Option<Lineup>,
    /// What was read.
    pub counts: JournalCounts,
    /// Snapshots that are not what was written.
    pub rotten_snapshots: Vec<Generation>,
}

/// Reads every byte of the journal.
///
/// # Errors
/// When the folder can't be read, or the work was told to stop.
pub fn check_journal(
    workshop: &Workshop,
    expects: Expects<'_>,
    progress: &dyn Progress,
    findings: &mut Findings,
) -> Result<JournalCheck, ScrubError> {
    let live = match expects {
        Expects::AtLeast(live) => Some(live),
        Expects::All | Expects::Prefix => None,
    };
    let (facts, decided) = look(workshop, live)?;
    let mut check = Check { findings: Findings::default(), live, facts: &facts, rotten: Vec::new() };
    check.names(workshop)?;
    let snapshots = check.snapshots(workshop, progress)?;
    check.unreadable();
    check.tails(expects != Expects::Prefix && matches!(decided, Ok(Lineup::Original(_))));
    match &decided {
        Ok(lineup) => check.lineup(lineup),
        Err(refusal) => check.refusal(refusal),
    }
    findings.extend(std::mem::take(&mut check.findings));
    let frames = |log: &LogFacts| {
        let begin = log.positions.first().map_or(0, |first| first.number);
        log.last().number.saturating_sub(begin)
    };
    let counts = JournalCounts {
        logs: facts.logs.len() as u64,
        frames: facts.logs.iter().map(frames).sum(),
        snapshots,
        notes: facts.retired.len() as u64,
    };
    Ok(JournalCheck { lineup: decided.ok(), counts, rotten_snapshots: check.rotten })
}

/// What the files say and whether they fit together.
fn look(
    workshop: &Workshop,
    live: Option<&Position>,
) -> Result<(JournalFacts, Result<Lineup, OpenRefusal>), ScrubError> {
    let mut looks = 0;
    loop {
        looks += 1;
        let facts = survey(&*workshop.fs, &workshop.data, live.copied())?;
        let decided = decide_lineup(&facts);
        if decided.is_ok() || live.is_none() || looks == LOOKS_MAX {
            return Ok((facts, decided));
        }
    }
}

struct Check<'c> {
    findings: Findings,
    live: Option<&'c Position>,
    facts: &'c JournalFacts,
    rotten: Vec<Generation>,
}

impl Check<'_> {
    /// Adds a finding, unless there is one about this file.
    fn add(&mut self, file: &str, what: String, fix: &str) {
        if self.findings.list().iter().all(|finding| finding.file != file) {
            self.findings.file(file, what, fix);
        }
    }

    fn names(&mut self, workshop: &Workshop) -> Result<(), ScrubError> {
        let path = workshop.data.join(JOURNAL_FOLDER);
        let names = match workshop.fs.list(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed.map_err(|source| ScrubError::Io { path, op: "read it", source })?,
        };
        for name in names {
            if name.to_str().and_then(Generation::parse).is_none() {
                let file = format!("{JOURNAL_FOLDER}/{}", name.to_string_lossy());
                self.add(&file, "a registry puts no file of this name here".to_owned(), MOVE_AWAY);
            }
        }
        Ok(())
    }

    /// Reads each snapshot to its end; returns how many are whole.
    fn snapshots(&mut self, workshop: &Workshop, progress: &dyn Progress) -> Result<u64, ScrubError> {
        let mut whole = 0;
        let meter = Meter::new(progress, Unit::Rows, None);
        for snapshot in &self.facts.snapshots {
            let mut stopped = None;
            let read = read_snapshot(&*workshop.fs, &workshop.data, snapshot.generation, &mut |_, _, _| {
                meter.add(1).map_err(|cancelled| {
                    stopped = Some(cancelled);
                    JournalError::rows(cancelled)
                })
            });
            if let Some(cancelled) = stopped {
                return Err(cancelled.into());
            }
            let file = snapshot.generation.shown(FileKind::Snapshot);
            match read {
                Ok(_) => whole += 1,
                // Retired meanwhile.
                Err(JournalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(JournalError::Damaged { offset, what, .. }) => {
                    self.rotten.push(snapshot.generation);
                    self.add(&file, at(offset, &what), RENEW);
                }
                Err(JournalError::Io { source, .. }) => {
                    self.rotten.push(snapshot.generation);
                    self.add(&file, format!("it can't be read: {source}"), RENEW);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(whole)
    }

    fn unreadable(&mut self) {
        for one in &self.facts.unreadable {
            if one.kind == FileKind::Snapshot {
                self.rotten.push(one.generation);
            }
            self.add(&one.generation.shown(one.kind), at(0, &one.what), RENEW);
        }
    }

    /// Junk behind the last good frame is damage where a good frame follows it or where the next log goes on; at the end
    /// of all it is what a crash leaves, or a copy.
    fn tails(&mut self, is_original: bool) {
        for log in &self.facts.logs {
            let generation = log.header.generation;
            let from = |next: &LogFacts| next.header.continues.filter(|from| from.generation == generation);
            let mut successors = self.facts.logs.iter().filter_map(from).peekable();
            let is_last = successors.peek().is_none();
            // What lies behind the end that a successor names is void.
            if !is_last && successors.all(|from| from.end <= log.last().end) {
                continue;
            }
            let (file, end) = (generation.shown(FileKind::Log), log.last().end);
            match log.tail {
                Tail::Damaged { next_good } => {
                    let what = format!("what stands here is no frame, and a good one follows at byte {next_good}");
                    self.add(&file, at(end, &what), if self.live.is_some() { RENEW } else { SALVAGE });
                }
                Tail::Torn if is_last && is_original => self.torn(&file, log.last()),
                Tail::Torn | Tail::Clean => self.ends_early(&file, log.last(), is_last),
            }
        }
    }

    fn torn(&mut self, file: &str, last: Position) {
        if self.live.is_some() {
            self.ends_early(file, last, true);
        } else {
            let what = "what stands here is no frame: an append that a crash cut off, or damage";
            self.add(file, at(last.end, what), START_ONCE);
        }
    }

    /// The last log of a running server holds all that its index does.
    fn ends_early(&mut self, file: &str, last: Position, is_last: bool) {
        let Some(live) = self.live.filter(|live| is_last && last.number < live.number) else { return };
        if live.generation.number <= last.generation.number {
            let what = format!("the log ends with change {}, and change {} was made", last.number, live.number);
            self.add(file, at(last.end, &what), RENEW);
        }
    }

    fn lineup(&mut self, lineup: &Lineup) {
        let (found, fix) = match lineup {
            Lineup::New { .. } => return,
            Lineup::Original(original) => (&original.findings, RENEW),
            Lineup::Copy(copied) => (&copied.findings, RENEW),
        };
        for finding in found {
            self.add(&finding.file, finding.what.clone(), fix);
        }
    }

    fn refusal(&mut self, refusal: &OpenRefusal) {
        let (file, what, fix) = refused(refusal);
        let heals = self.live.is_some() && refusal.kind == RefusalKind::Damaged;
        self.add(&file, what, if heals { RENEW } else { fix });
    }
}

/// A refusal as a finding: file, what is wrong, what to do.
pub(super) fn refused(refusal: &OpenRefusal) -> (String, String, &'static str) {
    let file = refusal.files.first().map_or(JOURNAL_FOLDER, String::as_str);
    let fix = match refusal.kind {
        RefusalKind::Damaged => SALVAGE,
        RefusalKind::Outlasted => COPY_AGAIN,
        RefusalKind::Forked => RESTORE,
    };
    let others = refusal.files.get(1..).unwrap_or_default();
    let with = if others.is_empty() { String::new() } else { format!(" (see {})", others.join(", ")) };
    let what = refusal.offset.map_or_else(|| refusal.what.clone(), |offset| at(offset, &refusal.what));
    (file.to_owned(), format!("{what}{with}"), fix)
}

fn at(offset: u64, what: &str) -> String {
    format!("at byte {offset}: {what}")
}

//! Opens a copy: as far as its files are whole, with a new index, and as a history of its own from here on.
//!
//! In a hard-link copy every file may be another directory's too. Nothing here is written to under a name that was
//! there before: names are taken away, or another file is renamed over them.

use std::io;
use std::path::Path;

use super::error::through;
use super::original::{finding, no_way, tip};
use super::report::{OpenReport, OpenedAs};
use super::{OpenError, OpenedIndex, Phase, Place, along, aside, original, presence};
use crate::domain::change::Setting;
use crate::storage::fs::Access;
use crate::storage::journal::cut::{Completeness, Cut, Kept};
use crate::storage::journal::facts::JournalFacts;
use crate::storage::journal::header::{Ancestor, Position};
use crate::storage::journal::name::{FileKind, Generation};
use crate::storage::journal::plan::{Base, Copied, Finding, Route, beyond};
use crate::storage::journal::snapshot::read_snapshot;
use crate::storage::journal::{JournalStart, settle};
use crate::storage::progress::PIECE_ROWS_MAX;
use crate::storage::redb::build::Build;
use crate::storage::redb::read_view;
use crate::storage::tables::Table;

/// The folders of a copy that are emptied: what is in them belongs to the original.
const EMPTIED: &[&str] = &["uploads", "run"];
/// The admin socket, which this process may be listening on already.
const SOCKET: &str = "admin.sock";
/// Bytes copied at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Opens the copy.
pub(super) fn follow(place: &Place<'_>, copied: &Copied, mut facts: JournalFacts) -> Result<OpenedIndex, OpenError> {
    let mut report = OpenReport::of(OpenedAs::Copy);
    let (route, kept) = choose(place, copied, &mut report)?;
    let at = kept.at;
    let late = beyond(&facts, &at);
    report.cut = why_cut(&kept, route.end(), late.len());
    report.missing = kept.damaged.iter().copied().collect();
    let route = along::until(&route, at);
    let (built, frames) = along::build(place, &route, &Build::place(place.data))?;
    (report.frames, report.rebuilt) = (frames, Some("it is a copy's".to_owned()));
    facts.keep_until(at.generation.number);
    let late: Vec<String> = late.iter().map(|(generation, kind)| generation.shown(*kind)).collect();
    report.aside = aside::set_aside(place, &late)?;
    let length = tip(&facts, at).map_or(at.end, |tip| tip.length);
    own(place, &at.generation, length)?;
    settle(&**place.fs, place.data, &files(&route))?;
    // Nor does it make blobs durable, and from now on they are what acknowledged versions consist of.
    let synced = place.fs.open_dir(place.data).and_then(|dir| place.fs.sync_device(&dir));
    synced.map_err(OpenError::io("make it durable", place.data))?;
    for folder in EMPTIED {
        empty(place, &place.data.join(folder))?;
    }
    let (database, index) = built.install(&**place.fs, place.data)?;
    let start = start(place, &facts, at)?;
    let is_copy = read_view(&database, |view| view.setting(Setting::History))?.is_some();
    Ok(OpenedIndex { database, index, position: Position { tick: route.tick, ..at }, start, is_copy, facts, report })
}

/// What a route is read from: a tool that copies files does not make them durable.
fn files(route: &Route) -> Vec<(Generation, FileKind)> {
    let base = route.start().filter(|_| route.base == Base::Snapshot);
    let snapshot = base.map(|start| (start.generation, FileKind::Snapshot));
    let logs = route.links.iter().map(|link| (link.first.generation, FileKind::Log));
    snapshot.into_iter().chain(logs).collect()
}

/// The first of the routes that leads to a state whose blobs are all there.
pub(super) fn choose(place: &Place<'_>, copied: &Copied, report: &mut OpenReport) -> Result<(Route, Kept), OpenError> {
    let (mut lacking, mut broken) = (Vec::new(), None);
    for route in &copied.routes {
        match completeness(place, route, copied.retention) {
            Ok(cut) => {
                if let Cut::Nothing { lacking: these } = &cut {
                    lacking.clone_from(these);
                }
                if let Some(kept) = copied.judge(cut)? {
                    return Ok((route.clone(), kept));
                }
            }
            Err(error) if error.is_damage() => {
                let finding: Finding = finding(&error);
                tracing::warn!(file = finding.file, "{}: another way is tried", finding.what);
                report.findings.push(finding.clone());
                broken = Some(finding);
            }
            Err(error) => return Err(error),
        }
    }
    if lacking.is_empty() { Err(no_way(broken).into()) } else { Err(Copied::nothing_whole(&lacking).into()) }
}

/// Walks a route and looks for each blob that it refers to.
fn completeness(place: &Place<'_>, route: &Route, retention: u64) -> Result<Cut, OpenError> {
    let presence = presence::Presences::new(place);
    let look = |blob: &_| presence.look(blob);
    let Some(start) = route.start() else { return Ok(Cut::Nothing { lacking: Vec::new() }) };
    let mut walk = Completeness::new(route.tick, retention, &look);
    let mut looked = 0_u64;
    if route.base == Base::Snapshot {
        let read = read_snapshot(&**place.fs, place.data, start.generation, &mut |table, key, value| {
            if table != Table::Blobs {
                return Ok(());
            }
            looked += 1;
            if looked.is_multiple_of(PIECE_ROWS_MAX) {
                place.tell(Phase::Blobs, looked, None).map_err(through)?;
            }
            walk.base_row(key, value).map_err(through)
        })?;
        along::agrees(&read, &start)?;
    }
    walk.base_end(start);
    let mut frames = 0_u64;
    along::walk(place, &route.links, &mut |ops, position| {
        frames += 1;
        if frames.is_multiple_of(PIECE_ROWS_MAX) {
            place.tell(Phase::Blobs, looked + frames, None)?;
        }
        Ok(walk.frame(&ops, position)?)
    })?;
    presence.failed()?;
    Ok(walk.finish())
}

fn why_cut(kept: &Kept, end: Option<Position>, late: usize) -> Option<String> {
    let left = end.map_or(0, |end| end.number.saturating_sub(kept.at.number));
    match (left, kept.lacking.first(), late) {
        (0, _, 0) => None,
        (0, _, late) => Some(format!("{late} files of what came later, which nothing here goes on to")),
        (left, Some(blob), _) => Some(format!("{left} changes whose blobs were not copied, such as {blob}")),
        (left, None, _) => Some(format!("{left} changes whose blobs were not copied")),
    }
}

/// How the journal of a copy goes on: in a history of its own, which names this one.
fn start(place: &Place<'_>, facts: &JournalFacts, at: Position) -> Result<JournalStart, OpenError> {
    let Position { generation, number, hash, .. } = at;
    let mut start = original::start(place, facts, at);
    start.lineage.push(Ancestor { history: generation.history, number, hash });
    Ok(JournalStart { history: place.new_history()?, ..start })
}

/// Gives the last log a file of its own, if it shares one: a server in the directory that it is shared with may still
/// append to it, and what grows behind the beginning of the next log is taken for a second history.
fn own(place: &Place<'_>, generation: &Generation, length: u64) -> Result<(), OpenError> {
    let path = generation.path(place.data, FileKind::Log);
    let failed = || OpenError::io("give it a file of its own", &path);
    let shared = place.fs.open(&path, Access::Read).map_err(failed())?;
    if place.fs.stat(&shared).map_err(failed())?.links <= 1 {
        return Ok(());
    }
    let temp = place.data.join("run").join(format!("{}.new", generation.file_name(FileKind::Log)));
    let copy = || -> io::Result<()> {
        make_dir(place, &place.data.join("run"))?;
        remove(place, &temp)?;
        let file = place.fs.create(&temp)?;
        let mut buffer = vec![0; PIECE_BYTES];
        let mut at = 0;
        while at < length {
            let wanted = usize::try_from(length - at).unwrap_or(usize::MAX).min(buffer.len());
            let count = place.fs.read_at(&shared, &mut buffer[..wanted], at)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            place.fs.write_all_at(&file, &buffer[..count], at)?;
            at += count as u64;
        }
        place.fs.sync_all(&file)?;
        place.fs.rename(&temp, &path)
    };
    copy().map_err(failed())
}

fn make_dir(place: &Place<'_>, path: &Path) -> io::Result<()> {
    match place.fs.create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn remove(place: &Place<'_>, path: &Path) -> io::Result<()> {
    match place.fs.unlink(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Takes away every name in a folder, and in the folders that are in it.
fn empty(place: &Place<'_>, folder: &Path) -> Result<(), OpenError> {
    let names = match place.fs.list(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(OpenError::io("read it", folder)(error)),
    };
    for name in names.iter().filter(|name| *name != SOCKET) {
        let path = folder.join(name);
        match place.fs.unlink(&path) {
            Err(error) if is_directory(&error) && depth(place, &path) < FOLDERS_DEEP => empty(place, &path)?,
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::io("remove it", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// How many folders may lie in one another in what is emptied; this program makes one.
const FOLDERS_DEEP: usize = 4;

fn depth(place: &Place<'_>, path: &Path) -> usize {
    path.strip_prefix(place.data).map_or(usize::MAX, |path| path.components().count())
}

/// Linux says the first, POSIX the second.
fn is_directory(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::PermissionDenied)
}

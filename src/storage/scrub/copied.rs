//! Which state a copy opens at: the walk along its logs that finds the longest prefix which lacks no blob.

use std::cell::RefCell;
use std::io;
use std::path::Path;

use super::ScrubError;
use super::blobs::blob_file;
use super::meter::Meter;
use super::replica::{Workshop, frames, unwrapped, wrapped};
use crate::domain::digest::Sha256;
use crate::storage::fs::{Access, Fs, read_full};
use crate::storage::journal::cut::{Completeness, Cut, Kept, Presence};
use crate::storage::journal::plan::{Base, Copied, OpenRefusal, Route};
use crate::storage::journal::retired::{NOTE_BYTES_MAX, Note};
use crate::storage::journal::snapshot::read_snapshot;
use crate::storage::progress::{Progress, Unit};
use crate::storage::tables::Table;

/// What a copy comes to.
pub enum Choice {
    /// This state, on this route.
    Keep(Route, Kept),
    /// It is not opened.
    Refused(OpenRefusal),
}

/// The first of a copy's routes that leads to a state whose blobs are all there.
///
/// # Errors
/// When the disk fails, or the work was told to stop.
pub fn choose(workshop: &Workshop, copied: &Copied, progress: &dyn Progress) -> Result<Choice, ScrubError> {
    let (mut lacking, mut broken) = (Vec::new(), None);
    for route in &copied.routes {
        match walk(workshop, route, copied.retention, progress) {
            Ok(cut) => {
                if let Cut::Nothing { lacking: these } = &cut {
                    lacking.clone_from(these);
                }
                match copied.judge(cut) {
                    Ok(Some(kept)) => return Ok(Choice::Keep(route.clone(), kept)),
                    Ok(None) => {}
                    Err(refusal) => return Ok(Choice::Refused(refusal)),
                }
            }
            Err(ScrubError::Journal(error)) => broken = Some(error),
            Err(error) => return Err(error),
        }
    }
    match broken {
        Some(error) if lacking.is_empty() => Err(error.into()),
        Some(_) | None => Ok(Choice::Refused(Copied::nothing_whole(&lacking))),
    }
}

fn walk(workshop: &Workshop, route: &Route, retention: u64, progress: &dyn Progress) -> Result<Cut, ScrubError> {
    let failed = RefCell::new(None);
    let look = |sha256: &Sha256| match presence(&*workshop.fs, &workshop.data, sha256) {
        Ok(presence) => presence,
        Err(error) => {
            failed.borrow_mut().get_or_insert(error);
            Presence::There
        }
    };
    let Some(start) = route.start() else { return Ok(Cut::Nothing { lacking: Vec::new() }) };
    let meter = Meter::new(progress, Unit::Rows, None);
    let mut walk = Completeness::new(route.tick, retention, &look);
    if route.base == Base::Snapshot {
        let read = read_snapshot(&*workshop.fs, &workshop.data, start.generation, &mut |table, key, value| {
            wrapped(meter.add(1))?;
            if table == Table::Blobs { wrapped(walk.base_row(key, value)) } else { Ok(()) }
        });
        read.map_err(unwrapped)?;
    }
    walk.base_end(start);
    for link in &route.links {
        let range = link.first.end..link.last.end;
        frames(workshop, link.first.generation, range, None, &mut |ops, at| {
            meter.add(ops.len() as u64)?;
            Ok(walk.frame(&ops, at)?)
        })?;
    }
    let cut = walk.finish();
    match failed.into_inner() {
        Some(source) => Err(ScrubError::Io { path: workshop.data.join("blobs"), op: "look for a blob", source }),
        None => Ok(cut),
    }
}

/// What stands under a blob's name.
///
/// # Errors
/// When the disk does not tell.
pub fn presence(fs: &dyn Fs, data: &Path, sha256: &Sha256) -> io::Result<Presence> {
    let file = match fs.open(&data.join(blob_file(sha256)), Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Presence::Missing),
        opened => opened?,
    };
    if fs.stat(&file)?.size > NOTE_BYTES_MAX as u64 {
        return Ok(Presence::There);
    }
    let mut bytes = [0; NOTE_BYTES_MAX];
    let count = read_full(fs, &file, &mut bytes, 0)?;
    let bytes = bytes.get(..count).unwrap_or_default();
    // Somebody may publish bytes that read like a note.
    Ok(match Note::parse(bytes).filter(|_| Sha256::of(bytes) != *sha256) {
        Some(Note::Swept { dropped, .. }) => Presence::Swept { dropped },
        Some(Note::Retired { .. }) | None => Presence::There,
    })
}

//! The next logs, made while there is room: empty files in `run/` that have blocks past their end.
//!
//! A new log is needed most when the disk is full or was cut off. Must never write into a file that somebody else may
//! see: one with a second name is a hard-link copy's too, and one that is not empty was a log already.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::error::{JournalError, is_full};
use super::log::RESERVE_BYTES;
use super::place::{Place, RUN_FOLDER};
use crate::storage::fs::{Access, Stat};

/// Two: one for the next log, one for the log after a process that was killed at the beginning of that one.
const NAMES: [&str; 2] = ["next-0.log", "next-1.log"];

/// The files that are ready; empty places are filled when there is room.
#[derive(Debug)]
pub(super) struct Prepared {
    slots: [Option<Slot>; NAMES.len()],
}

#[derive(Debug)]
struct Slot {
    file: File,
    /// Whether it has all of its blocks.
    is_whole: bool,
}

/// An empty file that becomes a log.
pub(super) struct PreparedFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
}

impl Prepared {
    /// Nothing prepared.
    pub(super) fn none() -> Self {
        Self { slots: [const { None }; NAMES.len()] }
    }

    /// Takes up what an earlier process prepared and did not use; on a full disk there is nothing else.
    pub(super) fn open(place: &Place) -> Self {
        let slot = |name: &str| {
            let file = place.fs.open(&place.run().join(name), Access::ReadWrite).ok()?;
            let stat = place.fs.stat(&file).ok().filter(is_unused)?;
            Some(Slot { file, is_whole: stat.allocated >= RESERVE_BYTES })
        };
        Self { slots: NAMES.map(slot) }
    }

    /// Makes what is missing. Says whether each file has its blocks; `false` when there was no room for that.
    pub(super) fn fill(&mut self, place: &Place) -> Result<bool, JournalError> {
        if self.slots.iter().flatten().filter(|slot| slot.is_whole).count() == NAMES.len() {
            return Ok(true);
        }
        let mut is_whole = true;
        for (slot, name) in self.slots.iter_mut().zip(NAMES) {
            match fill(place, slot, name) {
                Ok(()) => {}
                Err(error) if is_full(&error) => is_whole = false,
                Err(error) => {
                    *slot = None;
                    let shown = format!("{RUN_FOLDER}/{name}");
                    return Err(place.failed("prepare a log", &shown)(error));
                }
            }
        }
        Ok(is_whole)
    }

    /// The file for the next log: one with blocks if there is one, else one that is made now.
    pub(super) fn take(&mut self, place: &Place) -> Result<PreparedFile, JournalError> {
        let failed = || place.failed("make a log", RUN_FOLDER);
        let order = |slot: &Option<Slot>| slot.as_ref().map(|slot| slot.is_whole);
        for _ in NAMES {
            let best = (0..NAMES.len()).max_by_key(|at| self.slots.get(*at).and_then(order)).unwrap_or(0);
            let Some((slot, name)) = self.slots.get_mut(best).zip(NAMES.get(best)) else { break };
            let path = place.run().join(name);
            let Some(Slot { file, .. }) = slot.take() else { break };
            // Looked at again: meanwhile it may have been linked into a copy.
            let stat = place.fs.stat(&file).map_err(failed())?;
            if is_unused(&stat) && place.is_same(&path, &stat).map_err(failed())? == Some(true) {
                return Ok(PreparedFile { file, path, stat });
            }
            place.tidy(&path);
        }
        let path = place.run().join(NAMES.first().copied().unwrap_or("next.log"));
        place.unlink(&path).map_err(failed())?;
        let file = place.fs.create(&path).map_err(failed())?;
        let stat = place.fs.stat(&file).map_err(failed())?;
        Ok(PreparedFile { file, path, stat })
    }
}

fn is_unused(stat: &Stat) -> bool {
    (stat.size, stat.links) == (0, 1)
}

/// Gives a place its file and the file its blocks, as durable as names in `run/` need to be: for a later start.
fn fill(place: &Place, slot: &mut Option<Slot>, name: &str) -> io::Result<()> {
    let path = place.run().join(name);
    let slot = if let Some(slot) = slot {
        slot
    } else {
        place.unlink(&path)?;
        slot.insert(Slot { file: place.fs.create(&path)?, is_whole: false })
    };
    if slot.is_whole {
        return Ok(());
    }
    match place.fs.allocate(&slot.file, 0, RESERVE_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        done => done?,
    }
    place.fs.sync_all(&slot.file)?;
    place.fs.sync_dir(&place.fs.open_dir(&place.run())?)?;
    slot.is_whole = true;
    Ok(())
}

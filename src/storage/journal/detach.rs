//! A file of its own for a hard-link copy that is about to be continued.
//!
//! Such a copy shares its files with its original, which may run and append: the log would then be longer than the
//! header that continues it says, and the copy refused at its next open as two histories in one directory.

use std::fs::File;

use super::error::JournalError;
use super::header::Continues;
use super::name::FileKind;
use super::place::Place;
use crate::storage::fs::{Access, read_full};

/// Bytes that are copied at once.
const PIECE_BYTES: usize = 256 * 1024;

/// If the log that is to be continued has a second name somewhere, puts a copy of it, as long as the header will say, in
/// its place.
///
/// # Errors
/// `Io` and `Full`: then the log is as it was. `Unsynced`.
pub(super) fn detach(place: &Place, from: &Continues) -> Result<(), JournalError> {
    let shown = from.generation.shown(FileKind::Log);
    let path = place.path(from.generation, FileKind::Log);
    let failed = |op| place.failed(op, &shown);
    let shared = place.fs.open(&path, Access::Read).map_err(failed("open a log"))?;
    if place.fs.stat(&shared).map_err(failed("look at a log"))?.links <= 1 {
        return Ok(());
    }
    let temp = place.run().join("detached.new");
    place.unlink(&temp).map_err(failed("copy a log"))?;
    let own = place.fs.create(&temp).map_err(failed("copy a log"))?;
    let kept = copy(place, (&shared, &own), from.length, &shown).and_then(|()| {
        let synced = place.fs.sync_all(&own).and_then(|()| place.fs.rename(&temp, &path));
        synced.map_err(failed("keep the copy of a log"))
    });
    if kept.is_err() {
        place.tidy(&temp);
    }
    kept?;
    place.sync()
}

fn copy(place: &Place, (from, to): (&File, &File), length: u64, shown: &str) -> Result<(), JournalError> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < length {
        let most = usize::try_from(length - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let count = read_full(&*place.fs, from, &mut piece[..most], at).map_err(place.failed("read a log", shown))?;
        if count < most {
            return Err(JournalError::damaged(shown, at + count as u64, "it is shorter than it was"));
        }
        place.fs.write_all_at(to, &piece[..most], at).map_err(place.failed("copy a log", shown))?;
        at += most as u64;
    }
    Ok(())
}

//! Sets files aside that are no longer used and must not be lost: into `quarantine/`, under the number of the opening.

use std::io;
use std::path::Path;

use super::{OpenError, Place};
use crate::storage::journal::JOURNAL_FOLDER;

/// Where they go, within the data directory; no part of a backup.
pub const FOLDER: &str = "quarantine";
/// How many openings' files are kept.
const KEPT: usize = 3;

/// Moves files, named relative to the data directory, into the quarantine in this order, and takes away what the oldest
/// openings put there. Answers with their new names.
///
/// # Errors
/// When the disk fails; some may have been moved then.
pub(super) fn set_aside(place: &Place<'_>, names: &[String]) -> Result<Vec<String>, OpenError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let folder = place.data.join(FOLDER);
    match place.fs.create_dir(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(OpenError::io("make it", &folder)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let number = kept(place, &folder)?.last().map_or(1, |(last, _)| last + 1);
    let mut moved = Vec::new();
    for name in names {
        let (from, plain) = (place.data.join(name), name.rsplit('/').next().unwrap_or(name));
        let to = format!("{number}.{plain}");
        match place.fs.rename(&from, &folder.join(&to)) {
            Ok(()) => moved.push(format!("{FOLDER}/{to}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(OpenError::io("set it aside", &from)(error)),
        }
    }
    place.sync_dir(&folder)?;
    place.sync_dir(place.data)?;
    if names.iter().any(|name| name.starts_with(JOURNAL_FOLDER)) {
        place.sync_dir(&place.data.join(JOURNAL_FOLDER))?;
    }
    prune(place, &folder)?;
    Ok(moved)
}

/// What lies in the quarantine, by the number of the opening.
fn kept(place: &Place<'_>, folder: &Path) -> Result<Vec<(u64, String)>, OpenError> {
    let names = place.fs.list(folder).map_err(OpenError::io("read it", folder))?;
    let numbered = |name: &str| Some((name.split_once('.')?.0.parse().ok()?, name.to_owned()));
    let mut kept: Vec<(u64, String)> = names.iter().filter_map(|name| numbered(name.to_str()?)).collect();
    kept.sort_unstable();
    Ok(kept)
}

fn prune(place: &Place<'_>, folder: &Path) -> Result<(), OpenError> {
    let kept = kept(place, folder)?;
    let mut numbers: Vec<u64> = kept.iter().map(|(number, _)| *number).collect();
    numbers.dedup();
    let Some(oldest) = numbers.iter().rev().nth(KEPT - 1) else { return Ok(()) };
    for (_, name) in kept.iter().filter(|(number, _)| number < oldest) {
        let path = folder.join(name);
        place.fs.unlink(&path).map_err(OpenError::io("remove it", &path))?;
    }
    Ok(())
}

//! Makes a snapshot: streamed, synced as it grows, and named only when it is whole and durable.
//!
//! Must never change a snapshot that has its name: one that was found rotten is replaced by another file, in one step.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::JOURNAL_FOLDER;
use super::error::{JournalError, is_full};
use super::facts::SnapshotFacts;
use super::frame::FRAME_BYTES_MAX;
use super::name::FileKind;
use super::place::RUN_FOLDER;
use super::snapshot::{Tally, VisitRow, encode_head, hash_of, push_row};
use crate::storage::fs::Fs;
use crate::storage::tables::Table;

/// A chunk is ended before it grows beyond this, unless a single row does.
const CHUNK_BYTES: usize = 1 << 20;
/// How much is written before it is synced: one sync at the end would stall the writer's own for seconds.
const SYNC_BYTES: u64 = 8 << 20;

/// Gives every row, in the order of tables and keys, to the visitor that it is called with.
pub type GiveRows<'r> = dyn FnMut(&mut VisitRow<'_>) -> Result<(), JournalError> + 'r;
/// Called after each chunk with all bytes so far; waits as long as the writer of frames should have the disk, and fails
/// when the snapshot is not wanted any more.
pub type Pace<'p> = dyn FnMut(u64) -> Result<(), JournalError> + 'p;

/// Writes the snapshot that `facts` names (their length counts for nothing) and makes it durable under its name. One
/// that has the name is replaced.
///
/// # Errors
/// `Io`, `Full`, and those of `rows` and `pace`: then nothing has changed. `Unsynced` when the directory could not be
/// synced: then nothing may be written to the journal any more.
pub fn write_snapshot(
    fs: &dyn Fs,
    data: &Path,
    facts: SnapshotFacts,
    rows: &mut GiveRows<'_>,
    pace: &mut Pace<'_>,
) -> Result<SnapshotFacts, JournalError> {
    let name = facts.generation.shown(FileKind::Snapshot);
    let folder = data.join(JOURNAL_FOLDER);
    let temp = Temp::create(fs, data, &facts).map_err(|error| failed(fs, &folder, "make a snapshot", &name)(error))?;
    let mut output = Output { fs, folder: &folder, file: &temp.file, name: &name, length: 0, synced: 0 };
    let head = encode_head(&facts);
    let mut tally = Tally::new(&head);
    output.write(&head)?;
    let mut chunk = Vec::new();
    rows(&mut |table, key, value| {
        check_row(&mut tally, table, key, value)?;
        if !chunk.is_empty() && chunk.len() + key.len() + value.len() > CHUNK_BYTES {
            output.chunk(&mut chunk, &mut tally)?;
            pace(output.length)?;
        }
        push_row(&mut chunk, table, key, value);
        Ok(())
    })?;
    if !chunk.is_empty() {
        output.chunk(&mut chunk, &mut tally)?;
    }
    output.write(&tally.trailer())?;
    let length = output.length;
    let sealed = fs.set_read_only(&temp.file).and_then(|()| fs.sync_all(&temp.file));
    sealed.and_then(|()| temp.place(&facts)).map_err(failed(fs, &folder, "keep a snapshot", &name))?;
    let dir = fs.open_dir(&folder).map_err(JournalError::io("open the journal", JOURNAL_FOLDER))?;
    let unsynced = |source| JournalError::Unsynced { file: JOURNAL_FOLDER.to_owned(), source: Some(source) };
    fs.sync_dir(&dir).map_err(unsynced)?;
    Ok(SnapshotFacts { length, ..facts })
}

fn check_row(tally: &mut Tally, table: Table, key: &[u8], value: &[u8]) -> Result<(), JournalError> {
    let (bytes, bytes_max) = ((key.len() + value.len()) as u64, FRAME_BYTES_MAX / 2);
    if bytes > bytes_max {
        return Err(JournalError::TooLarge { what: "a row", bytes, bytes_max });
    }
    if !tally.row(table, key) {
        return Err(JournalError::rows(format!("rows of table {} came out of order", table.name())));
    }
    Ok(())
}

/// Turns an error of the disk into ours; a full one is told apart.
fn failed<'a>(
    fs: &'a dyn Fs,
    folder: &'a Path,
    op: &'static str,
    name: &'a str,
) -> impl FnOnce(io::Error) -> JournalError + 'a {
    move |source| {
        if is_full(&source) {
            return JournalError::Full { free_bytes: fs.free_bytes(folder).unwrap_or(0) };
        }
        JournalError::io(op, name)(source)
    }
}

/// The bytes written so far.
struct Output<'o> {
    fs: &'o dyn Fs,
    folder: &'o Path,
    file: &'o File,
    name: &'o str,
    length: u64,
    synced: u64,
}

impl Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let written = self.fs.write_all_at(self.file, bytes, self.length);
        written.map_err(failed(self.fs, self.folder, "write a snapshot", self.name))?;
        self.length += bytes.len() as u64;
        if self.length - self.synced >= SYNC_BYTES {
            self.fs.sync_data(self.file).map_err(failed(self.fs, self.folder, "sync a snapshot", self.name))?;
            self.synced = self.length;
        }
        Ok(())
    }

    /// Writes a chunk and empties it.
    fn chunk(&mut self, rows: &mut Vec<u8>, tally: &mut Tally) -> Result<(), JournalError> {
        let front = u32::try_from(rows.len()).unwrap_or(u32::MAX).to_le_bytes();
        let hash = hash_of(&front, rows);
        tally.chunk(&hash);
        self.write(&front)?;
        self.write(rows)?;
        self.write(&hash.0)?;
        rows.clear();
        Ok(())
    }
}

/// A file on its way to its name. Taken away when it is dropped before.
struct Temp<'t> {
    fs: &'t dyn Fs,
    data: &'t Path,
    file: File,
    /// The name that it has meanwhile; none where files can be made without one.
    path: Option<PathBuf>,
}

impl<'t> Temp<'t> {
    fn create(fs: &'t dyn Fs, data: &'t Path, facts: &SnapshotFacts) -> io::Result<Self> {
        match fs.create_unnamed(&data.join(JOURNAL_FOLDER)) {
            Ok(file) => return Ok(Self { fs, data, file, path: None }),
            Err(error) if is_full(&error) => return Err(error),
            Err(error) => tracing::debug!(%error, "no file without a name; the snapshot is made under another one"),
        }
        let path = temp_path(fs, data, facts)?;
        Ok(Self { fs, data, file: fs.create(&path)?, path: Some(path) })
    }

    /// Gives the file its name, over whatever has it.
    fn place(mut self, facts: &SnapshotFacts) -> io::Result<()> {
        let to = facts.generation.path(self.data, FileKind::Snapshot);
        if self.path.is_none() {
            match self.fs.link_file(&self.file, &to) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let path = temp_path(self.fs, self.data, facts)?;
                    self.fs.link_file(&self.file, &path)?;
                    self.path = Some(path);
                }
                linked => return linked,
            }
        }
        if let Some(path) = &self.path {
            self.fs.rename(path, &to)?;
            self.path = None;
        }
        Ok(())
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && let Err(error) = self.fs.unlink(path)
        {
            tracing::warn!(%error, "a file that was to be a snapshot could not be removed");
        }
    }
}

/// A free name in `run/`; what an earlier process left under it goes.
fn temp_path(fs: &dyn Fs, data: &Path, facts: &SnapshotFacts) -> io::Result<PathBuf> {
    let run = data.join(RUN_FOLDER);
    let path = run.join(format!("{}.new", facts.generation.file_name(FileKind::Snapshot)));
    match fs.create_dir(&run) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    match fs.unlink(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(path),
    }
}

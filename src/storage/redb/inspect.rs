//! Looks at an index without changing a byte of it: for those who verify, and for those who only read.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;

use redb::{BackendError, Builder, Database, ReadableDatabase as _, StorageBackend};

use super::gate::Gate;
use super::index::Reading;
use super::seq::read_seq;
use super::staging::Snapshot;
use super::{METADATA_FILE, RedbMetadata, backend};
use crate::storage::StoreError;
use crate::storage::fs::{Access, Fs, read_full};
use crate::storage::journal::header::Position;
use crate::storage::view::Rows;

/// What an index turned out to be.
pub enum Inspection {
    /// There is no file.
    Missing,
    /// Its pages are not what redb wrote.
    Damaged(String),
    /// Its pages are right; what a repair would change is kept in memory.
    Sound {
        /// Open for reading. What is written to it goes nowhere.
        database: Database,
        /// Up to where it holds the journal; none for one from before the journal.
        position: Option<Position>,
    },
}

/// Opens the index at `path` with redb's integrity check, and leaves the file as it is.
///
/// # Errors
/// When the disk fails.
pub fn inspect(fs: &Arc<dyn Fs>, path: &Path, cache_bytes: usize) -> Result<Inspection, StoreError> {
    let io = |error: io::Error| super::from_io("opening the index", error);
    let file = match fs.open(path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Inspection::Missing),
        opened => opened.map_err(io)?,
    };
    if fs.stat(&file).map_err(io)?.size == 0 {
        return Ok(Inspection::Damaged("it is empty".to_owned()));
    }
    let gate = Gate::closed(ReadOnlyFile { fs: Arc::clone(fs), file }).map_err(io)?;
    // redb may panic on what it did not write.
    let opened = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let mut builder = Builder::new();
        builder.set_cache_size(cache_bytes).set_check_integrity_on_open(true);
        let database = builder.create_with_backend(gate.backend())?;
        let position = read_seq(&database.begin_read()?);
        Ok::<_, redb::Error>((database, position))
    }));
    Ok(match opened {
        Ok(Ok((database, Ok(position)))) => Inspection::Sound { database, position },
        Ok(Ok((_, Err(error)))) => Inspection::Damaged(error.to_string()),
        Ok(Err(redb::Error::Io(error))) if super::is_disk_fault(&error) => return Err(io(error)),
        Ok(Err(error)) => Inspection::Damaged(error.to_string()),
        Err(_) => Inspection::Damaged("its reader panicked".to_owned()),
    })
}

/// Shows `query` the rows of one read transaction and where it stands.
///
/// # Errors
/// When redb fails, and what `query` answers with.
pub fn read_rows<E: From<StoreError>>(
    database: &Database,
    query: impl FnOnce(&dyn Rows, Option<Position>) -> Result<(), E>,
) -> Result<(), E> {
    let transaction = database.begin_read().map_err(|error| backend("beginning to read", error.into()))?;
    let position = read_seq(&transaction)?;
    query(&Snapshot::new(transaction), position)
}

impl RedbMetadata {
    /// Shows `query` the rows of one read transaction and the frame after which they are the state, on this thread.
    ///
    /// # Errors
    /// When the index can't be read, and what `query` answers with.
    pub async fn read_at<E: From<StoreError>>(
        &self,
        query: impl FnOnce(&dyn Rows, Position) -> Result<(), E>,
    ) -> Result<(), E> {
        let Reading { transaction, handle } = self.begin_read().await?;
        let position = read_seq(&transaction)?.ok_or_else(|| {
            let what = "it does not say which change it holds last".to_owned();
            StoreError::Corrupt { table: METADATA_FILE, what }
        })?;
        let read = query(&Snapshot::new(transaction), position);
        // The database outlives its transactions.
        drop(handle);
        read
    }
}

/// A file that is only read.
#[derive(Debug)]
struct ReadOnlyFile {
    fs: Arc<dyn Fs>,
    file: File,
}

impl StorageBackend for ReadOnlyFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.fs.stat(&self.file)?.size)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let count = read_full(&*self.fs, &self.file, out, offset)?;
        if count < out.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    /// Nobody is kept out: this reads, and whoever writes holds the lock of the directory.
    fn try_lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }
}

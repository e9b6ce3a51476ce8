//! The contract [`Metadata`]: the journal is what is true, one redb file is its index. Start at [`RedbMetadata::start`];
//! writes go through [`writer`].

mod apply;
pub mod backend;
pub mod build;
mod checkpoint;
mod commit;
pub mod gate;
mod generations;
mod health;
mod index;
pub mod inspect;
mod job;
mod keeper;
mod preface;
mod recover;
mod renewal;
pub mod replay;
mod retire;
mod rotation;
pub mod rows;
pub mod seq;
mod staging;
mod start;
mod trail;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use redb::{ReadableDatabase, TableDefinition};
use tokio::sync::{oneshot, watch};

pub use self::checkpoint::CheckpointRule;
use self::health::Health;
pub use self::health::JournalStatus;
use self::index::{Index, Reading};
use self::job::Pending;
use self::rotation::Request;
pub use self::rotation::{Compacted, RotationRule};
use self::staging::Snapshot;
pub use self::start::Options;
use self::writer::Task;
use super::journal::facts::SnapshotFacts;
use super::journal::name::Generation;
use super::journal::retention::{GenerationFiles, Settling};
use super::open::{OpenError, open_data, unwatched};
use super::view::View;
use super::{ChangeError, Cost, Decided, Metadata, Moment, StoreError};

/// The newest format of the data directory that this program reads and the one that it writes.
///
/// 2 is an index with a journal beside it; a program that knows 1 alone would write to it and leave the journal behind.
pub const DATA_FORMAT: u32 = 2;
/// The file of all rows, within the data directory.
pub const METADATA_FILE: &str = "meta.redb";
const NEW_FILE: &str = "meta.redb.new";
const FORMAT: TableDefinition<'static, &'static str, u32> = TableDefinition::new("format");

/// All metadata of one data directory.
pub struct RedbMetadata {
    index: Arc<Index>,
    queue: Option<SyncSender<Task>>,
    thread: Option<std::thread::JoinHandle<()>>,
    health: Arc<Health>,
    appended: watch::Receiver<u64>,
}

impl RedbMetadata {
    /// Opens what is in the directory, or begins a registry in it, and starts the writer.
    ///
    /// # Errors
    /// When the data can't be opened.
    pub fn open(data: &Path, options: Options) -> Result<Self, OpenError> {
        let opened = open_data(&options.fs, data, &options.opening(), &unwatched)?;
        Ok(Self::start(opened, data, options)?)
    }

    /// Changes after each commit that brought events, and not for others; closed once the writer stopped.
    pub fn appended(&self) -> watch::Receiver<u64> {
        self.appended.clone()
    }

    /// Whether nothing can be written now: the last attempt failed on the disk. Each write tries again what can be.
    pub fn is_read_only(&self) -> bool {
        self.health.is_read_only()
    }

    /// Whether the disk has no room left but what is reserved: what is large or can wait has to.
    pub fn is_full(&self) -> bool {
        self.health.disk().is_full()
    }

    /// The first error of the disk since the start.
    pub fn first_error(&self) -> Option<String> {
        self.health.disk().first_error()
    }

    /// How the journal stands.
    pub fn journal_status(&self) -> JournalStatus {
        self.health.status()
    }

    /// The journal's files, in the order of their numbers, as of the writer's last look at them.
    pub fn generations(&self) -> Vec<GenerationFiles> {
        self.health.generations()
    }

    /// Begins a new log and writes the snapshot of the state at its beginning; answers once that is durable.
    ///
    /// # Errors
    /// [`StoreError::Busy`] and [`StoreError::Closed`] as for a change; otherwise why there is no snapshot.
    pub async fn rotate_now(&self) -> Result<SnapshotFacts, StoreError> {
        self.request(Request::Snapshot).await
    }

    /// Begins a new log with its snapshot and removes everything older at once: logs, snapshots, and indexes that hold
    /// what was there. Copies of the directory that are under way then don't open.
    ///
    /// # Errors
    /// As [`RedbMetadata::rotate_now`]. Some files may have been removed by then.
    pub async fn compact_history_now(&self) -> Result<Compacted, StoreError> {
        self.request(Request::Compact).await
    }

    /// Makes a new snapshot at once because this one was found to be damaged.
    ///
    /// # Errors
    /// [`StoreError::Busy`] and [`StoreError::Closed`].
    pub fn replace_snapshot(&self, generation: Generation) -> Result<(), StoreError> {
        self.send(Task::ReplaceSnapshot(generation))
    }

    /// How far frames become durable behind their ticks in this process.
    pub fn settling(&self) -> Settling {
        self.health.settling()
    }

    async fn request<R>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<R, StoreError>>) -> Request,
    ) -> Result<R, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Request(request(reply)))?;
        answer.await.map_err(|_closed| StoreError::Closed)?
    }

    fn send(&self, task: Task) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.try_send(task).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }

    /// The state as it is committed now; waits while the index is opened anew.
    async fn begin_read(&self) -> Result<Reading, StoreError> {
        loop {
            if let Some(reading) = self.index.begin_read()? {
                return Ok(reading);
            }
            self.index.settled().await;
        }
    }

    /// Lets the writer look after an index that could not be read.
    fn report<R>(&self, read: Result<R, StoreError>) -> Result<R, StoreError> {
        if let Err(StoreError::Backend { .. }) = &read
            && let Err(error) = self.send(Task::Examine)
        {
            tracing::debug!(%error, "the writer could not be told of an index that fails");
        }
        read
    }
}

impl Drop for RedbMetadata {
    /// Lets the writer finish what is queued, close the index and seal the journal.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer thread panicked");
        }
    }
}

impl Metadata for RedbMetadata {
    async fn read<R, F>(&self, cost: Cost, query: F) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<R, StoreError> + Send + 'static,
    {
        let reading = self.begin_read().await?;
        let read = match cost {
            Cost::Point => look(reading, query),
            Cost::Scan => {
                let ran = tokio::task::spawn_blocking(move || look(reading, query)).await;
                ran.map_err(|error| StoreError::Panicked(error.to_string()))?
            }
        };
        self.report(read)
    }

    async fn change<R, F>(&self, decide: F) -> Result<R, ChangeError>
    where
        R: Send + 'static,
        F: Fn(&View<'_>, Moment) -> Result<Decided<R>, ChangeError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.send(Task::Change(Box::new(Pending { decide, decided: None, reply })))?;
        answer.await.map_err(|_closed| StoreError::Closed)?
    }
}

fn look<R>(reading: Reading, query: impl FnOnce(&View<'_>) -> Result<R, StoreError>) -> Result<R, StoreError> {
    let Reading { transaction, handle } = reading;
    let read = query(&View::new(&Snapshot::new(transaction)));
    // The database outlives its transactions.
    drop(handle);
    read
}

/// Runs `query` in one read transaction.
pub(super) fn read_view<R>(
    database: &impl ReadableDatabase,
    query: impl FnOnce(&View<'_>) -> Result<R, StoreError>,
) -> Result<R, StoreError> {
    let transaction = database.begin_read().map_err(|error| backend("beginning to read", error.into()))?;
    query(&View::new(&Snapshot::new(transaction)))
}

/// Whether an error of the file system says something about the disk rather than about the file's content.
fn is_disk_fault(error: &std::io::Error) -> bool {
    !matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
}

fn damaged_file(what: &str) -> StoreError {
    StoreError::Corrupt { table: METADATA_FILE, what: what.to_owned() }
}

/// Refuses data of a newer program.
pub(super) fn check_format(database: &impl ReadableDatabase) -> Result<(), StoreError> {
    let transaction = database.begin_read().map_err(|error| backend("beginning to read", error.into()))?;
    let format = match transaction.open_table(FORMAT) {
        Ok(table) => table.get("data").map_err(|error| backend("reading the format", error.into()))?,
        Err(redb::TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(backend("reading the format", error.into())),
    };
    match format.map(|found| found.value()) {
        Some(found) if found > DATA_FORMAT => Err(StoreError::Newer { found, known: DATA_FORMAT }),
        Some(_) => Ok(()),
        None => Err(damaged_file("it names no format, so this is not a registry's database")),
    }
}

/// Tells a full disk from everything else that redb can fail with.
pub(crate) fn backend(op: &'static str, error: redb::Error) -> StoreError {
    if let redb::Error::Io(error) = error { from_io(op, error) } else { StoreError::backend(op, error) }
}

pub(crate) fn from_io(op: &'static str, error: std::io::Error) -> StoreError {
    if matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) {
        StoreError::Full { free_bytes: 0 }
    } else {
        StoreError::backend(op, error)
    }
}

#[cfg(test)]
mod tests;

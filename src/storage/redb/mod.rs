//! The contract [`Metadata`] on one redb file. Start at [`RedbMetadata::open`]; writes go through [`writer`].

mod apply;
pub mod backend;
pub mod build;
pub mod gate;
pub mod inspect;
pub mod replay;
pub mod seq;
mod staging;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Builder, Database, ReadableDatabase, TableDefinition};
use tokio::sync::{mpsc, oneshot, watch};

use self::staging::{Snapshot, Staging};
pub use self::writer::{BatchSink, NoJournal, ReadMoment};
use self::writer::{Job, Pending, Writer};
use super::tables::Counter;
use super::view::View;
use super::{ChangeError, Cost, Decided, Metadata, Moment, StoreError};
use crate::domain::change::{Change, Setting};
use crate::domain::event::{Event, Fact, Log};
use crate::domain::id::Id;

/// The newest format of the data directory that this program reads and the one that it writes.
pub const DATA_FORMAT: u32 = 1;
/// The file of all rows, within the data directory.
pub const METADATA_FILE: &str = "meta.redb";
const NEW_FILE: &str = "meta.redb.new";
const FORMAT: TableDefinition<'static, &'static str, u32> = TableDefinition::new("format");

/// How a [`RedbMetadata`] is opened.
pub struct Options {
    /// redb's page cache, in bytes.
    pub cache_bytes: usize,
    /// How many writes may wait before more are answered with [`StoreError::Busy`].
    pub queue_length: usize,
    /// What takes each batch before it is committed.
    pub sink: Box<dyn BatchSink>,
    /// The wall clock, and the seconds since some fixed point that go on while a server runs.
    pub clock: Box<dyn Fn() -> Moment + Send + Sync>,
}

/// All metadata of one data directory, in one redb file.
pub struct RedbMetadata {
    database: Arc<Database>,
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<std::thread::JoinHandle<()>>,
    failed: Arc<AtomicBool>,
    appended: watch::Receiver<u64>,
}

impl RedbMetadata {
    /// Opens the file, or makes it whole before it gets its name; a start that was cut off leaves nothing in the way.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for data of a newer program, [`StoreError::Corrupt`] for a file that is no such database,
    /// [`StoreError::Backend`] when the disk fails.
    pub fn open(directory: &Path, options: Options) -> Result<Self, StoreError> {
        let Options { cache_bytes, queue_length, sink, clock } = options;
        let path = directory.join(METADATA_FILE);
        if !path.exists() {
            create(directory, clock())?;
        }
        let database = Arc::new(open_database(&path, cache_bytes)?);
        check_format(&database)?;
        let base = read_view(&database, |view| view.counter(Counter::Ticks))?;
        let begun = clock().tick;
        let moment = move || {
            let moment = clock();
            Moment { tick: base.saturating_add(moment.tick.saturating_sub(begun)), ..moment }
        };
        let (sender, queue) = mpsc::channel(queue_length.max(1));
        let failed = Arc::new(AtomicBool::new(false));
        let (appends, appended) = watch::channel(0);
        let writer = Writer {
            database: Arc::clone(&database),
            queue,
            moment: Box::new(moment),
            sink,
            failed: Arc::clone(&failed),
            appended: appends,
        };
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| StoreError::backend("starting the writer", error))?;
        Ok(Self { database, queue: Some(sender), thread: Some(thread), failed, appended })
    }

    /// Changes after each commit that brought events, and not for others; closed once the writer stopped.
    pub fn appended(&self) -> watch::Receiver<u64> {
        self.appended.clone()
    }

    /// Whether a commit failed, after which only reads work until a restart.
    pub fn is_read_only(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Drop for RedbMetadata {
    /// Lets the writer finish what is queued; redb closes its file after that.
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
        match cost {
            Cost::Point => read_view(&self.database, query),
            Cost::Scan => {
                let database = Arc::clone(&self.database);
                let ran = tokio::task::spawn_blocking(move || read_view(&database, query)).await;
                ran.map_err(|error| StoreError::Panicked(error.to_string()))?
            }
        }
    }

    async fn change<R, F>(&self, decide: F) -> Result<R, ChangeError>
    where
        R: Send + 'static,
        F: Fn(&View<'_>, Moment) -> Result<Decided<R>, ChangeError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Box<dyn Job> = Box::new(Pending { decide, decided: None, reply });
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.try_send(job).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answer.await.map_err(|_closed| StoreError::Closed)?
    }
}

fn read_view<R>(database: &Database, query: impl FnOnce(&View<'_>) -> Result<R, StoreError>) -> Result<R, StoreError> {
    let transaction = database.begin_read().map_err(|error| backend("beginning to read", error.into()))?;
    query(&View::new(&Snapshot::new(transaction)))
}

/// Makes the file under another name, whole and synced, before it gets its own.
fn create(directory: &Path, moment: Moment) -> Result<(), StoreError> {
    let io = |error: std::io::Error| from_io("making the database", error);
    let new = directory.join(NEW_FILE);
    match std::fs::remove_file(&new) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    let database = Builder::new().create(&new).map_err(|error| backend("making the database", error.into()))?;
    let transaction = database.begin_write().map_err(|error| backend("making the database", error.into()))?;
    {
        let mut format =
            transaction.open_table(FORMAT).map_err(|error| backend("making the database", error.into()))?;
        format.insert("data", DATA_FORMAT).map_err(|error| backend("making the database", error.into()))?;
    }
    let staging = Staging::open(&transaction)?;
    for change in first_changes(moment)? {
        apply::apply(&change, &staging, moment)?;
    }
    drop(staging);
    transaction.commit().map_err(|error| backend("making the database", error.into()))?;
    drop(database);
    let file = std::fs::File::open(&new).map_err(io)?;
    file.sync_all().map_err(io)?;
    std::fs::rename(&new, directory.join(METADATA_FILE)).map_err(io)?;
    std::fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)
}

/// A history begins: its id, and the entry that opens each log.
fn first_changes(moment: Moment) -> Result<Vec<Change>, StoreError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| StoreError::backend("drawing a history id", error.to_string()))?;
    let history = Id::from_parts(moment.now.unix_ms(), u128::from_be_bytes(random));
    let opened = |log| Change::Event(Event { log, time: moment.now, fact: Fact::LogOpened { history } });
    let setting = Change::PutSetting { key: Setting::History, value: Some(history.to_bytes().to_vec()) };
    Ok(vec![setting, opened(Log::Public), opened(Log::Internal)])
}

/// redb may panic on a file that is not what it wrote; that is damage, not a reason to crash.
fn open_database(path: &Path, cache_bytes: usize) -> Result<Database, StoreError> {
    let path: PathBuf = path.to_owned();
    let opened = std::panic::catch_unwind(move || Builder::new().set_cache_size(cache_bytes).open(path));
    match opened {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(redb::DatabaseError::Storage(redb::StorageError::Io(error)))) if is_disk_fault(&error) => {
            Err(from_io("opening the database", error))
        }
        Ok(Err(error)) if matches!(error, redb::DatabaseError::DatabaseAlreadyOpen) => {
            Err(StoreError::backend("opening the database", error))
        }
        Ok(Err(damaged)) => Err(damaged_file(&damaged.to_string())),
        Err(_) => Err(damaged_file("its reader panicked")),
    }
}

/// Whether an error of the file system says something about the disk rather than about the file's content.
fn is_disk_fault(error: &std::io::Error) -> bool {
    !matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
}

fn damaged_file(what: &str) -> StoreError {
    StoreError::Corrupt { table: METADATA_FILE, what: what.to_owned() }
}

fn check_format(database: &Database) -> Result<(), StoreError> {
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
fn backend(op: &'static str, error: redb::Error) -> StoreError {
    if let redb::Error::Io(error) = error { from_io(op, error) } else { StoreError::backend(op, error) }
}

fn from_io(op: &'static str, error: std::io::Error) -> StoreError {
    if matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) {
        StoreError::Full { free_bytes: 0 }
    } else {
        StoreError::backend(op, error)
    }
}

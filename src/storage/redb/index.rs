//! The database that is open now. It can be taken away and another one put in its place while readers go on.

use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};
use tokio::sync::watch;

use super::backend;
use crate::storage::StoreError;

/// A database that lives until its last reader is done with it, or until it is closed under them.
pub(super) struct Handle(RwLock<Option<Database>>);

/// What readers find.
enum Slot {
    Open(Arc<Handle>),
    /// For reads alone.
    Frozen(Arc<Handle>),
    /// It is being opened anew: readers wait.
    Reopening,
    /// It could not be opened again.
    Lost,
}

/// The index: what reads and writes go to.
pub(super) struct Index {
    slot: RwLock<Slot>,
    /// Whether reads need not wait.
    settled: watch::Sender<bool>,
}

/// One read transaction, and what keeps its database open as long.
pub(super) struct Reading {
    pub(super) transaction: ReadTransaction,
    pub(super) handle: Arc<Handle>,
}

impl Index {
    pub(super) fn new(database: Database) -> Self {
        let handle = Arc::new(Handle(RwLock::new(Some(database))));
        Self { slot: RwLock::new(Slot::Open(handle)), settled: watch::channel(true).0 }
    }

    /// What is committed now; `None` while the database is being opened anew.
    ///
    /// # Errors
    /// [`StoreError::Backend`] when it could not be opened again.
    pub(super) fn begin_read(&self) -> Result<Option<Reading>, StoreError> {
        let Some(handle) = self.handle()? else { return Ok(None) };
        let database = handle.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = database.as_ref() else { return Ok(None) };
        let transaction = open.begin_read().map_err(|error| backend("beginning to read", error.into()))?;
        drop(database);
        Ok(Some(Reading { transaction, handle }))
    }

    /// Waits until reads find a database, or learn that there is none.
    pub(super) async fn settled(&self) {
        let mut settled = self.settled.subscribe();
        // The sender lives as long as `self`.
        drop(settled.wait_for(|settled| *settled).await);
    }

    /// The next write. Only the writer's thread calls this, so it waits for nobody.
    ///
    /// # Errors
    /// redb's own, among them that an earlier call to the disk failed, after which it has to be opened anew.
    pub(super) fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        let handle = match &*self.slot.read().unwrap_or_else(PoisonError::into_inner) {
            Slot::Open(handle) => Arc::clone(handle),
            Slot::Frozen(_) | Slot::Reopening | Slot::Lost => return Err(StoreError::ReadOnly),
        };
        let database = handle.0.read().unwrap_or_else(PoisonError::into_inner);
        let open = database.as_ref().ok_or(StoreError::Closed)?;
        open.begin_write().map_err(|error| backend("beginning to write", error.into()))
    }

    /// Makes readers wait and closes the database under those that still read: their next look fails, but never shows
    /// them a page that somebody else has written meanwhile.
    pub(super) fn close(&self) {
        self.settled.send_replace(false);
        let former = std::mem::replace(&mut *self.lock(), Slot::Reopening);
        if let Slot::Open(handle) | Slot::Frozen(handle) = former {
            drop(handle.0.write().unwrap_or_else(PoisonError::into_inner).take());
        }
    }

    /// Closes the database for good and says whether it is whole and durable.
    ///
    /// # Errors
    /// redb's own: then its file has to be checked when it is next opened.
    pub(super) fn shut(&self) -> Result<(), StoreError> {
        let former = std::mem::replace(&mut *self.lock(), Slot::Lost);
        self.settled.send_replace(true);
        let Slot::Open(handle) = former else { return Err(StoreError::Closed) };
        let database = handle.0.write().unwrap_or_else(PoisonError::into_inner).take();
        let closed = database.map_or(Ok(()), Database::close);
        closed.map_err(|error| backend("closing the index", error.into()))
    }

    /// From now on reads and writes go to this one. What was open is closed by its last reader.
    pub(super) fn put(&self, database: Database) {
        let handle = Arc::new(Handle(RwLock::new(Some(database))));
        let former = std::mem::replace(&mut *self.lock(), Slot::Open(handle));
        self.settled.send_replace(true);
        drop(former);
    }

    /// From now on reads go to this one, and writes are refused.
    pub(super) fn put_frozen(&self, database: Database) {
        *self.lock() = Slot::Frozen(Arc::new(Handle(RwLock::new(Some(database)))));
        self.settled.send_replace(true);
    }

    /// There is nothing more to read.
    pub(super) fn lose(&self) {
        *self.lock() = Slot::Lost;
        self.settled.send_replace(true);
    }

    fn handle(&self) -> Result<Option<Arc<Handle>>, StoreError> {
        match &*self.slot.read().unwrap_or_else(PoisonError::into_inner) {
            Slot::Open(handle) | Slot::Frozen(handle) => Ok(Some(Arc::clone(handle))),
            Slot::Reopening => Ok(None),
            Slot::Lost => Err(StoreError::backend("reading", "there is no index that could be read")),
        }
    }

    fn lock(&self) -> std::sync::RwLockWriteGuard<'_, Slot> {
        self.slot.write().unwrap_or_else(PoisonError::into_inner)
    }
}

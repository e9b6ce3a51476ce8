//! A fresh index in place of one whose free pages hold what was erased.
//!
//! redb leaves the bytes of a removed row in pages that it uses again some day. So a retention after rows were erased, and
//! when somebody asks for it, all rows are written into a new file beside, while the writer goes on; then the frames that
//! came meanwhile are put into it, and it takes the old one's name. The old file is whole until then, and a crash leaves
//! one of the two.

use std::time::{Duration, Instant};

use redb::Durability;

use super::build::Built;
use super::commit::from_journal;
use super::keeper::{Keeper, Work};
use super::rotation::{Compacted, Doing, Request, fail};
use super::seq::{note_erased, read_erased, write_seq};
use super::trail::Trail;
use super::writer::Writer;
use super::{backend, from_io};
use crate::storage::journal::JournalError;
use crate::storage::journal::retention::renewal_due;
use crate::storage::{StoreError, chain};

/// How long after a renewal that failed, or found no room, the next one is tried by itself.
const AGAIN: Duration = Duration::from_mins(10);
/// Bytes beyond the size of the index that have to be free before a second one is written.
const SPARE_BYTES: u64 = 64 << 20;

/// What the writer knows about the index it may have to renew.
#[derive(Default)]
pub(super) struct Renewal {
    /// The tick of the first frame since the index was written that erased rows.
    pub(super) erased: Option<u64>,
    /// The frames since the state that is being written.
    meanwhile: Option<Trail>,
    not_before: Option<Instant>,
}

impl Renewal {
    /// One more frame, or a log that was begun, ends here.
    pub(super) fn extend(&mut self, position: crate::storage::journal::header::Position) {
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.extend(position);
        }
    }
}

/// What a renewal does beyond its own purpose.
pub(super) struct Serves {
    /// What was removed before it, and who asked for that.
    pub(super) compacted: Compacted,
    pub(super) requests: Vec<Request>,
}

impl Writer {
    /// Whether what was erased has been in free pages for longer than the retention, and there is room for a second file.
    pub(super) fn renewal_is_due(&mut self, tick: u64, in_force: u64) -> bool {
        let waits = self.renewal.not_before.is_some_and(|at| Instant::now() < at);
        if waits || self.health.disk().is_full() || !renewal_due(self.renewal.erased, tick, in_force) {
            return false;
        }
        let has_room = self.has_room_for_another();
        if let Err(error) = &has_room {
            self.renewal.not_before = Some(Instant::now() + AGAIN);
            tracing::warn!(error = %chain(error), "the index holds erased rows in free pages and can't be written anew");
        }
        has_room.is_ok()
    }

    fn has_room_for_another(&self) -> Result<(), StoreError> {
        let failed = |error| from_io("looking for room for a fresh index", error);
        let size = self.source.file.stat().map_err(failed)?.size;
        let free_bytes = self.source.fs.free_bytes(&self.source.data).map_err(failed)?;
        if free_bytes >= size.saturating_add(SPARE_BYTES) { Ok(()) } else { Err(StoreError::Full { free_bytes }) }
    }

    /// Begins to write a fresh index.
    pub(super) fn begin_renewal(&mut self, serves: Option<Serves>) {
        match self.start_renewal() {
            Ok(keeper) => self.rotation.work(keeper, Doing::Index(serves)),
            Err(error) => self.renewal_failed(serves, &error),
        }
    }

    fn start_renewal(&mut self) -> Result<Keeper, StoreError> {
        // Nobody but this thread commits, so this is the state where the trail ends.
        let reading = self.index.begin_read()?.ok_or(StoreError::Closed)?;
        let position = self.trail.to();
        let keeper = Keeper::start(self.rotation.place(), Work::Index(Box::new(reading), position))?;
        self.renewal.meanwhile = Some(Trail::new(position));
        Ok(keeper)
    }

    /// Puts the fresh index in place, or tells why there is none.
    pub(super) fn end_renewal(&mut self, built: Result<Built, JournalError>, serves: Option<Serves>) {
        let built = built.map_err(|error| from_journal("writing a fresh index", error));
        let installed = built.and_then(|built| self.install(built));
        if let Err(error) = installed {
            self.rotation.place().take_away_index();
            return self.renewal_failed(serves, &error);
        }
        let Some(Serves { mut compacted, requests }) = serves else { return };
        match self.remove_old_indexes() {
            Ok(removed) => {
                compacted.removed.extend(removed);
                for request in requests {
                    request.done(&compacted);
                }
            }
            Err(error) => fail(requests, &error),
        }
    }

    /// Up to the rename the old index is as it was. Readers that have begun go on with it.
    fn install(&mut self, built: Built) -> Result<(), StoreError> {
        let begun = Instant::now();
        let (from, missing) = self
            .renewal
            .meanwhile
            .take()
            .and_then(|trail| Some((trail.from(), trail.after(&trail.from())?)))
            .ok_or_else(|| {
                StoreError::backend("putting a fresh index in place", "nothing tells what came meanwhile")
            })?;
        self.replay(&built.database, from, &missing)?;
        let failed = |error: redb::Error| backend("putting a fresh index in place", error);
        let mut last = built.database.begin_write().map_err(|error| failed(error.into()))?;
        write_seq(&last, &self.trail.to())?;
        last.set_durability(Durability::Immediate).map_err(|error| failed(error.into()))?;
        last.commit().map_err(|error| failed(error.into()))?;
        let (database, file) = built.rename(&*self.source.fs, &self.source.data)?;
        self.source.file = file;
        self.source.again_at = None;
        self.index.put(database);
        self.learn_erased();
        let data = &self.source.data;
        if let Err(error) = self.source.fs.open_dir(data).and_then(|dir| self.source.fs.sync_dir(&dir)) {
            // Nobody knows which of the two a crash would leave. Either is whole; the rule for a directory holds.
            self.source.disk.note("sync the data directory", &error);
            self.journal.distrust_directory();
            return Err(from_io("putting a fresh index in place", error));
        }
        self.durable_now();
        let (frames, ms) = (self.trail.to().number.saturating_sub(from.number), begun.elapsed().as_millis());
        tracing::info!(frames, ms, "a fresh index is in place");
        Ok(())
    }

    /// Notes that what was erased before there was a journal may be in the index.
    pub(super) fn distrust_free_pages(&mut self, tick: u64) -> Result<(), StoreError> {
        let failed = |error: redb::Error| backend("noting what was erased", error);
        let mut transaction = self.index.begin_write()?;
        note_erased(&transaction, tick)?;
        transaction.set_durability(Durability::None).map_err(|error| failed(error.into()))?;
        transaction.commit().map_err(|error| failed(error.into()))?;
        self.renewal.erased = Some(tick);
        Ok(())
    }

    /// Asks the index since when its free pages hold what was erased.
    pub(super) fn learn_erased(&mut self) {
        let erased = self
            .index
            .begin_read()
            .and_then(|reading| reading.map_or(Ok(None), |reading| read_erased(&reading.transaction)));
        match erased {
            Ok(erased) => self.renewal.erased = erased,
            Err(error) => tracing::debug!(error = %chain(&error), "since when rows are erased is not known"),
        }
    }

    /// An index that failed is opened or built anew: one that is being written beside it is of no use.
    pub(super) fn stop_renewal(&mut self) {
        let Some((keeper, serves)) = self.rotation.take_renewal() else { return };
        keeper.stop();
        self.renewal_failed(serves, &StoreError::ReadOnly);
    }

    fn renewal_failed(&mut self, serves: Option<Serves>, error: &StoreError) {
        self.renewal.meanwhile = None;
        self.renewal.not_before = Some(Instant::now() + AGAIN);
        tracing::warn!(error = %chain(error), "a fresh index could not be put in place; the old one goes on");
        fail(serves.map_or_else(Vec::new, |serves| serves.requests), error);
    }
}

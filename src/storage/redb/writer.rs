//! The one thread that writes: it takes what is queued, decides each on the staged state of those before it, commits
//! them together, and only then answers all of them, refusals too.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, Durability};
use tokio::sync::{mpsc, oneshot, watch};

use super::staging::Staging;
use super::{apply, backend};
use crate::storage::rows::Row as _;
use crate::storage::tables::{Counter, RowOp, Table};
use crate::storage::view::View;
use crate::storage::{ChangeError, Decided, Moment, StoreError};

/// How many decisions share one commit at the most.
const BATCH_MAX: usize = 256;

/// Takes each batch before it is committed, as the ordered list that it consists of. The journal will be one: a frame
/// is these operations, and the frame's sync the moment from which they are durable.
pub trait BatchSink: Send {
    /// # Errors
    /// When the batch could not be made durable; it is then dropped, and none of its members was done.
    fn append(&mut self, batch: &[RowOp]) -> Result<(), StoreError>;
}

/// No journal: redb's own commit is what makes a batch durable.
pub struct NoJournal;

impl BatchSink for NoJournal {
    fn append(&mut self, _batch: &[RowOp]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Tells the writer when it is.
pub type ReadMoment = Box<dyn Fn() -> Moment + Send>;

/// A decision that waits for its turn.
pub(super) trait Job: Send {
    /// Decides and stages. An error is storage's: the whole batch is given up. A refusal is no error here.
    fn stage(&mut self, staging: &Staging<'_>, moment: Moment) -> Result<(), StoreError>;

    /// Hands over what was decided, now that it is durable.
    fn answer(self: Box<Self>);

    /// Hands over why nothing was done.
    fn fail(self: Box<Self>, error: StoreError);
}

/// A decision with the type of its answer.
pub(super) struct Pending<R, F> {
    pub(super) decide: F,
    pub(super) decided: Option<Result<R, ChangeError>>,
    pub(super) reply: oneshot::Sender<Result<R, ChangeError>>,
}

impl<R, F> Job for Pending<R, F>
where
    R: Send,
    F: Fn(&View<'_>, Moment) -> Result<Decided<R>, ChangeError> + Send,
{
    fn stage(&mut self, staging: &Staging<'_>, moment: Moment) -> Result<(), StoreError> {
        match (self.decide)(&View::new(staging), moment) {
            Ok(Decided { changes, answer }) => {
                for change in &changes {
                    apply::apply(change, staging, moment)?;
                }
                self.decided = Some(Ok(answer));
            }
            Err(ChangeError::Store(error)) => return Err(error),
            Err(refused @ ChangeError::Refused(_)) => self.decided = Some(Err(refused)),
        }
        Ok(())
    }

    fn answer(self: Box<Self>) {
        let decided = self.decided.unwrap_or(Err(ChangeError::Store(StoreError::Closed)));
        if self.reply.send(decided).is_err() {
            tracing::debug!("a change was done whose caller no longer waits");
        }
    }

    fn fail(self: Box<Self>, error: StoreError) {
        if self.reply.send(Err(ChangeError::Store(error))).is_err() {
            tracing::debug!("a change failed whose caller no longer waits");
        }
    }
}

/// The writer's thread and what it works with.
pub(super) struct Writer {
    pub(super) database: Arc<Database>,
    pub(super) queue: mpsc::Receiver<Box<dyn Job>>,
    pub(super) moment: ReadMoment,
    pub(super) sink: Box<dyn BatchSink>,
    /// Set for good once a commit failed: from then on writes are refused until a restart.
    pub(super) failed: Arc<AtomicBool>,
    /// How many commits brought events since the start.
    pub(super) appended: watch::Sender<u64>,
}

impl Writer {
    /// Works until the queue's last sender is gone.
    pub(super) fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX {
                match self.queue.try_recv() {
                    Ok(job) => batch.push(job),
                    Err(_) => break,
                }
            }
            self.settle(batch);
        }
    }

    /// Commits the batch as one; if that fails, each member on its own, so that none pays for another.
    fn settle(&mut self, mut batch: Vec<Box<dyn Job>>) {
        match self.commit(&mut batch) {
            Ok(()) => batch.into_iter().for_each(Job::answer),
            // After a commit that failed no member could do better alone: each is told why.
            Err(error) if batch.len() == 1 || self.failed.load(Ordering::Relaxed) => {
                tracing::error!(error = %chain(&error), "a change failed; nothing of it was kept");
                for job in batch {
                    job.fail(copy_of(&error));
                }
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), members = batch.len(), "a batch failed; its members run alone");
                for job in batch {
                    self.settle(vec![job]);
                }
            }
        }
    }

    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(StoreError::ReadOnly);
        }
        let moment = (self.moment)();
        let mut transaction =
            self.database.begin_write().map_err(|error| backend("beginning to write", error.into()))?;
        transaction
            .set_durability(Durability::Immediate)
            .map_err(|error| backend("beginning to write", error.into()))?;
        let staged = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let staging = Staging::open(&transaction)?;
            for job in batch.iter_mut() {
                job.stage(&staging, moment)?;
            }
            if staging.is_empty() {
                return Ok(Vec::new());
            }
            staging.put(Table::Counters, vec![Counter::Ticks as u8], moment.tick.to_row())?;
            Ok(staging.into_ops())
        }));
        let ops = staged.unwrap_or_else(|panic| Err(StoreError::Panicked(panic_text(&*panic))));
        match ops {
            Ok(ops) if ops.is_empty() => transaction.abort().map_err(|error| backend("ending a write", error.into())),
            Ok(ops) => {
                self.sink.append(&ops)?;
                let done = transaction.commit().map_err(|error| backend("committing", error.into()));
                self.failed.store(done.is_err(), Ordering::Relaxed);
                if done.is_ok() && ops.iter().any(is_event) {
                    self.appended.send_modify(|count| *count += 1);
                }
                done
            }
            Err(error) => {
                if transaction.abort().is_err() {
                    self.failed.store(true, Ordering::Relaxed);
                }
                Err(error)
            }
        }
    }
}

fn is_event(op: &RowOp) -> bool {
    matches!(op, RowOp::Put { table: Table::Events, .. })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn copy_of(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full { free_bytes } => StoreError::Full { free_bytes: *free_bytes },
        StoreError::Busy => StoreError::Busy,
        StoreError::ReadOnly => StoreError::ReadOnly,
        StoreError::Closed => StoreError::Closed,
        StoreError::Newer { found, known } => StoreError::Newer { found: *found, known: *known },
        StoreError::Corrupt { table, what } => StoreError::Corrupt { table, what: what.clone() },
        StoreError::Panicked(what) => StoreError::Panicked(what.clone()),
        StoreError::Backend { op, source } => StoreError::backend(op, source.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::change::{Change, Setting};
    use crate::domain::time::Timestamp;

    /// Fails like a commit: nothing is written any more afterwards.
    struct FullDisk(Arc<AtomicBool>);

    impl BatchSink for FullDisk {
        fn append(&mut self, _batch: &[RowOp]) -> Result<(), StoreError> {
            self.0.store(true, Ordering::Relaxed);
            Err(StoreError::Full { free_bytes: 0 })
        }
    }

    #[test]
    fn every_member_of_a_batch_is_told_why_its_commit_failed() {
        let directory = tempfile::tempdir().unwrap();
        let moment = Moment { now: Timestamp(1_700_000_000_000), tick: 0 };
        super::super::create(directory.path(), moment).unwrap();
        let database = super::super::open_database(&directory.path().join(super::super::METADATA_FILE), 1 << 20);
        let failed = Arc::new(AtomicBool::new(false));
        let mut writer = Writer {
            database: Arc::new(database.unwrap()),
            queue: mpsc::channel(1).1,
            moment: Box::new(move || moment),
            sink: Box::new(FullDisk(Arc::clone(&failed))),
            failed,
            appended: watch::channel(0).0,
        };
        let decide = |_: &View<'_>, _: Moment| {
            let change = Change::PutSetting { key: Setting::InitialAdminToken, value: Some(vec![0; 16]) };
            Ok(Decided { changes: vec![change], answer: () })
        };
        let job = || {
            let (reply, answer) = oneshot::channel();
            (Box::new(Pending { decide, decided: None, reply }) as Box<dyn Job>, answer)
        };
        let (jobs, answers): (Vec<_>, Vec<_>) = [job(), job(), job()].into_iter().unzip();
        writer.settle(jobs);
        for answer in answers {
            let told = answer.blocking_recv().unwrap();
            assert!(matches!(told, Err(ChangeError::Store(StoreError::Full { .. }))), "{told:?}");
        }
    }
}

//! The one thread that writes: it takes what is queued, decides each on the staged state of those before it, makes them
//! durable together, and only then answers all of them, refusals too. Between batches it does what time asks for.
//!
//! Start at [`Writer::run`]; [`commit`](super::commit) is what happens to one batch.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::checkpoint::Checkpoints;
use super::commit::Failed;
use super::health::Health;
use super::index::Index;
use super::job::Job;
use super::preface::Preface;
use super::recover::IndexSource;
use super::renewal::Renewal;
use super::rotation::{Request, Rotation};
use super::trail::Trail;
use crate::storage::journal::Journal;
use crate::storage::journal::name::Generation;
use crate::storage::{Moment, StoreError, chain};

/// How many decisions share one commit at the most.
const BATCH_MAX: usize = 256;
/// How often the reserves are tried again while the disk is full.
const RESERVE_AGAIN: Duration = Duration::from_secs(1);
/// How often a long work on another thread is asked whether it is done.
const KEEPER_POLL: Duration = Duration::from_millis(20);
/// The longest time without a look at what is due: ticks pass without anybody saying so.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// Tells the writer when it is.
pub(super) type ReadMoment = Box<dyn Fn() -> Moment + Send>;

/// What the writer is asked for.
pub(super) enum Task {
    /// To decide and record.
    Change(Box<dyn Job>),
    /// To do something with the journal that takes longer.
    Request(Request),
    /// To make a snapshot in place of one that is damaged.
    ReplaceSnapshot(Generation),
    /// To look after the index: a reader found it failing.
    Examine,
}

/// The writer's thread and what it works with.
pub(super) struct Writer {
    pub(super) index: Arc<Index>,
    /// How the index is opened again.
    pub(super) source: IndexSource,
    pub(super) journal: Journal,
    pub(super) queue: Receiver<Task>,
    pub(super) moment: ReadMoment,
    pub(super) health: Arc<Health>,
    /// How many commits brought events since the start.
    pub(super) appended: watch::Sender<u64>,
    pub(super) checkpoints: Checkpoints,
    /// What a reopened index lacks.
    pub(super) trail: Trail,
    pub(super) rotation: Rotation,
    /// When the index is written anew.
    pub(super) renewal: Renewal,
    /// What the next frame begins with, when it is the first of its history.
    pub(super) preface: Option<Preface>,
    /// When the reserves are to be tried again.
    pub(super) reserve_at: Option<Instant>,
}

impl Writer {
    /// Works until the queue's last sender is gone, then closes the index and seals the journal.
    pub(super) fn run(mut self) {
        loop {
            match self.queue.recv_timeout(self.rest()) {
                Ok(task) => self.take(task),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.do_what_is_due();
        }
        self.stop();
    }

    /// How long nothing is due.
    fn rest(&self) -> Duration {
        let now = Instant::now();
        let longest = if self.rotation.is_working() { KEEPER_POLL } else { LOOK_AROUND };
        let due = self.checkpoint_due().map_or(longest, |due| due.saturating_duration_since(now));
        due.min(longest)
    }

    /// Takes changes that wait behind the first one into the same batch, up to the first task of another kind.
    fn take(&mut self, first: Task) {
        let (mut batch, mut next) = (Vec::new(), Some(first));
        while let Some(task) = next.take() {
            match task {
                Task::Change(job) => {
                    batch.push(job);
                    if batch.len() < BATCH_MAX {
                        next = self.queue.try_recv().ok();
                    }
                }
                Task::Request(request) => {
                    self.settle(std::mem::take(&mut batch));
                    self.ask(request);
                }
                Task::ReplaceSnapshot(generation) => {
                    self.settle(std::mem::take(&mut batch));
                    self.replace_snapshot(generation);
                }
                Task::Examine => {
                    self.settle(std::mem::take(&mut batch));
                    self.examine();
                }
            }
        }
        self.settle(batch);
    }

    /// Commits the batch as one; if that fails, each member on its own, so that none pays for another.
    pub(super) fn settle(&mut self, mut batch: Vec<Box<dyn Job>>) {
        if batch.is_empty() {
            return;
        }
        match self.commit(&mut batch) {
            Ok(()) => batch.into_iter().for_each(Job::answer),
            Err(Failed::Dropped(error)) if batch.len() > 1 => {
                tracing::warn!(error = %chain(&error), members = batch.len(), "a batch failed; its members run alone");
                for job in batch {
                    self.settle(vec![job]);
                }
            }
            Err(Failed::Dropped(error)) => {
                tracing::error!(error = %chain(&error), "a change failed; nothing of it was kept");
                let mut error = Some(error);
                for job in batch {
                    job.fail(error.take().unwrap_or(StoreError::Closed));
                }
            }
            Err(Failed::Unindexed(error)) => {
                tracing::error!(error = %chain(&error), "what is recorded can't be shown");
                for job in batch {
                    job.fail(StoreError::ReadOnly);
                }
            }
        }
    }

    /// Everything that comes with time rather than with a request.
    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        if self.checkpoint_due().is_some_and(|due| due <= now) {
            self.checkpoint();
        }
        if self.health.disk().is_full() {
            if self.reserve_at.is_none_or(|at| at <= now) {
                self.reserve_at = Some(now + RESERVE_AGAIN);
                self.fill_reserves();
            }
        } else {
            self.reserve_at = None;
        }
        self.look_after_generations();
    }

    /// When the index is to be made durable; never while the disk is full, since that takes room and saves only time.
    /// An index that is out of order waits for the next attempt to put it in order.
    fn checkpoint_due(&self) -> Option<Instant> {
        let due = self.checkpoints.due().filter(|_| !self.health.disk().is_full())?;
        Some(self.source.again_at.map_or(due, |again| again.max(due)))
    }
}

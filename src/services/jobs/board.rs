//! The jobs of this process: who may begin, how far each is, how they are stopped.
//!
//! Owns the memory of jobs, which ends with the process. Knows nothing of what they do: work is a function that is
//! given something to tell its progress to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::job::{Job, JobError, JobKind, JobState};
use crate::domain::id::Id;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::storage::progress::{Advance, Cancelled, Progress, Unit};

/// Jobs that are remembered; of those that are over, the oldest go first.
pub const JOBS_MAX: usize = 100;

/// How a work ended.
pub(super) type Ended<R> = Result<R, JobError>;

/// All jobs of this process.
#[derive(Debug)]
pub(super) struct Board<R> {
    jobs: Mutex<Jobs<R>>,
    /// How many are not over.
    open: watch::Sender<usize>,
}

#[derive(Debug)]
struct Jobs<R> {
    known: BTreeMap<Id, Arc<Task<R>>>,
    closed: bool,
}

/// One job; its work tells it how far it is.
#[derive(Debug)]
pub(super) struct Task<R> {
    id: Id,
    kind: JobKind,
    created_at: Timestamp,
    /// Ends are told by a clock that nobody sets.
    begun: Instant,
    cancelled: AtomicBool,
    status: Mutex<Status<R>>,
}

#[derive(Debug)]
struct Status<R> {
    state: JobState,
    progress: Advance,
    finished_at: Option<Timestamp>,
    ended: Option<Ended<R>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks, and what they guard is whole after each statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R: Clone> Board<R> {
    /// Without any job.
    pub(super) fn new() -> Self {
        Self { jobs: Mutex::new(Jobs { known: BTreeMap::new(), closed: false }), open: watch::Sender::new(0) }
    }

    /// Puts a job in the queue.
    ///
    /// # Errors
    /// `job_running` when one of its kind is not over, `draining` once [`Board::close`] was called.
    pub(super) fn admit(&self, id: Id, kind: JobKind, created_at: Timestamp) -> Result<Arc<Task<R>>, Refusal> {
        let mut jobs = locked(&self.jobs);
        if jobs.closed {
            let message = "The registry is stopping, and nothing was begun: try again in a moment.";
            return Err(Refusal::new(Reason::Draining, message));
        }
        if let Some(other) = jobs.known.values().find(|task| task.kind == kind && !task.is_over()) {
            let message = format!(
                "A {} is under way as job `{}`: wait for it (GET /v1/admin/jobs/{}), then ask again.",
                kind.as_str(),
                other.id,
                other.id
            );
            return Err(Refusal::new(Reason::JobRunning, message));
        }
        let task = Arc::new(Task {
            id,
            kind,
            created_at,
            begun: Instant::now(),
            cancelled: AtomicBool::new(false),
            status: Mutex::new(Status {
                state: JobState::Queued,
                progress: Advance { done: 0, total: None, unit: Unit::Bytes },
                finished_at: None,
                ended: None,
            }),
        });
        jobs.known.insert(id, Arc::clone(&task));
        while jobs.known.len() > JOBS_MAX {
            let Some(oldest) = jobs.known.values().find(|task| task.is_over()).map(|task| task.id) else { break };
            jobs.known.remove(&oldest);
        }
        self.open.send_modify(|open| *open += 1);
        Ok(task)
    }

    /// Takes a job back that could not be begun, as if it had never been asked for.
    pub(super) fn withdraw(&self, task: &Task<R>) {
        locked(&self.jobs).known.remove(&task.id);
        self.open.send_modify(|open| *open -= 1);
    }

    /// Notes how a job ended.
    pub(super) fn finish(&self, task: &Task<R>, at: Timestamp, ended: Ended<R>) {
        {
            let mut status = locked(&task.status);
            status.state = if ended.is_ok() { JobState::Done } else { JobState::Failed };
            status.finished_at = Some(at);
            status.ended = Some(ended);
        }
        self.open.send_modify(|open| *open -= 1);
    }

    /// One job.
    pub(super) fn get(&self, id: Id) -> Option<Job<R>> {
        locked(&self.jobs).known.get(&id).map(|task| task.look())
    }

    /// Jobs that were begun before the one called `before`, newest first, at most `limit` of them.
    pub(super) fn list(&self, before: Option<Id>, limit: usize) -> Vec<Job<R>> {
        let jobs = locked(&self.jobs);
        let older = jobs.known.iter().rev().filter(|(id, _)| before.is_none_or(|before| **id < before));
        older.take(limit).map(|(_, task)| task.look()).collect()
    }

    /// Takes no job any more, and tells those that are under way to stop.
    pub(super) fn close(&self) {
        let mut jobs = locked(&self.jobs);
        jobs.closed = true;
        for task in jobs.known.values() {
            task.cancelled.store(true, Ordering::Release);
        }
    }

    /// Waits until no job is under way.
    pub(super) async fn idle(&self) {
        let mut open = self.open.subscribe();
        // The sender lives in `self`, so waiting can't fail.
        drop(open.wait_for(|open| *open == 0).await);
    }
}

impl<R: Clone> Task<R> {
    /// The job's work begins now.
    pub(super) fn begin(&self) {
        locked(&self.status).state = JobState::Running;
    }

    /// The time by the clock that the job was begun by, and by what has passed since.
    pub(super) fn now(&self) -> Timestamp {
        self.created_at.plus_ms(i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// The job as it is now.
    pub(super) fn look(&self) -> Job<R> {
        let status = locked(&self.status);
        Job {
            id: self.id,
            kind: self.kind,
            state: status.state,
            progress: status.progress,
            created_at: self.created_at,
            finished_at: status.finished_at,
            result: status.ended.as_ref().and_then(|ended| ended.as_ref().ok().cloned()),
            error: status.ended.as_ref().and_then(|ended| ended.as_ref().err().cloned()),
        }
    }

    fn is_over(&self) -> bool {
        locked(&self.status).state.is_over()
    }
}

impl<R: Send> Progress for Task<R> {
    fn advance(&self, at: Advance) -> Result<(), Cancelled> {
        locked(&self.status).progress = at;
        if self.cancelled.load(Ordering::Acquire) { Err(Cancelled) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn refused<T>(result: Result<T, Refusal>) -> Option<Reason> {
        result.err().map(|refusal| refusal.reason)
    }

    #[test]
    fn one_of_a_kind_is_under_way_at_a_time() {
        let board: Board<u8> = Board::new();
        let first = board.admit(Id(1), JobKind::Gc, NOW).unwrap();
        assert_eq!(refused(board.admit(Id(2), JobKind::Gc, NOW)), Some(Reason::JobRunning));
        assert!(board.admit(Id(3), JobKind::Verify, NOW).is_ok());
        board.finish(&first, first.now(), Ok(7));
        let job = board.get(Id(1)).unwrap();
        assert_eq!((job.state, job.result), (JobState::Done, Some(7)));
        assert!(job.finished_at.is_some_and(|at| at >= NOW));
        assert!(board.admit(Id(2), JobKind::Gc, NOW).is_ok());
    }

    #[test]
    fn a_job_that_could_not_be_begun_was_never_there() {
        let board: Board<u8> = Board::new();
        let task = board.admit(Id(1), JobKind::Gc, NOW).unwrap();
        board.withdraw(&task);
        assert!(board.get(Id(1)).is_none() && board.list(None, 9).is_empty());
        assert!(board.admit(Id(2), JobKind::Gc, NOW).is_ok());
    }

    #[test]
    fn the_newest_hundred_are_remembered_and_none_that_is_under_way_is_forgotten() {
        let board: Board<u8> = Board::new();
        let running = board.admit(Id(0), JobKind::Verify, NOW).unwrap();
        for id in 1..=150 {
            let task = board.admit(Id(id), JobKind::Gc, NOW).unwrap();
            board.finish(&task, NOW, Ok(0));
        }
        let ids: Vec<u128> = board.list(None, usize::MAX).iter().map(|job| job.id.0).collect();
        assert_eq!((ids.len(), ids[0], ids[98], ids[99]), (JOBS_MAX, 150, 52, 0));
        let older: Vec<u128> = board.list(Some(Id(60)), 2).iter().map(|job| job.id.0).collect();
        assert_eq!(older, [59, 58]);
        assert!(!running.is_over());
    }

    #[tokio::test]
    async fn closing_stops_what_is_under_way_and_refuses_more() {
        let board: Arc<Board<u8>> = Arc::new(Board::new());
        let task = board.admit(Id(1), JobKind::Backup, NOW).unwrap();
        let at = Advance { done: 1, total: Some(2), unit: Unit::Blobs };
        assert_eq!(task.advance(at), Ok(()));
        assert_eq!(task.look().progress, at);
        board.close();
        assert_eq!(task.advance(at), Err(Cancelled));
        assert_eq!(refused(board.admit(Id(2), JobKind::Gc, NOW)), Some(Reason::Draining));
        let waiter = tokio::spawn({
            let board = Arc::clone(&board);
            async move { board.idle().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        board.finish(&task, NOW, Err(JobError { reason: Reason::Draining, message: String::new() }));
        waiter.await.unwrap();
    }
}

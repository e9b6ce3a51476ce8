//! The threads that read and hash blobs.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::{BlobScan, blob_file};
use crate::domain::digest::{Blake3, Sha256};
use crate::storage::fs::{Access, Fs, read_full};
use crate::storage::journal::retired::{NOTE_BYTES_MAX, Note};
use crate::storage::progress::{Advance, Cancelled, PIECE_BYTES_MAX, Progress, Unit};
use crate::storage::rows::BlobRow;
use crate::storage::scrub::ScrubError;

/// How many files are read at a time: enough to keep a disk busy, few enough to leave cores to a server.
const THREADS: usize = 2;
/// How many files wait for a thread, and how many verdicts for the one that makes findings of them.
const QUEUE_MAX: usize = 64;
/// Bytes of one read.
const READ_BYTES: usize = 256 * 1024;
/// How long the one who waits for a verdict goes without looking whether the work is to stop.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// A file to read; its row when it has one.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) sha256: Sha256,
    pub(super) row: Option<BlobRow>,
}

/// What reading a file showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The right bytes.
    Sound { bytes: u64, mode: u32 },
    /// Other bytes, or another number of them.
    Damaged { bytes: u64 },
    /// A note that the blob was removed.
    Note,
    /// No file.
    Missing,
    /// The disk does not give the bytes.
    Unreadable(io::ErrorKind),
}

/// What the threads share.
struct Shared {
    cancelled: AtomicBool,
    bytes: AtomicU64,
}

type Judge<'j> = dyn FnMut(Job, Verdict) -> Result<(), ScrubError> + 'j;

/// The threads, from the side of the one that gives them work.
pub(super) struct Readers<'p> {
    jobs: Option<SyncSender<Job>>,
    verdicts: Receiver<(Job, Verdict)>,
    shared: Arc<Shared>,
    progress: &'p dyn Progress,
    bytes_expected: Option<u64>,
    told: u64,
}

impl<'p> Readers<'p> {
    pub(super) fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        scan: &'env BlobScan<'_>,
        progress: &'p dyn Progress,
    ) -> Self {
        let (jobs, queue) = sync_channel::<Job>(QUEUE_MAX);
        // Room for a verdict on everything that waits or is being read: no thread ever waits to hand one over.
        let (answers, verdicts) = sync_channel(QUEUE_MAX + THREADS + 1);
        let queue = Arc::new(Mutex::new(queue));
        let shared = Arc::new(Shared { cancelled: AtomicBool::new(false), bytes: AtomicU64::new(0) });
        for _ in 0..THREADS {
            let (queue, answers, shared) = (Arc::clone(&queue), answers.clone(), Arc::clone(&shared));
            let pace = Pace::new(scan.bytes_per_second_max.map(|bytes| bytes / THREADS as u64));
            let mut reader = Reader { fs: scan.fs, data: scan.data, shared, pace, buf: vec![0; READ_BYTES] };
            scope.spawn(move || {
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { return };
                    let Ok(verdict) = reader.read(&job) else { return };
                    if answers.send((job, verdict)).is_err() {
                        return;
                    }
                }
            });
        }
        Self { jobs: Some(jobs), verdicts, shared, progress, bytes_expected: scan.bytes_expected, told: 0 }
    }

    /// Queues a file and takes what verdicts there are.
    pub(super) fn take(&mut self, job: Job, judge: &mut Judge<'_>) -> Result<(), ScrubError> {
        let mut job = job;
        loop {
            while let Ok((done, verdict)) = self.verdicts.try_recv() {
                judge(done, verdict)?;
            }
            self.tell(false)?;
            let Some(jobs) = &self.jobs else { return Ok(()) };
            match jobs.try_send(job) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) => job = back,
                Err(TrySendError::Disconnected(_)) => return Err(gone()),
            }
            self.wait(judge)?;
        }
    }

    /// Takes the verdicts on all that is queued.
    pub(super) fn finish(mut self, judge: &mut Judge<'_>) -> Result<(), ScrubError> {
        self.jobs = None;
        while self.wait(judge)? {
            self.tell(false)?;
        }
        Ok(self.tell(true)?)
    }

    /// Waits a while for a verdict; `false` once there can be no more.
    fn wait(&mut self, judge: &mut Judge<'_>) -> Result<bool, ScrubError> {
        match self.verdicts.recv_timeout(WAIT_MAX) {
            Ok((done, verdict)) => judge(done, verdict).map(|()| true),
            Err(RecvTimeoutError::Timeout) => self.tell(true).map(|()| true).map_err(ScrubError::from),
            Err(RecvTimeoutError::Disconnected) if self.jobs.is_some() => Err(gone()),
            Err(RecvTimeoutError::Disconnected) => Ok(false),
        }
    }

    fn tell(&mut self, always: bool) -> Result<(), Cancelled> {
        let done = self.shared.bytes.load(Ordering::Relaxed);
        if !always && done - self.told < PIECE_BYTES_MAX {
            return Ok(());
        }
        self.told = done;
        self.progress.advance(Advance { done, total: self.bytes_expected, unit: Unit::Bytes })
    }
}

impl Drop for Readers<'_> {
    /// Whatever ended the work, the threads end at their next piece.
    fn drop(&mut self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
    }
}

fn gone() -> ScrubError {
    ScrubError::Panicked("a thread that reads blobs ended".to_owned())
}

/// Keeps a thread to a number of bytes in a second.
struct Pace {
    bytes_per_second_max: Option<u64>,
    begun: Instant,
    bytes: u64,
}

impl Pace {
    fn new(bytes_per_second_max: Option<u64>) -> Self {
        Self { bytes_per_second_max, begun: Instant::now(), bytes: 0 }
    }

    /// How long to rest after `more` bytes; what was not used for a second is not saved up.
    fn rest(&mut self, more: u64) -> Duration {
        let Some(rate) = self.bytes_per_second_max else { return Duration::ZERO };
        self.bytes = self.bytes.saturating_add(more);
        let due = Duration::from_millis(self.bytes.saturating_mul(1000) / rate.max(1));
        let passed = self.begun.elapsed();
        if passed > due + Duration::from_secs(1) {
            (self.begun, self.bytes) = (Instant::now(), 0);
        }
        due.saturating_sub(passed)
    }
}

struct Reader<'r> {
    fs: &'r dyn Fs,
    data: &'r Path,
    shared: Arc<Shared>,
    pace: Pace,
    buf: Vec<u8>,
}

impl Reader<'_> {
    fn read(&mut self, job: &Job) -> Result<Verdict, Cancelled> {
        match self.hash(job) {
            Ok(verdict) => verdict,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Verdict::Missing),
            Err(error) => Ok(Verdict::Unreadable(error.kind())),
        }
    }

    fn hash(&mut self, job: &Job) -> io::Result<Result<Verdict, Cancelled>> {
        let file = self.fs.open(&self.data.join(blob_file(&job.sha256)), Access::Read)?;
        let stat = self.fs.stat(&file)?;
        let mut digest = match job.row {
            Some(_) => Digest::Blake3(Box::default()),
            None => Digest::Sha256(sha2::Sha256::default()),
        };
        let mut offset = 0;
        let mut note = Vec::new();
        loop {
            let count = read_full(self.fs, &file, &mut self.buf, offset)?;
            let bytes = self.buf.get(..count).unwrap_or_default();
            digest.add(bytes);
            if offset == 0 && count <= NOTE_BYTES_MAX {
                note.extend_from_slice(bytes);
            }
            offset += count as u64;
            self.shared.bytes.fetch_add(count as u64, Ordering::Relaxed);
            if !self.rest(count as u64) {
                return Ok(Err(Cancelled));
            }
            if count < self.buf.len() {
                break;
            }
        }
        Ok(Ok(if digest.proves(job) && job.row.is_none_or(|row| row.size == offset) {
            Verdict::Sound { bytes: offset, mode: stat.mode }
        } else if Note::parse(&note).is_some() {
            Verdict::Note
        } else {
            Verdict::Damaged { bytes: offset }
        }))
    }

    /// Rests as the pace asks for; `false` when the work is to stop.
    fn rest(&mut self, more: u64) -> bool {
        let until = Instant::now() + self.pace.rest(more);
        loop {
            if self.shared.cancelled.load(Ordering::Relaxed) {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(WAIT_MAX));
        }
    }
}

enum Digest {
    Sha256(sha2::Sha256),
    Blake3(Box<blake3::Hasher>),
}

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => sha2::Digest::update(hasher, bytes),
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
        }
    }

    fn proves(self, job: &Job) -> bool {
        match self {
            Self::Sha256(hasher) => Sha256(sha2::Digest::finalize(hasher).into()) == job.sha256,
            Self::Blake3(hasher) => job.row.is_some_and(|row| row.blake3 == Blake3(*hasher.finalize().as_bytes())),
        }
    }
}

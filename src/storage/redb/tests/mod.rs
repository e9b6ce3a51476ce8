//! The writer over a disk that breaks.

mod backend;
mod copies;
mod failing;
mod renewing;
mod rotating;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot::Receiver;

use super::*;
use crate::domain::change::{Change, Setting};
use crate::domain::event::{Event, Fact, Log};
use crate::domain::name::PackageName;
use crate::domain::time::Timestamp;
use crate::storage::rows::HistoryRow;
use crate::storage::tests::broken_fs::BrokenFs;

/// A store on a disk of its own, whose ticks are set by hand.
struct Bench {
    dir: tempfile::TempDir,
    fs: Arc<BrokenFs>,
    tick: Arc<AtomicU64>,
    /// The wall clock, in milliseconds.
    now: Arc<AtomicI64>,
    rotation: RotationRule,
    checkpoints: CheckpointRule,
    store: Option<RedbMetadata>,
}

type Answer = Receiver<Result<(), ChangeError>>;

impl Bench {
    fn new() -> Self {
        Self::with(RotationRule::default())
    }

    fn with(rotation: RotationRule) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut bench = Self {
            dir,
            fs: Arc::default(),
            tick: Arc::default(),
            now: Arc::new(AtomicI64::new(1_700_000_000_000)),
            rotation,
            checkpoints: CheckpointRule::default(),
            store: None,
        };
        bench.open();
        bench
    }

    fn data(&self) -> &Path {
        self.dir.path()
    }

    fn open(&mut self) {
        let (tick, now) = (Arc::clone(&self.tick), Arc::clone(&self.now));
        let clock = move || Moment { now: Timestamp(now.load(Ordering::Relaxed)), tick: tick.load(Ordering::Relaxed) };
        let options = Options {
            cache_bytes: 1 << 20,
            queue_length: 64,
            rotation: self.rotation,
            checkpoints: self.checkpoints,
            fs: Arc::<BrokenFs>::clone(&self.fs),
            clock: Box::new(clock),
            ..Options::default()
        };
        self.store = Some(RedbMetadata::open(self.data(), options).unwrap());
    }

    fn store(&self) -> &RedbMetadata {
        self.store.as_ref().unwrap()
    }

    /// Stops in order and starts again.
    fn restart(&mut self) {
        drop(self.store.take());
        self.open();
    }

    /// Which history it is, and what it left.
    fn history(&self) -> HistoryRow {
        let reading = self.store().index.begin_read().unwrap().unwrap();
        look(reading, |view| {
            let history = view.history()?;
            Ok(history)
        })
        .unwrap()
    }

    /// Records a package, and panics instead if it is called so.
    fn ask(&self, package: &str) -> Answer {
        let name = PackageName::parse(package).unwrap();
        let decide = move |_: &View<'_>, moment: Moment| {
            assert_ne!(name.to_string(), "panic");
            let fact = Fact::PackageCreated { package: name.clone() };
            let event = Change::Event(Event { log: Log::Public, time: moment.now, fact });
            Ok(Decided { changes: vec![event], answer: () })
        };
        self.queue(decide)
    }

    fn queue<F>(&self, decide: F) -> Answer
    where
        F: Fn(&View<'_>, Moment) -> Result<Decided<()>, ChangeError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.store().send(Task::Change(Box::new(Pending { decide, decided: None, reply }))).unwrap();
        answer
    }

    fn put(&self, package: &str) -> Result<(), ChangeError> {
        self.ask(package).blocking_recv().unwrap()
    }

    /// Has these decided in one batch: they wait behind a decision that waits for them.
    fn batch(&self, packages: &[&str]) -> Vec<Result<(), ChangeError>> {
        let (go, wait) = mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let first = self.queue(move |_, _| {
            assert!(wait.lock().unwrap().recv().is_err());
            Ok(Decided::unchanged(()))
        });
        let answers: Vec<Answer> = packages.iter().map(|package| self.ask(package)).collect();
        drop(go);
        first.blocking_recv().unwrap().unwrap();
        answers.into_iter().map(|answer| answer.blocking_recv().unwrap()).collect()
    }

    /// Everything that [`Bench::put`] recorded.
    fn packages(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let reading = loop {
            if let Some(reading) = self.store().index.begin_read().unwrap() {
                break reading;
            }
            std::thread::yield_now();
        };
        look(reading, |view| {
            view.scan_events(Log::Public, 1, |_, bytes| {
                let event: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                found.insert(event["package"].as_str().unwrap().to_owned());
                Ok(ControlFlow::Continue(()))
            })
        })
        .unwrap();
        found
    }

    /// How many files of a kind are in `journal/`.
    fn files(&self, extension: &str) -> usize {
        let files = std::fs::read_dir(self.data().join("journal")).unwrap();
        files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|it| it == extension)).count()
    }
}

fn set(packages: &[&str]) -> BTreeSet<String> {
    packages.iter().map(|package| (*package).to_owned()).collect()
}

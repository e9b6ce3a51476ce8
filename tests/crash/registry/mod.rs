//! A whole registry on the simulated disk: services, rows, journal, artifacts; driven step by step.

pub(crate) mod check;
pub(crate) mod steps;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vix_registry::domain::caller::Caller;
use vix_registry::domain::id::Id;
use vix_registry::domain::time::Timestamp;
use vix_registry::services::{Context, Policy, Services, Stores};
use vix_registry::storage::blobs::BlobStore;
use vix_registry::storage::disk::DiskState;
use vix_registry::storage::fs::Fs;
use vix_registry::storage::leases::Leases;
use vix_registry::storage::open::{OpenOptions, OpenReport, open_data, unwatched};
use vix_registry::storage::redb::{CheckpointRule, Options, RedbMetadata, RotationRule};
use vix_registry::storage::tables::Table;
use vix_registry::storage::view::{Direction, KeyRange, View};
use vix_registry::storage::{Cost, Metadata as _, Moment, StoreError};

use crate::sim::Disk;
use crate::told::told;

/// How long, in ticks, what is superseded is kept.
pub(crate) const RETENTION: u64 = 10;

/// redb's page cache.
const CACHE_BYTES: usize = 1 << 20;

/// Every row of every table but the one about snapshots, which no client caused.
pub(crate) type Rows = BTreeMap<&'static str, Vec<(Vec<u8>, Vec<u8>)>>;

/// When the index is made durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Checkpoints {
    /// At a clean stop alone: each start replays.
    Never,
    /// After each change.
    Always,
}

impl Checkpoints {
    fn rule(self) -> CheckpointRule {
        let wait = match self {
            Self::Never => Duration::from_hours(1),
            Self::Always => Duration::ZERO,
        };
        CheckpointRule { quiet: wait, every: wait, bytes: 1 << 30 }
    }
}

/// A running registry.
pub(crate) struct Registry {
    pub(crate) services: Services,
    pub(crate) stores: Stores,
    pub(crate) disk: Arc<Disk>,
    /// What the opening did.
    pub(crate) report: OpenReport,
    checkpoints: Checkpoints,
    runtime: tokio::runtime::Runtime,
    ids: AtomicU64,
}

impl Registry {
    /// Starts it on what is on the disk.
    pub(crate) fn open(disk: &Arc<Disk>, checkpoints: Checkpoints) -> Result<Self, String> {
        let fs: Arc<dyn Fs> = Arc::<Disk>::clone(disk);
        let state = Arc::<DiskState>::default();
        let opening =
            OpenOptions { cache_bytes: CACHE_BYTES, retention: RETENTION, disk: Arc::clone(&state), now: moment(disk) };
        let opened = open_data(&fs, disk.root(), &opening, &unwatched).map_err(|error| told("open", &error))?;
        let (report, clock) = (opened.report.clone(), Arc::clone(disk));
        let options = Options {
            cache_bytes: CACHE_BYTES,
            queue_length: 64,
            rotation: RotationRule { rotate_bytes: 1 << 30, retention_ticks: RETENTION, journal_bytes_max: 1 << 40 },
            checkpoints: checkpoints.rule(),
            fs,
            disk: state,
            clock: Box::new(move || moment(&clock)),
        };
        let metadata = RedbMetadata::start(opened, disk.root(), options).map_err(|error| told("start", &error))?;
        let blobs = BlobStore::open(disk.root(), Arc::<Disk>::clone(disk)).map_err(|error| told("open", &error))?;
        let stores = Stores {
            metadata: Arc::new(metadata),
            blobs,
            leases: Leases::default(),
            policy: Arc::new(Policy { free_bytes_min: 0, retention_ticks: RETENTION, ..Policy::default() }),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Ok(Self {
            services: Services::new(&stores),
            stores,
            disk: Arc::clone(disk),
            report,
            checkpoints,
            runtime,
            ids: AtomicU64::new(1),
        })
    }

    /// Runs an operation to its end.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Somebody at the registry's own machine, who may do everything.
    pub(crate) fn context(&self) -> Context {
        let now = moment(&self.disk).now;
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        Context {
            caller: Caller::Local { uid: 0 },
            now,
            ip: None,
            request_id: "test".to_owned(),
            audit_id: Id::from_parts(now.unix_ms(), number.into()),
        }
    }

    /// What it holds.
    pub(crate) fn rows(&self) -> Result<Rows, String> {
        let read = self.stores.metadata.read(Cost::Point, all_rows);
        self.run(read).map_err(|error| told("read", &error))
    }
}

fn moment(disk: &Disk) -> Moment {
    let tick = disk.ticks();
    Moment { now: Timestamp(1_700_000_000_000 + i64::try_from(tick).expect("few seconds") * 1000), tick }
}

fn all_rows(view: &View<'_>) -> Result<Rows, StoreError> {
    let mut all = Rows::new();
    for table in Table::ALL.iter().filter(|table| **table != Table::Snapshots) {
        let rows = all.entry(table.name()).or_default();
        view.rows().scan(*table, KeyRange::all(Direction::Up), &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(all)
}

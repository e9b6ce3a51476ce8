//! What a commit costs: the journal's writer beside plain redb commits of the same rows on the same disk, the longest
//! wait while the index is made durable and while a snapshot is written, and how long it takes to open.
//!
//! `cargo bench --bench commit` uses 20 000 versions for the second half; `cargo bench --bench commit -- 1000000` takes
//! minutes and some GB. Compare figures of one run only; machines differ.
#![expect(clippy::expect_used, reason = "a measurement that can't be set up has failed")]
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redb::{Database, TableDefinition};
use tokio::runtime::Runtime;
use vix_registry::domain::change::{BlobFacts, Change};
use vix_registry::domain::digest::{Blake3, Sha256};
use vix_registry::domain::event::{Event, Fact, Log};
use vix_registry::domain::name::PackageName;
use vix_registry::domain::package::{Artifact, Description, Package, Version, Visibility};
use vix_registry::domain::time::Timestamp;
use vix_registry::domain::version::VersionNumber;
use vix_registry::storage::fs::RealFs;
use vix_registry::storage::journal::frame::{FrameKind, decode_ops};
use vix_registry::storage::journal::read::read_frames;
use vix_registry::storage::journal::survey::survey;
use vix_registry::storage::redb::{Options, RedbMetadata, RotationRule};
use vix_registry::storage::tables::{RowOp, Table};
use vix_registry::storage::{Decided, Metadata as _};

/// Rounds of each contestant, one after the other, so that what else the machine does meets all of them.
const ROUNDS: usize = 5;
/// Commits of one client in a round.
const ALONE: u64 = 400;
/// Commits of all clients together in a round.
const TOGETHER: u64 = 4000;
/// Clients that write at once.
const CLIENTS: u64 = 16;
/// How long writers are watched for stalls, each time.
const WATCHED: Duration = Duration::from_secs(25);
/// Versions of one package.
const VERSIONS_EACH: u64 = 10;
const CACHE_BYTES: usize = 32 << 20;
/// What makes a run of this program the one that fills a directory and dies.
const FILL: &str = "--fill-and-die";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [mode, data, versions] = args.as_slice()
        && mode == FILL
    {
        fill_and_die(Path::new(data), versions.parse().expect("a number"));
    }
    let versions = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(20_000);
    let runtime = Runtime::new().expect("a runtime");
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    commits(&runtime, place.path());
    let full = place.path().join("full");
    opening(&full, versions);
    stalls(&runtime, &full);
}

/// A store in this directory, which is made if it is missing.
fn open(data: &Path) -> RedbMetadata {
    std::fs::create_dir_all(data).expect("a directory");
    let rotation = RotationRule { rotate_bytes: 1 << 40, ..RotationRule::default() };
    let options = Options { cache_bytes: CACHE_BYTES, rotation, ..Options::default() };
    RedbMetadata::open(data, options).expect("a store")
}

/// What the publish of a version records, but for its audit entry.
fn publish(number: u64) -> Vec<Change> {
    let name = PackageName::parse(&format!("bench/package-{}", number / VERSIONS_EACH)).expect("a name");
    let version = VersionNumber::parse(&format!("1.{}.0", number % VERSIONS_EACH)).expect("a version");
    let now = Timestamp(1_700_000_000_000 + i64::try_from(number).expect("a time"));
    let bytes = number.to_le_bytes();
    let (sha256, size) = (Sha256::of(&bytes), 16 << 10);
    let about = Description { description: Some("What it is, in a sentence.".repeat(4)), ..Description::default() };
    let artifact = Artifact { sha256, size, filename: "package.tar.gz".into(), media_type: "application/gzip".into() };
    let published = Fact::VersionPublished {
        package: name.clone(),
        version: version.clone(),
        sha256,
        size,
        dependencies: Sha256::of(b""),
    };
    let row = Version {
        number: version.clone(),
        artifact,
        about: about.clone(),
        manifest: None,
        readme: None,
        yank: None,
        deprecated: None,
        purged: None,
        published_at: now,
        published_by: None,
    };
    let package = Package {
        name: name.clone(),
        visibility: Visibility::Public,
        about,
        deprecated: None,
        purged_at: None,
        published: true,
        version_count: number % VERSIONS_EACH + 1,
        latest: Some(version),
        created_at: now,
        updated_at: now,
    };
    vec![
        Change::PutBlob(BlobFacts { sha256, blake3: Blake3::of(&bytes), size }),
        Change::PutVersion { package: name, version: Box::new(row), dependencies: Some(Vec::new()) },
        Change::PutPackage(Box::new(package)),
        Change::Event(Event { log: Log::Public, time: now, fact: published }),
    ]
}

async fn put(store: &RedbMetadata, number: u64) {
    store.change(move |_, _| Ok(Decided { changes: publish(number), answer: () })).await.expect("a commit");
}

/// Has `clients` publish one after another until `go_on` says no; answers with when each began and how long it took.
fn publish_all(
    runtime: &Runtime,
    store: &Arc<RedbMetadata>,
    next: &Arc<AtomicU64>,
    clients: u64,
    go_on: impl Fn(u64) -> bool + Clone + Send + 'static,
) -> Vec<(Instant, Duration)> {
    let client = || {
        let (store, next, go_on) = (Arc::clone(store), Arc::clone(next), go_on.clone());
        runtime.spawn(async move {
            let mut took = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if !go_on(number) {
                    return took;
                }
                let begun = Instant::now();
                put(&store, number).await;
                took.push((begun, begun.elapsed()));
            }
        })
    };
    let tasks: Vec<_> = (0..clients).map(|_| client()).collect();
    tasks.into_iter().flat_map(|task| runtime.block_on(task).expect("a client")).collect()
}

#[derive(Default)]
struct Figures {
    took: Vec<Duration>,
    seconds: f64,
}

impl Figures {
    fn add(&mut self, took: impl IntoIterator<Item = Duration>, begun: Instant) {
        self.took.extend(took);
        self.seconds += begun.elapsed().as_secs_f64();
    }

    fn show(mut self, what: &str) {
        self.took.sort_unstable();
        let count = self.took.len();
        let ms = |percent: usize| {
            let at = (count * percent / 100).min(count.saturating_sub(1));
            self.took.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e3)
        };
        let rate = f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / self.seconds;
        let (middle, late, worst) = (ms(50), ms(99), ms(100));
        println!("{what:44} {rate:9.0}/s   p50 {middle:7.2} ms   p99 {late:7.2} ms   max {worst:7.2} ms");
    }
}

fn commits(runtime: &Runtime, place: &Path) {
    let data = place.join("journal");
    let store = Arc::new(open(&data));
    let plain = Database::create(place.join("plain.redb")).expect("a database");
    let next = Arc::new(AtomicU64::new(0));
    let [mut alone, mut plainly, mut together] = [Figures::default(), Figures::default(), Figures::default()];
    let mut seen = 0;
    for _ in 0..ROUNDS {
        let (begun, end) = (Instant::now(), next.load(Ordering::Relaxed) + ALONE);
        let took = publish_all(runtime, &store, &next, 1, move |number| number < end);
        alone.add(took.into_iter().map(|(_, took)| took), begun);
        let frames = frames_after(&data, &mut seen);
        let begun = Instant::now();
        plainly.add(frames.iter().map(|ops| commit_plainly(&plain, ops)), begun);
        let (begun, end) = (Instant::now(), next.load(Ordering::Relaxed) + TOGETHER);
        let took = publish_all(runtime, &store, &next, CLIENTS, move |number| number < end);
        together.add(took.into_iter().map(|(_, took)| took), begun);
        for ops in frames_after(&data, &mut seen) {
            commit_plainly(&plain, &ops);
        }
    }
    alone.show("journal, one client");
    plainly.show("plain redb, the same rows, one client");
    together.show(&format!("journal, {CLIENTS} clients"));
}

/// The rows of the frames that came after number `seen`.
fn frames_after(data: &Path, seen: &mut u64) -> Vec<Vec<RowOp>> {
    let facts = survey(&RealFs, data, None).expect("a journal");
    let mut frames = Vec::new();
    for log in &facts.logs {
        read_frames(&RealFs, data, log.header.generation, 0..log.last().end, &mut |frame, _| {
            if frame.number > *seen && frame.kind == FrameKind::Rows {
                *seen = frame.number;
                frames.push(decode_ops(&frame.payload)?);
            }
            Ok(ControlFlow::Continue(()))
        })
        .expect("frames");
    }
    frames
}

fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

fn commit_plainly(database: &Database, ops: &[RowOp]) -> Duration {
    let begun = Instant::now();
    let transaction = database.begin_write().expect("a transaction");
    for op in ops {
        let (RowOp::Put { table, key, .. } | RowOp::Delete { table, key }) = op;
        let mut rows = transaction.open_table(definition(*table)).expect("a table");
        match op {
            RowOp::Put { value, .. } => drop(rows.insert(key.as_slice(), value.as_slice()).expect("a row")),
            RowOp::Delete { .. } => drop(rows.remove(key.as_slice()).expect("a row")),
        }
    }
    transaction.commit().expect("a commit");
    begun.elapsed()
}

/// How long a directory takes to open that a killed process left, that is a copy, and that was closed in order.
fn opening(data: &Path, versions: u64) {
    let own = std::env::current_exe().expect("this program");
    let begun = Instant::now();
    let died = Command::new(own).arg(FILL).arg(data).arg(versions.to_string()).status().expect("a child");
    assert!(!died.success(), "it was to die");
    println!("{versions} versions were recorded in {:.1} s", begun.elapsed().as_secs_f64());
    let timed = |what: &str, data: &Path| {
        let begun = Instant::now();
        let store = open(data);
        println!("{what:44} {:9.2} s", begun.elapsed().as_secs_f64());
        store
    };
    drop(timed("open after kill -9", data));
    drop(timed("open after a clean stop", data));
    let copy = data.with_extension("copy");
    let copied = Command::new("cp").arg("-r").arg(data).arg(&copy).status().expect("cp");
    assert!(copied.success());
    drop(timed("open of a copy", &copy));
    std::fs::remove_dir_all(&copy).expect("a copy");
}

/// Records so many versions, then ends like a killed process: nothing is closed.
fn fill_and_die(data: &Path, versions: u64) -> ! {
    let runtime = Runtime::new().expect("a runtime");
    let store = Arc::new(open(data));
    let next = Arc::new(AtomicU64::new(0));
    publish_all(&runtime, &store, &next, 256, move |number| number < versions);
    std::process::abort();
}

/// The longest waits of writers that never rest, beside what the store does besides.
fn stalls(runtime: &Runtime, data: &Path) {
    let store = Arc::new(open(data));
    let next = Arc::new(AtomicU64::new(1 << 40));
    let stop = Arc::new(AtomicBool::new(false));
    let (watching, status) = (Arc::clone(&stop), Arc::clone(&store));
    // Between two of these instants a checkpoint was made.
    let watch = std::thread::spawn(move || {
        let (mut last, mut checkpoints) = (status.journal_status().checkpoint_frame, Vec::new());
        let mut looked = Instant::now();
        while !watching.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
            let frame = status.journal_status().checkpoint_frame;
            if frame != last {
                checkpoints.push((looked, Instant::now()));
                last = frame;
            }
            looked = Instant::now();
        }
        checkpoints
    });
    let until = Instant::now() + WATCHED;
    let begun = Instant::now();
    let took = publish_all(runtime, &store, &next, CLIENTS, move |_| Instant::now() < until);
    let seconds = begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let checkpoints = watch.join().expect("a watcher");
    // A write met a checkpoint if it had not ended when the checkpoint did.
    let met = |(begun, took): &(Instant, Duration)| {
        checkpoints.iter().any(|(_, seen)| *begun < *seen && *begun + *took + Duration::from_millis(10) > *seen)
    };
    let figures = |met: Vec<Duration>| Figures { took: met, seconds };
    let (at_checkpoint, besides): (Vec<_>, Vec<_>) = took.into_iter().partition(met);
    let only = |took: Vec<(Instant, Duration)>| took.into_iter().map(|(_, took)| took).collect();
    figures(only(besides)).show(&format!("{CLIENTS} clients without rest"));
    figures(only(at_checkpoint)).show(&format!("of them beside {} checkpoints", checkpoints.len()));
    let (rotating, done) = (Arc::clone(&store), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&done);
    let begun = Instant::now();
    let rotation = runtime.spawn(async move {
        let facts = rotating.rotate_now().await;
        told.store(true, Ordering::Relaxed);
        facts
    });
    let took = publish_all(runtime, &store, &next, CLIENTS, move |_| !done.load(Ordering::Relaxed));
    let seconds = begun.elapsed().as_secs_f64();
    let facts = runtime.block_on(rotation).expect("a task").expect("a snapshot");
    let mb = facts.length >> 20;
    Figures { took: only(took), seconds }
        .show(&format!("{CLIENTS} clients beside a snapshot ({mb} MiB, {seconds:.1} s)"));
    let begun = Instant::now();
    runtime.block_on(store.rotate_now()).expect("a snapshot");
    println!("{:44} {:9.2} s", "a snapshot on an idle store", begun.elapsed().as_secs_f64());
}

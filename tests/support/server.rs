//! A registry in this process: the real services over a real directory, behind a real socket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use vix_registry::domain::change::Change;
use vix_registry::domain::time::Timestamp;
use vix_registry::http::app::{App, HttpLimits, HttpSettings};
use vix_registry::http::connection::ConnectionLimits;
use vix_registry::http::pipeline;
use vix_registry::http::server::{Listener, serve};
use vix_registry::services::{Policy, Services, Stores};
use vix_registry::storage::blobs::BlobStore;
use vix_registry::storage::fs::RealFs;
use vix_registry::storage::leases::Leases;
use vix_registry::storage::redb::{Options, RedbMetadata};
use vix_registry::storage::{Decided, Metadata as _, Moment, View};

use super::client::{Answer, Ask, Client};
use super::secrecy;

/// How a registry is set up; the default is the contract's.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    pub(crate) policy: Policy,
    pub(crate) settings: HttpSettings,
    pub(crate) limits: HttpLimits,
    pub(crate) connections: ConnectionLimits,
    /// A clock that stands still at this time, instead of the system's.
    pub(crate) time: Option<Timestamp>,
}

/// A running registry; it stops, and its directory goes, when this is dropped.
pub(crate) struct Server {
    setup: Setup,
    running: Option<Running>,
    /// Milliseconds by which its clock is ahead.
    ahead: Arc<AtomicI64>,
    directory: TempDir,
}

struct Running {
    address: SocketAddr,
    app: Arc<App>,
    stores: Stores,
    handle: Handle,
    shutdown: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Server {
    /// An empty registry of the contract's defaults.
    pub(crate) fn start() -> Self {
        Self::with(Setup::default())
    }

    /// An empty registry.
    pub(crate) fn with(setup: Setup) -> Self {
        secrecy::watch_logs();
        let directory = tempfile::tempdir().expect("a directory");
        let ahead = Arc::new(AtomicI64::new(0));
        let mut server = Self { setup, running: None, ahead, directory };
        server.running = Some(server.run());
        server
    }

    /// Stops, drains, and starts again on the same directory.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.running = Some(self.run());
    }

    fn clock(&self) -> impl Fn() -> Timestamp + Send + Sync + 'static {
        let (fixed, ahead) = (self.setup.time, Arc::clone(&self.ahead));
        move || fixed.unwrap_or_else(system_time).plus_ms(ahead.load(Ordering::SeqCst))
    }

    fn run(&self) -> Running {
        let (clock, started) = (self.clock(), Instant::now());
        let options = Options {
            cache_bytes: 4 << 20,
            queue_length: 1024,
            clock: Box::new(move || Moment { now: clock(), tick: started.elapsed().as_secs() }),
            ..Options::default()
        };
        let stores = Stores {
            metadata: Arc::new(RedbMetadata::open(self.data(), options).expect("a store")),
            blobs: BlobStore::open(self.data(), Arc::new(RealFs)).expect("a store"),
            leases: Leases::default(),
            policy: Arc::new(self.setup.policy.clone()),
        };
        let app = App::new(Services::new(&stores), self.setup.settings.clone(), self.setup.limits.clone());
        let app = Arc::new(app.with_clock(Arc::new(self.clock())));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("its address");
        let (shutdown, stopped) = watch::channel(false);
        let (handle, limits, served) = (runtime.handle().clone(), self.setup.connections.clone(), Arc::clone(&app));
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let answering = Arc::clone(&served);
                let service = move |request, info| pipeline::handle(Arc::clone(&answering), request, info);
                serve(vec![Listener::Tcp(listener)], limits, Arc::new(service), stopped).await;
                served.tracker.idle().await;
                served.services.jobs.stop().await;
            });
        });
        Running { address, app, stores, handle, shutdown, thread }
    }

    /// Stops and waits for the end of the drain; the directory is closed then.
    pub(crate) fn stop(&mut self) {
        let Some(Running { app, stores, handle, shutdown, thread, .. }) = self.running.take() else { return };
        app.start_draining();
        shutdown.send_replace(true);
        let ended = thread.join();
        drop((app, stores, handle));
        if !std::thread::panicking() {
            ended.expect("the server ends without a panic");
        }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the server runs")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running().address
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        self.directory.path()
    }

    /// Moves the clock.
    pub(crate) fn advance_ms(&self, ms: i64) {
        self.ahead.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock()()
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Sends one request on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&self, ask: &Ask) -> Answer {
        self.connect().ask(ask)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str, token: &str) -> Answer {
        self.ask(&Ask::get(path).token(token))
    }

    #[track_caller]
    pub(crate) fn put(&self, path: &str, token: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.ask(&Ask::put(path, body).token(token))
    }

    /// All items of a list, page by page; each page but the last is full.
    pub(crate) fn pages(&self, path: &str, token: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut next = path.to_owned();
        let mut client = self.connect();
        loop {
            let answer = client.ask(&Ask::get(&next).token(token)).expect(200);
            let page = answer.json()["meta"]["page"].clone();
            let data = answer.data();
            let data = data.as_array().expect("a list");
            items.extend(data.iter().cloned());
            if page["next_cursor"].is_null() {
                return items;
            }
            assert_eq!(Some(data.len() as u64), page["limit"].as_u64(), "{path}: only the last page is short");
            let link = answer.header("link").strip_prefix('<').and_then(|text| text.split_once(">; rel=\"next\""));
            link.expect("a link to the next page").0.clone_into(&mut next);
        }
    }

    /// Records facts past all rules.
    pub(crate) fn seed(&self, changes: Vec<Change>) {
        let running = self.running();
        let decide = move |_: &View<'_>, _| Ok(Decided { changes: changes.clone(), answer: () });
        running.handle.block_on(running.stores.metadata.change(decide)).expect("a sound change");
    }

    /// All files of the data directory that hold artifacts or pieces of them, sorted.
    pub(crate) fn stored_files(&self) -> Vec<PathBuf> {
        let mut found = files_below(&self.data().join("blobs"));
        found.extend(files_below(&self.data().join("uploads")));
        found
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if !std::thread::panicking() {
            secrecy::check(self.data());
        }
    }
}

/// All files below a directory, sorted.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    Timestamp(i64::try_from(since.as_millis()).expect("a time before the year 292 million"))
}

//! `serve`: listens, opens the directory while it answers that it starts, says so, and drains when it is told to stop.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::args::{Globals, ServeArgs};
use super::exit::{CliError, Exit};
use super::opening::{Opened, Opens};
use super::output::Output;
use super::wire_up::{Registry, connection_limits, http_limits, http_settings};
use super::{first_admin, process, socket};
use crate::config::Config;
use crate::http::server::{self, Listener};
use crate::http::starting::Front;
use crate::services::upkeep;
use crate::storage::directory::{Create, DataDirectory};
use crate::telemetry;

/// How long threads that may block are waited for at the very end.
const THREADS_PATIENCE: Duration = Duration::from_secs(5);

/// Runs the registry until it is told to stop.
///
/// # Errors
/// When it can't start: the configuration, the directory, the port.
pub(super) fn serve(global: &Globals, args: &ServeArgs, output: Output) -> Result<Exit, CliError> {
    let loaded = Config::load(&global.sources(args.to_flags()))?;
    let config = loaded.config;
    let to_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let begun = telemetry::init(config.log.level, config.log.format, to_terminal);
    begun.map_err(|error| CliError::new(Exit::Failed, "internal", error.to_string()))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(file) = &loaded.file {
        tracing::info!(file = %file.display(), "configuration read");
    }
    process::private_files();
    process::raise_open_files();
    let directory = DataDirectory::open(&config.data, Create::Yes)?;
    // Before the data is opened, which may take long: a port that is taken shows at once.
    let listener = bind(config.http.listen)?;
    let run_folder = directory.run_folder()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::io("the runtime could not be started", &error))?;
    let ended = runtime.block_on(run(&config, directory, listener, run_folder, output));
    // What does not leave is left behind: an opening is as safe to cut as by a crash.
    runtime.shutdown_timeout(THREADS_PATIENCE);
    ended
}

fn bind(address: SocketAddr) -> Result<StdListener, CliError> {
    let bound = StdListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| {
        let hint = if error.kind() == std::io::ErrorKind::AddrInUse {
            "stop what listens there, or choose another port with --listen"
        } else if error.kind() == std::io::ErrorKind::PermissionDenied {
            "choose a port from 1024 on with --listen, and a proxy before it"
        } else {
            "choose an address of this machine with --listen"
        };
        CliError::new(Exit::Failed, "listen", format!("can't listen on {address}")).why(error.to_string()).hint(hint)
    })
}

/// What answers from before the data is open until the end.
struct Door {
    front: Arc<Front>,
    stop: Arc<watch::Sender<bool>>,
    serving: JoinHandle<()>,
    run_folder: PathBuf,
}

impl Door {
    /// Listens on the port and on the admin socket.
    fn open(config: &Config, listener: TcpListener, run_folder: PathBuf) -> Result<Self, CliError> {
        let failed = |what: &'static str| move |error: std::io::Error| CliError::io(what, &error);
        let admin = socket::listen(&run_folder).map_err(failed("the admin socket could not be made"))?;
        let front = Arc::new(Front::new(http_settings(config), http_limits(config)));
        let stop = Arc::new(watch::Sender::new(false));
        watch_signals(&front, &stop).map_err(failed("signals can't be watched"))?;
        let service = {
            let front = Arc::clone(&front);
            Arc::new(move |request, info| Arc::clone(&front).handle(request, info))
        };
        let listeners = vec![Listener::Tcp(listener), Listener::Unix(admin)];
        let serving = tokio::spawn(server::serve(listeners, connection_limits(config), service, stop.subscribe()));
        Ok(Self { front, stop, serving, run_folder })
    }

    /// Waits until the last connection is closed, which takes the shutdown.
    async fn closed(self) -> Result<(), CliError> {
        let ended = self.serving.await;
        socket::remove(&self.run_folder);
        ended.map_err(|error| CliError::new(Exit::Failed, "internal", "the server broke").why(error.to_string()))
    }
}

async fn run(
    config: &Config,
    directory: DataDirectory,
    listener: StdListener,
    run_folder: PathBuf,
    output: Output,
) -> Result<Exit, CliError> {
    let failed = |what: &'static str| move |error: std::io::Error| CliError::io(what, &error);
    if directory.is_new() && config.admin_token_file.is_none() {
        first_admin::mark_new(&directory)?;
    }
    let listener = TcpListener::from_std(listener).map_err(failed("the listener could not be set up"))?;
    let address = listener.local_addr().map_err(failed("the listener has no address"))?;
    let door = Door::open(config, listener, run_folder)?;
    let mut line = Some(format!("listening on http://{address}"));
    let mut announce = || line.take().map_or(Ok(()), |line| output.line(&line));
    let shutdown = door.stop.subscribe();
    let opens = Opens::begin(config, directory, &door.front, &shutdown);
    let registry = match prepared(config, opens.end(&mut announce).await).await {
        Ok(Some(registry)) => registry,
        ended @ (Ok(None) | Err(_)) => {
            door.stop.send_replace(true);
            door.closed().await?;
            return ended.map(|_stopped| Exit::Ok);
        }
    };
    let upkeep = spawn_upkeep(&registry, shutdown.clone());
    let initial = first_admin::watch(&registry, shutdown.clone());
    door.front.open(Arc::clone(&registry.app));
    if *shutdown.borrow() {
        registry.app.start_draining();
    }
    announce()?;
    tracing::info!(%address, data = %registry.directory.path().display(), "listening");
    notify(&[NotifyState::Ready]);
    door.closed().await?;
    for task in [upkeep, initial] {
        if let Err(error) = task.await {
            tracing::error!(%error, "a task of the server panicked");
        }
    }
    registry.close().await;
    tracing::info!("stopped");
    Ok(Exit::Ok)
}

/// What is done between opening and serving; none when the process is to stop.
async fn prepared(config: &Config, opened: Result<Opened, CliError>) -> Result<Option<Registry>, CliError> {
    match opened? {
        Opened::Stopped => {
            tracing::info!("stopped before the data was open");
            Ok(None)
        }
        Opened::Registry(mut registry) => {
            registry.mark_missing().await;
            upkeep::prepare(&registry.app.services).await?;
            first_admin::prepare(config.admin_token_file.as_deref(), &registry).await?;
            Ok(Some(*registry))
        }
    }
}

/// Watches for SIGTERM and SIGINT: the first one drains, the second one ends the process at once.
fn watch_signals(front: &Arc<Front>, stop: &Arc<watch::Sender<bool>>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (front, stop) = (Arc::downgrade(front), Arc::clone(stop));
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => Exit::Terminated,
                _ = interrupt.recv() => Exit::Interrupted,
            }
        };
        next().await;
        tracing::info!("stopping: open requests are finished, a second signal ends them");
        if let Some(app) = front.upgrade().as_ref().and_then(|front| front.app()) {
            app.start_draining();
        }
        notify(&[NotifyState::Stopping]);
        stop.send_replace(true);
        let exit = next().await;
        end_at_once(exit);
    });
    Ok(())
}

#[expect(clippy::exit, reason = "a second signal asks for exactly this; what was acknowledged is durable")]
fn end_at_once(exit: Exit) -> ! {
    std::process::exit(i32::from(exit.code()))
}

/// What the server does by itself, until the shutdown.
fn spawn_upkeep(registry: &Registry, shutdown: watch::Receiver<bool>) -> JoinHandle<()> {
    let (app, policy) = (Arc::clone(&registry.app), Arc::clone(&registry.policy));
    tokio::spawn(async move { upkeep::run(&app.services, &policy, shutdown).await })
}

/// Tells the service manager, if there is one.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

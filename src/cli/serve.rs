//! `serve`: opens the directory, listens, says so, and drains when it is told to stop.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::args::{Globals, ServeArgs};
use super::exit::{CliError, Exit};
use super::output::Output;
use super::wire_up::{Registry, connection_limits};
use super::{first_admin, process, socket};
use crate::config::Config;
use crate::http::app::App;
use crate::http::pipeline;
use crate::http::server::{self, Listener};
use crate::services::upkeep;
use crate::storage::directory::{Create, DataDirectory};
use crate::telemetry;

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
    runtime.block_on(run(&config, directory, listener, run_folder, output))
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
    let registry = Registry::open(config, directory)?;
    upkeep::prepare(&registry.app.services).await?;
    first_admin::prepare(config.admin_token_file.as_deref(), &registry).await?;
    let listener = TcpListener::from_std(listener).map_err(failed("the listener could not be set up"))?;
    let address = listener.local_addr().map_err(failed("the listener has no address"))?;
    let admin = socket::listen(&run_folder).map_err(failed("the admin socket could not be made"))?;
    let shutdown = watch_signals(&registry.app).map_err(failed("signals can't be watched"))?;
    let upkeep = spawn_upkeep(&registry, shutdown.clone());
    let initial = first_admin::watch(&registry, shutdown.clone());
    let app = Arc::clone(&registry.app);
    let service = Arc::new(move |request, info| pipeline::handle(Arc::clone(&app), request, info));
    let listeners = vec![Listener::Tcp(listener), Listener::Unix(admin)];
    let serving = tokio::spawn(server::serve(listeners, connection_limits(config), service, shutdown));
    output.line(&format!("listening on http://{address}"))?;
    tracing::info!(%address, data = %registry.directory.path().display(), "listening");
    notify(&[NotifyState::Ready]);
    serving
        .await
        .map_err(|error| CliError::new(Exit::Failed, "internal", "the server broke").why(error.to_string()))?;
    for task in [upkeep, initial] {
        if let Err(error) = task.await {
            tracing::error!(%error, "a task of the server panicked");
        }
    }
    socket::remove(&run_folder);
    registry.close().await;
    tracing::info!("stopped");
    Ok(Exit::Ok)
}

/// Watches for SIGTERM and SIGINT: the first one drains, the second one ends the process at once.
fn watch_signals(app: &Arc<App>) -> std::io::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, shutdown) = watch::channel(false);
    let app = Arc::downgrade(app);
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => Exit::Terminated,
                _ = interrupt.recv() => Exit::Interrupted,
            }
        };
        next().await;
        tracing::info!("stopping: open requests are finished, a second signal ends them");
        if let Some(app) = app.upgrade() {
            app.start_draining();
        }
        notify(&[NotifyState::Stopping]);
        stop.send_replace(true);
        let exit = next().await;
        end_at_once(exit);
    });
    Ok(shutdown)
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
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

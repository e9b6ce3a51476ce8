//! Opens the data while the server answers already: on a thread of its own, telling how far it is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use super::exit::{CliError, Exit};
use super::serve::notify;
use super::wire_up::Registry;
use crate::config::Config;
use crate::http::starting::Front;
use crate::storage::directory::DataDirectory;
use crate::storage::open::Opening;
use crate::storage::progress::Cancelled;
use sd_notify::NotifyState;

/// Most openings are over by then: the line on stdout waits for them, so that whoever waits for it finds a registry.
const USUAL: Duration = Duration::from_secs(2);
/// How often an opening that takes long is told in the log.
const TOLD_EVERY: Duration = Duration::from_secs(3);
/// How much longer the service manager is asked to wait, each time that there was progress.
const EXTENDED_US: u32 = 60_000_000;
/// How long an opening that was told to stop may take to leave; then the process ends without it, as a crash would.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);

/// Takes note of an opening for `/readyz` and the log, and hands on that the process is to stop.
struct Watcher {
    front: Arc<Front>,
    shutdown: watch::Receiver<bool>,
    told: Mutex<Instant>,
}

impl Watcher {
    fn advance(&self, at: Opening) -> Result<(), Cancelled> {
        let text = at.to_string();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= TOLD_EVERY {
            *told = Instant::now();
            tracing::info!(at = %text, "the data is being opened");
            notify(&[NotifyState::ExtendTimeoutUsec(EXTENDED_US), NotifyState::Status(&text)]);
        }
        drop(told);
        self.front.tell(text);
        if *self.shutdown.borrow() { Err(Cancelled) } else { Ok(()) }
    }
}

/// An opening under way.
pub(super) struct Opens {
    thread: JoinHandle<Result<Registry, CliError>>,
    shutdown: watch::Receiver<bool>,
}

/// How an opening went.
pub(super) enum Opened {
    /// It is open.
    Registry(Box<Registry>),
    /// The process was told to stop before.
    Stopped,
}

impl Opens {
    /// Begins to open.
    pub(super) fn begin(
        config: &Config,
        directory: DataDirectory,
        front: &Arc<Front>,
        shutdown: &watch::Receiver<bool>,
    ) -> Self {
        let watcher =
            Watcher { front: Arc::clone(front), shutdown: shutdown.clone(), told: Mutex::new(Instant::now()) };
        let config = config.clone();
        let open = move || Registry::open(&config, directory, &|at| watcher.advance(at));
        Self { thread: tokio::task::spawn_blocking(open), shutdown: shutdown.clone() }
    }

    /// Waits for the end. Calls `is_slow` once if that takes longer than most openings do.
    ///
    /// # Errors
    /// Why the data can't be opened, and what `is_slow` fails with.
    pub(super) async fn end(mut self, is_slow: impl FnOnce() -> Result<(), CliError>) -> Result<Opened, CliError> {
        let (mut is_slow, mut shutdown) = (Some(is_slow), self.shutdown.clone());
        let slow = tokio::time::sleep(USUAL);
        tokio::pin!(slow);
        loop {
            tokio::select! {
                opened = &mut self.thread => return self.ended(opened),
                () = &mut slow, if is_slow.is_some() => is_slow.take().map_or(Ok(()), |is_slow| is_slow())?,
                _ = shutdown.wait_for(|stop| *stop) => break,
            }
        }
        if let Ok(Ok(Ok(registry))) = tokio::time::timeout(LEAVE_PATIENCE, &mut self.thread).await {
            registry.close().await;
        }
        Ok(Opened::Stopped)
    }

    fn ended(&self, opened: Result<Result<Registry, CliError>, JoinError>) -> Result<Opened, CliError> {
        match opened {
            Ok(Ok(registry)) => Ok(Opened::Registry(Box::new(registry))),
            Ok(Err(_cancelled)) if *self.shutdown.borrow() => Ok(Opened::Stopped),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(CliError::new(Exit::Failed, "internal", "opening the data broke").why(error.to_string())),
        }
    }
}

//! The listening side: accepts up to the cap, and drains when told to stop.
//!
//! Owns the set of running connections: [`serve`] returns when none is left. Never looks into one: that is
//! [`connection`](super::connection)'s.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::{Request, Response};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::body::{RequestBody, ResponseBody};
use super::connection::{self, ConnectionInfo, ConnectionLimits, Peer, Stage};
use super::socket::Socket;

/// How long nothing is accepted after accepting failed, for lack of file descriptors as a rule.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// Where connections come in.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A socket in the file system, for the user who runs the server and for root.
    Unix(UnixListener),
}

/// Accepts connections and answers their requests with `service`, until `shutdown` turns true (or its sender is gone)
/// and all of them are closed.
///
/// A shutdown accepts nothing more, closes idle connections at once and gives running requests
/// [`ConnectionLimits::shutdown_timeout_ms`]; what still runs then is cut off by a reset, never by a short answer.
/// A service call whose connection ends is dropped where it waits: what must not stop there runs in a task of its own.
pub async fn serve<S, F>(
    listeners: Vec<Listener>,
    limits: ConnectionLimits,
    service: Arc<S>,
    mut shutdown: watch::Receiver<bool>,
) where
    S: Fn(Request<RequestBody>, ConnectionInfo) -> F + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let limits = Arc::new(limits);
    let (stage, _) = watch::channel(Stage::Serving);
    let mut connections = JoinSet::new();
    let mut acceptor = Acceptor { listeners, turn: 0, retry_at: None };
    let mut full = false;
    let mut id = 0;
    loop {
        let has_room = connections.len() < limits.connections_max;
        if !has_room && !full {
            tracing::warn!(limit = limits.connections_max, "the most connections are open: none is accepted for now");
        }
        // One line for an episode, not for every connection that takes the place of another.
        full = !has_room || full && connections.len() > limits.connections_max / 10 * 9;
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => break,
            Some(ended) = connections.join_next() => connection::note_task_end(ended),
            (socket, peer) = acceptor.accept(), if has_room => {
                id += 1;
                let info = ConnectionInfo { peer, id };
                let (limits, service) = (Arc::clone(&limits), Arc::clone(&service));
                connections.spawn(connection::serve_connection(socket, info, limits, service, stage.subscribe()));
            }
        }
    }
    drop(acceptor);
    drain(connections, &stage, Duration::from_millis(limits.shutdown_timeout_ms)).await;
}

/// Lets what runs finish within `patience`, then cuts it off.
async fn drain(mut connections: JoinSet<()>, stage: &watch::Sender<Stage>, patience: Duration) {
    stage.send_replace(Stage::Draining);
    if tokio::time::timeout(patience, join_all(&mut connections)).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests still run at the end of the drain: they are cut off");
        stage.send_replace(Stage::Aborting);
        join_all(&mut connections).await;
    }
}

async fn join_all(connections: &mut JoinSet<()>) {
    while let Some(ended) = connections.join_next().await {
        connection::note_task_end(ended);
    }
}

/// Takes connections from all listeners in turn.
struct Acceptor {
    listeners: Vec<Listener>,
    turn: usize,
    /// Set while accepting fails.
    retry_at: Option<Instant>,
}

impl Acceptor {
    /// Waits for a connection that may be served. Errors are waited out: dropping and calling again loses nothing.
    async fn accept(&mut self) -> (Socket, Peer) {
        loop {
            if let Some(at) = self.retry_at {
                tokio::time::sleep_until(at).await;
            }
            match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok(accepted) => {
                    self.retry_at = None;
                    if let Some(admitted) = admit(accepted) {
                        return admitted;
                    }
                }
                // The client hung up before it was its turn.
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    if self.retry_at.is_none() {
                        tracing::error!(%error, "connections can't be accepted: trying again until it works");
                    }
                    self.retry_at = Some(Instant::now() + ACCEPT_RETRY);
                }
            }
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        for _ in 0..self.listeners.len() {
            self.turn = (self.turn + 1) % self.listeners.len();
            let accepted = match &self.listeners[self.turn] {
                Listener::Tcp(listener) => {
                    listener.poll_accept(cx).map_ok(|(stream, peer)| Accepted::Tcp(stream, peer))
                }
                Listener::Unix(listener) => listener.poll_accept(cx).map_ok(|(stream, _)| Accepted::Unix(stream)),
            };
            if accepted.is_ready() {
                return accepted;
            }
        }
        Poll::Pending
    }
}

enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// Finds out who connected; `None` for those whom this server does not talk to.
fn admit(accepted: Accepted) -> Option<(Socket, Peer)> {
    match accepted {
        Accepted::Tcp(stream, address) => {
            // Answers are written whole: waiting for more to send would only delay them.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection closed before it was set up");
            }
            Some((Socket::Tcp(stream), Peer::Tcp(address)))
        }
        Accepted::Unix(stream) => {
            let uid = stream.peer_cred().ok()?.uid();
            if may_connect(uid, rustix::process::geteuid().as_raw()) {
                return Some((Socket::Unix(stream), Peer::Unix { uid }));
            }
            tracing::warn!(uid, "a user who is neither the server's nor root was turned away from its local socket");
            None
        }
    }
}

/// The local socket is for the user who runs the server, and for root.
fn may_connect(uid: u32, server_uid: u32) -> bool {
    uid == server_uid || uid == 0
}

/// Errors that accepting passes on from a client that hung up, or from the network on its side (accept(2), "Error
/// handling"); any other is ours.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | Interrupted | NetworkDown | NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_user_and_root_may_use_the_local_socket() {
        assert!(may_connect(1000, 1000));
        assert!(may_connect(0, 1000));
        assert!(!may_connect(1001, 1000));
        assert!(!may_connect(1000, 0));
    }

    #[test]
    fn lack_of_descriptors_is_ours_to_wait_out() {
        assert!(is_of_the_client(&io::Error::from(io::ErrorKind::ConnectionAborted)));
        assert!(!is_of_the_client(&io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error())));
    }
}

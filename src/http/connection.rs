//! One connection: its limits, who is at the other end, and its life from accept to close.
//!
//! Owns hyper's settings and the deadlines that hyper lacks. Never reads HTTP beyond what hyper gives it. The state that
//! the deadlines follow from is in [`activity`](super::activity), the socket in [`socket`](super::socket).

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::watch;
use tokio::task::coop::unconstrained;
use tokio::task::{JoinError, JoinSet};

use super::activity::{Activity, Exchange, Expiry};
use super::body::{RequestBody, ResponseBody, TrackedBody};
use super::socket::{GuardedSocket, Socket};

/// Flow control over HTTP/2: what a client may send of one body, and of all on its connection, before we read it.
const HTTP2_STREAM_WINDOW_BYTES: u32 = 256 << 10;
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// What hyper buffers of one answer over HTTP/2.
const HTTP2_SEND_BUFFER_BYTES: usize = 128 << 10;

/// Bounds of a connection; the defaults are the contract's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections open at once; beyond it none is accepted until one closes.
    pub connections_max: usize,
    /// From accepting a connection to its first byte.
    pub first_byte_timeout_ms: u64,
    /// From the first byte of a request's head to its last.
    pub header_timeout_ms: u64,
    /// From an answer to the next request's first byte; over HTTP/2, without any stream.
    pub idle_timeout_ms: u64,
    /// The least rate of a request body.
    pub body_rate_bytes_per_s_min: u64,
    /// What that rate is averaged over, in time spent waiting for the client.
    pub body_rate_window_ms: u64,
    /// How long a client may read nothing of an answer.
    pub write_stall_timeout_ms: u64,
    /// How much of an unread body is thrown away after an early answer.
    pub linger_bytes_max: u64,
    /// For how long that goes on.
    pub linger_ms: u64,
    /// Bytes of a request's head that are kept while its end has not come. More than the pipeline's limit, so that the
    /// pipeline can refuse with a proper 431.
    pub header_buffer_bytes: usize,
    /// Fields of a request's head that are parsed; also above the pipeline's limit.
    pub header_count_max: usize,
    /// The largest buffer for reading a body over HTTP/1; grows to it only with fast clients.
    pub read_buffer_bytes_max: usize,
    /// Streams at once on an HTTP/2 connection.
    pub http2_streams_max: u32,
    /// A request's head over HTTP/2, decoded.
    pub http2_header_list_bytes_max: u32,
    /// How long running requests may take once the server shuts down.
    pub shutdown_timeout_ms: u64,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            first_byte_timeout_ms: 10_000,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            body_rate_bytes_per_s_min: 1024,
            body_rate_window_ms: 30_000,
            write_stall_timeout_ms: 60_000,
            linger_bytes_max: 64 << 20,
            linger_ms: 10_000,
            header_buffer_bytes: 64 << 10,
            header_count_max: 128,
            read_buffer_bytes_max: 400 << 10,
            http2_streams_max: 64,
            http2_header_list_bytes_max: 16 << 10,
            shutdown_timeout_ms: 30_000,
        }
    }
}

impl ConnectionLimits {
    /// The shortest wait after which a connection could have to be closed.
    pub(super) fn shortest_timeout(&self) -> Duration {
        let shortest = self
            .first_byte_timeout_ms
            .min(self.header_timeout_ms)
            .min(self.idle_timeout_ms)
            .min(self.write_stall_timeout_ms)
            .min(self.linger_ms);
        Duration::from_millis(shortest.max(1))
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP client, by its address; a proxy's when one stands between.
    Tcp(SocketAddr),
    /// A process on this machine, by its user.
    Unix {
        /// The user id that the kernel vouches for.
        uid: u32,
    },
    /// This process itself.
    InProcess,
}

/// What a request's handler may know of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Who is at the other end.
    pub peer: Peer,
    /// The connection's number, counted from 1 since the server started; 0 inside the process.
    pub id: u64,
}

/// How far the server is on its way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Serving,
    /// Finish what runs, take nothing new.
    Draining,
    /// Cut off what still runs.
    Aborting,
}

/// Serves one connection until it is closed; afterwards nothing of it runs any more.
pub(super) async fn serve_connection<S, F>(
    socket: Socket,
    info: ConnectionInfo,
    limits: Arc<ConnectionLimits>,
    service: Arc<S>,
    mut stage: watch::Receiver<Stage>,
) where
    S: Fn(Request<RequestBody>, ConnectionInfo) -> F + Send + Sync + 'static,
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let activity = Arc::new(Activity::new(info.id));
    let streams = StreamTasks::default();
    {
        let io = TokioIo::new(GuardedSocket::new(socket, Arc::clone(&activity), &limits));
        let handler = service_fn(|request: Request<Incoming>| {
            let exchange = activity.begin(!request.body().is_end_stream());
            let request = request.map(|body| RequestBody::from_wire(body, exchange.is_http2(), &limits, &activity));
            answer(service(request, info), exchange)
        });
        let builder = hyper_settings(&limits, streams.clone());
        let mut connection = pin!(builder.serve_connection(io, handler));
        let mut timer = pin!(tokio::time::sleep(limits.shortest_timeout()));
        loop {
            // Unconstrained, because a client that sends without pause uses up the budget that tokio gives a task for
            // each of its turns, and what shares that budget would never fire.
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        note_end(info.id, error.as_ref());
                    }
                    break;
                }
                expiry = unconstrained(poll_fn(|cx| activity.poll_expiry(cx, &limits, timer.as_mut()))) => {
                    tracing::debug!(connection = info.id, ?expiry, "a connection's time is up");
                    match expiry {
                        Expiry::Close | Expiry::Reset => break,
                        Expiry::GoAway => {
                            connection.as_mut().graceful_shutdown();
                            activity.going_away();
                        }
                    }
                }
                changed = unconstrained(stage.changed()) => {
                    if changed.is_err() || *stage.borrow_and_update() == Stage::Aborting {
                        break;
                    }
                    connection.as_mut().graceful_shutdown();
                    activity.going_away();
                }
            }
        }
    }
    streams.stop().await;
}

/// Runs the service and ties its answer to the exchange.
async fn answer<F>(answer: F, mut exchange: Exchange) -> Result<Response<TrackedBody>, Infallible>
where
    F: Future<Output = Response<ResponseBody>>,
{
    let mut response = answer.await;
    // hyper finds out too late to say so itself that it will not read the rest.
    if exchange.request_body_unread() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    exchange.owes(false);
    Ok(response.map(|body| TrackedBody::new(body, exchange)))
}

fn hyper_settings(limits: &ConnectionLimits, streams: StreamTasks) -> auto::Builder<StreamTasks> {
    let mut builder = auto::Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        // Runs on idle connections too; ours tell the two apart.
        .header_read_timeout(None)
        // A client that ends its half after its request gets its answer. It also keeps hyper from reading ahead while
        // a request is being answered, so that the next head's clock starts when we read it.
        .half_close(true)
        .max_headers(limits.header_count_max)
        .max_buf_size(limits.read_buffer_bytes_max)
        // On, it would copy every body into the head's buffer.
        .pipeline_flush(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams_max)
        .max_header_list_size(limits.http2_header_list_bytes_max)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(HTTP2_SEND_BUFFER_BYTES);
    builder
}

/// The client's doing, as a rule: told to those who look for it, with its causes.
fn note_end(id: u64, error: &(dyn Error + 'static)) {
    let mut causes = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        causes = format!("{causes}: {cause}");
        source = cause.source();
    }
    tracing::debug!(connection = id, error = causes, "a connection ended early");
}

/// Logs what a task ended with, if that was a panic.
pub(super) fn note_task_end(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// Where hyper runs the streams of an HTTP/2 connection: none outlives it.
#[derive(Clone, Default)]
struct StreamTasks(Arc<Mutex<JoinSet<()>>>);

impl StreamTasks {
    async fn stop(self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.abort_all();
        while let Some(ended) = tasks.join_next().await {
            note_task_end(ended);
        }
    }
}

impl<F> hyper::rt::Executor<F> for StreamTasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = tasks.try_join_next() {
            note_task_end(ended);
        }
        tasks.spawn(stream);
    }
}

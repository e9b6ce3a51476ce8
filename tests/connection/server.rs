//! The server under test, and the service that it runs.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use vix_registry::http::body::{BodyError, RequestBody, ResponseBody, full};
use vix_registry::http::connection::{ConnectionInfo, ConnectionLimits, Peer};
use vix_registry::http::server::{Listener, serve};

/// No test waits longer than this for the server to act.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// More than the kernel buffers between two sockets.
pub(crate) const BIG: usize = 32 << 20;

/// What the service saw.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Started(Peer),
    Body(Result<u64, BodyError>),
}

/// What the service shares with its test.
pub(crate) struct Shared {
    pub(crate) calls: AtomicUsize,
    pub(crate) go: Notify,
    seen: mpsc::UnboundedSender<Seen>,
}

impl Shared {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    pub(crate) seen: mpsc::UnboundedReceiver<Seen>,
    pub(crate) shutdown: watch::Sender<bool>,
    pub(crate) served: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(limits: ConnectionLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        Self::start_on(Listener::Tcp(listener), address, limits)
    }

    pub(crate) fn start_on(listener: Listener, address: SocketAddr, limits: ConnectionLimits) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { calls: AtomicUsize::new(0), go: Notify::new(), seen: sender });
        let for_service = Arc::clone(&shared);
        let service = Arc::new(move |request, info| answer(Arc::clone(&for_service), request, info));
        let (shutdown, stopped) = watch::channel(false);
        let served = tokio::spawn(serve(vec![listener], limits, service, stopped));
        Self { address, shared, seen, shutdown, served }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.expect("the server accepts"))
    }

    pub(crate) async fn next_seen(&mut self) -> Seen {
        tokio::time::timeout(PATIENCE, self.seen.recv()).await.expect("the service sees it").expect("the server runs")
    }

    /// Shuts down and waits for the end of it.
    pub(crate) async fn stop(self) {
        self.shutdown.send_replace(true);
        tokio::time::timeout(PATIENCE, self.served).await.expect("the drain ends").expect("no panic");
    }
}

async fn answer(shared: Arc<Shared>, request: Request<RequestBody>, info: ConnectionInfo) -> Response<ResponseBody> {
    shared.calls.fetch_add(1, Ordering::SeqCst);
    let path = request.uri().path().to_owned();
    let mut body = request.into_body();
    let (status, reply) = match path.as_str() {
        "/ok" => (StatusCode::OK, full("ok")),
        "/early" => (StatusCode::PAYLOAD_TOO_LARGE, full("too large")),
        "/big" => (StatusCode::OK, full(vec![0; BIG])),
        "/big/chunked" => (StatusCode::OK, endless()),
        "/broken/known" => (StatusCode::OK, Broken::after("half", Some(8))),
        "/broken/unknown" => (StatusCode::OK, Broken::after("half", None)),
        "/wait" => {
            shared.seen.send(Seen::Started(info.peer)).expect("the test runs");
            shared.go.notified().await;
            (StatusCode::OK, full("waited"))
        }
        "/read" | "/read/4" => {
            if path == "/read/4" {
                body.set_limit(4);
            }
            let read = read(&mut body).await;
            let reply = read.as_ref().map_or_else(ToString::to_string, |bytes| format!("{bytes} bytes"));
            let status = if read.is_ok() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
            shared.seen.send(Seen::Body(read)).expect("the test runs");
            (status, full(reply))
        }
        other => (StatusCode::NOT_FOUND, full(other.to_owned())),
    };
    let mut response = Response::new(reply);
    *response.status_mut() = status;
    response
}

async fn read(body: &mut RequestBody) -> Result<u64, BodyError> {
    while body.next_chunk().await?.is_some() {}
    Ok(body.received())
}

/// A body that goes on for as long as somebody reads.
fn endless() -> ResponseBody {
    struct Endless;
    impl Body for Endless {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 1 << 14])))))
        }
    }
    Endless.boxed_unsync()
}

/// A response body that fails after its first bytes.
struct Broken {
    first: Option<Bytes>,
    announced: Option<u64>,
}

impl Broken {
    fn after(first: &'static str, announced: Option<u64>) -> ResponseBody {
        Self { first: Some(Bytes::from_static(first.as_bytes())), announced }.boxed_unsync()
    }
}

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(self.first.take().map(Frame::data).ok_or_else(|| io::Error::other("the disk is gone"))))
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A client that says exactly what it is told to.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("the server takes it");
    }

    /// Reads until the server closes; an error (a reset) is given beside what came before it.
    pub(crate) async fn read_to_close(&mut self) -> (String, io::Result<()>) {
        let mut bytes = Vec::new();
        let end = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await.expect("the server closes");
        (String::from_utf8_lossy(&bytes).into_owned(), end.map(drop))
    }

    /// Reads up to and including `end`.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end.as_bytes()) {
            let read = tokio::time::timeout(PATIENCE, self.0.read_u8()).await.expect("the server answers");
            bytes.push(read.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&bytes))));
        }
        String::from_utf8(bytes).expect("text")
    }
}

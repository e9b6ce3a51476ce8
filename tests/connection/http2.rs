//! HTTP/2 with prior knowledge, with hyper's client.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use vix_registry::http::connection::ConnectionLimits;

use crate::server::{PATIENCE, Seen, Server};

/// A client and the task that runs its connection to its end.
async fn connect(server: &Server) -> (SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(server.address).await.expect("the server accepts");
    let (requests, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("the server speaks HTTP/2");
    (requests, tokio::spawn(connection))
}

fn request(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::put(format!("http://x{path}")).body(Full::new(body.into())).expect("a request")
}

async fn text(response: hyper::Response<hyper::body::Incoming>) -> hyper::Result<String> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test]
async fn requests_are_answered() {
    let mut server = Server::start(ConnectionLimits::default()).await;
    let (mut client, _running) = connect(&server).await;
    let response = client.send_request(request("/read", vec![0; 3 << 20])).await.expect("an answer");
    assert_eq!(text(response).await.expect("whole"), "3145728 bytes");
    assert_eq!(server.next_seen().await, Seen::Body(Ok(3 << 20)));
    let early = client.send_request(request("/early", vec![0; 3 << 20])).await.expect("an answer");
    assert_eq!(text(early).await.expect("whole"), "too large");
    server.stop().await;
}

#[tokio::test]
async fn a_response_body_that_fails_resets_its_stream_alone() {
    let server = Server::start(ConnectionLimits::default()).await;
    let (mut client, _running) = connect(&server).await;
    for path in ["/broken/known", "/broken/unknown"] {
        // The reset may overtake the head.
        if let Ok(response) = client.send_request(request(path, "")).await {
            text(response).await.expect_err("a body that broke off");
        }
    }
    let response = client.send_request(request("/ok", "")).await.expect("an answer");
    assert_eq!(text(response).await.expect("whole"), "ok");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_without_streams_is_closed_when_idle_and_one_with_a_stream_is_not() {
    let limits = ConnectionLimits { header_timeout_ms: 50, idle_timeout_ms: 200, ..ConnectionLimits::default() };
    let mut server = Server::start(limits).await;
    let (mut client, running) = connect(&server).await;
    let waiting = tokio::spawn(client.send_request(request("/wait", "")));
    assert!(matches!(server.next_seen().await, Seen::Started(_)));
    let mut running = running;
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut running).await.is_err(), "a stream is open");
    server.shared.go.notify_one();
    let response = waiting.await.expect("no panic").expect("an answer");
    assert_eq!(text(response).await.expect("whole"), "waited");
    let ended = tokio::time::timeout(PATIENCE, running).await.expect("the server closes").expect("no panic");
    ended.expect("told to go away, not cut");
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_cut() {
    let short = ConnectionLimits {
        write_stall_timeout_ms: 200,
        idle_timeout_ms: 200,
        header_timeout_ms: 100,
        ..ConnectionLimits::default()
    };
    for path in ["/big", "/big/chunked"] {
        let server = Server::start(short.clone()).await;
        let (mut client, running) = connect(&server).await;
        let response = client.send_request(request(path, "")).await.expect("a head");
        // Held, not read: its window fills, and the server waits in vain for a larger one.
        let ended = tokio::time::timeout(PATIENCE, running).await.expect("the server cuts it");
        drop(ended.expect("no panic"));
        text(response).await.expect_err("not whole");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_drain_finishes_running_streams() {
    let mut server = Server::start(ConnectionLimits::default()).await;
    let (mut client, running) = connect(&server).await;
    let waiting = tokio::spawn(client.send_request(request("/wait", "")));
    assert!(matches!(server.next_seen().await, Seen::Started(_)));
    server.shutdown.send_replace(true);
    server.shared.go.notify_one();
    let response = waiting.await.expect("no panic").expect("an answer");
    assert_eq!(text(response).await.expect("whole"), "waited");
    running.await.expect("no panic").expect("told to go away, not cut");
    server.stop().await;
}

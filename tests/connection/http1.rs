//! HTTP/1.1, byte by byte.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use vix_registry::http::body::BodyError;
use vix_registry::http::connection::{ConnectionLimits, Peer};
use vix_registry::http::server::Listener;

use crate::server::{BIG, PATIENCE, Seen, Server};

const GET_OK: &str = "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n";

/// Deadlines that a test waits for are short, all others long.
fn patient() -> ConnectionLimits {
    ConnectionLimits::default()
}

#[tokio::test]
async fn a_connection_that_sends_nothing_is_closed() {
    let server = Server::start(ConnectionLimits { first_byte_timeout_ms: 100, ..patient() }).await;
    let started = Instant::now();
    let (text, end) = server.connect().await.read_to_close().await;
    assert_eq!(text, "");
    end.expect("closed, not reset");
    assert!(started.elapsed() >= Duration::from_millis(100), "not before its time");
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_does_not_end_is_closed_however_steadily_it_drips() {
    let server = Server::start(ConnectionLimits { header_timeout_ms: 300, ..patient() }).await;
    let client = server.connect().await;
    let (mut reads, mut writes) = client.0.into_split();
    let drip = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while writes.write_all(b"G").await.is_ok() {
            ticks.tick().await;
        }
    });
    let mut got = Vec::new();
    // How it ends is a race: dripping on after the close is answered by a reset.
    drop(tokio::time::timeout(PATIENCE, reads.read_to_end(&mut got)).await.expect("the server closes"));
    assert_eq!(got, b"");
    drip.await.expect("the client sees it");
    assert_eq!(server.shared.calls(), 0);
    server.stop().await;
}

#[tokio::test]
async fn the_next_head_on_a_connection_has_the_header_timeout_too() {
    let limits = ConnectionLimits { header_timeout_ms: 100, ..patient() };
    let server = Server::start(limits).await;
    let mut client = server.connect().await;
    client.send(GET_OK).await;
    client.read_until("\r\n\r\nok").await;
    client.send("GET /ok HT").await;
    assert_eq!(client.read_to_close().await.0, "");
    assert_eq!(server.shared.calls(), 1);
    server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout_but_not_the_idle_timeout() {
    let limits = ConnectionLimits { header_timeout_ms: 50, idle_timeout_ms: 600, ..patient() };
    let server = Server::start(limits).await;
    let mut client = server.connect().await;
    for _ in 0..2 {
        client.send(GET_OK).await;
        client.read_until("\r\n\r\nok").await;
        let closed = tokio::time::timeout(Duration::from_millis(250), client.0.read_u8()).await;
        assert!(closed.is_err(), "open after several header timeouts: {closed:?}");
    }
    let (text, end) = client.read_to_close().await;
    assert_eq!(text, "");
    end.expect("closed, not reset");
    server.stop().await;
}

#[tokio::test]
async fn a_body_slower_than_the_least_rate_is_too_slow() {
    let limits = ConnectionLimits { body_rate_window_ms: 200, ..patient() };
    let mut server = Server::start(limits).await;
    let mut client = server.connect().await;
    client.send("PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsome").await;
    let slow = BodyError::TooSlow { bytes_per_s_min: 1024, window_ms: 200 };
    assert_eq!(server.next_seen().await, Seen::Body(Err(slow)));
    let (text, _) = client.read_to_close().await;
    assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("connection: close\r\n"), "{text}");
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_body_at_the_least_rate_is_read_however_long_it_takes() {
    let limits = ConnectionLimits { body_rate_window_ms: 200, header_timeout_ms: 50, idle_timeout_ms: 50, ..patient() };
    let mut server = Server::start(limits).await;
    let mut client = server.connect().await;
    client.send("PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: 6000\r\n\r\n").await;
    let mut ticks = tokio::time::interval(Duration::from_millis(25));
    for _ in 0..20 {
        client.send(&"x".repeat(300)).await;
        ticks.tick().await;
    }
    assert_eq!(server.next_seen().await, Seen::Body(Ok(6000)));
    server.stop().await;
}

#[tokio::test]
async fn a_body_over_its_limit_is_too_large_announced_or_not() {
    let mut server = Server::start(patient()).await;
    for rest in ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"] {
        let mut client = server.connect().await;
        client.send(&format!("PUT /read/4 HTTP/1.1\r\nHost: x\r\n{rest}")).await;
        assert_eq!(server.next_seen().await, Seen::Body(Err(BodyError::TooLarge { limit: 4 })));
        client.read_until("larger than 4 bytes").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_in_a_body_leaves_it_truncated() {
    let mut server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send("PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf").await;
    drop(client);
    assert_eq!(server.next_seen().await, Seen::Body(Err(BodyError::Truncated { received: 4, expected: Some(9) })));
    let mut client = server.connect().await;
    client.send("PUT /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    drop(client);
    assert_eq!(server.next_seen().await, Seen::Body(Err(BodyError::Truncated { received: 4, expected: None })));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_ends_its_half_after_its_request_gets_its_answer() {
    let mut server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.0.shutdown().await.expect("half closed");
    assert!(matches!(server.next_seen().await, Seen::Started(Peer::Tcp(_))));
    server.shared.go.notify_one();
    assert!(client.read_to_close().await.0.ends_with("\r\n\r\nwaited"));
    server.stop().await;
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_sends_50_mb_first() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(&format!("PUT /early HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 50 << 20)).await;
    let mebibyte = vec![0; 1 << 20];
    for sent in 0..50 {
        client.0.write_all(&mebibyte).await.unwrap_or_else(|error| panic!("{error} after {sent} MiB"));
    }
    let text = client.read_until("too large").await;
    assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("connection: close\r\n"), "{text}");
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn an_early_answer_closes_though_the_client_sends_no_more() {
    let server = Server::start(ConnectionLimits { linger_ms: 200, ..patient() }).await;
    let mut client = server.connect().await;
    client.send("PUT /early HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf").await;
    // Our half is closed at once; the rest of the wait is the server's.
    assert!(client.read_to_close().await.0.ends_with("too large"));
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_never_ends_after_an_early_answer_is_cut_at_the_bound() {
    for limits in [
        ConnectionLimits { linger_bytes_max: 1 << 20, ..patient() },
        ConnectionLimits { linger_ms: 100, linger_bytes_max: u64::MAX, ..patient() },
    ] {
        let server = Server::start(limits).await;
        let mut client = server.connect().await;
        client.send("PUT /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let endless = async { while client.0.write_all(chunk.as_bytes()).await.is_ok() {} };
        tokio::time::timeout(PATIENCE, endless).await.expect("the server cuts it");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_is_reset() {
    let limits = ConnectionLimits { write_stall_timeout_ms: 200, idle_timeout_ms: 50, ..patient() };
    let server = Server::start(limits).await;
    let mut client = server.connect().await;
    client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await;
    // The write end learns of the reset without reading.
    let cut = async {
        while client.0.write_all(b"\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, cut).await.expect("the server cuts it");
    server.stop().await;
}

#[tokio::test]
async fn a_slow_reader_of_a_large_answer_is_not_idle_until_it_has_it() {
    let limits = ConnectionLimits { idle_timeout_ms: 300, ..patient() };
    let server = Server::start(limits).await;
    let mut client = server.connect().await;
    client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.read_until("\r\n\r\n").await;
    // hyper was given the whole answer at once; it leaves as the client reads.
    let paused = tokio::time::timeout(Duration::from_millis(700), std::future::pending::<()>()).await;
    assert!(paused.is_err());
    let mut body = vec![1; BIG];
    client.0.read_exact(&mut body).await.expect("all of it");
    assert!(body.iter().all(|&byte| byte == 0));
    client.send(GET_OK).await;
    client.read_until("\r\n\r\nok").await;
    server.stop().await;
}

#[tokio::test]
async fn beyond_the_cap_connections_wait_until_one_closes() {
    let mut server = Server::start(ConnectionLimits { connections_max: 1, ..patient() }).await;
    let mut first = server.connect().await;
    first.send("GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(matches!(server.next_seen().await, Seen::Started(_)));
    // The kernel takes the second in, the server does not.
    let mut second = server.connect().await;
    second.send(GET_OK).await;
    let early = tokio::time::timeout(Duration::from_millis(100), second.0.read_u8()).await;
    assert!(early.is_err(), "answered beyond the cap");
    assert_eq!(server.shared.calls(), 1);
    server.shared.go.notify_one();
    assert!(first.read_to_close().await.0.ends_with("waited"));
    second.read_until("\r\n\r\nok").await;
    server.stop().await;
}

#[tokio::test]
async fn a_drain_finishes_a_running_request_closes_idle_ones_and_accepts_no_more() {
    let mut server = Server::start(patient()).await;
    let mut idle = server.connect().await;
    idle.send(GET_OK).await;
    idle.read_until("\r\n\r\nok").await;
    let mut silent = server.connect().await;
    let mut running = server.connect().await;
    running.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(matches!(server.next_seen().await, Seen::Started(_)));
    server.shutdown.send_replace(true);
    assert_eq!(idle.read_to_close().await.0, "");
    assert_eq!(silent.read_to_close().await.0, "");
    assert!(TcpStream::connect(server.address).await.is_err(), "the port is closed");
    assert!(!server.served.is_finished());
    server.shared.go.notify_one();
    let (text, end) = running.read_to_close().await;
    assert!(text.contains("connection: close\r\n") && text.ends_with("\r\n\r\nwaited"), "{text}");
    end.expect("closed, not reset");
    server.stop().await;
}

#[tokio::test]
async fn a_drain_that_takes_too_long_resets_what_still_runs() {
    let server = Server::start(ConnectionLimits { shutdown_timeout_ms: 100, ..patient() }).await;
    let mut stuck = server.connect().await;
    stuck.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await;
    stuck.read_until("\r\n\r\n").await;
    server.stop().await;
    let (text, end) = stuck.read_to_close().await;
    assert_eq!(end.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
    assert!(text.len() < BIG);
}

#[tokio::test]
async fn a_response_body_that_fails_cuts_the_connection() {
    let server = Server::start(patient()).await;
    for (request, whole) in [
        ("GET /broken/known HTTP/1.1\r\nHost: x\r\n\r\n", "half----"),
        ("GET /broken/unknown HTTP/1.1\r\nHost: x\r\n\r\n", "0\r\n\r\n"),
        // Without a length or chunks, only a reset tells that it was not the end.
        ("GET /broken/unknown HTTP/1.0\r\n\r\n", "\0"),
    ] {
        let mut client = server.connect().await;
        client.send(request).await;
        let (text, end) = client.read_to_close().await;
        assert!(!text.ends_with(whole), "{text}");
        assert_eq!(end.expect_err("reset").kind(), io::ErrorKind::ConnectionReset, "{request}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_grows_without_end_is_refused() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send("GET /ok HTTP/1.1\r\nHost: x\r\nX: ").await;
    client.send(&"x".repeat(200 << 10)).await;
    let text = client.read_until("\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
    assert_eq!(server.shared.calls(), 0);
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_smuggled_request_is_never_answered() {
    let server = Server::start(ConnectionLimits { linger_ms: 100, ..patient() }).await;
    // What is sent, the status of the only answer, and how often the service may be called.
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for (request, status, calls) in [
        ("PUT /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n", "400", 0),
        ("PUT /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 5\r\n\r\n", "400", 0),
        ("PUT /ok HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n", "400", 0),
        ("PUT /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, x\r\n\r\n", "400", 0),
        ("PUT /ok HTTP/1.1\r\nHost : x\r\n\r\n", "400", 0),
        ("PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "200", 1),
        ("PUT /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400", 1),
        ("PUT /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", "400", 1),
        ("PUT /early HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n", "413", 1),
    ] {
        let before = server.shared.calls();
        let mut client = server.connect().await;
        client.send(&format!("{request}{smuggled}")).await;
        let (text, _) = client.read_to_close().await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?} gave {text:?}");
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{request:?} gave {text:?}");
        assert!(text.contains("connection: close"), "{request:?} gave {text:?}");
        assert_eq!(server.shared.calls() - before, calls, "{request:?} gave {text:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(&format!("{GET_OK}GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n{GET_OK}")).await;
    client.read_until("\r\n\r\nok").await;
    client.read_until("\r\n\r\n/nowhere").await;
    client.read_until("\r\n\r\nok").await;
    server.stop().await;
}

#[tokio::test]
async fn the_local_socket_tells_the_users_id() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).expect("a socket");
    let mut server = Server::start_on(Listener::Unix(listener), ([127, 0, 0, 1], 0).into(), patient());
    let mut stream = UnixStream::connect(&path).await.expect("the server accepts");
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("the server takes it");
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(server.next_seen().await, Seen::Started(Peer::Unix { uid }));
    server.shared.go.notify_one();
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("the server closes").expect("text");
    assert!(text.ends_with("\r\n\r\nwaited"), "{text}");
    server.stop().await;
}

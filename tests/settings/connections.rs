//! `http.*`: timers of connections, how many there are, and how long work may take.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::registry::{Check, Registry, see_each, sooner_than};
use crate::support::Ask;

pub(crate) const TIMERS: &[Check] = &[
    Check { key: "http.first_byte_timeout", value: "100 ms", see: first_byte },
    Check { key: "http.header_timeout", value: "150 ms", see: header },
    Check { key: "http.idle_timeout", value: "200 ms", see: idle },
    Check { key: "http.body_rate_window", value: "100 ms", see: body_rate_window },
    Check { key: "http.body_rate_min", value: "2 KiB/s", see: body_rate_min },
];

pub(crate) const CROWD: &[Check] = &[
    Check { key: "http.connections_max", value: "1", see: connections_max },
    Check { key: "http.shutdown_timeout", value: "100 ms", see: shutdown },
];

pub(crate) const WORK: &[Check] = &[Check { key: "http.request_timeout", value: "10 ms", see: request_timeout }];

#[test]
fn connections_are_closed_when_their_time_is_over() {
    see_each(TIMERS);
}

#[test]
fn connections_are_counted_and_cut_off_at_the_end_of_the_drain() {
    see_each(CROWD);
}

#[test]
fn work_that_takes_too_long_is_given_up() {
    see_each(WORK);
}

fn first_byte(registry: &mut Registry) {
    let mut client = registry.connect();
    sooner_than(Duration::from_secs(8), || assert_eq!(client.rest(), b""));
}

fn header(registry: &mut Registry) {
    let mut client = registry.connect();
    client.write(b"GET /health HT");
    sooner_than(Duration::from_secs(8), || assert_eq!(client.rest(), b""));
}

fn idle(registry: &mut Registry) {
    let mut client = registry.connect();
    client.ask(&Ask::get("/health")).expect(200);
    sooner_than(Duration::from_secs(25), || assert_eq!(client.rest(), b""));
}

/// The refusal of a body that does not come.
fn stalled(registry: &Registry) -> String {
    let ask = Ask::put("/v1/packages/gk/jwt/versions/1.0.0?create", "").token(&registry.pia);
    let mut client = registry.connect();
    let head = Ask { body: None, ..ask }.header("content-length", "9000").head(client.address());
    client.write(head.as_bytes());
    client.answer("PUT").expect("an answer").refused(408, "body_too_slow").text()
}

fn body_rate_window(registry: &mut Registry) {
    sooner_than(Duration::from_secs(25), || drop(stalled(registry)));
}

fn body_rate_min(registry: &mut Registry) {
    let text = stalled(registry);
    assert!(text.contains("slower than 2048 bytes a second"), "{text}");
}

fn connections_max(registry: &mut Registry) {
    let mut first = registry.connect();
    first.ask(&Ask::get("/health")).expect(200);
    // The system takes the second one, the program does not before the first has gone.
    let mut second = registry.connect();
    second.write(Ask::get("/health").head(second.address()).as_bytes());
    let line = registry.server().process.stderr_line("the most connections are open");
    assert!(line.contains(r#""limit":1"#), "{line}");
    first.ask(&Ask::get("/health")).expect(200);
    drop(first);
    assert_eq!(second.answer("GET").map(|answer| answer.status), Some(200));
}

fn shutdown(registry: &mut Registry) {
    let mut client = registry.connect();
    let ask = Ask::new("PUT", "/v1/packages/gk/jwt/versions/1.0.0?create").token(&registry.pia);
    let ask = ask.header("content-length", "9").header("expect", "100-continue");
    client.write(ask.head(client.address()).as_bytes());
    assert_eq!(client.one_answer("PUT").map(|answer| answer.status), Some(100), "it asks for the body");
    let server = registry.take();
    let began = Instant::now();
    server.process.signal(Signal::TERM);
    let ended = server.process.end();
    assert!(began.elapsed() < Duration::from_secs(25), "{ended:?}");
    assert!(ended.stderr.contains("cut off"), "{ended:?}");
    drop(client);
}

fn request_timeout(registry: &mut Registry) {
    registry.put("gk/jwt", "1.0.0", vec![b'x'; 64 << 20]).expect(201);
    // The first reading after a start looks at every byte before it answers for some of them.
    registry.restart();
    let some = Ask::get("/v1/packages/gk/jwt/versions/1.0.0/artifact").header("range", "bytes=0-0");
    registry.ask(&some).refused(408, "request_timeout");
}

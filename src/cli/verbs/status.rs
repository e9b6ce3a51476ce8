//! `status` and `healthcheck`: whether it works, asked as an operator and asked from outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::table::{cell, lines};
use super::{both, now, runtime, with_registry};
use crate::cli::args::{Globals, ServeArgs};
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Shown;
use crate::cli::transport::{Call, Transport};
use crate::config::Config;
use crate::domain::time::Timestamp;
use crate::storage::directory::Create;
use crate::telemetry::clean;

/// How long a server may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much there is, and what does not work.
///
/// # Errors
/// As [`with_registry`].
pub fn status(global: &Globals) -> Result<Shown, CliError> {
    with_registry(global, Create::No, async |transport| {
        let runs = match transport {
            Transport::Socket(_) => "a server runs on the directory",
            Transport::InProcess(_) => "no server runs on the directory",
        };
        let stats = transport.call(Call::new("GET", "/v1/admin/stats")).await?;
        let standing = standing(&stats["meta"]["storage"], now());
        Ok(both(stats, |stats| format!("{runs}\n{}\n{standing}", lines(stats))))
    })
}

/// How it stands with its disk, a line for each thing.
fn standing(storage: &Value, now: Timestamp) -> String {
    let mut told: Vec<(&str, String)> = ["backup", "verify", "gc"].map(|kind| (kind, last(&storage[kind], now))).into();
    let seconds = |key: &str| storage[key].as_u64().map(span);
    let snapshot =
        seconds("snapshot_age_s").map_or_else(|| "no snapshot".to_owned(), |age| format!("snapshot {age} old"));
    told.push(("journal", format!("{} bytes, {snapshot}", cell(&storage["journal_bytes"]))));
    told.push(("retention", seconds("retention_s").unwrap_or_default()));
    let state = match (storage["read_only"] == true, storage["full"] == true) {
        (false, false) => "takes writes",
        (false, true) => "full: nothing is published until there is room",
        (true, false) => "takes no writes",
        (true, true) => "full, and takes no writes",
    };
    told.push(("disk", state.to_owned()));
    if let Some(error) = storage["first_error"].as_str() {
        told.push(("first_error", clean(error).into_owned()));
    }
    told.iter().map(|(name, text)| format!("{name:<16}  {text}")).collect::<Vec<_>>().join("\n")
}

/// How something last went, and how long ago.
fn last(report: &Value, now: Timestamp) -> String {
    let Some(finished) = report["finished_at"].as_str().and_then(Timestamp::parse) else { return "never".to_owned() };
    let (outcome, text) = (cell(&report["outcome"]), cell(&report["text"]));
    let mut told = format!("{outcome}, {} ago: {text}", age(finished, now));
    if let Some(done) = report["done_at"].as_str().and_then(Timestamp::parse).filter(|done| *done != finished) {
        told = format!("{told}; last done {} ago", age(done, now));
    }
    told
}

/// A length of time in its largest unit; a clock that was set back makes it nothing.
fn age(then: Timestamp, now: Timestamp) -> String {
    span(u64::try_from(now.0.saturating_sub(then.0)).unwrap_or(0) / 1000)
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Whether the configured server answers that it is ready.
///
/// # Errors
/// When it does not.
pub fn healthcheck(global: &Globals, args: &ServeArgs) -> Result<Shown, CliError> {
    let config = Config::load(&global.sources(args.to_flags()))?.config;
    let address = reachable(config.http.listen);
    if address.port() == 0 {
        return Err(CliError::usage("a server on port 0 listens on one that only it knows")
            .hint("give the port that `serve` printed: --listen 127.0.0.1:PORT"));
    }
    let failed = |why: String| {
        CliError::new(Exit::Failed, "unhealthy", format!("the server at {address} is not ready"))
            .why(why)
            .hint("see its log, and `vix-registry status`")
    };
    let asked = async { tokio::time::timeout(PATIENCE, ask(address)).await };
    match runtime()?.block_on(asked) {
        Ok(Ok(200)) => Ok(Shown::data("ready", &json!({ "status": "ready", "address": address.to_string() }))),
        Ok(Ok(status)) => Err(failed(format!("/readyz answers {status}"))),
        Ok(Err(why)) => Err(failed(why)),
        Err(_elapsed) => Err(failed(format!("it did not answer within {} s", PATIENCE.as_secs()))),
    }
}

/// Where a server that listens there is reached from its own machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The status of `/readyz`, or why there is none.
async fn ask(address: SocketAddr) -> Result<u16, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let request = Request::get("/readyz").header(HOST, address.to_string()).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| error.to_string())?;
    tokio::select! {
        response = sender.send_request(request) => Ok(response.map_err(|error| error.to_string())?.status().as_u16()),
        ended = connection => Err(ended.map_or_else(|error| error.to_string(), |()| "it hung up".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_with_its_age() {
        let now = Timestamp::parse("2026-01-03T00:00:00Z").unwrap();
        let report = |done: Value| json!({ "finished_at": "2026-01-02T21:00:00.000Z", "outcome": "failed", "text": "no room", "done_at": done });
        assert_eq!(last(&report(Value::Null), now), "failed, 3 h ago: no room");
        let before = last(&report("2026-01-01T00:00:00.000Z".into()), now);
        assert_eq!(before, "failed, 3 h ago: no room; last done 2 d ago");
        assert_eq!(last(&Value::Null, now), "never");
        for (ms, expected) in
            [(-5, "0 s"), (119_999, "119 s"), (120_000, "2 min"), (7_200_000, "2 h"), (172_800_000, "2 d")]
        {
            assert_eq!(age(Timestamp(0), Timestamp(ms)), expected);
        }
    }

    #[test]
    fn a_server_that_listens_everywhere_is_asked_on_the_loopback() {
        for (listen, expected) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("127.0.0.2:80", "127.0.0.2:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), expected.parse().unwrap());
        }
    }
}

//! The access line: one event for each request, and the fields it has.

use std::net::IpAddr;
use std::time::Duration;

use tracing::Level;

/// Names of fields, so that one thing has one name in every line.
pub mod field {
    /// The id of the request that the line is about.
    pub const REQUEST_ID: &str = "request_id";
    /// The id of the trace that the request belongs to (W3C trace context).
    pub const TRACE_ID: &str = "trace_id";
    /// The address of the client, behind trusted proxies the one that they name.
    pub const CLIENT_IP: &str = "client_ip";
    /// The name of the user whose token was shown.
    pub const USER: &str = "user";
    /// The id (never the text) of the token that was shown.
    pub const TOKEN_ID: &str = "token_id";
    /// The exact case of a refusal.
    pub const REASON: &str = "reason";
    /// The chain of an error's causes.
    pub const ERROR: &str = "error";
}

/// The target under which access lines are logged.
pub const ACCESS_TARGET: &str = "access";

/// What is logged about a request once its answer has ended. Holds no query, header or body: secrets stand in those.
#[derive(Clone, Debug)]
pub struct AccessLine<'a> {
    /// The id that the answer carries in `X-Request-Id`.
    pub request_id: &'a str,
    /// The trace id of a `traceparent` header.
    pub trace_id: Option<&'a str>,
    /// The method as sent.
    pub method: &'a str,
    /// The template of the route, such as `/v1/packages/{pkg}`; empty when none matched.
    pub route: &'a str,
    /// The path as sent, without its query.
    pub path: &'a str,
    /// The status of the answer; `None` when the connection ended before there was one.
    pub status: Option<u16>,
    /// From the first byte of the head to the last byte of the answer.
    pub duration: Duration,
    /// Bytes of the request's body that were read.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were written.
    pub bytes_out: u64,
    /// Who asked, behind trusted proxies as they tell; `None` on the admin socket.
    pub client_ip: Option<IpAddr>,
    /// Whose token was shown, or `local:<uid>` on the admin socket.
    pub user: Option<&'a str>,
    /// The id of the token that was shown.
    pub token_id: Option<&'a str>,
    /// `User-Agent` as sent.
    pub ua: Option<&'a str>,
    /// The reason of a refusal.
    pub reason: Option<&'a str>,
}

/// The event itself; a macro because the level of an event is part of its place in the code.
macro_rules! emit {
    ($level:expr, $line:ident) => {
        tracing::event!(
            target: ACCESS_TARGET,
            $level,
            request_id = $line.request_id,
            trace_id = $line.trace_id,
            method = $line.method,
            route = $line.route,
            path = without_query($line.path),
            status = $line.status,
            duration_ms = milliseconds($line.duration),
            bytes_in = $line.bytes_in,
            bytes_out = $line.bytes_out,
            client_ip = $line.client_ip.map(tracing::field::display),
            user = $line.user,
            token_id = $line.token_id,
            ua = $line.ua,
            reason = $line.reason,
            "request"
        )
    };
}

/// Logs a request: at `warn` when the server was at fault (5xx), else at `info`.
pub fn access(line: &AccessLine<'_>) {
    if line.status.is_some_and(|status| status >= 500) {
        emit!(Level::WARN, line);
    } else {
        emit!(Level::INFO, line);
    }
}

/// Cuts at a `?`, should a whole target have been given: queries may hold secrets.
fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

/// Milliseconds with three decimals.
fn milliseconds(duration: Duration) -> f64 {
    let us = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(us) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::format::tests::{captured, json};
    use super::super::{Format, Level};
    use super::*;

    fn line(status: Option<u16>) -> AccessLine<'static> {
        AccessLine {
            request_id: "01J",
            trace_id: None,
            method: "GET",
            route: "/v1/packages/{pkg}",
            path: "/v1/packages/gk\u{202e}?token=hush",
            status,
            duration: Duration::from_micros(1234),
            bytes_in: 0,
            bytes_out: 17,
            client_ip: "127.0.0.1".parse().ok(),
            user: Some("pia"),
            token_id: None,
            ua: Some("curl/8\n\"x\""),
            reason: None,
        }
    }

    #[test]
    fn a_request_is_one_json_object_with_named_fields_and_no_query() {
        let logged = captured(Level::Info, Format::Json, || access(&line(Some(200))));
        let value = json(&logged);
        for (key, expected) in [
            ("level", "info"),
            ("msg", "request"),
            ("request_id", "01J"),
            ("route", "/v1/packages/{pkg}"),
            ("path", "/v1/packages/gk\\u{202e}"),
            ("client_ip", "127.0.0.1"),
            ("user", "pia"),
            ("ua", "curl/8\\u{a}\"x\""),
        ] {
            assert_eq!(value[key], expected, "{key} in {logged}");
        }
        assert_eq!(value["status"], 200);
        assert_eq!(value["duration_ms"], 1.234);
        assert!(value.get("trace_id").is_none() && !logged.contains("hush"), "{logged}");
        assert!(value["ts"].as_str().is_some_and(|ts| ts.len() == 27 && ts.ends_with('Z')), "{logged}");
    }

    #[test]
    fn faults_of_the_server_are_logged_at_warn_and_all_else_at_info() {
        let logged = captured(Level::Warn, Format::Json, || {
            access(&line(Some(503)));
            access(&line(Some(404)));
            access(&line(None));
        });
        assert_eq!(logged.lines().count(), 1);
        assert_eq!(json(&logged)["status"], 503);
    }

    #[test]
    fn the_names_of_fields_are_those_that_the_line_has() {
        let full = AccessLine { trace_id: Some("t"), token_id: Some("i"), reason: Some("r"), ..line(Some(404)) };
        let value = json(&captured(Level::Info, Format::Json, || access(&full)));
        for name in [field::REQUEST_ID, field::TRACE_ID, field::CLIENT_IP, field::USER, field::TOKEN_ID, field::REASON]
        {
            assert!(value.get(name).is_some(), "{name}");
        }
    }
}

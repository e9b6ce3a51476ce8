//! What is learned of a request for its one line in the log, which is written when its answer's last byte was handed
//! on, or when the client hung up before there was an answer.
//!
//! No query, no credential, no name beyond the user's: what is secret or could be does not get here.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::USER_AGENT;
use hyper::http::request::Parts;

use crate::domain::caller::Caller;
use crate::domain::name::shown;
use crate::domain::refusal::Reason;
use crate::telemetry::{AccessLine, access};

use super::body::{RequestBody, ResponseBody};

/// Longest path that is logged, in characters.
const PATH_CHARS_MAX: usize = 512;

/// One request as the log will tell of it; filled in on the way, written when dropped.
pub struct Visit {
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
    /// The client's address.
    pub client_ip: Option<IpAddr>,
    /// The pattern of its route, once known.
    pub route: &'static str,
    /// Why it was refused, if it was.
    pub reason: Option<Reason>,
    request_id: Arc<str>,
    method: String,
    path: String,
    user_agent: Option<String>,
    user: Option<String>,
    token_id: Option<String>,
    began: Instant,
    bytes_in: Arc<AtomicU64>,
    bytes_out: u64,
    status: Option<u16>,
}

impl Visit {
    /// Begins with what the head tells.
    pub fn begin(parts: &Parts, body: &mut RequestBody, request_id: Arc<str>) -> Self {
        let user_agent = parts.headers.get(USER_AGENT).map(|value| shown(&String::from_utf8_lossy(value.as_bytes())));
        let bytes_in = Arc::new(AtomicU64::new(0));
        body.count_into(Arc::clone(&bytes_in));
        Self {
            trace_id: None,
            client_ip: None,
            route: "",
            reason: None,
            request_id,
            method: shown(parts.method.as_str()),
            path: parts.uri.path().chars().take(PATH_CHARS_MAX).collect(),
            user_agent,
            user: None,
            token_id: None,
            began: Instant::now(),
            bytes_in,
            bytes_out: 0,
            status: None,
        }
    }

    /// Notes who asks.
    pub fn note_caller(&mut self, caller: &Caller) {
        match caller {
            Caller::Anonymous => {}
            Caller::Local { uid } => self.user = Some(format!("local:{uid}")),
            Caller::Token(token) => {
                self.user = Some(token.user_name.to_string());
                self.token_id = Some(token.token.to_string());
            }
        }
    }

    /// Ties the line to the response's body: it is written when that ends or is dropped.
    pub fn attach(mut self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        self.status = Some(response.status().as_u16());
        response.map(|body| Counted { body, visit: self }.boxed_unsync())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        access(&AccessLine {
            request_id: &self.request_id,
            trace_id: self.trace_id.as_deref(),
            method: &self.method,
            route: self.route,
            path: &self.path,
            status: self.status,
            duration: self.began.elapsed(),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out,
            client_ip: self.client_ip,
            user: self.user.as_deref(),
            token_id: self.token_id.as_deref(),
            ua: self.user_agent.as_deref(),
            reason: self.reason.map(Reason::as_str),
        });
    }
}

struct Counted {
    body: ResponseBody,
    visit: Visit,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(data))) = &frame {
            self.visit.bytes_out += data.data_ref().map_or(0, |data| data.len() as u64);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

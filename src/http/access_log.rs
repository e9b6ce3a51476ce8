//! The one line that each request leaves in the log, written when its answer's last byte was handed on.
//!
//! No query, no credential, no name beyond the user's: what is secret or could be does not get here.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::USER_AGENT;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use crate::domain::caller::Caller;
use crate::domain::name::shown;
use crate::domain::refusal::Reason;

use super::body::ResponseBody;

/// What is told of a request; filled in on the way.
pub struct AccessLine {
    /// Its id.
    pub request_id: Arc<str>,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
    /// The client's address.
    pub client_ip: Option<IpAddr>,
    /// The pattern of its route, once known.
    pub route: &'static str,
    /// Why it was refused, if it was.
    pub reason: Option<Reason>,
    /// The bytes that the request announced.
    pub bytes_in: u64,
    method: String,
    path: String,
    user_agent: Option<String>,
    user: Option<String>,
    token_id: Option<String>,
    began: Instant,
}

impl AccessLine {
    /// Begins the line.
    pub fn begin(parts: &Parts, request_id: Arc<str>) -> Self {
        let user_agent = parts.headers.get(USER_AGENT).map(|value| shown(&String::from_utf8_lossy(value.as_bytes())));
        Self {
            request_id,
            trace_id: None,
            client_ip: None,
            route: "",
            reason: None,
            bytes_in: 0,
            method: shown(parts.method.as_str()),
            path: parts.uri.path().chars().take(256).collect(),
            user_agent,
            user: None,
            token_id: None,
            began: Instant::now(),
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
    pub fn attach(self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        let status = response.status();
        let counted = |body| Counted { body, line: self, status, bytes_out: 0, is_whole: false };
        response.map(|body| counted(body).boxed_unsync())
    }

    fn write(&self, status: StatusCode, bytes_out: u64, is_whole: bool) {
        let duration_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "access",
            request_id = &*self.request_id,
            trace_id = self.trace_id,
            method = self.method,
            route = self.route,
            path = self.path,
            status = status.as_u16(),
            reason = self.reason.map(Reason::as_str),
            duration_us,
            bytes_in = self.bytes_in,
            bytes_out,
            whole = is_whole,
            client_ip = self.client_ip.map(tracing::field::display),
            user = self.user,
            token_id = self.token_id,
            user_agent = self.user_agent,
            "request"
        );
    }
}

struct Counted {
    body: ResponseBody,
    line: AccessLine,
    status: StatusCode,
    bytes_out: u64,
    is_whole: bool,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(data))) = &frame {
            self.bytes_out += data.data_ref().map_or(0, |data| data.len() as u64);
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

impl Drop for Counted {
    fn drop(&mut self) {
        // hyper doesn't poll past the announced length, so the body itself says whether all of it was taken.
        self.is_whole = self.body.is_end_stream();
        self.line.write(self.status, self.bytes_out, self.is_whole);
    }
}

//! Bodies on their way in and out: the one that a handler reads, the one that it answers with.
//!
//! Owns the limits of a request body: its bytes, and the least rate at which they must come. Never buffers a body and
//! never decides what is done about a [`BodyError`]: that is the pipeline's.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::activity::{Activity, Exchange};
use super::connection::ConnectionLimits;

/// What a handler answers with. An error in it cuts the connection (HTTP/1) or the stream (HTTP/2), so that a body
/// that broke off never looks whole.
pub type ResponseBody = UnsyncBoxBody<Bytes, io::Error>;

/// A response body that is in memory already.
pub fn full(bytes: impl Into<Bytes>) -> ResponseBody {
    http_body_util::Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Why a request body could not be read to its end. Once told, every further read tells the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the route takes, by what was announced or by what came.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The most that is taken, in bytes.
        limit: u64,
    },
    /// The client kept us waiting: fewer bytes came than the least rate asks for.
    #[error("the body came slower than {bytes_per_s_min} bytes per second, averaged over {window_ms} ms")]
    TooSlow {
        /// The least rate, in bytes per second.
        bytes_per_s_min: u64,
        /// What it is averaged over, in milliseconds of waiting for the client.
        window_ms: u64,
    },
    /// The client hung up, or ended its stream, before the body's end.
    #[error("the body broke off after {received} bytes")]
    Truncated {
        /// The bytes that came.
        received: u64,
        /// The bytes that `Content-Length` announced, if it did.
        expected: Option<u64>,
    },
    /// The body's framing could not be read (bad chunk sizes, for one).
    #[error("the body could not be read: {0}")]
    Other(String),
}

enum Source {
    Wire(Incoming),
    Memory(Bytes),
    Ended,
    Failed(BodyError),
}

/// The body of a request: read it with [`RequestBody::next_chunk`], or as a [`Body`].
pub struct RequestBody {
    source: Source,
    declared: Option<u64>,
    received: u64,
    limit: u64,
    pace: Option<Pace>,
    http2: bool,
    activity: Option<Arc<Activity>>,
    meter: Option<Arc<AtomicU64>>,
}

impl RequestBody {
    /// A body that is in memory: for requests made inside the process.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let declared = Some(bytes.len() as u64);
        let source = if bytes.is_empty() { Source::Ended } else { Source::Memory(bytes) };
        Self { source, declared, received: 0, limit: u64::MAX, pace: None, http2: false, activity: None, meter: None }
    }

    /// A body that comes from a connection, held to the rate of `limits`.
    pub(super) fn from_wire(
        incoming: Incoming,
        http2: bool,
        limits: &ConnectionLimits,
        activity: &Arc<Activity>,
    ) -> Self {
        let declared = incoming.size_hint().exact();
        let ended = incoming.is_end_stream();
        let source = if ended { Source::Ended } else { Source::Wire(incoming) };
        let pace = (!ended).then(|| Pace::new(limits));
        let activity = Some(Arc::clone(activity));
        Self { source, declared, received: 0, limit: u64::MAX, pace, http2, activity, meter: None }
    }

    /// Sets how many bytes are taken; until then there is no cap. More is [`BodyError::TooLarge`], at the first read
    /// already when the client announced it.
    pub fn set_limit(&mut self, bytes_max: u64) {
        self.limit = bytes_max;
    }

    /// How many bytes the client announced, if it did.
    pub fn declared_len(&self) -> Option<u64> {
        self.declared
    }

    /// Counts what is read from now on into `meter`, for who no longer has the body.
    pub fn count_into(&mut self, meter: Arc<AtomicU64>) {
        self.meter = Some(meter);
    }

    /// How many bytes were read so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Waits for the next bytes, never empty; `None` is the end of a body that came whole.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let read = ready!(self.poll_source(cx)).and_then(|chunk| self.accept(chunk));
        match &read {
            Ok(Some(_)) => {}
            Ok(None) => self.source = Source::Ended,
            Err(error) => self.source = Source::Failed(error.clone()),
        }
        if self.is_end_stream()
            && let Some(activity) = self.activity.take()
        {
            activity.request_body_read();
        }
        Poll::Ready(read)
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        if let Some(declared) = self.declared
            && declared > self.limit
        {
            return Poll::Ready(Err(BodyError::TooLarge { limit: self.limit }));
        }
        let incoming = match &mut self.source {
            Source::Wire(incoming) => incoming,
            Source::Memory(bytes) => return Poll::Ready(Ok(Some(std::mem::take(bytes)))),
            Source::Ended => return Poll::Ready(Ok(None)),
            Source::Failed(error) => return Poll::Ready(Err(error.clone())),
        };
        loop {
            let frame = match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    let slow = self.pace.as_mut().map(|pace| pace.poll_too_slow(cx));
                    return slow.map_or(Poll::Pending, |slow| slow.map(Err));
                }
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) if data.is_empty() => {}
                Some(Ok(Ok(data))) => return Poll::Ready(Ok(Some(data))),
                Some(Ok(Err(_trailers))) => {}
                Some(Err(error)) => return Poll::Ready(Err(self.broken(&error))),
                // A stream that was reset with NO_ERROR ends here too, without its end having come.
                None if self.http2 && !incoming.is_end_stream() => return Poll::Ready(Err(self.truncated())),
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    fn accept(&mut self, chunk: Option<Bytes>) -> Result<Option<Bytes>, BodyError> {
        let Some(data) = chunk else {
            let short = self.declared.is_some_and(|declared| self.received < declared);
            return if short { Err(self.truncated()) } else { Ok(None) };
        };
        let bytes = data.len() as u64;
        self.received += bytes;
        if let Some(meter) = &self.meter {
            meter.fetch_add(bytes, Ordering::Relaxed);
        }
        if self.received > self.limit {
            return Err(BodyError::TooLarge { limit: self.limit });
        }
        if let Some(pace) = &mut self.pace {
            pace.came(bytes);
        }
        if self.declared == Some(self.received) && matches!(self.source, Source::Memory(_)) {
            self.source = Source::Ended;
        }
        Ok(Some(data))
    }

    fn truncated(&self) -> BodyError {
        BodyError::Truncated { received: self.received, expected: self.declared }
    }

    fn broken(&self, error: &hyper::Error) -> BodyError {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(this) = cause {
            if let Some(io) = this.downcast_ref::<io::Error>()
                && matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
            {
                return BodyError::Other(io.to_string());
            }
            cause = this.source();
        }
        self.truncated()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.poll_chunk(cx).map(|read| read.map(|chunk| chunk.map(Frame::data)).transpose())
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Wire(incoming) => incoming.is_end_stream(),
            Source::Ended => true,
            Source::Memory(_) | Source::Failed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.declared.map_or_else(SizeHint::default, |all| SizeHint::with_exact(all.saturating_sub(self.received)))
    }
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestBody")
            .field("declared", &self.declared)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// The least rate, over windows of time *spent waiting for the client*: a slow disk on our side costs it nothing.
struct Pace {
    bytes_per_s_min: u64,
    window: Duration,
    waited: Duration,
    waiting_since: Option<Instant>,
    bytes: u64,
    /// Fires at the window's end or before it, never after: then the time waited decides.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn new(limits: &ConnectionLimits) -> Self {
        Self {
            bytes_per_s_min: limits.body_rate_bytes_per_s_min,
            window: Duration::from_millis(limits.body_rate_window_ms.max(1)),
            waited: Duration::ZERO,
            waiting_since: None,
            bytes: 0,
            timer: None,
        }
    }

    fn came(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Ready once a whole window was waited and too little came in it.
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        loop {
            let left = self.window.saturating_sub(self.waited);
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(since + left)));
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            let left = self.window.saturating_sub(self.waited + (now - since));
            if !left.is_zero() {
                timer.as_mut().reset(now + left);
                continue;
            }
            let wanted = u128::from(self.bytes_per_s_min) * self.window.as_millis() / 1000;
            if u128::from(self.bytes) < wanted {
                let window_ms = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
                return Poll::Ready(BodyError::TooSlow { bytes_per_s_min: self.bytes_per_s_min, window_ms });
            }
            (self.bytes, self.waited, self.waiting_since) = (0, Duration::ZERO, Some(now));
            timer.as_mut().reset(now + self.window);
            return self.poll_too_slow(cx);
        }
    }
}

/// A response body that tells its connection how far it is: that it waits for us, that it ended, that it broke.
pub(super) struct TrackedBody {
    body: ResponseBody,
    exchange: Exchange,
}

impl TrackedBody {
    pub(super) fn new(body: ResponseBody, exchange: Exchange) -> Self {
        Self { body, exchange }
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Pending => self.exchange.owes(true),
            Poll::Ready(Some(Ok(_)) | None) => self.exchange.owes(false),
            Poll::Ready(Some(Err(error))) => self.exchange.broke(error),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_in_memory_is_read_whole_and_ends() {
        let mut body = RequestBody::from_bytes("hello");
        assert_eq!(body.declared_len(), Some(5));
        assert_eq!(body.next_chunk().await, Ok(Some(Bytes::from("hello"))));
        assert!(body.is_end_stream());
        assert_eq!(body.next_chunk().await, Ok(None));
        assert_eq!(body.received(), 5);
        assert_eq!(RequestBody::from_bytes("").next_chunk().await, Ok(None));
    }

    #[tokio::test]
    async fn a_limit_takes_its_last_byte_and_no_more_and_says_so_again() {
        let mut body = RequestBody::from_bytes("hello");
        body.set_limit(5);
        assert_eq!(body.next_chunk().await, Ok(Some(Bytes::from("hello"))));
        let mut body = RequestBody::from_bytes("hello");
        body.set_limit(4);
        for _ in 0..2 {
            assert_eq!(body.next_chunk().await, Err(BodyError::TooLarge { limit: 4 }));
        }
    }

    #[tokio::test]
    async fn each_window_of_waiting_is_judged_by_its_own_bytes() {
        let limits = ConnectionLimits { body_rate_bytes_per_s_min: 100, body_rate_window_ms: 50, ..Default::default() };
        for (bytes, windows) in [(4, 1), (5, 2)] {
            let mut pace = Pace::new(&limits);
            pace.came(bytes);
            let started = Instant::now();
            let slow = poll_fn(|cx| pace.poll_too_slow(cx)).await;
            assert_eq!(slow, BodyError::TooSlow { bytes_per_s_min: 100, window_ms: 50 });
            assert!(started.elapsed() >= Duration::from_millis(50 * windows), "{bytes} bytes last {windows} windows");
        }
    }
}

//! What a connection is doing, and until when it may: the deadlines that hyper has no settings for.
//!
//! Owns the phases of a connection and the clock over them. Does no I/O: the socket's wrapper, the service call and
//! the response body report here, and the connection's task asks [`Activity::poll_expiry`] after each of its steps.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::connection::ConnectionLimits;

/// How a client of HTTP/2 with prior knowledge begins (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is awaited of the client while no request is being answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing came yet.
    FirstByte,
    /// A request's head, of which this many bytes were read (the read that ends it may bring some of the body).
    Head { bytes: usize },
    /// The next request.
    Idle,
    /// Our half is closed; what the client still sends is thrown away.
    Lingering,
    /// An HTTP/2 connection was told to go away.
    GoingAway,
}

/// What is to be done with a connection whose time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Close it: the client did not send what it had to, or has nothing to ask.
    Close,
    /// Cut it off by a reset: the client stopped reading an answer.
    Reset,
    /// Tell an idle HTTP/2 client to go away, and close once it had time to hear it.
    GoAway,
}

struct State {
    phase: Phase,
    phase_since: Instant,
    /// Exchanges: a request whose service call or response body has not ended.
    active: u32,
    /// Exchanges that wait for us, not for the client.
    owing: u32,
    /// Since when the socket takes no more bytes.
    blocked_since: Option<Instant>,
    /// When bytes were last given to the socket, or, when none had been owed before, to hyper.
    progress_at: Instant,
    /// How many bytes of the preface came; all of them make it HTTP/2.
    preface: usize,
    preface_possible: bool,
    /// HTTP/1: the request's body was not read to its end.
    body_unread: bool,
    /// HTTP/1: a response body broke off.
    broken: bool,
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.phase_since = Instant::now();
    }

    fn is_http2(&self) -> bool {
        self.preface == HTTP2_PREFACE.len()
    }

    /// Follows the preface through `data`; true while everything that came is a part of it, up to its end.
    fn follow_preface(&mut self, data: &[u8]) {
        let wanted = &HTTP2_PREFACE[self.preface..];
        let compared = wanted.len().min(data.len());
        self.preface_possible = self.preface_possible && data[..compared] == wanted[..compared];
        if self.preface_possible {
            self.preface += compared;
        }
    }

    fn deadline(&self, limits: &ConnectionLimits) -> Option<(Instant, Expiry)> {
        let after = |start: Instant, ms: u64, expiry| Some((start + Duration::from_millis(ms), expiry));
        if self.phase == Phase::Lingering {
            return after(self.phase_since, limits.linger_ms, Expiry::Close);
        }
        if let Some(since) = self.blocked_since {
            return after(since, limits.write_stall_timeout_ms, Expiry::Reset);
        }
        if self.active > 0 {
            // Over HTTP/2 the socket is not what fills up when a client stops reading: its windows are.
            let stalled = self.is_http2() && self.owing == 0;
            return if stalled { after(self.progress_at, limits.write_stall_timeout_ms, Expiry::Reset) } else { None };
        }
        match self.phase {
            Phase::FirstByte => after(self.phase_since, limits.first_byte_timeout_ms, Expiry::Close),
            Phase::Head { .. } | Phase::GoingAway => after(self.phase_since, limits.header_timeout_ms, Expiry::Close),
            Phase::Idle | Phase::Lingering => {
                let expiry = if self.is_http2() { Expiry::GoAway } else { Expiry::Close };
                // The last bytes of a large answer leave long after hyper took them over.
                after(self.phase_since.max(self.progress_at), limits.idle_timeout_ms, expiry)
            }
        }
    }
}

/// The account of one connection, shared by its socket, its exchanges and its task.
pub(super) struct Activity {
    id: u64,
    state: Mutex<State>,
}

impl Activity {
    /// A connection that was accepted just now.
    pub(super) fn new(id: u64) -> Self {
        let now = Instant::now();
        let state = State {
            phase: Phase::FirstByte,
            phase_since: now,
            active: 0,
            owing: 0,
            blocked_since: None,
            progress_at: now,
            preface: 0,
            preface_possible: true,
            body_unread: false,
            broken: false,
        };
        Self { id, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came from the client.
    pub(super) fn read(&self, data: &[u8]) {
        let mut state = self.state();
        if state.is_http2() || state.active > 0 || data.is_empty() {
            return;
        }
        if state.preface_possible {
            state.follow_preface(data);
        }
        match state.phase {
            _ if state.is_http2() => state.enter(Phase::Idle),
            Phase::FirstByte | Phase::Idle => state.enter(Phase::Head { bytes: data.len() }),
            Phase::Head { bytes } => state.phase = Phase::Head { bytes: bytes + data.len() },
            Phase::Lingering | Phase::GoingAway => {}
        }
    }

    /// Whether a head of more than `bytes_max` bytes was read and is still not at its end.
    pub(super) fn head_is_larger_than(&self, bytes_max: usize) -> bool {
        let state = self.state();
        state.active == 0 && matches!(state.phase, Phase::Head { bytes } if bytes > bytes_max)
    }

    /// The socket took bytes.
    pub(super) fn wrote(&self) {
        let mut state = self.state();
        state.blocked_since = None;
        state.progress_at = Instant::now();
    }

    /// The socket takes no more bytes for now.
    pub(super) fn write_blocked(&self) {
        self.state().blocked_since.get_or_insert_with(Instant::now);
    }

    /// A request's head was read; it has a body to come or it has none.
    pub(super) fn begin(self: &Arc<Self>, has_body: bool) -> Exchange {
        let mut state = self.state();
        state.active += 1;
        state.owing += 1;
        let http2 = state.is_http2();
        state.body_unread = has_body && !http2;
        Exchange { activity: Arc::clone(self), owing: true, http2 }
    }

    /// The request's body was read to its end.
    pub(super) fn request_body_read(&self) {
        self.state().body_unread = false;
    }

    /// Our half is about to be closed. True when the client may well be sending still (a body that nobody read, a
    /// request that the parser refused): it must be listened to for a while, or it never sees the answer.
    pub(super) fn should_linger(&self) -> bool {
        let mut state = self.state();
        let expected = state.body_unread || matches!(state.phase, Phase::Head { .. });
        if expected {
            state.enter(Phase::Lingering);
        }
        expected
    }

    /// The client was told to go away: it gets the time of a header to finish.
    pub(super) fn going_away(&self) {
        let mut state = self.state();
        if state.is_http2() && state.active == 0 {
            state.enter(Phase::GoingAway);
        }
    }

    /// Whether closing now would cut an answer short, so that only a reset tells the client.
    pub(super) fn is_mid_answer(&self) -> bool {
        let state = self.state();
        state.active > 0 || state.broken || state.blocked_since.is_some()
    }

    /// Ready when the connection's time is up. `timer` may fire early, never late; a request costs it nothing, because
    /// it is only moved when a deadline comes nearer or when it fired.
    pub(super) fn poll_expiry(
        &self,
        cx: &mut Context<'_>,
        limits: &ConnectionLimits,
        mut timer: Pin<&mut Sleep>,
    ) -> Poll<Expiry> {
        loop {
            let deadline = self.state().deadline(limits);
            if let Some((at, _)) = deadline
                && at < timer.deadline()
            {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            match deadline {
                Some((at, expiry)) if at <= now => return Poll::Ready(expiry),
                Some((at, _)) => timer.as_mut().reset(at),
                // Streams end in tasks of their own: look again within the shortest time that could apply then.
                None => timer.as_mut().reset(now + limits.shortest_timeout()),
            }
        }
    }
}

/// One request and its answer; dropped when the last of the answer was handed to hyper, or when nobody wants it.
pub(super) struct Exchange {
    activity: Arc<Activity>,
    owing: bool,
    http2: bool,
}

impl Exchange {
    pub(super) fn is_http2(&self) -> bool {
        self.http2
    }

    /// HTTP/1: whether the service left some of the request's body unread.
    pub(super) fn request_body_unread(&self) -> bool {
        self.activity.state().body_unread
    }

    /// Notes who waits: the client for us, or we for the client to read.
    pub(super) fn owes(&mut self, owing: bool) {
        if self.owing == owing {
            return;
        }
        self.owing = owing;
        let mut state = self.activity.state();
        if owing {
            state.owing += 1;
        } else {
            state.owing -= 1;
            state.progress_at = Instant::now();
        }
    }

    /// The response's body failed: hyper drops the connection (HTTP/1) or resets the stream.
    pub(super) fn broke(&mut self, error: &io::Error) {
        tracing::warn!(connection = self.activity.id, %error, "a response body broke off; the client gets no more of it");
        self.owes(false);
        if !self.http2 {
            self.activity.state().broken = true;
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.owes(false);
        let mut state = self.activity.state();
        state.active -= 1;
        if state.active == 0 && state.phase != Phase::Lingering {
            state.enter(Phase::Idle);
        }
    }
}

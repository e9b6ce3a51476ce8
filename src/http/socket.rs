//! A client's socket as hyper sees it.
//!
//! Reports what is read and written to [`Activity`], refuses heads that would fill memory, reads on for a while after
//! an early answer so that a client that sends first can read it, and resets instead of closing when an answer is cut
//! short. Never looks into HTTP beyond that.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::activity::Activity;
use super::connection::ConnectionLimits;

/// How much is thrown away at a time while lingering.
const DISCARD_BYTES: usize = 16 << 10;

/// Sent without hyper, which would keep up to its whole read buffer of a head.
const HEAD_TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A stream that was accepted.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Calls the same method on whichever stream it is.
macro_rules! on_stream {
    ($socket:expr, $stream:ident => $call:expr) => {
        match $socket {
            Socket::Tcp($stream) => $call,
            Socket::Unix($stream) => $call,
        }
    };
}

/// The socket between the kernel and hyper.
pub(super) struct GuardedSocket {
    socket: Socket,
    activity: Arc<Activity>,
    header_buffer_bytes: usize,
    linger_bytes_left: u64,
    /// Our half was closed; `true` inside: the client is expected to be sending still.
    half_closed: Option<bool>,
    refused: bool,
}

impl GuardedSocket {
    pub(super) fn new(socket: Socket, activity: Arc<Activity>, limits: &ConnectionLimits) -> Self {
        Self {
            socket,
            activity,
            header_buffer_bytes: limits.header_buffer_bytes,
            linger_bytes_left: limits.linger_bytes_max,
            half_closed: None,
            refused: false,
        }
    }

    /// Answers a head that does not end. Nothing else is in the socket's send buffer worth waiting for, so that the
    /// few bytes are either taken at once or not owed to a client that does not read.
    fn refuse_head(&mut self) {
        self.refused = true;
        let sent = on_stream!(&self.socket, stream => stream.try_write(HEAD_TOO_LARGE));
        if let Err(error) = sent {
            tracing::debug!(%error, "a 431 could not be sent");
        }
    }

    /// Closes our half, then reads and throws away what the client still sends, within bounds: if the socket were
    /// closed with bytes unread, the kernel would reset the connection and the answer could be lost on the way.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let expected = if let Some(expected) = self.half_closed {
            expected
        } else {
            ready!(on_stream!(&mut self.socket, stream => Pin::new(stream).poll_shutdown(cx)))?;
            *self.half_closed.insert(self.activity.should_linger())
        };
        let mut scratch = [0; DISCARD_BYTES];
        while self.linger_bytes_left > 0 {
            let mut buffer = ReadBuf::new(&mut scratch);
            match on_stream!(&mut self.socket, stream => Pin::new(stream).poll_read(cx, &mut buffer)) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => break,
                Poll::Ready(Ok(())) => {
                    self.linger_bytes_left = self.linger_bytes_left.saturating_sub(buffer.filled().len() as u64);
                }
                Poll::Pending if expected => return Poll::Pending,
                Poll::Ready(Err(_)) | Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(_)) => self.activity.wrote(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.write_blocked(),
        }
        written
    }
}

impl AsyncRead for GuardedSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.refused && self.activity.head_is_larger_than(self.header_buffer_bytes) {
            self.refuse_head();
        }
        if self.refused {
            return self.poll_close(cx);
        }
        let before = buf.filled().len();
        ready!(on_stream!(&mut self.socket, stream => Pin::new(stream).poll_read(cx, buf)))?;
        self.activity.read(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for GuardedSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = on_stream!(&mut self.socket, stream => Pin::new(stream).poll_write(cx, data));
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = on_stream!(&mut self.socket, stream => Pin::new(stream).poll_write_vectored(cx, slices));
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        on_stream!(&self.socket, stream => stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(&mut self.socket, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_close(cx)
    }
}

impl Drop for GuardedSocket {
    /// hyper drops its socket before the response that it was writing, so that an exchange still counts here.
    fn drop(&mut self) {
        let Socket::Tcp(stream) = &self.socket else { return };
        if (self.activity.is_mid_answer() || std::thread::panicking())
            && let Err(error) = stream.set_zero_linger()
        {
            tracing::debug!(%error, "a connection could not be set to reset");
        }
    }
}

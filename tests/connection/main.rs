//! Connections over real sockets: deadlines, early answers, the cap, draining and request smuggling.
//!
//! The service is a small one of this file, and the limits are shortened; nothing here waits except for the server to
//! act (`read_to_end` returns when it closes).

mod http1;
mod http2;
mod server;

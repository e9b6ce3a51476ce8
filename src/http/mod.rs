//! The only layer that knows HTTP and JSON: accepts, finds the route, checks access, decodes, encodes.
//!
//! It holds no business rule and never touches a file or the database. Start at [`server`] for connections and at
//! [`problem`] for what every refusal looks like.

mod activity;
pub mod body;
pub mod connection;
pub mod problem;
pub mod server;
mod socket;

//! The only layer that knows HTTP and JSON: accepts, finds the route, checks access, decodes, encodes.
//!
//! It holds no business rule and never touches a file or the database. A request's way is [`pipeline`], top to bottom;
//! every endpoint is a row of [`routes`]; until the store is open, [`starting`] answers; connections are [`server`]'s; what every refusal looks like is in [`problem`].

pub mod access;
pub mod access_log;
mod activity;
pub mod app;
pub mod artifact_body;
pub mod artifact_reply;
pub mod body;
pub mod call;
pub mod client;
pub mod coding;
pub mod conditions;
pub mod connection;
pub mod cors;
pub mod credentials;
pub mod cursor;
mod denied;
pub mod failure;
pub mod guards;
pub mod handlers;
pub mod json_body;
mod json_path;
pub mod matching;
pub mod multipart;
pub mod openapi;
pub mod params;
pub mod pipeline;
pub mod precondition;
pub mod problem;
pub mod query;
pub mod range;
pub mod reply;
pub mod respond;
pub mod routes;
pub mod server;
mod socket;
pub mod starting;
pub mod trace;
pub mod wire;

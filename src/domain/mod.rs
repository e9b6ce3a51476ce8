//! What a registry is: names, versions, owners, tokens, and the decisions about them.
//!
//! Nothing here does I/O, reads a clock, knows HTTP, a database or a serialisation framework. Time and random ids
//! arrive as arguments. Start reading at [`permission`] and [`publish`].

pub mod audit;
pub mod backup;
pub mod caller;
pub mod change;
pub mod closure;
pub mod create;
pub mod digest;
pub mod entry;
pub mod event;
pub mod fold;
pub mod govern;
pub mod id;
pub mod json;
pub mod media;
pub mod members;
pub mod name;
pub mod namespace;
pub mod package;
pub mod password;
pub mod patch;
pub mod permission;
pub mod publish;
pub mod purge;
pub mod refusal;
pub mod requirement;
pub mod resolve;
pub mod search;
pub mod text;
pub mod time;
pub mod token;
pub mod tokens;
pub mod upload;
pub mod user;
pub mod users;
pub mod version;
pub mod yank;

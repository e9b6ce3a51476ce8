//! A package registry in one static binary and one data directory.
//!
//! # The map
//!
//! A request goes down by call and up by return value; nothing calls back up:
//!
//! - [`http`]: accepts connections, finds the route, checks access, decodes, encodes. Knows HTTP and JSON, no rules.
//! - [`services`]: the order of steps of each operation. Knows no HTTP and no tables.
//! - [`storage`]: the contracts `Metadata` and `Blobs`, and what implements them on one disk.
//! - [`domain`]: names, versions, permissions and decisions. Pure: no I/O, no clock, no serialisation.
//!
//! Beside that line stand [`config`] (what can be set), [`telemetry`] (what is logged) and [`cli`] (the only place
//! that wires the layers together). `docs/architecture.md` tells the same with a publish and a download as examples.

pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod services;
pub mod storage;
pub mod telemetry;

//! The HTTP contract, tested through the public door: a registry in this process, asked over TCP.
#![expect(clippy::expect_used, reason = "a test that can't be set up has failed")]
#![expect(clippy::print_stderr, reason = "seeds, measurements and missing inputs are told")]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod accounts;
mod conventions;
mod crates;
mod discovery;
mod download;
mod govern;
mod jobs;
mod multipart;
mod publish;
mod races;
mod uploads;
mod vix_index;

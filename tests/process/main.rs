//! The built program as a process: what it prints, how it ends, what it leaves on disk, what signals do to it, what it
//! needs of memory, and what others can see of its secrets.
#![expect(clippy::expect_used, reason = "a test that can't be set up has failed")]
#![expect(clippy::print_stderr, reason = "seeds, measurements and missing inputs are told")]

mod binary;
mod bit_rot;
mod directory;
mod first_admin;
mod full_disk;
mod kill9;
mod memory;
mod opening;
mod operations;
mod program;
mod secrets;
mod serve;
mod verbs;

#[expect(dead_code, unused_imports, reason = "processes need a part of it")]
#[path = "../support/mod.rs"]
mod support;

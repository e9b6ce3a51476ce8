//! Power loss and failing disks, at every call (issue: Shows 1 and 2).
//!
//! A run is recorded on a simulated disk; then the power is lost after each call, and what could be left is opened.
//! `VIXR_TEST_SEED` repeats a run, `VIXR_TEST_BUDGET=long` makes it a campaign; both are printed.
#![expect(clippy::expect_used, reason = "a test that can't be set up has failed")]
#![expect(clippy::print_stderr, reason = "seeds and measurements are told")]

mod blobs;
mod faults;
mod index;
mod journal;
mod mates;
mod power;
mod random;
mod registry;
mod rules;
mod sim;
mod told;

//! Every setting acts: the built program is started with each key set to something else than its default, and the
//! difference is seen from outside. A key that no test sees fails the last test here.
#![expect(clippy::expect_used, reason = "a test that can't be set up has failed")]
#![expect(clippy::print_stderr, reason = "which key is looked at, and what could not be seen, is told")]

mod access;
mod aliases;
mod connections;
mod limits;
mod logins;
#[expect(dead_code, reason = "settings need a part of it")]
#[path = "../process/program.rs"]
mod program;
mod registry;
mod stores;

#[expect(dead_code, unused_imports, reason = "settings need a part of it")]
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use vix_registry::config::KEYS;

use registry::Check;

const GROUPS: &[&[Check]] = &[
    access::CLOSED,
    access::REACHED,
    aliases::TEXT,
    aliases::QUIET,
    connections::TIMERS,
    connections::CROWD,
    connections::WORK,
    limits::LIMITS,
    logins::LIVES,
    logins::FAILURES,
    logins::CROWD,
    stores::STORES,
    stores::JOURNAL,
    stores::LARGE,
    stores::FULL,
];

#[test]
fn every_key_has_a_test() {
    let known: BTreeSet<&str> = KEYS.iter().map(|key| key.name).collect();
    let seen: Vec<&str> = GROUPS.iter().flat_map(|group| group.iter()).map(|check| check.key).collect();
    let once: BTreeSet<&str> = seen.iter().copied().collect();
    assert_eq!(seen.len(), once.len(), "one test for a key is enough");
    let unseen: Vec<_> = known.difference(&once).collect();
    assert!(unseen.is_empty(), "no test sees these keys act: {unseen:?}");
    assert_eq!(known, once);
}

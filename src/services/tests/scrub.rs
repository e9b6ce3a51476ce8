//! What the verification of rows finds in a registry that services filled.

use super::bench::{Bench, member, package, version};
use crate::domain::change::Setting;
use crate::domain::event::Log;
use crate::domain::package::{Dependency, DependencyKind, Role, Visibility};
use crate::domain::token::Scope;
use crate::services::packages::Removal;
use crate::services::versions::VersionRef;
use crate::storage::keys;
use crate::storage::progress::Unwatched;
use crate::storage::rows::{BlobRow, Row as _, empty_row};
use crate::storage::scrub::fixture_tests::Past;
use crate::storage::scrub::memory_tests::MemoryRows;
use crate::storage::scrub::rows::check_rows;
use crate::storage::scrub::{Finding, Findings};
use crate::storage::tables::{Counter, Table};

/// The states of a registry with something in nearly every table in the end.
pub(super) async fn past() -> Past {
    let bench = Bench::new();
    let mut past = Past::default();
    let (pia, tom, admin) = (bench.user("pia").await, bench.user("tom").await, bench.admin().await);
    let again = bench.token("tom", Scope::Read, "gk/*").await;
    past.states.push(bench.rows().await);
    let needs = |name: &str, kind| Dependency { name: package(name), req: "^1".to_owned(), kind, optional: false };
    for number in ["1.0.0", "1.1.0-rc.1", "2.0.0"] {
        let both = vec![needs("hmac", DependencyKind::Normal), needs("hmac", DependencyKind::Dev)];
        bench.publish_needing(&pia, "gk/jwt", number, Some(both)).await;
        past.states.push(bench.rows().await);
    }
    bench.publish(&tom, "hmac", "1.0.0").await;
    bench.publish(&tom, "gone", "1.0.0").await;
    past.states.push(bench.rows().await);
    bench.create(&pia, "gk/secret", Some(Visibility::Private)).await.unwrap();
    bench.publish(&pia, "gk/secret", "0.1.0").await;
    past.states.push(bench.rows().await);
    let services = &bench.services;
    services.members.put(&pia, &member("gk/jwt", "tom"), Role::Publisher).await.unwrap();
    past.states.push(bench.rows().await);
    services.yanks.patch(&pia, &version("gk/jwt", "1.0.0"), super::versions::yank(true)).await.unwrap();
    past.states.push(bench.rows().await);
    services.yanks.purge(&admin, &version("gk/jwt", "2.0.0"), None).await.unwrap();
    past.states.push(bench.rows().await);
    services.packages.remove(&admin, &package("gone"), Removal::Purge { reason: None }, None).await.unwrap();
    past.states.push(bench.rows().await);
    let found = services.downloads.artifact(&pia, &package("hmac"), VersionRef::Latest, None).await.unwrap();
    services.downloads.count(&found);
    services.downloads.flush_counts().await.unwrap();
    assert!(again.caller.user().is_some());
    bench.check_rows().await;
    past.states.push(bench.rows().await);
    past.blobs = bench.blobs();
    past
}

async fn filled() -> MemoryRows {
    past().await.states.pop().unwrap()
}

fn findings(rows: &MemoryRows) -> Vec<Finding> {
    let mut findings = Findings::default();
    check_rows(rows, &Unwatched, &mut findings).unwrap();
    findings.list().to_vec()
}

/// Rows that nothing else tells of, so that their absence can't show: a comparison with the journal shows it.
fn may_be_missing(table: Table, key: &[u8], value: &[u8]) -> bool {
    let always = [Table::Uploads, Table::Audit].contains(&table);
    let setting = table == Table::Settings && key != [Setting::History as u8];
    let ticks = table == Table::Counters && key == [Counter::Ticks as u8];
    let dropped = || table == Table::Blobs && BlobRow::from_row(table, value).unwrap().count == 0;
    always || setting || ticks || dropped()
}

#[tokio::test]
async fn each_row_that_is_missing_or_emptied_is_found() {
    let rows = filled().await;
    assert_eq!(findings(&rows), []);
    let mut seen = 0;
    for table in Table::ALL {
        for (key, value) in rows.0[usize::from(*table as u8)].clone() {
            let mut broken = rows.clone();
            broken.table(*table).remove(&key);
            let missing = findings(&broken);
            assert!(!missing.is_empty() || may_be_missing(*table, &key, &value), "{table:?} {key:02x?} missing");
            assert!(missing.iter().all(|finding| finding.file == "meta.redb" && !finding.fix.is_empty()));
            broken.table(*table).insert(key.clone(), Vec::new());
            let emptied = findings(&broken);
            assert!(!emptied.is_empty() || (*table == Table::Settings && key != [0]), "{table:?} {key:02x?} emptied");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}

#[tokio::test]
async fn each_row_that_nothing_accounts_for_is_found() {
    let rows = filled().await;
    for table in Table::ALL {
        let some = rows.0[usize::from(*table as u8)].iter().next_back();
        let Some((key, value)) = some else { continue };
        if matches!(table, Table::Settings | Table::UserNames | Table::Counters) {
            continue;
        }
        let mut broken = rows.clone();
        let mut other = key.clone();
        let last = other.len() - 1;
        other[last] ^= 1;
        broken.table(*table).insert(other.clone(), value.clone());
        assert!(!findings(&broken).is_empty(), "{table:?} {other:02x?}");
    }
}

#[track_caller]
fn check(rows: &MemoryRows, change: impl FnOnce(&mut MemoryRows), expected: &str) {
    let mut broken = rows.clone();
    change(&mut broken);
    let found = findings(&broken);
    assert!(found.iter().any(|finding| finding.what.contains(expected)), "{expected}: {found:#?}");
}

#[tokio::test]
async fn rows_that_say_something_else_are_named() {
    let rows = filled().await;
    for counter in [Counter::Packages, Counter::Versions, Counter::Users, Counter::Tokens, Counter::Blobs] {
        let more =
            |rows: &mut MemoryRows| drop(rows.table(Table::Counters).insert(vec![counter as u8], 77_u64.to_row()));
        check(&rows, more, &format!("counter {counter:?} says 77"));
    }
    let recount = |rows: &mut MemoryRows| {
        for value in rows.table(Table::Blobs).values_mut() {
            let row = BlobRow::from_row(Table::Blobs, value).unwrap();
            *value = BlobRow { count: row.count + 1, ..row }.to_row();
        }
    };
    check(&rows, recount, "versions refer to it, but");
    let stray = |rows: &mut MemoryRows| drop(rows.table(Table::BlobRefs).insert(vec![7; 60], empty_row()));
    check(&rows, stray, "no such version refers to this blob");
    let unyank = |rows: &mut MemoryRows| {
        let serial = rows.table(Table::Events).values().position(|entry| entry.windows(6).any(|six| six == b"yanked"));
        let key = keys::event(Log::Public, serial.unwrap() as u64);
        let entry = String::from_utf8(rows.table(Table::Events)[&key].clone()).unwrap();
        let entry = entry.replace("version.yanked", "version.unyanked").into_bytes();
        let leaf = crate::domain::event::leaf_hash(&entry).0.to_vec();
        rows.table(Table::Leaves).insert(key.clone(), leaf);
        rows.table(Table::Events).insert(key, entry);
    };
    check(&rows, unyank, "differs from the event log: version 1.0.0 differs");
    let gap = |rows: &mut MemoryRows| {
        for table in [Table::Events, Table::Leaves] {
            rows.table(table).remove(&keys::event(Log::Public, 1)).unwrap();
        }
    };
    check(&rows, gap, "the public log has a gap");
}

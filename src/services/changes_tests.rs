//! The feed of changes over real rows, and its waits.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::*;
use crate::domain::caller::Caller;
use crate::domain::change::{Change, Setting};
use crate::domain::digest::Sha256;
use crate::domain::event::{Event, Fact};
use crate::domain::package::{MemberOf, Role, Visibility};
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;
use crate::services::fixture_tests::{Registry, name, refused};
use crate::storage::rows::Parent;

fn after(after: u64, log: Log) -> ChangesQuery {
    ChangesQuery { log, after, limit: CHANGES_MAX, wait: Duration::ZERO }
}

async fn list(registry: &Registry, caller: &Caller, query: ChangesQuery) -> ChangePage {
    registry.services.changes.list(&registry.context(caller), query).await.unwrap()
}

/// Each change as `serial type what`.
fn told(page: &ChangePage) -> Vec<String> {
    let what = |change: &ChangeRecord| change.package.clone().or_else(|| change.namespace.clone()).unwrap();
    page.changes.iter().map(|change| format!("{} {} {}", change.serial, change.kind, what(change))).collect()
}

fn created(log: Log, package: &str) -> Change {
    Change::Event(Event { log, time: Timestamp(0), fact: Fact::PackageCreated { package: name(package) } })
}

#[tokio::test]
async fn the_public_log_tells_everything_from_its_first_fact_on() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    registry.publish_each(&pia, Visibility::Public, &["gk/jwt"]).await;
    registry.publish_each(&pia, Visibility::Private, &["gk/hidden"]).await;
    let page = list(&registry, &Caller::Anonymous, after(0, Log::Public)).await;
    let expected = [
        "1 namespace.created gk",
        "2 owner.added gk",
        "3 package.created gk/jwt",
        "4 owner.added gk/jwt",
        "5 version.published gk/jwt",
    ];
    assert_eq!(told(&page), expected);
    assert_eq!((page.last, page.public), (5, true));
    let published = &page.changes[4];
    assert_eq!(published.version.as_deref(), Some("1.0.0"));
    assert_eq!(published.sha256, Some(Sha256::of(b"gk/jwt 1.0.0").to_hex()));
    assert_eq!(published.size, Some(12));
    assert_eq!(page.changes[1].owner, pia.user().map(|user| user.to_string()));
    let next = list(&registry, &pia, ChangesQuery { limit: 2, ..after(1, Log::Public) }).await;
    assert_eq!(told(&next), expected[1..3]);
    assert_eq!(next.last, 3);
    let end = list(&registry, &pia, after(5, Log::Public)).await;
    assert_eq!((end.changes.len(), end.last, end.history), (0, 5, page.history));
}

#[tokio::test]
async fn the_internal_log_shows_what_the_caller_may_read_now_and_moves_past_the_rest() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let max = registry.user("max", Scope::Publish, "*").await;
    let root = registry.user("root", Scope::Admin, "*").await;
    registry.publish_each(&pia, Visibility::Private, &["gk/a", "gk/b"]).await;
    let anonymous = registry.services.changes.list(&registry.anonymous(), after(0, Log::Internal)).await;
    assert_eq!(refused(anonymous).reason, Reason::MissingToken);
    assert_eq!(list(&registry, &pia, after(0, Log::Internal)).await.changes.len(), 6);
    assert_eq!(list(&registry, &root, after(0, Log::Internal)).await.changes.len(), 6);
    let hidden = list(&registry, &max, after(0, Log::Internal)).await;
    assert_eq!((hidden.changes.len(), hidden.last, hidden.public), (0, 6, false));
    registry.make_member(MemberOf::Package(name("gk/b")), &max, Role::Reader).await;
    let shown = list(&registry, &max, after(0, Log::Internal)).await;
    assert_eq!(told(&shown), ["4 package.created gk/b", "5 owner.added gk/b", "6 version.published gk/b"]);
}

#[tokio::test]
async fn a_history_that_went_on_from_a_copy_tells_where_it_left_its_parent() {
    let registry = Registry::new();
    let root = registry.user("root", Scope::Admin, "*").await;
    let history = HistoryRow { id: Id(7), parent: Some(Parent { id: Id(6), frame: 9, public: 4, internal: 2 }) };
    registry.record(vec![Change::PutSetting { key: Setting::History, value: Some(history.to_bytes()) }]).await;
    for (log, serial) in [(Log::Public, 4), (Log::Internal, 2)] {
        let page = list(&registry, &root, after(0, log)).await;
        assert_eq!((page.history, page.parent), (Id(7), Some((Id(6), serial))), "{log:?}");
    }
}

#[tokio::test]
async fn an_answer_looks_at_a_bounded_number_of_entries() {
    let registry = Registry::new();
    let max = registry.user("max", Scope::Publish, "*").await;
    registry.record((0..ENTRIES_MAX + 5).map(|_| created(Log::Internal, "gk/hidden")).collect()).await;
    let ask = ChangesQuery { wait: WAIT_MAX, ..after(0, Log::Internal) };
    let page = list(&registry, &max, ask).await;
    assert_eq!((page.changes.len(), page.last), (0, ENTRIES_MAX), "it does not wait while there is more to look at");
    let page = list(&registry, &max, after(page.last, Log::Internal)).await;
    assert_eq!(page.last, ENTRIES_MAX + 5);
}

#[tokio::test]
async fn a_wait_ends_with_the_first_change_that_the_caller_sees() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let context = registry.context(&pia);
    let ask = ChangesQuery { wait: WAIT_MAX, ..after(0, Log::Public) };
    let mut waiting = pin!(registry.services.changes.list(&context, ask));
    // Once, to see that it has nothing to say yet; it goes on when a commit wakes it.
    let first = poll_fn(|task| Poll::Ready(waiting.as_mut().poll(task))).await;
    assert!(first.is_pending());
    let (page, ()) = tokio::join!(waiting, async {
        registry.record(vec![created(Log::Internal, "gk/hidden")]).await;
        registry.record(vec![created(Log::Public, "gk/jwt")]).await;
    });
    assert_eq!(told(&page.unwrap()), ["1 package.created gk/jwt"]);
}

#[tokio::test]
async fn a_wait_ends_with_its_time_or_with_the_server() {
    let registry = Registry::new();
    let ask = |wait| ChangesQuery { wait, ..after(0, Log::Public) };
    let page = list(&registry, &Caller::Anonymous, ask(Duration::from_millis(5))).await;
    assert_eq!((page.changes.len(), page.last), (0, 0));
    let context = registry.anonymous();
    let mut waiting = pin!(registry.services.changes.list(&context, ask(WAIT_MAX)));
    assert!(poll_fn(|task| Poll::Ready(waiting.as_mut().poll(task))).await.is_pending());
    registry.services.changes.end_waits();
    assert!(waiting.await.unwrap().changes.is_empty());
    assert!(list(&registry, &Caller::Anonymous, ask(WAIT_MAX)).await.changes.is_empty());
}

#[tokio::test]
async fn a_revoked_token_ends_with_its_wait() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let id = pia.token().unwrap().token;
    let mut token = registry.stores.metadata.read(Cost::Point, move |view| view.token(id)).await.unwrap().unwrap();
    token.revoked_at = Some(Timestamp(1));
    registry.record(vec![Change::PutToken(Box::new(token))]).await;
    let answer = registry.services.changes.list(&registry.context(&pia), after(0, Log::Internal)).await;
    assert_eq!(refused(answer).reason, Reason::RevokedToken);
}

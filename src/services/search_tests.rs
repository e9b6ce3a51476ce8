//! Lists and searches over real rows.

use super::*;
use crate::domain::caller::Caller;
use crate::domain::change::Change;
use crate::domain::package::Description;
use crate::domain::token::Scope;
use crate::services::fixture_tests::{Registry, name, number, refused, request};
use crate::services::publish::PublishRequest;

fn query(sort: Sort) -> SearchQuery {
    SearchQuery { words: None, namespace: None, owner: None, keyword: None, sort, beyond: None, limit: 200 }
}

fn by_relevance(text: &str) -> SearchQuery {
    SearchQuery { words: Words::parse(text).unwrap(), ..query(Sort::Relevance) }
}

async fn list(registry: &Registry, caller: &Caller, query: SearchQuery) -> PackagePage {
    registry.services.search.list(&registry.context(caller), query).await.unwrap()
}

fn names(page: &PackagePage) -> Vec<String> {
    page.packages.iter().map(|detail| detail.package.name.to_string()).collect()
}

/// What the caller sees, whole and then page by page.
#[track_caller]
fn check(registry: &Registry, caller: &Caller, query: &SearchQuery, expected: &[&str]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        assert_eq!(names(&list(registry, caller, query.clone()).await), expected, "whole");
        for limit in 1..4 {
            let mut seen = Vec::new();
            let mut ask = SearchQuery { limit, ..query.clone() };
            loop {
                let page = list(registry, caller, ask.clone()).await;
                seen.extend(names(&page));
                match page.next {
                    Some(next) => {
                        assert_eq!(page.packages.len(), limit, "a page is full unless it is the last");
                        ask.beyond = Some(next);
                    }
                    None => break,
                }
            }
            assert_eq!(seen, expected, "pages of {limit}");
        }
    });
}

/// Two users with public and private packages, one of them purged.
async fn filled() -> (Registry, Caller, Caller) {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let max = registry.user("max", Scope::Publish, "*").await;
    registry.publish_each(&pia, Visibility::Public, &["gk/zip", "json", "gk/jwt"]).await;
    registry.publish_each(&max, Visibility::Private, &["secret/jwt", "secret/a"]).await;
    registry.publish_each(&max, Visibility::Public, &["a-json", "gone"]).await;
    let read = |view: &View<'_>| view.package(&name("gone"));
    let mut gone = registry.stores.metadata.read(Cost::Point, read).await.unwrap().unwrap();
    gone.purged_at = Some(gone.created_at);
    registry.record(vec![Change::PutPackage(Box::new(gone))]).await;
    for (package, count) in [("json", 5), ("gk/jwt", 9), ("secret/a", 7)] {
        let version_key = number("1.0.0").precedence_key();
        registry.record(vec![Change::AddDownloads { package: name(package), version_key, count }]).await;
    }
    (registry, pia, max)
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

#[test]
fn each_order_shows_what_the_caller_may_read_and_nothing_purged() {
    let (registry, pia, max) = in_runtime(filled());
    for caller in [&Caller::Anonymous, &pia] {
        check(&registry, caller, &query(Sort::Name), &["a-json", "gk/jwt", "gk/zip", "json"]);
        check(&registry, caller, &query(Sort::Updated), &["a-json", "gk/jwt", "json", "gk/zip"]);
        check(&registry, caller, &query(Sort::Downloads), &["gk/jwt", "json", "gk/zip", "a-json"]);
        check(&registry, caller, &by_relevance("jwt"), &["gk/jwt"]);
    }
    let all = ["a-json", "gk/jwt", "gk/zip", "json", "secret/a", "secret/jwt"];
    check(&registry, &max, &query(Sort::Name), &all);
    check(&registry, &max, &query(Sort::Relevance), &all);
    check(&registry, &Caller::Local { uid: 0 }, &query(Sort::Name), &all);
    check(&registry, &max, &by_relevance("jwt"), &["gk/jwt", "secret/jwt"]);
    check(&registry, &max, &query(Sort::Downloads), &["gk/jwt", "secret/a", "json", "secret/jwt", "gk/zip", "a-json"]);
}

#[test]
fn members_and_patterns_limit_what_private_packages_are_shown() {
    let (registry, pia, _) = in_runtime(filled());
    let narrow = in_runtime(registry.user("nia", Scope::Publish, "other/*"));
    let of_package = MemberOf::Package(name("secret/a"));
    in_runtime(registry.make_member(of_package, &pia, Role::Reader));
    in_runtime(registry.make_member(
        MemberOf::Namespace(NamespaceName::parse("secret").unwrap()),
        &narrow,
        Role::Owner,
    ));
    check(&registry, &pia, &query(Sort::Name), &["a-json", "gk/jwt", "gk/zip", "json", "secret/a"]);
    check(&registry, &narrow, &query(Sort::Name), &["a-json", "gk/jwt", "gk/zip", "json"]);
    let page = |caller: &Caller, limit| in_runtime(list(&registry, caller, SearchQuery { limit, ..query(Sort::Name) }));
    assert!(page(&pia, 3).public, "all that the page rests on is public");
    assert!(!page(&pia, 4).public, "that there is another page is not");
    assert!(page(&narrow, 4).public);
}

#[test]
fn filters_go_together_with_each_order() {
    let (registry, pia, max) = in_runtime(filled());
    let gk = NamespaceName::parse("gk").ok();
    for (sort, expected) in [(Sort::Name, ["gk/jwt", "gk/zip"]), (Sort::Updated, ["gk/jwt", "gk/zip"])] {
        check(&registry, &pia, &SearchQuery { namespace: gk.clone(), ..query(sort) }, &expected);
    }
    let of_max = |sort| SearchQuery { owner: UserName::parse("max").ok(), ..query(sort) };
    check(&registry, &max, &of_max(Sort::Name), &["a-json", "secret/a", "secret/jwt"]);
    check(&registry, &max, &of_max(Sort::Updated), &["a-json", "secret/a", "secret/jwt"]);
    check(&registry, &max, &of_max(Sort::Downloads), &["secret/a", "secret/jwt", "a-json"]);
    check(&registry, &pia, &of_max(Sort::Name), &["a-json"]);
    let nobody = SearchQuery { owner: UserName::parse("nobody").ok(), ..query(Sort::Name) };
    check(&registry, &max, &nobody, &[]);
    check(&registry, &pia, &SearchQuery { sort: Sort::Downloads, ..by_relevance("json") }, &["json", "a-json"]);
    check(&registry, &pia, &by_relevance("json"), &["json", "a-json"]);
    check(&registry, &pia, &SearchQuery { namespace: gk, ..by_relevance("json") }, &[]);
}

#[test]
fn texts_of_the_latest_version_are_searched_where_the_package_has_none() {
    let (registry, pia, _) = in_runtime(filled());
    let about = Description {
        description: Some("Reads TOML".to_owned()),
        keywords: Some(vec!["config".to_owned()]),
        ..Description::default()
    };
    in_runtime(registry.publish(&pia, PublishRequest { about, ..request("gk/settings-file", "1.0.0") }));
    check(&registry, &Caller::Anonymous, &by_relevance("toml config"), &["gk/settings-file"]);
    let keyword = |word: &str| SearchQuery { keyword: Some(word.to_owned()), ..query(Sort::Name) };
    check(&registry, &Caller::Anonymous, &keyword("config"), &["gk/settings-file"]);
    check(&registry, &Caller::Anonymous, &keyword("conf"), &[]);
}

#[test]
fn pages_go_on_where_they_ended_when_packages_come_between() {
    let (registry, pia, _) = in_runtime(filled());
    let first = SearchQuery { limit: 2, ..query(Sort::Name) };
    let page = in_runtime(list(&registry, &pia, first.clone()));
    assert_eq!(names(&page), ["a-json", "gk/jwt"]);
    in_runtime(registry.publish_each(&pia, Visibility::Public, &["a-first", "gk/new"]));
    let registry = registry.restarted();
    let rest = in_runtime(list(&registry, &pia, SearchQuery { beyond: page.next, limit: 9, ..first }));
    assert_eq!(names(&rest), ["gk/new", "gk/zip", "json"]);
}

#[test]
fn a_place_of_another_order_is_no_cursor() {
    let registry = Registry::new();
    for (sort, place) in
        [(Sort::Name, &b"A/"[..]), (Sort::Name, b"\xff"), (Sort::Updated, b"json"), (Sort::Updated, b"")]
    {
        let ask = SearchQuery { beyond: Some(place.to_vec()), ..query(sort) };
        let refusal = refused(in_runtime(registry.services.search.list(&registry.anonymous(), ask)));
        assert_eq!(refusal.reason, Reason::InvalidCursor);
    }
}

//! Tests of [`super`]: what is refused, what is clamped, what a cursor belongs to.

use proptest::prelude::*;

use super::*;

const KEYS: &[QueryKey] = &[
    QueryKey { name: "dry_run", kind: QueryKind::Bool, doc: "" },
    QueryKey { name: "limit", kind: QueryKind::Limit { max: PAGE_MAX }, doc: "" },
    QueryKey { name: "cursor", kind: QueryKind::Cursor, doc: "" },
    QueryKey { name: "q", kind: QueryKind::Text { max: 8 }, doc: "" },
    QueryKey { name: "sort", kind: QueryKind::Choice(&["name", "updated"]), doc: "" },
    QueryKey { name: "req", kind: QueryKind::Requirement, doc: "" },
    QueryKey { name: "after", kind: QueryKind::Serial, doc: "" },
    QueryKey { name: "wait", kind: QueryKind::Seconds { max: 60 }, doc: "" },
    QueryKey { name: "since", kind: QueryKind::Time, doc: "" },
    QueryKey { name: "package", kind: QueryKind::Package, doc: "" },
    QueryKey { name: "namespace", kind: QueryKind::Namespace, doc: "" },
    QueryKey { name: "owner", kind: QueryKind::Principal, doc: "" },
    QueryKey { name: "id", kind: QueryKind::Id, doc: "" },
];

fn parse(raw: &str) -> Result<Query, Refusal> {
    Query::parse(KEYS, Some(raw), "list a")
}

#[track_caller]
fn refused(raw: &str, reason: Reason) -> String {
    let refusal = parse(raw).unwrap_err();
    assert_eq!(refusal.reason, reason, "{raw}: {}", refusal.message);
    assert_eq!(refusal.details.len(), 1, "{raw} names its parameter");
    refusal.message
}

#[test]
fn a_mistyped_parameter_is_refused_with_the_nearest_one() {
    let message = refused("dryrun=true", Reason::UnknownParameter);
    assert!(message.contains("did you mean `dry_run`"), "{message}");
    assert!(refused("nonsense", Reason::UnknownParameter).contains("it takes `dry_run`, `limit`"));
    assert!(refused("Q=1", Reason::UnknownParameter).contains("`q`"));
    let none = Query::parse(&[], Some("a=1"), "").unwrap_err();
    assert!(none.message.contains("it takes none"), "{}", none.message);
}

#[test]
fn a_parameter_comes_once() {
    refused("q=a&q=a", Reason::DuplicateParameter);
    refused("q=a&%71=b", Reason::DuplicateParameter);
    assert!(parse("q=a&&").is_ok());
    assert!(Query::parse(KEYS, None, "").is_ok());
}

#[test]
fn booleans_are_true_false_or_bare() {
    assert!(parse("dry_run").unwrap().is_on("dry_run"));
    assert!(parse("dry_run=true").unwrap().is_on("dry_run"));
    assert!(!parse("dry_run=false").unwrap().is_on("dry_run"));
    assert!(!parse("").unwrap().is_on("dry_run"));
    for wrong in ["dry_run=", "dry_run=1", "dry_run=True", "dry_run=yes"] {
        refused(wrong, Reason::InvalidParameter);
    }
}

#[test]
fn limits_are_clamped_with_a_warning() {
    let check = |raw: &str, limit, warned| {
        let query = parse(raw).unwrap();
        assert_eq!(query.limit(), limit, "{raw}");
        assert_eq!(query.warnings.iter().any(|warning| warning.reason == "limit_clamped"), warned, "{raw}");
    };
    check("", 50, false);
    check("limit=1", 1, false);
    check("limit=200", 200, false);
    check("limit=0", 1, true);
    check("limit=-3", 1, true);
    check("limit=201", 200, true);
    check("limit=99999999999999999999999", 200, true);
    for wrong in ["limit=", "limit", "limit=ten", "limit=1.5", "limit=+1", "limit=-"] {
        refused(wrong, Reason::InvalidParameter);
    }
}

#[test]
fn values_are_of_their_kind() {
    let query = parse("req=%5E1.2+x&package=gk/jwt&owner=user:pia&since=2026-01-31T12:00:00Z&after=7&q=a+b");
    assert_eq!(query.unwrap_err().reason, Reason::InvalidRequirement);
    let query = parse("req=%5E1.2&package=gk%2Fjwt&owner=user:pia&since=2026-01-31T12:00:00Z&after=7&q=a+b").unwrap();
    assert_eq!(query.requirement("req").unwrap().as_str(), "^1.2");
    assert_eq!(query.package("package").unwrap().to_string(), "gk/jwt");
    assert_eq!(query.principal("owner").unwrap().to_string(), "user:pia");
    assert_eq!(query.time("since").unwrap().to_string(), "2026-01-31T12:00:00.000Z");
    assert_eq!(query.number("after"), Some(7));
    assert_eq!(query.text("q"), Some("a+b"), "a plus stays a plus");
    assert_eq!(query.id("id"), None);
    refused("q=123456789", Reason::InvalidParameter);
    refused("q=%0a", Reason::InvalidParameter);
    refused("q=%ff", Reason::InvalidParameter);
    refused("q=%", Reason::InvalidParameter);
    refused("q", Reason::InvalidParameter);
    assert!(refused("sort=size", Reason::InvalidParameter).contains("`name`, `updated`"));
    refused("after=-1", Reason::InvalidParameter);
    refused("after=18446744073709551616", Reason::InvalidParameter);
    refused("wait=61", Reason::InvalidParameter);
    refused("since=today", Reason::InvalidParameter);
    refused("package=A", Reason::InvalidName);
    refused("namespace=a.b", Reason::InvalidName);
    refused("owner=pia", Reason::InvalidName);
    refused("id=x", Reason::InvalidParameter);
    refused("cursor=x", Reason::InvalidCursor);
}

#[test]
fn a_cursor_belongs_to_its_filters_but_not_to_the_page_size_or_order_of_parameters() {
    let first = parse("q=a&sort=name&limit=10").unwrap();
    let cursor = first.cursor_at(b"here");
    let next = first.with_cursor(&cursor);
    assert_eq!(parse(&next).unwrap().position(), Some(&b"here"[..]));
    let same = parse(&format!("sort=name&limit=20&cursor={cursor}&q=%61")).unwrap();
    assert_eq!(same.position(), Some(&b"here"[..]));
    assert_eq!(same.with_cursor("next"), "sort=name&limit=20&q=%61&cursor=next");
    refused(&format!("q=b&sort=name&cursor={cursor}"), Reason::InvalidCursor);
    refused(&format!("q=a&cursor={cursor}"), Reason::InvalidCursor);
    let elsewhere = Query::parse(KEYS, Some(&next), "list b").unwrap_err();
    assert_eq!(elsewhere.reason, Reason::InvalidCursor);
}

proptest! {
    #[test]
    fn parsing_never_panics(raw in "((q|limit|cursor|req|dry_run|after|x)=?|[&=%+]|%[0-9a-f]{2}|\\PC){0,12}") {
        if let Err(refusal) = parse(&raw) {
            prop_assert!(!refusal.message.contains(char::is_control));
        }
    }
}

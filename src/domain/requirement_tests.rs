//! Tables and properties of requirements.

use super::*;
use proptest::prelude::*;

fn version(text: &str) -> VersionNumber {
    VersionNumber::parse(text).unwrap()
}

fn requirement(text: &str) -> Requirement {
    Requirement::parse(text).unwrap()
}

/// `good` and `bad` are lists of versions with blanks between them.
fn check_with(prereleases: Prereleases, req: &str, good: &str, bad: &str) {
    let parsed = requirement(req);
    for (list, expected) in [(good, true), (bad, false)] {
        for text in list.split_whitespace() {
            assert_eq!(parsed.matches(&version(text), prereleases), expected, "{req} with {text}, {prereleases:?}");
        }
    }
}

fn check(req: &str, good: &str, bad: &str) {
    check_with(Prereleases::OnlyNamed, req, good, bad);
}

#[test]
fn carets_hold_the_first_number_that_is_not_zero() {
    check("^1.2.3", "1.2.3 1.2.4 1.9.0 1.2.3+b", "1.2.2 2.0.0 1.2.3-rc.1 1.3.0-rc.1 2.0.0-rc.1");
    check("^0.2.0", "0.2.0 0.2.9", "0.1.9 0.3.0 1.0.0 0.3.0-a");
    check("^0.0.1", "0.0.1", "0.0.0 0.0.2 0.1.0");
    check("^1.2", "1.2.0 1.9.9", "1.1.9 2.0.0");
    check("^0.2", "0.2.0 0.2.5", "0.1.9 0.3.0");
    check("^0.0", "0.0.0 0.0.9", "0.1.0");
    check("^0", "0.0.0 0.9.9", "1.0.0");
    check("^1", "1.0.0 1.9.9", "0.9.9 2.0.0");
    check("^1.x", "1.0.0 1.9.9", "0.9.9 2.0.0");
    check("^*", "0.0.0 9.9.9", "1.0.0-rc.1");
}

#[test]
fn tildes_hold_the_minor_number() {
    check("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0");
    check("~1.2", "1.2.0 1.2.9", "1.1.9 1.3.0");
    check("~0.2", "0.2.0 0.2.9", "0.1.9 0.3.0");
    check("~1", "1.0.0 1.9.0", "0.9.0 2.0.0");
    check("~0.0.1", "0.0.1 0.0.9", "0.1.0 0.0.0");
}

#[test]
fn bare_versions_are_exact_and_bare_partials_wildcards() {
    for req in ["1.2.3", "=1.2.3", "v1.2.3", "= v1.2.3", "1.2.3+other"] {
        check(req, "1.2.3 1.2.3+b", "1.2.4 1.2.2 1.2.3-rc.1");
    }
    for req in ["1.2", "1.2.x", "1.2.X", "1.2.*", "=1.2", "v1.2"] {
        check(req, "1.2.0 1.2.9", "1.1.9 1.3.0 1.2.0-rc.1");
    }
    for req in ["1", "1.x", "1.x.x", "1.*.*", "=1"] {
        check(req, "1.0.0 1.9.9", "0.9.9 2.0.0");
    }
    for req in ["", "  ", "*", "x", "X.x.*", ">=*", "<=*", "=*"] {
        check(req, "0.0.0 9.9.9", "1.0.0-rc.1");
    }
}

#[test]
fn comparisons_take_partial_versions_as_a_whole() {
    check(">1.2", "1.3.0 2.0.0", "1.2.0 1.2.9");
    check("<=1.2", "0.1.0 1.2.9", "1.3.0 1.3.0-rc.1");
    check(">=1", "1.0.0 2.0.0", "0.9.9");
    check(">1", "2.0.0", "1.0.0 1.9.9");
    check("<1", "0.9.9", "1.0.0 1.0.0-rc.1");
    check("<=1", "0.9.9 1.9.9", "2.0.0");
    check(">1.2.3", "1.2.4", "1.2.3 1.2.3+b");
    check(">= 1.2.3", "1.2.3", "1.2.2");
    check("<=1.2.3", "1.2.3 0.1.0", "1.2.4");
}

#[test]
fn blank_and_comma_mean_and_bars_mean_or() {
    for req in [">=1.2 <2", ">=1.2,<2", ">=1.2, <2", " >= 1.2 ,\t< 2 "] {
        check(req, "1.2.0 1.9.9", "1.1.9 2.0.0");
    }
    for req in ["^1 || ^3", "^1||^3"] {
        check(req, "1.0.0 3.1.0", "2.0.0 4.0.0");
    }
    check(">=1 <1.5 || 2.0.0", "1.4.0 2.0.0", "1.5.0 2.0.1");
    check(">2 <1", "", "1.0.0 2.0.0 3.0.0");
}

#[test]
fn a_prerelease_needs_to_be_named_or_allowed() {
    check("^1.0.0-rc.1", "1.0.0-rc.1 1.0.0-rc.2 1.0.0 1.5.0", "1.0.0-beta 1.1.0-rc.2 2.0.0-rc.1");
    check("1.0.0-rc.1", "1.0.0-rc.1 1.0.0-rc.1+b", "1.0.0-rc.2 1.0.0");
    check(">=2.0.0-alpha <2.0.0", "2.0.0-alpha 2.0.0-rc.1", "2.0.0 1.9.0");
    check("<2.0.0-rc.2", "2.0.0-rc.1 1.0.0", "2.0.0-rc.2 2.0.0 1.9.0-rc.1");
    check("~1.2.3-b", "1.2.3-b 1.2.3-c 1.2.4", "1.2.3-a 1.2.4-c");
    check("^1 || 2.0.0-rc.1", "1.0.0 2.0.0-rc.1", "1.1.0-rc.1 2.0.0");

    let allowed = |req, good, bad| check_with(Prereleases::Allowed, req, good, bad);
    allowed("^1.2", "1.2.0 1.3.0-rc.1 1.9.0", "2.0.0-rc.1 1.2.0-rc.1 2.0.0");
    allowed("<2.0.0", "1.9.0-rc.1 1.0.0", "2.0.0-rc.1 2.0.0-0");
    allowed("<=1.2", "1.2.9-a", "1.3.0-a");
    allowed("<=2.0.0", "2.0.0-rc.1 2.0.0", "2.0.1-a");
    allowed(">=2.0.0-alpha <2.0.0", "2.0.0-rc.1", "2.0.0 1.9.9");
    allowed("<3.0.0-a ^2.0.0-rc.1", "2.0.0-rc.1", "3.0.0-0");
    allowed(">1.2", "1.3.1-a 2.0.0-a", "1.3.0-a 1.2.9");
    allowed("*", "0.0.0-0 1.0.0-rc.1 1.0.0", "");
    allowed("1.0.0", "1.0.0", "1.0.0-rc.1");
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let max = u64::MAX;
    check(&format!("^{max}"), &format!("{max}.0.0 {max}.{max}.{max}"), "1.0.0");
    check(&format!("~1.{max}"), &format!("1.{max}.5"), "1.0.0 2.0.0");
    check(&format!("^0.0.{max}"), &format!("0.0.{max}"), "0.0.1 0.1.0");
    check(&format!(">1.{max}"), "2.0.0", &format!("1.{max}.0"));
    assert!(Requirement::parse(&format!(">{max}")).is_err());
}

fn refused(text: &str, why: &str) {
    let refusal = Requirement::parse(text).unwrap_err();
    assert_eq!(refusal.reason, Reason::InvalidRequirement);
    assert!(refusal.message.contains(why), "{}", refusal.message);
    assert!(!refusal.message.contains(char::is_control) && refusal.message.len() < 500, "{:?}", refusal.message);
}

#[test]
fn what_is_no_requirement_is_refused_with_the_cause() {
    refused("1.0.0 - 2.0.0", "hyphen ranges are not known here; write `>=1.0.0 <=2.0.0`");
    refused("latest", "write `*`");
    refused("^1 | ^2", "write `||` for or");
    refused("^1 ||", "nothing on one side");
    refused("^1,,^2", "nothing on one side");
    refused(">=", "no version after `>=`");
    refused("> >=1", "`>=1` is not a version");
    refused("1.2.3.4", "more than three numbers");
    refused("1.x.3", "a number follows a wildcard");
    refused("01.2", "leading zero");
    refused("1.2-rc.1", "all three numbers");
    refused("1.2.x-rc.1", "all three numbers");
    refused("1.2.3-", "`1.2.3-` is not a version");
    refused("1.2.3-01", "`1.2.3-01` is not a version");
    refused("18446744073709551616", "past 64 bits");
    refused(">*", "match nothing");
    refused("nightly", "`nightly` is not a version");
    refused("1.0.0\n", "is not a version requirement");
    refused(">=1<2", "`1<2` is not a version");
    refused(&"1".repeat(257), "257 bytes; the limit is 256");
    refused(&"1 ".repeat(33), "more than 32 comparators");
    assert!(Requirement::parse(&["1"; 32].join("||")).is_ok());
}

#[test]
fn the_text_is_kept_as_given() {
    assert_eq!(requirement("  >= 1.2 , <2 ").as_str(), ">= 1.2 , <2");
    assert_eq!(requirement("v1 || 2.X").to_string(), "v1 || 2.X");
    assert_eq!(requirement("").to_string(), "*");
}

fn small_version() -> impl Strategy<Value = String> {
    (0_u64..3, 0_u64..3, 0_u64..3, "(-(a|b|0|a\\.1))?").prop_map(|(a, b, c, pre)| format!("{a}.{b}.{c}{pre}"))
}

/// A comparator that Cargo's grammar, our oracle here, reads in the same way.
fn comparator() -> impl Strategy<Value = String> {
    let partial = prop_oneof![
        small_version(),
        (0_u64..3, 0_u64..3).prop_map(|(a, b)| format!("{a}.{b}")),
        (0_u64..3).prop_map(|a| a.to_string()),
    ];
    ("\\^|~|>=|>|<=|<|=", partial).prop_map(|(operator, partial)| format!("{operator}{partial}"))
}

proptest! {
    #[test]
    fn parsing_and_matching_never_panic(text in "\\PC{0,60}|[0-9xv.*^~<>=|, a+-]{0,60}", v in small_version()) {
        if let Ok(req) = Requirement::parse(&text) {
            req.matches(&version(&v), Prereleases::OnlyNamed);
            prop_assert_eq!(requirement(req.as_str()), req);
        }
    }

    #[test]
    fn a_requirement_contains_its_base(v in small_version(), operator in "\\^|~|>=|<=|=|") {
        let req = requirement(&format!("{operator}{v}"));
        prop_assert!(req.matches(&version(&v), Prereleases::OnlyNamed));
    }

    #[test]
    fn conjunctions_agree_with_cargo(list in prop::collection::vec(comparator(), 1..4), v in small_version()) {
        // Cargo documents `=1.2` and its like as ranges, but takes no prerelease of those whatever other bounds name.
        let is_partial = |one: &String| one.matches('.').count() < 2;
        if v.contains('-') && list.iter().any(is_partial) {
            return Ok(());
        }
        let text = list.join(", ");
        let expected = semver::VersionReq::parse(&text).unwrap().matches(version(&v).semver());
        prop_assert_eq!(requirement(&text).matches(&version(&v), Prereleases::OnlyNamed), expected, "{} {}", text, v);
    }

    #[test]
    fn allowing_prereleases_only_adds(list in prop::collection::vec(comparator(), 1..4), v in small_version()) {
        let (req, v) = (requirement(&list.join(" ")), version(&v));
        let named = req.matches(&v, Prereleases::OnlyNamed);
        let allowed = req.matches(&v, Prereleases::Allowed);
        prop_assert!(allowed || !named);
        prop_assert!(v.is_prerelease() || allowed == named);
    }
}

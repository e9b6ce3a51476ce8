//! Closures of small made-up registries.

use super::*;
use crate::domain::package::DependencyKind;

/// A registry as text: a line for each version, such as `gk/a 1.0.0: gk/b ^1; dev gk/c *`. A `!` before the version
/// says it is yanked; `dev`, `build` and `optional` stand before a dependency.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) packages: BTreeMap<PackageName, Vec<(ClosureVersion, Vec<Dependency>)>>,
    reads: usize,
    fails: bool,
    late: bool,
}

impl ClosureSource for Fake {
    type Error = &'static str;

    fn may_go_on(&mut self) -> Result<(), Self::Error> {
        if self.late { Err("time is over") } else { Ok(()) }
    }

    fn versions(&mut self, package: &PackageName) -> Result<Option<Vec<ClosureVersion>>, Self::Error> {
        self.reads += 1;
        let versions = self.packages.get(package);
        Ok(versions.map(|versions| versions.iter().map(|(version, _)| version.clone()).collect()))
    }

    fn dependencies(&mut self, package: &PackageName, number: &VersionNumber) -> Result<Vec<Dependency>, Self::Error> {
        self.reads += 1;
        if self.fails {
            return Err("the disk is gone");
        }
        let mut versions = self.packages[package].iter();
        Ok(versions.find(|(version, _)| version.number == *number).unwrap().1.clone())
    }
}

pub(super) fn name(text: &str) -> PackageName {
    PackageName::parse(text).unwrap()
}

pub(super) fn number(text: &str) -> VersionNumber {
    VersionNumber::parse(text).unwrap()
}

pub(super) fn registry(text: &str) -> Fake {
    let mut fake = Fake::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (head, needs) = line.split_once(':').unwrap_or((line, ""));
        let (package, version) = head.split_once(' ').unwrap();
        let yanked = version.starts_with('!');
        let needs = needs.split(';').map(str::trim).filter(|need| !need.is_empty()).map(dependency).collect();
        let version = ClosureVersion { number: number(version.trim_start_matches('!')), yanked };
        fake.packages.entry(name(package)).or_default().push((version, needs));
    }
    fake
}

fn dependency(text: &str) -> Dependency {
    let (word, rest) = text.split_once(' ').unwrap();
    let (kind, optional, rest) = match word {
        "dev" => (DependencyKind::Dev, false, rest),
        "build" => (DependencyKind::Build, false, rest),
        "optional" => (DependencyKind::Normal, true, rest),
        _ => (DependencyKind::Normal, false, text),
    };
    let (package, req) = rest.split_once(' ').unwrap();
    Dependency { name: name(package), req: req.to_owned(), kind, optional }
}

/// `gk/a ^1; gk/b *` as roots, `gk/a 1.0.0; …` as locked versions.
pub(super) fn request(roots: &str, locked: &str) -> ClosureRequest {
    fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
        text.split(';').filter_map(|pair| pair.trim().split_once(' '))
    }
    ClosureRequest {
        roots: pairs(roots).map(|(package, req)| (name(package), Requirement::parse(req).unwrap())).collect(),
        locked: pairs(locked).map(|(package, version)| (name(package), number(version))).collect(),
        prereleases: Prereleases::OnlyNamed,
    }
}

fn shown(closure: &Closure) -> String {
    let pinned: Vec<_> = closure.packages.iter().map(|pinned| format!("{} {}", pinned.name, pinned.version)).collect();
    pinned.join("; ")
}

fn check_locked(text: &str, roots: &str, locked: &str, expected: &str) -> Closure {
    let closure = decide_closure(&mut registry(text), &request(roots, locked)).unwrap();
    assert_eq!(shown(&closure), expected);
    closure
}

fn check(text: &str, roots: &str, expected: &str) -> Closure {
    check_locked(text, roots, "", expected)
}

fn refused(fake: &mut Fake, request: &ClosureRequest) -> String {
    match decide_closure(fake, request) {
        Err(ClosureError::Refused(refusal)) => {
            assert_eq!(refusal.reason, Reason::Unresolvable);
            assert!(refusal.message.len() <= explain::MESSAGE_BYTES_MAX, "{}", refusal.message.len());
            refusal.message
        }
        other => panic!("{other:?}"),
    }
}

fn check_refused(text: &str, roots: &str, expected: &str) {
    assert_eq!(refused(&mut registry(text), &request(roots, "")), expected);
}

const DIAMOND: &str = "
    gk/app 1.0.0: gk/left ^1; gk/right ^1
    gk/left 1.0.0: gk/base ^1
    gk/right 1.0.0: gk/base ^1.1 <1.3
    gk/base 1.0.0
    gk/base 1.1.0
    gk/base 1.2.0+b
    gk/base 1.3.0
    gk/base 2.0.0";

#[test]
fn a_diamond_shares_the_highest_version_that_fits_both_sides() {
    let closure = check(DIAMOND, "gk/app ^1", "gk/app 1.0.0; gk/base 1.2.0+b; gk/left 1.0.0; gk/right 1.0.0");
    assert_eq!(closure.roots, BTreeMap::from([(name("gk/app"), number("1.0.0"))]));
    let app = &closure.packages[0];
    assert_eq!(app.dependencies.keys().map(ToString::to_string).collect::<Vec<_>>(), ["gk/left", "gk/right"]);
    assert!(closure.packages[1].dependencies.is_empty());
    assert_eq!(closure.packages[2].dependencies[&name("gk/base")].to_string(), "1.2.0+b");
}

#[test]
fn a_choice_that_leads_nowhere_is_taken_back() {
    let text = "
        gk/a 1.0.0: gk/c ^1
        gk/a 1.1.0: gk/c ^2
        gk/a 1.2.0: gk/gone *
        gk/a 1.3.0: gk/d ^1
        gk/d 1.0.0: gk/c ^3
        gk/b 1.0.0: gk/c ^1
        gk/c 1.0.0
        gk/c 2.0.0";
    check(text, "gk/a ^1; gk/b ^1", "gk/a 1.0.0; gk/b 1.0.0; gk/c 1.0.0");
    check(text, "gk/a ^1", "gk/a 1.1.0; gk/c 2.0.0");
}

#[test]
fn no_roots_need_nothing() {
    assert_eq!(check("gk/a 1.0.0", "", "").roots.len(), 0);
}

#[test]
fn cycles_are_no_trouble() {
    let text = "
        gk/a 1.0.0: gk/b ^1
        gk/b 1.0.0: gk/a ^1; gk/b ^1
        gk/b 1.1.0: gk/b ^2";
    let closure = check(text, "gk/a *", "gk/a 1.0.0; gk/b 1.0.0");
    assert_eq!(closure.packages[1].dependencies.len(), 1);
}

#[test]
fn dev_and_optional_dependencies_are_not_followed() {
    let text = "
        gk/a 1.0.0: dev gk/x ^1; optional gk/y ^1; build gk/c ^1; gk/c <1.2
        gk/c 1.1.0
        gk/c 1.2.0";
    check(text, "gk/a *", "gk/a 1.0.0; gk/c 1.1.0");
}

#[test]
fn locked_versions_stay_while_they_fit_and_others_give_way() {
    check_locked(DIAMOND, "gk/app ^1", "gk/base 1.1.0", "gk/app 1.0.0; gk/base 1.1.0; gk/left 1.0.0; gk/right 1.0.0");
    for left in ["gk/base 1.0.0", "gk/base 2.0.0", "gk/base 9.0.0", "gk/nobody 1.0.0"] {
        check_locked(DIAMOND, "gk/app ^1", left, "gk/app 1.0.0; gk/base 1.2.0+b; gk/left 1.0.0; gk/right 1.0.0");
    }
    let text = "
        gk/a 1.0.0: gk/c ^1
        gk/a 1.1.0: gk/c ^2
        gk/c 1.0.0
        gk/c 2.0.0";
    check_locked(text, "gk/a *; gk/c *", "gk/c 1.0.0", "gk/a 1.0.0; gk/c 1.0.0");
    check_locked(text, "gk/a ^1.1; gk/c *", "gk/c 1.0.0", "gk/a 1.1.0; gk/c 2.0.0");
}

#[test]
fn yanked_versions_are_chosen_only_when_locked() {
    let text = "
        gk/a 1.0.0
        gk/a !1.1.0
        gk/b !1.0.0";
    check(text, "gk/a *", "gk/a 1.0.0");
    check_locked(text, "gk/a *", "gk/a 1.1.0", "gk/a 1.1.0");
    check_refused(text, "gk/a ^1.1", "The versions of gk/a that match ^1.1 are yanked (1.1.0).");
    check_refused(text, "gk/b ^2", "No version of gk/b matches ^2; all of its versions are yanked.");
}

#[test]
fn prereleases_are_chosen_when_named_or_allowed() {
    let text = "
        gk/a 1.0.0: gk/b ^1.0.0-rc.1
        gk/a 1.1.0-rc.1
        gk/b 1.0.0-rc.2
        gk/b 1.1.0-rc.1";
    check(text, "gk/a *", "gk/a 1.0.0; gk/b 1.0.0-rc.2");
    let mut allowed = request("gk/a *; gk/b *", "");
    allowed.prereleases = Prereleases::Allowed;
    assert_eq!(shown(&decide_closure(&mut registry(text), &allowed).unwrap()), "gk/a 1.1.0-rc.1; gk/b 1.1.0-rc.1");
    check_refused(text, "gk/b ^1", "Only prereleases of gk/b match ^1 (1.1.0-rc.1); allow them with `prerelease`.");
}

#[test]
fn a_conflict_is_told_from_the_roots_to_the_package_that_nothing_fits() {
    check_refused(
        "
        gk/a 1.0.0: gk/c ^1
        gk/b 2.0.0: gk/c ^2
        gk/c 1.0.0
        gk/c 2.0.0",
        "gk/a ^1; gk/b ^2",
        "You ask for gk/a ^1 and gk/b ^2. gk/a 1.0.0 needs gk/c ^1, but gk/b 2.0.0 needs gk/c ^2; no version of gk/c \
         fits both (there are 2.0.0 and 1.0.0).",
    );
    check_refused(
        "
        gk/a 1.0.0: gk/b ^1
        gk/a 1.1.0: gk/b ^1
        gk/b 1.0.0: gk/c ^1
        gk/c 1.0.0
        gk/c 2.0.0",
        "gk/a ^1; gk/c ^2",
        "You ask for gk/a ^1. Every version of gk/a needs gk/b ^1. You ask for gk/c ^2, but gk/b 1.0.0 needs gk/c ^1; \
         no version of gk/c fits both (there are 2.0.0 and 1.0.0).",
    );
}

#[test]
fn a_conflict_behind_several_versions_names_each_of_them() {
    check_refused(
        "
        gk/a 1.0.0: gk/c ^1
        gk/a 1.1.0: gk/gone ^1
        gk/a 1.2.0: gk/c ^3
        gk/b 1.0.0: gk/c ^2
        gk/c 1.0.0
        gk/c 2.0.0",
        "gk/a ^1; gk/b *",
        "You ask for gk/a ^1 and gk/b *. gk/a 1.2.0 needs gk/c ^3, but no version of gk/c matches ^3; there are 2.0.0 \
         and 1.0.0. gk/a 1.1.0 needs gk/gone ^1, but gk/gone does not exist or is not visible to you. gk/a 1.0.0 needs \
         gk/c ^1, but gk/b 1.0.0 needs gk/c ^2; no version of gk/c fits both (there are 2.0.0 and 1.0.0).",
    );
    check_refused(
        "
        gk/a 1.0.0: gk/d 1 || 2
        gk/b 1.0.0: gk/d 2 || 3
        gk/c 1.0.0: gk/d 1 || 3
        gk/d 1.0.0
        gk/d 2.0.0
        gk/d 3.0.0",
        "gk/a *; gk/b *; gk/c *",
        "You ask for gk/a *, gk/b * and gk/c *. gk/a 1.0.0 needs gk/d 1 || 2, gk/b 1.0.0 needs gk/d 2 || 3, but gk/c \
         1.0.0 needs gk/d 1 || 3; no version of gk/d fits all of them (there are 3.0.0, 2.0.0 and 1.0.0).",
    );
}

#[test]
fn roots_that_nothing_matches_are_all_told() {
    check_refused(
        "
        gk/x 1.0.0
        gk/x 1.1.0",
        "gk/x ^9; gk/hidden *",
        "No version of gk/x matches ^9; there are 1.1.0 and 1.0.0. gk/hidden does not exist or is not visible to you.",
    );
}

#[test]
fn a_package_that_needs_another_version_of_itself_is_told() {
    check_refused(
        "gk/a 1.0.0: gk/a ^2",
        "gk/a *",
        "You ask for gk/a *. gk/a 1.0.0 can't be used: it needs ^2 of its own package.",
    );
}

fn chain(length: usize, last: &str) -> String {
    let link = |at: usize| format!("gk/p{at} 1.0.0: gk/p{} ^1\n", at + 1);
    (0..length).map(link).collect::<String>() + &format!("gk/p{length} {last}\n")
}

#[test]
fn a_chain_of_200_packages_is_followed_and_read_once() {
    let mut fake = registry(&chain(200, "1.0.0"));
    let closure = decide_closure(&mut fake, &request("gk/p0 ^1", "")).unwrap();
    assert_eq!(closure.packages.len(), 201);
    assert_eq!(fake.reads, 402);
}

#[test]
fn a_failure_behind_the_longest_chain_is_explained_on_a_small_stack() {
    let text = chain(PACKAGES_MAX - 2, "1.0.0: gk/p0 ^2");
    let explain = move || refused(&mut registry(&text), &request("gk/p0 ^1", ""));
    let message = std::thread::Builder::new().stack_size(512 << 10).spawn(explain).unwrap().join().unwrap();
    assert!(message.starts_with("You ask for gk/p0 ^1. gk/p0 1.0.0 needs gk/p1 ^1."), "{message}");
    assert!(message.contains(" steps are left out here.)"), "{message}");
    assert!(message.ends_with("no version of gk/p0 matches ^2; there is only 1.0.0."), "{message}");
}

#[test]
fn the_limit_on_packages_is_named() {
    let message = refused(&mut registry(&chain(PACKAGES_MAX, "1.0.0")), &request("gk/p0 ^1", ""));
    assert_eq!(message, "the closure has more than 10000 packages, which is the limit; ask for fewer roots");
}

/// Eleven packages for ten places: each version of one takes a place, and every proof that this can't be is too long.
#[test]
fn a_search_without_end_stops_at_the_limit_on_steps() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for pigeon in 0..11 {
        for hole in 0..10 {
            writeln!(text, "gk/p{pigeon} {hole}.0.0: gk/h{hole} {pigeon}.0.0\ngk/h{hole} {pigeon}.0.0").unwrap();
        }
    }
    let roots: Vec<_> = (0..11).map(|pigeon| format!("gk/p{pigeon} *")).collect();
    let message = refused(&mut registry(&text), &request(&roots.join(";"), ""));
    assert!(message.contains("with 1001 retreats, which is the limit"), "{message}");
}

#[test]
fn the_error_of_the_source_comes_back() {
    let mut fake = Fake { fails: true, ..registry("gk/a 1.0.0") };
    let outcome = decide_closure(&mut fake, &request("gk/a *", ""));
    assert!(matches!(outcome, Err(ClosureError::Source("the disk is gone"))));
    let mut fake = Fake { late: true, ..registry("gk/a 1.0.0") };
    let outcome = decide_closure(&mut fake, &request("gk/a *", ""));
    assert!(matches!(outcome, Err(ClosureError::Source("time is over"))));
}

//! What the roadmap says of routes, against the route table itself: a row says *works* exactly when it is served.
//!
//! `VIXR_REFRESH=1` writes the states anew; a route that has no row yet has to be given its place by hand.

use std::collections::HashSet;

use vix_registry::http::routes::ROUTES;

use crate::tree::{document, refresh};

const PATH: &str = "docs/roadmap.md";
const WORKS: &str = "works";
const STATES: &[&str] = &[WORKS, "later", "later (planned)"];

/// The two cells of a row below `## section`, for lines that are rows and no head.
fn rows<'t>(text: &'t str, section: &str) -> Vec<(&'t str, &'t str)> {
    let heading = format!("## {section}");
    let body = text.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with("## "));
    let cells = body.filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    cells.filter(|(_, state)| *state != "state").collect()
}

/// The document with each row's state as `works` tells it.
fn corrected(text: &str, section: &str, works: &HashSet<String>) -> String {
    let mut corrected = text.to_owned();
    for (name, state) in rows(text, section) {
        let is_right = STATES.contains(&state) && (state == WORKS) == works.contains(name);
        if !is_right {
            let right = if works.contains(name) { WORKS } else { "later" };
            corrected = corrected.replace(&format!("\n| {name} | {state} |\n"), &format!("\n| {name} | {right} |\n"));
        }
    }
    corrected
}

#[track_caller]
fn check(section: &str, works: &HashSet<String>) {
    let text = document(PATH).text;
    let told: Vec<&str> = rows(&text, section).into_iter().map(|(name, _)| name).collect();
    let unique: HashSet<&str> = told.iter().copied().collect();
    assert_eq!(unique.len(), told.len(), "{PATH} has a row twice");
    let mut missing: Vec<&String> = works.iter().filter(|name| !unique.contains(name.as_str())).collect();
    missing.sort();
    assert!(missing.is_empty(), "{PATH} has no row for what works: {missing:?}");
    refresh(PATH, &text, &corrected(&text, section, works));
}

#[test]
fn a_route_works_exactly_when_the_table_has_it() {
    check("Routes", &ROUTES.iter().map(|route| format!("{} {}", route.verb.as_str(), route.pattern)).collect());
}

#[test]
fn a_wrong_state_is_seen() {
    let text = "## Routes\n\n| route | state |\n|---|---|\n| GET /a | later |\n| GET /b | works |\n| GET /c | soon |\n";
    let works = HashSet::from(["GET /a".to_owned()]);
    let right = "| GET /a | works |\n| GET /b | later |\n| GET /c | later |\n";
    assert!(corrected(text, "Routes", &works).ends_with(right));
}

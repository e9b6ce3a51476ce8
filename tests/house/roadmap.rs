//! What the roadmap and the API reference say, against the route table and the command line themselves: a row of the
//! roadmap says *works* exactly when there is such a route or verb, and the reference has the table's rows in its order.
//!
//! `VIXR_REFRESH=1` writes the states anew; what has no row yet has to be given its place by hand.

use std::collections::HashSet;

use clap::CommandFactory as _;
use vix_registry::cli::args::Cli;
use vix_registry::http::routes::{Access, ROUTES, Route};

use crate::none;
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

/// The verbs that can be typed, such as `token create`.
fn verbs(command: &clap::Command, before: &str) -> Vec<String> {
    let named = |verb: &clap::Command| format!("{before}{}", verb.get_name());
    let typed = |verb: &clap::Command| {
        if verb.has_subcommands() { verbs(verb, &format!("{} ", named(verb))) } else { vec![named(verb)] }
    };
    command.get_subcommands().flat_map(typed).collect()
}

#[test]
fn what_the_roadmap_says_works_is_what_the_table_and_the_command_line_have() {
    check("Routes", &ROUTES.iter().map(|route| format!("{} {}", route.verb.as_str(), route.pattern)).collect());
    check("Verbs", &verbs(&Cli::command(), "").into_iter().collect());
}

/// How the reference begins to say who may use a route.
fn who(access: Access) -> &'static str {
    match access {
        Access::Open => "open",
        Access::AnyToken => "any",
        Access::Read => "read",
        Access::Publish => "publish",
        Access::Admin => "admin",
        Access::InstanceAdmin => "instance admin",
    }
}

#[test]
fn the_reference_tells_every_route_in_the_order_of_the_table() {
    let text = document("docs/api.md").text;
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let told = cells
        .filter_map(|(route, rest)| Some((route, rest.split_once(" |")?.0)))
        .filter(|(route, _)| route.contains(" /"));
    let told: Vec<(String, &str)> = told.map(|(route, needs)| (route.to_owned(), needs)).collect();
    let row = |route: &Route| (format!("{} {}", route.verb.as_str(), route.pattern), who(route.access));
    let rows: Vec<(String, &str)> = ROUTES.iter().map(row).collect();
    let names = |rows: &[(String, &str)]| rows.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&told), names(&rows), "docs/api.md (left) and the route table (right) differ");
    let wrong = told.iter().zip(&rows).filter(|((_, needs), (_, access))| !needs.starts_with(access));
    none("docs/api.md tells another access", &wrong.map(|(told, _)| told.0.clone()).collect::<Vec<_>>());
}

#[test]
fn a_wrong_state_is_seen() {
    let text = "## Routes\n\n| route | state |\n|---|---|\n| GET /a | later |\n| GET /b | works |\n| GET /c | soon |\n";
    let works = HashSet::from(["GET /a".to_owned()]);
    let right = "| GET /a | works |\n| GET /b | later |\n| GET /c | later |\n";
    assert!(corrected(text, "Routes", &works).ends_with(right));
}

//! Statuses of refusals are decided in the error map alone.

use hyper::StatusCode;

use crate::none;
use crate::rust::{Source, Token, sources, tokens};

/// Files that may name statuses of refusals: the error map decides them, the route table declares them.
fn may_name_statuses(path: &str) -> bool {
    path == "src/http/problem.rs" || path.starts_with("src/http/routes")
}

/// What has no reason, because it can't be read as a request: (file, constant).
const WITHOUT_REASON: &[(&str, &str)] =
    &[("src/http/guards.rs", "URI_TOO_LONG"), ("src/http/guards.rs", "REQUEST_HEADER_FIELDS_TOO_LARGE")];

/// The name of every refusal's status as a constant of `StatusCode`: `NOT_FOUND`.
fn constant(status: StatusCode) -> Option<String> {
    let words = status.canonical_reason()?.replace(['-', ' '], "_");
    Some(words.replace('\'', "").to_uppercase())
}

/// Every registered status from 400 on.
fn refusals() -> impl Iterator<Item = StatusCode> {
    (400..600)
        .filter_map(|number| StatusCode::from_u16(number).ok())
        .filter(|status| status.canonical_reason().is_some())
}

fn broken(source: &Source) -> Vec<String> {
    let names: Vec<String> = refusals().filter_map(constant).collect();
    let path = source.file.path.as_str();
    let mut broken = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let before = |back: usize| at.checked_sub(back).map_or("", |place| source.tokens[place].text.as_str());
        let named = before(3) == "StatusCode" && before(1) == ":" && names.contains(&token.text);
        let counted = path.starts_with("src/http/") && is_refusal_number(token) && speaks_of_status(source, token.line);
        if (named || counted) && !WITHOUT_REASON.contains(&(path, token.text.as_str())) {
            broken.push(source.at(token.line, &token.text));
        }
    }
    broken
}

fn is_refusal_number(token: &Token) -> bool {
    let digits = token.text.trim_end_matches("u16").trim_end_matches('_');
    refusals().any(|status| status.as_str() == digits)
}

/// Whether a line is about a status: `500` may be a time or a size elsewhere.
fn speaks_of_status(source: &Source, line: usize) -> bool {
    let mut words = source.tokens.iter().filter(|token| token.line == line).map(|token| token.text.to_lowercase());
    words.any(|word| word.contains("status") || word == "from_u16")
}

#[test]
fn only_the_error_map_decides_statuses_of_refusals() {
    let sources: Vec<Source> = sources().into_iter().filter(|source| !may_name_statuses(&source.file.path)).collect();
    assert!(!sources.is_empty(), "the sources were found");
    let broken: Vec<String> = sources.iter().flat_map(broken).collect();
    none("a 4xx or 5xx outside of src/http/problem.rs: refuse with a Reason instead", &broken);
}

fn check(code: &str, expected: usize) {
    let file = crate::tree::File { path: "src/http/a.rs".to_owned(), text: code.to_owned() };
    let told = broken(&Source { tokens: tokens(code), file });
    assert_eq!(told.len(), expected, "{code}: {told:?}");
}

#[test]
fn a_status_outside_of_the_map_is_seen() {
    check("reply(StatusCode::NOT_FOUND)", 1);
    check("reply(hyper::StatusCode::INTERNAL_SERVER_ERROR)", 1);
    check("StatusCode::from_u16(404)", 1);
    check("let status: u16 = 503_u16;", 1);
    check("reply(StatusCode::PARTIAL_CONTENT)", 0);
    check("wait(Duration::from_millis(500)); let bytes = 400 << 10;", 0);
    check("// StatusCode::NOT_FOUND\n\"status 404\"", 0);
}

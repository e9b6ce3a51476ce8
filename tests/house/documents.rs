//! What the documents must hold, and must not.

use vix_registry::domain::refusal::Reason;

use crate::none;
use crate::tree::{File, document, files};

/// Folders of the machine that something was written on: no reader has them.
const MACHINE_PATHS: &[&str] = &["/work/", "/root/", "/tmp/bash_jobs"];

const CHANGE_KINDS: &[&str] = &["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

const DECISION_HEADINGS: &[&str] = &["## Context", "## Choice", "## Rejected"];

fn documents(extensions: &[&str]) -> Vec<File> {
    let loose = ["README.md", "CHANGELOG.md"].map(document);
    let folders = ["docs", "packaging", "examples", ".ci"].iter().flat_map(|folder| files(folder, extensions));
    loose.into_iter().chain(folders).collect()
}

#[test]
fn every_reason_has_exactly_one_row_in_the_errors_document() {
    let errors = document("docs/errors.md");
    let cells = errors.text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let mut told: Vec<&str> = cells.collect();
    let mut known: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    told.sort_unstable();
    known.sort_unstable();
    assert_eq!(told, known, "docs/errors.md (left) and domain::refusal (right) differ");
}

#[test]
fn documents_name_no_path_of_a_machine() {
    let mut found = Vec::new();
    for file in documents(&[]) {
        for (number, line) in file.text.lines().enumerate() {
            let named = MACHINE_PATHS.iter().filter(|path| line.contains(**path));
            found.extend(named.map(|path| format!("{}:{}: {path}", file.path, number + 1)));
        }
    }
    none("a document names a path that its readers do not have", &found);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for file in documents(&["md"]) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let targets = file.text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for target in targets.filter(|target| !target.is_empty() && !target.contains("://")) {
            if !crate::tree::root().join(folder).join(target).exists() {
                broken.push(format!("{}: {target}", file.path));
            }
        }
    }
    none("a link leads nowhere", &broken);
}

#[test]
fn the_changelog_keeps_its_form() {
    let changelog = document("CHANGELOG.md");
    let releases: Vec<&str> = changelog.text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(releases.first(), Some(&"[Unreleased]"), "the first release in CHANGELOG.md is the one to come");
    let dated = |release: &str| {
        let (version, date) = release.split_once("] - ").expect("a release is `[version] - date`");
        semver::Version::parse(version.trim_start_matches('[')).is_ok() && date.parse::<jiff::civil::Date>().is_ok()
    };
    let odd = releases.iter().skip(1).filter(|release| !dated(release)).map(ToString::to_string);
    none("a release is `[1.2.3] - 2026-01-31`", &odd.collect::<Vec<_>>());
    let kinds = changelog.text.lines().filter_map(|line| line.strip_prefix("### "));
    let unknown = kinds.filter(|kind| !CHANGE_KINDS.contains(kind)).map(ToOwned::to_owned);
    none("a kind of change that Keep a Changelog does not have", &unknown.collect::<Vec<_>>());
}

#[test]
fn every_decision_tells_its_context_choice_and_what_was_rejected() {
    let mut broken = Vec::new();
    let mut numbers = Vec::new();
    for file in files("docs/decisions", &["md"]) {
        let name = file.path.trim_start_matches("docs/decisions/");
        let number = name.split('-').next().unwrap_or(name);
        if number.len() != 3 || number.parse::<u16>().is_err() || numbers.contains(&number.to_owned()) {
            broken.push(format!("{}: a name of its own, NNN-what-was-decided.md", file.path));
        }
        numbers.push(number.to_owned());
        let lines: Vec<&str> = file.text.lines().collect();
        let missing = DECISION_HEADINGS.iter().filter(|heading| !lines.contains(heading));
        broken.extend(missing.map(|heading| format!("{}: no `{heading}`", file.path)));
    }
    none("a decision record is incomplete", &broken);
}

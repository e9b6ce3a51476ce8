//! The shape of files: length, names, module docs, and marks of unfinished work.

use crate::none;
use crate::rust::{is_test_file, sources};
use crate::tree::{File, files};

const SOURCE_LINES_MAX: usize = 400;
const TEST_LINES_MAX: usize = 800;

/// Names that say nothing about what a file is for.
const BANNED_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "manager", "misc"];

/// Marks of unfinished work; spelled apart, so that this file has none.
const MARKS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("#[", "ignore"),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
];

/// Folders with code, scripts or settings.
const FOLDERS: &[&str] = &["src", "tests", "examples", "benches", "packaging", "docs", ".ci", ".cargo"];

fn everything() -> Vec<File> {
    FOLDERS.iter().flat_map(|folder| files(folder, &[])).collect()
}

#[test]
fn files_are_short() {
    let mut long = Vec::new();
    for (folder, most) in [("src", SOURCE_LINES_MAX), ("tests", TEST_LINES_MAX), ("examples", SOURCE_LINES_MAX)] {
        for file in files(folder, &["rs"]) {
            let most = if is_test_file(&file.path) { TEST_LINES_MAX } else { most };
            let lines = file.text.lines().count();
            if lines > most {
                long.push(format!("{}: {lines} lines, at most {most}", file.path));
            }
        }
    }
    none("a file is more than one idea: split it", &long);
}

#[test]
fn every_module_says_what_it_is() {
    let sources = files("src", &["rs"]);
    let silent = sources.into_iter().filter(|file| !file.text.starts_with("//! ")).map(|file| file.path);
    none("a file under src begins with `//!`: what it owns, what it must never do", &silent.collect::<Vec<_>>());
}

#[test]
fn file_names_say_what_is_inside() {
    let banned = |part: &str| BANNED_NAMES.contains(&part.split('.').next().unwrap_or(part));
    let vague = everything().into_iter().map(|file| file.path).filter(|path| path.split('/').any(banned));
    none("a name says nothing", &vague.collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_unfinished() {
    let mut found = Vec::new();
    for file in everything() {
        for (number, line) in file.text.lines().enumerate() {
            let marks = MARKS.iter().filter(|mark| line.contains(**mark));
            found.extend(marks.map(|mark| format!("{}:{}: {mark}", file.path, number + 1)));
        }
    }
    none("unfinished work and ignored tests are not landed", &found);
}

#[test]
fn nothing_unwraps_outside_of_tests() {
    let mut found = Vec::new();
    for source in sources() {
        for three in source.tokens.windows(3) {
            if three[0].text == "." && three[1].text == "unwrap" && three[2].text == "(" {
                found.push(source.at(three[1].line, "unwrap"));
            }
        }
    }
    none("name the cause, or `expect` the invariant", &found);
}

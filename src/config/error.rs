//! What is wrong with a configuration, in words: what, why, and what to do next.

use std::fmt;

use crate::telemetry::clean_to;

/// The most characters of a refused value that a message repeats.
const SHOWN_CHARS_MAX: usize = 80;

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// What was refused, with the key, the value and where it came from.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
    /// What to do about it.
    pub next: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  why: {}\n  next: {}", self.what, self.why, self.next)
    }
}

/// Everything that is wrong with a configuration, so that one try shows it all. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The problems, in the order of the sources: file, environment, flags.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// A single problem.
    pub(super) fn one(what: impl Into<String>, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self { problems: vec![Problem { what: what.into(), why: why.into(), next: next.into() }] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// A refused value as a message repeats it: cut, on one line, without control characters, tokens and passwords in URLs.
pub(super) fn shown(value: &str) -> String {
    let text = clean_to(value, SHOWN_CHARS_MAX);
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}…{}", &text[..scheme + 3], &text[at..]),
        (Some(_) | None, Some(_) | None) => text.into_owned(),
    }
}

/// The candidate that is nearest to a mistyped word, if one is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    candidates.map(|c| (distance(word, c), c)).filter(|(d, _)| *d <= allowed).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// How many characters must be put in, taken out, exchanged or swapped with their neighbour to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let exchanged = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    let least = exchanged.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if swapped { least.min(rows[i - 2][j - 2] + 1) } else { least }
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("listen", "lisen", 1),
            ("listen", "lsiten", 1),
            ("http", "https", 1),
            ("abc", "xyz", 3),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        let words = ["http.listen", "log.level", "log.format"];
        assert_eq!(nearest("http.lisen", words.into_iter()), Some("http.listen"));
        assert_eq!(nearest("log.levle", words.into_iter()), Some("log.level"));
        assert_eq!(nearest("colour", words.into_iter()), None);
    }

    #[test]
    fn a_refused_value_is_cut_and_cannot_act_on_a_terminal() {
        assert_eq!(shown("a\u{1b}[2J\n\u{202e}b"), "a\\u{1b}[2J\\u{a}\\u{202e}b");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), 81);
        assert_eq!(shown("https://me:secret@host"), "https://…@host");
    }
}

//! Version requirements: the grammar of the official client (`^ ~ > >= < <= =`, `x`, space or comma, `||`).
//!
//! This is not Cargo's grammar: a bare full version is exact, a bare partial one is a wildcard, `||` means or. Nor is a
//! requirement an interval: `^1.2` leaves out 1.3.0-rc.1 and 2.0.0-rc.1, although they lie between its ends. So never
//! compare a version with bounds elsewhere; ask [`Requirement::matches`].

use std::fmt;

use super::refusal::{Reason, Refusal};
use super::version::{VersionNumber, shown};

/// The longest requirement, in bytes.
pub const REQUIREMENT_BYTES_MAX: usize = 256;

/// The most comparators (`>=1.2` is one) in a requirement.
pub const COMPARATORS_MAX: usize = 32;

/// Which versions are good enough: what a dependency or a query asks for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Requirement {
    text: String,
    alternatives: Vec<Alternative>,
}

/// Which prereleases a requirement may match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prereleases {
    /// Only those of a `x.y.z` that the requirement itself names with a prerelease, as in `^1.0.0-rc.1`.
    OnlyNamed,
    /// Every one that lies within the bounds; those of an upper bound, such as 2.0.0-rc.1 for `<2.0.0`, do not.
    Allowed,
}

/// Comparators that must all hold.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct Alternative {
    lower: Vec<Lower>,
    upper: Vec<Upper>,
    /// The `x.y.z` whose prereleases were named.
    named: Vec<Triple>,
}

type Triple = (u64, u64, u64);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Lower {
    AtLeast(semver::Version),
    Above(semver::Version),
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Upper {
    AtMost(semver::Version),
    Below(semver::Version),
    /// Below every prerelease of this `x.y.z` as well.
    BelowAll(Triple),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Bare,
    Caret,
    Tilde,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

/// The version in a comparator; `x` stands for what is left out.
enum Partial {
    Any,
    Major(u64),
    Minor(u64, u64),
    Full(semver::Version),
}

impl Requirement {
    /// Reads a requirement; an empty one is `*`.
    ///
    /// # Errors
    /// [`Reason::InvalidRequirement`] for what is none, and past [`REQUIREMENT_BYTES_MAX`] or [`COMPARATORS_MAX`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let trimmed = text.trim_matches(BLANKS);
        parse_alternatives(trimmed)
            .map(|alternatives| Self {
                text: if trimmed.is_empty() { "*".to_owned() } else { trimmed.to_owned() },
                alternatives,
            })
            .map_err(|why| {
                let message = format!("{} is not a version requirement: {why}", shown(text));
                Refusal::new(Reason::InvalidRequirement, message)
            })
    }

    /// The text as it was given, without blanks around it; `*` for an empty one.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `version` is good enough; build metadata has no part in it.
    pub fn matches(&self, version: &VersionNumber, prereleases: Prereleases) -> bool {
        self.alternatives.iter().any(|alternative| alternative.matches(version, prereleases))
    }
}

impl Alternative {
    fn matches(&self, version: &VersionNumber, prereleases: Prereleases) -> bool {
        let named = || self.named.contains(&triple(version.semver()));
        (!version.is_prerelease() || prereleases == Prereleases::Allowed || named())
            && self.lower.iter().all(|bound| bound.holds(version.semver()))
            && self.upper.iter().all(|bound| bound.holds(version.semver()))
    }

    /// Adds one comparator's bounds.
    fn add(&mut self, operator: Operator, partial: Partial) -> Result<(), String> {
        match partial {
            Partial::Any => match operator {
                Operator::Greater | Operator::Less => return Err("`>*` and `<*` match nothing".to_owned()),
                Operator::Bare | Operator::Caret | Operator::Tilde | Operator::GreaterEqual | Operator::LessEqual => {}
            },
            Partial::Major(major) => self.add_partial(operator, (major, 0, 0), next_major(major))?,
            Partial::Minor(0, minor) if operator == Operator::Caret => {
                self.add_partial(operator, (0, minor, 0), next_minor(0, minor))?;
            }
            Partial::Minor(major, minor) if operator == Operator::Caret => {
                self.add_partial(operator, (major, minor, 0), next_major(major))?;
            }
            Partial::Minor(major, minor) => {
                self.add_partial(operator, (major, minor, 0), next_minor(major, minor))?;
            }
            Partial::Full(version) => self.add_full(operator, version),
        }
        Ok(())
    }

    /// A comparator with a partial version: `first` is the lowest version it stands for, `next` the first one past it.
    fn add_partial(&mut self, operator: Operator, first: Triple, next: Option<Triple>) -> Result<(), String> {
        let release = |(major, minor, patch)| semver::Version::new(major, minor, patch);
        match operator {
            Operator::Bare | Operator::Caret | Operator::Tilde => {
                self.lower.push(Lower::AtLeast(release(first)));
                self.upper.extend(next.map(Upper::BelowAll));
            }
            Operator::Greater => {
                let next = next.ok_or_else(|| "there is no version above it".to_owned())?;
                self.lower.push(Lower::AtLeast(release(next)));
            }
            Operator::GreaterEqual => self.lower.push(Lower::AtLeast(release(first))),
            Operator::Less => self.upper.push(Upper::BelowAll(first)),
            Operator::LessEqual => self.upper.extend(next.map(Upper::BelowAll)),
        }
        Ok(())
    }

    fn add_full(&mut self, operator: Operator, version: semver::Version) {
        let (major, minor, patch) = triple(&version);
        if !version.pre.is_empty() {
            self.named.push((major, minor, patch));
        }
        match operator {
            Operator::Bare => {
                self.lower.push(Lower::AtLeast(version.clone()));
                self.upper.push(Upper::AtMost(version));
            }
            Operator::Caret => {
                let next = match (major, minor) {
                    (0, 0) => next_patch(patch),
                    (0, minor) => next_minor(0, minor),
                    (major, _) => next_major(major),
                };
                self.lower.push(Lower::AtLeast(version));
                self.upper.extend(next.map(Upper::BelowAll));
            }
            Operator::Tilde => {
                self.lower.push(Lower::AtLeast(version));
                self.upper.extend(next_minor(major, minor).map(Upper::BelowAll));
            }
            Operator::Greater => self.lower.push(Lower::Above(version)),
            Operator::GreaterEqual => self.lower.push(Lower::AtLeast(version)),
            Operator::Less => self.upper.push(Upper::Below(version)),
            Operator::LessEqual => self.upper.push(Upper::AtMost(version)),
        }
    }

    /// `<2.0.0` leaves out the prereleases of 2.0.0, unless another comparator names one: `>=2.0.0-rc.1 <2.0.0`.
    fn close_upper_bounds(&mut self) {
        for bound in &mut self.upper {
            if let Upper::Below(version) = bound
                && !self.named.contains(&triple(version))
            {
                *bound = Upper::BelowAll(triple(version));
            }
        }
    }
}

impl Lower {
    fn holds(&self, version: &semver::Version) -> bool {
        match self {
            Self::AtLeast(bound) => version.cmp_precedence(bound).is_ge(),
            Self::Above(bound) => version.cmp_precedence(bound).is_gt(),
        }
    }
}

impl Upper {
    fn holds(&self, version: &semver::Version) -> bool {
        match self {
            Self::AtMost(bound) => version.cmp_precedence(bound).is_le(),
            Self::Below(bound) => version.cmp_precedence(bound).is_lt(),
            Self::BelowAll(bound) => triple(version) < *bound,
        }
    }
}

const fn triple(version: &semver::Version) -> Triple {
    (version.major, version.minor, version.patch)
}

/// The first version past all of `major`; `None` when there is none.
fn next_major(major: u64) -> Option<Triple> {
    major.checked_add(1).map(|next| (next, 0, 0))
}

fn next_minor(major: u64, minor: u64) -> Option<Triple> {
    minor.checked_add(1).map(|next| (major, next, 0)).or_else(|| next_major(major))
}

/// The first version past `0.0.patch`: only there does a caret hold the patch number.
fn next_patch(patch: u64) -> Option<Triple> {
    patch.checked_add(1).map(|next| (0, 0, next)).or_else(|| next_minor(0, 0))
}

const BLANKS: [char; 2] = [' ', '\t'];

/// Longer operators first.
const OPERATORS: [(&str, Operator); 7] = [
    (">=", Operator::GreaterEqual),
    ("<=", Operator::LessEqual),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("^", Operator::Caret),
    ("~", Operator::Tilde),
    ("=", Operator::Bare),
];

fn parse_alternatives(text: &str) -> Result<Vec<Alternative>, String> {
    if text.len() > REQUIREMENT_BYTES_MAX {
        return Err(format!("it has {} bytes; the limit is {REQUIREMENT_BYTES_MAX}", text.len()));
    }
    if text.is_empty() {
        return Ok(vec![Alternative::default()]);
    }
    let mut comparators = 0;
    let mut alternatives = Vec::new();
    for part in text.split("||") {
        let mut alternative = Alternative::default();
        for clause in part.split(',') {
            let mut rest = clause.trim_matches(BLANKS);
            if rest.is_empty() {
                return Err("there is nothing on one side of a `||` or `,`; write `*` for any version".to_owned());
            }
            while !rest.is_empty() {
                let (operator, partial, after) = parse_comparator(rest)?;
                comparators += 1;
                if comparators > COMPARATORS_MAX {
                    return Err(format!("it has more than {COMPARATORS_MAX} comparators"));
                }
                alternative.add(operator, partial)?;
                rest = after;
            }
        }
        alternative.close_upper_bounds();
        alternatives.push(alternative);
    }
    Ok(alternatives)
}

/// Reads one comparator and gives what follows it.
fn parse_comparator(text: &str) -> Result<(Operator, Partial, &str), String> {
    let found = OPERATORS.iter().find_map(|(sign, operator)| Some((*sign, *operator, text.strip_prefix(sign)?)));
    let (sign, operator, rest) = found.unwrap_or(("", Operator::Bare, text));
    let rest = rest.trim_start_matches(BLANKS);
    let (word, after) = rest.split_at(rest.find(BLANKS).unwrap_or(rest.len()));
    match word {
        "" => return Err(format!("there is no version after `{sign}`")),
        "-" => return Err("hyphen ranges are not known here; write `>=1.0.0 <=2.0.0` for `1.0.0 - 2.0.0`".to_owned()),
        "|" | "&" | "&&" | "and" | "or" => return Err("write `||` for or, and a blank or a comma for and".to_owned()),
        "latest" => return Err("`latest` is an alias, not a requirement; write `*` for any version".to_owned()),
        _ => {}
    }
    Ok((operator, parse_partial(word)?, after.trim_start_matches(BLANKS)))
}

/// Reads `1`, `1.2`, `1.2.x`, `*`, `1.2.3-rc.1+build`, each with or without a leading `v`.
fn parse_partial(word: &str) -> Result<Partial, String> {
    let plain = word.strip_prefix(['v', 'V']).unwrap_or(word);
    let (core, suffix) = plain.split_at(plain.find(['-', '+']).unwrap_or(plain.len()));
    let mut numbers = Vec::new();
    let mut wildcard = false;
    for (at, part) in core.split('.').enumerate() {
        if at == 3 {
            return Err(format!("{} has more than three numbers", shown(word)));
        }
        if matches!(part, "x" | "X" | "*") {
            wildcard = true;
        } else if wildcard {
            return Err(format!("in {} a number follows a wildcard", shown(word)));
        } else {
            numbers.push(parse_number(part, word)?);
        }
    }
    match (numbers.as_slice(), suffix) {
        ([], "") => Ok(Partial::Any),
        ([major], "") => Ok(Partial::Major(*major)),
        ([major, minor], "") => Ok(Partial::Minor(*major, *minor)),
        ([_, _, _], _) => {
            let mut version =
                semver::Version::parse(plain).map_err(|error| format!("{} is not a version: {error}", shown(word)))?;
            version.build = semver::BuildMetadata::EMPTY;
            Ok(Partial::Full(version))
        }
        (_, suffix) => Err(format!("in {} all three numbers must stand before {}", shown(word), shown(suffix))),
    }
}

fn parse_number(digits: &str, word: &str) -> Result<u64, String> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{} is not a version; write one like `1`, `1.2`, `1.2.x` or `1.2.3`", shown(word)));
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Err(format!("in {} a number has a leading zero", shown(word)));
    }
    digits.parse().map_err(|error| format!("in {} a number is past 64 bits ({error})", shown(word)))
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requirement({})", self.text)
    }
}

#[cfg(test)]
#[path = "requirement_tests.rs"]
mod tests;

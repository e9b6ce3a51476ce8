//! Query strings: checked against what a route declares, before anybody is authenticated.
//!
//! A parameter that the route does not declare is refused (a mistyped `dry_run` must not publish), and so is one that
//! comes twice. Names and values are percent-decoded once; **`+` is a plus**, not a blank, because versions and
//! requirements carry it. Empty pairs (`a=1&&b=2`) are passed over.

use crate::domain::id::Id;
use crate::domain::name::{NamespaceName, PackageName, shown};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::requirement::Requirement;
use crate::domain::time::Timestamp;

use super::cursor;
use super::matching::decode_once;
use super::params::{Principal, filename};
use super::wire::Warning;

/// Entries of a page when `limit` is not given.
pub const PAGE_DEFAULT: u64 = 50;
/// Most entries of a page, unless a route says otherwise.
pub const PAGE_MAX: u64 = 200;

/// One parameter that a route understands.
#[derive(Clone, Copy, Debug)]
pub struct QueryKey {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: QueryKind,
    /// What it does, for the `OpenAPI` document.
    pub doc: &'static str,
}

/// What a parameter holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueryKind {
    /// `true`, `false`, or bare for true.
    Bool,
    /// Entries of a page: clamped to 1..=`max`, with a warning.
    Limit {
        /// Most entries.
        max: u64,
    },
    /// An opaque cursor of the same query.
    Cursor,
    /// Text of at most `max` bytes without control characters.
    Text {
        /// Most bytes.
        max: u64,
    },
    /// The name of a file.
    Filename,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A version requirement.
    Requirement,
    /// A serial of the change feed, or another number from 0.
    Serial,
    /// Seconds from 0 to `max`.
    Seconds {
        /// Most seconds.
        max: u64,
    },
    /// An RFC 3339 time.
    Time,
    /// A package.
    Package,
    /// A namespace.
    Namespace,
    /// `user:NAME`.
    Principal,
    /// An id (ULID).
    Id,
}

/// A parsed value.
#[derive(Clone, Debug)]
enum Value {
    Bool(bool),
    Number(u64),
    Text(String),
    Position(Vec<u8>),
    Requirement(Requirement),
    Time(Timestamp),
    Package(PackageName),
    Namespace(NamespaceName),
    Principal(Principal),
    Id(Id),
}

/// The parameters of one request. A getter gives `None` for a parameter that was not sent, or is of another kind.
#[derive(Clone, Debug, Default)]
pub struct Query {
    values: Vec<(&'static str, Value)>,
    /// What has to be told about them in `meta.warnings`.
    pub warnings: Vec<Warning>,
    /// The route, its path's places, and the filters: what a cursor belongs to.
    subject: String,
    /// The pairs as they came, but for `cursor`.
    kept: String,
}

impl Query {
    /// Reads `raw` against what the route understands; `place` is the route's id and its path's places.
    ///
    /// # Errors
    /// `unknown_parameter`, `duplicate_parameter`, `invalid_parameter`; for their kinds `invalid_requirement`,
    /// `invalid_name`, `invalid_cursor`.
    pub fn parse(keys: &'static [QueryKey], raw: Option<&str>, place: &str) -> Result<Self, Refusal> {
        let mut query = Self { subject: place.to_owned(), ..Self::default() };
        let mut sent: Vec<(&'static QueryKey, Option<String>)> = Vec::new();
        for pair in raw.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').map_or((pair, None), |(name, value)| (name, Some(value)));
            let key = find_key(keys, name)?;
            if sent.iter().any(|(other, _)| other.name == key.name) {
                let message = format!("`{}` is given more than once; give it once", key.name);
                return Err(Refusal::field(Reason::DuplicateParameter, key.name, message));
            }
            let value = value.map(decode_once).transpose().map_err(|why| invalid(key, &format!("its value {why}")))?;
            sent.push((key, value));
            if key.kind != QueryKind::Cursor {
                let separator = if query.kept.is_empty() { "" } else { "&" };
                query.kept = format!("{}{separator}{pair}", query.kept);
            }
        }
        query.subject.push_str(&filters(&sent));
        for (key, value) in sent {
            let value = query.value(key, value)?;
            query.values.push((key.name, value));
        }
        Ok(query)
    }

    fn value(&mut self, key: &'static QueryKey, text: Option<String>) -> Result<Value, Refusal> {
        if key.kind == QueryKind::Bool {
            return match text.as_deref() {
                None | Some("true") => Ok(Value::Bool(true)),
                Some("false") => Ok(Value::Bool(false)),
                Some(other) => Err(invalid(key, &format!("it is `{}`; write `true` or `false`", shown(other)))),
            };
        }
        let Some(text) = text else { return Err(invalid(key, "it has no value")) };
        match key.kind {
            QueryKind::Bool => Ok(Value::Bool(true)),
            QueryKind::Limit { max } => self.limit_value(key, &text, max),
            QueryKind::Cursor => cursor::decode(&self.subject, &text).map(Value::Position),
            QueryKind::Text { max } => text_value(key, text, max),
            QueryKind::Filename => {
                filename(&text).map(Value::Text).map_err(|error| invalid(key, &error.message).with_limit(128))
            }
            QueryKind::Choice(words) if words.contains(&text.as_str()) => Ok(Value::Text(text)),
            QueryKind::Choice(words) => {
                Err(invalid(key, &format!("it is `{}`; choose one of `{}`", shown(&text), words.join("`, `"))))
            }
            QueryKind::Requirement => Requirement::parse(&text).map(Value::Requirement).map_err(|error| at(key, error)),
            QueryKind::Serial => number(key, &text, u64::MAX).map(Value::Number),
            QueryKind::Seconds { max } => number(key, &text, max).map(Value::Number),
            QueryKind::Time => Timestamp::parse(&text).map(Value::Time).ok_or_else(|| {
                let why = format!("it is `{}`; write a time such as `2026-01-31T12:00:00Z`", shown(&text));
                invalid(key, &why)
            }),
            QueryKind::Package => PackageName::parse(&text).map(Value::Package).map_err(|error| at(key, error)),
            QueryKind::Namespace => NamespaceName::parse(&text).map(Value::Namespace).map_err(|error| at(key, error)),
            QueryKind::Principal => Principal::parse(&text).map(Value::Principal).map_err(|error| at(key, error)),
            QueryKind::Id => Id::parse(&text)
                .map(Value::Id)
                .ok_or_else(|| invalid(key, &format!("`{}` is no id (26 characters of a ULID)", shown(&text)))),
        }
    }

    fn limit_value(&mut self, key: &QueryKey, text: &str, max: u64) -> Result<Value, Refusal> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid(key, &format!("it is `{}`; write a number from 1 to {max}", shown(text))));
        }
        let asked = if text.starts_with('-') { 0 } else { text.parse().unwrap_or(u64::MAX) };
        let limit = asked.clamp(1, max);
        if limit != asked {
            let message = format!("`{}` has to be 1 to {max}; {limit} was used", key.name);
            self.warnings.push(Warning { reason: "limit_clamped", message });
        }
        Ok(Value::Number(limit))
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Whether a switch is on; off when it was not sent.
    pub fn is_on(&self, name: &str) -> bool {
        matches!(self.find(name), Some(Value::Bool(true)))
    }

    /// The entries of the page that is asked for.
    pub fn limit(&self) -> usize {
        usize::try_from(self.number("limit").unwrap_or(PAGE_DEFAULT)).unwrap_or(usize::MAX)
    }

    /// Where the page begins: the position behind the cursor, none for the first page.
    pub fn position(&self) -> Option<&[u8]> {
        if let Some(Value::Position(position)) = self.find("cursor") { Some(position) } else { None }
    }

    /// The cursor of the page that begins after `position`, for this same query.
    pub fn cursor_at(&self, position: &[u8]) -> String {
        cursor::encode(&self.subject, position)
    }

    /// This query's string with another cursor, for the link to the next page.
    pub fn with_cursor(&self, cursor: &str) -> String {
        let separator = if self.kept.is_empty() { "" } else { "&" };
        format!("{}{separator}cursor={cursor}", self.kept)
    }

    /// A text or the chosen word.
    pub fn text(&self, name: &str) -> Option<&str> {
        if let Some(Value::Text(text)) = self.find(name) { Some(text) } else { None }
    }

    /// A serial, seconds, or a page's entries.
    pub fn number(&self, name: &str) -> Option<u64> {
        if let Some(Value::Number(number)) = self.find(name) { Some(*number) } else { None }
    }

    /// A version requirement.
    pub fn requirement(&self, name: &str) -> Option<&Requirement> {
        if let Some(Value::Requirement(requirement)) = self.find(name) { Some(requirement) } else { None }
    }

    /// A time.
    pub fn time(&self, name: &str) -> Option<Timestamp> {
        if let Some(Value::Time(time)) = self.find(name) { Some(*time) } else { None }
    }

    /// A package.
    pub fn package(&self, name: &str) -> Option<&PackageName> {
        if let Some(Value::Package(package)) = self.find(name) { Some(package) } else { None }
    }

    /// A namespace.
    pub fn namespace(&self, name: &str) -> Option<&NamespaceName> {
        if let Some(Value::Namespace(namespace)) = self.find(name) { Some(namespace) } else { None }
    }

    /// A user or another principal.
    pub fn principal(&self, name: &str) -> Option<&Principal> {
        if let Some(Value::Principal(principal)) = self.find(name) { Some(principal) } else { None }
    }

    /// An id.
    pub fn id(&self, name: &str) -> Option<Id> {
        if let Some(Value::Id(id)) = self.find(name) { Some(*id) } else { None }
    }
}

/// The sent pairs that a cursor belongs to, in an order of their own: all but the page's size and the cursor itself.
fn filters(sent: &[(&'static QueryKey, Option<String>)]) -> String {
    let is_filter = |kind| !matches!(kind, QueryKind::Cursor | QueryKind::Limit { .. });
    let mut pairs: Vec<String> = sent
        .iter()
        .filter(|(key, _)| is_filter(key.kind))
        .map(|(key, value)| format!("\0{}={}", key.name, value.as_deref().unwrap_or("true")))
        .collect();
    pairs.sort_unstable();
    pairs.concat()
}

fn find_key(keys: &'static [QueryKey], raw_name: &str) -> Result<&'static QueryKey, Refusal> {
    let name = decode_once(raw_name).unwrap_or_else(|_| raw_name.to_owned());
    if let Some(key) = keys.iter().find(|key| key.name == name) {
        return Ok(key);
    }
    let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
    let nearest = known.iter().map(|known| (distance(&name, known), *known)).min().filter(|(steps, _)| *steps <= 2);
    let hint = match (nearest, known.as_slice()) {
        (Some((_, nearest)), _) => format!("did you mean `{nearest}`? It takes `{}`", known.join("`, `")),
        (None, []) => "it takes none".to_owned(),
        (None, [..]) => format!("it takes `{}`", known.join("`, `")),
    };
    let message = format!("this route has no parameter `{}`; {hint}", shown(&name));
    Err(Refusal::field(Reason::UnknownParameter, shown(&name), message))
}

/// Insertions, deletions and replacements from one text to the other (Levenshtein); long texts are far from all.
fn distance(one: &str, other: &str) -> usize {
    const CHARS_MAX: usize = 40;
    if one.len() > CHARS_MAX {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, left) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, right) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

fn text_value(key: &QueryKey, text: String, max: u64) -> Result<Value, Refusal> {
    if text.len() as u64 > max {
        return Err(invalid(key, &format!("it has {} bytes, the limit is {max}", text.len())).with_limit(max));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(key, "it holds control characters"));
    }
    Ok(Value::Text(text))
}

fn number(key: &QueryKey, text: &str, max: u64) -> Result<u64, Refusal> {
    let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = text.parse().ok().filter(|number| digits_only && *number <= max);
    parsed.ok_or_else(|| {
        invalid(key, &format!("it is `{}`; write a whole number from 0 to {max}", shown(text))).with_limit(max)
    })
}

fn invalid(key: &QueryKey, why: &str) -> Refusal {
    Refusal::field(Reason::InvalidParameter, key.name, format!("the parameter `{}` is wrong: {why}", key.name))
}

/// The refusal of a value by its own grammar, under the parameter's name.
fn at(key: &QueryKey, refusal: Refusal) -> Refusal {
    Refusal::field(refusal.reason, key.name, refusal.message)
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;

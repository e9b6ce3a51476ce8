//! Kinds of values: how each is read into its typed field, shown again, and described.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::shown;
use super::network::Network;
use super::types::{Config, NamespaceClaim};
use super::units::{parse_bytes, parse_duration, show_bytes, show_duration};
use super::url::parse_origin;
use crate::telemetry::{Format, Level};

/// The most entries of a list.
const LIST_MAX: usize = 256;

/// The field of the configuration that a key sets.
pub type Slot<T> = fn(&mut Config) -> &mut T;

/// What a key takes, within which bounds, and the field that it sets.
pub enum Kind {
    /// A path.
    Path(Slot<PathBuf>),
    /// A path, or none.
    OptionalPath(Slot<Option<PathBuf>>),
    /// An IP address and port.
    Address(Slot<SocketAddr>),
    /// An `http` or `https` origin, or none.
    Origin(Slot<Option<String>>),
    /// Origins, none by default.
    Origins(Slot<Vec<String>>),
    /// Networks of IP addresses.
    Networks(Slot<Vec<Network>>),
    /// True or false.
    Bool(Slot<bool>),
    /// A number of things.
    Count(RangeInclusive<usize>, Slot<usize>),
    /// A size.
    Bytes(RangeInclusive<u64>, Slot<u64>),
    /// Bytes a second.
    Rate(RangeInclusive<u64>, Slot<u64>),
    /// A time span.
    Duration(RangeInclusive<Duration>, Slot<Duration>),
    /// A time span, or none.
    OptionalDuration(RangeInclusive<Duration>, Slot<Option<Duration>>),
    /// One of a few words.
    Choice(fn(&mut Config) -> &mut dyn Choice),
}

/// A closed set of words.
pub trait Choice {
    /// All words.
    fn words(&self) -> &'static [&'static str];
    /// The present word.
    fn word(&self) -> &'static str;
    /// Takes the value that a word stands for; false when it is none of the words.
    fn choose(&mut self, word: &str) -> bool;
}

macro_rules! choice {
    ($type:ty { $($variant:ident = $word:literal),+ }) => {
        impl Choice for $type {
            fn words(&self) -> &'static [&'static str] {
                &[$($word),+]
            }
            fn word(&self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
            fn choose(&mut self, word: &str) -> bool {
                *self = match word { $($word => Self::$variant,)+ _ => return false };
                true
            }
        }
    };
}

choice!(Level { Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace" });
choice!(Format { Auto = "auto", Text = "text", Json = "json" });
choice!(NamespaceClaim { FirstUse = "first_use", Admin = "admin" });

/// A value as its source had it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Raw {
    /// Text of a flag or a variable, which know no kinds.
    Word(String),
    /// A string in a file.
    Text(String),
    /// A whole number in a file.
    Integer(i64),
    /// A boolean in a file.
    Bool(bool),
    /// An array in a file.
    List(Vec<Raw>),
    /// Null in a JSON file.
    Null,
    /// Anything else that files can hold: its name.
    Other(&'static str),
}

impl Raw {
    /// The value for a message.
    pub(super) fn show(&self) -> String {
        match self {
            Self::Word(text) => format!("`{}`", shown(text)),
            Self::Text(text) => format!("the string `\"{}\"`", shown(text)),
            Self::Integer(number) => format!("the number `{number}`"),
            Self::Bool(value) => format!("`{value}`"),
            Self::List(_) => "a list".to_owned(),
            Self::Null => "`null`".to_owned(),
            Self::Other(name) => (*name).to_owned(),
        }
    }

    /// The text of a string, without white space at its ends.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Word(text) | Self::Text(text) => Some(text.trim()),
            Self::Integer(_) | Self::Bool(_) | Self::List(_) | Self::Null | Self::Other(_) => None,
        }
    }

    /// A whole number, not negative.
    pub(super) fn whole(&self) -> Option<u64> {
        match self {
            Self::Word(text) if text.trim().bytes().all(|b| b.is_ascii_digit()) => text.trim().parse().ok(),
            Self::Integer(number) => u64::try_from(*number).ok(),
            Self::Word(_) | Self::Text(_) | Self::Bool(_) | Self::List(_) | Self::Null | Self::Other(_) => None,
        }
    }

    fn bytes(&self) -> Option<u64> {
        self.whole().or_else(|| self.text().and_then(parse_bytes))
    }

    fn is_none(&self) -> bool {
        *self == Self::Null || matches!(self.text(), Some("" | "none"))
    }

    /// The entries of a list; text is split at commas and white space.
    fn items(&self) -> Option<Vec<&str>> {
        match self {
            Self::List(items) => items.iter().map(Self::text).collect(),
            Self::Word(_) | Self::Text(_) if self.is_none() => Some(Vec::new()),
            Self::Word(text) | Self::Text(text) => {
                Some(text.split(|c: char| c == ',' || c.is_whitespace()).filter(|item| !item.is_empty()).collect())
            }
            Self::Integer(_) | Self::Bool(_) | Self::Null | Self::Other(_) => None,
        }
    }
}

/// Why a value was not taken; `None`: it is not of the kind, and [`Kind::expected`] says what is.
type Refused = Option<String>;

impl Kind {
    /// Reads a value into its field; relative paths start at `base`. An error leaves the field as it was and says why.
    pub(super) fn assign(&self, config: &mut Config, raw: &Raw, base: &Path) -> Result<(), String> {
        self.try_assign(config, raw, base)
            .map_err(|why| why.unwrap_or_else(|| format!("it takes {}{}", self.expected(), self.spelling())))
    }

    fn try_assign(&self, config: &mut Config, raw: &Raw, base: &Path) -> Result<(), Refused> {
        match self {
            Self::Path(slot) => *slot(config) = path(raw, base).ok_or(None)?,
            Self::OptionalPath(slot) => {
                *slot(config) = optional(raw, |raw| path(raw, base).ok_or(None))?;
            }
            Self::Address(slot) => *slot(config) = raw.text().and_then(|text| text.parse().ok()).ok_or(None)?,
            Self::Origin(slot) => {
                *slot(config) = optional(raw, |raw| parse_origin(raw.text().ok_or(None)?).map_err(Some))?;
            }
            Self::Origins(slot) => *slot(config) = list(raw, parse_origin)?,
            Self::Networks(slot) => *slot(config) = list(raw, str::parse)?,
            Self::Bool(slot) => *slot(config) = boolean(raw).ok_or(None)?,
            Self::Count(range, slot) => {
                let count = raw.whole().and_then(|n| usize::try_from(n).ok());
                *slot(config) = within(count, range)?;
            }
            Self::Bytes(range, slot) => *slot(config) = within(raw.bytes(), range)?,
            Self::Rate(range, slot) => {
                let bytes =
                    raw.whole().or_else(|| raw.text().and_then(|t| parse_bytes(t.strip_suffix("/s").unwrap_or(t))));
                *slot(config) = within(bytes, range)?;
            }
            Self::Duration(range, slot) => *slot(config) = within(raw.text().and_then(parse_duration), range)?,
            Self::OptionalDuration(range, slot) => {
                *slot(config) = optional(raw, |raw| within(raw.text().and_then(parse_duration), range))?;
            }
            Self::Choice(slot) => {
                let chosen = raw.text().is_some_and(|word| slot(config).choose(word));
                return if chosen { Ok(()) } else { Err(None) };
            }
        }
        Ok(())
    }

    /// The present value as people (and this reader) read it.
    pub(super) fn show(&self, config: &mut Config) -> String {
        let none = || "none".to_owned();
        match self {
            Self::Path(slot) => slot(config).display().to_string(),
            Self::OptionalPath(slot) => slot(config).as_ref().map_or_else(none, |path| path.display().to_string()),
            Self::Address(slot) => slot(config).to_string(),
            Self::Origin(slot) => slot(config).clone().unwrap_or_else(none),
            Self::Origins(slot) => joined(slot(config)),
            Self::Networks(slot) => joined(slot(config)),
            Self::Bool(slot) => slot(config).to_string(),
            Self::Count(_, slot) => slot(config).to_string(),
            Self::Bytes(_, slot) => show_bytes(*slot(config)),
            Self::Rate(_, slot) => format!("{}/s", show_bytes(*slot(config))),
            Self::Duration(_, slot) => show_duration(*slot(config)),
            Self::OptionalDuration(_, slot) => slot(config).map_or_else(none, show_duration),
            Self::Choice(slot) => slot(config).word().to_owned(),
        }
    }

    /// How a value with a unit is written; empty for kinds that have none.
    pub(super) fn spelling(&self) -> &'static str {
        match self {
            Self::Bytes(..) => ", written as `64 KiB` or `65536` (units: B, KiB, MiB, GiB, TiB, kB, MB, GB, TB)",
            Self::Rate(..) => ", written as `1 KiB/s` or `1024`",
            Self::Duration(..) | Self::OptionalDuration(..) => ", written as `30 s` (units: ms, s, min, h, d, w)",
            Self::Path(_)
            | Self::OptionalPath(_)
            | Self::Address(_)
            | Self::Origin(_)
            | Self::Origins(_)
            | Self::Networks(_)
            | Self::Bool(_)
            | Self::Count(..)
            | Self::Choice(_) => "",
        }
    }

    /// What the key takes, with its bounds, to stand behind "it takes".
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Path(_) => "a path".to_owned(),
            Self::OptionalPath(_) => "a path, or `none`".to_owned(),
            Self::Address(_) => "an IP address and port, such as `127.0.0.1:8080` or `[::]:8080`".to_owned(),
            Self::Origin(_) => "an origin such as `https://registry.example`, or `none`".to_owned(),
            Self::Origins(_) => format!("a list of at most {LIST_MAX} origins such as `https://docs.example`"),
            Self::Networks(_) => format!("a list of at most {LIST_MAX} networks such as `10.0.0.0/8` or `::1`"),
            Self::Bool(_) => "`true` or `false`".to_owned(),
            Self::Count(range, _) => format!("a whole number from {} to {}", range.start(), range.end()),
            Self::Bytes(range, _) => {
                format!("a size from {} to {}", show_bytes(*range.start()), show_bytes(*range.end()))
            }
            Self::Rate(range, _) => {
                format!("a rate from {} to {} a second", show_bytes(*range.start()), show_bytes(*range.end()))
            }
            Self::Duration(range, _) => times(range),
            Self::OptionalDuration(range, _) => format!("{}, or `none`", times(range)),
            Self::Choice(slot) => {
                let words = slot(&mut Config::default()).words();
                format!("one of {}", words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn times(range: &RangeInclusive<Duration>) -> String {
    let (min, max) = (show_duration(*range.start()), show_duration(*range.end()));
    format!("a time from {min} to {max}")
}

fn joined<T: ToString>(items: &[T]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.iter().map(T::to_string).collect::<Vec<_>>().join(", ") }
}

fn within<T: PartialOrd>(value: Option<T>, range: &RangeInclusive<T>) -> Result<T, Refused> {
    value.filter(|value| range.contains(value)).ok_or(None)
}

fn optional<T>(raw: &Raw, read: impl Fn(&Raw) -> Result<T, Refused>) -> Result<Option<T>, Refused> {
    if raw.is_none() { Ok(None) } else { read(raw).map(Some) }
}

fn list<T>(raw: &Raw, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Refused> {
    let items = raw.items().filter(|items| items.len() <= LIST_MAX).ok_or(None)?;
    items.into_iter().map(|item| read(item).map_err(Some)).collect()
}

fn path(raw: &Raw, base: &Path) -> Option<PathBuf> {
    let text = raw.text().filter(|text| !text.is_empty() && !text.contains(['\0', char::REPLACEMENT_CHARACTER]))?;
    Some(base.join(text))
}

fn boolean(raw: &Raw) -> Option<bool> {
    match raw {
        Raw::Bool(value) => Some(*value),
        Raw::Word(word) => match word.trim() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
        Raw::Text(_) | Raw::Integer(_) | Raw::List(_) | Raw::Null | Raw::Other(_) => None,
    }
}

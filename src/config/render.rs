//! The table of keys as people and tools read it: `config show`, a JSON Schema, a sample file, a page of documentation.

use std::fmt;

use serde_json::{Map, Value, json};

use super::alias::ALIASES;
use super::keys::{KEYS, Key, SECTIONS};
use super::kind::Kind;
use super::load::Loaded;

/// One line of `config show`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShowLine {
    /// The key.
    pub key: &'static str,
    /// Its value, in a form that can be written into a file.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

impl Loaded {
    /// Every key with its value and origin, in the order of the table.
    pub fn render_show(&self) -> Vec<ShowLine> {
        let mut config = self.config.clone();
        let line = |key: &Key| ShowLine {
            key: key.name,
            value: key.kind.show(&mut config),
            origin: self.origin(key).to_string(),
        };
        KEYS.iter().map(line).collect()
    }
}

/// The JSON Schema (draft 2020-12) of a configuration file.
pub fn json_schema() -> Value {
    let mut root = Map::new();
    for (section, heading) in SECTIONS {
        let keys = KEYS.iter().filter(|key| key.split().0 == *section);
        let properties: Map<_, _> = keys.map(|key| (key.split().1.to_owned(), key_schema(key))).collect();
        if section.is_empty() {
            root.extend(properties);
        } else {
            let table = json!({
                "type": "object", "description": heading, "additionalProperties": false, "properties": properties,
            });
            root.insert((*section).to_owned(), table);
        }
    }
    for alias in ALIASES {
        let description = format!("An earlier name: write {}.", alias.instead);
        root.insert(alias.name.to_owned(), json!({ "deprecated": true, "description": description }));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of vix-registry",
        "type": "object",
        "additionalProperties": false,
        "properties": root,
    })
}

fn key_schema(key: &Key) -> Value {
    let mut schema = match &key.kind {
        Kind::Path(_) => json!({ "type": "string", "minLength": 1 }),
        Kind::OptionalPath(_) | Kind::Origin(_) | Kind::OptionalDuration(..) => json!({ "type": ["string", "null"] }),
        Kind::Address(_) | Kind::Duration(..) => json!({ "type": "string" }),
        Kind::Origins(_) | Kind::Networks(_) => {
            json!({ "type": ["array", "string"], "items": { "type": "string" }, "maxItems": 256 })
        }
        Kind::Bool(_) => json!({ "type": "boolean" }),
        Kind::Count(range, _) => json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() }),
        Kind::Bytes(range, _) | Kind::Rate(range, _) => {
            json!({ "type": ["integer", "string"], "minimum": range.start(), "maximum": range.end() })
        }
        Kind::Choice(slot) => json!({ "enum": slot(&mut super::Config::default()).words() }),
    };
    schema["description"] = format!("{} It takes {}{}.", key.doc, key.kind.expected(), key.kind.spelling()).into();
    schema["default"] = default_json(key);
    schema
}

fn default_json(key: &Key) -> Value {
    match &key.kind {
        Kind::Bool(_) | Kind::Count(..) => serde_json::from_str(key.default).unwrap_or(Value::Null),
        Kind::Origins(_) | Kind::Networks(_) => json!([]),
        Kind::Path(_)
        | Kind::OptionalPath(_)
        | Kind::Address(_)
        | Kind::Origin(_)
        | Kind::Bytes(..)
        | Kind::Rate(..)
        | Kind::Duration(..)
        | Kind::OptionalDuration(..)
        | Kind::Choice(_) => json!(key.default),
    }
}

/// A file that sets nothing yet: every key with its default, commented out.
pub fn sample_toml() -> String {
    let mut out = String::from(
        "# Configuration of vix-registry. Every line shows a default; take away the `#` to change one.\n\
         # Flags and environment variables (VIX_REGISTRY_HTTP_LISTEN) count more than this file.\n\
         # `vix-registry config check` tries it, `vix-registry config show` tells where each value comes from.\n",
    );
    for (section, heading) in SECTIONS {
        let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
        put(&mut out, format_args!("\n# {heading}\n{header}"));
        for key in KEYS.iter().filter(|key| key.split().0 == *section) {
            put(&mut out, format_args!("# {}\n#{} = {}\n", key.doc, key.split().1, default_json(key)));
        }
    }
    out
}

/// The tables of `docs/configuration.md`, one for each section, and that of earlier names.
pub fn doc_tables() -> String {
    let mut out = String::new();
    for (section, heading) in SECTIONS {
        let name = if section.is_empty() { String::new() } else { format!(" (`[{section}]`)") };
        put(
            &mut out,
            format_args!("\n### {heading}{name}\n\n| key | default | what it does | it takes |\n|---|---|---|---|\n"),
        );
        for key in KEYS.iter().filter(|key| key.split().0 == *section) {
            let (name, default, doc) = (key.name, key.default, key.doc);
            put(&mut out, format_args!("| `{name}` | `{default}` | {doc} | {} |\n", key.kind.expected()));
        }
    }
    put(&mut out, format_args!("\n### Earlier names\n\n| name | write instead |\n|---|---|\n"));
    for alias in ALIASES {
        put(&mut out, format_args!("| `{}` | {} |\n", alias.name, alias.instead));
    }
    out
}

fn put(out: &mut String, text: fmt::Arguments<'_>) {
    out.push_str(&fmt::format(text));
}

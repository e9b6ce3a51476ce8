//! Reading a `vix.json`: what the official client writes, leniently, and nothing that the registry can't hold.
//!
//! Owns which keys of the manifest are known and every shape that they come in. Unknown keys are kept in
//! [`ManifestFields::value`] and not judged. A known key of a wrong shape refuses the publish, naming its path; a text
//! past a limit is left out with a warning, because it describes and decides nothing. Null and empty texts count as
//! absent (the client writes empty ones). It never looks at the package that is published: who calls compares.

mod dependencies;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::archive::Warning;
use crate::domain::json::{JsonFault, check_json};
use crate::domain::name::{PackageName, shown};
use crate::domain::package::{DependencyKind, Links};
use crate::domain::refusal::{Reason, Refusal};

/// The deepest nesting of a manifest.
pub const MANIFEST_DEPTH_MAX: u32 = 32;

/// The longest web address in bytes; the contract is silent, and this is about what browsers take.
pub const LINK_BYTES_MAX: usize = 2048;

/// How many warnings one manifest brings at most; the rest would say the same.
const WARNINGS_MAX: usize = 16;

/// The bounds of a manifest and its fields. Sizes are bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManifestLimits {
    /// The whole text.
    pub bytes_max: u64,
    /// The description.
    pub description_bytes_max: usize,
    /// The licence.
    pub license_bytes_max: usize,
    /// How many keywords.
    pub keywords_max: usize,
    /// A keyword, in characters.
    pub keyword_chars_max: usize,
    /// How many dependencies; more refuse the publish.
    pub dependencies_max: usize,
}

impl Default for ManifestLimits {
    fn default() -> Self {
        Self {
            bytes_max: 64 << 10,
            description_bytes_max: 1 << 10,
            license_bytes_max: 256,
            keywords_max: 64,
            keyword_chars_max: 64,
            dependencies_max: 512,
        }
    }
}

/// One dependency as the manifest tells it; both texts were parsed once to be sure of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManifestDependency {
    /// The package that is needed.
    pub name: PackageName,
    /// Which versions of it will do, as written; `*` when the manifest says nothing or `latest`.
    pub req: String,
    /// When it is needed.
    pub kind: DependencyKind,
    /// Whether it can be left out.
    pub optional: bool,
}

/// What a manifest says; `None` is "nothing".
#[derive(Clone, PartialEq, Debug)]
pub struct ManifestFields {
    /// The package's name, mostly without its namespace. Not judged: it is only compared.
    pub name: Option<String>,
    /// The package's namespace. Not judged.
    pub namespace: Option<String>,
    /// The version. Not judged: a quarter of real ones lag behind.
    pub version: Option<String>,
    /// What the package is for.
    pub description: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// Its keywords, each once.
    pub keywords: Option<Vec<String>>,
    /// Its http(s) addresses under the contract's keys; empty when there are none.
    pub links: Links,
    /// What it needs.
    pub dependencies: Option<Vec<ManifestDependency>>,
    /// The whole manifest.
    pub value: Value,
    /// What was left out, each with the reason `manifest_field_ignored`.
    pub warnings: Vec<Warning>,
}

/// Reads the bytes of a `vix.json`.
///
/// # Errors
/// `invalid_manifest` when the text is too large, no JSON object, too deep, names a key twice, has a known key of a wrong
/// shape, or a dependency that the registry can't hold. The detail names the field.
pub fn parse(bytes: &[u8], limits: &ManifestLimits) -> Result<ManifestFields, Refusal> {
    let value = parse_json(bytes, limits)?;
    let Value::Object(map) = &value else {
        return Err(refuse("vix.json", &format!("it must be a JSON object, not {}", kind_of(&value))));
    };
    let mut reader = Reader { map, limits, warnings: Vec::new() };
    let name = reader.text("name")?;
    let namespace = reader.text("namespace")?;
    let version = reader.text("version")?;
    let description = reader.short_text("description", limits.description_bytes_max)?;
    let license = reader.short_text("license", limits.license_bytes_max)?;
    let keywords = reader.keywords()?;
    let links = reader.links()?;
    let dependencies = dependencies::read(&mut reader)?;
    let warnings = reader.warnings;
    Ok(ManifestFields {
        name,
        namespace,
        version,
        description,
        license,
        keywords,
        links,
        dependencies,
        value,
        warnings,
    })
}

fn parse_json(bytes: &[u8], limits: &ManifestLimits) -> Result<Value, Refusal> {
    if bytes.len() as u64 > limits.bytes_max {
        let why = format!("it is larger than {} bytes; make it smaller", limits.bytes_max);
        return Err(refuse("vix.json", &why).with_limit(limits.bytes_max));
    }
    // The official client's parser passes over a byte order mark.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    check_json(text, MANIFEST_DEPTH_MAX).map_err(|fault| refuse_fault(&fault))?;
    serde_json::from_slice(text).map_err(|error| {
        refuse("vix.json", &format!("it is no JSON from line {}, column {} on", error.line(), error.column()))
    })
}

fn refuse_fault(fault: &JsonFault) -> Refusal {
    match fault {
        JsonFault::TooDeep { depth_max } => {
            let why = format!("it is nested more than {depth_max} deep; flatten it");
            refuse("vix.json", &why).with_limit(u64::from(*depth_max))
        }
        JsonFault::DuplicateKey { key, .. } => {
            let field = fault.field().unwrap_or_default();
            refuse(&field, &format!("the key `{key}` stands there twice; keep one"))
        }
        JsonFault::Malformed { line, column } => {
            refuse("vix.json", &format!("it is no JSON from line {line}, column {column} on"))
        }
    }
}

/// The known keys of a manifest, read one after the other.
struct Reader<'a> {
    map: &'a Map<String, Value>,
    limits: &'a ManifestLimits,
    warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    /// The value of a key; null is absent.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Result<Option<String>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(other) => Err(refuse(key, &format!("it must be a string, not {}", kind_of(other)))),
        }
    }

    fn short_text(&mut self, key: &str, bytes_max: usize) -> Result<Option<String>, Refusal> {
        let text = self.text(key)?;
        if text.as_ref().is_some_and(|text| text.len() > bytes_max) {
            self.ignore(key, &format!("it is longer than {bytes_max} bytes"));
            return Ok(None);
        }
        Ok(text)
    }

    fn keywords(&mut self) -> Result<Option<Vec<String>>, Refusal> {
        let items = match self.get("keywords") {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(other) => {
                return Err(refuse("keywords", &format!("it must be a list of strings, not {}", kind_of(other))));
            }
        };
        let mut keywords: Vec<String> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let field = format!("keywords[{index}]");
            let Value::String(keyword) = item else {
                return Err(refuse(&field, &format!("it must be a string, not {}", kind_of(item))));
            };
            let chars = keyword.chars().count();
            if !(1..=self.limits.keyword_chars_max).contains(&chars) || keyword.chars().any(char::is_control) {
                let why = format!("a keyword is 1 to {} printable characters", self.limits.keyword_chars_max);
                self.ignore(&field, &why);
            } else if keywords.len() == self.limits.keywords_max {
                let why = format!("only the first {} are kept", self.limits.keywords_max);
                self.ignore("keywords", &why);
                break;
            } else if !keywords.contains(keyword) {
                keywords.push(keyword.clone());
            }
        }
        Ok(Some(keywords))
    }

    fn links(&mut self) -> Result<Links, Refusal> {
        const KEYS: [&str; 5] = ["homepage", "repository", "documentation", "issues", "changelog"];
        let mut links = Links::new();
        for key in KEYS {
            let address = match self.get(key) {
                None => continue,
                Some(Value::String(address)) => address,
                Some(Value::Object(map)) => match map.get("url") {
                    Some(Value::String(address)) => address,
                    _ => return Err(refuse(&format!("{key}.url"), "it must be a string")),
                },
                Some(other) => return Err(refuse(key, &format!("it must be a string, not {}", kind_of(other)))),
            };
            if is_web_address(address) {
                links.insert(key.to_owned(), address.clone());
            } else if !address.is_empty() {
                self.ignore(key, "it is no http or https address");
            }
        }
        Ok(links)
    }

    /// Warns that a field was left out, a bounded number of times.
    fn ignore(&mut self, field: &str, why: &str) {
        if self.warnings.len() == WARNINGS_MAX {
            return;
        }
        let message = format!("`{field}` of `vix.json` was left out: {why}");
        self.warnings.push(Warning { reason: "manifest_field_ignored", message });
    }
}

fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['));
    host && text.len() <= LINK_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A refusal of one field of the manifest.
fn refuse(field: &str, why: &str) -> Refusal {
    let message = if field == "vix.json" {
        format!("`vix.json` in the archive can't be used: {why}")
    } else {
        format!("`{}` of `vix.json` in the archive can't be used: {why}", shown(field))
    };
    Refusal::field(Reason::InvalidManifest, field, message)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

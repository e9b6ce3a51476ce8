//! The dependencies of a manifest, in each form that the official client writes or reads.
//!
//! `deps`, which the client resolves, counts before `dependencies`, which its index entries have. Both are read alike:
//! a list of `"ns/name@range"`, of `{"id", "version" | "requested" | "range"}` or of maps; a map from name to range or
//! to `{"version"}`; or `{"registry": […], "git": […], "system": […]}`, of which the registry's part alone counts.

use serde_json::{Map, Value};

use super::{ManifestDependency, Reader, kind_of, refuse};
use crate::domain::name::{PackageName, shown};
use crate::domain::package::DependencyKind;
use crate::domain::refusal::Refusal;
use crate::domain::requirement::Requirement;

/// Parts of a map of dependencies by where they come from.
const SECTIONS: [&str; 3] = ["registry", "git", "system"];

/// Keys of a dependency that comes from somewhere else than a registry.
const FOREIGN: [&str; 3] = ["git", "path", "url"];

/// Where a range stands, in the order in which the client looks.
const RANGES: [&str; 3] = ["version", "requested", "range"];

/// Reads what the package needs; `None` when the manifest says nothing about it.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Option<Vec<ManifestDependency>>, Refusal> {
    let found = ["deps", "dependencies"].into_iter().find_map(|key| Some((key, reader.get(key)?)));
    let Some((key, value)) = found else {
        return Ok(None);
    };
    let mut list = List { reader, read: Vec::new() };
    match value.as_object().filter(|map| sections(map)) {
        Some(map) => {
            if let Some(registry) = map.get("registry").filter(|value| !value.is_null()) {
                list.read_value(&format!("{key}.registry"), registry)?;
            }
        }
        None => list.read_value(key, value)?,
    }
    Ok(Some(list.read))
}

/// Whether a map is split by origin: a section holds a list, which no range is.
fn sections(map: &Map<String, Value>) -> bool {
    SECTIONS.iter().any(|section| map.get(*section).is_some_and(Value::is_array))
}

struct List<'r, 'a> {
    reader: &'r mut Reader<'a>,
    read: Vec<ManifestDependency>,
}

/// What stands beside a name.
struct Terms<'a> {
    req: &'a str,
    kind: DependencyKind,
    optional: bool,
}

impl<'a> Terms<'a> {
    fn plain(req: &'a str) -> Self {
        Self { req, kind: DependencyKind::Normal, optional: false }
    }
}

impl List<'_, '_> {
    fn read_value(&mut self, field: &str, value: &Value) -> Result<(), Refusal> {
        if let Some(items) = value.as_array() {
            self.read_items(field, items)
        } else if let Some(map) = value.as_object() {
            self.read_map(field, map)
        } else {
            Err(refuse(field, &format!("it must be a list or an object, not {}", kind_of(value))))
        }
    }

    fn read_items(&mut self, field: &str, items: &[Value]) -> Result<(), Refusal> {
        for (index, item) in items.iter().enumerate() {
            let field = format!("{field}[{index}]");
            if let Some(text) = item.as_str() {
                let (name, req) = split(text);
                self.push(&field, name, &Terms::plain(req))?;
                continue;
            }
            let Some(map) = item.as_object() else {
                let why = format!("it must be a string such as \"ns/name@^1.2\" or an object, not {}", kind_of(item));
                return Err(refuse(&field, &why));
            };
            let id = string(&field, map, "id")?.map_or_else(|| string(&field, map, "name"), |id| Ok(Some(id)))?;
            match id {
                Some(id) => {
                    let (name, inline) = split(id);
                    self.push(&field, name, &terms(&field, map, inline)?)?;
                }
                None if foreign(map) => self.pass_over(&field),
                None => self.read_map(&field, map)?,
            }
        }
        Ok(())
    }

    fn read_map(&mut self, field: &str, map: &Map<String, Value>) -> Result<(), Refusal> {
        for (name, value) in map {
            let field = format!("{field}.{}", shown(name));
            if let Some(req) = value.as_str() {
                self.push(&field, name, &Terms::plain(req))?;
            } else if value.is_null() {
                self.push(&field, name, &Terms::plain(""))?;
            } else if let Some(map) = value.as_object() {
                if foreign(map) {
                    self.pass_over(&field);
                } else {
                    self.push(&field, name, &terms(&field, map, "")?)?;
                }
            } else {
                let why = format!("it must be a range such as \"^1.2\" or an object, not {}", kind_of(value));
                return Err(refuse(&field, &why));
            }
        }
        Ok(())
    }

    fn push(&mut self, field: &str, name: &str, terms: &Terms<'_>) -> Result<(), Refusal> {
        let name = name.trim();
        let name = PackageName::parse(name.strip_prefix('@').unwrap_or(name));
        let name = name.map_err(|refusal| refuse(field, &refusal.message))?;
        let req = match terms.req.trim() {
            "" | "latest" => "*",
            req => req,
        };
        Requirement::parse(req).map_err(|refusal| refuse(field, &refusal.message))?;
        let dependency = ManifestDependency { name, req: req.to_owned(), kind: terms.kind, optional: terms.optional };
        let same = self.read.iter().find(|other| other.name == dependency.name && other.kind == dependency.kind);
        match same {
            Some(other) if *other == dependency => return Ok(()),
            Some(_) => return Err(refuse(field, "the same package is named there before, on other terms; keep one")),
            None => {}
        }
        let limit = self.reader.limits.dependencies_max;
        if self.read.len() == limit {
            return Err(refuse(field, &format!("a package has at most {limit} dependencies")).with_limit(limit as u64));
        }
        self.read.push(dependency);
        Ok(())
    }

    fn pass_over(&mut self, field: &str) {
        self.reader.ignore(&shown(field), "it does not come from a registry");
    }
}

/// Reads the range, kind and `optional` of an object; `inline` is the range that stood beside the name.
fn terms<'a>(field: &str, map: &'a Map<String, Value>, inline: &'a str) -> Result<Terms<'a>, Refusal> {
    let mut req = None;
    for key in RANGES {
        req = req.or(string(field, map, key)?.filter(|text| !text.is_empty()));
    }
    let kind = match string(field, map, "kind")? {
        None => DependencyKind::Normal,
        Some(text) => DependencyKind::parse(text).ok_or_else(|| {
            refuse(&format!("{field}.kind"), &format!("`{}` is none of `normal`, `dev`, `build`", shown(text)))
        })?,
    };
    let optional = match map.get("optional") {
        None | Some(Value::Null) => false,
        Some(value) => value.as_bool().ok_or_else(|| wrong_type(field, "optional", "true or false", value))?,
    };
    Ok(Terms { req: req.unwrap_or(inline), kind, optional })
}

/// The string under a key; null is absent.
fn string<'a>(field: &str, map: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, Refusal> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| wrong_type(field, key, "a string", value)),
    }
}

/// Whether an object names a source of its own and no range.
fn foreign(map: &Map<String, Value>) -> bool {
    FOREIGN.iter().any(|key| map.contains_key(*key)) && !RANGES.iter().any(|key| map.contains_key(*key))
}

/// Splits `ns/name@range` and `@ns/name@range`; without a range the second part is empty.
fn split(text: &str) -> (&str, &str) {
    let name = text.trim();
    let name = name.strip_prefix('@').unwrap_or(name);
    name.split_once('@').unwrap_or((name, ""))
}

fn wrong_type(field: &str, key: &str, expected: &str, value: &Value) -> Refusal {
    refuse(&format!("{field}.{key}"), &format!("it must be {expected}, not {}", kind_of(value)))
}

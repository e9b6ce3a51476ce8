//! The one configuration file: which it is, and its entries with their lines. Knows TOML and JSON, no key's meaning.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::keys::SECTIONS;
use super::kind::Raw;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// One value of a file under its dotted name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) raw: Raw,
    /// Counted from 1; JSON knows none.
    pub(super) line: Option<usize>,
}

/// The file to read: the named one, else the one in the data directory, else the system's, else none.
pub(super) fn find(named: Option<&Path>, data: &Path, system: &Path) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(path) = named {
        return Ok(Some(path.to_owned()));
    }
    let (toml, json) = (data.join("config.toml"), data.join("config.json"));
    match (exists(&toml)?, exists(&json)?) {
        (true, true) => Err(ConfigError::one(
            format!("`{}` and `{}` are both there", toml.display(), json.display()),
            "exactly one configuration file is read, and nothing says which",
            "remove one of them, or name the other with --config",
        )),
        (true, false) => Ok(Some(toml)),
        (false, true) => Ok(Some(json)),
        (false, false) => Ok(exists(system)?.then(|| system.to_owned())),
    }
}

fn exists(path: &Path) -> Result<bool, ConfigError> {
    path.try_exists().map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    let next = if error.kind() == io::ErrorKind::NotFound {
        "check the path given by --config or VIX_REGISTRY_CONFIG"
    } else {
        "make it readable for the user that runs vix-registry, or name another file with --config"
    };
    ConfigError::one(format!("the configuration file `{}` can't be read", path.display()), error.to_string(), next)
}

/// Reads a file: JSON when its name ends in `.json` or, under a name that tells nothing, when it begins with `{`.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| unreadable(path, &error))?;
    let refused = |line: Option<usize>, why: String| {
        let place = line.map_or_else(String::new, |line| format!(":{line}"));
        let what = format!("the configuration file `{}{place}` is not valid", path.display());
        ConfigError::one(what, why, "mend it there; `vix-registry config init` prints a sample")
    };
    if u64::try_from(bytes.len()).is_ok_and(|len| len > FILE_BYTES_MAX) {
        return Err(refused(None, format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        refused(Some(line_of(error.as_bytes(), good)), "it is not UTF-8".to_owned())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let is_json = match path.extension().and_then(|e| e.to_str()) {
        Some("json") => true,
        Some("toml") => false,
        Some(_) | None => text.trim_start().starts_with('{'),
    };
    let root = if is_json { parse_json(text) } else { parse_toml(text) };
    let Node::Table(root) = root.map_err(|(line, why)| refused(line, why))?.0 else {
        return Err(refused(None, "it holds no table of keys".to_owned()));
    };
    let mut entries = Vec::new();
    flatten("", root, &mut entries);
    Ok(entries)
}

/// A value of a file and its line.
struct Placed(Node, Option<usize>);

enum Node {
    Leaf(Raw),
    Table(Vec<(String, Placed)>),
}

type Parsed = Result<Placed, (Option<usize>, String)>;

fn flatten(prefix: &str, table: Vec<(String, Placed)>, entries: &mut Vec<Entry>) {
    for (name, Placed(node, line)) in table {
        let name = format!("{prefix}{name}");
        match node {
            Node::Table(inner) if SECTIONS.iter().any(|(section, _)| *section == name) => {
                flatten(&format!("{name}."), inner, entries);
            }
            Node::Table(_) => entries.push(Entry { name, raw: Raw::Other("a table"), line }),
            Node::Leaf(raw) => entries.push(Entry { name, raw, line }),
        }
    }
}

fn line_of(text: &[u8], at: usize) -> usize {
    1 + text.iter().take(at).filter(|b| **b == b'\n').count()
}

fn parse_toml(text: &str) -> Parsed {
    match DeTable::parse(text) {
        Ok(table) => Ok(Placed(toml_table(text, table.get_ref()), Some(1))),
        Err(error) => {
            let line = error.span().map(|span| line_of(text.as_bytes(), span.start));
            Err((line, error.message().to_owned()))
        }
    }
}

fn toml_table(text: &str, table: &DeTable<'_>) -> Node {
    let entry = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let line = line_of(text.as_bytes(), name.span().start);
        let name: &std::borrow::Cow<'_, str> = name.get_ref();
        (name.clone().into_owned(), Placed(toml_node(text, value.get_ref()), Some(line)))
    };
    Node::Table(table.iter().map(entry).collect())
}

fn toml_node(text: &str, value: &DeValue<'_>) -> Node {
    match value {
        DeValue::Table(table) => toml_table(text, table),
        DeValue::String(value) => Node::Leaf(Raw::Text(value.clone().into_owned())),
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            Node::Leaf(read.map_or(Raw::Other("a number out of range"), Raw::Integer))
        }
        DeValue::Boolean(value) => Node::Leaf(Raw::Bool(*value)),
        DeValue::Array(items) => {
            Node::Leaf(Raw::List(items.iter().map(|item| leaf(toml_node(text, item.get_ref()))).collect()))
        }
        DeValue::Float(_) => Node::Leaf(Raw::Other("a number with a fraction")),
        DeValue::Datetime(_) => Node::Leaf(Raw::Other("a date")),
    }
}

fn leaf(node: Node) -> Raw {
    match node {
        Node::Leaf(raw) => raw,
        Node::Table(_) => Raw::Other("a table"),
    }
}

fn parse_json(text: &str) -> Parsed {
    let node = serde_json::from_str(text).map_err(|error| (Some(error.line()), error.to_string()))?;
    Ok(Placed(node, None))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Leaf(Raw::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Leaf(Raw::Integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Leaf(i64::try_from(value).map_or(Raw::Other("a number out of range"), Raw::Integer)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Leaf(Raw::Other("a number with a fraction")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Leaf(Raw::Text(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Raw::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(leaf(item));
        }
        Ok(Node::Leaf(Raw::List(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut table: Vec<(String, Placed)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if table.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format_args!("duplicate key `{name}`")));
            }
            table.push((name, Placed(map.next_value()?, None)));
        }
        Ok(Node::Table(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(name: &str, text: &[u8]) -> Result<Vec<Entry>, String> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("write");
        read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn toml_and_json_give_the_same_entries() {
        let toml = b"data = 'd'\n[http]\nlisten = \"l\"\ntrusted_proxies = ['a']\n[limits]\nkeywords = 0x10\n";
        let json = br#"{"data":"d","http":{"listen":"l","trusted_proxies":["a"]},"limits":{"keywords":16}}"#;
        let strip = |list: Vec<Entry>| {
            let mut list: Vec<_> = list.into_iter().map(|entry| (entry.name, entry.raw)).collect();
            list.sort_by(|a, b| a.0.cmp(&b.0));
            list
        };
        let from_toml = entries("config.toml", toml).expect("toml");
        let lines: Vec<_> = from_toml.iter().map(|entry| (entry.name.as_str(), entry.line)).collect();
        assert!(lines.contains(&("http.listen", Some(3))), "{lines:?}");
        let from_toml = strip(from_toml);
        assert_eq!(from_toml, strip(entries("config.json", json).expect("json")));
        assert_eq!(from_toml, strip(entries("other.conf", json).expect("json by content")));
        assert_eq!(from_toml[3], ("limits.keywords".to_owned(), Raw::Integer(16)));
    }

    #[test]
    fn broken_files_are_refused_with_their_line() {
        let huge = vec![b'#'; (1 << 20) + 1];
        for (name, text, hint) in [
            ("config.toml", &b"a = 1\nb = \n"[..], "config.toml:2"),
            ("config.toml", b"a = 1\na = 2\n", "config.toml:2"),
            ("config.toml", b"a = '\n\xff'", "config.toml:2"),
            ("config.json", b"{\"a\":1,\n\"a\":2}", "duplicate key `a`"),
            ("config.json", b"[1]", "no table"),
            ("config.json", b"{\"a\":1", "config.json:1"),
            ("config.toml", &huge, "larger than 1048576 bytes"),
        ] {
            let error = entries(name, text).expect_err(hint);
            assert!(error.contains(hint) && error.contains("\n  next: "), "{hint}: {error}");
        }
    }

    #[test]
    fn values_of_no_known_kind_are_named() {
        let list =
            entries("config.toml", b"a = 1.5\nb = 1979-05-27\nc = 99999999999999999999\n[htp]\nx = 1\n").expect("toml");
        let raws: Vec<_> = list.iter().map(|entry| entry.raw.show()).collect();
        assert_eq!(raws, ["a number with a fraction", "a date", "a number out of range", "a table"]);
        assert_eq!(list[3].name, "htp");
    }

    #[test]
    fn exactly_one_file_is_found() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (data, system) = (dir.path().join("reg"), dir.path().join("system.toml"));
        let found = |named: Option<&Path>| find(named, &data, &system).map_err(|error| error.to_string());
        assert_eq!(found(None), Ok(None));
        std::fs::write(&system, "").expect("write");
        assert_eq!(found(None), Ok(Some(system.clone())));
        std::fs::create_dir(&data).expect("mkdir");
        std::fs::write(data.join("config.json"), "{}").expect("write");
        assert_eq!(found(None), Ok(Some(data.join("config.json"))));
        std::fs::write(data.join("config.toml"), "").expect("write");
        assert!(found(None).is_err_and(|error| error.contains("both there")));
        assert_eq!(found(Some(Path::new("x"))), Ok(Some("x".into())));
    }
}

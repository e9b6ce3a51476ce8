//! The crates that are built in: their licences, and which stand there twice, against `packaging/deny.toml`.
//!
//! The file is cargo-deny's, so that the tool itself can be run where its advisory database can be fetched.

use std::collections::BTreeMap;
use std::process::Command;

use semver::{Version, VersionReq};
use serde_json::Value;

use crate::none;
use crate::tree::{file, root};

/// One crate of the locked graph.
struct Package {
    name: String,
    version: Version,
    license: String,
}

/// Every crate that is built for this platform, tests' included, as `Cargo.lock` pins it.
fn packages() -> Vec<Package> {
    let platform = concat!("--filter-platform=", "x86_64-unknown-linux-gnu");
    let arguments = ["metadata", "--offline", "--locked", "--format-version=1", platform];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let all = metadata["packages"].as_array().expect("metadata lists packages").iter();
    all.map(|package| Package {
        name: text(package, "name"),
        version: text(package, "version").parse().expect("cargo knows versions"),
        license: text(package, "license"),
    })
    .collect()
}

/// `name`, `name@req` in `crate`: what an entry of `skip` or `exceptions` is about.
struct Entry {
    name: String,
    version: VersionReq,
    allow: Vec<String>,
}

impl Entry {
    fn read(entry: &toml::Value) -> Self {
        let spec = entry.get("crate").and_then(toml::Value::as_str).expect("an entry names its `crate`");
        let (name, version) = spec.split_once('@').unwrap_or((spec, "*"));
        let version = version.parse().expect("the version of an entry is a requirement");
        Self { name: name.to_owned(), version, allow: entry.get("allow").map(strings).unwrap_or_default() }
    }

    fn is_about(&self, package: &Package) -> bool {
        self.name == package.name && self.version.matches(&package.version)
    }
}

/// What `packaging/deny.toml` allows.
struct Allowed {
    licenses: Vec<String>,
    exceptions: Vec<Entry>,
    doubled: Vec<Entry>,
}

fn strings(value: &toml::Value) -> Vec<String> {
    let values = value.as_array().expect("a list").iter();
    values.map(|one| one.as_str().expect("a list of strings").to_owned()).collect()
}

fn allowed() -> Allowed {
    let text = file("packaging/deny.toml").expect("packaging/deny.toml is part of the source tree").text;
    let table: toml::Table = text.parse().expect("packaging/deny.toml is TOML");
    let list = |section: &str, key: &str| table.get(section).and_then(|section| section.get(key)).cloned();
    let entries = |section: &str, key: &str| {
        let list = list(section, key).unwrap_or(toml::Value::Array(Vec::new()));
        list.as_array().expect("a list of entries").iter().map(Entry::read).collect()
    };
    Allowed {
        licenses: strings(&list("licenses", "allow").expect("deny.toml has [licenses] allow")),
        exceptions: entries("licenses", "exceptions"),
        doubled: entries("bans", "skip"),
    }
}

/// Whether an SPDX expression can be met with licences that are allowed. `/` is the old spelling of OR, and AND binds
/// more tightly than OR.
fn is_met(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any(&words, &mut at, allowed);
    met && at == words.len()
}

fn any(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(words, at, allowed);
    }
    met
}

fn all(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> bool {
    let Some(&word) = words.get(*at) else { return false };
    *at += 1;
    if word == "(" {
        let met = any(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return met && closed;
    }
    if words.get(*at) != Some(&"WITH") {
        return allowed(word);
    }
    *at += 2;
    words.get(*at - 1).is_some_and(|exception| allowed(&format!("{word} WITH {exception}")))
}

#[test]
fn every_licence_is_allowed() {
    let Allowed { licenses, exceptions, .. } = allowed();
    let mut broken = Vec::new();
    for package in packages() {
        let excepted = exceptions.iter().filter(|entry| entry.is_about(&package)).flat_map(|entry| &entry.allow);
        let known: Vec<&String> = licenses.iter().chain(excepted).collect();
        if !is_met(&package.license, &|licence| known.iter().any(|known| *known == licence)) {
            broken.push(format!("{} {}: {:?}", package.name, package.version, package.license));
        }
    }
    none("a licence that packaging/deny.toml does not allow", &broken);
}

#[test]
fn no_crate_is_built_twice_but_those_that_are_known() {
    let doubled = allowed().doubled;
    let mut versions: BTreeMap<String, Vec<Version>> = BTreeMap::new();
    for package in packages().into_iter().filter(|package| !doubled.iter().any(|entry| entry.is_about(package))) {
        versions.entry(package.name).or_default().push(package.version);
    }
    let twice = versions.iter().filter(|(_, versions)| versions.len() > 1);
    let twice: Vec<String> = twice.map(|(name, versions)| format!("{name}: {versions:?}")).collect();
    none("a crate is built in several versions: unify them, or name the older in packaging/deny.toml", &twice);
}

#[test]
fn every_entry_about_a_crate_is_still_needed() {
    let (Allowed { exceptions, doubled, .. }, packages) = (allowed(), packages());
    let idle = |entry: &&Entry| !packages.iter().any(|package| entry.is_about(package));
    let idle = exceptions.iter().chain(&doubled).filter(idle);
    let idle: Vec<String> = idle.map(|entry| format!("{}@{}", entry.name, entry.version)).collect();
    none("an entry of packaging/deny.toml is about no crate", &idle);
}

fn check(expression: &str, expected: bool) {
    let allowed = ["MIT", "BSD-3-Clause", "Apache-2.0 WITH LLVM-exception"];
    assert_eq!(is_met(expression, &|licence| allowed.contains(&licence)), expected, "{expression:?}");
}

#[test]
fn licence_expressions_are_understood() {
    check("MIT", true);
    check("Apache-2.0 / MIT", true);
    check("GPL-3.0/MIT", true);
    check("GPL-3.0 OR Apache-2.0", false);
    check("(GPL-3.0 OR MIT) AND BSD-3-Clause", true);
    check("MIT OR GPL-3.0 AND GPL-2.0", true);
    check("MIT AND GPL-3.0", false);
    check("Apache-2.0 WITH LLVM-exception", true);
    check("Apache-2.0", false);
    check("(MIT", false);
    check("", false);
}

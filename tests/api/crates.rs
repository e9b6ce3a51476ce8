//! Real input: every `.crate` in cargo's download cache is published with its dependencies, listed, resolved,
//! downloaded and compared (issue: Show 2).
//!
//! Cargo's requirements are translated (a bare `1.2` is a caret there and `1.2.x` here), and cargo's own matching is the
//! oracle for what they resolve to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Mutex;

use semver::{Version, VersionReq};
use serde_json::{Value, json};
use vix_registry::domain::digest::Sha256;

use crate::support::client::{Queue, encode};
use crate::support::contract::is_routed;
use crate::support::personas::people;
use crate::support::{Ask, Persona, Server};

const CLIENTS: usize = 8;

/// One archive of the cache.
struct Crate {
    name: String,
    version: Version,
    about: Value,
    dependencies: Vec<Dependency>,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Dependency {
    name: String,
    /// As cargo writes it.
    req: String,
    kind: &'static str,
    optional: bool,
}

impl Dependency {
    /// The requirement in the registry's grammar.
    fn translated(&self) -> String {
        let comparators = self.req.split(',').map(str::trim).map(|one| {
            let is_bare = one.starts_with(|first: char| first.is_ascii_digit()) && !one.contains('*');
            if is_bare { format!("^{one}") } else { one.replace(' ', "") }
        });
        comparators.collect::<Vec<_>>().join(", ")
    }

    fn json(&self) -> Value {
        json!({"name": self.name, "req": self.translated(), "kind": self.kind, "optional": self.optional})
    }

    /// Whether the contract can hold the name.
    fn is_nameable(&self) -> bool {
        self.name
            .bytes()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"._-".contains(&letter))
    }
}

/// The paths of all archives in the cache of this machine.
fn cache() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let cache = home.unwrap_or_default().join("registry/cache");
    let all = crate::support::server::files_below(&cache);
    all.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "crate")).collect()
}

fn read(path: &PathBuf) -> Crate {
    let bytes = std::fs::read(path).expect("a readable archive");
    let manifest = manifest(&bytes);
    let package = &manifest["package"];
    let text = |key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let keywords = package.get("keywords").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let keywords: Vec<&str> = keywords.iter().filter_map(toml::Value::as_str).collect();
    let description = text("description").map(|text| text.chars().take(300).collect::<String>());
    let mut dependencies = BTreeMap::new();
    collect(&manifest, &mut dependencies);
    for target in manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(|table| table.values()) {
        collect(target, &mut dependencies);
    }
    Crate {
        name: text("name").expect("a name"),
        version: Version::parse(&text("version").expect("a version")).expect("a version"),
        about: json!({"description": description, "license": text("license"), "keywords": keywords}),
        dependencies: dependencies.into_values().collect(),
        bytes,
    }
}

/// `Cargo.toml` of the archive's single top folder.
fn manifest(bytes: &[u8]) -> toml::Value {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").into_owned();
        if path.ends_with("Cargo.toml") && path.components().count() == 2 {
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            return toml::Value::Table(toml::from_str(&text).expect("TOML"));
        }
    }
    panic!("an archive without Cargo.toml");
}

/// Reads the three tables of dependencies; of one that is there several times (for several targets), the first counts.
fn collect(from: &toml::Value, into: &mut BTreeMap<(String, &'static str), Dependency>) {
    for (table, kind) in [("dependencies", "normal"), ("dev-dependencies", "dev"), ("build-dependencies", "build")] {
        for (key, value) in from.get(table).and_then(toml::Value::as_table).into_iter().flatten() {
            let text = |member: &str| value.get(member).and_then(toml::Value::as_str);
            let name = text("package").unwrap_or(key).to_owned();
            let req = text("version").or(value.as_str()).unwrap_or("*").to_owned();
            let optional = value.get("optional").and_then(toml::Value::as_bool).unwrap_or(false);
            into.entry((name.clone(), kind)).or_insert(Dependency { name, req, kind, optional });
        }
    }
}

/// Publishes with all dependencies; when the contract can't hold one, that is refused with a reason, and it is left out.
fn publish(client: &mut crate::support::Client, one: &Crate, refused: &Mutex<Vec<String>>) {
    let path = format!("/v1/packages/{}/versions?create=true", encode(&one.name));
    let (good, bad): (Vec<_>, Vec<_>) = one.dependencies.iter().cloned().partition(Dependency::is_nameable);
    let ask = |dependencies: &[Dependency]| {
        let mut metadata = one.about.clone();
        metadata["version"] = one.version.to_string().into();
        metadata["sha256"] = Sha256::of(&one.bytes).to_string().into();
        metadata["dependencies"] = dependencies.iter().map(Dependency::json).collect();
        Ask::multipart(&path, &metadata, &one.bytes).token(&Persona::Owner.token())
    };
    if !bad.is_empty() {
        let answer = client.ask(&ask(&one.dependencies)).refused(400, "invalid_name");
        refused.lock().expect("no panic").push(format!(
            "{} {}: {}",
            one.name,
            one.version,
            answer.json()["error"]["message"]
        ));
        *client = crate::support::Client::connect(client.address());
    }
    let data = client.ask(&ask(&good)).expect(201).data();
    assert_eq!(data["version"], one.version.to_string());
    assert_eq!(data["dependencies"].as_array().map(Vec::len), Some(good.len()));
    assert_eq!(data["media_type"], "application/gzip");
}

#[test]
fn every_crate_of_the_cache_is_published_listed_resolved_and_fetched() {
    let paths = cache();
    if paths.is_empty() {
        let ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!ci, "cargo's download cache (CARGO_HOME/registry/cache) holds no .crate, and CI needs them");
        eprintln!("crates: cargo's download cache holds no .crate: nothing real was published");
        return;
    }
    let server = Server::start();
    people(&server);
    let (crates, odd): (Vec<Crate>, Vec<Crate>) = paths.iter().map(read).partition(|one| {
        Dependency { name: one.name.clone(), req: String::new(), kind: "", optional: false }.is_nameable()
    });
    for one in &odd {
        let path = format!("/v1/packages/{}/versions/{}?create", encode(&one.name), encode(&one.version.to_string()));
        server.put(&path, &Persona::Owner.token(), one.bytes.clone()).refused(400, "invalid_name");
    }
    let refused = Mutex::new(Vec::new());
    Queue::work(crates.iter().collect(), CLIENTS, server.address(), |client, one| publish(client, one, &refused));
    let refused = refused.into_inner().expect("no panic");
    eprintln!(
        "crates: {} published, {} names refused, {} lists of dependencies refused: {refused:?}",
        crates.len(),
        odd.len(),
        refused.len()
    );
    let mut by_name: BTreeMap<&str, Vec<&Crate>> = BTreeMap::new();
    for one in &crates {
        by_name.entry(&one.name).or_default().push(one);
    }
    Queue::work(by_name.iter().collect(), CLIENTS, server.address(), |client, (name, known)| {
        check_list(client, name, known);
        for one in known {
            check_download(client, one);
        }
    });
    Queue::work(crates.iter().collect(), CLIENTS, server.address(), |client, one| {
        check_resolution(client, one, &by_name);
    });
    check_breadth(&server, &by_name);
}

fn check_list(client: &mut crate::support::Client, name: &str, known: &[&Crate]) {
    let listed = client.ask(&Ask::get(&format!("/v1/packages/{name}/versions?limit=200"))).expect(200).data();
    let listed: Vec<&str> =
        listed.as_array().expect("a list").iter().filter_map(|row| row["version"].as_str()).collect();
    let mut expected: Vec<&Version> = known.iter().map(|one| &one.version).collect();
    expected.sort_by(|one, other| other.cmp_precedence(one));
    assert_eq!(listed, expected.iter().map(ToString::to_string).collect::<Vec<_>>(), "{name}");
}

fn check_download(client: &mut crate::support::Client, one: &Crate) {
    // `+` in a path is a plus, encoded or not.
    let path = format!("/v1/packages/{}/versions/{}", one.name, one.version);
    let data = client.ask(&Ask::get(&path)).expect(200).data();
    let artifact = client.ask(&Ask::get(data["url"].as_str().expect("a url"))).expect(200);
    assert_eq!(data["sha256"], Sha256::of(&artifact.body).to_string());
    assert!(artifact.body == one.bytes, "{path} is what was published");
    for (field, value) in one.about.as_object().expect("fields") {
        assert_eq!(&data[field], value, "{path} {field}");
    }
}

/// What cargo would choose among what was published, and what the registry chooses.
fn check_resolution(client: &mut crate::support::Client, one: &Crate, by_name: &BTreeMap<&str, Vec<&Crate>>) {
    for dependency in one.dependencies.iter().filter(|dependency| dependency.is_nameable()) {
        let path = format!("/v1/packages/{}/resolve?req={}", dependency.name, encode(&dependency.translated()));
        let answer = client.ask(&Ask::get(&path));
        let Some(known) = by_name.get(dependency.name.as_str()) else {
            answer.refused(404, "package_not_found");
            continue;
        };
        let req = VersionReq::parse(&dependency.req).expect("cargo's own requirement");
        let fitting = known.iter().map(|one| &one.version).filter(|version| req.matches(version));
        match fitting.max_by(|one, other| one.cmp_precedence(other)) {
            Some(best) => assert_eq!(answer.expect(200).data()["version"], best.to_string(), "{dependency:?}"),
            None => drop(answer.refused(404, "no_matching_version")),
        }
    }
}

/// Search and dependents, once they are served.
fn check_breadth(server: &Server, by_name: &BTreeMap<&str, Vec<&Crate>>) {
    if is_routed("GET", "/v1/packages") {
        let all = server.pages("/v1/packages?limit=50", "");
        let names: Vec<&str> = all.iter().filter_map(|row| row["name"].as_str()).collect();
        assert_eq!(names, by_name.keys().copied().collect::<Vec<_>>(), "all packages, by name");
        for name in by_name.keys() {
            let found = server.get(&format!("/v1/packages?q={}&limit=200", encode(name)), "").expect(200).data();
            let found: Vec<&str> =
                found.as_array().expect("a list").iter().filter_map(|row| row["name"].as_str()).collect();
            assert_eq!(found.first(), Some(name), "an exact name comes first");
        }
    }
    if is_routed("GET", "/v1/packages/a/dependents") {
        let mut expected: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, known) in by_name {
            let latest = known.iter().max_by(|one, other| {
                let key = |one: &Crate| (one.version.pre.is_empty(), one.version.clone());
                key(one).cmp(&key(other))
            });
            for dependency in latest.into_iter().flat_map(|latest| &latest.dependencies) {
                expected.entry(&dependency.name).or_default().insert(name);
            }
        }
        for name in by_name.keys() {
            let told = server.pages(&format!("/v1/packages/{name}/dependents?limit=100"), "");
            let told: BTreeSet<&str> = told.iter().filter_map(|row| row["name"].as_str()).collect();
            assert_eq!(told, expected.remove(name).unwrap_or_default(), "dependents of {name}");
        }
    }
}

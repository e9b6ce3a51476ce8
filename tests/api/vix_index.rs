//! Real input: the official client's public index, each version as a small archive around its `vix.json`
//! (issue: Show 2). `VIX_INDEX_DIR` names the folder; without it a few entries are made up.

use std::collections::BTreeSet;
use std::path::PathBuf;

use semver::Version;
use serde_json::{Value, json};
use vix_registry::domain::digest::Sha256;

use crate::support::client::{Queue, encode};
use crate::support::personas::people;
use crate::support::{Ask, Persona, Server, archive};

/// What the folder holds; asserted, so that a lost entry is seen.
const ENTRIES: usize = 135;
const VERSIONS: usize = 622;

fn entries() -> Vec<Value> {
    let Some(folder) = std::env::var_os("VIX_INDEX_DIR").map(PathBuf::from) else {
        let ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!ci, "VIX_INDEX_DIR names no folder of index entries, and CI needs them");
        eprintln!("vix_index: VIX_INDEX_DIR is not set: three made-up entries instead of the real index");
        return (1..=3).map(made_up).collect();
    };
    let files = crate::support::server::files_below(&folder).into_iter();
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let read = |path: PathBuf| serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON");
    let entries: Vec<Value> = files.map(read).collect();
    let count: usize = entries.iter().map(|entry| versions(entry).count()).sum();
    assert_eq!((entries.len(), count), (ENTRIES, VERSIONS), "the index of {}", folder.display());
    entries
}

fn made_up(number: usize) -> Value {
    let versions: serde_json::Map<String, Value> =
        (0..4).map(|minor| (format!("{number}.{minor}.0"), json!({"tag": "v"}))).collect();
    json!({
        "namespace": "made", "name": format!("up_{number}"), "description": format!("entry {number}"),
        "license": "MIT", "keywords": ["made", "up"], "homepage": "https://example.org", "versions": versions,
    })
}

fn versions(entry: &Value) -> impl Iterator<Item = &str> {
    entry["versions"].as_object().expect("versions").keys().map(String::as_str)
}

fn package(entry: &Value) -> String {
    format!("{}/{}", entry["namespace"].as_str().expect("a namespace"), entry["name"].as_str().expect("a name"))
}

/// The same entry and version always give the same bytes.
fn artifact(entry: &Value, version: &str) -> Vec<u8> {
    let mut manifest = json!({"version": version});
    for field in ["name", "namespace", "description", "license", "keywords", "homepage"] {
        manifest[field] = entry[field].clone();
    }
    let readme = format!("# {}\n", package(entry));
    archive::tar_gz(&[("package/vix.json", manifest.to_string().as_bytes()), ("package/README.md", readme.as_bytes())])
}

#[test]
fn every_version_of_the_index_is_published_read_and_fetched() {
    let entries = entries();
    let server = Server::start();
    people(&server);
    let token = Persona::Owner.token();
    let all: Vec<(&Value, &str)> =
        entries.iter().flat_map(|entry| versions(entry).map(move |version| (entry, version))).collect();
    Queue::work(all, 8, server.address(), |client, (entry, version)| {
        let path = format!("/v1/packages/{}/versions/{}?create", package(entry), encode(version));
        let answer = client.ask(&Ask::put(&path, artifact(entry, version)).token(&token)).expect(201);
        assert!(answer.json()["meta"].get("warnings").is_none(), "{}", answer.text());
        let data = answer.data();
        for field in ["description", "license", "keywords"] {
            assert_eq!(data[field], entry[field], "{path} {field}");
        }
        assert_eq!((&data["manifest"]["version"], &data["has_readme"]), (&json!(version), &json!(true)), "{path}");
    });
    Queue::work(entries.iter().collect(), 8, server.address(), |client, entry| {
        let path = format!("/v1/packages/{}", package(entry));
        let listed = client.ask(&Ask::get(&format!("{path}/versions?limit=200"))).expect(200).data();
        let listed: Vec<&str> =
            listed.as_array().expect("a list").iter().filter_map(|row| row["version"].as_str()).collect();
        let mut expected: Vec<Version> = versions(entry).map(|text| text.parse().expect("SemVer")).collect();
        expected.sort_by(|one, other| other.cmp_precedence(one));
        assert_eq!(listed, expected.iter().map(ToString::to_string).collect::<Vec<_>>(), "{path}");
        for version in versions(entry) {
            let bytes = client.ask(&Ask::get(&format!("{path}/versions/{version}/artifact"))).expect(200).body;
            assert_eq!(Sha256::of(&bytes), Sha256::of(&artifact(entry, version)), "{path} {version}");
        }
        let readme = client.ask(&Ask::get(&format!("{path}/versions/latest/readme"))).expect(200);
        assert_eq!(readme.text(), format!("# {}\n", package(entry)));
        let data = client.ask(&Ask::get(&path)).expect(200).data();
        assert_eq!((&data["description"], &data["license"]), (&entry["description"], &entry["license"]), "{path}");
    });
    let names: BTreeSet<String> = entries.iter().map(package).collect();
    if crate::support::contract::is_routed("GET", "/v1/packages") {
        let listed = server.pages("/v1/packages", "");
        let listed: Vec<&str> = listed.iter().filter_map(|row| row["name"].as_str()).collect();
        assert_eq!(listed, names.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

//! Which layer may name which, and what a layer must never name at all.

use crate::none;
use crate::rust::{Source, paths, sources, tokens};

/// A layer, the others that it may name, and the paths (crates, modules, types) that must not occur in it.
struct Layer {
    name: &'static str,
    may_name: &'static [&'static str],
    never: &'static [&'static str],
}

const LAYERS: &[Layer] = &[
    Layer {
        name: "domain",
        may_name: &[],
        never: &[
            "tokio",
            "hyper",
            "hyper_util",
            "redb",
            "serde",
            "serde_json",
            "postcard",
            "schemars",
            "toml",
            "tracing",
            "rustix",
            "getrandom",
            "SystemTime",
            "Instant::now",
            "Timestamp::now",
            "Zoned::now",
            "std::env",
            "std::fs",
            "TcpListener",
            "TcpStream",
            "UdpSocket",
            "ToSocketAddrs",
            "std::process",
            "std::thread",
        ],
    },
    Layer { name: "storage", may_name: &["domain", "telemetry"], never: &["hyper", "hyper_util", "clap", "schemars"] },
    Layer {
        name: "services",
        may_name: &["domain", "storage", "telemetry"],
        never: &["hyper", "hyper_util", "http_body_util", "multer", "redb", "clap", "schemars", "std::fs", "tokio::fs"],
    },
    Layer {
        name: "http",
        may_name: &["domain", "services", "telemetry"],
        never: &["redb", "postcard", "clap", "std::fs", "tokio::fs"],
    },
    Layer { name: "config", may_name: &["telemetry"], never: &["tokio", "hyper", "redb"] },
    Layer { name: "telemetry", may_name: &[], never: &["redb"] },
    Layer {
        name: "cli",
        may_name: &["domain", "storage", "services", "http", "config", "telemetry"],
        never: &["redb", "postcard"],
    },
];

/// The layer of a file, by its path; nothing for `lib.rs` and `main.rs`.
fn layer_of(path: &str) -> Option<&'static Layer> {
    let (folder, _) = path.strip_prefix("src/")?.split_once(['/', '.'])?;
    LAYERS.iter().find(|layer| layer.name == folder)
}

/// The layer that a path leads into, when it leaves the module that spells it.
fn target(segments: &[String]) -> Option<&'static Layer> {
    let inside = match segments.first()?.as_str() {
        "crate" | "vix_registry" => &segments[1..],
        "super" => &segments[segments.iter().take_while(|segment| *segment == "super").count()..],
        _ => return None,
    };
    LAYERS.iter().find(|layer| inside.first().is_some_and(|name| name == layer.name))
}

fn broken(source: &Source, layer: &Layer) -> Vec<String> {
    let mut broken = Vec::new();
    for path in paths(&source.tokens) {
        if let Some(other) = target(&path.segments)
            && other.name != layer.name
            && !layer.may_name.contains(&other.name)
        {
            broken.push(source.at(path.line, &format!("{} may not name {}", layer.name, other.name)));
        }
        for never in layer.never.iter().filter(|never| path.holds(never)) {
            broken.push(source.at(path.line, &format!("{} never names `{never}`", layer.name)));
        }
    }
    broken
}

#[test]
fn each_layer_names_only_what_lies_below_it() {
    let sources = sources();
    assert!(sources.len() > LAYERS.len(), "the sources were found");
    let layered = sources.iter().filter_map(|source| Some((source, layer_of(&source.file.path)?)));
    let broken: Vec<String> = layered.flat_map(|(source, layer)| broken(source, layer)).collect();
    none("a layer names what it may not (docs/architecture.md)", &broken);
}

#[test]
fn every_file_belongs_to_a_layer() {
    let free = ["src/lib.rs", "src/main.rs"];
    let sources = sources();
    let lost = sources.iter().map(|source| source.file.path.clone());
    let lost: Vec<String> = lost.filter(|path| !free.contains(&path.as_str()) && layer_of(path).is_none()).collect();
    none("a file is in no layer of tests/house/layers.rs", &lost);
}

#[test]
fn the_binary_names_the_command_line_alone() {
    let main = sources().into_iter().find(|source| source.file.path == "src/main.rs").expect("src/main.rs exists");
    let others =
        paths(&main.tokens).into_iter().filter(|path| target(&path.segments).is_some_and(|to| to.name != "cli"));
    let broken: Vec<String> = others.map(|path| main.at(path.line, &path.segments.join("::"))).collect();
    none("only src/cli wires layers together", &broken);
}

/// How many places of this code break the rules for a file at this path.
fn check(path: &str, code: &str, expected: usize) {
    let file = crate::tree::File { path: path.to_owned(), text: code.to_owned() };
    let source = Source { tokens: tokens(code), file };
    let told = broken(&source, layer_of(path).expect("the path is in a layer"));
    assert_eq!(told.len(), expected, "{code}: {told:?}");
}

#[test]
fn a_layer_that_reaches_around_is_seen() {
    check("src/http/a.rs", "use crate::storage::Blobs;", 1);
    check("src/http/a.rs", "use crate::{domain::id::Id, storage::{Blobs, Metadata}};", 2);
    check("src/http/mod.rs", "fn a() { super::storage::open() }", 1);
    check("src/http/a.rs", "use crate::{domain::id::Id, services::Services, telemetry};", 0);
    check("src/services/a.rs", "use crate::config::Config;", 1);
    check("src/domain/a.rs", "use std::{fs, time::SystemTime}; use crate::telemetry::field;", 3);
    check("src/domain/a.rs", "use std::time::Duration; use crate::domain::id::Id; use super::id;", 0);
    check("src/domain/a.rs", "use std::net::{IpAddr, TcpStream};", 1);
    check("src/telemetry/a.rs", "use crate::config::Config;", 1);
    check("src/cli/a.rs", "use crate::{config, http, storage};", 0);
}

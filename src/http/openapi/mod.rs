//! The `OpenAPI` 3.1 document, derived from the route table and the wire types: nothing in it is written twice.
//!
//! It must never say anything of a single request or registry: its text is the same for every instance of a build, and
//! is committed as `docs/openapi.json`, with which a test compares it. Start at [`document`].

mod bodies;
mod forms;
mod parameters;
mod responses;

use std::sync::LazyLock;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::routes::{Access, ROUTES, Route};
use super::wire::Failed;

/// The document as it is served and committed: indented JSON with a line end.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));
    &TEXT
}

/// Derives the document.
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for route in ROUTES {
        let item = paths.entry(route.pattern).or_insert_with(|| json!({}));
        item[route.verb.as_str().to_ascii_lowercase()] = operation(route, &mut schemas);
    }
    let failed = schemas.replies.subschema_for::<Failed>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "vix-registry",
            "summary": "A package registry in one static binary and one data directory",
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{"url": "/", "description": "The registry that serves this document"}],
        "paths": paths,
        "components": {
            "schemas": schemas.merged(),
            "parameters": parameters::components(),
            "responses": responses::components(&failed),
            "headers": responses::headers(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token of this registry: `vixr_…`"},
                "basic": {"type": "http", "scheme": "basic", "description": "A token as the password, any user name"},
            },
        },
    })
}

const ABOUT: &str = "Success is `{\"ok\":true,\"data\":…,\"meta\":…}`, failure `{\"ok\":false,\"error\":…,\"meta\":…}`; \
bytes have no envelope. HEAD works wherever GET does, without the body; OPTIONS answers 204 with `Allow`, any other \
method 405. A request whose head is too large or can't be parsed gets a bare 4xx and the connection closes. \
Unknown and repeated parameters and fields are refused. docs/api.md tells the whole.";

/// The schemas of what is taken and of what is given, which differ in what may be left out.
struct Schemas {
    requests: SchemaGenerator,
    replies: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            requests: settings.clone().for_deserialize().into_generator(),
            replies: settings.for_serialize().into_generator(),
        }
    }

    /// Both kinds, by name. A test refuses two schemas of one name.
    fn merged(&mut self) -> Map<String, Value> {
        let mut all: Vec<(String, Value)> = self.requests.take_definitions(true).into_iter().collect();
        all.extend(self.replies.take_definitions(true));
        all.sort_by(|one, other| one.0.cmp(&other.0));
        for (name, schema) in &mut all {
            forms::add(name, schema);
        }
        all.into_iter().collect()
    }
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "tags": [tag(route.pattern)],
        "security": security(route.access),
    });
    let parameters = parameters::of(route);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = bodies::of(route, &mut schemas.requests) {
        operation["requestBody"] = body;
    }
    operation["responses"] = responses::of(route, &mut schemas.replies);
    operation
}

/// The first word after the version: what the route is about.
fn tag(pattern: &str) -> &str {
    pattern.strip_prefix("/v1/").and_then(|rest| rest.split('/').next()).unwrap_or("service")
}

/// Which credentials do, each with the scope that it needs.
fn security(access: Access) -> Value {
    let with = |scopes: &[&str]| vec![json!({"bearer": scopes}), json!({"basic": scopes})];
    match access {
        Access::Open => json!([]),
        Access::AnyToken => json!(with(&[])),
        // Without any, too, unless the registry is configured to ask for one.
        Access::Read => json!([with(&["read"]), vec![json!({})]].concat()),
        Access::Publish => json!(with(&["publish"])),
        Access::Admin | Access::InstanceAdmin => json!(with(&["admin"])),
    }
}

#[cfg(test)]
mod tests;

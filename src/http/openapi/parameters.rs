//! Parameters: the places of a path, the query's keys, and those headers that a route looks at.

use serde_json::{Map, Value, json};

use super::forms::{DIGEST, FILENAME, ID, NAMESPACE, PACKAGE, PRINCIPAL, TOKEN, USER, VERSION, VERSION_OR_LATEST};
use crate::http::matching::Verb;
use crate::http::params::ParamKind;
use crate::http::query::{PAGE_DEFAULT, QueryKey, QueryKind};
use crate::http::reply::Cache;
use crate::http::routes::{BodyKind, Route};

/// The places of paths, under the names that [`of`] refers to.
const PLACES: [ParamKind; 10] = [
    ParamKind::Package,
    ParamKind::Version,
    ParamKind::VersionOrLatest,
    ParamKind::Namespace,
    ParamKind::Principal,
    ParamKind::User,
    ParamKind::Token,
    ParamKind::Id,
    ParamKind::Digest,
    ParamKind::Filename,
];

/// A place's component, name in paths, grammar, example and meaning.
struct Place {
    component: &'static str,
    name: &'static str,
    pattern: &'static str,
    example: &'static str,
    doc: &'static str,
}

const fn place(kind: ParamKind) -> Place {
    let (component, name, pattern, example, doc) = match kind {
        ParamKind::Package => (
            "Package",
            "pkg",
            PACKAGE,
            "gk/jwt",
            "A package: `name` or `namespace/name`. Its slash stands in the path as it is (`/v1/packages/gk/jwt`, the \
             canonical form, which OpenAPI can't express) or encoded, in one segment (`/v1/packages/gk%2Fjwt`)",
        ),
        ParamKind::Version => ("Version", "version", VERSION, "1.0.0", "A version of SemVer 2.0.0"),
        ParamKind::VersionOrLatest => {
            let doc = "A version of SemVer 2.0.0, its build metadata may be left out; or `latest`";
            ("VersionOrLatest", "version", VERSION_OR_LATEST, "1.0.0", doc)
        }
        ParamKind::Namespace => ("Namespace", "ns", NAMESPACE, "gk", "A namespace"),
        ParamKind::Principal => ("Principal", "principal", PRINCIPAL, "user:pia", "Who has a role: `user:NAME`"),
        ParamKind::User => ("User", "name", USER, "pia", "A user"),
        ParamKind::Token => ("Token", "token", TOKEN, "current", "The id of a token, or `current`"),
        ParamKind::Id => ("Id", "id", ID, "01JDQK0000000000000000000A", "An id (ULID)"),
        ParamKind::Digest => {
            let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
            ("Digest", "sha256", DIGEST, empty, "A SHA-256 in lower-case hex")
        }
        ParamKind::Filename => ("Filename", "filename", FILENAME, "jwt-1.0.0.tar.gz", "The version's own filename"),
    };
    Place { component, name, pattern, example, doc }
}

/// The components that operations refer to: places of paths and headers.
pub(super) fn components() -> Value {
    let mut all = Map::new();
    for Place { component, name, pattern, example, doc } in PLACES.map(place) {
        let mut schema = json!({"type": "string", "pattern": pattern});
        if matches!(component, "Version" | "VersionOrLatest") {
            schema["maxLength"] = 128.into();
        }
        let parameter = json!({
            "name": name, "in": "path", "required": true, "description": doc, "schema": schema, "example": example,
        });
        all.insert(component.to_owned(), parameter);
    }
    for (name, doc) in HEADERS {
        let parameter = json!({"name": name, "in": "header", "description": doc, "schema": {"type": "string"}});
        all.insert((*name).to_owned(), parameter);
    }
    all.into()
}

const HEADERS: &[(&str, &str)] = &[
    ("If-None-Match", "ETags: 304 instead of what the client has. On a publish, `*`: 412 instead of repeating it"),
    ("If-Match", "The ETag that GET gave: 412 when the thing has changed since"),
    ("Range", "`bytes=FIRST-LAST`, one or more; HEAD does not look at it"),
    ("If-Range", "The ETag for which `Range` stands; the whole comes when it is another"),
    ("Content-Range", "`bytes FIRST-LAST/TOTAL`: where the piece belongs; TOTAL may be `*`"),
    ("Content-Digest", "`sha-256=:BASE64:` (RFC 9530) of the body: checked; other algorithms are ignored"),
    ("Repr-Digest", "`sha-256=:BASE64:` (RFC 9530) of the artifact: checked; other algorithms are ignored"),
];

/// What a route's operation names as parameters: path, query, headers.
pub(super) fn of(route: &Route) -> Vec<Value> {
    let places = route.params().into_iter().map(|(_, kind)| refer(place(kind).component));
    let keys = route.query.iter().map(query);
    let headers = headers_of(route).into_iter().map(refer);
    places.chain(keys).chain(headers).collect()
}

fn refer(component: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{component}")})
}

/// The headers that change an answer of this route, told by what it declares.
fn headers_of(route: &Route) -> Vec<&'static str> {
    let declared = route.declared();
    let (is_get, is_patch) = (route.verb == Verb::Get, route.verb == Verb::Patch);
    let takes_bytes = matches!(route.body, BodyKind::Bytes);
    let publishes = takes_bytes && !is_patch || matches!(route.body, BodyKind::MultipartOrJson { .. });
    let looks_at = [
        ("If-None-Match", is_get && route.cache != Cache::NoStore || publishes),
        ("If-Match", !is_get && !publishes && declared.contains(&412)),
        ("Range", is_get && declared.contains(&206)),
        ("If-Range", is_get && declared.contains(&206)),
        ("Content-Range", takes_bytes && is_patch),
        ("Content-Digest", takes_bytes),
        ("Repr-Digest", takes_bytes && !is_patch),
    ];
    looks_at.iter().filter(|(_, looks)| *looks).map(|(name, _)| *name).collect()
}

fn query(key: &QueryKey) -> Value {
    let mut parameter = json!({"name": key.name, "in": "query", "description": key.doc, "schema": schema(key.kind)});
    if key.kind == QueryKind::Bool {
        // Bare (`?dry_run`) for true.
        parameter["allowEmptyValue"] = true.into();
    }
    parameter
}

fn schema(kind: QueryKind) -> Value {
    let grammar = |pattern| json!({"type": "string", "pattern": pattern});
    match kind {
        QueryKind::Bool => json!({"type": "boolean", "default": false}),
        QueryKind::Limit { max } => {
            let doc = "Values outside of this are clamped, with a warning";
            json!({"type": "integer", "minimum": 1, "maximum": max, "default": PAGE_DEFAULT, "description": doc})
        }
        QueryKind::Cursor => json!({"type": "string", "minLength": 1}),
        QueryKind::Text { max } => json!({"type": "string", "maxLength": max}),
        QueryKind::Filename => grammar(FILENAME),
        QueryKind::Choice(words) => json!({"type": "string", "enum": words}),
        QueryKind::Requirement => json!({"type": "string", "examples": ["^1.2", ">=1.0.0 <2.0.0", "1.x || 2.x"]}),
        QueryKind::Serial => json!({"type": "integer", "minimum": 0}),
        QueryKind::Seconds { max } => json!({"type": "integer", "minimum": 0, "maximum": max}),
        QueryKind::Time => json!({"type": "string", "format": "date-time"}),
        QueryKind::Package => grammar(PACKAGE),
        QueryKind::Namespace => grammar(NAMESPACE),
        QueryKind::Principal => grammar(PRINCIPAL),
        QueryKind::Id => grammar(ID),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::params::Params;

    #[test]
    fn every_example_of_a_place_is_what_the_server_takes() {
        for kind in PLACES {
            let Place { name, example, .. } = place(kind);
            for verb in Verb::ALL {
                let parsed = Params::parse(&vec![(name, example.to_owned())], verb);
                assert!(parsed.is_ok(), "{name}={example}");
            }
        }
    }
}

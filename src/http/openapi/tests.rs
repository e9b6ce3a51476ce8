//! Whether the document says what the table says, and hangs together.

use std::collections::HashSet;

use super::*;

/// Every value of the document with where it stands, depth first.
fn walk<'v>(value: &'v Value, at: &str, visit: &mut impl FnMut(&str, &'v Value)) {
    visit(at, value);
    if let Value::Object(members) = value {
        for (name, member) in members {
            walk(member, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), visit);
        }
    } else if let Value::Array(members) = value {
        for (index, member) in members.iter().enumerate() {
            walk(member, &format!("{at}/{index}"), visit);
        }
    }
}

#[test]
fn the_committed_document_is_the_derived_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    if std::env::var_os("VIXR_REFRESH").is_some_and(|value| value == "1") {
        std::fs::write(path, text()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let differs = committed.lines().zip(text().lines()).position(|(one, other)| one != other);
    let place = differs.map_or("at its end".to_owned(), |line| format!("from line {}", line + 1));
    assert!(committed == text(), "docs/openapi.json differs {place}: run this test with VIXR_REFRESH=1, read the diff");
}

#[test]
fn it_has_the_operations_of_the_table_and_no_others() {
    let document = document();
    let mut told = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            told.push((path.clone(), verb.to_ascii_uppercase(), operation["operationId"].as_str().unwrap().to_owned()));
        }
    }
    let row = |route: &Route| (route.pattern.to_owned(), route.verb.as_str().to_owned(), route.id.to_owned());
    let mut rows: Vec<_> = ROUTES.iter().map(row).collect();
    told.sort();
    rows.sort();
    assert_eq!(told, rows);
    let ids: HashSet<_> = told.iter().map(|(_, _, id)| id).collect();
    assert_eq!(ids.len(), told.len(), "an operationId stands twice");
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = document();
    let mut referred = HashSet::new();
    walk(&document, "", &mut |at, value| {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return };
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{at}: {reference} is elsewhere"));
        assert!(document.pointer(pointer).is_some(), "{at}: {reference} leads nowhere");
        referred.insert(pointer.to_owned());
    });
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(referred.contains(&format!("/components/schemas/{name}")), "the schema {name} is not used");
    }
}

#[test]
fn one_name_is_one_schema() {
    let mut schemas = Schemas::new();
    for route in ROUTES {
        operation(route, &mut schemas);
    }
    let (requests, replies) = (schemas.requests.take_definitions(true), schemas.replies.take_definitions(true));
    for (name, schema) in &requests {
        assert!(replies.get(name).is_none_or(|other| other == schema), "{name} is taken and given in different forms");
    }
    for name in requests.keys().chain(replies.keys()) {
        assert!(!name.ends_with(|end: char| end.is_ascii_digit()), "{name}: two types have one name");
    }
}

#[test]
fn schemas_speak_json_schema_2020() {
    const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];
    let document = document();
    walk(&document["components"]["schemas"], "", &mut |at, value| {
        let Some(schema) = value.as_object().filter(|_| !at.ends_with("/properties")) else { return };
        assert!(!schema.contains_key("nullable") && !schema.contains_key("$schema"), "{at}");
        let types = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().collect(),
            one => Vec::from_iter(one),
        };
        assert!(types.iter().all(|kind| kind.as_str().is_none_or(|kind| TYPES.contains(&kind))), "{at}: {types:?}");
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let is_known = schema.get("properties").is_some_and(|all| all.get(name.as_str().unwrap()).is_some());
            assert!(is_known, "{at}: {name} is required and not described");
        }
    });
}

#[test]
fn every_status_and_place_of_a_row_is_described() {
    let document = document();
    for route in ROUTES {
        let operation = &document["paths"][route.pattern][route.verb.as_str().to_ascii_lowercase()];
        let responses: Vec<u16> =
            operation["responses"].as_object().unwrap().keys().map(|status| status.parse().unwrap()).collect();
        assert_eq!(responses, route.declared(), "{}", route.id);
        let empty = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&empty);
        let resolve = |parameter: &Value| match parameter["$ref"].as_str() {
            Some(reference) => document.pointer(&reference[1..]).unwrap().clone(),
            None => parameter.clone(),
        };
        let parameters: Vec<Value> = parameters.iter().map(resolve).collect();
        for (name, _) in route.params() {
            let is_it = |one: &Value| one["name"] == name && one["in"] == "path" && one["required"] == true;
            assert!(parameters.iter().any(is_it), "{}: {{{name}}}", route.id);
        }
        for key in route.query {
            assert!(parameters.iter().any(|one| one["name"] == key.name && one["in"] == "query"), "{}", key.name);
        }
    }
}

//! The forms of texts, which Rust types don't tell: names, digests, times, closed sets of words.
//!
//! Only what the contract fixes stands here. Reasons and types of events are never listed as closed sets: they are added
//! to, and a client that checks answers against the document must live on.

use serde_json::{Value, json};

pub(super) const PACKAGE: &str = "^([a-z0-9][a-z0-9-]{0,63}/)?[a-z0-9][a-z0-9._-]{0,63}$";
pub(super) const NAMESPACE: &str = "^[a-z0-9][a-z0-9-]{0,63}$";
pub(super) const USER: &str = "^[a-z0-9][a-z0-9._-]{0,63}$";
pub(super) const PRINCIPAL: &str = "^user:[a-z0-9][a-z0-9._-]{0,63}$";
pub(super) const ID: &str = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$";
pub(super) const TOKEN: &str = "^(current|[0-7][0-9A-HJKMNP-TV-Z]{25})$";
pub(super) const DIGEST: &str = "^[0-9a-f]{64}$";
pub(super) const FILENAME: &str = "^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$";
pub(super) const VERSION: &str = "^[0-9]+\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]+)?(\\+[0-9A-Za-z.-]+)?$";
pub(super) const VERSION_OR_LATEST: &str = "^(latest|[0-9]+\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]+)?(\\+[0-9A-Za-z.-]+)?)$";
const SECRET: &str = "^vixr_[0-9A-Za-z]{49}$";

/// The form of a text.
enum Form {
    Pattern(&'static str),
    Format(&'static str),
    Words(&'static [&'static str]),
    Bytes { min: u64, max: u64 },
}

use Form::{Bytes, Format, Pattern, Words};

/// In which schemas (none: in all), which fields, in which form. The first row that fits counts.
const FORMS: &[(&[&str], &[&str], Form)] = &[
    (&["Audit", "Job", "Token", "TokenWithSecret", "Upload", "User"], &["id"], Pattern(ID)),
    (&["Audit"], &["token_id"], Pattern(ID)),
    (&["Change"], &["owner"], Pattern(ID)),
    (&["ArtifactRef"], &["upload"], Pattern(ID)),
    (&["Namespace", "NewNamespace"], &["name"], Pattern(NAMESPACE)),
    (&["NewUser", "User"], &["name"], Pattern(USER)),
    (&["NewToken", "Token", "TokenWithSecret"], &["user"], Pattern(USER)),
    (&["Dependency", "Dependent", "GivenDependency", "NewPackage", "Package", "Pinned"], &["name"], Pattern(PACKAGE)),
    (&[], &["package", "replaced_by"], Pattern(PACKAGE)),
    (&[], &["namespace"], Pattern(NAMESPACE)),
    (&[], &["principal", "owners", "published_by"], Pattern(PRINCIPAL)),
    (&[], &["sha256"], Pattern(DIGEST)),
    (&[], &["filename"], Pattern(FILENAME)),
    (&[], &["version", "latest"], Pattern(VERSION)),
    (&[], &["secret"], Pattern(SECRET)),
    (&[], &["url"], Format("uri-reference")),
    (&[], &["created_at", "updated_at", "published_at", "expires_at", "finished_at"], Format("date-time")),
    (&[], &["last_used_at", "revoked_at", "last_backup_at", "last_verify_at"], Format("date-time")),
    (&["Member"], &["since"], Format("date-time")),
    (&["Audit", "Change"], &["time"], Format("date-time")),
    (&["Yank"], &["at"], Format("date-time")),
    (&[], &["visibility", "default_visibility"], Words(&["public", "private"])),
    (&["Member"], &["role"], Words(&["owner", "publisher", "reader"])),
    (&["Dependency", "Dependent", "GivenDependency"], &["kind"], Words(&["normal", "dev", "build"])),
    (&["Token", "TokenWithSecret"], &["kind"], Words(&["token", "login"])),
    (&["Token", "TokenWithSecret"], &["scopes"], Words(&["read", "publish", "admin"])),
    (&["Job"], &["kind"], Words(&["backup", "verify", "gc"])),
    (&["Job"], &["state"], Words(&["queued", "running", "done", "failed"])),
    (&["JobProgress"], &["unit"], Words(&["bytes", "blobs", "rows", "frames"])),
    (&["Upload"], &["state"], Words(&["open", "complete"])),
    (&["Audit"], &["outcome"], Words(&["ok", "denied"])),
    (&["NewUser", "UserPatch"], &["password"], Bytes { min: 8, max: 1024 }),
    (&["PasswordChange"], &["new"], Bytes { min: 8, max: 1024 }),
];

/// Adds the forms to the texts of one named schema: to a field, or to the members of a field that is a list.
pub(super) fn add(name: &str, schema: &mut Value) {
    let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (field, schema) in fields {
        let fits = |(schemas, fields, _): &&(&[&str], &[&str], Form)| {
            (schemas.is_empty() || schemas.contains(&name)) && fields.contains(&field.as_str())
        };
        let Some((_, _, form)) = FORMS.iter().find(fits) else { continue };
        let text = if is(schema, "array") { schema.get_mut("items") } else { Some(schema) };
        if let Some(text) = text.filter(|text| is(text, "string")) {
            form.add(text);
        }
    }
}

/// Whether values of this type fit the schema, others perhaps too.
fn is(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|one| one == kind),
        one => one.is_some_and(|one| one == kind),
    }
}

impl Form {
    fn add(&self, schema: &mut Value) {
        match self {
            Pattern(pattern) => schema["pattern"] = json!(pattern),
            Format(format) => schema["format"] = json!(format),
            Words(words) => {
                let nothing = is(schema, "null").then_some(Value::Null);
                schema["enum"] = words.iter().map(|word| json!(word)).chain(nothing).collect();
            }
            Bytes { min, max } => {
                schema["minLength"] = json!(min);
                schema["maxLength"] = json!(max);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi::document;

    #[test]
    fn every_row_is_the_form_of_something() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for (names, fields, _) in FORMS {
            for name in *names {
                let schema = schemas.get(*name).unwrap_or_else(|| panic!("there is no schema {name}"));
                assert!(fields.iter().any(|field| schema["properties"].get(field).is_some()), "{name}: {fields:?}");
            }
            for field in *fields {
                let has = |schema: &Value| schema["properties"].get(field).is_some();
                assert!(schemas.values().any(has), "no schema has a field {field}");
            }
        }
    }
}

//! Request bodies.

use schemars::SchemaGenerator;
use serde_json::{Value, json};

use crate::http::routes::{BodyKind, Route};

/// The route's body, if it takes one.
pub(super) fn of(route: &Route, generator: &mut SchemaGenerator) -> Option<Value> {
    let content = match route.body {
        BodyKind::None => return None,
        BodyKind::Json(schema) => json!({"application/json": {"schema": schema(generator)}}),
        // Any type or none: no schema stands for raw bytes in OpenAPI 3.1.
        BodyKind::Bytes => json!({"application/octet-stream": {}, "*/*": {}}),
        BodyKind::MultipartOrJson { multipart, json } => {
            let parts = json!({
                "type": "object",
                "description": "`metadata`, then `artifact`, and nothing else",
                "properties": {
                    "metadata": multipart(generator),
                    "artifact": {"type": "string", "contentMediaType": "application/octet-stream"},
                },
                "required": ["metadata", "artifact"],
                "additionalProperties": false,
            });
            let encoding = json!({
                "metadata": {"contentType": "application/json"},
                "artifact": {"contentType": "application/octet-stream"},
            });
            json!({
                "multipart/form-data": {"schema": parts, "encoding": encoding},
                "application/json": {"schema": json(generator)},
            })
        }
    };
    Some(json!({"required": true, "content": content}))
}

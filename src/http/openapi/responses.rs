//! Responses: one for each status that a route declares, and the headers that they have.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::domain::refusal::Reason;
use crate::http::params::ParamKind;
use crate::http::problem::answer;
use crate::http::reply::Cache;
use crate::http::routes::{ReplyKind, Route};

/// The route's responses, by status.
pub(super) fn of(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut all = Map::new();
    for status in route.declared() {
        let response = if status == 304 {
            unchanged()
        } else if with_status(status).next().is_some() {
            json!({"$ref": format!("#/components/responses/{}", component(status))})
        } else {
            success(route, status, generator)
        };
        all.insert(status.to_string(), response);
    }
    all.into()
}

fn unchanged() -> Value {
    let description = "What the client has, as `If-None-Match` names it, is still what it would get";
    json!({"description": description, "headers": refer_headers(&["X-Request-Id", "ETag", "Cache-Control"])})
}

fn success(route: &Route, status: u16, generator: &mut SchemaGenerator) -> Value {
    let description = match status {
        201 => "Made; `Location` says where it is from now on",
        202 => "Begun; `Location` says where to ask about it",
        206 => "The parts that were asked for",
        _ => route.summary,
    };
    let content = match route.reply {
        ReplyKind::Json(schema) | ReplyKind::List(schema) => json!({"application/json": {"schema": schema(generator)}}),
        ReplyKind::Bytes("application/json") => json!({"application/json": {"schema": {"type": "object"}}}),
        ReplyKind::Bytes(media_type) if media_type.starts_with("text/") => {
            json!({media_type: {"schema": {"type": "string"}}})
        }
        ReplyKind::Bytes(media_type) if status == 206 => json!({media_type: {}, "multipart/byteranges": {}}),
        ReplyKind::Bytes(media_type) => json!({media_type: {}}),
    };
    json!({"description": description, "headers": refer_headers(&success_headers(route, status)), "content": content})
}

fn success_headers(route: &Route, status: u16) -> Vec<&'static str> {
    let is_kept = route.cache != Cache::NoStore;
    let has_ranges = route.declared().contains(&206);
    let names_latest = route.params().iter().any(|(_, kind)| *kind == ParamKind::VersionOrLatest);
    let has = [
        ("X-Request-Id", true),
        ("Cache-Control", true),
        ("ETag", is_kept),
        ("Vary", is_kept && !has_ranges),
        ("Location", matches!(status, 201 | 202)),
        ("Link", matches!(route.reply, ReplyKind::List(_)) && route.query.iter().any(|key| key.name == "cursor")),
        ("Content-Location", names_latest),
        ("Accept-Ranges", has_ranges),
        ("Content-Range", status == 206),
        ("Repr-Digest", has_ranges),
        ("Content-Disposition", has_ranges),
        ("Upload-Offset", tells_offset(route)),
    ];
    has.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect()
}

fn tells_offset(route: &Route) -> bool {
    route.pattern.starts_with("/v1/uploads")
}

fn refer_headers(names: &[&str]) -> Value {
    let refer = |name: &&str| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    names.iter().map(refer).collect::<Map<_, _>>().into()
}

/// Every header that a response refers to.
pub(super) fn headers() -> Value {
    let header = |(name, doc): &(&str, &str)| {
        let mut header = json!({"description": doc, "schema": {"type": "string"}});
        if ["X-Request-Id", "X-Error", "Cache-Control"].contains(name) {
            header["required"] = true.into();
        }
        ((*name).to_owned(), header)
    };
    HEADERS.iter().map(header).collect::<Map<_, _>>().into()
}

const HEADERS: &[(&str, &str)] = &[
    ("X-Request-Id", "The request's own id, or one that was made for it"),
    ("X-Error", "`<reason>; <fixed sentence of that reason>`, for tools that show no body"),
    ("Cache-Control", "Who may keep the answer, and for how long"),
    ("ETag", "Strong; another one for each content coding"),
    ("Vary", "`Authorization, Accept-Encoding`"),
    ("Location", "Where the thing is, as a reference to resolve against the request's URL"),
    ("Link", "`<…>; rel=\"next\"`: the next page; absent on the last one"),
    ("Content-Location", "The version that `latest` stood for"),
    ("Accept-Ranges", "`bytes`"),
    ("Content-Range", "Which bytes of how many; `bytes */SIZE` on a 416"),
    ("Repr-Digest", "`sha-256=:BASE64:` of the whole (RFC 9530)"),
    ("Content-Disposition", "`attachment` with the filename"),
    ("Upload-Offset", "How many bytes of the upload have arrived"),
    ("WWW-Authenticate", "On a 401 both schemes, Bearer and Basic; the hint is in `error_description`"),
    ("Retry-After", "Seconds to wait"),
    ("Allow", "The methods that the path takes"),
];

/// The responses of refusals, one for each status of the error map, with its reasons.
pub(super) fn components(failed: &Schema) -> Value {
    let mut all = Map::new();
    let mut statuses: Vec<u16> = Reason::ALL.iter().map(|reason| answer(*reason).status.as_u16()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    for status in statuses {
        let response = json!({
            "description": reasons_of(status),
            "headers": refer_headers(&failure_headers(status)),
            "content": {"application/json": {"schema": failed}},
        });
        all.insert(component(status), response);
    }
    all.into()
}

fn with_status(status: u16) -> impl Iterator<Item = Reason> {
    Reason::ALL.iter().copied().filter(move |reason| answer(*reason).status.as_u16() == status)
}

/// `PAYLOAD_TOO_LARGE` as `PayloadTooLarge`.
fn component(status: u16) -> String {
    let capital = |word: &str| word[..1].to_owned() + &word[1..].to_ascii_lowercase();
    code(status).split('_').filter(|word| !word.is_empty()).map(capital).collect()
}

fn reasons_of(status: u16) -> String {
    let reasons: Vec<&str> = with_status(status).map(Reason::as_str).collect();
    let code = code(status);
    format!("`{code}`, by one of these reasons, to which more may be added: `{}`", reasons.join("`, `"))
}

fn failure_headers(status: u16) -> Vec<&'static str> {
    let own: &[&str] = match code(status) {
        "UNAUTHENTICATED" | "FORBIDDEN" => &["WWW-Authenticate"],
        "RATE_LIMITED" | "UNAVAILABLE" => &["Retry-After"],
        "METHOD_NOT_ALLOWED" => &["Allow"],
        "RANGE_NOT_SATISFIABLE" => &["Content-Range", "Upload-Offset"],
        _ => &[],
    };
    [&["X-Request-Id", "X-Error", "Cache-Control"], own].concat()
}

fn code(status: u16) -> &'static str {
    with_status(status).next().map_or("", |reason| answer(reason).code)
}

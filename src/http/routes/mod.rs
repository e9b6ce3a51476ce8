//! THE table: every endpoint there is, in the order of `docs/api.md`. What is not here does not exist (404).

pub mod row;

use std::sync::LazyLock;

use super::handlers::{artifacts, operations, publish, versions};
use super::matching::Matcher;
use super::query::{PAGE_MAX, QueryKey, QueryKind};
use super::wire::Envelope;
use super::wire::operations::{Health, Ready, Service};
use super::wire::versions::{PublishMetadata, PublishedBody, VersionBody};
use row::ReplyKind::{Bytes, Json, List};
pub use row::{Access, BodyKind, Handler, HandlerFuture, ReplyKind, Route};
use row::{handler, schema};

const LIMIT: QueryKey = key("limit", QueryKind::Limit { max: PAGE_MAX }, "Entries of a page");
const CURSOR: QueryKey = key("cursor", QueryKind::Cursor, "Where the page before ended");
const REQ: QueryKey = key("req", QueryKind::Requirement, "Only versions that match");
const INCLUDE_YANKED: QueryKey = key("include_yanked", QueryKind::Bool, "Yanked versions too");
const CREATE: QueryKey = key("create", QueryKind::Bool, "Make the package if it does not exist");
const VISIBILITY: QueryKey =
    key("visibility", QueryKind::Choice(&["public", "private"]), "How visible to make the package then");
const DRY_RUN: QueryKey = key("dry_run", QueryKind::Bool, "Check everything, store nothing");

const fn key(name: &'static str, kind: QueryKind, doc: &'static str) -> QueryKey {
    QueryKey { name, kind, doc }
}

/// Every endpoint.
pub static ROUTES: &[Route] = &[
    Route::get("/health", "getHealth", Json(schema::<Envelope<Health>>), handler!(operations::health))
        .open_to(Access::Open, "Whether the process lives; touches no disk and no lock")
        .no_store(),
    Route::get("/livez", "getLivez", Json(schema::<Envelope<Health>>), handler!(operations::health))
        .open_to(Access::Open, "The same as /health")
        .no_store(),
    Route::get("/readyz", "getReadyz", Json(schema::<Envelope<Ready>>), handler!(operations::ready))
        .open_to(Access::Open, "Whether reads work; 503 when they don't")
        .query(&[QueryKey { name: "verbose", kind: QueryKind::Bool, doc: "List the single checks" }])
        .statuses(&[200, 503])
        .no_store(),
    Route::get("/v1", "getService", Json(schema::<Envelope<Service>>), handler!(operations::service))
        .open_to(Access::Open, "What this registry is, can do and limits"),
    Route::get(
        "/v1/packages/{pkg}/versions",
        "listVersions",
        List(schema::<Envelope<Vec<VersionBody>>>),
        handler!(versions::list),
    )
    .open_to(Access::Read, "The versions of a package, highest first")
    .query(&[REQ, INCLUDE_YANKED, LIMIT, CURSOR])
    .statuses(&[200, 410]),
    Route::post(
        "/v1/packages/{pkg}/versions",
        "publishVersion",
        Json(schema::<Envelope<PublishedBody>>),
        handler!(publish::post),
    )
    .open_to(Access::Publish, "Publish metadata and artifact in parts")
    .query(&[CREATE, VISIBILITY, DRY_RUN])
    .body(BodyKind::MultipartOrJson { multipart: schema::<PublishMetadata>, json: schema::<PublishMetadata> })
    .statuses(&[200, 201, 409, 410, 412]),
    Route::put(
        "/v1/packages/{pkg}/versions/{version}",
        "putVersion",
        Json(schema::<Envelope<PublishedBody>>),
        handler!(publish::put),
    )
    .open_to(Access::Publish, "Publish the raw body in one request")
    .query(&[
        CREATE,
        VISIBILITY,
        DRY_RUN,
        key("filename", QueryKind::Text { max: 128 }, "The name under which the artifact is downloaded"),
    ])
    .body(BodyKind::Bytes)
    .statuses(&[200, 201, 409, 410, 412]),
    Route::get(
        "/v1/packages/{pkg}/versions/{version}",
        "getVersion",
        Json(schema::<Envelope<VersionBody>>),
        handler!(versions::get),
    )
    .open_to(Access::Read, "A version, or the alias `latest`")
    .statuses(&[200, 410]),
    Route::get(
        "/v1/packages/{pkg}/versions/{version}/artifact",
        "getArtifact",
        Bytes("*/*"),
        handler!(artifacts::artifact),
    )
    .open_to(Access::Read, "The bytes of a version")
    .statuses(&[200, 206, 410, 416]),
    Route::get(
        "/v1/packages/{pkg}/versions/{version}/artifact/{filename}",
        "getArtifactFile",
        Bytes("*/*"),
        handler!(artifacts::artifact),
    )
    .open_to(Access::Read, "The same, for tools that name files by URL")
    .statuses(&[200, 206, 410, 416]),
    Route::get(
        "/v1/packages/{pkg}/versions/{version}/readme",
        "getReadme",
        Bytes("text/markdown; charset=utf-8"),
        handler!(artifacts::readme),
    )
    .open_to(Access::Read, "The README of a version, raw")
    .statuses(&[200, 410]),
    Route::get(
        "/v1/packages/{pkg}/resolve",
        "resolvePackage",
        Json(schema::<Envelope<VersionBody>>),
        handler!(versions::resolve),
    )
    .open_to(Access::Read, "The best version for a requirement")
    .query(&[REQ, key("prerelease", QueryKind::Bool, "Prereleases match too"), INCLUDE_YANKED])
    .statuses(&[200, 410]),
    Route::get("/v1/index/{pkg}", "getIndex", Bytes("application/x-ndjson"), handler!(versions::index))
        .open_to(Access::Read, "One JSON line per version, for resolvers")
        .statuses(&[200, 410]),
    Route::get("/v1/blobs/{sha256}", "getBlob", Bytes("application/octet-stream"), handler!(artifacts::blob))
        .open_to(Access::Read, "Bytes by digest, if a package that the caller may read refers to them")
        .statuses(&[200, 206, 416]),
];

/// The table, ready for matching.
pub fn matcher() -> &'static Matcher {
    static MATCHER: LazyLock<Matcher> =
        LazyLock::new(|| Matcher::new(ROUTES.iter().map(|route| (route.verb, route.pattern))));
    &MATCHER
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::name::RESERVED_NAMES;
    use crate::http::matching::Found;
    use crate::http::query::PAGE_MAX;

    #[test]
    fn every_row_is_the_only_one_of_its_method_path_and_id() {
        let (mut paths, mut ids) = (HashSet::new(), HashSet::new());
        for route in ROUTES {
            assert!(paths.insert((route.verb.as_str(), route.pattern)), "{} twice", route.pattern);
            assert!(ids.insert(route.id), "{} twice", route.id);
            assert!(!route.summary.is_empty(), "{} says what it does", route.id);
            assert!(route.statuses.iter().any(|status| *status < 400), "{} can succeed", route.id);
        }
    }

    #[test]
    fn every_place_has_a_kind_and_the_word_after_a_package_is_reserved() {
        for route in ROUTES {
            let segments: Vec<&str> = route.pattern.split('/').collect();
            let places = segments.iter().filter(|segment| segment.starts_with('{')).count();
            assert_eq!(route.params().len(), places, "{}", route.pattern);
            for pair in segments.windows(2).filter(|pair| pair[0] == "{pkg}") {
                assert!(RESERVED_NAMES.contains(&pair[1]), "{}", route.pattern);
            }
        }
    }

    #[test]
    fn every_row_is_found_by_its_own_path() {
        for (index, route) in ROUTES.iter().enumerate() {
            let path = route.pattern.replace("{pkg}", "gk/jwt").replace(['{', '}'], "");
            let found = matcher().find(Some(route.verb), &path);
            assert!(matches!(found, Ok(Found::Row(row, _)) if row == index), "{path} finds {found:?}");
        }
    }

    #[test]
    fn parameters_are_named_once_and_described() {
        for route in ROUTES {
            let mut names = HashSet::new();
            for key in route.query {
                assert!(names.insert(key.name) && !key.doc.is_empty(), "{} {}", route.id, key.name);
                let known_limit =
                    !matches!(key.kind, QueryKind::Limit { max } if max > PAGE_MAX && route.id != "listChanges");
                assert!(known_limit, "{} {}", route.id, key.name);
            }
        }
    }
}

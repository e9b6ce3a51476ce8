//! THE table: every endpoint there is, in the order of `docs/api.md`. What is not here does not exist (404).

pub mod row;

use std::sync::LazyLock;

use super::handlers::operations;
use super::matching::Matcher;
use super::query::{QueryKey, QueryKind};
use super::wire::Envelope;
use super::wire::operations::{Health, Ready, Service};
use row::ReplyKind::Json;
pub use row::{Access, BodyKind, Handler, HandlerFuture, ReplyKind, Route};
use row::{handler, schema};

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

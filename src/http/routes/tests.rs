//! The table is consistent.

use std::collections::HashSet;

use super::*;
use crate::domain::name::RESERVED_NAMES;
use crate::http::matching::Found;
use crate::http::query::{PAGE_MAX, QueryKind};

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

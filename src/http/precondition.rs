//! `If-Match` for the services: whether what GET would show this caller now has one of the tags that were sent.

use std::sync::Arc;

use hyper::HeaderMap;
use serde::Serialize;

use super::conditions::{Tags, check_if_match};
use super::respond::tag_of;
use crate::services::precondition::Precondition;

/// The precondition of a write, if the request has one; `shown` makes the JSON that GET answers with.
pub fn precondition<T, W>(
    headers: &HeaderMap,
    shown: impl Fn(&T) -> W + Send + Sync + 'static,
) -> Option<Precondition<T>>
where
    T: 'static,
    W: Serialize + 'static,
{
    if Tags::if_match(headers) == Tags::Absent {
        return None;
    }
    let headers = headers.clone();
    Some(Arc::new(move |now| tag_of(&shown(now)).is_some_and(|tag| check_if_match(&headers, &tag).is_ok())))
}

//! `If-Match` as the services see it: whether what is there now is still what the caller saw.

use std::sync::Arc;

use crate::domain::refusal::{Reason, Refusal};

/// Whether the thing, as it would be shown to the caller now, is the one that the caller saw.
pub type Precondition<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;

/// Checks a precondition inside of the transaction that changes the thing.
///
/// # Errors
/// `etag_mismatch` when it does not hold, or when there is no such thing now.
pub fn check<T>(precondition: Option<&Precondition<T>>, now: Option<&T>) -> Result<(), Refusal> {
    if precondition.is_none_or(|holds| now.is_some_and(|now| holds(now))) {
        return Ok(());
    }
    let message = "It has changed since you read it: read it again, and repeat your change with the new ETag.";
    Err(Refusal::new(Reason::EtagMismatch, message))
}

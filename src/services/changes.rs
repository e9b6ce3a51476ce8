//! The change feed: the entries of one event log in order, those that the caller may see, and the wait for new ones.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::load::recheck;
use super::reach::Reach;
use super::versions::settle;
use super::{Context, ServiceError, Stores};
use crate::domain::event::Log;
use crate::domain::id::Id;
use crate::domain::name::PackageName;
use crate::domain::refusal::{Reason, Refusal};
use crate::storage::rows::HistoryRow;
use crate::storage::{ChangeError, Cost, Metadata as _, StoreError, View};

/// Most changes of one answer.
pub const CHANGES_MAX: usize = 1000;
/// Longest wait for a change.
pub const WAIT_MAX: Duration = Duration::from_mins(1);
/// Most entries that one answer looks at; where they were all hidden, it is empty and tells from where to go on.
const ENTRIES_MAX: u64 = 10_000;

/// Which part of which log is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ChangesQuery {
    /// Which log.
    pub log: Log,
    /// The entries after this serial.
    pub after: u64,
    /// At most so many, up to [`CHANGES_MAX`].
    pub limit: usize,
    /// How long to wait for the first one, up to [`WAIT_MAX`].
    pub wait: Duration,
}

/// One entry of a log, as its own bytes say it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Deserialize)]
pub struct ChangeRecord {
    /// Its place in the log.
    #[serde(skip)]
    pub serial: u64,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// When, as it was recorded.
    pub time: String,
    /// To which package.
    pub package: Option<String>,
    /// To which namespace.
    pub namespace: Option<String>,
    /// The opaque id of the user who became an owner or is none any more.
    pub owner: Option<String>,
    /// To which version.
    pub version: Option<String>,
    /// The version's artifact.
    pub sha256: Option<String>,
    /// The artifact's bytes.
    pub size: Option<u64>,
}

/// A part of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangePage {
    /// The entries, in order.
    pub changes: Vec<ChangeRecord>,
    /// What to ask for next time as `after`; moves past hidden entries too.
    pub last: u64,
    /// Which history the serials belong to.
    pub history: Id,
    /// The history that this one went on from, and the serial of the last entry that both have.
    pub parent: Option<(Id, u64)>,
    /// Whether an anonymous caller would see the same.
    pub public: bool,
}

/// What one look at a log came to.
struct Look {
    page: ChangePage,
    /// Whether it saw everything that there is.
    at_end: bool,
}

/// Tells what changed.
pub struct ChangeService {
    stores: Stores,
    draining: watch::Sender<bool>,
}

impl ChangeService {
    /// Tells what changed in `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores, draining: watch::channel(false).0 }
    }

    /// Ends all waits, those under way and later ones: the server is stopping.
    pub fn end_waits(&self) {
        self.draining.send_replace(true);
    }

    /// The changes after a serial. Waits, where that was asked, while there are none to show.
    ///
    /// # Errors
    /// `missing_token` for the internal log without one; while waiting for it, the 401 reasons of a token that ended.
    pub async fn list(&self, context: &Context, mut query: ChangesQuery) -> Result<ChangePage, ServiceError> {
        let deadline = Instant::now() + query.wait.min(WAIT_MAX);
        let mut appended = self.stores.metadata.appended();
        let mut draining = self.draining.subscribe();
        loop {
            appended.mark_unchanged();
            let look = self.look(context, query).await?;
            if !look.page.changes.is_empty() || !look.at_end || *draining.borrow() || Instant::now() >= deadline {
                return Ok(look.page);
            }
            query.after = look.page.last;
            let woken = tokio::select! {
                changed = appended.changed() => changed.is_ok(),
                () = sleep_until(deadline) => false,
                _ = draining.wait_for(|draining| *draining) => false,
            };
            if !woken {
                return Ok(look.page);
            }
        }
    }

    async fn look(&self, context: &Context, query: ChangesQuery) -> Result<Look, ServiceError> {
        let (context, policy) = (context.clone(), Arc::clone(&self.stores.policy));
        let load = move |view: &View<'_>| {
            settle(look(view, &context, query).map(|mut look| {
                look.page.public = policy.anonymous_read && query.log == Log::Public;
                look
            }))
        };
        Ok(self.stores.metadata.read(Cost::Scan, load).await??)
    }
}

fn look(view: &View<'_>, context: &Context, query: ChangesQuery) -> Result<Look, ChangeError> {
    let mut sight = match query.log {
        Log::Public => None,
        Log::Internal => Some(Sight::new(view, context)?),
    };
    let limit = query.limit.min(CHANGES_MAX);
    let (mut changes, mut last, mut seen, mut at_end) = (Vec::new(), query.after, 0, true);
    view.scan_events(query.log, query.after.saturating_add(1), |serial, bytes| {
        if changes.len() >= limit || seen >= ENTRIES_MAX {
            at_end = false;
            return Ok(ControlFlow::Break(()));
        }
        (last, seen) = (serial, seen + 1);
        let record = read_entry(serial, bytes)?;
        let shown = match &mut sight {
            Some(sight) => sight.shows(view, &record)?,
            None => true,
        };
        if shown {
            changes.push(record);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let HistoryRow { id: history, parent } = view.history()?;
    let parent = parent.map(|parent| (parent.id, parent.serial(query.log)));
    Ok(Look { page: ChangePage { changes, last, history, parent, public: false }, at_end })
}

/// What the caller may see of the internal log, each package looked up once.
struct Sight {
    reach: Reach,
    all: bool,
    known: HashMap<String, bool>,
}

impl Sight {
    fn new(view: &View<'_>, context: &Context) -> Result<Self, ChangeError> {
        if context.caller == crate::domain::caller::Caller::Anonymous {
            let message = "The internal log is for those who have a token: send one, or ask for `log=public`.";
            return Err(Refusal::new(Reason::MissingToken, message).into());
        }
        let caller = recheck(view, &context.caller, context.now)?;
        let all = caller.is_admin() && caller.covers_all();
        Ok(Self { reach: Reach::load(view, &caller)?, all, known: HashMap::new() })
    }

    fn shows(&mut self, view: &View<'_>, record: &ChangeRecord) -> Result<bool, StoreError> {
        // What is not about a package is about a namespace, and that those exist is no secret.
        let Some(text) = record.package.as_ref().filter(|_| !self.all) else { return Ok(true) };
        if let Some(shown) = self.known.get(text) {
            return Ok(*shown);
        }
        let name = PackageName::parse(text).map_err(|refusal| corrupt(record.serial, &refusal.message))?;
        let shown = view.package(&name)?.is_some_and(|package| self.reach.may_read(&package));
        self.known.insert(text.clone(), shown);
        Ok(shown)
    }
}

fn read_entry(serial: u64, bytes: &[u8]) -> Result<ChangeRecord, StoreError> {
    let record = serde_json::from_slice(bytes).map_err(|error| corrupt(serial, &error.to_string()))?;
    Ok(ChangeRecord { serial, ..record })
}

fn corrupt(serial: u64, what: &str) -> StoreError {
    StoreError::Corrupt { table: "events-v1", what: format!("entry {serial} does not read: {what}") }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;

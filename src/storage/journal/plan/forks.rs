//! Whether two directories lie over one another.

use super::refusal::{OpenRefusal, log};
use crate::storage::journal::facts::{JournalFacts, LogFacts};

/// Looks for logs that can't stem from one history.
pub(super) fn find_fork(facts: &JournalFacts, tip: &LogFacts) -> Result<(), OpenRefusal> {
    for (at, next) in facts.logs.iter().enumerate() {
        let Some(continues) = next.header.continues else { continue };
        let name = log(next.header.generation);
        let rest = facts.logs.get(at + 1..).unwrap_or_default();
        let twin =
            rest.iter().find(|other| other.header.continues.is_some_and(|it| it.generation == continues.generation));
        if let Some(twin) = twin.filter(|_| continues.generation.number > 0) {
            let what =
                format!("two logs go on from generation {}: one directory lies over another", continues.generation);
            return Err(OpenRefusal::forked(vec![name, log(twin.header.generation)], what));
        }
        let Some(before) = facts.logs.iter().find(|one| one.header.generation == continues.generation) else {
            continue;
        };
        if before.length > continues.length {
            let what = format!(
                "a log has {} bytes, and the next one was begun after {}: one directory lies over another",
                before.length, continues.length
            );
            return Err(OpenRefusal::forked(vec![log(continues.generation), name], what));
        }
    }
    match facts.logs.iter().find(|one| !descends(tip, one) && is_leaf(facts, one)) {
        None => Ok(()),
        Some(stranger) => {
            let files = vec![log(stranger.header.generation), log(tip.header.generation)];
            let what = "two histories of which neither goes on from the other: one directory lies over another";
            Err(OpenRefusal::forked(files, what.to_owned()))
        }
    }
}

/// Whether the history of `tip` holds everything of `one`.
fn descends(tip: &LogFacts, one: &LogFacts) -> bool {
    let history = one.header.generation.history;
    if history == tip.header.generation.history {
        return true;
    }
    let fork = tip.header.lineage.iter().find(|ancestor| ancestor.history == history);
    fork.is_some_and(|fork| one.last().number <= fork.number)
}

/// Whether nothing goes on from a log: what does is held against it byte for byte.
fn is_leaf(facts: &JournalFacts, one: &LogFacts) -> bool {
    let goes_on = |next: &LogFacts| next.header.continues.is_some_and(|it| it.generation == one.header.generation);
    !facts.logs.iter().any(goes_on)
}

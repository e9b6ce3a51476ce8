//! Reading the audit: who did what, newest first. Entries are written by whoever does the deed, in its transaction.

use std::ops::ControlFlow;

use super::accounts::{Names, page};
use super::{Context, ServiceError, Stores};
use crate::domain::audit::{ActorFilter, AuditEntry};
use crate::domain::caller::Actor;
use crate::domain::id::Id;
use crate::domain::name::{PackageName, UserName};
use crate::domain::permission::instance_admin;
use crate::domain::time::Timestamp;
use crate::services::context::Deed;
use crate::storage::{Cost, Decided, Metadata as _, StoreError, View};

/// Reads the audit.
pub struct AuditService {
    stores: Stores,
}

/// Which entries are asked for; what is absent matches all.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AuditFilter {
    /// Who did it.
    pub actor: Option<ActorFilter>,
    /// What was done, exactly as the entry says it.
    pub action: Option<String>,
    /// To which package.
    pub package: Option<PackageName>,
    /// Not before when.
    pub since: Option<Timestamp>,
}

/// An entry, and the name of its user unless that user is no more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditLine {
    /// The entry.
    pub entry: AuditEntry,
    /// The actor's name.
    pub user: Option<UserName>,
}

impl AuditService {
    /// Reads from `stores`.
    pub(in crate::services) fn new(stores: Stores) -> Self {
        Self { stores }
    }

    /// Writes the entry of a deed that was refused.
    ///
    /// # Errors
    /// That the store took no more writes.
    pub async fn deny(&self, ctx: &Context, deed: Deed<'_>) -> Result<(), ServiceError> {
        let entry = ctx.audit_denied(deed);
        let write = move |_: &View<'_>, _| Ok(Decided { changes: vec![entry.clone()], answer: () });
        Ok(self.stores.metadata.change(write).await?)
    }

    /// Entries before the one called `before`, newest first, and the one from which older ones follow.
    ///
    /// # Errors
    /// As [`instance_admin`].
    pub async fn list(
        &self,
        ctx: &Context,
        filter: AuditFilter,
        before: Option<Id>,
        limit: usize,
    ) -> Result<(Vec<AuditLine>, Option<Id>), ServiceError> {
        instance_admin(&ctx.caller)?;
        let found = self.stores.metadata.read(Cost::Scan, move |view| {
            let Some(actor) = actor(view, filter.actor.as_ref())? else { return Ok(Vec::new()) };
            let (mut names, mut found) = (Names::default(), Vec::new());
            view.scan_audit(before, |entry| {
                if filter.since.is_some_and(|since| is_before(entry.id, since)) {
                    return Ok(ControlFlow::Break(()));
                }
                if matches(&filter, actor, &entry) {
                    let user = match entry.actor {
                        Actor::User(id) => names.of(view, id)?,
                        Actor::Anonymous | Actor::Local(_) => None,
                    };
                    found.push(AuditLine { entry, user });
                }
                Ok(if found.len() <= limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            Ok(found)
        });
        Ok(page(found.await?, limit, |line| line.entry.id))
    }
}

/// Whether the entry and all older ones are from before `since`. Ids only ever grow, also when the clock goes back, so
/// none of those that follow can be of a later time than its id says.
fn is_before(id: Id, since: Timestamp) -> bool {
    id < Id::from_parts(since.unix_ms(), 0)
}

fn matches(filter: &AuditFilter, actor: Wanted, entry: &AuditEntry) -> bool {
    let is_theirs = match actor {
        Wanted::Any => true,
        Wanted::One(actor) => entry.actor == actor,
    };
    is_theirs
        && filter.action.as_ref().is_none_or(|action| entry.action == *action)
        && filter.package.as_ref().is_none_or(|package| entry.package.as_ref() == Some(package))
        && filter.since.is_none_or(|since| entry.time >= since)
}

#[derive(Clone, Copy)]
enum Wanted {
    Any,
    One(Actor),
}

/// Whose entries are meant; `None` when there never was a user of that name.
fn actor(view: &View<'_>, filter: Option<&ActorFilter>) -> Result<Option<Wanted>, StoreError> {
    Ok(match filter {
        None => Some(Wanted::Any),
        Some(ActorFilter::Anonymous) => Some(Wanted::One(Actor::Anonymous)),
        Some(ActorFilter::Local(uid)) => Some(Wanted::One(Actor::Local(*uid))),
        Some(ActorFilter::UserId(id)) => Some(Wanted::One(Actor::User(*id))),
        Some(ActorFilter::User(name)) => view.user_id(name)?.map(|id| Wanted::One(Actor::User(id))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::Reason;
    use crate::domain::token::Scope;
    use crate::domain::tokens::TokenAsk;
    use crate::services::accounts::bench_tests::{Bench, NOW, anonymous, local, name, reason, scopes};

    #[tokio::test]
    async fn entries_are_found_by_actor_action_and_time_newest_first() {
        let bench = Bench::new();
        let audit = &bench.services.audit;
        let admin = bench.user("root", Scope::Admin).await;
        let later = Context { now: NOW.plus_ms(5), audit_id: Id::from_parts(NOW.unix_ms() + 5, 0), ..admin.clone() };
        let ask = TokenAsk::new("t", scopes(Scope::Read)).unwrap();
        bench.services.tokens.create(&later, ask, None).await.unwrap();
        let actions = async |filter: AuditFilter| {
            let (lines, next) = audit.list(&admin, filter, None, 100).await.unwrap();
            assert_eq!(next, None);
            lines.iter().map(|line| line.entry.action.clone()).collect::<Vec<_>>().join(" ")
        };
        let of = |text: &str| AuditFilter { actor: Some(ActorFilter::parse(text).unwrap()), ..AuditFilter::default() };
        assert_eq!(actions(AuditFilter::default()).await, "token.create token.create user.create");
        assert_eq!(actions(of("local:1000")).await, "token.create user.create");
        assert_eq!(actions(of("user:root")).await, "token.create");
        assert_eq!(actions(of("user:nobody")).await, "");
        assert_eq!(actions(of("anonymous")).await, "");
        let since = AuditFilter { since: Some(NOW.plus_ms(1)), ..AuditFilter::default() };
        assert_eq!(actions(since).await, "token.create");
        let action = AuditFilter { action: Some("user.create".to_owned()), ..AuditFilter::default() };
        assert_eq!(actions(action).await, "user.create");
        let (lines, next) = audit.list(&admin, AuditFilter::default(), None, 2).await.unwrap();
        assert_eq!(lines.iter().map(|line| line.user.clone()).collect::<Vec<_>>(), [Some(name("root")), None]);
        let (rest, end) = audit.list(&admin, AuditFilter::default(), next, 2).await.unwrap();
        assert_eq!((rest.len(), end), (1, None));
        let ids: Vec<Id> = lines.iter().chain(&rest).map(|line| line.entry.id).collect();
        assert!(ids.is_sorted_by(|newer, older| newer > older));
    }

    #[tokio::test]
    async fn the_audit_is_for_admins() {
        let bench = Bench::new();
        let publisher = bench.user("pia", Scope::Publish).await;
        for (ctx, expected) in [(anonymous(), Reason::MissingToken), (publisher, Reason::MissingScope)] {
            let refused = bench.services.audit.list(&ctx, AuditFilter::default(), None, 9).await;
            assert_eq!(reason(refused), expected);
        }
        assert!(bench.services.audit.list(&local(), AuditFilter::default(), None, 9).await.is_ok());
    }
}

//! Users: made, changed and deleted by admins; and who one is oneself.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::Notify;

use super::passwords::PasswordGate;
use super::{NamedToken, page, user_state};
use crate::domain::change::Change;
use crate::domain::event::Log;
use crate::domain::name::UserName;
use crate::domain::package::{MemberOf, Role};
use crate::domain::password::Password;
use crate::domain::patch::Field;
use crate::domain::permission::instance_admin;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::user::{User, UserId};
use crate::domain::users::{
    Ownership, UserCreation, UserPatch, decide_user_creation, decide_user_deletion, decide_user_patch, user_not_found,
};
use crate::services::context::Deed;
use crate::services::{Context, ServiceError, Stores, load, new_id};
use crate::storage::tables::Table;
use crate::storage::view::{Direction, KeyRange};
use crate::storage::{Cost, Decided, Metadata as _, StoreError, View};

/// Makes, shows, changes and deletes users.
pub struct UserService {
    stores: Stores,
    passwords: Arc<PasswordGate>,
    changed: Arc<Notify>,
}

impl UserService {
    /// Works on `stores`; `changed` is told whenever tokens may have ended.
    pub(in crate::services) fn new(stores: Stores, passwords: Arc<PasswordGate>, changed: Arc<Notify>) -> Self {
        Self { stores, passwords, changed }
    }

    /// Makes a user.
    ///
    /// # Errors
    /// As [`instance_admin`]; `user_exists`, also for the name of a user who was deleted; `overloaded`.
    pub async fn create(
        &self,
        ctx: &Context,
        ask: UserCreation,
        password: Option<Password>,
    ) -> Result<User, ServiceError> {
        instance_admin(&ctx.caller)?;
        let ctx = ctx.clone();
        let hash = match password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let id = new_id(ctx.now)?;
        let made = self.stores.metadata.change(move |view, moment| {
            instance_admin(&load::recheck(view, &ctx.caller, moment.now)?)?;
            let is_taken = view.user_id(&ask.name)?.is_some();
            let user = decide_user_creation(is_taken, &ask, id, hash.clone(), moment.now)?;
            let audit = ctx.audit(Deed::to_target("user.create", user.name.as_str()));
            Ok(Decided { changes: vec![Change::PutUser(Box::new(user.clone())), audit], answer: user })
        });
        Ok(made.await?)
    }

    /// Users by name, and the name after which more follow.
    ///
    /// # Errors
    /// As [`instance_admin`].
    pub async fn list(
        &self,
        ctx: &Context,
        after: Option<UserName>,
        limit: usize,
    ) -> Result<(Vec<User>, Option<UserName>), ServiceError> {
        instance_admin(&ctx.caller)?;
        let found = self.stores.metadata.read(Cost::Scan, move |view| {
            let range = KeyRange::all(Direction::Up);
            let range = match &after {
                Some(name) => range.beyond(name.as_str().as_bytes().to_vec()),
                None => range,
            };
            let mut found = Vec::new();
            view.scan_rows(Table::UserNames, range, |_, id: UserId| {
                found.extend(view.user(id)?);
                Ok(if found.len() <= limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            Ok(found)
        });
        Ok(page(found.await?, limit, |user| user.name.clone()))
    }

    /// One user.
    ///
    /// # Errors
    /// As [`instance_admin`]; `user_not_found`.
    pub async fn get(&self, ctx: &Context, name: UserName) -> Result<User, ServiceError> {
        instance_admin(&ctx.caller)?;
        let wanted = name.clone();
        let found = self.stores.metadata.read(Cost::Point, move |view| view.user_named(&wanted)).await?;
        Ok(found.ok_or_else(|| user_not_found(&name))?)
    }

    /// Changes a user, the password too. When nothing differs, nothing is written.
    ///
    /// # Errors
    /// As [`instance_admin`]; `user_not_found`, `last_admin`, `overloaded`.
    pub async fn patch(
        &self,
        ctx: &Context,
        name: UserName,
        patch: UserPatch,
        password: Field<Password>,
    ) -> Result<User, ServiceError> {
        instance_admin(&ctx.caller)?;
        let ctx = ctx.clone();
        let password_hash = match password {
            Field::Keep => Field::Keep,
            Field::Clear => Field::Clear,
            Field::Set(password) => Field::Set(self.passwords.hash(password).await?),
        };
        let patch = UserPatch { password_hash, ..patch };
        let patched = self.stores.metadata.change(move |view, moment| {
            let caller = load::recheck(view, &ctx.caller, moment.now)?;
            instance_admin(&caller)?;
            let user = view.user_named(&name)?.ok_or_else(|| user_not_found(&name))?;
            let state = user_state(view, user)?;
            let spared = caller.token().map(|own| own.token);
            let (user, mut changes) = decide_user_patch(&state, &patch, spared, moment.now)?;
            if !changes.is_empty() {
                changes.push(ctx.audit(Deed::to_target(patch.action(), name.as_str())));
            }
            Ok(Decided { changes, answer: user })
        });
        let user = patched.await?;
        self.changed.notify_one();
        Ok(user)
    }

    /// Deletes a user, whose name stays taken; answers with the user as it was.
    ///
    /// # Errors
    /// As [`instance_admin`]; `user_not_found`, `last_admin`; `sole_owner`, naming what nobody else owns.
    pub async fn delete(&self, ctx: &Context, name: UserName) -> Result<User, ServiceError> {
        let ctx = ctx.clone();
        let deleted = self.stores.metadata.change(move |view, moment| {
            instance_admin(&load::recheck(view, &ctx.caller, moment.now)?)?;
            let user = view.user_named(&name)?.ok_or_else(|| user_not_found(&name))?;
            let owned = ownerships(view, user.id)?;
            let state = user_state(view, user)?;
            let mut changes = decide_user_deletion(&state, &owned, moment.now)?;
            changes.push(ctx.audit(Deed::to_target("user.delete", name.as_str())));
            Ok(Decided { changes, answer: state.user })
        });
        let user = deleted.await?;
        self.changed.notify_one();
        Ok(user)
    }

    /// The caller's user and token.
    ///
    /// # Errors
    /// `missing_token` for nobody proven; `user_not_found` on the registry's own machine, where nobody is logged in.
    pub async fn me(&self, ctx: &Context) -> Result<(User, NamedToken), ServiceError> {
        let id = own_user(ctx)?;
        let own = ctx.caller.token().map(|own| own.token);
        let found = self.stores.metadata.read(Cost::Point, move |view| {
            let Some(own) = own else { return Ok(None) };
            Ok(view.user(id)?.zip(view.token(own)?))
        });
        let gone = || Refusal::new(Reason::RevokedToken, "The token was revoked: use another one, or log in.");
        let (user, token) = found.await?.ok_or_else(gone)?;
        let named = NamedToken { token, user: user.name.clone() };
        Ok((user, named))
    }
}

/// The caller's user.
pub(super) fn own_user(ctx: &Context) -> Result<UserId, Refusal> {
    if let Some(user) = ctx.caller.user() {
        return Ok(user);
    }
    instance_admin(&ctx.caller)?;
    let message = "On the registry's own machine you act as nobody's user: name one in `/v1/users/NAME` instead.";
    Err(Refusal::new(Reason::UserNotFound, message))
}

/// What the user is a member of, and as what.
fn ownerships(view: &View<'_>, user: UserId) -> Result<Vec<Ownership>, StoreError> {
    let mut found = Vec::new();
    for of in view.memberships(user)? {
        let Some(own) = view.member(&of, user)? else { continue };
        let log = match &of {
            MemberOf::Namespace(_) => Some(Log::Public),
            MemberOf::Package(name) => {
                view.package(name)?.filter(|package| package.purged_at.is_none()).map(|live| Log::of(live.visibility))
            }
        };
        let others = view.members(&of)?;
        let has_other_owner = others.iter().any(|other| other.role == Role::Owner && other.user != user);
        found.push(Ownership { of, log, role: own.role, has_other_owner });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::Caller;
    use crate::domain::id::Id;
    use crate::domain::name::NamespaceName;
    use crate::domain::package::{Member, Namespace, Visibility};
    use crate::domain::token::Scope;
    use crate::domain::tokens::TokenAsk;
    use crate::services::accounts::bench_tests::{Bench, NOW, anonymous, local, name, reason, scopes};

    fn creation(text: &str, admin: bool) -> UserCreation {
        UserCreation { name: name(text), email: None, admin }
    }

    #[tokio::test]
    async fn names_are_taken_for_ever_and_lists_leave_the_deleted_out() {
        let bench = Bench::new();
        let users = &bench.services.users;
        let admin = bench.user("root", Scope::Admin).await;
        for text in ["cy", "ann", "bo"] {
            users.create(&admin, creation(text, false), None).await.unwrap();
        }
        assert_eq!(reason(users.create(&admin, creation("bo", false), None).await), Reason::UserExists);
        assert_eq!(users.delete(&admin, name("bo")).await.unwrap().name, name("bo"));
        assert_eq!(reason(users.create(&admin, creation("bo", false), None).await), Reason::UserExists);
        assert_eq!(reason(users.get(&admin, name("bo")).await), Reason::UserNotFound);
        let (first, next) = users.list(&admin, None, 2).await.unwrap();
        let (rest, end) = users.list(&admin, next, 2).await.unwrap();
        let names: Vec<String> = first.iter().chain(&rest).map(|user| user.name.to_string()).collect();
        assert_eq!((names.join(" "), end), ("ann cy root".to_owned(), None));
    }

    #[tokio::test]
    async fn users_are_the_business_of_admins_alone() {
        let bench = Bench::new();
        let users = &bench.services.users;
        bench.user("root", Scope::Admin).await;
        let publisher = bench.user("pia", Scope::Publish).await;
        for (ctx, expected) in [(&anonymous(), Reason::MissingToken), (&publisher, Reason::MissingScope)] {
            assert_eq!(reason(users.create(ctx, creation("x", true), None).await), expected);
            assert_eq!(reason(users.list(ctx, None, 9).await), expected);
            assert_eq!(reason(users.get(ctx, name("root")).await), expected);
            assert_eq!(reason(users.patch(ctx, name("pia"), UserPatch::default(), Field::Keep).await), expected);
            assert_eq!(reason(users.delete(ctx, name("root")).await), expected);
        }
        let (user, token) = users.me(&publisher).await.unwrap();
        assert_eq!((user.name, token.user), (name("pia"), name("pia")));
        assert_eq!(reason(users.me(&anonymous()).await), Reason::MissingToken);
        assert_eq!(reason(users.me(&local()).await), Reason::UserNotFound);
    }

    #[tokio::test]
    async fn disabling_kills_tokens_for_good_and_demoting_counts_at_once() {
        let bench = Bench::new();
        let users = &bench.services.users;
        let admin = bench.user("root", Scope::Admin).await;
        let pia = bench.token("pia", Scope::Admin).await;
        let disabled = |disabled| UserPatch { disabled: Some(disabled), ..UserPatch::default() };
        users.patch(&admin, name("pia"), disabled(true), Field::Keep).await.unwrap();
        let authenticated = async || bench.services.auth.authenticate(pia.secret.reveal(), NOW).await;
        assert_eq!(reason(authenticated().await), Reason::RevokedToken);
        let ask = TokenAsk::new("t", scopes(Scope::Read)).unwrap();
        let again = bench.services.tokens.create(&admin, ask, Some(name("pia"))).await;
        assert_eq!(reason(again), Reason::ExceedsOwnRights);
        users.patch(&admin, name("pia"), disabled(false), Field::Keep).await.unwrap();
        assert_eq!(reason(authenticated().await), Reason::RevokedToken);
        let pia = bench.user("pia", Scope::Admin).await;
        let demote = UserPatch { admin: Some(false), ..UserPatch::default() };
        users.patch(&pia, name("root"), demote.clone(), Field::Keep).await.unwrap();
        assert_eq!(reason(users.delete(&admin, name("pia")).await), Reason::MissingScope);
        assert_eq!(reason(users.patch(&pia, name("pia"), demote, Field::Keep).await), Reason::LastAdmin);
        assert_eq!(reason(users.delete(&local(), name("pia")).await), Reason::LastAdmin);
        let before = bench.audited().await;
        users.patch(&pia, name("pia"), UserPatch::default(), Field::Keep).await.unwrap();
        assert_eq!(bench.audited().await, before, "nothing differs, nothing is written");
        assert_eq!(before.iter().filter(|action| *action == "user.disable").count(), 1);
    }

    #[tokio::test]
    async fn the_only_owner_of_a_namespace_is_not_deleted() {
        let bench = Bench::new();
        let users = &bench.services.users;
        let admin = bench.user("root", Scope::Admin).await;
        let pia = bench.user("pia", Scope::Publish).await.caller;
        let ben = bench.user("ben", Scope::Publish).await.caller;
        let own = |caller: &Caller| Member { user: caller.user().unwrap(), role: Role::Owner, since: NOW };
        let gk = NamespaceName::parse("gk").unwrap();
        let (of, first, second) = (MemberOf::Namespace(gk.clone()), own(&pia), own(&ben));
        let namespace = Namespace {
            name: gk,
            description: None,
            default_visibility: Visibility::Public,
            held_package: false,
            created_at: NOW,
        };
        let put = |changes: Vec<Change>| {
            bench.metadata.change(move |_: &View<'_>, _| Ok(Decided { changes: changes.clone(), answer: () }))
        };
        let member = |member| Change::PutMember { of: of.clone(), member };
        put(vec![Change::PutNamespace(namespace), member(first)]).await.unwrap();
        assert_eq!(reason(users.delete(&admin, name("pia")).await), Reason::SoleOwner);
        put(vec![member(second)]).await.unwrap();
        users.delete(&admin, name("pia")).await.unwrap();
        let wanted = of.clone();
        let members = bench.metadata.read(Cost::Point, move |view| view.members(&wanted)).await.unwrap();
        assert_eq!(members, [second]);
        let id: Id = pia.user().unwrap();
        let left = bench.metadata.read(Cost::Point, move |view| view.tokens_of(id)).await.unwrap();
        assert_eq!(left, []);
    }
}

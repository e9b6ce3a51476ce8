//! Members of packages and namespaces: listed, added, given another role, removed, leaving by themselves.

use std::sync::Arc;

use super::context::Deed;
use super::load::{live_package_for, recheck, role};
use super::namespaces::namespace_for_owner;
use super::packages::is_public;
use super::precondition::{self, Precondition};
use super::versions::settle;
use super::{Context, Policy, ServiceError, Stores};
use crate::domain::caller::Caller;
use crate::domain::change::Change;
use crate::domain::members::{Membership, Principal, member_not_found};
use crate::domain::name::{PackageName, UserName};
use crate::domain::namespace::namespace_not_found;
use crate::domain::package::{Member, MemberOf, Package, Role};
use crate::domain::permission::Action;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::user::User;
use crate::storage::{ChangeError, Cost, Decided, Metadata as _, Moment, StoreError, View};

/// A member with everything that is shown of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberDetail {
    /// Who.
    pub name: UserName,
    /// As what, and since when.
    pub member: Member,
    /// Whether the role is the one in the package's namespace.
    pub inherited: bool,
}

impl MemberDetail {
    /// The place in a list: own members first, each sort by name.
    pub fn place(&self) -> Place {
        Place { inherited: self.inherited, name: self.name.clone() }
    }
}

/// A place in a list of members.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Inherited roles come behind own ones.
    pub inherited: bool,
    /// Then names.
    pub name: UserName,
}

/// A page of members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberPage {
    /// The members.
    pub members: Vec<MemberDetail>,
    /// The place to go on behind; none when this was the last page.
    pub next: Option<Place>,
    /// Whether an anonymous caller would see the same.
    pub public: bool,
}

/// One member of something, to be changed.
#[derive(Clone)]
pub struct MemberTarget {
    /// Of what.
    pub of: MemberOf,
    /// Who.
    pub principal: Principal,
    /// `If-Match`.
    pub precondition: Option<Precondition<MemberDetail>>,
}

/// Governs members.
pub struct MemberService {
    stores: Stores,
}

/// What a caller may see of the members of something.
struct Sight {
    package: Option<PackageName>,
    /// All members; else owners alone.
    all: bool,
    /// Whether an anonymous caller would see the same.
    public: bool,
}

impl MemberService {
    /// Governs the members in `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores }
    }

    /// A page of at most `limit` members, those behind `after`. A caller without a role sees the owners alone.
    ///
    /// # Errors
    /// `package_not_found`, `purged`, `namespace_not_found`.
    pub async fn list(
        &self,
        context: &Context,
        of: &MemberOf,
        after: Option<Place>,
        limit: usize,
    ) -> Result<MemberPage, ServiceError> {
        let (caller, of, policy) = (context.caller.clone(), of.clone(), Arc::clone(&self.stores.policy));
        let load = move |view: &View<'_>| {
            let sight = match settle(sight(view, &caller, &of, &policy))? {
                Ok(sight) => sight,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let mut members = shown(view, &of, &sight)?;
            members.retain(|member| after.as_ref().is_none_or(|after| member.place() > *after));
            let more = members.len() > limit;
            members.truncate(limit);
            let next = members.last().filter(|_| more).map(MemberDetail::place);
            Ok(Ok(MemberPage { members, next, public: sight.public }))
        };
        Ok(self.stores.metadata.read(Cost::Scan, load).await??)
    }

    /// One member, by its own role before an inherited one, and whether an anonymous caller would see the same.
    ///
    /// # Errors
    /// As [`MemberService::list`], and `member_not_found` also for those that the caller does not see.
    pub async fn get(
        &self,
        context: &Context,
        of: &MemberOf,
        principal: &Principal,
    ) -> Result<(MemberDetail, bool), ServiceError> {
        let (caller, of, name) = (context.caller.clone(), of.clone(), principal.user().clone());
        let policy = Arc::clone(&self.stores.policy);
        let load = move |view: &View<'_>| {
            settle(sight(view, &caller, &of, &policy).and_then(|sight| {
                let found = shown(view, &of, &sight)?.into_iter().find(|member| member.name == name);
                Ok((found.ok_or_else(|| member_not_found(&of, &name))?, sight.public))
            }))
        };
        Ok(self.stores.metadata.read(Cost::Scan, load).await??)
    }

    /// What can be refused before a body is read: whether the caller may change the members, and this one as it is now.
    ///
    /// # Errors
    /// `package_not_found`, a 403 reason, `namespace_not_found`, `purged`, `etag_mismatch`.
    pub async fn admit(&self, context: &Context, target: &MemberTarget) -> Result<(), ServiceError> {
        let (caller, target) = (context.caller.clone(), target.clone());
        let load = move |view: &View<'_>| {
            settle(governed(view, &caller, &target.of).and_then(|_| {
                let user = view.user_named(target.principal.user())?;
                check_unchanged(view, &target, user.as_ref())
            }))
        };
        Ok(self.stores.metadata.read(Cost::Point, load).await??)
    }

    /// Gives somebody a role. Repeating it changes nothing.
    ///
    /// # Errors
    /// As [`MemberService::admit`], `user_not_found`, `last_owner`.
    pub async fn put(
        &self,
        context: &Context,
        target: &MemberTarget,
        role: Role,
    ) -> Result<MemberDetail, ServiceError> {
        let (context, target) = (context.clone(), target.clone());
        let decide = move |view: &View<'_>, moment: Moment| {
            let caller = recheck(view, &context.caller, moment.now)?;
            let package = governed(view, &caller, &target.of)?;
            let name = target.principal.user();
            let user = view.user_named(name)?.ok_or_else(|| user_not_found(name))?;
            check_unchanged(view, &target, Some(&user))?;
            let members = view.members(&target.of)?;
            let membership = Membership { of: &target.of, package: package.as_ref(), members: &members };
            let mut changes = membership.decide_put((user.id, name), role, moment.now)?;
            let former = members.into_iter().find(|member| member.user == user.id && member.role == role);
            let member = former.unwrap_or(Member { user: user.id, role, since: moment.now });
            if !changes.is_empty() {
                changes.push(audit(&context, "member.put", &target));
            }
            Ok(Decided { changes, answer: MemberDetail { name: user.name, member, inherited: false } })
        };
        Ok(self.stores.metadata.change(decide).await?)
    }

    /// Ends somebody's own role; answers with what it was. Any member may leave.
    ///
    /// # Errors
    /// As [`MemberService::admit`], `member_not_found`, `last_owner`.
    pub async fn remove(&self, context: &Context, target: &MemberTarget) -> Result<MemberDetail, ServiceError> {
        let (context, target) = (context.clone(), target.clone());
        let decide = move |view: &View<'_>, moment: Moment| {
            let caller = recheck(view, &context.caller, moment.now)?;
            let name = target.principal.user();
            let package = governed_or_left(view, &caller, &target)?;
            let user = view.user_named(name)?;
            check_unchanged(view, &target, user.as_ref())?;
            let user = user.ok_or_else(|| member_not_found(&target.of, name))?;
            let members = view.members(&target.of)?;
            let membership = Membership { of: &target.of, package: package.as_ref(), members: &members };
            let (mut changes, member) = membership.decide_remove((user.id, name), moment.now)?;
            changes.push(audit(&context, "member.remove", &target));
            Ok(Decided { changes, answer: MemberDetail { name: user.name, member, inherited: false } })
        };
        Ok(self.stores.metadata.change(decide).await?)
    }
}

fn user_not_found(name: &UserName) -> Refusal {
    Refusal::new(
        Reason::UserNotFound,
        format!("There is no user `{name}`: check the name, or ask an admin to add them."),
    )
}

/// The package, where it is one, if the caller may change the members.
fn governed(view: &View<'_>, caller: &Caller, of: &MemberOf) -> Result<Option<Package>, ChangeError> {
    match of {
        MemberOf::Package(name) => Ok(Some(live_package_for(view, caller, Action::Govern, name)?.0)),
        MemberOf::Namespace(name) => namespace_for_owner(view, caller, name).map(|_| None),
    }
}

/// Like [`governed`], and lets somebody who may not govern end a role of their own.
fn governed_or_left(view: &View<'_>, caller: &Caller, target: &MemberTarget) -> Result<Option<Package>, ChangeError> {
    let refusal = match governed(view, caller, &target.of) {
        Err(ChangeError::Refused(refusal)) if refusal.reason == Reason::MissingRole => refusal,
        other => return other,
    };
    // Refused for want of the role alone: scope and patterns are good, and the thing is seen.
    let is_own = caller.token().is_some_and(|token| token.user_name == *target.principal.user());
    if !is_own || role(view, caller, &target.of)?.is_none() {
        return Err(refusal.into());
    }
    match &target.of {
        MemberOf::Package(name) => Ok(Some(live_package_for(view, caller, Action::Read, name)?.0)),
        MemberOf::Namespace(_) => Ok(None),
    }
}

fn check_unchanged(view: &View<'_>, target: &MemberTarget, user: Option<&User>) -> Result<(), ChangeError> {
    if target.precondition.is_none() {
        return Ok(());
    }
    let name = target.principal.user();
    let now = match user {
        Some(user) => member_now(view, &target.of, user.id)?,
        None => None,
    };
    let now = now.map(|(member, inherited)| MemberDetail { name: name.clone(), member, inherited });
    Ok(precondition::check(target.precondition.as_ref(), now.as_ref())?)
}

/// A user's own role, else the inherited one.
fn member_now(
    view: &View<'_>,
    of: &MemberOf,
    user: crate::domain::user::UserId,
) -> Result<Option<(Member, bool)>, StoreError> {
    if let Some(member) = view.member(of, user)? {
        return Ok(Some((member, false)));
    }
    match of {
        MemberOf::Package(PackageName { namespace: Some(namespace), .. }) => {
            let inherited = view.member(&MemberOf::Namespace(namespace.clone()), user)?;
            Ok(inherited.map(|member| (member, true)))
        }
        MemberOf::Package(_) | MemberOf::Namespace(_) => Ok(None),
    }
}

fn sight(view: &View<'_>, caller: &Caller, of: &MemberOf, policy: &Policy) -> Result<Sight, ChangeError> {
    let (package, covered, role, public) = match of {
        MemberOf::Package(name) => {
            let (package, standing) = live_package_for(view, caller, Action::Read, name)?;
            (Some(name.clone()), caller.covers_package(name), standing.role, is_public(&package, policy))
        }
        MemberOf::Namespace(name) => {
            view.namespace(name)?.ok_or_else(|| namespace_not_found(name))?;
            (None, caller.covers_namespace(name), role(view, caller, of)?, policy.anonymous_read)
        }
    };
    let all = covered && (caller.is_admin() || role.is_some());
    Ok(Sight { package, all, public: public && !all })
}

/// The members that a caller sees, in the order of their places.
fn shown(view: &View<'_>, of: &MemberOf, sight: &Sight) -> Result<Vec<MemberDetail>, StoreError> {
    let mut shown = Vec::new();
    let inherited = sight.package.as_ref().and_then(|package| package.namespace.clone()).map(MemberOf::Namespace);
    for (of, inherited) in [(Some(of), false), (inherited.as_ref(), true)] {
        let Some(of) = of else { continue };
        for member in view.members(of)?.into_iter().filter(|member| sight.all || member.role == Role::Owner) {
            let user = view.user(member.user)?;
            shown.extend(user.map(|user| MemberDetail { name: user.name, member, inherited }));
        }
    }
    shown.sort_by_key(MemberDetail::place);
    Ok(shown)
}

fn audit(context: &Context, action: &'static str, target: &MemberTarget) -> Change {
    let principal = target.principal.to_string();
    match &target.of {
        MemberOf::Package(name) => context.audit(Deed { target: Some(&principal), ..Deed::to_package(action, name) }),
        MemberOf::Namespace(name) => context.audit(Deed::to_target(action, &format!("{name} {principal}"))),
    }
}

//! The decisions about namespaces: who may claim and govern one, and when it can be deleted.

use super::caller::Caller;
use super::change::Change;
use super::create::{ClaimPolicy, claim};
use super::event::{Event, Fact, Log, Owned};
use super::govern::check_writer;
use super::name::NamespaceName;
use super::package::{Member, Namespace, Role, Visibility};
use super::patch::Field;
use super::refusal::{Reason, Refusal};
use super::text::{TextLimits, check_description};
use super::time::Timestamp;

/// A namespace to be claimed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Its name.
    pub name: NamespaceName,
    /// What it is for.
    pub description: Option<String>,
    /// What a package made without a visibility gets.
    pub default_visibility: Visibility,
}

/// What is asked of a namespace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NamespacePatch {
    /// What it is for.
    pub description: Field<String>,
    /// What a package made without a visibility gets from now on; none: as it is.
    pub default_visibility: Option<Visibility>,
}

/// The rules that an operator set for claims.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClaimRules {
    /// Who may claim.
    pub claims: ClaimPolicy,
    /// How long a description can be.
    pub limits: TextLimits,
}

/// Decides to claim a namespace; whoever claims it owns it.
///
/// # Errors
/// `missing_token`, `missing_scope`, `token_packages`, `claims_closed`; `namespace_taken`; `invalid_field`.
pub fn decide_claim(
    caller: &Caller,
    ask: &Claim,
    existing: Option<&Namespace>,
    rules: ClaimRules,
    now: Timestamp,
) -> Result<(Vec<Change>, Namespace), Refusal> {
    let name = &ask.name;
    check_namespace_writer(caller, name)?;
    if rules.claims == ClaimPolicy::Admin && !caller.is_admin() {
        let message = format!("Here an admin gives namespaces out: ask one for `{name}`.");
        return Err(Refusal::new(Reason::ClaimsClosed, message));
    }
    if existing.is_some() {
        let message =
            format!("Somebody has the namespace `{name}` already: ask its owners for a role, or choose another.");
        return Err(Refusal::new(Reason::NamespaceTaken, message));
    }
    ask.description.as_deref().map_or(Ok(()), |text| check_description(text, rules.limits))?;
    let namespace = Namespace {
        name: name.clone(),
        description: ask.description.clone(),
        default_visibility: ask.default_visibility,
        held_package: false,
        created_at: now,
    };
    Ok((claim(namespace.clone(), caller.user(), now), namespace))
}

/// Whether a caller's credentials may write to a namespace at all, whether it exists or not.
///
/// # Errors
/// `missing_token`, `missing_scope` or `token_packages`.
pub fn check_namespace_writer(caller: &Caller, name: &NamespaceName) -> Result<(), Refusal> {
    check_writer(caller, caller.covers_namespace(name), &format!("the namespace `{name}`"))
}

/// Whether a caller with this role may govern a namespace that exists; an admin may.
///
/// # Errors
/// `missing_role`.
pub fn check_namespace_owner(caller: &Caller, name: &NamespaceName, role: Option<Role>) -> Result<(), Refusal> {
    if caller.is_admin() || role == Some(Role::Owner) {
        return Ok(());
    }
    let message = format!("You may not govern the namespace `{name}`: ask one of its owners for the role `owner`.");
    Err(Refusal::new(Reason::MissingRole, message))
}

/// Decides a PATCH of a namespace. `None`: it is like that already. No log holds these fields, so there is no event.
///
/// # Errors
/// `invalid_field` for the description.
pub fn decide_namespace_patch(
    namespace: &Namespace,
    patch: &NamespacePatch,
    limits: TextLimits,
) -> Result<Option<Namespace>, Refusal> {
    patch.description.value().map_or(Ok(()), |text| check_description(text, limits))?;
    let changed = Namespace {
        description: patch.description.applied_to(namespace.description.as_ref()),
        default_visibility: patch.default_visibility.unwrap_or(namespace.default_visibility),
        ..namespace.clone()
    };
    Ok((changed != *namespace).then_some(changed))
}

/// Decides to delete a namespace. There is no event for its end, but its owners are no owners any more.
///
/// # Errors
/// `not_empty` when a package was ever made in it: such a name is never free for others.
pub fn decide_namespace_delete(
    namespace: &Namespace,
    members: &[Member],
    now: Timestamp,
) -> Result<Vec<Change>, Refusal> {
    let name = &namespace.name;
    if namespace.held_package {
        let message =
            format!("A package was made in `{name}`, so it can't be deleted: hand it over to another owner instead.");
        return Err(Refusal::new(Reason::NotEmpty, message));
    }
    let mut changes = vec![Change::RemoveNamespace(name.clone())];
    for member in members.iter().filter(|member| member.role == Role::Owner) {
        let fact = Fact::OwnerRemoved { of: Owned::Namespace(name.clone()), owner: member.user };
        changes.push(Change::Event(Event { log: Log::Public, time: now, fact }));
    }
    Ok(changes)
}

/// The refusal for a namespace that nobody claimed.
pub fn namespace_not_found(name: &NamespaceName) -> Refusal {
    let message = format!("Nobody has the namespace `{name}`: check the name, or claim it.");
    Refusal::new(Reason::NamespaceNotFound, message)
}

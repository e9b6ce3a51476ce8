//! The decision to make a package: who may, in which namespace, under which name.

use super::caller::Caller;
use super::change::Change;
use super::event::{Event, Fact, Log, Owned};
use super::name::PackageName;
use super::package::{Description, Member, MemberOf, Namespace, Package, Role, Visibility};
use super::permission::Standing;
use super::refusal::{Reason, Refusal};
use super::time::Timestamp;
use super::user::UserId;

/// Who may claim a namespace that nobody has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClaimPolicy {
    /// Whoever uses it first.
    FirstUse,
    /// An admin alone.
    Admin,
}

/// What is known about a package's name when something is to be made or published under it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameState {
    /// The namespace, when the name has one and it was claimed.
    pub namespace: Option<Namespace>,
    /// The caller's role in the namespace.
    pub namespace_role: Option<Role>,
    /// The package, purged ones too.
    pub package: Option<Package>,
    /// The caller's role in the package itself.
    pub package_role: Option<Role>,
    /// The package that has this name or one that looks like it.
    pub lookalike: Option<PackageName>,
}

impl NameState {
    /// What the caller is to the package, if there is one.
    pub fn standing(&self) -> Option<Standing> {
        let package = self.package.as_ref()?;
        Some(Standing { visibility: package.visibility, role: self.namespace_role.max(self.package_role) })
    }
}

/// How a package is to be made if it does not exist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Creation {
    /// Who may read it; else the namespace's default, else everybody.
    pub visibility: Option<Visibility>,
    /// Its own descriptive fields.
    pub about: Description,
    /// Who may claim a namespace.
    pub claims: ClaimPolicy,
}

/// Whether the caller may make packages in the name's namespace, claiming it if need be.
///
/// # Errors
/// `not_namespace_member`, `claims_closed`, `token_packages` or `private_needs_namespace`.
pub fn decide_creator(
    caller: &Caller,
    name: &PackageName,
    state: &NameState,
    creation: &Creation,
) -> Result<(), Refusal> {
    let Some(namespace) = &name.namespace else {
        return if creation.visibility == Some(Visibility::Private) {
            let message = format!("`{name}` has no namespace and can only be public: name it `yours/{name}`.");
            Err(Refusal::field(Reason::PrivateNeedsNamespace, "visibility", message))
        } else {
            Ok(())
        };
    };
    if caller.is_admin() {
        return Ok(());
    }
    if state.namespace.is_some() {
        let is_member = state.namespace_role >= Some(Role::Publisher);
        let message =
            format!("You may not make packages in `{namespace}`: ask one of its owners for the role `publisher`.");
        return if is_member { Ok(()) } else { Err(Refusal::new(Reason::NotNamespaceMember, message)) };
    }
    if creation.claims == ClaimPolicy::Admin {
        let message = format!("Nobody has the namespace `{namespace}` yet, and here an admin gives them out: ask one.");
        return Err(Refusal::new(Reason::ClaimsClosed, message));
    }
    if !caller.covers_namespace(namespace) {
        let message =
            format!("To claim `{namespace}` the token's patterns must cover `{namespace}/*`: use such a token.");
        return Err(Refusal::new(Reason::TokenPackages, message));
    }
    Ok(())
}

/// The changes that make a package, its namespace too where nobody has it, and the package itself.
///
/// # Errors
/// `name_too_similar` when a look-alike exists.
pub fn decide_creation(
    caller: &Caller,
    name: &PackageName,
    state: &NameState,
    creation: &Creation,
    now: Timestamp,
) -> Result<(Vec<Change>, Package), Refusal> {
    if state.lookalike.as_ref().is_some_and(|other| other != name) {
        let message =
            format!("`{name}` looks too much like an existing package of that namespace: choose another name.");
        return Err(Refusal::new(Reason::NameTooSimilar, message));
    }
    let default = state.namespace.as_ref().map_or(Visibility::Public, |namespace| namespace.default_visibility);
    let visibility = creation.visibility.unwrap_or(default);
    let package = Package {
        name: name.clone(),
        visibility,
        about: creation.about.clone(),
        deprecated: None,
        purged_at: None,
        published: false,
        version_count: 0,
        latest: None,
        created_at: now,
        updated_at: now,
    };
    let mut changes = Vec::new();
    if let Some(namespace_name) = &name.namespace {
        match &state.namespace {
            Some(namespace) if namespace.held_package => {}
            Some(namespace) => {
                changes.push(Change::PutNamespace(Namespace { held_package: true, ..namespace.clone() }));
            }
            None => {
                let namespace = Namespace {
                    name: namespace_name.clone(),
                    description: None,
                    default_visibility: Visibility::Public,
                    held_package: true,
                    created_at: now,
                };
                changes.extend(claim(namespace, caller.user(), now));
            }
        }
    }
    let log = Log::of(visibility);
    changes.push(Change::PutPackage(Box::new(package.clone())));
    changes.push(Change::Event(Event { log, time: now, fact: Fact::PackageCreated { package: name.clone() } }));
    if let Some(owner) = caller.user() {
        let member = Member { user: owner, role: Role::Owner, since: now };
        changes.push(Change::PutMember { of: MemberOf::Package(name.clone()), member });
        let fact = Fact::OwnerAdded { of: Owned::Package(name.clone()), owner };
        changes.push(Change::Event(Event { log, time: now, fact }));
    }
    Ok((changes, package))
}

/// The changes with which a namespace begins; its existence is no secret, so they go to the public log.
pub fn claim(namespace: Namespace, owner: Option<UserId>, now: Timestamp) -> Vec<Change> {
    let name = namespace.name.clone();
    let event = |fact| Change::Event(Event { log: Log::Public, time: now, fact });
    let mut changes = vec![Change::PutNamespace(namespace), event(Fact::NamespaceCreated { namespace: name.clone() })];
    if let Some(owner) = owner {
        let member = Member { user: owner, role: Role::Owner, since: now };
        changes.push(Change::PutMember { of: MemberOf::Namespace(name.clone()), member });
        changes.push(event(Fact::OwnerAdded { of: Owned::Namespace(name), owner }));
    }
    changes
}

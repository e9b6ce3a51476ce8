//! What decisions need to know, loaded within one transaction.

use std::ops::ControlFlow;

use super::auth::check_life;
use crate::domain::caller::{Caller, TokenCaller};
use crate::domain::create::NameState;
use crate::domain::digest::Sha256;
use crate::domain::name::{NamespaceName, PackageName};
use crate::domain::package::{MemberOf, Package, Role, Visibility};
use crate::domain::permission::{Action, Standing, Verdict, denied, may, package_not_found};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::storage::rows::BlobRow;
use crate::storage::{ChangeError, StoreError, View};

/// The caller's own role in a package or namespace; an admin's is not invented here.
pub fn role(view: &View<'_>, caller: &Caller, of: &MemberOf) -> Result<Option<Role>, StoreError> {
    match caller.user() {
        Some(user) => Ok(view.member(of, user)?.map(|member| member.role)),
        None => Ok(None),
    }
}

/// The caller's role in the namespace of a package's name, if the name has one.
pub fn namespace_role(
    view: &View<'_>,
    caller: &Caller,
    namespace: Option<&NamespaceName>,
) -> Result<Option<Role>, StoreError> {
    match namespace {
        Some(namespace) => role(view, caller, &MemberOf::Namespace(namespace.clone())),
        None => Ok(None),
    }
}

/// What the caller is to a package.
pub fn standing(view: &View<'_>, caller: &Caller, package: &Package) -> Result<Standing, StoreError> {
    let own = role(view, caller, &MemberOf::Package(package.name.clone()))?;
    let inherited = namespace_role(view, caller, package.name.namespace.as_ref())?;
    Ok(Standing { visibility: package.visibility, role: own.max(inherited) })
}

/// Everything about a name that making or publishing under it is decided from.
pub fn name_state(view: &View<'_>, caller: &Caller, name: &PackageName) -> Result<NameState, StoreError> {
    let namespace = match &name.namespace {
        Some(namespace) => view.namespace(namespace)?,
        None => None,
    };
    Ok(NameState {
        namespace,
        namespace_role: namespace_role(view, caller, name.namespace.as_ref())?,
        package: view.package(name)?,
        package_role: role(view, caller, &MemberOf::Package(name.clone()))?,
        lookalike: view.lookalike(name)?,
    })
}

/// Whether the caller may read the package at all.
pub fn may_read(view: &View<'_>, caller: &Caller, package: &Package) -> Result<bool, StoreError> {
    let standing = standing(view, caller, package)?;
    Ok(may(caller, Action::Read, &package.name, standing) == Verdict::Allowed)
}

/// The package, if the caller may do `action` with it, and what the caller is to it; purged ones too.
///
/// # Errors
/// `package_not_found` for what is absent or hidden, a 403 reason for what is seen but not allowed.
pub fn package_for(
    view: &View<'_>,
    caller: &Caller,
    action: Action,
    name: &PackageName,
) -> Result<(Package, Standing), ChangeError> {
    let Some(package) = view.package(name)? else { return Err(package_not_found(name).into()) };
    let standing = standing(view, caller, &package)?;
    match may(caller, action, name, standing) {
        Verdict::Allowed => Ok((package, standing)),
        Verdict::Hidden => Err(package_not_found(name).into()),
        Verdict::Denied(reason) => Err(denied(reason, action, name).into()),
    }
}

/// Like [`package_for`], and refuses a package that was purged.
///
/// # Errors
/// `purged` besides.
pub fn live_package_for(
    view: &View<'_>,
    caller: &Caller,
    action: Action,
    name: &PackageName,
) -> Result<(Package, Standing), ChangeError> {
    let (package, standing) = package_for(view, caller, action, name)?;
    if package.purged_at.is_some() {
        let message = format!("`{name}` was purged by an admin and is served no more: ask the registry's admins why.");
        return Err(Refusal::new(Reason::Purged, message).into());
    }
    Ok((package, standing))
}

/// The caller as it is inside of this transaction: a token that was revoked, or a user that was disabled or stopped
/// being an admin while a long body arrived, is seen here.
///
/// # Errors
/// The 401 reasons of a token that is not good any more.
pub fn recheck(view: &View<'_>, caller: &Caller, now: Timestamp) -> Result<Caller, ChangeError> {
    let Some(known) = caller.token() else { return Ok(caller.clone()) };
    let gone = || Refusal::new(Reason::RevokedToken, "The token was revoked: use another one, or log in.");
    let token = view.token(known.token)?.ok_or_else(gone)?;
    let user = view.user(token.user)?.ok_or_else(gone)?;
    check_life(&token, &user, now)?;
    Ok(Caller::Token(Box::new(TokenCaller { user_is_admin: user.admin, ..known.clone() })))
}

/// A blob, if a package that the caller may read refers to it, and whether a public one does.
pub fn readable_blob(view: &View<'_>, caller: &Caller, digest: &Sha256) -> Result<Option<(BlobRow, bool)>, StoreError> {
    let (mut readable, mut public) = (false, false);
    view.scan_blob_packages(digest, |name| {
        if let Some(package) = view.package(&name)?.filter(|package| package.purged_at.is_none()) {
            public |= package.visibility == Visibility::Public;
            readable |= public || may_read(view, caller, &package)?;
        }
        Ok(if public { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(if readable { view.blob(digest)?.map(|row| (row, public)) } else { None })
}

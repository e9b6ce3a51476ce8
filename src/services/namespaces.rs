//! Namespaces: claimed, shown, changed, deleted. That one exists is no secret; what is in it may be.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::context::Deed;
use super::load::{recheck, role};
use super::packages::owners;
use super::precondition::{self, Precondition};
use super::versions::settle;
use super::{Context, Policy, ServiceError, Stores};
use crate::domain::caller::Caller;
use crate::domain::change::Change;
use crate::domain::name::{NamespaceName, UserName};
use crate::domain::namespace::{
    Claim, ClaimRules, NamespacePatch, check_namespace_owner, check_namespace_writer, decide_claim,
    decide_namespace_delete, decide_namespace_patch, namespace_not_found,
};
use crate::domain::package::{MemberOf, Namespace};
use crate::storage::tables::Table;
use crate::storage::view::{Direction, KeyRange};
use crate::storage::{ChangeError, Cost, Decided, Metadata as _, Moment, StoreError, View};

/// A namespace with everything that is shown of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamespaceDetail {
    /// The namespace as it is kept.
    pub namespace: Namespace,
    /// Its owners, by name.
    pub owners: Vec<UserName>,
    /// Whether an anonymous caller would see the same.
    pub public: bool,
}

/// A page of namespaces, in the order of names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamespacePage {
    /// The namespaces.
    pub namespaces: Vec<NamespaceDetail>,
    /// The name to go on behind; none when this was the last page.
    pub next: Option<NamespaceName>,
    /// Whether an anonymous caller would see the same.
    pub public: bool,
}

/// Governs namespaces.
pub struct NamespaceService {
    stores: Stores,
}

impl NamespaceService {
    /// Governs the namespaces of `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores }
    }

    /// One namespace.
    ///
    /// # Errors
    /// `namespace_not_found`.
    pub async fn get(&self, name: &NamespaceName) -> Result<NamespaceDetail, ServiceError> {
        let (name, policy) = (name.clone(), Arc::clone(&self.stores.policy));
        let load = move |view: &View<'_>| match view.namespace(&name)? {
            Some(namespace) => detail(view, namespace, &policy).map(Ok),
            None => Ok(Err(namespace_not_found(&name))),
        };
        Ok(self.stores.metadata.read(Cost::Point, load).await??)
    }

    /// A page of at most `limit` namespaces, those behind `after`.
    ///
    /// # Errors
    /// That the store failed.
    pub async fn list(&self, after: Option<NamespaceName>, limit: usize) -> Result<NamespacePage, ServiceError> {
        let policy = Arc::clone(&self.stores.policy);
        let load = move |view: &View<'_>| {
            let range = KeyRange::all(Direction::Up);
            let range = match after {
                Some(name) => range.beyond(name.as_str().as_bytes().to_vec()),
                None => range,
            };
            let mut found: Vec<Namespace> = Vec::new();
            view.scan_rows(Table::Namespaces, range, |_, namespace| {
                found.push(namespace);
                Ok(if found.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
            let more = found.len() > limit;
            found.truncate(limit);
            let next = found.last().filter(|_| more).map(|last| last.name.clone());
            let namespaces: Result<Vec<_>, _> = found.into_iter().map(|one| detail(view, one, &policy)).collect();
            Ok(NamespacePage { namespaces: namespaces?, next, public: policy.anonymous_read })
        };
        Ok(self.stores.metadata.read(Cost::Scan, load).await?)
    }

    /// What can be refused before a body is read: whether the caller may govern the namespace as it is now.
    ///
    /// # Errors
    /// A 403 reason, `namespace_not_found`, `etag_mismatch`.
    pub async fn admit(
        &self,
        context: &Context,
        name: &NamespaceName,
        precondition: Option<Precondition<NamespaceDetail>>,
    ) -> Result<NamespaceDetail, ServiceError> {
        let (caller, name, policy) = (context.caller.clone(), name.clone(), Arc::clone(&self.stores.policy));
        let load = move |view: &View<'_>| settle(governed(view, &caller, (&name, precondition.as_ref()), &policy));
        Ok(self.stores.metadata.read(Cost::Point, load).await??)
    }

    /// Claims a namespace.
    ///
    /// # Errors
    /// Those of [`decide_claim`].
    pub async fn claim(&self, context: &Context, ask: Claim) -> Result<NamespaceDetail, ServiceError> {
        let (context, policy) = (context.clone(), Arc::clone(&self.stores.policy));
        let decide = move |view: &View<'_>, moment: Moment| {
            let caller = recheck(view, &context.caller, moment.now)?;
            let existing = view.namespace(&ask.name)?;
            let rules = ClaimRules { claims: policy.claims, limits: policy.text_limits() };
            let (mut changes, namespace) = decide_claim(&caller, &ask, existing.as_ref(), rules, moment.now)?;
            changes.push(audit(&context, "namespace.claim", &ask.name));
            let owners = caller.token().map(|token| token.user_name.clone()).into_iter().collect();
            Ok(Decided { changes, answer: NamespaceDetail { namespace, owners, public: policy.anonymous_read } })
        };
        Ok(self.stores.metadata.change(decide).await?)
    }

    /// Changes a namespace.
    ///
    /// # Errors
    /// As [`NamespaceService::admit`], and those of [`decide_namespace_patch`].
    pub async fn patch(
        &self,
        context: &Context,
        name: &NamespaceName,
        patch: NamespacePatch,
        precondition: Option<Precondition<NamespaceDetail>>,
    ) -> Result<NamespaceDetail, ServiceError> {
        let (context, name, policy) = (context.clone(), name.clone(), Arc::clone(&self.stores.policy));
        let decide = move |view: &View<'_>, moment: Moment| {
            let caller = recheck(view, &context.caller, moment.now)?;
            let before = governed(view, &caller, (&name, precondition.as_ref()), &policy)?;
            let decided = decide_namespace_patch(&before.namespace, &patch, policy.text_limits())?;
            let Some(namespace) = decided else { return Ok(Decided::unchanged(before)) };
            let changes = vec![Change::PutNamespace(namespace.clone()), audit(&context, "namespace.update", &name)];
            Ok(Decided { changes, answer: NamespaceDetail { namespace, ..before } })
        };
        Ok(self.stores.metadata.change(decide).await?)
    }

    /// Deletes a namespace that never held a package; answers with what it was.
    ///
    /// # Errors
    /// As [`NamespaceService::admit`], and `not_empty`.
    pub async fn delete(
        &self,
        context: &Context,
        name: &NamespaceName,
        precondition: Option<Precondition<NamespaceDetail>>,
    ) -> Result<NamespaceDetail, ServiceError> {
        let (context, name, policy) = (context.clone(), name.clone(), Arc::clone(&self.stores.policy));
        let decide = move |view: &View<'_>, moment: Moment| {
            let caller = recheck(view, &context.caller, moment.now)?;
            let before = governed(view, &caller, (&name, precondition.as_ref()), &policy)?;
            let members = view.members(&MemberOf::Namespace(name.clone()))?;
            let mut changes = decide_namespace_delete(&before.namespace, &members, moment.now)?;
            changes.push(audit(&context, "namespace.delete", &name));
            Ok(Decided { changes, answer: before })
        };
        Ok(self.stores.metadata.change(decide).await?)
    }
}

/// The namespace, if the caller may govern it and it still is what the caller saw.
fn governed(
    view: &View<'_>,
    caller: &Caller,
    (name, precondition): (&NamespaceName, Option<&Precondition<NamespaceDetail>>),
    policy: &Policy,
) -> Result<NamespaceDetail, ChangeError> {
    let namespace = namespace_for_owner(view, caller, name)?;
    let detail = detail(view, namespace, policy)?;
    precondition::check(precondition, Some(&detail))?;
    Ok(detail)
}

/// The namespace, if the caller may govern it.
///
/// # Errors
/// `missing_token`, `missing_scope`, `token_packages`, then `namespace_not_found`, then `missing_role`.
pub fn namespace_for_owner(view: &View<'_>, caller: &Caller, name: &NamespaceName) -> Result<Namespace, ChangeError> {
    check_namespace_writer(caller, name)?;
    let namespace = view.namespace(name)?.ok_or_else(|| namespace_not_found(name))?;
    check_namespace_owner(caller, name, role(view, caller, &MemberOf::Namespace(name.clone()))?)?;
    Ok(namespace)
}

fn detail(view: &View<'_>, namespace: Namespace, policy: &Policy) -> Result<NamespaceDetail, StoreError> {
    let owners = owners(view, &MemberOf::Namespace(namespace.name.clone()))?;
    Ok(NamespaceDetail { namespace, owners, public: policy.anonymous_read })
}

fn audit(context: &Context, action: &'static str, name: &NamespaceName) -> Change {
    context.audit(Deed::to_target(action, name.as_str()))
}

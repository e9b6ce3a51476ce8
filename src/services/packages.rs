//! Packages: made, shown, changed, deleted while empty, purged by an admin.
//!
//! Each change is one transaction that looks at the caller's rights again, and leaves one audit entry.

use std::sync::Arc;

use super::context::Deed;
use super::load::{live_package_for, name_state, recheck};
use super::precondition::{self, Precondition};
use super::versions::settle;
use super::{Context, Policy, ServiceError, Stores};
use crate::domain::change::Change;
use crate::domain::create::Creation;
use crate::domain::govern::{Contents, PackagePatch, decide_create, decide_patch};
use crate::domain::name::{PackageName, UserName};
use crate::domain::package::{Description, MemberOf, Package, Role, Visibility};
use crate::domain::permission::{Action, denied};
use crate::domain::purge::{decide_delete, decide_package_purge};
use crate::domain::refusal::Reason;
use crate::domain::text::check_reason;
use crate::storage::{ChangeError, Cost, Decided, Metadata as _, Moment, StoreError, View};

/// A package with everything that is shown of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackageDetail {
    /// The package as it is kept.
    pub package: Package,
    /// Its own descriptive fields, and those of `latest` where nobody set one.
    pub about: Description,
    /// Its own owners, by name.
    pub owners: Vec<UserName>,
    /// How often it was downloaded, to within the last flush.
    pub downloads: u64,
    /// Whether an anonymous caller would see the same.
    pub public: bool,
}

/// A package to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewPackage {
    /// Its name.
    pub name: PackageName,
    /// Who may read it; else what its namespace says.
    pub visibility: Option<Visibility>,
    /// Its own descriptive fields.
    pub about: Description,
}

/// How a package is to go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Removal {
    /// By an owner, while nothing was ever published in it.
    Delete,
    /// By an admin, with all of its versions, for good.
    Purge {
        /// Why, for the audit.
        reason: Option<String>,
    },
}

/// Governs packages.
pub struct PackageService {
    stores: Stores,
}

impl PackageService {
    /// Governs the packages of `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores }
    }

    /// One package.
    ///
    /// # Errors
    /// `package_not_found`, `purged`.
    pub async fn get(&self, context: &Context, name: &PackageName) -> Result<PackageDetail, ServiceError> {
        self.admit(context, name, Action::Read, None).await
    }

    /// What can be refused before a body is read: whether the caller may do `action` with the package as it is now.
    ///
    /// # Errors
    /// `package_not_found`, a 403 reason, `purged`, `etag_mismatch`.
    pub async fn admit(
        &self,
        context: &Context,
        name: &PackageName,
        action: Action,
        precondition: Option<Precondition<PackageDetail>>,
    ) -> Result<PackageDetail, ServiceError> {
        let (caller, name) = (context.caller.clone(), name.clone());
        let policy = Arc::clone(&self.stores.policy);
        let load = move |view: &View<'_>| {
            settle(live_package_for(view, &caller, action, &name).and_then(|(package, _)| {
                let detail = detail(view, &package, &policy)?;
                precondition::check(precondition.as_ref(), Some(&detail))?;
                Ok(detail)
            }))
        };
        Ok(self.stores.metadata.read(Cost::Point, load).await??)
    }

    /// Makes a package, claiming a namespace that nobody has.
    ///
    /// # Errors
    /// Those of [`decide_create`].
    pub async fn create(&self, context: &Context, new: NewPackage) -> Result<PackageDetail, ServiceError> {
        let (context, policy) = (context.clone(), Arc::clone(&self.stores.policy));
        let creation = Creation { visibility: new.visibility, about: new.about, claims: policy.claims };
        let name = new.name;
        let decide = move |view: &View<'_>, moment: Moment| {
            let caller = recheck(view, &context.caller, moment.now)?;
            let state = name_state(view, &caller, &name)?;
            let limits = (&creation, policy.text_limits());
            let (mut changes, package) = decide_create(&caller, &name, &state, limits, moment.now)?;
            changes.push(context.audit(Deed::to_package("package.create", &name)));
            let owners = caller.token().map(|token| token.user_name.clone()).into_iter().collect();
            Ok(Decided { changes, answer: PackageDetail { owners, ..detail(view, &package, &policy)? } })
        };
        Ok(self.stores.metadata.change(decide).await?)
    }

    /// Changes a package's own fields.
    ///
    /// # Errors
    /// `package_not_found`, a 403 reason, `purged`, `etag_mismatch`, those of [`decide_patch`].
    pub async fn patch(
        &self,
        context: &Context,
        name: &PackageName,
        patch: PackagePatch,
        precondition: Option<Precondition<PackageDetail>>,
    ) -> Result<PackageDetail, ServiceError> {
        let (context, name, policy) = (context.clone(), name.clone(), Arc::clone(&self.stores.policy));
        let decide = move |view: &View<'_>, moment: Moment| {
            let caller = recheck(view, &context.caller, moment.now)?;
            let (package, _) = live_package_for(view, &caller, Action::Govern, &name)?;
            let before = detail(view, &package, &policy)?;
            precondition::check(precondition.as_ref(), Some(&before))?;
            let contents = if patch.flips(&package) { contents(view, &name)? } else { Contents::default() };
            let decided = decide_patch(&package, &patch, &contents, policy.text_limits(), moment.now)?;
            let Some((mut changes, package)) = decided else { return Ok(Decided::unchanged(before)) };
            changes.push(context.audit(Deed::to_package("package.update", &name)));
            Ok(Decided { changes, answer: detail(view, &package, &policy)? })
        };
        Ok(self.stores.metadata.change(decide).await?)
    }

    /// Deletes or purges a package; answers with what it was, or with what is left of it.
    ///
    /// # Errors
    /// `package_not_found`, a 403 reason, `purged`, `etag_mismatch`, `not_empty`, `invalid_field` for the reason.
    pub async fn remove(
        &self,
        context: &Context,
        name: &PackageName,
        removal: Removal,
        precondition: Option<Precondition<PackageDetail>>,
    ) -> Result<PackageDetail, ServiceError> {
        let (context, name, policy) = (context.clone(), name.clone(), Arc::clone(&self.stores.policy));
        let decide = move |view: &View<'_>, moment: Moment| {
            let caller = recheck(view, &context.caller, moment.now)?;
            let (action, deed) = match removal {
                Removal::Delete => (Action::Govern, "package.delete"),
                Removal::Purge { .. } => (Action::Purge, "package.purge"),
            };
            if action == Action::Purge && !caller.is_admin() {
                // The scope comes before what exists: else a hidden package would answer otherwise than a seen one.
                return Err(denied(Reason::MissingScope, action, &name).into());
            }
            let (package, _) = live_package_for(view, &caller, action, &name)?;
            let before = detail(view, &package, &policy)?;
            precondition::check(precondition.as_ref(), Some(&before))?;
            let (mut changes, after) = match &removal {
                Removal::Delete => (decide_delete(&package, moment.now)?, before),
                Removal::Purge { reason } => purge(view, &before, reason.as_deref(), (&policy, moment))?,
            };
            changes.push(context.audit(Deed::to_package(deed, &name)));
            Ok(Decided { changes, answer: after })
        };
        Ok(self.stores.metadata.change(decide).await?)
    }
}

fn purge(
    view: &View<'_>,
    before: &PackageDetail,
    reason: Option<&str>,
    (policy, moment): (&Policy, Moment),
) -> Result<(Vec<Change>, PackageDetail), ChangeError> {
    reason.map_or(Ok(()), |reason| check_reason("reason", reason, policy.text_limits()))?;
    let versions = view.versions(&before.package.name)?;
    let (changes, package) = decide_package_purge(&before.package, &versions, reason, moment.now);
    Ok((changes, PackageDetail { about: package.about.clone(), package, ..before.clone() }))
}

/// What is shown of a package: of the one that is kept, or of one that is about to be.
///
/// # Errors
/// The store's own.
pub fn detail(view: &View<'_>, package: &Package, policy: &Policy) -> Result<PackageDetail, StoreError> {
    Ok(PackageDetail {
        about: about(view, package)?,
        owners: owners(view, &MemberOf::Package(package.name.clone()))?,
        downloads: view.downloads(&package.name, None)?,
        public: is_public(package, policy),
        package: package.clone(),
    })
}

/// A package's own descriptive fields, and those of its `latest` where nobody set one.
///
/// # Errors
/// The store's own.
pub fn about(view: &View<'_>, package: &Package) -> Result<Description, StoreError> {
    let latest = match &package.latest {
        Some(number) => view.version(&package.name, number)?.map(|version| version.about),
        None => None,
    };
    let (own, latest) = (package.about.clone(), latest.unwrap_or_default());
    Ok(Description {
        description: own.description.or(latest.description),
        license: own.license.or(latest.license),
        keywords: own.keywords.or(latest.keywords),
        links: own.links.or(latest.links),
    })
}

/// Whether an anonymous caller may read the package.
pub fn is_public(package: &Package, policy: &Policy) -> bool {
    policy.anonymous_read && package.visibility == Visibility::Public
}

/// The names of those who own something, in the order of names.
///
/// # Errors
/// The store's own.
pub fn owners(view: &View<'_>, of: &MemberOf) -> Result<Vec<UserName>, StoreError> {
    let mut names = Vec::new();
    for member in view.members(of)?.into_iter().filter(|member| member.role == Role::Owner) {
        names.extend(view.user(member.user)?.map(|user| user.name));
    }
    names.sort();
    Ok(names)
}

fn contents(view: &View<'_>, name: &PackageName) -> Result<Contents, StoreError> {
    let mut versions = Vec::new();
    for version in view.versions(name)? {
        let dependencies = view.dependencies(name, &version.number)?;
        versions.push((version, dependencies));
    }
    Ok(Contents { members: view.members(&MemberOf::Package(name.clone()))?, versions })
}

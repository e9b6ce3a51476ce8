//! What is said about versions after they were published: yanked, deprecated, purged.

use std::sync::Arc;

use super::context::Deed;
use super::load::{live_package_for, recheck};
use super::packages::is_public;
use super::precondition::{self, Precondition};
use super::versions::{VersionDetail, VersionRef, detail, find_version, settle};
use super::{Context, Policy, ServiceError, Stores};
use crate::domain::change::Change;
use crate::domain::digest::Sha256;
use crate::domain::name::PackageName;
use crate::domain::package::{Package, Version};
use crate::domain::permission::Action;
use crate::domain::purge::decide_version_purge;
use crate::domain::text::check_reason;
use crate::domain::version::VersionNumber;
use crate::domain::yank::{VersionChange, VersionPatch, VersionState, decide_version_patch};
use crate::storage::{ChangeError, Cost, Decided, Metadata as _, Moment, View};

/// Yanks, deprecates and purges versions.
pub struct YankService {
    stores: Stores,
}

/// Which version is to be changed, and that it still is what the caller saw.
#[derive(Clone)]
pub struct VersionTarget {
    /// Of which package.
    pub package: PackageName,
    /// Which one; build metadata is the stored one's or left out.
    pub number: VersionNumber,
    /// `If-Match`.
    pub precondition: Option<Precondition<VersionDetail>>,
}

/// A version's manifest, read before the transaction so that no byte of a blob is read within; it never changes.
type Manifest = Option<Vec<u8>>;

impl YankService {
    /// Works on the versions of `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores }
    }

    /// What can be refused before a body is read: whether the caller may do `action` with the version as it is now.
    ///
    /// # Errors
    /// `package_not_found`, a 403 reason, `version_not_found`, `purged`, `etag_mismatch`.
    pub async fn admit(&self, context: &Context, target: &VersionTarget, action: Action) -> Result<(), ServiceError> {
        self.manifest(context, target, action).await.map(|_| ())
    }

    /// Yanks, unyanks, deprecates. Repeating it changes nothing.
    ///
    /// # Errors
    /// As [`YankService::admit`], and those of [`decide_version_patch`].
    pub async fn patch(
        &self,
        context: &Context,
        target: &VersionTarget,
        patch: VersionPatch,
    ) -> Result<VersionDetail, ServiceError> {
        let manifest = self.manifest(context, target, Action::Publish).await?;
        let (context, target, policy) = (context.clone(), target.clone(), Arc::clone(&self.stores.policy));
        let decide = move |view: &View<'_>, moment: Moment| {
            let caller = recheck(view, &context.caller, moment.now)?;
            let (package, _) = live_package_for(view, &caller, Action::Publish, &target.package)?;
            let (version, before) = checked(view, &package, (&target, &manifest), &policy)?;
            let versions = view.versions(&package.name)?;
            let state = VersionState { package: &package, versions: &versions, version: &version };
            let decided = decide_version_patch(state, &patch, policy.text_limits(), moment.now)?;
            let Some(VersionChange { mut changes, version, .. }) = decided else {
                return Ok(Decided::unchanged(before));
            };
            changes.push(audit(&context, patch_action(&patch), (&package.name, &version)));
            Ok(Decided { changes, answer: VersionDetail { version, ..before } })
        };
        Ok(self.stores.metadata.change(decide).await?)
    }

    /// Purges a version: a tombstone stays, its number is never used again.
    ///
    /// # Errors
    /// As [`YankService::admit`], and `invalid_field` for the reason.
    pub async fn purge(
        &self,
        context: &Context,
        target: &VersionTarget,
        reason: Option<String>,
    ) -> Result<VersionDetail, ServiceError> {
        let manifest = self.manifest(context, target, Action::Purge).await?;
        let (context, target, policy) = (context.clone(), target.clone(), Arc::clone(&self.stores.policy));
        let decide = move |view: &View<'_>, moment: Moment| {
            let caller = recheck(view, &context.caller, moment.now)?;
            let (package, _) = live_package_for(view, &caller, Action::Purge, &target.package)?;
            let (version, before) = checked(view, &package, (&target, &manifest), &policy)?;
            reason.as_deref().map_or(Ok(()), |reason| check_reason("reason", reason, policy.text_limits()))?;
            let versions = view.versions(&package.name)?;
            let state = VersionState { package: &package, versions: &versions, version: &version };
            let VersionChange { mut changes, version, .. } = decide_version_purge(state, reason.as_deref(), moment.now);
            changes.push(audit(&context, "version.purge", (&package.name, &version)));
            Ok(Decided { changes, answer: VersionDetail { version, manifest: None, ..before } })
        };
        Ok(self.stores.metadata.change(decide).await?)
    }

    /// Admits the caller and reads the version's manifest.
    async fn manifest(
        &self,
        context: &Context,
        target: &VersionTarget,
        action: Action,
    ) -> Result<Manifest, ServiceError> {
        let (caller, wanted) = (context.caller.clone(), target.clone());
        let policy = Arc::clone(&self.stores.policy);
        let load = move |view: &View<'_>| {
            settle(live_package_for(view, &caller, action, &wanted.package).and_then(|(package, _)| {
                let version = find_version(view, &package, &VersionRef::Number(wanted.number.clone()))?;
                Ok(detail(view, &package.name, version, is_public(&package, &policy))?)
            }))
        };
        let mut before = self.stores.metadata.read(Cost::Point, load).await??;
        before.manifest = match before.version.manifest {
            Some(digest) => self.readable(digest, target.precondition.is_some()).await?,
            None => None,
        };
        precondition::check(target.precondition.as_ref(), Some(&before))?;
        Ok(before.manifest)
    }

    /// A manifest's bytes. Damaged ones must not keep anybody from yanking or purging, unless they are to be compared.
    async fn readable(&self, digest: Sha256, needed: bool) -> Result<Manifest, ServiceError> {
        match self.stores.read_small_blob(digest).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if needed => Err(error),
            Err(error) => {
                tracing::warn!(%error, %digest, "a version is changed while its manifest can't be read");
                Ok(None)
            }
        }
    }
}

/// The version as it is in this transaction, if it still is what the caller saw.
fn checked(
    view: &View<'_>,
    package: &Package,
    (target, manifest): (&VersionTarget, &Manifest),
    policy: &Policy,
) -> Result<(Version, VersionDetail), ChangeError> {
    let version = find_version(view, package, &VersionRef::Number(target.number.clone()))?;
    let mut before = detail(view, &package.name, version.clone(), is_public(package, policy))?;
    before.manifest.clone_from(manifest);
    precondition::check(target.precondition.as_ref(), Some(&before))?;
    Ok((version, before))
}

const fn patch_action(patch: &VersionPatch) -> &'static str {
    match patch.yanked {
        Some(true) => "version.yank",
        Some(false) => "version.unyank",
        None => "version.deprecate",
    }
}

fn audit(context: &Context, action: &'static str, (package, version): (&PackageName, &Version)) -> Change {
    let number = version.number.to_string();
    context.audit(Deed { version: Some(&number), ..Deed::to_package(action, package) })
}

//! The decisions of a publish on what is stored in one transaction.

use super::PublishRequest;
use crate::domain::caller::Caller;
use crate::domain::change::{BlobFacts, Change};
use crate::domain::create::{Creation, NameState};
use crate::domain::package::{Package, Version, Visibility};
use crate::domain::publish::{
    Bytes as PublishBytes, Publication, PublishAsk, Release, decide_admission, decide_number, decide_publish,
    version_exists,
};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::services::load::name_state;
use crate::services::versions::{VersionDetail, detail};
use crate::storage::{ChangeError, StoreError, View};

/// What one decision on a publish is given.
pub(super) struct Plan {
    pub(super) request: PublishRequest,
    pub(super) given: Release,
    pub(super) effective: Release,
    pub(super) bytes: PublishBytes,
    /// The blobs of manifest and README.
    pub(super) blobs: Vec<BlobFacts>,
    /// The manifest that is stored, as compact JSON.
    pub(super) manifest: Option<Vec<u8>>,
    pub(super) creation: Option<Creation>,
    pub(super) anonymous_read: bool,
}

/// What can be refused before the body, in the contract's order; the existing version when it may be answered with.
pub(super) fn admit_in(
    view: &View<'_>,
    caller: &Caller,
    request: &PublishRequest,
    creation: Option<&Creation>,
) -> Result<Option<(Package, Version)>, ChangeError> {
    let state = name_state(view, caller, &request.package)?;
    decide_admission(caller, &request.package, &state, creation)?;
    let existing = view.version(&request.package, &request.version)?;
    check_new(request, existing.as_ref())?;
    decide_number(&request.package, state.package.as_ref(), &request.version, existing.as_ref())?;
    if let (Some(existing), Some(size)) = (&existing, request.size)
        && size != existing.artifact.size
    {
        return Err(version_exists(&request.package, existing, "size").into());
    }
    Ok(state.package.zip(existing))
}

/// Whether the version may be there already: what `If-None-Match: *` says no to, also when it came meanwhile.
fn check_new(request: &PublishRequest, existing: Option<&Version>) -> Result<(), Refusal> {
    if !request.must_be_new || existing.is_none() {
        return Ok(());
    }
    let message =
        format!("`{}` {} exists, and the request is for a new version only.", request.package, request.version);
    Err(Refusal::new(Reason::AlreadyExists, message))
}

/// Decides on what is stored in this transaction: the changes, the version as it is after them, and whether it is new.
pub(super) fn decide_in(
    view: &View<'_>,
    caller: &Caller,
    plan: &Plan,
    now: Timestamp,
) -> Result<(Vec<Change>, (VersionDetail, bool)), ChangeError> {
    let name = &plan.request.package;
    let state: NameState = name_state(view, caller, name)?;
    let existing = view.version(name, &plan.request.version)?;
    decide_admission(caller, name, &state, plan.creation.as_ref())?;
    check_new(&plan.request, existing.as_ref())?;
    let dependencies = match &existing {
        Some(version) => view.dependencies(name, &version.number)?,
        None => Vec::new(),
    };
    let ask = PublishAsk {
        caller,
        name,
        given: &plan.given,
        effective: &plan.effective,
        bytes: &plan.bytes,
        create: plan.creation.as_ref(),
        now,
    };
    let publication =
        decide_publish(&ask, &state, existing.as_ref().map(|version| (version, dependencies.as_slice())))?;
    let is_public = |package: &Package| plan.anonymous_read && package.visibility == Visibility::Public;
    match (publication, existing, &state.package) {
        (Publication::Created { changes, version, package }, _, _) => {
            let mut all: Vec<Change> = plan.blobs.iter().copied().map(Change::PutBlob).collect();
            all.extend(changes);
            let detail = VersionDetail {
                package: name.clone(),
                dependencies: plan.effective.dependencies.clone().unwrap_or_default(),
                manifest: plan.manifest.clone(),
                downloads: 0,
                published_by: caller.token().map(|token| token.user_name.clone()),
                public: is_public(&package),
                version: *version,
            };
            Ok((all, (detail, true)))
        }
        (Publication::Unchanged, Some(version), Some(package)) => {
            let mut changes = Vec::new();
            for facts in std::iter::once(&plan.bytes.facts).chain(&plan.blobs) {
                if view.blob(&facts.sha256)?.is_some_and(|blob| blob.damaged) {
                    changes.push(Change::PutBlob(*facts));
                }
            }
            Ok((changes, (detail(view, name, version, is_public(package))?, false)))
        }
        (Publication::Unchanged, _, _) => Err(StoreError::Closed.into()),
    }
}

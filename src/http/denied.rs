//! What somebody with a good token tried and may not do leaves an entry in the audit.

use super::app::App;
use super::call::RequestMeta;
use super::params::Params;
use super::problem;
use crate::domain::caller::Caller;
use crate::domain::name::{NamespaceName, UserName};
use crate::domain::refusal::Reason;
use crate::services::context::Deed;
use crate::services::versions::VersionRef;
use crate::services::{Context, new_id};

/// A write that was refused.
pub(super) struct Denied<'a> {
    pub(super) caller: Caller,
    pub(super) params: &'a Params,
    pub(super) meta: &'a RequestMeta,
    /// What the audit calls it; empty for what it takes no notice of.
    pub(super) deed: &'static str,
}

impl Denied<'_> {
    /// Notes it, if it was refused for want of a right. An entry that can't be written is logged and changes nothing.
    pub(super) async fn note(self, app: &App, reason: Reason) {
        let is_about_rights = problem::answer(reason).code == problem::FORBIDDEN;
        if self.deed.is_empty() || !is_about_rights || self.caller.token().is_none() {
            return;
        }
        let Ok(audit_id) = new_id(self.meta.started) else { return };
        let version = match &self.params.version {
            Some(VersionRef::Number(number)) => Some(number.to_string()),
            Some(VersionRef::Latest) | None => None,
        };
        let namespace = self.params.namespace.as_ref().map(NamespaceName::as_str);
        let target = self.params.user.as_ref().map(UserName::as_str).or(namespace);
        let package = self.params.package.as_ref();
        let deed = Deed { action: self.deed, package, version: version.as_deref(), target };
        let context = Context {
            caller: self.caller,
            now: self.meta.started,
            ip: self.meta.ip,
            request_id: self.meta.request_id.clone(),
            audit_id,
        };
        if let Err(error) = app.services.audit.deny(&context, deed).await {
            tracing::warn!(%error, action = self.deed, "a denied write is missing from the audit");
        }
    }
}

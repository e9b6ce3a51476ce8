//! Who asks, when, from where: what every operation is told about its request.

use std::net::IpAddr;

use crate::domain::audit::{AuditEntry, Outcome};
use crate::domain::caller::Caller;
use crate::domain::change::Change;
use crate::domain::id::Id;
use crate::domain::name::PackageName;
use crate::domain::time::Timestamp;

/// One request, as far as the services care.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who asks.
    pub caller: Caller,
    /// When the request began.
    pub now: Timestamp,
    /// From where, unless it came through the admin socket.
    pub ip: Option<IpAddr>,
    /// The request's id.
    pub request_id: String,
    /// The id of the audit entry that the request may leave.
    pub audit_id: Id,
}

/// What was done to what, for the audit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deed<'a> {
    /// What, such as `version.publish`.
    pub action: &'static str,
    /// To which package.
    pub package: Option<&'a PackageName>,
    /// To which version of it.
    pub version: Option<&'a str>,
    /// To what else.
    pub target: Option<&'a str>,
}

impl<'a> Deed<'a> {
    /// A deed done to a package.
    pub fn to_package(action: &'static str, package: &'a PackageName) -> Self {
        Self { action, package: Some(package), ..Self::default() }
    }

    /// A deed done to something that is no package.
    pub fn to_target(action: &'static str, target: &'a str) -> Self {
        Self { action, target: Some(target), ..Self::default() }
    }
}

impl Context {
    /// The audit entry of a deed that was done: a change of the same transaction.
    pub fn audit(&self, deed: Deed<'_>) -> Change {
        Change::Audit(Box::new(self.entry(deed, Outcome::Ok)))
    }

    /// The audit entry of a deed that was refused.
    pub fn audit_denied(&self, deed: Deed<'_>) -> Change {
        Change::Audit(Box::new(self.entry(deed, Outcome::Denied)))
    }

    fn entry(&self, deed: Deed<'_>, outcome: Outcome) -> AuditEntry {
        AuditEntry {
            id: self.audit_id,
            time: self.now,
            actor: self.caller.actor(),
            token: self.caller.token().map(|token| token.token),
            action: deed.action.to_owned(),
            package: deed.package.cloned(),
            version: deed.version.map(str::to_owned),
            target: deed.target.map(str::to_owned),
            ip: self.ip,
            request_id: self.request_id.clone(),
            outcome,
        }
    }
}

//! Who did what, from where, with which token: the entries of the audit table.

use std::net::IpAddr;

use super::caller::Actor;
use super::id::Id;
use super::name::PackageName;
use super::time::Timestamp;
use super::token::TokenId;

/// Whether the action was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was done, in the same transaction as this entry.
    Ok,
    /// It was refused for want of a right or of good credentials.
    Denied,
}

/// One entry; never changed once it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// Sorts by time.
    pub id: Id,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub actor: Actor,
    /// With which token.
    pub token: Option<TokenId>,
    /// What, such as `version.publish`.
    pub action: String,
    /// To which package.
    pub package: Option<PackageName>,
    /// To which version of it.
    pub version: Option<String>,
    /// To what else: a principal, a user's name, a token's id, a namespace.
    pub target: Option<String>,
    /// From where.
    pub ip: Option<IpAddr>,
    /// In which request.
    pub request_id: String,
    /// Whether it was done.
    pub outcome: Outcome,
}

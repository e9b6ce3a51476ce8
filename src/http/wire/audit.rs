//! Audit entries as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::audit::Outcome;
use crate::domain::caller::Actor;
use crate::services::audit::AuditLine;

/// One entry of the audit.
#[derive(Serialize, JsonSchema)]
pub struct Audit {
    /// Sorts by time.
    pub id: String,
    /// When.
    pub time: String,
    /// `user:NAME` (`user:ID` once the user is deleted), `local:UID` or `anonymous`.
    pub actor: String,
    /// With which token.
    pub token_id: Option<String>,
    /// What, such as `version.publish`.
    pub action: String,
    /// To which package.
    pub package: Option<String>,
    /// To which version of it.
    pub version: Option<String>,
    /// To what else.
    pub target: Option<String>,
    /// From where.
    pub ip: Option<String>,
    /// In which request.
    pub request_id: String,
    /// `ok` or `denied`.
    pub outcome: &'static str,
}

impl From<&AuditLine> for Audit {
    fn from(line: &AuditLine) -> Self {
        let entry = &line.entry;
        Self {
            id: entry.id.to_string(),
            time: entry.time.to_string(),
            actor: match entry.actor {
                Actor::Anonymous => "anonymous".to_owned(),
                Actor::Local(uid) => format!("local:{uid}"),
                Actor::User(id) => {
                    line.user.as_ref().map_or_else(|| format!("user:{id}"), |name| format!("user:{name}"))
                }
            },
            token_id: entry.token.map(|id| id.to_string()),
            action: entry.action.clone(),
            package: entry.package.as_ref().map(ToString::to_string),
            version: entry.version.clone(),
            target: entry.target.clone(),
            ip: entry.ip.map(|ip| ip.to_string()),
            request_id: entry.request_id.clone(),
            outcome: match entry.outcome {
                Outcome::Ok => "ok",
                Outcome::Denied => "denied",
            },
        }
    }
}

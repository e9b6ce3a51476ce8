//! Members of packages and namespaces as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::package;
use crate::services::members::MemberDetail;

/// A member.
#[derive(Serialize, JsonSchema)]
pub struct Member {
    /// Who: `user:NAME`.
    pub principal: String,
    /// `owner`, `publisher` or `reader`.
    pub role: &'static str,
    /// Whether the role is the one in the package's namespace.
    pub inherited: bool,
    /// Since when, in this role.
    pub since: String,
}

impl From<&MemberDetail> for Member {
    fn from(detail: &MemberDetail) -> Self {
        Self {
            principal: format!("user:{}", detail.name),
            role: detail.member.role.as_str(),
            inherited: detail.inherited,
            since: detail.member.since.to_string(),
        }
    }
}

/// What a member may do.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads a private package.
    Reader,
    /// Publishes, yanks and deprecates.
    Publisher,
    /// Governs and publishes.
    Owner,
}

impl From<Role> for package::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Reader => Self::Reader,
            Role::Publisher => Self::Publisher,
            Role::Owner => Self::Owner,
        }
    }
}

/// The role that somebody is to have.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// From now on.
    pub role: Role,
}

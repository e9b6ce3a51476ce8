//! Who did what, from where, with which token: the entries of the audit table.

use std::net::IpAddr;

use super::caller::Actor;
use super::id::Id;
use super::name::{PackageName, UserName, shown};
use super::refusal::{Reason, Refusal};
use super::time::Timestamp;
use super::token::TokenId;
use super::user::UserId;

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

/// Whose entries are asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ActorFilter {
    /// Those of nobody proven.
    Anonymous,
    /// Those of a Unix user at the registry's own machine.
    Local(u32),
    /// Those of a user, also of one who was deleted.
    User(UserName),
    /// Those of a user whose name nobody knows any more.
    UserId(UserId),
}

impl ActorFilter {
    /// Reads `anonymous`, `local:UID`, `user:NAME` or `user:ID`.
    ///
    /// # Errors
    /// `invalid_parameter` for anything else.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let read = match text.split_once(':') {
            None => (text == "anonymous").then_some(Self::Anonymous),
            Some(("local", uid)) => uid.parse().ok().map(Self::Local),
            Some(("user", user)) => {
                let id = Id::parse(user).map(Self::UserId);
                id.or_else(|| UserName::parse(user).ok().map(Self::User))
            }
            Some(_) => None,
        };
        read.ok_or_else(|| {
            let message = format!("`{}` is no actor: write `user:NAME`, `local:UID` or `anonymous`.", shown(text));
            Refusal::field(Reason::InvalidParameter, "actor", message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_are_read_as_they_are_shown() {
        let id = Id(7);
        assert_eq!(ActorFilter::parse("anonymous"), Ok(ActorFilter::Anonymous));
        assert_eq!(ActorFilter::parse("local:1000"), Ok(ActorFilter::Local(1000)));
        assert_eq!(ActorFilter::parse("user:pia"), Ok(ActorFilter::User(UserName::parse("pia").unwrap())));
        assert_eq!(ActorFilter::parse(&format!("user:{id}")), Ok(ActorFilter::UserId(id)));
        for wrong in ["", "pia", "local:x", "local:-1", "user:", "user:P A", "team:a"] {
            assert_eq!(ActorFilter::parse(wrong).unwrap_err().reason, Reason::InvalidParameter, "{wrong}");
        }
    }
}

//! Users: who tokens act for.

use super::id::Id;
use super::name::UserName;
use super::time::Timestamp;

/// The id of a user, which outlives the name in logs and audit.
pub type UserId = Id;

/// Longest e-mail address that is kept, in bytes (RFC 5321, section 4.5.3.1).
pub const EMAIL_BYTES_MAX: usize = 254;

/// A user as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Opaque and permanent.
    pub id: UserId,
    /// Unique for ever, even after the user was deleted.
    pub name: UserName,
    /// For people to reach the user; never sent to by the registry.
    pub email: Option<String>,
    /// Whether tokens of this user may have the scope `admin`.
    pub admin: bool,
    /// Whether all of the user's tokens are dead.
    pub disabled: bool,
    /// The argon2id hash of the password in PHC form, if there is one.
    pub password_hash: Option<String>,
    /// When the user was made.
    pub created_at: Timestamp,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

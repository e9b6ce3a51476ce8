//! Who asks: anonymous, a token of a user, or somebody at the registry's own machine.

use super::name::{NamespaceName, PackageName, UserName};
use super::time::Timestamp;
use super::token::{Patterns, Scope, Scopes, TokenId, TokenKind};
use super::user::UserId;

/// Who asks, as far as it was proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Caller {
    /// No credentials were sent.
    Anonymous,
    /// A live token of a user who is not disabled.
    Token(Box<TokenCaller>),
    /// Somebody who may open the data directory (the admin socket, or the command line without a server).
    Local {
        /// The Unix user id, for the audit.
        uid: u32,
    },
}

/// A live token and what its user was when it was looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenCaller {
    /// Whose token it is.
    pub user: UserId,
    /// That user's name.
    pub user_name: UserName,
    /// Whether that user is an admin.
    pub user_is_admin: bool,
    /// The token's id.
    pub token: TokenId,
    /// Login or lasting.
    pub kind: TokenKind,
    /// What the token may be used for.
    pub scopes: Scopes,
    /// Which packages it may be used for.
    pub patterns: Patterns,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// Who did something, as audit and events keep it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Actor {
    /// Nobody was proven.
    Anonymous,
    /// A user, by the id that never changes.
    User(UserId),
    /// A Unix user at the registry's own machine.
    Local(u32),
}

impl Caller {
    /// Whether the caller's credentials include `scope` (the admin scope counts for admins alone).
    pub fn has_scope(&self, scope: Scope) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Local { .. } => true,
            Self::Token(token) => token.scopes.allow(scope) && (scope != Scope::Admin || token.user_is_admin),
        }
    }

    /// Whether the caller acts as owner everywhere: an admin's token with the scope `admin`, or somebody local.
    pub fn is_admin(&self) -> bool {
        self.has_scope(Scope::Admin)
    }

    /// Whether the token's patterns cover the package; a caller without a token is not limited by patterns.
    pub fn covers_package(&self, package: &PackageName) -> bool {
        match self {
            Self::Anonymous | Self::Local { .. } => true,
            Self::Token(token) => token.patterns.cover_package(package),
        }
    }

    /// Whether the token's patterns cover the whole namespace.
    pub fn covers_namespace(&self, namespace: &NamespaceName) -> bool {
        match self {
            Self::Anonymous | Self::Local { .. } => true,
            Self::Token(token) => token.patterns.cover_namespace(namespace),
        }
    }

    /// Whether the caller is not limited to some packages.
    pub fn covers_all(&self) -> bool {
        match self {
            Self::Anonymous | Self::Local { .. } => true,
            Self::Token(token) => token.patterns.cover_all(),
        }
    }

    /// The user, if a token proved one.
    pub fn user(&self) -> Option<UserId> {
        self.token().map(|token| token.user)
    }

    /// The token, if there is one.
    pub fn token(&self) -> Option<&TokenCaller> {
        match self {
            Self::Anonymous | Self::Local { .. } => None,
            Self::Token(token) => Some(token),
        }
    }

    /// Who acts, for audit and events.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Anonymous => Actor::Anonymous,
            Self::Local { uid } => Actor::Local(*uid),
            Self::Token(token) => Actor::User(token.user),
        }
    }
}

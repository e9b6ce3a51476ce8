//! Tokens as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::name::{UserName, shown};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::domain::token::{Pattern, Patterns, Scope, Scopes, TokenKind};
use crate::domain::tokens::TokenAsk;
use crate::services::accounts::{IssuedToken, NamedToken};

/// A token, without its secret.
#[derive(Serialize, JsonSchema)]
pub struct Token {
    /// The id, which stays through rotations.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// Whose rights it carries.
    pub user: String,
    /// `token` or `login`.
    pub kind: &'static str,
    /// What it may be used for: `read`, `publish`, `admin`.
    pub scopes: Vec<&'static str>,
    /// Which packages it may be used for.
    pub packages: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// When it ends by itself.
    pub expires_at: Option<String>,
    /// When it was last used, to within minutes.
    pub last_used_at: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<String>,
}

impl From<&NamedToken> for Token {
    fn from(named: &NamedToken) -> Self {
        let token = &named.token;
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            user: named.user.to_string(),
            kind: match token.kind {
                TokenKind::Token => "token",
                TokenKind::Login => "login",
            },
            scopes: token.scopes.iter().map(Scope::as_str).collect(),
            packages: token.patterns.iter().map(Pattern::to_string).collect(),
            created_at: token.created_at.to_string(),
            expires_at: time(token.expires_at),
            last_used_at: time(token.last_used_at),
            revoked_at: time(token.revoked_at),
        }
    }
}

/// A token and its secret, which is told this once.
#[derive(Serialize, JsonSchema)]
pub struct TokenWithSecret {
    /// The token.
    #[serde(flatten)]
    pub token: Token,
    /// Its text.
    pub secret: String,
}

impl From<&IssuedToken> for TokenWithSecret {
    fn from(issued: &IssuedToken) -> Self {
        Self { token: (&issued.named).into(), secret: issued.secret.reveal().to_owned() }
    }
}

/// A scope; each one includes those before it.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub enum ScopeName {
    /// Read what the token's user may read.
    Read,
    /// Publish, yank and govern packages.
    Publish,
    /// Administer the instance, if the user is an admin.
    Admin,
}

/// The set of the scopes that were asked for.
///
/// # Errors
/// `invalid_field` when there is none.
pub fn scopes(names: &[ScopeName]) -> Result<Scopes, Refusal> {
    let scope = |name: &ScopeName| match name {
        ScopeName::Read => Scope::Read,
        ScopeName::Publish => Scope::Publish,
        ScopeName::Admin => Scope::Admin,
    };
    Scopes::new(names.iter().map(scope)).ok_or_else(|| {
        let message = "`scopes` is empty: name at least one of `read`, `publish` and `admin`.";
        Refusal::field(Reason::InvalidField, "scopes", message)
    })
}

/// A token to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    name: String,
    scopes: Vec<ScopeName>,
    #[serde(default)]
    packages: Option<Vec<String>>,
    #[serde(default)]
    expires_at: Option<String>,
    #[serde(default)]
    user: Option<String>,
}

impl NewToken {
    /// The token, and whose it is to be.
    ///
    /// # Errors
    /// `invalid_field`, `invalid_name`.
    pub fn read(self) -> Result<(TokenAsk, Option<UserName>), Refusal> {
        let ask = TokenAsk::new(&self.name, scopes(&self.scopes)?)?;
        let patterns = self.packages.map(|packages| packages.iter().map(|text| Pattern::parse(text)).collect());
        let patterns: Option<Vec<Pattern>> = patterns.transpose()?;
        let patterns = patterns.map(Patterns::new).transpose()?;
        let expires_at = self.expires_at.as_deref().map(read_end).transpose()?;
        let user = self.user.as_deref().map(UserName::parse).transpose()?;
        Ok((TokenAsk { patterns, expires_at, ..ask }, user))
    }
}

fn read_end(text: &str) -> Result<Timestamp, Refusal> {
    Timestamp::parse(text).ok_or_else(|| {
        let message = format!("`{}` is no time: write one like `2027-01-31T00:00:00Z` (RFC 3339).", shown(text));
        Refusal::field(Reason::InvalidField, "expires_at", message)
    })
}

/// How a token is to be rotated.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// How long the old secret stays good, in seconds.
    #[serde(default)]
    pub grace_s: u64,
}

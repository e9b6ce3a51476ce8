//! Decisions about tokens: what a new one may be, who sees which, what ends with what.
//!
//! The rule behind all of them: no token makes more than itself.

use std::collections::HashSet;

use super::caller::{Caller, TokenCaller};
use super::digest::Sha256;
use super::name::{UserName, shown};
use super::permission::instance_admin;
use super::refusal::{Reason, Refusal};
use super::time::Timestamp;
use super::token::{
    FormerSecret, Pattern, Patterns, Scope, Scopes, TOKEN_NAME_BYTES_MAX, Token, TokenId, TokenKind, TokenText,
};
use super::user::User;

/// Longest grace of a rotation, in seconds.
pub const GRACE_S_MAX: u64 = 86_400;

/// What somebody wants a new token to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenAsk {
    /// A name for people.
    pub name: String,
    /// What it is to be used for.
    pub scopes: Scopes,
    /// For which packages; none: those of whoever asks.
    pub patterns: Option<Patterns>,
    /// When it is to end; none: as late as whoever asks may say.
    pub expires_at: Option<Timestamp>,
}

/// What is drawn before a decision about a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenSeed {
    /// The new token's id.
    pub id: TokenId,
    /// SHA-256 of its text.
    pub hash: Sha256,
}

/// What bounds new tokens at this moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// When the decision is taken.
    pub now: Timestamp,
    /// The longest life that a login token may give; none: any.
    pub expires_max_ms: Option<i64>,
}

impl TokenAsk {
    /// A token that is not limited to some packages, under a name.
    ///
    /// # Errors
    /// `invalid_field` for a name that is empty, too long or holds control characters.
    pub fn new(name: &str, scopes: Scopes) -> Result<Self, Refusal> {
        let name = check_token_name(name)?;
        Ok(Self { name, scopes, patterns: None, expires_at: None })
    }

    /// The token that is asked for, of `user`, with rights that somebody checked.
    pub fn grant(&self, user: &User, seed: TokenSeed, now: Timestamp) -> Token {
        Token {
            id: seed.id,
            name: self.name.clone(),
            user: user.id,
            kind: TokenKind::Token,
            scopes: self.scopes,
            patterns: self.patterns.clone().unwrap_or_else(Patterns::all),
            hash: seed.hash,
            former: None,
            made_by: None,
            created_at: now,
            expires_at: self.expires_at,
            last_used_at: None,
            revoked_at: None,
        }
    }
}

/// # Errors
/// `invalid_field` for a name that is empty, too long or holds control characters.
pub fn check_token_name(name: &str) -> Result<String, Refusal> {
    if name.is_empty() || name.len() > TOKEN_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let message = format!(
            "`{}` can't be a token's name: give 1 to {TOKEN_NAME_BYTES_MAX} bytes without control characters.",
            shown(name)
        );
        return Err(Refusal::field(Reason::InvalidField, "name", message).with_limit(TOKEN_NAME_BYTES_MAX as u64));
    }
    Ok(name.to_owned())
}

/// The SHA-256 of the token that an admin token file holds: a token's text, or `sha256:` and the hash of one.
pub fn parse_admin_token(content: &str) -> Option<Sha256> {
    let content = content.trim();
    match content.strip_prefix("sha256:") {
        Some(hex) => Sha256::parse(hex),
        None => TokenText::parse(content).map(|text| text.hash()),
    }
}

/// Whose tokens the caller asks for: their own, or anybody's for who administers the instance.
///
/// # Errors
/// `missing_token`, `missing_scope` or `token_packages` for somebody else's; `missing_field` when somebody local names
/// nobody.
pub fn decide_owner(caller: &Caller, asked: Option<&UserName>) -> Result<UserName, Refusal> {
    match (caller.token(), asked) {
        (Some(own), None) => Ok(own.user_name.clone()),
        (Some(own), Some(asked)) if own.user_name == *asked => Ok(asked.clone()),
        (_, Some(asked)) => instance_admin(caller).map(|()| asked.clone()),
        (None, None) => {
            instance_admin(caller)?;
            let message = "`user` is missing: on the registry's own machine, say whose token it is to be.";
            Err(Refusal::field(Reason::MissingField, "user", message))
        }
    }
}

/// The new token of `user` that `caller` asks for.
///
/// # Errors
/// `exceeds_own_rights` for scopes, patterns or a life beyond the caller's, or scopes beyond the user's rights;
/// `invalid_field` for an end that has passed. That the caller may ask for this user at all is [`decide_owner`]'s.
pub fn decide_token_creation(
    caller: &Caller,
    user: &User,
    ask: &TokenAsk,
    seed: TokenSeed,
    terms: Terms,
) -> Result<Token, Refusal> {
    let Terms { now, expires_max_ms } = terms;
    check_user_rights(user, ask.scopes)?;
    let mut token = ask.grant(user, seed, now);
    if let Some(end) = ask.expires_at
        && end <= now
    {
        let message = format!("`expires_at` is `{end}`, which has passed: give a later time, or leave it out.");
        return Err(Refusal::field(Reason::InvalidField, "expires_at", message));
    }
    let Some(asking) = caller.token() else { return Ok(token) };
    check_asking_token(asking, ask)?;
    let end_max = match asking.kind {
        TokenKind::Token => asking.expires_at,
        TokenKind::Login => expires_max_ms.map(|ms| now.plus_ms(ms)),
    };
    token.patterns = ask.patterns.clone().unwrap_or_else(|| asking.patterns.clone());
    token.expires_at = ask.expires_at.or(end_max);
    token.made_by = Some(asking.token);
    if let (Some(end), Some(end_max)) = (token.expires_at, end_max)
        && end > end_max
    {
        let who = match asking.kind {
            TokenKind::Token => "a token's own tokens end no later than it does; log in to make one that lasts longer",
            TokenKind::Login => "this registry lets no new token last longer",
        };
        let message = format!("`expires_at` can be `{end_max}` at the latest: {who}.");
        return Err(Refusal::field(Reason::ExceedsOwnRights, "expires_at", message));
    }
    Ok(token)
}

fn check_asking_token(asking: &TokenCaller, ask: &TokenAsk) -> Result<(), Refusal> {
    if !asking.scopes.cover(ask.scopes) {
        let message = format!(
            "Your own token goes up to the scope `{}`, so it can't make one with `{}`: ask for less, or use another token.",
            asking.scopes.highest().as_str(),
            ask.scopes.highest().as_str()
        );
        return Err(Refusal::field(Reason::ExceedsOwnRights, "scopes", message));
    }
    let beyond = ask.patterns.as_ref().filter(|patterns| !asking.patterns.cover(patterns));
    if beyond.is_some() {
        let own: Vec<String> = asking.patterns.iter().map(Pattern::to_string).collect();
        let message = format!(
            "`packages` goes beyond what your own token covers (`{}`): ask for less, or use another token.",
            shown(&own.join(" "))
        );
        return Err(Refusal::field(Reason::ExceedsOwnRights, "packages", message));
    }
    Ok(())
}

/// # Errors
/// `exceeds_own_rights` when a user who is no admin is to have the scope `admin`, or the user is disabled.
pub fn check_user_rights(user: &User, scopes: Scopes) -> Result<(), Refusal> {
    let name = &user.name;
    if user.disabled {
        let message = format!("`{name}` is disabled and can have no new token: `user enable {name}` first.");
        return Err(Refusal::field(Reason::ExceedsOwnRights, "user", message));
    }
    if scopes.allow(Scope::Admin) && !user.admin {
        let message = format!(
            "`{name}` is no admin, so no token of theirs can have the scope `admin`: `user set {name} --admin true` first, or ask for `publish`."
        );
        return Err(Refusal::field(Reason::ExceedsOwnRights, "scopes", message));
    }
    Ok(())
}

/// The scopes of a login: those of the user, unless fewer were asked.
///
/// # Errors
/// `exceeds_own_rights` when `admin` is asked by somebody who is no admin.
pub fn decide_login_scopes(user: &User, asked: Option<Scopes>) -> Result<Scopes, Refusal> {
    match asked {
        Some(scopes) => check_user_rights(user, scopes).map(|()| scopes),
        None if user.admin => Ok(Scopes::ALL),
        None => Ok(Scopes::ALL.without_admin().unwrap_or(Scopes::ALL)),
    }
}

/// The token that a login gives.
pub fn login_token(user: &User, scopes: Scopes, seed: TokenSeed, now: Timestamp, ttl_ms: i64) -> Token {
    let ask = TokenAsk { name: "login".to_owned(), scopes, patterns: None, expires_at: Some(now.plus_ms(ttl_ms)) };
    Token { kind: TokenKind::Login, ..ask.grant(user, seed, now) }
}

/// Whether the caller sees (and so may revoke and rotate) the token: itself, those of its user whose scopes and
/// patterns it covers, and everything for who administers the instance.
pub fn may_see(caller: &Caller, token: &Token) -> bool {
    if instance_admin(caller).is_ok() {
        return true;
    }
    let covers = |own: &TokenCaller| own.scopes.cover(token.scopes) && own.patterns.cover(&token.patterns);
    caller.token().is_some_and(|own| own.user == token.user && (own.token == token.id || covers(own)))
}

/// The refusal for a token that is absent or not for the caller to see: the same text for both.
pub fn token_not_found() -> Refusal {
    let message = "There is no such token, or yours does not cover it: `GET /v1/tokens` lists those that you see.";
    Refusal::new(Reason::TokenNotFound, message)
}

/// Every token of `all` that ends when those that `is_root` picks are revoked: they themselves, and what tokens of
/// kind `token` among them made, and so on; as they are afterwards. Revoked ones are left alone.
pub fn decide_revocation(all: &[Token], is_root: impl Fn(&Token) -> bool, now: Timestamp) -> Vec<Token> {
    let mut ending: HashSet<TokenId> = all.iter().filter(|token| is_root(token)).map(|token| token.id).collect();
    let lasting: HashSet<TokenId> =
        all.iter().filter(|token| token.kind == TokenKind::Token).map(|token| token.id).collect();
    loop {
        let inherits = |maker: TokenId| lasting.contains(&maker) && ending.contains(&maker);
        let more: Vec<TokenId> = all
            .iter()
            .filter(|token| !ending.contains(&token.id) && token.made_by.is_some_and(inherits))
            .map(|token| token.id)
            .collect();
        if more.is_empty() {
            break;
        }
        ending.extend(more);
    }
    all.iter()
        .filter(|token| ending.contains(&token.id) && token.revoked_at.is_none())
        .map(|token| Token { revoked_at: Some(now), former: None, ..token.clone() })
        .collect()
}

/// The token with a new secret under its old id and end; the old secret stays good for `grace_s` seconds.
///
/// # Errors
/// `token_not_found` for one that has ended, `invalid_field` for a grace beyond [`GRACE_S_MAX`],
/// `exceeds_own_rights` when that would hand a longer life than its own to a token that asks.
pub fn decide_rotation(
    caller: &Caller,
    token: &Token,
    new_hash: Sha256,
    grace_s: u64,
    now: Timestamp,
) -> Result<Token, Refusal> {
    if grace_s > GRACE_S_MAX {
        let message = format!("`grace_s` is {grace_s}; the old secret can stay good for 0 to {GRACE_S_MAX} seconds.");
        return Err(Refusal::field(Reason::InvalidField, "grace_s", message).with_limit(GRACE_S_MAX));
    }
    if !token.is_live(now) {
        let message = format!("The token `{}` has ended and can't be rotated: make a new one.", token.id);
        return Err(Refusal::new(Reason::TokenNotFound, message));
    }
    let end_max = caller
        .token()
        .filter(|asking| asking.kind == TokenKind::Token && asking.token != token.id)
        .and_then(|asking| asking.expires_at);
    if end_max.is_some_and(|end_max| token.expires_at.is_none_or(|end| end > end_max)) {
        let message = "That token lasts longer than the one you use, so its new secret is not for you: rotate it with itself, or log in.";
        return Err(Refusal::new(Reason::ExceedsOwnRights, message));
    }
    let grace_ms = i64::try_from(grace_s).unwrap_or(0) * 1000;
    let former = (grace_s > 0).then(|| FormerSecret { hash: token.hash, until: now.plus_ms(grace_ms) });
    Ok(Token { hash: new_hash, former, ..token.clone() })
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;

//! Users, their tokens and logins: each operation one transaction with one audit entry.
//!
//! Slow hashes run in [`passwords`] alone, bounded, before the transaction that uses what they found. Secrets are
//! drawn before it too; only their hashes are stored, and the text is answered once.

pub mod attempts;
pub mod initial;
pub mod login;
pub mod passwords;
pub mod tokens;
pub mod users;

#[cfg(test)]
pub(crate) mod bench_tests;

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::{ServiceError, new_id, random};
use crate::domain::id::Id;
use crate::domain::name::UserName;
use crate::domain::time::Timestamp;
use crate::domain::token::{Scope, Token, TokenText};
use crate::domain::tokens::TokenSeed;
use crate::domain::user::{User, UserId};
use crate::domain::users::UserState;
use crate::storage::tables::Table;
use crate::storage::view::{Direction, KeyRange};
use crate::storage::{StoreError, View};

/// A token and the name of its user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedToken {
    /// The token.
    pub token: Token,
    /// Its user's name.
    pub user: UserName,
}

/// A token together with its secret, which nobody can ever ask for again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuedToken {
    /// The token.
    pub named: NamedToken,
    /// Its text.
    pub secret: TokenText,
}

/// A new secret and the id and hash under which it will be known.
fn draw(now: Timestamp) -> Result<(TokenText, TokenSeed), ServiceError> {
    let secret = TokenText::from_random(&random()?);
    let seed = TokenSeed { id: new_id(now)?, hash: secret.hash() };
    Ok((secret, seed))
}

/// Every token of the registry.
fn all_tokens(view: &View<'_>) -> Result<Vec<Token>, StoreError> {
    let mut tokens = Vec::new();
    view.scan_rows(Table::Tokens, KeyRange::all(Direction::Up), |_, token| {
        tokens.push(token);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(tokens)
}

/// The user's tokens, and everybody's when one of them may have made tokens for others.
fn family(view: &View<'_>, user: UserId) -> Result<Vec<Token>, StoreError> {
    let own = view.tokens_of(user)?;
    let is_confined = own.iter().all(|token| !token.scopes.allow(Scope::Admin));
    if is_confined { Ok(own) } else { all_tokens(view) }
}

/// What decisions about the user rest on.
fn user_state(view: &View<'_>, user: User) -> Result<UserState, StoreError> {
    let tokens = family(view, user.id)?;
    let has_other_admin = has_other_admin(view, &user)?;
    Ok(UserState { user, tokens, has_other_admin })
}

/// Whether somebody else is an admin and not disabled; not looked up when it makes no difference.
fn has_other_admin(view: &View<'_>, user: &User) -> Result<bool, StoreError> {
    let mut found = false;
    if user.admin && !user.disabled {
        view.scan_rows(Table::Users, KeyRange::all(Direction::Up), |_, other: User| {
            found = other.id != user.id && other.admin && !other.disabled;
            Ok(if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
    }
    Ok(found)
}

/// Names of users, each looked up once.
#[derive(Default)]
pub(super) struct Names(HashMap<UserId, Option<UserName>>);

impl Names {
    /// The name, unless the user is no more.
    pub(super) fn of(&mut self, view: &View<'_>, id: UserId) -> Result<Option<UserName>, StoreError> {
        if let Some(known) = self.0.get(&id) {
            return Ok(known.clone());
        }
        let name = view.user(id)?.map(|user| user.name);
        self.0.insert(id, name.clone());
        Ok(name)
    }

    /// The token with its user's name. Tokens go with their user, so there is always one.
    fn name(&mut self, view: &View<'_>, token: Token) -> Result<Option<NamedToken>, StoreError> {
        Ok(self.of(view, token.user)?.map(|user| NamedToken { token, user }))
    }
}

/// What a page holds of `found`, which has one more when the list goes on, and the key after which it does.
pub(super) fn page<T, K>(mut found: Vec<T>, limit: usize, key: impl Fn(&T) -> K) -> (Vec<T>, Option<K>) {
    let goes_on = found.len() > limit;
    found.truncate(limit);
    let next = if goes_on { found.last().map(key) } else { None };
    (found, next)
}

/// The key of an id, for scans that go on.
fn id_key(id: Id) -> Vec<u8> {
    id.to_bytes().to_vec()
}

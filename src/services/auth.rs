//! Who asks: from the text of a token to a caller. One hash, one look-up; no slow hash on the way of a request.

use std::collections::HashMap;
use std::sync::Mutex;

use super::{ServiceError, Stores};
use crate::domain::caller::{Caller, TokenCaller};
use crate::domain::change::Change;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::domain::token::{Token, TokenId, TokenText};
use crate::domain::user::User;
use crate::storage::{Cost, Decided, Metadata as _, StoreError, View};

/// How many tokens' last use is remembered between two flushes; beyond that, uses go unrecorded until the next one.
const USES_MAX: usize = 16_384;
/// A token's `last_used_at` is not moved by less than this.
const USE_STEP_MS: i64 = 5 * 60 * 1000;

/// Proves callers, and remembers when tokens were last used.
pub struct AuthService {
    stores: Stores,
    uses: Mutex<HashMap<TokenId, Timestamp>>,
}

impl AuthService {
    /// Proves callers against the tokens of `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores, uses: Mutex::default() }
    }

    /// The caller that a token's text proves.
    ///
    /// # Errors
    /// `malformed_token` without a look-up when form or checksum are wrong; `unknown_token`, `revoked_token`,
    /// `expired_token` or `disabled_user` after it.
    pub async fn authenticate(&self, presented: &str, now: Timestamp) -> Result<Caller, ServiceError> {
        let text = TokenText::parse(presented).ok_or_else(|| {
            Refusal::new(
                Reason::MalformedToken,
                "The token's form or checksum is wrong: copy it whole, it begins with `vixr_` and has 54 characters.",
            )
        })?;
        let hash = text.hash();
        let found = self.stores.metadata.read(Cost::Point, move |view| load(view, hash)).await?;
        let (token, user) = found.ok_or_else(|| {
            Refusal::new(Reason::UnknownToken, "This registry does not know the token: log in or have one made here.")
        })?;
        if token.hash != hash && token.former.as_ref().is_none_or(|former| now >= former.until) {
            let message = "The token was rotated and this text of it has ended: use the new one.";
            return Err(ServiceError::refused(Reason::RevokedToken, message));
        }
        check_life(&token, &user, now)?;
        self.note_use(&token, now);
        Ok(Caller::Token(Box::new(TokenCaller {
            user: user.id,
            user_name: user.name,
            user_is_admin: user.admin,
            token: token.id,
            kind: token.kind,
            scopes: token.scopes,
            patterns: token.patterns,
            expires_at: token.expires_at,
        })))
    }

    fn note_use(&self, token: &Token, now: Timestamp) {
        if token.last_used_at.is_some_and(|last| now < last.plus_ms(USE_STEP_MS)) {
            return;
        }
        let Ok(mut uses) = self.uses.lock() else { return };
        if uses.len() < USES_MAX || uses.contains_key(&token.id) {
            uses.insert(token.id, now);
        }
    }

    /// Records when tokens were last used, in one transaction.
    ///
    /// # Errors
    /// That the store failed; these uses are then forgotten.
    pub async fn flush_uses(&self) -> Result<(), ServiceError> {
        let uses = self.uses.lock().map(|mut uses| std::mem::take(&mut *uses)).unwrap_or_default();
        if uses.is_empty() {
            return Ok(());
        }
        let record = move |view: &View<'_>, _| {
            let mut changes = Vec::new();
            for (id, at) in &uses {
                if let Some(token) = view.token(*id)?.filter(|token| token.revoked_at.is_none()) {
                    changes.push(Change::PutToken(Box::new(Token { last_used_at: Some(*at), ..token })));
                }
            }
            Ok(Decided { changes, answer: () })
        };
        Ok(self.stores.metadata.change(record).await?)
    }
}

fn load(view: &View<'_>, hash: crate::domain::digest::Sha256) -> Result<Option<(Token, User)>, StoreError> {
    let Some(token) = view.token_by_hash(&hash)? else { return Ok(None) };
    Ok(view.user(token.user)?.map(|user| (token, user)))
}

/// Whether a token and its user are good at this moment.
///
/// # Errors
/// `revoked_token`, `disabled_user` or `expired_token`.
pub fn check_life(token: &Token, user: &User, now: Timestamp) -> Result<(), Refusal> {
    if token.revoked_at.is_some() {
        return Err(Refusal::new(Reason::RevokedToken, "The token was revoked: use another one, or log in."));
    }
    if user.disabled {
        let message = "The token's user is disabled: ask an admin of the registry.";
        return Err(Refusal::new(Reason::DisabledUser, message));
    }
    if !token.is_live(now) {
        return Err(Refusal::new(Reason::ExpiredToken, "The token has expired: log in, or have a new one made."));
    }
    Ok(())
}

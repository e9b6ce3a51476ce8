//! Admin tokens that nobody asked for over HTTP: the one of a new directory, and the one of the configured file.
//!
//! The first is of kind `login`: it may give other tokens a longer life than its own, and what it made outlives it. It
//! ends when another token with the scope `admin` is made, in that one's transaction. This service never touches the
//! file that holds it: [`InitialTokens::state`] tells when that has to go.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{IssuedToken, NamedToken, draw, family};
use crate::domain::change::{Change, Setting};
use crate::domain::digest::Sha256;
use crate::domain::id::Id;
use crate::domain::name::UserName;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::domain::token::{Scope, Scopes, Token, TokenId};
use crate::domain::tokens::{TokenAsk, TokenSeed, decide_revocation, login_token};
use crate::domain::user::User;
use crate::domain::users::{UserCreation, decide_user_creation, put_tokens};
use crate::services::context::Deed;
use crate::services::{Context, ServiceError, Stores, new_id};
use crate::storage::{ChangeError, Cost, Decided, Metadata as _, StoreError, View};

/// How long the token of a new directory lives, in milliseconds.
pub const INITIAL_TTL_MS: i64 = 24 * 3_600_000;
/// Whose token it is, and that of the configured file.
pub const FIRST_ADMIN: &str = "admin";

/// The admin tokens that the registry's own start makes.
pub struct InitialTokens {
    stores: Stores,
    changed: Arc<Notify>,
}

/// What became of the token of a new directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InitialToken {
    /// There is none, and no file of it.
    Unknown,
    /// It is good.
    Live {
        /// When it ends by itself.
        expires_at: Option<Timestamp>,
    },
    /// It has ended: its file has to go, then [`InitialTokens::forget`].
    Over,
}

/// What became of the content of the configured admin token file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Adoption {
    /// It is a new one, which is good from now on; the former one has ended.
    Adopted,
    /// It is the same as before.
    Known,
    /// It is the same as before, but its token was rotated, revoked or deleted since; that stands.
    Ended,
}

impl InitialTokens {
    /// Works on `stores`; `changed` is told whenever tokens may have ended.
    pub(in crate::services) fn new(stores: Stores, changed: Arc<Notify>) -> Self {
        Self { stores, changed }
    }

    /// Makes the admin token of a new directory, and the user `admin`.
    ///
    /// # Errors
    /// `user_exists` when the name was taken by a user who was deleted.
    pub async fn make(&self, ctx: &Context) -> Result<IssuedToken, ServiceError> {
        let ctx = ctx.clone();
        let (secret, seed) = draw(ctx.now)?;
        let user_id = new_id(ctx.now)?;
        let named = self.stores.metadata.change(move |view, moment| {
            let (admin, mut changes) = ensure_admin(view, user_id, moment.now)?;
            let token = login_token(&admin, Scopes::ALL, seed, moment.now, INITIAL_TTL_MS);
            let token = Token { name: "initial-admin-token".to_owned(), ..token };
            changes.push(Change::PutToken(Box::new(token.clone())));
            let value = Some(token.id.to_bytes().to_vec());
            changes.push(Change::PutSetting { key: Setting::InitialAdminToken, value });
            changes.push(ctx.audit(Deed::to_target("token.create", &token.id.to_string())));
            Ok(Decided { changes, answer: NamedToken { token, user: admin.name } })
        });
        Ok(IssuedToken { named: named.await?, secret })
    }

    /// What became of the token of a new directory.
    ///
    /// # Errors
    /// That the store failed.
    pub async fn state(&self, now: Timestamp) -> Result<InitialToken, ServiceError> {
        let state = self.stores.metadata.read(Cost::Point, move |view| {
            let Some(id) = initial_id(view)? else { return Ok(InitialToken::Unknown) };
            let Some(token) = view.token(id)?.filter(|token| token.is_live(now)) else { return Ok(InitialToken::Over) };
            Ok(InitialToken::Live { expires_at: token.expires_at })
        });
        Ok(state.await?)
    }

    /// Waits until tokens may have ended since the last time; then ask for the [`InitialTokens::state`].
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Forgets the token of a new directory, once its file is gone.
    ///
    /// # Errors
    /// That the store failed.
    pub async fn forget(&self) -> Result<(), ServiceError> {
        let forget = |_: &View<'_>, _| {
            let changes = vec![Change::PutSetting { key: Setting::InitialAdminToken, value: None }];
            Ok(Decided { changes, answer: () })
        };
        Ok(self.stores.metadata.change(forget).await?)
    }

    /// Makes the token that the configured file stands for an admin token of the user `admin`, who is made, made an
    /// admin and enabled if need be. Another content than the last time ends the former token; the same content never
    /// revives a token that was ended meanwhile.
    ///
    /// # Errors
    /// `invalid_field` when the token is already somebody's for another purpose; `user_exists` when the user `admin`
    /// was deleted.
    pub async fn adopt(&self, ctx: &Context, hash: Sha256) -> Result<Adoption, ServiceError> {
        let ctx = ctx.clone();
        let (token_id, user_id) = (new_id(ctx.now)?, new_id(ctx.now)?);
        let adopted = self.stores.metadata.change(move |view, moment| {
            let known = view.setting(Setting::AdminTokenFile)?;
            let (known_hash, known_id) = known.as_deref().map(read_adopted).unwrap_or_default();
            if known_hash == Some(hash) {
                let token = view.token_by_hash(&hash)?.filter(|token| token.is_live(moment.now));
                let is_good = token.is_some_and(|token| token.hash == hash);
                return Ok(Decided::unchanged(if is_good { Adoption::Known } else { Adoption::Ended }));
            }
            if view.token_by_hash(&hash)?.is_some() {
                let message = "The admin token file holds a token that was made here for something else: put a token of its own into it.";
                return Err(Refusal::new(Reason::InvalidField, message).into());
            }
            let (admin, mut changes) = ensure_admin(view, user_id, moment.now)?;
            let ask = TokenAsk::new("admin-token-file", Scopes::ALL)?;
            let token = ask.grant(&admin, TokenSeed { id: token_id, hash }, moment.now);
            let former = family(view, admin.id)?;
            let former = decide_revocation(&former, |token| Some(token.id) == known_id, moment.now);
            changes.extend(put_tokens(former));
            changes.extend(end_initial(view, &token, moment.now)?);
            changes.push(Change::PutToken(Box::new(token)));
            let value = Some([hash.0.as_slice(), &token_id.to_bytes()].concat());
            changes.push(Change::PutSetting { key: Setting::AdminTokenFile, value });
            changes.push(ctx.audit(Deed::to_target("token.adopt", &token_id.to_string())));
            Ok(Decided { changes, answer: Adoption::Adopted })
        });
        let adoption = adopted.await?;
        self.changed.notify_one();
        Ok(adoption)
    }
}

/// The change that ends the token of a new directory when `made` is another admin token.
pub(super) fn end_initial(view: &View<'_>, made: &Token, now: Timestamp) -> Result<Option<Change>, StoreError> {
    if !made.scopes.allow(Scope::Admin) {
        return Ok(None);
    }
    let Some(id) = initial_id(view)? else { return Ok(None) };
    let initial = view.token(id)?.filter(|token| token.id != made.id && token.revoked_at.is_none());
    Ok(initial.map(|token| Change::PutToken(Box::new(Token { revoked_at: Some(now), former: None, ..token }))))
}

fn initial_id(view: &View<'_>) -> Result<Option<TokenId>, StoreError> {
    Ok(view.setting(Setting::InitialAdminToken)?.as_deref().and_then(Id::from_bytes))
}

fn read_adopted(value: &[u8]) -> (Option<Sha256>, Option<TokenId>) {
    match value.split_at_checked(32) {
        Some((hash, id)) => (hash.try_into().ok().map(Sha256), Id::from_bytes(id)),
        None => (None, None),
    }
}

/// The user `admin` as an admin who is not disabled, and the changes that make it so.
fn ensure_admin(view: &View<'_>, new_id: Id, now: Timestamp) -> Result<(User, Vec<Change>), ChangeError> {
    let name = UserName::parse(FIRST_ADMIN)?;
    let user = match view.user_named(&name)? {
        Some(user) if user.admin && !user.disabled => return Ok((user, Vec::new())),
        Some(user) => User { admin: true, disabled: false, ..user },
        None => {
            let is_taken = view.user_id(&name)?.is_some();
            let ask = UserCreation { name, email: None, admin: true };
            decide_user_creation(is_taken, &ask, new_id, None, now)?
        }
    };
    Ok((user.clone(), vec![Change::PutUser(Box::new(user))]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::TokenText;
    use crate::services::accounts::bench_tests::{Bench, NOW, local, reason};

    async fn authenticates(bench: &Bench, secret: &TokenText) -> bool {
        bench.services.auth.authenticate(secret.reveal(), NOW).await.is_ok()
    }

    #[tokio::test]
    async fn the_initial_token_ends_when_another_admin_token_is_made() {
        let bench = Bench::new();
        let initial = &bench.services.initial;
        assert_eq!(initial.state(NOW).await.unwrap(), InitialToken::Unknown);
        let issued = initial.make(&local()).await.unwrap();
        let expires_at = Some(NOW.plus_ms(INITIAL_TTL_MS));
        assert_eq!(initial.state(NOW).await.unwrap(), InitialToken::Live { expires_at });
        assert_eq!(initial.state(NOW.plus_ms(INITIAL_TTL_MS)).await.unwrap(), InitialToken::Over);
        let ctx = bench.context_of(&issued.secret).await;
        let reader = TokenAsk::new("r", Scopes::new([Scope::Read]).unwrap()).unwrap();
        bench.services.tokens.create(&ctx, reader, None).await.unwrap();
        assert!(authenticates(&bench, &issued.secret).await);
        let admin = TokenAsk::new("a", Scopes::ALL).unwrap();
        let made = bench.services.tokens.create(&ctx, admin, None).await.unwrap();
        assert_eq!(made.named.token.expires_at, None, "it may make tokens that last longer than itself");
        assert!(!authenticates(&bench, &issued.secret).await);
        assert!(authenticates(&bench, &made.secret).await, "what it made outlives it");
        initial.changed().await;
        assert_eq!(initial.state(NOW).await.unwrap(), InitialToken::Over);
        initial.forget().await.unwrap();
        assert_eq!(initial.state(NOW).await.unwrap(), InitialToken::Unknown);
    }

    #[tokio::test]
    async fn another_content_of_the_file_replaces_the_former_token() {
        let bench = Bench::new();
        let initial = &bench.services.initial;
        let [first, second] = [1, 2].map(|byte| TokenText::from_random(&[byte; 32]));
        assert_eq!(initial.adopt(&local(), first.hash()).await.unwrap(), Adoption::Adopted);
        assert_eq!(initial.adopt(&local(), first.hash()).await.unwrap(), Adoption::Known);
        let ctx = bench.context_of(&first).await;
        let made = bench.services.tokens.create(&ctx, TokenAsk::new("a", Scopes::ALL).unwrap(), None).await.unwrap();
        assert_eq!(reason(initial.adopt(&local(), made.secret.hash()).await), Reason::InvalidField);
        assert_eq!(initial.adopt(&local(), second.hash()).await.unwrap(), Adoption::Adopted);
        assert!(!authenticates(&bench, &first).await);
        assert!(!authenticates(&bench, &made.secret).await, "what the former one made goes with it");
        let ctx = bench.context_of(&second).await;
        let own = ctx.caller.token().unwrap().token;
        bench.services.tokens.revoke(&ctx, own).await.unwrap();
        assert_eq!(initial.adopt(&local(), second.hash()).await.unwrap(), Adoption::Ended);
        assert!(!authenticates(&bench, &second).await);
        assert_eq!(bench.audited().await, ["token.revoke", "token.adopt", "token.create", "token.adopt"]);
    }
}

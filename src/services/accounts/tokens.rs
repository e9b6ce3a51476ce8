//! Tokens: made, listed, rotated and revoked by those who may.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::Notify;

use super::initial::end_initial;
use super::{IssuedToken, NamedToken, Names, all_tokens, draw, id_key, page};
use crate::domain::caller::Caller;
use crate::domain::change::Change;
use crate::domain::id::Id;
use crate::domain::name::UserName;
use crate::domain::permission::instance_admin;
use crate::domain::time::Timestamp;
use crate::domain::token::{Scope, Token, TokenId, TokenKind};
use crate::domain::tokens::{
    Terms, TokenAsk, decide_owner, decide_revocation, decide_rotation, decide_token_creation, may_see, token_not_found,
};
use crate::domain::user::UserId;
use crate::domain::users::{UserCreation, decide_user_creation, put_tokens, user_not_found};
use crate::services::context::Deed;
use crate::services::{Context, ServiceError, Stores, load, new_id};
use crate::storage::tables::Table;
use crate::storage::view::{Direction, KeyRange};
use crate::storage::{ChangeError, Cost, Decided, Metadata as _, StoreError, View, keys};

/// Makes, shows and ends tokens.
pub struct TokenService {
    stores: Stores,
    changed: Arc<Notify>,
}

/// A token made on the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalToken {
    /// The token.
    pub issued: IssuedToken,
    /// Whether its user was made for it, and whether as an admin.
    pub made_user: Option<bool>,
}

impl TokenService {
    /// Works on `stores`; `changed` is told whenever tokens may have ended.
    pub(in crate::services) fn new(stores: Stores, changed: Arc<Notify>) -> Self {
        Self { stores, changed }
    }

    /// Makes a token of the caller's user, or of `user` for who administers the instance.
    ///
    /// # Errors
    /// As [`decide_owner`] and [`decide_token_creation`]; `user_not_found`.
    pub async fn create(
        &self,
        ctx: &Context,
        ask: TokenAsk,
        user: Option<UserName>,
    ) -> Result<IssuedToken, ServiceError> {
        let ctx = ctx.clone();
        let (secret, seed) = draw(ctx.now)?;
        let expires_max_ms = self.stores.policy.token_expires_max_ms;
        let made = self.stores.metadata.change(move |view, moment| {
            let caller = load::recheck(view, &ctx.caller, moment.now)?;
            let name = decide_owner(&caller, user.as_ref())?;
            let owner = view.user_named(&name)?.ok_or_else(|| user_not_found(&name))?;
            let terms = Terms { now: moment.now, expires_max_ms };
            let token = decide_token_creation(&caller, &owner, &ask, seed, terms)?;
            let mut changes = vec![Change::PutToken(Box::new(token.clone()))];
            changes.extend(end_initial(view, &token, moment.now)?);
            changes.push(ctx.audit(Deed::to_target("token.create", &token.id.to_string())));
            Ok(Decided { changes, answer: NamedToken { token, user: owner.name } })
        });
        let named = made.await?;
        self.changed.notify_one();
        Ok(IssuedToken { named, secret })
    }

    /// Makes a token on the registry's own machine, and its user when there is none of that name: an admin one when
    /// the token is to have the scope `admin`.
    ///
    /// # Errors
    /// As [`TokenService::create`]; `user_exists` for the name of a user who was deleted.
    pub async fn create_local(&self, ctx: &Context, user: UserName, ask: TokenAsk) -> Result<LocalToken, ServiceError> {
        let ctx = ctx.clone();
        let (secret, seed) = draw(ctx.now)?;
        let user_id = new_id(ctx.now)?;
        let made = self.stores.metadata.change(move |view, moment| {
            instance_admin(&load::recheck(view, &ctx.caller, moment.now)?)?;
            let mut changes = Vec::new();
            let mut made_user = None;
            let owner = if let Some(owner) = view.user_named(&user)? {
                owner
            } else {
                let admin = ask.scopes.allow(Scope::Admin);
                let creation = UserCreation { name: user.clone(), email: None, admin };
                let is_taken = view.user_id(&user)?.is_some();
                let owner = decide_user_creation(is_taken, &creation, user_id, None, moment.now)?;
                changes.push(Change::PutUser(Box::new(owner.clone())));
                changes.push(ctx.audit(Deed::to_target("user.create", user.as_str())));
                made_user = Some(admin);
                owner
            };
            let terms = Terms { now: moment.now, expires_max_ms: None };
            let token = decide_token_creation(&ctx.caller, &owner, &ask, seed, terms)?;
            changes.push(Change::PutToken(Box::new(token.clone())));
            changes.extend(end_initial(view, &token, moment.now)?);
            changes.push(ctx.audit(Deed::to_target("token.create", &token.id.to_string())));
            Ok(Decided { changes, answer: (NamedToken { token, user: owner.name }, made_user) })
        });
        let (named, made_user) = made.await?;
        self.changed.notify_one();
        Ok(LocalToken { issued: IssuedToken { named, secret }, made_user })
    }

    /// The tokens that the caller sees, oldest first: those of `user`, or all of them for who administers the
    /// instance. Ended ones too.
    ///
    /// # Errors
    /// As [`decide_owner`]; `user_not_found`.
    pub async fn list(
        &self,
        ctx: &Context,
        user: Option<UserName>,
        after: Option<TokenId>,
        limit: usize,
    ) -> Result<(Vec<NamedToken>, Option<TokenId>), ServiceError> {
        let caller = ctx.caller.clone();
        let of_all = user.is_none() && instance_admin(&caller).is_ok();
        let owner = if of_all { None } else { Some(decide_owner(&caller, user.as_ref())?) };
        let found = self.stores.metadata.read(Cost::Scan, move |view| {
            let of = match &owner {
                None => None,
                Some(name) => match view.user_named(name)? {
                    None => return Ok(Err(user_not_found(name))),
                    Some(owner) => Some(owner.id),
                },
            };
            seen(view, &caller, of, after, limit.saturating_add(1)).map(Ok)
        });
        Ok(page(found.await??, limit, |named| named.token.id))
    }

    /// One token that the caller sees.
    ///
    /// # Errors
    /// `token_not_found` for any other.
    pub async fn get(&self, ctx: &Context, id: TokenId) -> Result<NamedToken, ServiceError> {
        let caller = ctx.caller.clone();
        let found = self.stores.metadata.read(Cost::Point, move |view| {
            let Some(token) = seen_one(view, &caller, id)? else { return Ok(None) };
            Names::default().name(view, token)
        });
        Ok(found.await?.ok_or_else(token_not_found)?)
    }

    /// Ends a token now, and with one of kind `token` what it made. Repeating changes nothing.
    ///
    /// # Errors
    /// `token_not_found` for one that the caller doesn't see.
    pub async fn revoke(&self, ctx: &Context, id: TokenId) -> Result<NamedToken, ServiceError> {
        let ctx = ctx.clone();
        let revoked = self.stores.metadata.change(move |view, moment| {
            let (token, user) = changeable(view, &ctx, id, moment.now)?;
            if token.revoked_at.is_some() {
                return Ok(Decided::unchanged(NamedToken { token, user }));
            }
            let affected = affected_by(view, &token)?;
            let ended = decide_revocation(&affected, |other| other.id == token.id, moment.now);
            let mut changes: Vec<Change> = put_tokens(ended).collect();
            changes.push(ctx.audit(Deed::to_target("token.revoke", &token.id.to_string())));
            let token = Token { revoked_at: Some(moment.now), former: None, ..token };
            Ok(Decided { changes, answer: NamedToken { token, user } })
        });
        let named = revoked.await?;
        self.changed.notify_one();
        Ok(named)
    }

    /// Gives a token a new secret; the old one stays good for `grace_s` seconds.
    ///
    /// # Errors
    /// As [`decide_rotation`]; `token_not_found` for one that the caller doesn't see.
    pub async fn rotate(&self, ctx: &Context, id: TokenId, grace_s: u64) -> Result<IssuedToken, ServiceError> {
        let ctx = ctx.clone();
        let (secret, seed) = draw(ctx.now)?;
        let rotated = self.stores.metadata.change(move |view, moment| {
            let (token, user) = changeable(view, &ctx, id, moment.now)?;
            let token = decide_rotation(&ctx.caller, &token, seed.hash, grace_s, moment.now)?;
            let audit = ctx.audit(Deed::to_target("token.rotate", &token.id.to_string()));
            let changes = vec![Change::PutToken(Box::new(token.clone())), audit];
            Ok(Decided { changes, answer: NamedToken { token, user } })
        });
        Ok(IssuedToken { named: rotated.await?, secret })
    }
}

/// The token that is meant, if the caller sees it.
fn seen_one(view: &View<'_>, caller: &Caller, id: TokenId) -> Result<Option<Token>, StoreError> {
    Ok(view.token(id)?.filter(|token| may_see(caller, token)))
}

/// The token that is to be changed, and its user's name.
fn changeable(view: &View<'_>, ctx: &Context, id: TokenId, now: Timestamp) -> Result<(Token, UserName), ChangeError> {
    let caller = load::recheck(view, &ctx.caller, now)?;
    let token = seen_one(view, &caller, id)?.ok_or_else(token_not_found)?;
    let user = Names::default().of(view, token.user)?.ok_or_else(token_not_found)?;
    Ok((token, user))
}

/// The tokens that may end with this one.
fn affected_by(view: &View<'_>, token: &Token) -> Result<Vec<Token>, StoreError> {
    match token.kind {
        TokenKind::Login => Ok(vec![token.clone()]),
        TokenKind::Token if token.scopes.allow(Scope::Admin) => all_tokens(view),
        TokenKind::Token => view.tokens_of(token.user),
    }
}

/// Up to `most` tokens that the caller sees, of one user or of all.
fn seen(
    view: &View<'_>,
    caller: &Caller,
    of: Option<UserId>,
    after: Option<TokenId>,
    most: usize,
) -> Result<Vec<NamedToken>, StoreError> {
    let mut names = Names::default();
    let mut found = Vec::new();
    let mut take = |token: Token| -> Result<ControlFlow<()>, StoreError> {
        if may_see(caller, &token) {
            found.extend(names.name(view, token)?);
        }
        Ok(if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    };
    match of {
        None => {
            let range = KeyRange::all(Direction::Up);
            let range = match after {
                Some(id) => range.beyond(id_key(id)),
                None => range,
            };
            view.scan_rows(Table::Tokens, range, |_, token| take(token))?;
        }
        Some(user) => {
            let range = KeyRange::prefix(&user.to_bytes(), Direction::Up);
            let range = match after {
                Some(id) => range.beyond(keys::pair(&user.to_bytes(), &id.to_bytes())),
                None => range,
            };
            view.scan_keys(Table::UserTokens, range, |key| {
                let token = match key.get(16..).and_then(Id::from_bytes) {
                    Some(id) => view.token(id)?,
                    None => None,
                };
                token.map_or(Ok(ControlFlow::Continue(())), &mut take)
            })?;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::Reason;
    use crate::domain::token::TokenText;
    use crate::services::accounts::bench_tests::{Bench, NOW, anonymous, local, name, reason, scopes};

    fn ask(highest: Scope) -> TokenAsk {
        TokenAsk::new("t", scopes(highest)).unwrap()
    }

    async fn refused(bench: &Bench, secret: &TokenText, at: Timestamp) -> Option<Reason> {
        match bench.services.auth.authenticate(secret.reveal(), at).await {
            Err(ServiceError::Refused(refusal)) => Some(refusal.reason),
            Err(error) => panic!("{error}"),
            Ok(_) => None,
        }
    }

    #[tokio::test]
    async fn the_command_line_makes_the_user_too_and_says_so() {
        let bench = Bench::new();
        let tokens = &bench.services.tokens;
        let made = tokens.create_local(&local(), name("pia"), ask(Scope::Admin)).await.unwrap();
        assert_eq!(made.made_user, Some(true));
        assert_eq!(refused(&bench, &made.issued.secret, NOW).await, None);
        let again = tokens.create_local(&local(), name("pia"), ask(Scope::Read)).await.unwrap();
        assert_eq!(again.made_user, None);
        assert_eq!(
            tokens.create_local(&local(), name("ben"), ask(Scope::Publish)).await.unwrap().made_user,
            Some(false)
        );
        let beyond = tokens.create_local(&local(), name("ben"), ask(Scope::Admin)).await;
        assert_eq!(reason(beyond), Reason::ExceedsOwnRights);
        let reader = bench.context_of(&again.issued.secret).await;
        assert_eq!(reason(tokens.create_local(&reader, name("eve"), ask(Scope::Read)).await), Reason::MissingScope);
        assert_eq!(
            bench.audited().await,
            ["token.create", "user.create", "token.create", "token.create", "user.create"]
        );
    }

    #[tokio::test]
    async fn a_revoked_token_stops_with_all_that_it_made() {
        let bench = Bench::new();
        let tokens = &bench.services.tokens;
        let admin = bench.token("root", Scope::Admin).await;
        let ctx = bench.context_of(&admin.secret).await;
        bench.user("ben", Scope::Read).await;
        let of_ben = tokens.create(&ctx, ask(Scope::Publish), Some(name("ben"))).await.unwrap();
        assert_eq!(of_ben.named.user, name("ben"));
        let ben = bench.context_of(&of_ben.secret).await;
        let grandchild = tokens.create(&ben, ask(Scope::Read), None).await.unwrap();
        assert_eq!(reason(tokens.create(&ben, ask(Scope::Read), Some(name("root"))).await), Reason::MissingScope);
        assert_eq!(reason(tokens.create(&ctx, ask(Scope::Read), Some(name("eve"))).await), Reason::UserNotFound);
        assert_eq!(reason(tokens.create(&local(), ask(Scope::Read), None).await), Reason::MissingField);
        assert_eq!(reason(tokens.revoke(&ben, admin.named.token.id).await), Reason::TokenNotFound);
        let revoked = tokens.revoke(&ctx, admin.named.token.id).await.unwrap();
        assert_eq!((revoked.token.id, revoked.token.revoked_at), (admin.named.token.id, Some(NOW)));
        for secret in [&admin.secret, &of_ben.secret, &grandchild.secret] {
            assert_eq!(refused(&bench, secret, NOW).await, Some(Reason::RevokedToken));
        }
        let before = bench.audited().await;
        tokens.revoke(&local(), admin.named.token.id).await.unwrap();
        assert_eq!(bench.audited().await, before, "repeating is no deed");
        assert_eq!(reason(tokens.create(&ctx, ask(Scope::Read), None).await), Reason::RevokedToken);
    }

    #[tokio::test]
    async fn a_rotated_token_keeps_its_id_and_its_old_secret_for_the_grace() {
        let bench = Bench::new();
        let tokens = &bench.services.tokens;
        let first = bench.token("pia", Scope::Publish).await;
        let ctx = bench.context_of(&first.secret).await;
        let second = tokens.rotate(&ctx, first.named.token.id, 60).await.unwrap();
        assert_eq!(second.named.token.id, first.named.token.id);
        assert_eq!(refused(&bench, &first.secret, NOW.plus_ms(59_999)).await, None);
        assert_eq!(refused(&bench, &first.secret, NOW.plus_ms(60_000)).await, Some(Reason::RevokedToken));
        assert_eq!(refused(&bench, &second.secret, NOW.plus_ms(60_000)).await, None);
        let third = tokens.rotate(&ctx, first.named.token.id, 0).await.unwrap();
        assert_eq!(refused(&bench, &first.secret, NOW).await, Some(Reason::UnknownToken));
        assert_eq!(refused(&bench, &second.secret, NOW).await, Some(Reason::UnknownToken));
        assert_eq!(refused(&bench, &third.secret, NOW).await, None);
        assert_eq!(reason(tokens.rotate(&ctx, first.named.token.id, 86_401).await), Reason::InvalidField);
    }

    #[tokio::test]
    async fn lists_go_on_where_they_left_off_and_show_what_is_covered() {
        let bench = Bench::new();
        let tokens = &bench.services.tokens;
        let admin = bench.user("root", Scope::Admin).await;
        let publisher = bench.user("pia", Scope::Publish).await;
        let reader = bench.user("pia", Scope::Read).await;
        bench.user("ben", Scope::Read).await;
        let count = async |ctx: &Context, user: Option<&str>| {
            let mut after = None;
            let mut found: Vec<NamedToken> = Vec::new();
            loop {
                let (some, next) = tokens.list(ctx, user.map(name), after, 1).await.unwrap();
                found.extend(some);
                after = next;
                if after.is_none() {
                    return found.len();
                }
            }
        };
        assert_eq!(count(&admin, None).await, 4);
        assert_eq!(count(&local(), None).await, 4);
        assert_eq!(count(&admin, Some("pia")).await, 2);
        assert_eq!(count(&publisher, None).await, 2);
        assert_eq!(count(&publisher, Some("pia")).await, 2);
        assert_eq!(count(&reader, None).await, 1);
        assert_eq!(reason(tokens.list(&publisher, Some(name("ben")), None, 9).await), Reason::MissingScope);
        assert_eq!(reason(tokens.list(&admin, Some(name("eve")), None, 9).await), Reason::UserNotFound);
        assert_eq!(reason(tokens.list(&anonymous(), None, None, 9).await), Reason::MissingToken);
        let hidden = publisher.caller.token().unwrap().token;
        assert_eq!(reason(tokens.get(&reader, hidden).await), Reason::TokenNotFound);
        assert_eq!(reason(tokens.rotate(&reader, hidden, 0).await), Reason::TokenNotFound);
        assert_eq!(tokens.get(&admin, hidden).await.unwrap().user, name("pia"));
    }
}

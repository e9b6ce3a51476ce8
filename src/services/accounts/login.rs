//! From a user name and a password to a short-lived token; and changing one's own password.
//!
//! Unknown user, wrong password, no password and disabled user get the same answer after the same work.

use std::sync::Arc;

use tokio::sync::Notify;

use super::attempts::{Attempt, Attempts};
use super::initial::end_initial;
use super::passwords::PasswordGate;
use super::users::own_user;
use super::{IssuedToken, NamedToken, draw, user_state};
use crate::domain::caller::{Caller, TokenCaller};
use crate::domain::change::Change;
use crate::domain::name::UserName;
use crate::domain::password::Password;
use crate::domain::patch::Field;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::token::{Scopes, Token};
use crate::domain::tokens::{decide_login_scopes, login_token};
use crate::domain::user::User;
use crate::domain::users::{UserPatch, decide_user_patch};
use crate::services::context::Deed;
use crate::services::{Context, ServiceError, Stores, load};
use crate::storage::{Cost, Decided, Metadata as _};

/// Checks passwords, gives login tokens.
pub struct LoginService {
    stores: Stores,
    passwords: Arc<PasswordGate>,
    attempts: Attempts,
    changed: Arc<Notify>,
}

/// Who wants to log in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// As whom; any text.
    pub username: String,
    /// The proof.
    pub password: Password,
    /// The scopes of the token; none: all that the user has.
    pub scopes: Option<Scopes>,
}

impl LoginService {
    /// Works on `stores`; `changed` is told whenever tokens may have ended.
    pub(in crate::services) fn new(stores: Stores, passwords: Arc<PasswordGate>, changed: Arc<Notify>) -> Self {
        let attempts = Attempts::new(stores.policy.login_failures_max, stores.policy.login_window_ms);
        Self { stores, passwords, attempts, changed }
    }

    /// A login token for whoever knows a user's password.
    ///
    /// # Errors
    /// `wrong_credentials`; `rate_limited` with the seconds to wait; `overloaded`; `exceeds_own_rights` when the right
    /// password comes with scopes that the user does not have; `no_such_route` where the operator turned logins off.
    pub async fn login(&self, ctx: &Context, credentials: Credentials) -> Result<IssuedToken, ServiceError> {
        if !self.stores.policy.login {
            let message = "This registry has logins turned off: ask an admin for a token.";
            return Err(ServiceError::refused(Reason::NoSuchRoute, message));
        }
        let name = UserName::parse(&credentials.username).ok();
        let attempt = self.attempts.begin(name.as_ref(), ctx.ip, ctx.now)?;
        let wanted = name.clone();
        let found = self.stores.metadata.read(Cost::Point, move |view| match &wanted {
            Some(name) => view.user_named(name),
            None => Ok(None),
        });
        let found = found.await?;
        // The audit keeps names of users alone: what is no user's name may be a password in the wrong place.
        let known = found.as_ref().map(|user| user.name.clone());
        let user = found.filter(|user| !user.disabled);
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        let is_right = self.verify(&attempt, credentials.password, hash).await?;
        let Some(user) = user.filter(|_| is_right) else {
            return Err(self.failed(ctx, "login", known.as_ref()).await);
        };
        self.attempts.forgive(&attempt);
        let issued = self.issue(ctx, user, credentials.scopes).await?;
        self.changed.notify_one();
        Ok(issued)
    }

    /// Changes the caller's own password, which ends all of the user's login tokens but the one that asks.
    ///
    /// # Errors
    /// `wrong_credentials` when `old` is wrong or there is no password yet; `rate_limited`; `overloaded`.
    pub async fn change_password(&self, ctx: &Context, old: Password, new: Password) -> Result<User, ServiceError> {
        let id = own_user(ctx)?;
        let name = ctx.caller.token().map(|own| own.user_name.clone());
        let attempt = self.attempts.begin(name.as_ref(), ctx.ip, ctx.now)?;
        let user = self.stores.metadata.read(Cost::Point, move |view| view.user(id)).await?;
        let known = user.and_then(|user| user.password_hash);
        if !self.verify(&attempt, old, known.clone()).await? {
            return Err(self.failed(ctx, "user.password", name.as_ref()).await);
        }
        self.attempts.forgive(&attempt);
        let patch = UserPatch { password_hash: Field::Set(self.passwords.hash(new).await?), ..UserPatch::default() };
        let ctx = ctx.clone();
        let changed = self.stores.metadata.change(move |view, moment| {
            let caller = load::recheck(view, &ctx.caller, moment.now)?;
            let user = view.user(id)?.filter(|user| user.password_hash == known).ok_or_else(wrong_credentials)?;
            let state = user_state(view, user)?;
            let spared = caller.token().map(|own| own.token);
            let (user, mut changes) = decide_user_patch(&state, &patch, spared, moment.now)?;
            changes.push(ctx.audit(Deed::to_target("user.password", user.name.as_str())));
            Ok(Decided { changes, answer: user })
        });
        let user = changed.await?;
        self.changed.notify_one();
        Ok(user)
    }

    async fn verify(&self, attempt: &Attempt, password: Password, hash: Option<String>) -> Result<bool, ServiceError> {
        let verified = self.passwords.verify(password, hash).await;
        if verified.is_err() {
            self.attempts.forgive(attempt);
        }
        verified
    }

    /// Makes the token, unless the user changed while the password was checked.
    async fn issue(&self, ctx: &Context, proven: User, asked: Option<Scopes>) -> Result<IssuedToken, ServiceError> {
        let ctx = ctx.clone();
        let (secret, seed) = draw(ctx.now)?;
        let ttl_ms = self.stores.policy.login_ttl_ms;
        let issued = self.stores.metadata.change(move |view, moment| {
            let user = view.user(proven.id)?;
            let is_same = |user: &User| !user.disabled && user.password_hash == proven.password_hash;
            let user = user.filter(is_same).ok_or_else(wrong_credentials)?;
            let scopes = decide_login_scopes(&user, asked)?;
            let token = login_token(&user, scopes, seed, moment.now, ttl_ms);
            let mut changes = vec![Change::PutToken(Box::new(token.clone()))];
            changes.extend(end_initial(view, &token, moment.now)?);
            let now_known = Context { caller: caller_of(&user, &token), ..ctx.clone() };
            changes.push(now_known.audit(Deed::to_target("login", user.name.as_str())));
            Ok(Decided { changes, answer: NamedToken { token, user: user.name } })
        });
        Ok(IssuedToken { named: issued.await?, secret })
    }

    /// Records the failure; a text that is no user name is left out, for it may be a password in the wrong field.
    async fn failed(&self, ctx: &Context, action: &'static str, name: Option<&UserName>) -> ServiceError {
        let deed = Deed { action, target: name.map(UserName::as_str), ..Deed::default() };
        let entry = ctx.audit_denied(deed);
        let record = move |_: &crate::storage::View<'_>, _| Ok(Decided { changes: vec![entry.clone()], answer: () });
        match self.stores.metadata.change(record).await {
            Ok(()) => wrong_credentials().into(),
            Err(error) => error.into(),
        }
    }
}

fn wrong_credentials() -> Refusal {
    Refusal::new(
        Reason::WrongCredentials,
        "User name and password don't fit: check both, or ask an admin to set a password.",
    )
}

fn caller_of(user: &User, token: &Token) -> Caller {
    Caller::Token(Box::new(TokenCaller {
        user: user.id,
        user_name: user.name.clone(),
        user_is_admin: user.admin,
        token: token.id,
        kind: token.kind,
        scopes: token.scopes,
        patterns: token.patterns.clone(),
        expires_at: token.expires_at,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::{Scope, TokenKind, TokenText};
    use crate::domain::users::UserCreation;
    use crate::services::Policy;
    use crate::services::accounts::bench_tests::{Bench, NOW, anonymous, local, name, reason, scopes};

    fn password(text: &str) -> Password {
        Password::given("password", text.to_owned()).unwrap()
    }

    fn as_user(username: &str, text: &str, scopes: Option<Scopes>) -> Credentials {
        Credentials { username: username.to_owned(), password: password(text), scopes }
    }

    /// A registry with the user `pia`, whose password is `correct horse`.
    async fn bench(policy: Policy) -> Bench {
        let bench = Bench::with(policy);
        let pia = UserCreation { name: name("pia"), email: None, admin: false };
        bench.services.users.create(&local(), pia, Some(password("correct horse"))).await.unwrap();
        bench
    }

    async fn is_good(bench: &Bench, secret: &TokenText) -> bool {
        bench.services.auth.authenticate(secret.reveal(), NOW).await.is_ok()
    }

    #[tokio::test]
    async fn the_right_password_gives_a_short_lived_token_with_the_users_scopes() {
        let bench = bench(Policy::default()).await;
        let login = &bench.services.login;
        let issued = login.login(&anonymous(), as_user("pia", "correct horse", None)).await.unwrap();
        let token = &issued.named.token;
        assert_eq!(token.kind, TokenKind::Login);
        assert_eq!(token.scopes, Scopes::new([Scope::Read, Scope::Publish]).unwrap());
        assert_eq!(token.expires_at, Some(NOW.plus_ms(12 * 3_600_000)));
        assert!(is_good(&bench, &issued.secret).await);
        let fewer = as_user("pia", "correct horse", Some(scopes(Scope::Read)));
        assert_eq!(login.login(&anonymous(), fewer).await.unwrap().named.token.scopes, scopes(Scope::Read));
        let more = as_user("pia", "correct horse", Some(Scopes::ALL));
        assert_eq!(reason(login.login(&anonymous(), more).await), Reason::ExceedsOwnRights);
        assert_eq!(bench.audited().await, ["login", "login", "user.create"]);
    }

    #[tokio::test]
    async fn every_wrong_login_gets_the_same_answer_and_is_audited() {
        let bench = bench(Policy::default()).await;
        let (users, login) = (&bench.services.users, &bench.services.login);
        bench.user("ben", Scope::Read).await;
        let eve = UserCreation { name: name("eve"), email: None, admin: false };
        users.create(&local(), eve, Some(password("correct horse"))).await.unwrap();
        let disable = UserPatch { disabled: Some(true), ..UserPatch::default() };
        users.patch(&local(), name("eve"), disable, Field::Keep).await.unwrap();
        for username in ["pia", "ben", "eve", "nobody", "No Name", ""] {
            let text = if username == "pia" { "wrong horse" } else { "correct horse" };
            let Err(ServiceError::Refused(refusal)) = login.login(&anonymous(), as_user(username, text, None)).await
            else {
                panic!("{username}");
            };
            assert_eq!(refusal, wrong_credentials(), "{username}");
        }
        assert_eq!(bench.audited().await[..6], ["login!"; 6]);
    }

    #[tokio::test]
    async fn failures_are_limited_and_successes_are_not() {
        let bench = bench(Policy { login_failures_max: 2, ..Policy::default() }).await;
        let login = &bench.services.login;
        let from = |ip: &str| Context { ip: Some(ip.parse().unwrap()), ..anonymous() };
        for _ in 0..3 {
            login.login(&from("192.0.2.1"), as_user("pia", "correct horse", None)).await.unwrap();
        }
        for ip in ["192.0.2.1", "192.0.2.2"] {
            let failed = login.login(&from(ip), as_user("pia", "wrong horse", None)).await;
            assert_eq!(reason(failed), Reason::WrongCredentials);
        }
        let Err(ServiceError::Refused(refusal)) =
            login.login(&from("192.0.2.3"), as_user("pia", "correct horse", None)).await
        else {
            panic!("not refused");
        };
        assert_eq!((refusal.reason, refusal.details[0].limit), (Reason::RateLimited, Some(60)));
        assert_eq!(refusal.details[0].field, "retry_after_s");
        let later = Context { now: NOW.plus_ms(60_000), ..from("192.0.2.3") };
        login.login(&later, as_user("pia", "correct horse", None)).await.unwrap();
    }

    #[tokio::test]
    async fn a_new_password_ends_every_login_but_the_one_that_set_it() {
        let bench = bench(Policy::default()).await;
        let login = &bench.services.login;
        let lasting = bench.token("pia", Scope::Read).await;
        let first = login.login(&anonymous(), as_user("pia", "correct horse", None)).await.unwrap();
        let second = login.login(&anonymous(), as_user("pia", "correct horse", None)).await.unwrap();
        let ctx = bench.context_of(&first.secret).await;
        let wrong = login.change_password(&ctx, password("wrong horse"), password("better horse")).await;
        assert_eq!(reason(wrong), Reason::WrongCredentials);
        login.change_password(&ctx, password("correct horse"), password("better horse")).await.unwrap();
        assert!(is_good(&bench, &first.secret).await);
        assert!(!is_good(&bench, &second.secret).await);
        assert!(is_good(&bench, &lasting.secret).await);
        let old = login.login(&anonymous(), as_user("pia", "correct horse", None)).await;
        assert_eq!(reason(old), Reason::WrongCredentials);
        login.login(&anonymous(), as_user("pia", "better horse", None)).await.unwrap();
        let by_admin = Field::Set(password("other horse"));
        bench.services.users.patch(&local(), name("pia"), UserPatch::default(), by_admin).await.unwrap();
        assert!(!is_good(&bench, &first.secret).await);
        let expected = ["user.password", "login", "login!", "user.password", "user.password!", "login", "login"];
        assert_eq!(bench.audited().await[..7], expected);
        assert_eq!(
            reason(login.change_password(&local(), password("x"), password("better horse")).await),
            Reason::UserNotFound
        );
    }

    #[tokio::test]
    async fn where_logins_are_off_there_is_no_such_route() {
        let bench = bench(Policy { login: false, ..Policy::default() }).await;
        let refused = bench.services.login.login(&anonymous(), as_user("pia", "correct horse", None)).await;
        assert_eq!(reason(refused), Reason::NoSuchRoute);
    }
}

//! Who asks, and whether they may use a route at all: decided before any byte of the body is read.
//!
//! Looks at credentials and at the asked name alone, never at what exists; roles are the services' to check. The order
//! of refusals is the contract's: 401, then the scope, then the token's patterns.

use hyper::HeaderMap;

use crate::domain::caller::Caller;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::domain::token::Scope;

use super::app::App;
use super::connection::Peer;
use super::credentials::Presented;
use super::failure::Failure;
use super::params::Params;
use super::routes::{Access, Route};

/// Proves who sends the request. Open routes don't look at credentials; a bad credential is refused everywhere else,
/// also where none is needed.
///
/// # Errors
/// 401 for credentials that can't be read or prove nobody.
pub async fn authenticate(
    app: &App,
    access: Access,
    peer: Peer,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Caller, Failure> {
    match peer {
        Peer::Unix { uid } => return Ok(Caller::Local { uid }),
        Peer::InProcess => return Ok(Caller::Local { uid: rustix::process::getuid().as_raw() }),
        Peer::Tcp(_) if access == Access::Open => return Ok(Caller::Anonymous),
        Peer::Tcp(_) => {}
    }
    match Presented::read(headers)?.token_text() {
        None => Ok(Caller::Anonymous),
        Some(text) => Ok(app.services.auth.authenticate(text, now).await?),
    }
}

/// Whether the caller may use the route with these places.
///
/// # Errors
/// `missing_token`, `missing_scope`, `token_packages`.
pub fn admit(caller: &Caller, route: &Route, params: &Params, anonymous_read: bool) -> Result<(), Refusal> {
    let needs_token = match route.access {
        Access::Open => false,
        Access::Read => !anonymous_read,
        Access::AnyToken | Access::Publish | Access::Admin | Access::InstanceAdmin => true,
    };
    if *caller == Caller::Anonymous {
        return if needs_token { Err(missing_token()) } else { Ok(()) };
    }
    match route.access {
        Access::Open | Access::AnyToken => Ok(()),
        Access::Read => scope(caller, Scope::Read),
        Access::Publish => scope(caller, Scope::Publish).and_then(|()| patterns(caller, params)),
        Access::Admin => scope(caller, Scope::Admin).and_then(|()| patterns(caller, params)),
        Access::InstanceAdmin => scope(caller, Scope::Admin).and_then(|()| instance(caller)),
    }
}

fn missing_token() -> Refusal {
    let message = "this needs a token: send `Authorization: Bearer <token>`, or Basic with the token as the password";
    Refusal::new(Reason::MissingToken, message)
}

fn scope(caller: &Caller, scope: Scope) -> Result<(), Refusal> {
    if caller.has_scope(scope) {
        return Ok(());
    }
    let name = scope.as_str();
    let message = match caller.token() {
        Some(token) if token.scopes.allow(scope) => {
            format!("the token has the scope `{name}`, but its user is no admin any more; ask an admin")
        }
        Some(_) | None => format!("the token lacks the scope `{name}`; use one that has it"),
    };
    Err(Refusal::new(Reason::MissingScope, message))
}

/// Patterns limit writes by the asked name alone, whether it exists or not.
fn patterns(caller: &Caller, params: &Params) -> Result<(), Refusal> {
    if let Some(package) = params.package.as_ref().filter(|package| !caller.covers_package(package)) {
        let message = format!("the token's patterns don't cover the package `{package}`; use a token that does");
        return Err(Refusal::new(Reason::TokenPackages, message));
    }
    if let Some(namespace) = params.namespace.as_ref().filter(|namespace| !caller.covers_namespace(namespace)) {
        let message = format!("the token's patterns don't cover `{namespace}/*`; use a token that does");
        return Err(Refusal::new(Reason::TokenPackages, message));
    }
    Ok(())
}

fn instance(caller: &Caller) -> Result<(), Refusal> {
    if caller.covers_all() {
        return Ok(());
    }
    let message = "this is about the whole registry: use a token whose patterns are `[\"*\"]`";
    Err(Refusal::new(Reason::TokenPackages, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::TokenCaller;
    use crate::domain::id::Id;
    use crate::domain::name::{NamespaceName, PackageName, UserName};
    use crate::domain::token::{Pattern, Patterns, Scopes, TokenKind};
    use crate::http::reply::Reply;
    use crate::http::routes::ReplyKind;
    use crate::http::routes::row::handler;

    async fn nothing(_: crate::http::call::Call) -> Result<Reply, Failure> {
        Ok(Reply::no_content())
    }

    fn token(scope: Scope, is_admin: bool, pattern: &str) -> Caller {
        Caller::Token(Box::new(TokenCaller {
            user: Id(1),
            user_name: UserName::parse("pia").unwrap(),
            user_is_admin: is_admin,
            token: Id(2),
            kind: TokenKind::Token,
            scopes: Scopes::new([scope]).unwrap(),
            patterns: Patterns::new(vec![Pattern::parse(pattern).unwrap()]).unwrap(),
            expires_at: None,
        }))
    }

    #[track_caller]
    fn check(caller: &Caller, access: Access, params: &Params, expected: Result<(), Reason>) {
        let route = Route::get("/", "a", ReplyKind::Bytes(""), handler!(nothing)).open_to(access, "");
        let found = admit(caller, &route, params, true).map_err(|refusal| refusal.reason);
        assert_eq!(found, expected, "{caller:?} {access:?} {params:?}");
    }

    #[test]
    fn each_access_asks_for_its_credentials() {
        use Access::{Admin, AnyToken, InstanceAdmin, Open, Publish, Read};
        let none = Params::default();
        let jwt = Params { package: Some(PackageName::parse("gk/jwt").unwrap()), ..Params::default() };
        let gk = Params { namespace: Some(NamespaceName::parse("gk").unwrap()), ..Params::default() };
        let anonymous = Caller::Anonymous;
        check(&anonymous, Open, &none, Ok(()));
        check(&anonymous, Read, &jwt, Ok(()));
        for access in [AnyToken, Publish, Admin, InstanceAdmin] {
            check(&anonymous, access, &jwt, Err(Reason::MissingToken));
            check(&Caller::Local { uid: 0 }, access, &jwt, Ok(()));
        }
        let reader = token(Scope::Read, true, "*");
        check(&reader, AnyToken, &none, Ok(()));
        check(&reader, Read, &jwt, Ok(()));
        check(&reader, Publish, &jwt, Err(Reason::MissingScope));
        check(&reader, InstanceAdmin, &none, Err(Reason::MissingScope));
        let publisher = token(Scope::Publish, false, "gk/jwt");
        check(&publisher, Publish, &jwt, Ok(()));
        check(&publisher, Publish, &gk, Err(Reason::TokenPackages));
        check(&publisher, Publish, &none, Ok(()));
        check(&publisher, Admin, &jwt, Err(Reason::MissingScope));
        let foreign = token(Scope::Publish, false, "other/*");
        check(&foreign, Read, &jwt, Ok(()));
        check(&foreign, Publish, &jwt, Err(Reason::TokenPackages));
        check(&token(Scope::Publish, false, "gk/*"), Publish, &gk, Ok(()));
        check(&token(Scope::Admin, false, "*"), InstanceAdmin, &none, Err(Reason::MissingScope));
        check(&token(Scope::Admin, true, "gk/*"), Admin, &jwt, Ok(()));
        check(&token(Scope::Admin, true, "gk/*"), InstanceAdmin, &none, Err(Reason::TokenPackages));
        check(&token(Scope::Admin, true, "*"), InstanceAdmin, &none, Ok(()));
    }

    #[test]
    fn anonymous_reading_can_be_off() {
        let route = Route::get("/", "a", ReplyKind::Bytes(""), handler!(nothing)).open_to(Access::Read, "");
        let refusal = admit(&Caller::Anonymous, &route, &Params::default(), false).unwrap_err();
        assert_eq!(refusal.reason, Reason::MissingToken);
    }
}

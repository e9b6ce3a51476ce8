//! What tokens can make, see and end, as tables.

use super::*;
use crate::domain::id::Id;
use crate::domain::user::UserId;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const HOUR_MS: i64 = 3_600_000;
const PIA: UserId = Id(1);
const BEN: UserId = Id(2);

fn scopes(scope: Scope) -> Scopes {
    Scopes::new([scope]).unwrap()
}

fn patterns(text: &str) -> Patterns {
    Patterns::new(text.split(' ').map(|pattern| Pattern::parse(pattern).unwrap()).collect()).unwrap()
}

fn user(id: UserId, admin: bool) -> User {
    User {
        id,
        name: UserName::parse(if id == PIA { "pia" } else { "ben" }).unwrap(),
        email: None,
        admin,
        disabled: false,
        password_hash: None,
        created_at: NOW,
    }
}

/// The token `Id(id)` of a user.
fn token(id: u128, user: UserId, kind: TokenKind, made_by: Option<u128>) -> Token {
    Token {
        id: Id(id),
        name: "t".to_owned(),
        user,
        kind,
        scopes: scopes(Scope::Publish),
        patterns: Patterns::all(),
        hash: Sha256([7; 32]),
        former: None,
        made_by: made_by.map(Id),
        created_at: NOW,
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    }
}

fn caller(token: &Token, admin: bool) -> Caller {
    let user = user(token.user, admin);
    Caller::Token(Box::new(TokenCaller {
        user: user.id,
        user_name: user.name,
        user_is_admin: admin,
        token: token.id,
        kind: token.kind,
        scopes: token.scopes,
        patterns: token.patterns.clone(),
        expires_at: token.expires_at,
    }))
}

/// A caller of kind `kind` that ends after `hours`, with `scope` over `packages`.
fn asking(kind: TokenKind, scope: Scope, packages: &str, hours: Option<i64>) -> Caller {
    let expires_at = hours.map(|hours| NOW.plus_ms(hours * HOUR_MS));
    let own = Token { scopes: scopes(scope), patterns: patterns(packages), expires_at, ..token(9, PIA, kind, None) };
    caller(&own, scope == Scope::Admin)
}

fn ask(scope: Scope, packages: Option<&str>, hours: Option<i64>) -> TokenAsk {
    TokenAsk {
        name: "ci".to_owned(),
        scopes: scopes(scope),
        patterns: packages.map(patterns),
        expires_at: hours.map(|hours| NOW.plus_ms(hours * HOUR_MS)),
    }
}

/// What the new token covers and after how many hours it ends, or the reason and field of the refusal.
#[track_caller]
fn check(caller: &Caller, ask: &TokenAsk, expected: &str) {
    let seed = TokenSeed { id: Id(50), hash: Sha256([1; 32]) };
    let terms = Terms { now: NOW, expires_max_ms: Some(100 * HOUR_MS) };
    let made = match decide_token_creation(caller, &user(PIA, caller.is_admin()), ask, seed, terms) {
        Ok(token) => {
            assert_eq!(token.made_by, caller.token().map(|own| own.token));
            assert_eq!((token.kind, token.scopes), (TokenKind::Token, ask.scopes));
            let hours = token.expires_at.map(|end| (end.0 - NOW.0) / HOUR_MS);
            let covered: Vec<_> = token.patterns.iter().map(Pattern::to_string).collect();
            format!("{} {hours:?}", covered.join(" "))
        }
        Err(refusal) => format!("{} {}", refusal.reason, refusal.details[0].field),
    };
    assert_eq!(made, expected, "{caller:?} {ask:?}");
}

#[test]
fn no_token_makes_more_than_itself() {
    use Scope::{Admin, Publish, Read};
    use TokenKind::{Login, Token as Lasting};
    let small = asking(Lasting, Publish, "gk/* a", Some(10));
    check(&small, &ask(Publish, None, None), "gk/* a Some(10)");
    check(&small, &ask(Read, Some("gk/jwt"), Some(10)), "gk/jwt Some(10)");
    check(&small, &ask(Read, Some("gk/jwt"), Some(11)), "exceeds_own_rights expires_at");
    check(&small, &ask(Read, Some("gk/jwt b"), None), "exceeds_own_rights packages");
    check(&small, &ask(Read, Some("*"), None), "exceeds_own_rights packages");
    check(&small, &ask(Admin, None, None), "exceeds_own_rights scopes");
    check(&small, &ask(Read, None, Some(0)), "invalid_field expires_at");
    check(&asking(Lasting, Read, "*", None), &ask(Publish, None, None), "exceeds_own_rights scopes");
    check(&asking(Lasting, Read, "*", None), &ask(Read, None, Some(9999)), "* Some(9999)");
    check(&asking(Lasting, Read, "*", None), &ask(Read, None, None), "* None");
    let login = asking(Login, Admin, "*", Some(12));
    check(&login, &ask(Admin, None, None), "* Some(100)");
    check(&login, &ask(Admin, None, Some(100)), "* Some(100)");
    check(&login, &ask(Read, None, Some(101)), "exceeds_own_rights expires_at");
    let local = Caller::Local { uid: 0 };
    check(&local, &ask(Read, None, None), "* None");
    check(&local, &ask(Read, Some("a"), Some(9999)), "a Some(9999)");
}

#[test]
fn no_token_has_more_than_its_user() {
    let refused = check_user_rights(&user(BEN, false), Scopes::ALL).unwrap_err();
    assert_eq!(refused.reason, Reason::ExceedsOwnRights);
    assert!(refused.message.contains("`user set ben --admin true`"), "{refused}");
    let disabled = User { disabled: true, ..user(BEN, true) };
    assert!(check_user_rights(&disabled, scopes(Scope::Read)).is_err());
    assert_eq!(decide_login_scopes(&user(BEN, true), None), Ok(Scopes::ALL));
    let without = Scopes::new([Scope::Read, Scope::Publish]).unwrap();
    assert_eq!(decide_login_scopes(&user(BEN, false), None), Ok(without));
    assert_eq!(decide_login_scopes(&user(BEN, true), Some(scopes(Scope::Read))), Ok(scopes(Scope::Read)));
    assert!(decide_login_scopes(&user(BEN, false), Some(Scopes::ALL)).is_err());
}

#[test]
fn only_who_administers_the_instance_asks_for_others() {
    let [pia, ben] = ["pia", "ben"].map(|text| UserName::parse(text).unwrap());
    let reason = |caller: &Caller, asked| decide_owner(caller, asked).map_err(|refusal| refusal.reason);
    let own = asking(TokenKind::Token, Scope::Publish, "*", None);
    assert_eq!(reason(&own, None), Ok(pia.clone()));
    assert_eq!(reason(&own, Some(&pia)), Ok(pia.clone()));
    assert_eq!(reason(&own, Some(&ben)), Err(Reason::MissingScope));
    let confined = asking(TokenKind::Token, Scope::Admin, "gk/*", None);
    assert_eq!(reason(&confined, Some(&ben)), Err(Reason::TokenPackages));
    assert_eq!(reason(&asking(TokenKind::Token, Scope::Admin, "*", None), Some(&ben)), Ok(ben.clone()));
    assert_eq!(reason(&Caller::Local { uid: 0 }, Some(&ben)), Ok(ben.clone()));
    assert_eq!(reason(&Caller::Local { uid: 0 }, None), Err(Reason::MissingField));
    assert_eq!(reason(&Caller::Anonymous, None), Err(Reason::MissingToken));
    assert_eq!(reason(&Caller::Anonymous, Some(&ben)), Err(Reason::MissingToken));
}

#[test]
fn a_token_sees_itself_and_what_it_covers_of_its_user() {
    let of = |id, user, scope, packages| Token {
        scopes: scopes(scope),
        patterns: patterns(packages),
        ..token(id, user, TokenKind::Token, None)
    };
    let shelf = [
        of(10, PIA, Scope::Read, "gk/jwt"),
        of(11, PIA, Scope::Publish, "gk/jwt"),
        of(12, PIA, Scope::Read, "*"),
        of(13, BEN, Scope::Read, "gk/jwt"),
    ];
    let seen = |caller: &Caller| shelf.each_ref().map(|token| may_see(caller, token));
    assert_eq!(seen(&caller(&shelf[0], false)), [true, false, false, false]);
    assert_eq!(seen(&caller(&shelf[1], false)), [true, true, false, false]);
    assert_eq!(seen(&caller(&shelf[2], false)), [true, false, true, false]);
    let all = [true, true, true, true];
    assert_eq!(seen(&asking(TokenKind::Token, Scope::Admin, "*", None)), all);
    assert_eq!(seen(&asking(TokenKind::Token, Scope::Admin, "gk/*", None)), [true, true, false, false]);
    assert_eq!(seen(&Caller::Local { uid: 0 }), all);
    assert_eq!(seen(&Caller::Anonymous), [false; 4]);
    let admin_of_old = Token { scopes: Scopes::ALL, ..token(9, PIA, TokenKind::Token, None) };
    assert_eq!(seen(&caller(&admin_of_old, false)), [true, true, true, false], "no admin any more");
}

#[test]
fn what_a_token_made_ends_with_it_and_what_a_login_made_does_not() {
    use TokenKind::{Login, Token as Lasting};
    let revoked = Token { revoked_at: Some(Timestamp(5)), ..token(4, PIA, Lasting, Some(2)) };
    let all = [
        token(1, PIA, Login, None),
        token(2, PIA, Lasting, Some(1)),
        token(3, BEN, Lasting, Some(2)),
        revoked,
        token(5, BEN, Lasting, Some(3)),
        token(6, PIA, Lasting, None),
        token(7, PIA, Lasting, Some(4)),
    ];
    let ended = |root: u128| -> Vec<u128> {
        let ended = decide_revocation(&all, |token| token.id == Id(root), NOW);
        assert!(ended.iter().all(|token| token.revoked_at == Some(NOW)));
        ended.iter().map(|token| token.id.0).collect()
    };
    assert_eq!(ended(1), [1]);
    assert_eq!(ended(2), [2, 3, 5, 7]);
    assert_eq!(ended(3), [3, 5]);
    assert_eq!(ended(6), [6]);
    assert_eq!(ended(99), [0_u128; 0]);
}

#[test]
fn rotation_keeps_the_end_and_gives_nobody_a_longer_life() {
    let rotate = |caller: &Caller, token: &Token, grace_s| {
        decide_rotation(caller, token, Sha256([8; 32]), grace_s, NOW).map_err(|refusal| refusal.reason)
    };
    let target = token(20, PIA, TokenKind::Token, None);
    let itself = caller(&target, false);
    let rotated = rotate(&itself, &target, 0).unwrap();
    assert_eq!((rotated.hash, &rotated.former), (Sha256([8; 32]), &None));
    assert_eq!(Token { hash: target.hash, ..rotated }, target);
    let former = rotate(&itself, &target, 60).unwrap().former.unwrap();
    assert_eq!((former.hash, former.until), (target.hash, NOW.plus_ms(60_000)));
    assert!(rotate(&itself, &target, GRACE_S_MAX).is_ok());
    assert_eq!(rotate(&itself, &target, GRACE_S_MAX + 1).err(), Some(Reason::InvalidField));
    let brief = asking(TokenKind::Token, Scope::Publish, "*", Some(1));
    assert_eq!(rotate(&brief, &target, 0).err(), Some(Reason::ExceedsOwnRights));
    assert!(rotate(&asking(TokenKind::Login, Scope::Publish, "*", Some(1)), &target, 0).is_ok());
    let briefer = Token { expires_at: Some(NOW.plus_ms(1)), ..target.clone() };
    assert!(rotate(&brief, &briefer, 0).is_ok());
    let ended = Token { expires_at: Some(NOW), ..target };
    assert_eq!(rotate(&itself, &ended, 0).err(), Some(Reason::TokenNotFound));
}

#[test]
fn an_admin_token_file_holds_a_token_or_its_hash() {
    let text = TokenText::from_random(&[3; 32]);
    assert_eq!(parse_admin_token(&format!("{}\n", text.reveal())), Some(text.hash()));
    assert_eq!(parse_admin_token(&format!("sha256:{}\n", text.hash().to_hex())), Some(text.hash()));
    for wrong in ["", "vixr_x", "sha256:", "sha256:12", "hunter22"] {
        assert_eq!(parse_admin_token(wrong), None, "{wrong}");
    }
}

#[test]
fn names_of_tokens_are_held() {
    for wrong in ["", "a\nb", &"x".repeat(129)] {
        assert_eq!(check_token_name(wrong).unwrap_err().reason, Reason::InvalidField);
    }
    assert_eq!(check_token_name(&"x".repeat(128)), Ok("x".repeat(128)));
}

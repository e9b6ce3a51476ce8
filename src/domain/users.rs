//! Decisions about users: who can be made, changed and deleted, and what that ends.

use super::change::Change;
use super::event::{Event, Fact, Log, Owned};
use super::name::{UserName, shown};
use super::package::{MemberOf, Role};
use super::patch::Field;
use super::refusal::{Detail, Reason, Refusal};
use super::time::Timestamp;
use super::token::{Token, TokenId, TokenKind};
use super::tokens::decide_revocation;
use super::user::{EMAIL_BYTES_MAX, User, UserId};

/// How many orphans a refusal names.
pub const ORPHANS_SHOWN_MAX: usize = 20;

/// A user who is to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserCreation {
    /// Under which name.
    pub name: UserName,
    /// How people reach the user.
    pub email: Option<String>,
    /// Whether as an admin.
    pub admin: bool,
}

/// What is to change of a user.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct UserPatch {
    /// How people reach the user.
    pub email: Field<String>,
    /// Whether an admin.
    pub admin: Option<bool>,
    /// Whether all of the user's tokens are dead.
    pub disabled: Option<bool>,
    /// The password's hash in PHC form.
    pub password_hash: Field<String>,
}

impl UserPatch {
    /// What the audit calls it.
    pub fn action(&self) -> &'static str {
        match self {
            Self { disabled: Some(true), .. } => "user.disable",
            Self { disabled: Some(false), .. } => "user.enable",
            Self { password_hash: Field::Set(_) | Field::Clear, .. } => "user.password",
            Self { .. } => "user.update",
        }
    }
}

/// What decisions about an existing user rest on.
#[derive(Clone, Debug)]
pub struct UserState {
    /// The user.
    pub user: User,
    /// The user's tokens, and all those that they may have made for others.
    pub tokens: Vec<Token>,
    /// Whether somebody else is an admin and not disabled.
    pub has_other_admin: bool,
}

/// What a user who is to be deleted owns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ownership {
    /// The package or namespace.
    pub of: MemberOf,
    /// In which log it lives; none when it lives no more.
    pub log: Option<Log>,
    /// The user's role.
    pub role: Role,
    /// Whether it has another owner.
    pub has_other_owner: bool,
}

/// # Errors
/// `invalid_field` unless the text is of the form `somebody@somewhere` and short enough.
pub fn check_email(text: &str) -> Result<String, Refusal> {
    let is_part = |part: &str| !part.is_empty() && !part.contains('@');
    let is_clean = !text.chars().any(|letter| letter.is_control() || letter.is_whitespace());
    let is_address = text.split_once('@').is_some_and(|(local, host)| is_part(local) && is_part(host));
    if is_clean && is_address && text.len() <= EMAIL_BYTES_MAX {
        return Ok(text.to_owned());
    }
    let message = format!(
        "`{}` is no e-mail address: write `somebody@somewhere` in at most {EMAIL_BYTES_MAX} bytes.",
        shown(text)
    );
    Err(Refusal::field(Reason::InvalidField, "email", message).with_limit(EMAIL_BYTES_MAX as u64))
}

/// The refusal for a user who is not there.
pub fn user_not_found(name: &UserName) -> Refusal {
    let message = format!("There is no user `{name}`: check the name; `GET /v1/users` lists them.");
    Refusal::new(Reason::UserNotFound, message)
}

/// The new user; `is_taken` says whether somebody has or had the name.
///
/// # Errors
/// `user_exists`.
pub fn decide_user_creation(
    is_taken: bool,
    ask: &UserCreation,
    id: UserId,
    password_hash: Option<String>,
    now: Timestamp,
) -> Result<User, Refusal> {
    if is_taken {
        let message =
            format!("The user name `{}` is taken, or was by a user who was deleted: choose another one.", ask.name);
        return Err(Refusal::field(Reason::UserExists, "name", message));
    }
    Ok(User {
        id,
        name: ask.name.clone(),
        email: ask.email.clone(),
        admin: ask.admin,
        disabled: false,
        password_hash,
        created_at: now,
    })
}

/// The user as patched, and the changes that lead there (none when nothing differs).
///
/// Disabling revokes all of the user's tokens for good, so that enabling revives none; a new password ends the
/// user's login tokens but for `spared`.
///
/// # Errors
/// `last_admin` when nobody could administer afterwards.
pub fn decide_user_patch(
    state: &UserState,
    patch: &UserPatch,
    spared: Option<TokenId>,
    now: Timestamp,
) -> Result<(User, Vec<Change>), Refusal> {
    let before = &state.user;
    let user = User {
        email: patch.email.applied_to(before.email.as_ref()),
        admin: patch.admin.unwrap_or(before.admin),
        disabled: patch.disabled.unwrap_or(before.disabled),
        password_hash: patch.password_hash.applied_to(before.password_hash.as_ref()),
        ..before.clone()
    };
    if user == *before {
        return Ok((user, Vec::new()));
    }
    if !user.admin || user.disabled {
        check_last_admin(state)?;
    }
    let ended = if user.disabled && !before.disabled {
        decide_revocation(&state.tokens, |token| token.user == user.id, now)
    } else if user.password_hash != before.password_hash {
        let is_login =
            |token: &Token| token.user == user.id && token.kind == TokenKind::Login && Some(token.id) != spared;
        decide_revocation(&state.tokens, is_login, now)
    } else {
        Vec::new()
    };
    let mut changes = vec![Change::PutUser(Box::new(user.clone()))];
    changes.extend(put_tokens(ended));
    Ok((user, changes))
}

/// The changes that delete a user, what their tokens made for others included.
///
/// # Errors
/// `last_admin`; `sole_owner`, naming what nobody else owns.
pub fn decide_user_deletion(state: &UserState, owned: &[Ownership], now: Timestamp) -> Result<Vec<Change>, Refusal> {
    check_last_admin(state)?;
    let user = state.user.id;
    let is_orphan = |one: &&Ownership| one.role == Role::Owner && one.log.is_some() && !one.has_other_owner;
    let orphans: Vec<&MemberOf> = owned.iter().filter(is_orphan).map(|one| &one.of).collect();
    if !orphans.is_empty() {
        return Err(sole_owner(&state.user.name, &orphans));
    }
    let mut ended = decide_revocation(&state.tokens, |token| token.user == user, now);
    ended.retain(|token| token.user != user);
    let mut changes: Vec<Change> = put_tokens(ended).collect();
    for one in owned {
        changes.push(Change::RemoveMember { of: one.of.clone(), user });
        if let (Role::Owner, Some(log)) = (one.role, one.log) {
            let of = match &one.of {
                MemberOf::Package(name) => Owned::Package(name.clone()),
                MemberOf::Namespace(name) => Owned::Namespace(name.clone()),
            };
            changes.push(Change::Event(Event { log, time: now, fact: Fact::OwnerRemoved { of, owner: user } }));
        }
    }
    changes.push(Change::RemoveUser(user));
    Ok(changes)
}

/// Tokens as they are now, as changes.
pub fn put_tokens(tokens: Vec<Token>) -> impl Iterator<Item = Change> {
    tokens.into_iter().map(|token| Change::PutToken(Box::new(token)))
}

fn check_last_admin(state: &UserState) -> Result<(), Refusal> {
    let UserState { user, has_other_admin, .. } = state;
    if !user.admin || user.disabled || *has_other_admin {
        return Ok(());
    }
    let message = format!("`{}` is the last admin who is not disabled: make somebody else an admin first.", user.name);
    Err(Refusal::new(Reason::LastAdmin, message))
}

fn sole_owner(name: &UserName, orphans: &[&MemberOf]) -> Refusal {
    let count = orphans.len();
    let things = if count == 1 { "1 thing" } else { &format!("{count} things") };
    let message = format!("`{name}` is the only owner of {things}: give each another owner first (see `details`).");
    let described = orphans.iter().take(ORPHANS_SHOWN_MAX).map(|of| match of {
        MemberOf::Package(package) => ("package", format!("the package `{package}`")),
        MemberOf::Namespace(namespace) => ("namespace", format!("the namespace `{namespace}`")),
    });
    described.fold(Refusal::new(Reason::SoleOwner, message), |refusal, (field, message)| {
        refusal.with_detail(Detail { field: field.to_owned(), reason: Reason::SoleOwner, message, limit: None })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Sha256;
    use crate::domain::id::Id;
    use crate::domain::name::{NamespaceName, PackageName};
    use crate::domain::token::{Patterns, Scopes};

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn token(id: u128, user: u128, kind: TokenKind, made_by: Option<u128>) -> Token {
        Token {
            id: Id(id),
            name: "t".to_owned(),
            user: Id(user),
            kind,
            scopes: Scopes::ALL,
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

    /// An admin with a login and a token, which made one for somebody else.
    fn state(has_other_admin: bool) -> UserState {
        let ask = UserCreation { name: UserName::parse("pia").unwrap(), email: None, admin: true };
        let user = decide_user_creation(false, &ask, Id(1), Some("old".to_owned()), NOW).unwrap();
        let tokens = vec![
            token(10, 1, TokenKind::Login, None),
            token(11, 1, TokenKind::Login, None),
            token(12, 1, TokenKind::Token, Some(10)),
            token(13, 2, TokenKind::Token, Some(12)),
            token(14, 2, TokenKind::Token, None),
        ];
        UserState { user, tokens, has_other_admin }
    }

    fn revoked(changes: &[Change]) -> Vec<u128> {
        let id = |change: &Change| if let Change::PutToken(token) = change { Some(token.id.0) } else { None };
        changes.iter().filter_map(id).collect()
    }

    #[track_caller]
    fn check(patch: &UserPatch, has_other_admin: bool, expected: Result<&[u128], Reason>) {
        let decided = decide_user_patch(&state(has_other_admin), patch, Some(Id(10)), NOW);
        let ended = decided.map(|(_, changes)| revoked(&changes)).map_err(|refusal| refusal.reason);
        assert_eq!(ended, expected.map(<[u128]>::to_vec));
    }

    #[test]
    fn disabling_ends_all_tokens_and_a_new_password_the_other_logins() {
        let disable = UserPatch { disabled: Some(true), ..UserPatch::default() };
        check(&disable, true, Ok(&[10, 11, 12, 13]));
        let password = UserPatch { password_hash: Field::Set("new".to_owned()), ..UserPatch::default() };
        check(&password, false, Ok(&[11]));
        check(&UserPatch { password_hash: Field::Clear, ..UserPatch::default() }, false, Ok(&[11]));
        check(&UserPatch { admin: Some(false), ..UserPatch::default() }, true, Ok(&[]));
        let state = state(false);
        let same =
            UserPatch { email: Field::Clear, admin: Some(true), disabled: Some(false), password_hash: Field::Keep };
        assert_eq!(decide_user_patch(&state, &same, None, NOW), Ok((state.user.clone(), Vec::new())));
    }

    #[test]
    fn the_last_admin_stays() {
        check(&UserPatch { disabled: Some(true), ..UserPatch::default() }, false, Err(Reason::LastAdmin));
        check(&UserPatch { admin: Some(false), ..UserPatch::default() }, false, Err(Reason::LastAdmin));
        check(&UserPatch { email: Field::Set("p@x".to_owned()), ..UserPatch::default() }, false, Ok(&[]));
        let reason = |state: &UserState| decide_user_deletion(state, &[], NOW).err().map(|refusal| refusal.reason);
        assert_eq!(reason(&state(false)), Some(Reason::LastAdmin));
        assert_eq!(reason(&state(true)), None);
        let mut disabled = state(false);
        disabled.user.disabled = true;
        assert_eq!(reason(&disabled), None);
    }

    #[test]
    fn who_owns_something_alone_is_not_deleted() {
        let package = MemberOf::Package(PackageName::parse("gk/jwt").unwrap());
        let namespace = MemberOf::Namespace(NamespaceName::parse("gk").unwrap());
        let own = |of: &MemberOf, log, role, has_other_owner| Ownership { of: of.clone(), log, role, has_other_owner };
        let public = Some(Log::Public);
        let alone =
            [own(&namespace, public, Role::Owner, false), own(&package, Some(Log::Internal), Role::Owner, false)];
        let refusal = decide_user_deletion(&state(true), &alone, NOW).unwrap_err();
        assert_eq!(refusal.reason, Reason::SoleOwner);
        let named: Vec<&str> = refusal.details.iter().map(|detail| detail.message.as_str()).collect();
        assert_eq!(named, ["the namespace `gk`", "the package `gk/jwt`"]);
        let fine = [
            own(&namespace, public, Role::Owner, true),
            own(&package, public, Role::Publisher, false),
            own(&package, None, Role::Owner, false),
        ];
        let changes = decide_user_deletion(&state(true), &fine, NOW).unwrap();
        assert_eq!(revoked(&changes), [13], "what a token made for others ends; the user's own go with the user");
        let of = Owned::Namespace(NamespaceName::parse("gk").unwrap());
        let fact = Fact::OwnerRemoved { of, owner: Id(1) };
        let events: Vec<&Change> = changes.iter().filter(|change| matches!(change, Change::Event(_))).collect();
        assert_eq!(events, [&Change::Event(Event { log: Log::Public, time: NOW, fact })]);
        assert_eq!(changes.last(), Some(&Change::RemoveUser(Id(1))));
    }

    #[test]
    fn addresses_have_two_parts() {
        for wrong in ["", "pia", "@x", "pia@", "a@b@c", "a b@c", "a@b\n", &format!("a@{}", "x".repeat(253))] {
            assert_eq!(check_email(wrong).unwrap_err().reason, Reason::InvalidField, "{wrong}");
        }
        assert_eq!(check_email("pia@example.org"), Ok("pia@example.org".to_owned()));
    }
}

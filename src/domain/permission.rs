//! Who may do what with a package: one exhaustive function.
//!
//! Hidden beats forbidden: what a caller may not see is answered as if it were not there.

use super::caller::Caller;
use super::name::PackageName;
use super::package::{Role, Visibility};
use super::refusal::{Reason, Refusal};
use super::token::Scope;

/// What somebody wants to do with a package or its versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// See it, resolve it, download it.
    Read,
    /// Publish, yank and deprecate versions.
    Publish,
    /// Change the package, its members, or remove it while it is empty.
    Govern,
    /// Purge it or one of its versions.
    Purge,
}

/// What the caller is to one package.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Who may read the package.
    pub visibility: Visibility,
    /// The larger of the caller's roles in the package and in its namespace.
    pub role: Option<Role>,
}

/// What the caller is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Go on.
    Allowed,
    /// As if the package were not there.
    Hidden,
    /// The package may be seen, but this may not be done with it.
    Denied(Reason),
}

/// Whether `caller` may do `action` with `package`, in which it stands as `standing` says.
///
/// An admin (an admin's token with the scope `admin`, or somebody local) acts as owner everywhere; an admin's token
/// without that scope does not. Patterns limit everything but the reading of public packages.
pub fn may(caller: &Caller, action: Action, package: &PackageName, standing: Standing) -> Verdict {
    let covered = caller.covers_package(package);
    let role = if caller.is_admin() { Some(Role::Owner) } else { standing.role };
    let visible = match standing.visibility {
        Visibility::Public => true,
        Visibility::Private => covered && role.is_some() && *caller != Caller::Anonymous,
    };
    if !visible {
        return Verdict::Hidden;
    }
    let (scope, needed) = match action {
        Action::Read => return Verdict::Allowed,
        Action::Publish => (Scope::Publish, Role::Publisher),
        Action::Govern => (Scope::Publish, Role::Owner),
        Action::Purge => (Scope::Admin, Role::Owner),
    };
    if *caller == Caller::Anonymous {
        return Verdict::Denied(Reason::MissingToken);
    }
    if !caller.has_scope(scope) {
        return Verdict::Denied(Reason::MissingScope);
    }
    if !covered {
        return Verdict::Denied(Reason::TokenPackages);
    }
    if role.is_some_and(|role| role >= needed) { Verdict::Allowed } else { Verdict::Denied(Reason::MissingRole) }
}

/// Whether the caller administers the whole instance (users, audit, other users' tokens), which patterns limit too.
///
/// # Errors
/// `missing_token`, `missing_scope` or `token_packages`.
pub fn instance_admin(caller: &Caller) -> Result<(), Refusal> {
    if *caller == Caller::Anonymous {
        return Err(Refusal::new(
            Reason::MissingToken,
            "This needs an admin's token with the scope `admin`: send one.",
        ));
    }
    if !caller.is_admin() {
        let message = "This needs an admin's token with the scope `admin`: use such a token.";
        return Err(Refusal::new(Reason::MissingScope, message));
    }
    if !caller.covers_all() {
        let message = "This concerns the whole registry, and your token covers some packages: use one that covers `*`.";
        return Err(Refusal::new(Reason::TokenPackages, message));
    }
    Ok(())
}

/// The refusal for a package that is absent or hidden: the same text for both.
pub fn package_not_found(name: &PackageName) -> Refusal {
    let message = format!(
        "There is no package `{name}`, or your credentials don't show it: check the name, or send a token that may read it."
    );
    Refusal::new(Reason::PackageNotFound, message)
}

/// The refusal that goes with a denial.
pub fn denied(reason: Reason, action: Action, name: &PackageName) -> Refusal {
    let (what, role) = match action {
        Action::Read => ("read", "reader"),
        Action::Publish => ("publish to", "publisher"),
        Action::Govern => ("govern", "owner"),
        Action::Purge => ("purge", "owner"),
    };
    let next = if reason == Reason::MissingScope {
        "use a token with the scope that this needs"
    } else if reason == Reason::TokenPackages {
        "use a token whose package patterns cover it"
    } else if reason == Reason::MissingToken {
        "send a token"
    } else {
        "ask one of its owners for that role"
    };
    Refusal::new(reason, format!("You may not {what} `{name}`: that needs the role `{role}` or more; {next}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::TokenCaller;
    use crate::domain::id::Id;
    use crate::domain::name::UserName;
    use crate::domain::token::{Pattern, Patterns, Scopes, TokenKind};

    const ROLES: [Option<Role>; 4] = [None, Some(Role::Reader), Some(Role::Publisher), Some(Role::Owner)];
    const ACTIONS: [Action; 4] = [Action::Read, Action::Publish, Action::Govern, Action::Purge];

    fn caller(scope: Scope, admin: bool, pattern: &str) -> Caller {
        Caller::Token(Box::new(TokenCaller {
            user: Id(1),
            user_name: UserName::parse("pia").unwrap(),
            user_is_admin: admin,
            token: Id(2),
            kind: TokenKind::Token,
            scopes: Scopes::new([scope]).unwrap(),
            patterns: Patterns::new(vec![Pattern::parse(pattern).unwrap()]).unwrap(),
            expires_at: None,
        }))
    }

    /// One letter for each role (none, reader, publisher, owner) and action (read, publish, govern, purge):
    /// `+` allowed, `.` hidden, `s` scope, `p` patterns, `r` role, `t` token missing.
    #[track_caller]
    fn check(caller: &Caller, visibility: Visibility, expected: &str) {
        let package = PackageName::parse("gk/jwt").unwrap();
        let letter = |role, action| match may(caller, action, &package, Standing { visibility, role }) {
            Verdict::Allowed => '+',
            Verdict::Hidden => '.',
            Verdict::Denied(Reason::MissingScope) => 's',
            Verdict::Denied(Reason::TokenPackages) => 'p',
            Verdict::Denied(Reason::MissingRole) => 'r',
            Verdict::Denied(Reason::MissingToken) => 't',
            Verdict::Denied(other) => panic!("{other}"),
        };
        let rows = ROLES.map(|role| ACTIONS.map(|action| letter(role, action)).iter().collect::<String>());
        assert_eq!(rows.join(" "), expected, "{caller:?} {visibility:?}");
    }

    #[test]
    fn the_truth_table_holds() {
        use Visibility::{Private, Public};
        check(&Caller::Anonymous, Public, "+ttt +ttt +ttt +ttt");
        check(&Caller::Anonymous, Private, ".... .... .... ....");
        check(&caller(Scope::Read, false, "*"), Public, "+sss +sss +sss +sss");
        check(&caller(Scope::Read, false, "*"), Private, ".... +sss +sss +sss");
        check(&caller(Scope::Publish, false, "*"), Public, "+rrs +rrs ++rs +++s");
        check(&caller(Scope::Publish, false, "*"), Private, ".... +rrs ++rs +++s");
        check(&caller(Scope::Publish, false, "gk/*"), Private, ".... +rrs ++rs +++s");
        check(&caller(Scope::Publish, false, "other/*"), Public, "+pps +pps +pps +pps");
        check(&caller(Scope::Publish, false, "other/*"), Private, ".... .... .... ....");
        check(&caller(Scope::Admin, true, "*"), Private, "++++ ++++ ++++ ++++");
        check(&caller(Scope::Admin, true, "other/*"), Private, ".... .... .... ....");
        check(&caller(Scope::Admin, true, "other/*"), Public, "+ppp +ppp +ppp +ppp");
        check(&caller(Scope::Read, true, "*"), Private, ".... +sss +sss +sss");
        check(&caller(Scope::Admin, false, "*"), Public, "+rrs +rrs ++rs +++s");
        check(&Caller::Local { uid: 0 }, Private, "++++ ++++ ++++ ++++");
    }
}

//! The people of the tests, what they may do, and the small world that they live in.
//!
//! Ids and secrets are fixed, so that two worlds made at one time differ only where they are meant to.

use vix_registry::domain::change::Change;
use vix_registry::domain::id::Id;
use vix_registry::domain::name::{NamespaceName, PackageName, UserName};
use vix_registry::domain::package::{Member, MemberOf, Namespace, Role, Visibility};
use vix_registry::domain::time::Timestamp;
use vix_registry::domain::token::{Pattern, Patterns, Scope, Scopes, Token, TokenKind, TokenText};
use vix_registry::domain::user::User;

use super::client::Ask;
use super::server::Server;

/// A public package of the namespace `gk`.
pub(crate) const PUBLIC: &str = "gk/jwt";
/// A private package of the namespace `gk`, in worlds that have it.
pub(crate) const HIDDEN: &str = "gk/hidden";
/// A package of somebody else.
pub(crate) const OTHERS: &str = "others/lib";
/// The version that each of them has.
pub(crate) const VERSION: &str = "1.0.0";

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Persona {
    Anonymous,
    /// May read `gk/jwt` and `gk/hidden`; the token could publish.
    Reader,
    /// May publish to both.
    Publisher,
    /// Owns the namespace `gk` and made its packages.
    Owner,
    /// Owns the namespace `others`, and is nobody in `gk`.
    OtherOwner,
    Admin,
    /// The owner, with a token that has expired.
    Expired,
    /// The owner, with a token that was revoked.
    Revoked,
    /// An owner of both packages, who was disabled.
    Disabled,
    /// May publish in the whole namespace `gk`.
    NamespacePublisher,
    /// An admin, with a token that may only read.
    AdminReadOnly,
    /// The owner, with a token for packages of `others` alone.
    ForeignPattern,
}

impl Persona {
    pub(crate) const ALL: [Self; 12] = [
        Self::Anonymous,
        Self::Reader,
        Self::Publisher,
        Self::Owner,
        Self::OtherOwner,
        Self::Admin,
        Self::Expired,
        Self::Revoked,
        Self::Disabled,
        Self::NamespacePublisher,
        Self::AdminReadOnly,
        Self::ForeignPattern,
    ];

    /// The user that the persona's token belongs to.
    pub(crate) fn user(self) -> &'static str {
        match self {
            Self::Anonymous => "",
            Self::Reader => "reader",
            Self::Publisher => "publisher",
            Self::Owner | Self::Expired | Self::Revoked | Self::ForeignPattern => "owner",
            Self::OtherOwner => "other",
            Self::Admin | Self::AdminReadOnly => "root",
            Self::Disabled => "gone",
            Self::NamespacePublisher => "nspub",
        }
    }

    /// The role in the packages of `gk`, inherited ones too.
    pub(crate) fn role(self) -> Option<Role> {
        match self {
            Self::Anonymous | Self::OtherOwner | Self::Admin | Self::AdminReadOnly => None,
            Self::Reader => Some(Role::Reader),
            Self::Publisher | Self::NamespacePublisher => Some(Role::Publisher),
            Self::Owner | Self::Expired | Self::Revoked | Self::Disabled | Self::ForeignPattern => Some(Role::Owner),
        }
    }

    /// The role in the namespace `gk` itself.
    pub(crate) fn namespace_role(self) -> Option<Role> {
        match self {
            Self::Reader | Self::Publisher | Self::Disabled => None,
            Self::Anonymous
            | Self::Owner
            | Self::OtherOwner
            | Self::Admin
            | Self::Expired
            | Self::Revoked
            | Self::NamespacePublisher
            | Self::AdminReadOnly
            | Self::ForeignPattern => self.role(),
        }
    }

    /// The largest scope of the token.
    pub(crate) fn scope(self) -> Option<Scope> {
        match self {
            Self::Anonymous => None,
            Self::Admin => Some(Scope::Admin),
            Self::AdminReadOnly => Some(Scope::Read),
            Self::Reader
            | Self::Publisher
            | Self::Owner
            | Self::OtherOwner
            | Self::Expired
            | Self::Revoked
            | Self::Disabled
            | Self::NamespacePublisher
            | Self::ForeignPattern => Some(Scope::Publish),
        }
    }

    /// Why the credential is no good, if it is not.
    pub(crate) fn dead(self) -> Option<&'static str> {
        match self {
            Self::Expired => Some("expired_token"),
            Self::Revoked => Some("revoked_token"),
            Self::Disabled => Some("disabled_user"),
            Self::Anonymous
            | Self::Reader
            | Self::Publisher
            | Self::Owner
            | Self::OtherOwner
            | Self::Admin
            | Self::NamespacePublisher
            | Self::AdminReadOnly
            | Self::ForeignPattern => None,
        }
    }

    fn pattern(self) -> &'static str {
        if self == Self::ForeignPattern { "others/*" } else { "*" }
    }

    /// The secret to send; empty for nobody.
    pub(crate) fn token(self) -> String {
        if self == Self::Anonymous { String::new() } else { self.secret().reveal().to_owned() }
    }

    fn secret(self) -> TokenText {
        TokenText::from_random(&[self as u8 + 1; 32])
    }

    /// The id of the persona's token.
    pub(crate) fn token_id(self) -> Id {
        Id(1000 + self as u128)
    }

    fn token_row(self, now: Timestamp) -> Token {
        const HOUR_MS: i64 = 3_600_000;
        Token {
            id: self.token_id(),
            name: format!("{self:?}").to_lowercase(),
            user: user_id(self.user()),
            kind: TokenKind::Token,
            scopes: Scopes::new(self.scope()).expect("a scope"),
            patterns: Patterns::new(vec![Pattern::parse(self.pattern()).expect("a pattern")]).expect("one pattern"),
            hash: self.secret().hash(),
            former: None,
            made_by: None,
            created_at: now.plus_ms(-HOUR_MS),
            expires_at: (self == Self::Expired).then(|| now.plus_ms(-1)),
            last_used_at: None,
            revoked_at: (self == Self::Revoked).then(|| now.plus_ms(-1)),
        }
    }
}

const USERS: [&str; 7] = ["reader", "publisher", "owner", "other", "root", "gone", "nspub"];

/// The id of a user of the tests.
pub(crate) fn user_id(name: &str) -> Id {
    Id(1 + USERS.iter().position(|known| *known == name).expect("a user of the tests") as u128)
}

/// Makes the users, their tokens, and the namespaces `gk` and `others`.
pub(crate) fn people(server: &Server) {
    let now = server.now();
    let user = |name: &&str| {
        Change::PutUser(Box::new(User {
            id: user_id(name),
            name: UserName::parse(name).expect("a name"),
            email: None,
            admin: *name == "root",
            disabled: false,
            password_hash: None,
            created_at: now,
        }))
    };
    let mut changes: Vec<Change> = USERS.iter().map(user).collect();
    for persona in Persona::ALL.into_iter().filter(|persona| *persona != Persona::Anonymous) {
        changes.push(Change::PutToken(Box::new(persona.token_row(now))));
    }
    for (name, owner) in [("gk", "owner"), ("others", "other")] {
        let name = NamespaceName::parse(name).expect("a name");
        changes.push(Change::PutNamespace(Namespace {
            name: name.clone(),
            description: None,
            default_visibility: Visibility::Public,
            held_package: false,
            created_at: now,
        }));
        changes.push(member(MemberOf::Namespace(name), owner, Role::Owner, now));
    }
    let gk = NamespaceName::parse("gk").expect("a name");
    changes.push(member(MemberOf::Namespace(gk), "nspub", Role::Publisher, now));
    server.seed(changes);
}

fn member(of: MemberOf, user: &str, role: Role, since: Timestamp) -> Change {
    Change::PutMember { of, member: Member { user: user_id(user), role, since } }
}

/// The bytes of the packages of [`world`].
pub(crate) fn world_bytes(package: &str) -> Vec<u8> {
    format!("the artifact of {package}").into_bytes()
}

/// [`people`], and their packages; `gk/hidden` only when asked for. `gone` is disabled last.
pub(crate) fn world(server: &Server, with_hidden: bool) {
    people(server);
    let hidden = with_hidden.then_some((HIDDEN, Persona::Owner, "&visibility=private"));
    let packages = [Some((PUBLIC, Persona::Owner, "")), hidden, Some((OTHERS, Persona::OtherOwner, ""))];
    for (package, by, visibility) in packages.into_iter().flatten() {
        let path = format!("/v1/packages/{package}/versions/{VERSION}?create=true{visibility}");
        server.ask(&Ask::put(&path, world_bytes(package)).token(&by.token())).expect(201);
    }
    let now = server.now();
    let mut changes = Vec::new();
    for package in [Some(PUBLIC), with_hidden.then_some(HIDDEN)].into_iter().flatten() {
        let of = MemberOf::Package(PackageName::parse(package).expect("a name"));
        for (user, role) in [("reader", Role::Reader), ("publisher", Role::Publisher), ("gone", Role::Owner)] {
            changes.push(member(of.clone(), user, role, now));
        }
    }
    changes.push(Change::PutUser(Box::new(User {
        id: user_id("gone"),
        name: UserName::parse("gone").expect("a name"),
        email: None,
        admin: false,
        disabled: true,
        password_hash: None,
        created_at: now,
    })));
    server.seed(changes);
}

impl Server {
    /// Ends a persona's token from now on.
    pub(crate) fn revoke(&self, persona: Persona) {
        let row = Token { revoked_at: Some(self.now()), ..persona.token_row(self.now()) };
        self.seed(vec![Change::PutToken(Box::new(row))]);
    }
}

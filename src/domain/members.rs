//! The decisions about members of packages and namespaces: who joins, as what, who leaves, and that an owner stays.
//!
//! The last owner of a package stays even where its namespace has owners: `owners` of a package are its own, and taking
//! over a namespace must not silently make its packages somebody else's.

use super::change::Change;
use super::event::{Event, Fact, Log, Owned};
use super::name::UserName;
use super::package::{Member, MemberOf, Package, Role};
use super::refusal::{Reason, Refusal};
use super::time::Timestamp;
use super::user::UserId;

/// What starts a principal that is a user.
const USER_PREFIX: &str = "user:";

/// Who can be a member. Teams come later.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Principal {
    /// `user:NAME`.
    User(UserName),
}

impl Principal {
    /// # Errors
    /// `invalid_name` when the text is not `user:NAME`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let name = text.strip_prefix(USER_PREFIX).map(UserName::parse);
        let name = name.and_then(Result::ok).ok_or_else(|| {
            let shown = super::name::shown(text);
            let message = format!("`{shown}` is no principal: write `user:NAME`.");
            Refusal::field(Reason::InvalidName, "principal", message)
        })?;
        Ok(Self::User(name))
    }

    /// The user's name.
    pub const fn user(&self) -> &UserName {
        match self {
            Self::User(name) => name,
        }
    }
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(name) => write!(f, "{USER_PREFIX}{name}"),
        }
    }
}

/// The members of one thing.
#[derive(Clone, Copy, Debug)]
pub struct Membership<'a> {
    /// Of what.
    pub of: &'a MemberOf,
    /// The package, when it is one.
    pub package: Option<&'a Package>,
    /// All of its own members.
    pub members: &'a [Member],
}

impl Membership<'_> {
    /// Decides that `user` is a member with this role from now on. Empty: that is so already.
    ///
    /// # Errors
    /// `last_owner` when that would take the role of the last owner.
    pub fn decide_put(&self, who: (UserId, &UserName), role: Role, now: Timestamp) -> Result<Vec<Change>, Refusal> {
        let (user, name) = who;
        let former = self.find(user).map(|member| member.role);
        if former == Some(role) {
            return Ok(Vec::new());
        }
        if former == Some(Role::Owner) {
            self.check_other_owner(user, name)?;
        }
        let member = Member { user, role, since: now };
        let put = Change::PutMember { of: self.of.clone(), member };
        Ok(self.recorded(put, (user, former, Some(role)), now))
    }

    /// Decides that `user` is no member any more.
    ///
    /// # Errors
    /// `member_not_found`, or `last_owner` for the last owner.
    pub fn decide_remove(&self, who: (UserId, &UserName), now: Timestamp) -> Result<(Vec<Change>, Member), Refusal> {
        let (user, name) = who;
        let member = *self.find(user).ok_or_else(|| member_not_found(self.of, name))?;
        if member.role == Role::Owner {
            self.check_other_owner(user, name)?;
        }
        let remove = Change::RemoveMember { of: self.of.clone(), user };
        Ok((self.recorded(remove, (user, Some(member.role), None), now), member))
    }

    fn find(&self, user: UserId) -> Option<&Member> {
        self.members.iter().find(|member| member.user == user)
    }

    fn check_other_owner(&self, user: UserId, name: &UserName) -> Result<(), Refusal> {
        if self.members.iter().any(|other| other.user != user && other.role == Role::Owner) {
            return Ok(());
        }
        let message = format!("`user:{name}` is the last owner of {}: add another owner first.", named(self.of));
        Err(Refusal::new(Reason::LastOwner, message))
    }

    /// The change itself and, where an owner comes or goes, its event and the package's new time.
    fn recorded(&self, change: Change, roles: (UserId, Option<Role>, Option<Role>), now: Timestamp) -> Vec<Change> {
        let (owner, former, new) = roles;
        let of = match self.of {
            MemberOf::Package(name) => Owned::Package(name.clone()),
            MemberOf::Namespace(name) => Owned::Namespace(name.clone()),
        };
        let fact = match (former == Some(Role::Owner), new == Some(Role::Owner)) {
            (false, true) => Fact::OwnerAdded { of, owner },
            (true, false) => Fact::OwnerRemoved { of, owner },
            (true, true) | (false, false) => return vec![change],
        };
        let log = self.package.map_or(Log::Public, |package| Log::of(package.visibility));
        let mut changes = vec![change];
        changes.extend(
            self.package.map(|package| Change::PutPackage(Box::new(Package { updated_at: now, ..package.clone() }))),
        );
        changes.push(Change::Event(Event { log, time: now, fact }));
        changes
    }
}

/// The refusal for somebody who is no member, or whom the caller may not see as one.
pub fn member_not_found(of: &MemberOf, name: &UserName) -> Refusal {
    let message = format!("`user:{name}` has no role of its own in {}: list its members.", named(of));
    Refusal::new(Reason::MemberNotFound, message)
}

fn named(of: &MemberOf) -> String {
    match of {
        MemberOf::Package(name) => format!("`{name}`"),
        MemberOf::Namespace(name) => format!("the namespace `{name}`"),
    }
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;

//! What one caller may read, worked out once for an operation that looks at many packages.

use std::collections::HashSet;

use crate::domain::caller::Caller;
use crate::domain::name::PackageName;
use crate::domain::package::{MemberOf, Package, Role, Visibility};
use crate::domain::permission::{Action, Standing, Verdict, may};
use crate::storage::{StoreError, View};

/// A caller and everything that it is a member of, as of one transaction.
pub struct Reach {
    caller: Caller,
    member_of: HashSet<MemberOf>,
}

impl Reach {
    /// Loads the caller's memberships.
    ///
    /// # Errors
    /// The store's own.
    pub fn load(view: &View<'_>, caller: &Caller) -> Result<Self, StoreError> {
        let member_of = match caller.user() {
            Some(user) => view.memberships(user)?.into_iter().collect(),
            None => HashSet::new(),
        };
        Ok(Self { caller: caller.clone(), member_of })
    }

    /// Whether the caller may read the package, a purged one too.
    pub fn may_read(&self, package: &Package) -> bool {
        let role = match package.visibility {
            Visibility::Public => None,
            // Every role reads.
            Visibility::Private => self.is_member(&package.name).then_some(Role::Reader),
        };
        let standing = Standing { visibility: package.visibility, role };
        may(&self.caller, Action::Read, &package.name, standing) == Verdict::Allowed
    }

    fn is_member(&self, name: &PackageName) -> bool {
        let inherited = || {
            let namespace = name.namespace.as_ref();
            namespace.is_some_and(|namespace| self.member_of.contains(&MemberOf::Namespace(namespace.clone())))
        };
        !self.member_of.is_empty() && (self.member_of.contains(&MemberOf::Package(name.clone())) || inherited())
    }

    /// The package, if the caller may read it and it was not purged.
    ///
    /// # Errors
    /// The store's own.
    pub fn live(&self, view: &View<'_>, name: &PackageName) -> Result<Option<Package>, StoreError> {
        Ok(view.package(name)?.filter(|package| package.purged_at.is_none() && self.may_read(package)))
    }
}

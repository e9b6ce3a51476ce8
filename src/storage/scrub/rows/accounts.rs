//! Users, tokens, members, namespaces, uploads and the audit.

use super::RowCheck;
use crate::domain::audit::AuditEntry;
use crate::domain::digest::Sha256;
use crate::domain::id::Id;
use crate::domain::package::{Member, Namespace};
use crate::domain::token::Token;
use crate::domain::upload::Upload;
use crate::domain::user::User;
use crate::storage::keys;
use crate::storage::rows::Row;
use crate::storage::scrub::ScrubError;
use crate::storage::tables::{Counter, Table};

/// The bytes of an id in a key.
const ID_BYTES: usize = 16;

impl RowCheck<'_> {
    pub(super) fn accounts(&self) -> Result<(), ScrubError> {
        self.users()?;
        self.tokens()?;
        self.members()?;
        self.each(Table::Uploads, |key, value| {
            self.under_id(Table::Uploads, key, value, |upload: &Upload| upload.id);
            Ok(())
        })?;
        self.each(Table::Audit, |key, value| {
            self.under_id(Table::Audit, key, value, |entry: &AuditEntry| entry.id);
            Ok(())
        })?;
        Ok(())
    }

    /// The row, or a finding also when its key is not its id.
    fn under_id<T: Row>(&self, table: Table, key: &[u8], value: &[u8], id: impl FnOnce(&T) -> Id) -> Option<T> {
        let row = self.decoded::<T>(table, key, value)?;
        let id = id(&row);
        if key != id.to_bytes() {
            self.wrong(table, key, &format!("holds the id {id}"));
            return None;
        }
        Some(row)
    }

    fn users(&self) -> Result<(), ScrubError> {
        let users = self.each(Table::Users, |key, value| {
            let Some(user) = self.under_id(Table::Users, key, value, |user: &User| user.id) else { return Ok(()) };
            if self.look(|view| view.user_id(&user.name))? != Some(user.id) {
                self.wrong(Table::Users, key, &format!("the name `{}` does not lead to it", user.name));
            }
            Ok(())
        })?;
        self.counter(Counter::Users, users)?;
        self.each(Table::UserNames, |key, value| {
            let Some(id) = self.decoded::<Id>(Table::UserNames, key, value) else { return Ok(()) };
            let user = self.look(|view| view.user(id))?;
            if user.is_some_and(|user| user.name.as_str().as_bytes() != key) {
                self.wrong(Table::UserNames, key, "leads to a user of another name");
            }
            Ok(())
        })?;
        Ok(())
    }

    fn tokens(&self) -> Result<(), ScrubError> {
        let mut live = 0;
        self.each(Table::Tokens, |key, value| {
            let token = self.under_id(Table::Tokens, key, value, |token: &Token| token.id);
            let Some(token) = token else { return Ok(()) };
            live += u64::from(token.revoked_at.is_none());
            let row = (Table::Tokens, key);
            self.expect(row, Table::UserTokens, &keys::pair(&token.user.to_bytes(), key))?;
            self.expect(row, Table::Users, &token.user.to_bytes())?;
            for hash in hashes(&token) {
                if self.look(|view| view.token_by_hash(&hash))?.is_none_or(|found| found.id != token.id) {
                    self.wrong(Table::Tokens, key, "its hash does not lead to it");
                }
            }
            Ok(())
        })?;
        self.counter(Counter::Tokens, live)?;
        self.each(Table::TokenHashes, |key, value| {
            let Some(id) = self.decoded::<Id>(Table::TokenHashes, key, value) else { return Ok(()) };
            let token = self.look(|view| view.token(id))?;
            if !token.is_some_and(|token| hashes(&token).any(|hash| hash.0 == key)) {
                self.wrong(Table::TokenHashes, key, "leads to no token with this hash");
            }
            Ok(())
        })?;
        self.each(Table::UserTokens, |key, value| {
            self.empty(Table::UserTokens, key, value);
            let (user, id) = key.split_at_checked(ID_BYTES).unwrap_or_default();
            let token = match Id::from_bytes(id) {
                Some(id) => self.look(|view| view.token(id))?,
                None => None,
            };
            if token.is_none_or(|token| token.user.to_bytes() != user) {
                self.wrong(Table::UserTokens, key, "names no token of this user");
            }
            Ok(())
        })?;
        Ok(())
    }

    fn members(&self) -> Result<(), ScrubError> {
        self.each(Table::Members, |key, value| {
            let Some(member) = self.decoded::<Member>(Table::Members, key, value) else { return Ok(()) };
            let of = key.split(|byte| *byte == 0).next().and_then(keys::parse_member_of);
            let Some(of) = of.filter(|of| keys::member(of, member.user) == key) else {
                self.wrong(Table::Members, key, "key does not read, or its row names another user");
                return Ok(());
            };
            let row = (Table::Members, key);
            self.expect(row, Table::Memberships, &keys::membership(member.user, &of))?;
            self.expect(row, Table::Users, &member.user.to_bytes())?;
            if !self.exists(&of)? {
                self.wrong(Table::Members, key, "is a member of nothing that there is");
            }
            Ok(())
        })?;
        self.each(Table::Memberships, |key, value| {
            self.empty(Table::Memberships, key, value);
            let (user, of) = key.split_at_checked(ID_BYTES).unwrap_or_default();
            let member = Id::from_bytes(user).zip(keys::parse_member_of(of));
            let known = match member {
                Some((user, of)) => self.has(Table::Members, &keys::member(&of, user))?,
                None => false,
            };
            if !known {
                self.wrong(Table::Memberships, key, "there is no such member");
            }
            Ok(())
        })?;
        self.each(Table::Namespaces, |key, value| {
            let namespace = self.decoded::<Namespace>(Table::Namespaces, key, value);
            if namespace.is_some_and(|namespace| namespace.name.as_str().as_bytes() != key) {
                self.wrong(Table::Namespaces, key, "holds a namespace of another name");
            }
            Ok(())
        })?;
        Ok(())
    }
}

fn hashes(token: &Token) -> impl Iterator<Item = Sha256> {
    std::iter::once(token.hash).chain(token.former.as_ref().map(|former| former.hash))
}

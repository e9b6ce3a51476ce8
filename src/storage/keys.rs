//! How keys are put together: parts whose byte order is the order in which rows are read.

use crate::domain::event::Log;
use crate::domain::id::Id;
use crate::domain::name::{NamespaceName, PackageName};
use crate::domain::package::MemberOf;
use crate::domain::user::UserId;
use crate::domain::version::VersionNumber;
use crate::storage::journal::name::Generation;

/// A package's key: its name as text.
pub fn package(name: &PackageName) -> Vec<u8> {
    name.to_string().into_bytes()
}

/// What starts the key of each version of a package.
pub fn versions_of(name: &PackageName) -> Vec<u8> {
    let mut key = package(name);
    key.push(0);
    key
}

/// A version's key; versions of a package sort by precedence.
pub fn version(name: &PackageName, number: &VersionNumber) -> Vec<u8> {
    let mut key = versions_of(name);
    key.extend(number.precedence_key());
    key
}

/// The key of a look-alike class.
pub fn lookalike(name: &PackageName) -> Vec<u8> {
    let namespace = name.namespace.as_ref().map_or("", NamespaceName::as_str);
    format!("{namespace}/{}", name.name.lookalike_key()).into_bytes()
}

/// What starts the key of each member.
pub fn members_of(of: &MemberOf) -> Vec<u8> {
    let mut key = member_of(of);
    key.push(0);
    key
}

/// A member's key.
pub fn member(of: &MemberOf, user: UserId) -> Vec<u8> {
    let mut key = members_of(of);
    key.extend(user.to_bytes());
    key
}

/// A membership's key, by user first.
pub fn membership(user: UserId, of: &MemberOf) -> Vec<u8> {
    let mut key = user.to_bytes().to_vec();
    key.extend(member_of(of));
    key
}

fn member_of(of: &MemberOf) -> Vec<u8> {
    match of {
        MemberOf::Package(name) => format!("p{name}").into_bytes(),
        MemberOf::Namespace(name) => format!("n{name}").into_bytes(),
    }
}

/// The inverse of the part that names what a membership is of.
pub fn parse_member_of(text: &[u8]) -> Option<MemberOf> {
    let (kind, name) = std::str::from_utf8(text).ok()?.split_at_checked(1)?;
    match kind {
        "p" => PackageName::parse(name).ok().map(MemberOf::Package),
        "n" => NamespaceName::parse(name).ok().map(MemberOf::Namespace),
        _ => None,
    }
}

/// Two parts put together.
pub fn pair(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(first.len() + second.len());
    key.extend_from_slice(first);
    key.extend_from_slice(second);
    key
}

/// A number that sorts by value, then a package.
pub fn ranked(rank: u64, name: &PackageName) -> Vec<u8> {
    pair(&rank.to_be_bytes(), name.to_string().as_bytes())
}

/// The key of an event or a leaf.
pub fn event(log: Log, serial: u64) -> Vec<u8> {
    let mut key = vec![log_byte(log)];
    key.extend(serial.to_be_bytes());
    key
}

/// A log's number in keys.
pub const fn log_byte(log: Log) -> u8 {
    match log {
        Log::Public => 0,
        Log::Internal => 1,
    }
}

/// A snapshot of the journal: its generation's number, then its history.
pub fn snapshot(generation: &Generation) -> Vec<u8> {
    pair(&generation.number.to_be_bytes(), &generation.history.to_bytes())
}

/// Reads such a key back.
pub fn parse_snapshot(key: &[u8]) -> Option<Generation> {
    let (number, history) = key.split_first_chunk()?;
    Some(Generation { number: u64::from_be_bytes(*number), history: Id::from_bytes(history)? })
}

/// The first key after all those that start with `prefix`; `None` when there can be none (only `0xff` bytes).
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

//! From changes to rows: one arm per [`Change`], and everything that is derived from it.

use super::staging::Staging;
use crate::domain::audit::AuditEntry;
use crate::domain::change::{BlobFacts, Change};
use crate::domain::digest::Sha256;
use crate::domain::event::{Event, leaf_hash};
use crate::domain::id::Id;
use crate::domain::name::{NamespaceName, PackageName};
use crate::domain::package::{Dependency, Member, MemberOf, Namespace, Package, Version};
use crate::domain::token::Token;
use crate::domain::user::{User, UserId};
use crate::storage::rows::{BlobRow, Row, corrupt, empty_row};
use crate::storage::tables::{Counter, Table};
use crate::storage::view::View;
use crate::storage::{Moment, StoreError, keys};

/// Records one change in the staged transaction.
///
/// # Errors
/// That the backend failed, or that rows contradict each other ([`StoreError::Corrupt`]).
pub(super) fn apply(change: &Change, staging: &Staging<'_>, moment: Moment) -> Result<(), StoreError> {
    match change {
        Change::PutPackage(package) => put_package(package, staging),
        Change::RemovePackage(name) => remove_package(name, staging),
        Change::PutVersion { package, version, dependencies } => {
            put_version(package, version, dependencies.as_ref(), &At { staging, moment })
        }
        Change::PutBlob(facts) => put_blob(facts, staging, moment),
        Change::MarkBlobDamaged(sha256) => mark_blob_damaged(sha256, staging),
        Change::RemoveBlob(sha256) => remove_blob(sha256, staging),
        Change::PutNamespace(namespace) => put_namespace(namespace, staging),
        Change::RemoveNamespace(name) => remove_namespace(name, staging),
        Change::PutMember { of, member } => put_member(of, *member, staging),
        Change::RemoveMember { of, user } => remove_member(of, *user, staging),
        Change::PutUser(user) => put_user(user, staging),
        Change::RemoveUser(id) => remove_user(*id, staging),
        Change::PutToken(token) => put_token(token, staging),
        Change::PutUpload(upload) => staging.put(Table::Uploads, upload.id.to_bytes().to_vec(), upload.to_row()),
        Change::RemoveUpload(id) => staging.delete(Table::Uploads, id.to_bytes().to_vec()),
        Change::AddDownloads { package, version_key, count } => add_downloads(package, version_key, *count, staging),
        Change::Event(event) => append_event(event, staging),
        Change::Audit(entry) => append_audit(entry, staging),
        Change::PutSetting { key, value } => match value {
            Some(value) => staging.put(Table::Settings, vec![*key as u8], value.clone()),
            None => staging.delete(Table::Settings, vec![*key as u8]),
        },
    }
}

/// Where and when changes are applied.
struct At<'s, 't> {
    staging: &'s Staging<'t>,
    moment: Moment,
}

/// Moves a counter by `by`.
pub(super) fn count(staging: &Staging<'_>, counter: Counter, by: i64) -> Result<(), StoreError> {
    let now = View::new(staging).counter(counter)?;
    staging.put(Table::Counters, vec![counter as u8], now.saturating_add_signed(by).to_row())
}

fn counts(package: &Package) -> bool {
    package.purged_at.is_none()
}

fn put_package(package: &Package, staging: &Staging<'_>) -> Result<(), StoreError> {
    let view = View::new(staging);
    let former = view.package(&package.name)?;
    let updated_rank = package.updated_at.unix_ms();
    match &former {
        None => {
            staging.put(Table::Lookalikes, keys::lookalike(&package.name), package.name.to_string().into_bytes())?;
            staging.put(Table::ByDownloads, keys::ranked(0, &package.name), empty_row())?;
        }
        Some(former) => {
            staging.delete(Table::ByUpdated, keys::ranked(former.updated_at.unix_ms(), &package.name))?;
        }
    }
    staging.put(Table::ByUpdated, keys::ranked(updated_rank, &package.name), empty_row())?;
    let before = former.as_ref().is_some_and(counts);
    count(staging, Counter::Packages, i64::from(counts(package)) - i64::from(before))?;
    let former_latest = former.as_ref().and_then(|former| former.latest.clone());
    if former_latest != package.latest {
        if let Some(number) = former_latest {
            for needed in view.dependencies(&package.name, &number)? {
                staging.delete(Table::Dependents, dependent_key(&needed, &package.name))?;
            }
        }
        if let Some(number) = &package.latest {
            for needed in view.dependencies(&package.name, number)? {
                staging.put(Table::Dependents, dependent_key(&needed, &package.name), empty_row())?;
            }
        }
    }
    staging.put(Table::Packages, keys::package(&package.name), package.to_row())
}

fn dependent_key(needed: &Dependency, by: &PackageName) -> Vec<u8> {
    keys::pair(&keys::versions_of(&needed.name), by.to_string().as_bytes())
}

fn remove_package(name: &PackageName, staging: &Staging<'_>) -> Result<(), StoreError> {
    let view = View::new(staging);
    let Some(package) = view.package(name)? else { return Ok(()) };
    remove_members(&MemberOf::Package(name.clone()), staging)?;
    let downloads = view.downloads(name, None)?;
    staging.delete(Table::ByDownloads, keys::ranked(downloads, name))?;
    staging.delete(Table::ByUpdated, keys::ranked(package.updated_at.unix_ms(), name))?;
    staging.delete(Table::Lookalikes, keys::lookalike(name))?;
    staging.delete(Table::Packages, keys::package(name))?;
    count(staging, Counter::Packages, -i64::from(counts(&package)))
}

fn put_version(
    package: &PackageName,
    version: &Version,
    dependencies: Option<&Vec<Dependency>>,
    at: &At<'_, '_>,
) -> Result<(), StoreError> {
    let key = keys::version(package, &version.number);
    let former = View::new(at.staging).version(package, &version.number)?;
    let before: Vec<Sha256> = former.iter().flat_map(Version::blobs).collect();
    let after: Vec<Sha256> = version.blobs().collect();
    for digest in after.iter().filter(|digest| !before.contains(digest)) {
        refer(digest, &key, 1, at)?;
    }
    for digest in before.iter().filter(|digest| !after.contains(digest)) {
        refer(digest, &key, -1, at)?;
    }
    let counted = |version: &Version| i64::from(version.purged.is_none());
    count(at.staging, Counter::Versions, counted(version) - former.as_ref().map_or(0, counted))?;
    if let Some(dependencies) = dependencies {
        at.staging.put(Table::Dependencies, key.clone(), dependencies.to_row())?;
    }
    at.staging.put(Table::Versions, key, version.to_row())
}

/// Adds or removes one version's reference to a blob; a version that names a blob twice refers to it once.
fn refer(digest: &Sha256, version_key: &[u8], by: i64, at: &At<'_, '_>) -> Result<(), StoreError> {
    let view = View::new(at.staging);
    let ref_key = keys::pair(&digest.0, version_key);
    if view.has(Table::BlobRefs, &ref_key)? == (by > 0) {
        return Ok(());
    }
    let mut row = view
        .blob(digest)?
        .ok_or_else(|| corrupt(Table::Blobs, format!("a version refers to the blob {digest}, which has no row")))?;
    let former = row;
    row.count = row.count.saturating_add_signed(by);
    if former.count == 0 && row.count > 0 {
        row.referred_since = at.moment.tick;
        row.dropped_since = None;
    }
    if former.count > 0 && row.count == 0 {
        row.dropped_since = Some(at.moment.tick);
    }
    set_blob(digest, Some(&former), Some(&row), at.staging)?;
    if by > 0 {
        at.staging.put(Table::BlobRefs, ref_key, empty_row())
    } else {
        at.staging.delete(Table::BlobRefs, ref_key)
    }
}

/// Puts a blob's row in place of what it was, or removes it, and counts what that changes.
fn set_blob(
    digest: &Sha256,
    former: Option<&BlobRow>,
    row: Option<&BlobRow>,
    staging: &Staging<'_>,
) -> Result<(), StoreError> {
    let counted = |row: Option<&BlobRow>| match row {
        Some(row) if row.count > 0 => [1, i64::try_from(row.size).unwrap_or(i64::MAX), i64::from(row.damaged)],
        Some(_) | None => [0; 3],
    };
    let turns = counted(row).into_iter().zip(counted(former)).map(|(after, before)| after - before);
    for (counter, by) in [Counter::Blobs, Counter::BlobBytes, Counter::BlobsDamaged].into_iter().zip(turns) {
        if by != 0 {
            count(staging, counter, by)?;
        }
    }
    match row {
        Some(row) => staging.put(Table::Blobs, digest.0.to_vec(), row.to_row()),
        None => staging.delete(Table::Blobs, digest.0.to_vec()),
    }
}

fn put_blob(facts: &BlobFacts, staging: &Staging<'_>, moment: Moment) -> Result<(), StoreError> {
    let former = View::new(staging).blob(&facts.sha256)?;
    let BlobFacts { sha256, blake3, size } = *facts;
    let row = match former {
        Some(row) if !row.damaged => return Ok(()),
        // The row of damaged litter holds what its bytes were, not what they should have been.
        Some(row) => BlobRow { damaged: false, blake3, size, ..row },
        None => BlobRow {
            count: 0,
            size,
            sha256,
            blake3,
            referred_since: moment.tick,
            dropped_since: Some(moment.tick),
            damaged: false,
        },
    };
    set_blob(&sha256, former.as_ref(), Some(&row), staging)
}

fn mark_blob_damaged(sha256: &Sha256, staging: &Staging<'_>) -> Result<(), StoreError> {
    match View::new(staging).blob(sha256)? {
        Some(row) if !row.damaged => set_blob(sha256, Some(&row), Some(&BlobRow { damaged: true, ..row }), staging),
        Some(_) | None => Ok(()),
    }
}

fn remove_blob(sha256: &Sha256, staging: &Staging<'_>) -> Result<(), StoreError> {
    match View::new(staging).blob(sha256)? {
        Some(row) if row.count > 0 => {
            Err(corrupt(Table::Blobs, format!("{} versions refer to the blob {sha256}: its row stays", row.count)))
        }
        Some(row) => set_blob(sha256, Some(&row), None, staging),
        None => Ok(()),
    }
}

fn put_namespace(namespace: &Namespace, staging: &Staging<'_>) -> Result<(), StoreError> {
    staging.put(Table::Namespaces, namespace.name.as_str().as_bytes().to_vec(), namespace.to_row())
}

fn remove_namespace(name: &NamespaceName, staging: &Staging<'_>) -> Result<(), StoreError> {
    remove_members(&MemberOf::Namespace(name.clone()), staging)?;
    staging.delete(Table::Namespaces, name.as_str().as_bytes().to_vec())
}

fn remove_members(of: &MemberOf, staging: &Staging<'_>) -> Result<(), StoreError> {
    for member in View::new(staging).members(of)? {
        remove_member(of, member.user, staging)?;
    }
    Ok(())
}

fn put_member(of: &MemberOf, member: Member, staging: &Staging<'_>) -> Result<(), StoreError> {
    staging.put(Table::Memberships, keys::membership(member.user, of), empty_row())?;
    staging.put(Table::Members, keys::member(of, member.user), member.to_row())
}

fn remove_member(of: &MemberOf, user: UserId, staging: &Staging<'_>) -> Result<(), StoreError> {
    staging.delete(Table::Memberships, keys::membership(user, of))?;
    staging.delete(Table::Members, keys::member(of, user))
}

fn put_user(user: &User, staging: &Staging<'_>) -> Result<(), StoreError> {
    if View::new(staging).user(user.id)?.is_none() {
        staging.put(Table::UserNames, user.name.as_str().as_bytes().to_vec(), user.id.to_row())?;
        count(staging, Counter::Users, 1)?;
    }
    staging.put(Table::Users, user.id.to_bytes().to_vec(), user.to_row())
}

fn remove_user(id: UserId, staging: &Staging<'_>) -> Result<(), StoreError> {
    let view = View::new(staging);
    for of in view.memberships(id)? {
        remove_member(&of, id, staging)?;
    }
    for token in view.tokens_of(id)? {
        remove_token(&token, staging)?;
    }
    if view.user(id)?.is_some() {
        count(staging, Counter::Users, -1)?;
    }
    staging.delete(Table::Users, id.to_bytes().to_vec())
}

fn token_hashes(token: &Token) -> impl Iterator<Item = Sha256> {
    std::iter::once(token.hash).chain(token.former.as_ref().map(|former| former.hash))
}

fn put_token(token: &Token, staging: &Staging<'_>) -> Result<(), StoreError> {
    let former = View::new(staging).token(token.id)?;
    let counted = |token: &Token| i64::from(token.revoked_at.is_none());
    count(staging, Counter::Tokens, counted(token) - former.as_ref().map_or(0, counted))?;
    for hash in former.iter().flat_map(token_hashes).filter(|hash| !token_hashes(token).any(|kept| kept == *hash)) {
        staging.delete(Table::TokenHashes, hash.0.to_vec())?;
    }
    for hash in token_hashes(token) {
        staging.put(Table::TokenHashes, hash.0.to_vec(), token.id.to_row())?;
    }
    staging.put(Table::UserTokens, keys::pair(&token.user.to_bytes(), &token.id.to_bytes()), empty_row())?;
    staging.put(Table::Tokens, token.id.to_bytes().to_vec(), token.to_row())
}

fn remove_token(token: &Token, staging: &Staging<'_>) -> Result<(), StoreError> {
    count(staging, Counter::Tokens, -i64::from(token.revoked_at.is_none()))?;
    for hash in token_hashes(token) {
        staging.delete(Table::TokenHashes, hash.0.to_vec())?;
    }
    staging.delete(Table::UserTokens, keys::pair(&token.user.to_bytes(), &token.id.to_bytes()))?;
    staging.delete(Table::Tokens, token.id.to_bytes().to_vec())
}

fn add_downloads(
    package: &PackageName,
    version_key: &[u8],
    more: u64,
    staging: &Staging<'_>,
) -> Result<(), StoreError> {
    let view = View::new(staging);
    if view.package(package)?.is_none() {
        return Ok(());
    }
    let before = view.downloads(package, None)?;
    let after = before.saturating_add(more);
    staging.delete(Table::ByDownloads, keys::ranked(before, package))?;
    staging.put(Table::ByDownloads, keys::ranked(after, package), empty_row())?;
    staging.put(Table::Downloads, keys::package(package), after.to_row())?;
    let key = keys::pair(&keys::versions_of(package), version_key);
    let of_version = view.counted(Table::Downloads, &key)?;
    staging.put(Table::Downloads, key, of_version.saturating_add(more).to_row())
}

fn append_event(event: &Event, staging: &Staging<'_>) -> Result<(), StoreError> {
    let serial = View::new(staging).log_size(event.log)?;
    let bytes = event.to_bytes();
    staging.put(Table::Leaves, keys::event(event.log, serial), leaf_hash(&bytes).0.to_vec())?;
    staging.put(Table::Events, keys::event(event.log, serial), bytes)
}

/// Audit ids sort in the order in which entries were written, also within one millisecond or after the clock went back.
fn append_audit(entry: &AuditEntry, staging: &Staging<'_>) -> Result<(), StoreError> {
    let mut last = None;
    View::new(staging).scan_audit(None, |newest| {
        last = Some(newest.id);
        Ok(std::ops::ControlFlow::Break(()))
    })?;
    let id = match last {
        Some(last) if last >= entry.id => Id(last.0.saturating_add(1)),
        Some(_) | None => entry.id,
    };
    let entry = AuditEntry { id, ..entry.clone() };
    staging.put(Table::Audit, id.to_bytes().to_vec(), entry.to_row())
}

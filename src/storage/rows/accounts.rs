//! Rows of users, tokens, uploads and the audit.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::packages::package_name;
use super::{Row, corrupt, decode, encode};
use crate::domain::audit::{AuditEntry, Outcome};
use crate::domain::caller::Actor;
use crate::domain::digest::Sha256;
use crate::domain::id::Id;
use crate::domain::name::{PackageName, UserName};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::token::{FormerSecret, Pattern, Patterns, Scopes, Token, TokenKind};
use crate::domain::upload::{Upload, UploadState};
use crate::domain::user::User;
use crate::storage::StoreError;
use crate::storage::tables::Table;

#[derive(Serialize, Deserialize)]
struct DiskUser {
    id: u128,
    name: String,
    email: Option<String>,
    admin: bool,
    disabled: bool,
    password_hash: Option<String>,
    created_at: i64,
}

#[derive(Serialize, Deserialize)]
struct DiskToken {
    id: u128,
    name: String,
    user: u128,
    login: bool,
    scopes: u8,
    patterns: Vec<String>,
    hash: [u8; 32],
    former: Option<([u8; 32], i64)>,
    made_by: Option<u128>,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    revoked_at: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct DiskUpload {
    id: u128,
    owner: Option<u128>,
    size: Option<u64>,
    sha256: Option<[u8; 32]>,
    complete: bool,
    created_at: i64,
    expires_at: i64,
}

#[derive(Serialize, Deserialize)]
enum DiskActor {
    Anonymous,
    User(u128),
    Local(u32),
}

#[derive(Serialize, Deserialize)]
struct DiskAudit {
    id: u128,
    time: i64,
    actor: DiskActor,
    token: Option<u128>,
    action: String,
    package: Option<String>,
    version: Option<String>,
    target: Option<String>,
    ip: Option<IpAddr>,
    request_id: String,
    denied: bool,
}

impl Row for User {
    fn to_row(&self) -> Vec<u8> {
        encode(&DiskUser {
            id: self.id.0,
            name: self.name.to_string(),
            email: self.email.clone(),
            admin: self.admin,
            disabled: self.disabled,
            password_hash: self.password_hash.clone(),
            created_at: self.created_at.0,
        })
    }

    fn from_row(table: Table, bytes: &[u8]) -> Result<Self, StoreError> {
        let disk: DiskUser = decode(table, bytes)?;
        Ok(Self {
            id: Id(disk.id),
            name: UserName::parse(&disk.name).map_err(|refusal| corrupt(table, refusal.message))?,
            email: disk.email,
            admin: disk.admin,
            disabled: disk.disabled,
            password_hash: disk.password_hash,
            created_at: Timestamp(disk.created_at),
        })
    }
}

impl Row for Token {
    fn to_row(&self) -> Vec<u8> {
        encode(&DiskToken {
            id: self.id.0,
            name: self.name.clone(),
            user: self.user.0,
            login: self.kind == TokenKind::Login,
            scopes: self.scopes.to_bits(),
            patterns: self.patterns.iter().map(Pattern::to_string).collect(),
            hash: self.hash.0,
            former: self.former.as_ref().map(|former| (former.hash.0, former.until.0)),
            made_by: self.made_by.map(|id| id.0),
            created_at: self.created_at.0,
            expires_at: self.expires_at.map(|at| at.0),
            last_used_at: self.last_used_at.map(|at| at.0),
            revoked_at: self.revoked_at.map(|at| at.0),
        })
    }

    fn from_row(table: Table, bytes: &[u8]) -> Result<Self, StoreError> {
        let disk: DiskToken = decode(table, bytes)?;
        let invalid = |refusal: Refusal| corrupt(table, refusal.message);
        let patterns: Result<Vec<_>, _> = disk.patterns.iter().map(|text| Pattern::parse(text)).collect();
        Ok(Self {
            id: Id(disk.id),
            name: disk.name,
            user: Id(disk.user),
            kind: if disk.login { TokenKind::Login } else { TokenKind::Token },
            scopes: Scopes::from_bits(disk.scopes).ok_or_else(|| corrupt(table, "token without a scope"))?,
            patterns: Patterns::new(patterns.map_err(invalid)?).map_err(invalid)?,
            hash: Sha256(disk.hash),
            former: disk.former.map(|(hash, until)| FormerSecret { hash: Sha256(hash), until: Timestamp(until) }),
            made_by: disk.made_by.map(Id),
            created_at: Timestamp(disk.created_at),
            expires_at: disk.expires_at.map(Timestamp),
            last_used_at: disk.last_used_at.map(Timestamp),
            revoked_at: disk.revoked_at.map(Timestamp),
        })
    }
}

impl Row for Upload {
    fn to_row(&self) -> Vec<u8> {
        encode(&DiskUpload {
            id: self.id.0,
            owner: self.owner.map(|user| user.0),
            size: self.size,
            sha256: self.sha256.map(|digest| digest.0),
            complete: self.state == UploadState::Complete,
            created_at: self.created_at.0,
            expires_at: self.expires_at.0,
        })
    }

    fn from_row(table: Table, bytes: &[u8]) -> Result<Self, StoreError> {
        let disk: DiskUpload = decode(table, bytes)?;
        Ok(Self {
            id: Id(disk.id),
            owner: disk.owner.map(Id),
            size: disk.size,
            sha256: disk.sha256.map(Sha256),
            state: if disk.complete { UploadState::Complete } else { UploadState::Open },
            created_at: Timestamp(disk.created_at),
            expires_at: Timestamp(disk.expires_at),
        })
    }
}

impl Row for AuditEntry {
    fn to_row(&self) -> Vec<u8> {
        encode(&DiskAudit {
            id: self.id.0,
            time: self.time.0,
            actor: match self.actor {
                Actor::Anonymous => DiskActor::Anonymous,
                Actor::User(id) => DiskActor::User(id.0),
                Actor::Local(uid) => DiskActor::Local(uid),
            },
            token: self.token.map(|id| id.0),
            action: self.action.clone(),
            package: self.package.as_ref().map(PackageName::to_string),
            version: self.version.clone(),
            target: self.target.clone(),
            ip: self.ip,
            request_id: self.request_id.clone(),
            denied: self.outcome == Outcome::Denied,
        })
    }

    fn from_row(table: Table, bytes: &[u8]) -> Result<Self, StoreError> {
        let disk: DiskAudit = decode(table, bytes)?;
        Ok(Self {
            id: Id(disk.id),
            time: Timestamp(disk.time),
            actor: match disk.actor {
                DiskActor::Anonymous => Actor::Anonymous,
                DiskActor::User(id) => Actor::User(Id(id)),
                DiskActor::Local(uid) => Actor::Local(uid),
            },
            token: disk.token.map(Id),
            action: disk.action,
            package: disk.package.map(|name| package_name(table, &name)).transpose()?,
            version: disk.version,
            target: disk.target,
            ip: disk.ip,
            request_id: disk.request_id,
            outcome: if disk.denied { Outcome::Denied } else { Outcome::Ok },
        })
    }
}

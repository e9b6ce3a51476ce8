//! A registry of its own for each test of this module: real rows in a directory that goes with it.

use std::sync::Arc;

use tempfile::TempDir;

use crate::domain::caller::Caller;
use crate::domain::id::Id;
use crate::domain::name::UserName;
use crate::domain::refusal::Reason;
use crate::domain::time::Timestamp;
use crate::domain::token::{Scope, Scopes, TokenText};
use crate::domain::tokens::TokenAsk;
use crate::services::accounts::IssuedToken;
use crate::services::audit::AuditFilter;
use crate::services::{Context, Policy, ServiceError, Services, Stores};
use crate::storage::blobs::BlobStore;
use crate::storage::fs::RealFs;
use crate::storage::leases::Leases;
use crate::storage::redb::{Options, RedbMetadata};
use crate::storage::{Backend, Moment};

/// When everything happens.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A registry without users.
pub(crate) struct Bench {
    pub(crate) services: Services,
    pub(crate) metadata: Arc<Backend>,
    _directory: TempDir,
}

/// Somebody at the registry's own machine.
pub(crate) fn local() -> Context {
    Context { caller: Caller::Local { uid: 1000 }, ..anonymous() }
}

/// Nobody proven.
pub(crate) fn anonymous() -> Context {
    Context {
        caller: Caller::Anonymous,
        now: NOW,
        ip: None,
        request_id: "test".to_owned(),
        audit_id: Id::from_parts(NOW.unix_ms(), 0),
    }
}

pub(crate) fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

pub(crate) fn scopes(highest: Scope) -> Scopes {
    Scopes::new([highest]).unwrap()
}

/// Why it was refused.
#[track_caller]
pub(crate) fn reason<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> Reason {
    match result {
        Err(ServiceError::Refused(refusal)) => refusal.reason,
        other => panic!("not refused: {other:?}"),
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Policy::default())
    }

    pub(crate) fn with(policy: Policy) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            cache_bytes: 1 << 20,
            queue_length: 64,
            clock: Box::new(|| Moment { now: NOW, tick: 0 }),
            ..Options::default()
        };
        let metadata = Arc::new(RedbMetadata::open(directory.path(), options).unwrap());
        let stores = Stores {
            metadata: Arc::clone(&metadata),
            blobs: BlobStore::open(directory.path(), Arc::new(RealFs)).unwrap(),
            leases: Leases::default(),
            policy: Arc::new(policy),
        };
        Self { services: Services::new(&stores), metadata, _directory: directory }
    }

    /// A request with this token.
    pub(crate) async fn context_of(&self, secret: &TokenText) -> Context {
        let caller = self.services.auth.authenticate(secret.reveal(), NOW).await.unwrap();
        Context { caller, ..anonymous() }
    }

    /// A token of a user, who is made when absent.
    pub(crate) async fn token(&self, user: &str, highest: Scope) -> IssuedToken {
        let ask = TokenAsk::new("test", scopes(highest)).unwrap();
        self.services.tokens.create_local(&local(), name(user), ask).await.unwrap().issued
    }

    /// A request of a user, who is made when absent.
    pub(crate) async fn user(&self, user: &str, highest: Scope) -> Context {
        let issued = self.token(user, highest).await;
        self.context_of(&issued.secret).await
    }

    /// The actions in the audit, newest first; those that were denied with a `!`.
    pub(crate) async fn audited(&self) -> Vec<String> {
        let (lines, _) = self.services.audit.list(&local(), AuditFilter::default(), None, 1000).await.unwrap();
        let mark = |denied| if denied { "!" } else { "" };
        let denied = crate::domain::audit::Outcome::Denied;
        lines.iter().map(|line| format!("{}{}", line.entry.action, mark(line.entry.outcome == denied))).collect()
    }
}

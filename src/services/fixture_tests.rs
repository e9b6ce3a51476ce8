//! A whole registry in a directory of its own, for the tests of services: real rows, real bytes, a clock that is set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use tempfile::TempDir;

use super::publish::{ByteSource, PublishRequest, Published};
use super::{Context, Policy, ServiceError, Services, Stores};
use crate::domain::caller::{Caller, TokenCaller};
use crate::domain::change::Change;
use crate::domain::digest::Sha256;
use crate::domain::id::Id;
use crate::domain::name::{PackageName, UserName};
use crate::domain::package::{Dependency, DependencyKind, Description, Member, MemberOf, Role, Visibility};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::domain::token::{Pattern, Patterns, Scope, Scopes, Token, TokenKind};
use crate::domain::user::User;
use crate::domain::version::VersionNumber;
use crate::storage::blobs::BlobStore;
use crate::storage::fs::{Fs, RealFs};
use crate::storage::leases::Leases;
use crate::storage::redb::{Options, RedbMetadata};
use crate::storage::{Decided, Metadata as _, Moment};

pub(in crate::services) struct Registry {
    pub(in crate::services) services: Services,
    pub(in crate::services) stores: Stores,
    now: Arc<AtomicI64>,
    tick: Arc<AtomicU64>,
    ids: AtomicU64,
    directory: TempDir,
}

/// Bytes in chunks, and how the body ends.
pub(in crate::services) struct Body {
    chunks: std::collections::VecDeque<Bytes>,
    broken: bool,
}

impl Body {
    pub(in crate::services) fn of(bytes: &[u8]) -> Self {
        Self { chunks: bytes.chunks(3).map(Bytes::copy_from_slice).collect(), broken: false }
    }

    pub(in crate::services) fn cut_off_after(bytes: &[u8]) -> Self {
        Self { broken: true, ..Self::of(bytes) }
    }
}

impl ByteSource for Body {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        match self.chunks.pop_front() {
            None if self.broken => Err(Refusal::new(Reason::TruncatedBody, "cut off")),
            next => Ok(next),
        }
    }
}

pub(in crate::services) fn name(text: &str) -> PackageName {
    PackageName::parse(text).unwrap()
}

pub(in crate::services) fn number(text: &str) -> VersionNumber {
    VersionNumber::parse(text).unwrap()
}

/// A publish of a public package's version, which makes the package.
pub(in crate::services) fn request(package: &str, version: &str) -> PublishRequest {
    PublishRequest {
        package: name(package),
        version: number(version),
        filename: None,
        about: Description::default(),
        dependencies: None,
        manifest: None,
        readme: None,
        create: true,
        visibility: None,
        dry_run: false,
        sha256: None,
        size: None,
        must_be_new: false,
    }
}

/// A dependency, from `name requirement`.
pub(in crate::services) fn needs(text: &str) -> Dependency {
    let (package, req) = text.split_once(' ').unwrap();
    Dependency { name: name(package), req: req.to_owned(), kind: DependencyKind::Normal, optional: false }
}

#[track_caller]
pub(in crate::services) fn refused<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> Refusal {
    match result {
        Err(ServiceError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

impl Registry {
    pub(in crate::services) fn new() -> Self {
        Self::with(Policy { free_bytes_min: 0, ..Policy::default() })
    }

    pub(in crate::services) fn with(policy: Policy) -> Self {
        Self::on(Arc::new(RealFs), policy)
    }

    /// On a disk of its own kind.
    pub(in crate::services) fn on(fs: Arc<dyn Fs>, policy: Policy) -> Self {
        Self::open(tempfile::tempdir().unwrap(), policy, fs)
    }

    /// The same directory after a restart.
    pub(in crate::services) fn restarted(self) -> Self {
        let Self { services, stores, now, directory, .. } = self;
        let (policy, time) = ((*stores.policy).clone(), now.load(Ordering::Relaxed));
        drop((services, stores));
        let restarted = Self::open(directory, policy, Arc::new(RealFs));
        restarted.now.store(time, Ordering::Relaxed);
        restarted
    }

    fn open(directory: TempDir, policy: Policy, fs: Arc<dyn Fs>) -> Self {
        let (now, tick) = (Arc::new(AtomicI64::new(1_700_000_000_000)), Arc::new(AtomicU64::new(0)));
        let (clock, ticks) = (Arc::clone(&now), Arc::clone(&tick));
        let clock =
            move || Moment { now: Timestamp(clock.load(Ordering::Relaxed)), tick: ticks.load(Ordering::Relaxed) };
        let options = Options {
            cache_bytes: 1 << 20,
            queue_length: 64,
            fs: Arc::clone(&fs),
            clock: Box::new(clock),
            ..Options::default()
        };
        let stores = Stores {
            metadata: Arc::new(RedbMetadata::open(directory.path(), options).unwrap()),
            blobs: BlobStore::open(directory.path(), fs).unwrap(),
            leases: Leases::default(),
            policy: Arc::new(policy),
        };
        Self { services: Services::new(&stores), stores, now, tick, ids: AtomicU64::new(1), directory }
    }

    pub(in crate::services) fn pass_ms(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    /// The server has run for so many seconds more.
    pub(in crate::services) fn pass_ticks(&self, ticks: u64) {
        self.tick.fetch_add(ticks, Ordering::Relaxed);
    }

    pub(in crate::services) fn uploads_dir(&self) -> std::path::PathBuf {
        self.directory.path().join("uploads")
    }

    pub(in crate::services) fn blob_path(&self, digest: &Sha256) -> std::path::PathBuf {
        let hex = digest.to_hex();
        self.directory.path().join("blobs/sha256").join(&hex[..2]).join(&hex)
    }

    fn new_id(&self) -> Id {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        Id::from_parts(Timestamp(self.now.load(Ordering::Relaxed)).unix_ms(), u128::from(number))
    }

    pub(in crate::services) fn context(&self, caller: &Caller) -> Context {
        Context {
            caller: caller.clone(),
            now: Timestamp(self.now.load(Ordering::Relaxed)),
            ip: None,
            request_id: "test".to_owned(),
            audit_id: self.new_id(),
        }
    }

    pub(in crate::services) fn anonymous(&self) -> Context {
        self.context(&Caller::Anonymous)
    }

    pub(in crate::services) async fn record(&self, changes: Vec<Change>) {
        let record = move |_: &crate::storage::View<'_>, _| Ok(Decided { changes: changes.clone(), answer: () });
        self.stores.metadata.change(record).await.unwrap();
    }

    /// A new user's token with one scope for packages of one pattern; an admin's for `Scope::Admin`.
    pub(in crate::services) async fn user(&self, name: &str, scope: Scope, pattern: &str) -> Caller {
        let (user_id, token_id, admin) = (self.new_id(), self.new_id(), scope == Scope::Admin);
        let created_at = Timestamp(self.now.load(Ordering::Relaxed));
        let user_name = UserName::parse(name).unwrap();
        let scopes = Scopes::new([scope]).unwrap();
        let patterns = Patterns::new(vec![Pattern::parse(pattern).unwrap()]).unwrap();
        let user = User {
            id: user_id,
            name: user_name.clone(),
            email: None,
            admin,
            disabled: false,
            password_hash: None,
            created_at,
        };
        let token = Token {
            id: token_id,
            name: "test".to_owned(),
            user: user_id,
            kind: TokenKind::Token,
            scopes,
            patterns: patterns.clone(),
            hash: Sha256::of(name.as_bytes()),
            former: None,
            made_by: None,
            created_at,
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        self.record(vec![Change::PutUser(Box::new(user)), Change::PutToken(Box::new(token))]).await;
        Caller::Token(Box::new(TokenCaller {
            user: user_id,
            user_name,
            user_is_admin: admin,
            token: token_id,
            kind: TokenKind::Token,
            scopes,
            patterns,
            expires_at: None,
        }))
    }

    pub(in crate::services) async fn publish(&self, caller: &Caller, request: PublishRequest) -> Published {
        let bytes = format!("{} {}", request.package, request.version);
        let (context, mut body) = (self.context(caller), Body::of(bytes.as_bytes()));
        self.services.publish.publish(&context, request, &mut body).await.unwrap()
    }

    /// Publishes the first version of each package, one millisecond after another.
    pub(in crate::services) async fn publish_each(&self, caller: &Caller, visibility: Visibility, packages: &[&str]) {
        for package in packages {
            self.pass_ms(1);
            let request = PublishRequest { visibility: Some(visibility), ..request(package, "1.0.0") };
            self.publish(caller, request).await;
        }
    }

    pub(in crate::services) async fn make_member(&self, of: MemberOf, caller: &Caller, role: Role) {
        let member = Member { user: caller.user().unwrap(), role, since: Timestamp(0) };
        self.record(vec![Change::PutMember { of, member }]).await;
    }
}

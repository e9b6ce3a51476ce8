//! A registry with users, whose clock moves by a second with each step.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::domain::caller::{Caller, TokenCaller};
use crate::domain::change::Change;
use crate::domain::digest::Sha256;
use crate::domain::event::Log;
use crate::domain::id::Id;
use crate::domain::members::Principal;
use crate::domain::name::{NamespaceName, PackageName, UserName};
use crate::domain::package::{Dependency, Description, MemberOf, Visibility};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::domain::token::{Pattern, Patterns, Scope, Scopes, Token, TokenKind};
use crate::domain::user::User;
use crate::domain::version::VersionNumber;
use crate::services::members::MemberTarget;
use crate::services::packages::{NewPackage, PackageDetail};
use crate::services::publish::{ByteSource, PublishRequest};
use crate::services::yank::VersionTarget;
use crate::services::{Context, Policy, ServiceError, Services, Stores};
use crate::storage::blobs::BlobStore;
use crate::storage::fs::RealFs;
use crate::storage::progress::Unwatched;
use crate::storage::redb::{Options, RedbMetadata, RotationRule};
use crate::storage::scrub::Findings;
use crate::storage::scrub::memory_tests::MemoryRows;
use crate::storage::scrub::rows::check_rows;
use crate::storage::{Cost, Decided, Metadata as _, Moment, View};

pub(super) struct Bench {
    directory: tempfile::TempDir,
    pub(super) stores: Stores,
    pub(super) services: Services,
    ids: AtomicU64,
}

struct OneChunk(Option<bytes::Bytes>);

impl ByteSource for OneChunk {
    async fn next_chunk(&mut self) -> Result<Option<bytes::Bytes>, Refusal> {
        Ok(self.0.take())
    }
}

/// The reason of a refusal; anything else fails the test.
#[track_caller]
pub(super) fn reason<T: std::fmt::Debug>(result: Result<T, ServiceError>) -> Reason {
    match result {
        Err(ServiceError::Refused(refusal)) => refusal.reason,
        other => panic!("{other:?}"),
    }
}

pub(super) fn package(text: &str) -> PackageName {
    PackageName::parse(text).unwrap()
}

pub(super) fn namespace(text: &str) -> NamespaceName {
    NamespaceName::parse(text).unwrap()
}

pub(super) fn version(text: &str, number: &str) -> VersionTarget {
    VersionTarget { package: package(text), number: VersionNumber::parse(number).unwrap(), precondition: None }
}

/// `gk/jwt` or the namespace `gk/`, and a user.
pub(super) fn member(of: &str, user: &str) -> MemberTarget {
    let of = match of.strip_suffix('/') {
        Some(name) => MemberOf::Namespace(namespace(name)),
        None => MemberOf::Package(package(of)),
    };
    MemberTarget { of, principal: Principal::parse(&format!("user:{user}")).unwrap(), precondition: None }
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(Policy::default())
    }

    pub(super) fn with(policy: Policy) -> Self {
        Self::rotating(policy, RotationRule::default())
    }

    /// A registry whose journal is kept like this.
    pub(super) fn rotating(policy: Policy, rotation: RotationRule) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = AtomicI64::new(1_000_000);
        let options = Options {
            cache_bytes: 1 << 20,
            queue_length: 64,
            clock: Box::new(move || {
                let now = clock.fetch_add(1000, Ordering::Relaxed);
                Moment { now: Timestamp(now), tick: now.unsigned_abs() / 1000 }
            }),
            rotation,
            ..Options::default()
        };
        let stores = Stores {
            metadata: Arc::new(RedbMetadata::open(directory.path(), options).unwrap()),
            blobs: BlobStore::open(directory.path(), Arc::new(RealFs)).unwrap(),
            leases: crate::storage::leases::Leases::default(),
            policy: Arc::new(policy),
        };
        Self { directory, services: Services::new(&stores), stores, ids: AtomicU64::new(1) }
    }

    /// Where it is kept.
    pub(super) fn data(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Stops it.
    pub(super) fn stop(self) -> tempfile::TempDir {
        self.directory
    }

    fn id(&self) -> Id {
        Id(u128::from(self.ids.fetch_add(1, Ordering::Relaxed)))
    }

    pub(super) fn context(&self, caller: Caller) -> Context {
        let audit_id = self.id();
        Context { caller, now: Timestamp(1), ip: None, request_id: "request".to_owned(), audit_id }
    }

    pub(super) fn anonymous(&self) -> Context {
        self.context(Caller::Anonymous)
    }

    /// A user with a token for publishing everything.
    pub(super) async fn user(&self, name: &str) -> Context {
        self.token(name, Scope::Publish, "*").await
    }

    /// An admin with a token that says so.
    pub(super) async fn admin(&self) -> Context {
        self.token("root", Scope::Admin, "*").await
    }

    /// One more token of a user, who is made when there is none of that name.
    pub(super) async fn token(&self, name: &str, scope: Scope, pattern: &str) -> Context {
        let (id, fresh) = (self.id(), self.id());
        let name = UserName::parse(name).unwrap();
        let patterns = Patterns::new(vec![Pattern::parse(pattern).unwrap()]).unwrap();
        let decide = move |view: &View<'_>, moment: Moment| {
            let mut changes = Vec::new();
            let user = view.user_named(&name)?.unwrap_or_else(|| User {
                id: fresh,
                name: name.clone(),
                email: None,
                admin: scope == Scope::Admin,
                disabled: false,
                password_hash: None,
                created_at: moment.now,
            });
            changes.push(Change::PutUser(Box::new(user.clone())));
            let token = Token {
                id,
                name: String::new(),
                user: user.id,
                kind: TokenKind::Token,
                scopes: Scopes::new([scope]).unwrap(),
                patterns: patterns.clone(),
                hash: Sha256::of(&id.to_bytes()),
                former: None,
                made_by: None,
                created_at: moment.now,
                expires_at: None,
                last_used_at: None,
                revoked_at: None,
            };
            changes.push(Change::PutToken(Box::new(token.clone())));
            let caller = TokenCaller {
                user: user.id,
                user_name: user.name,
                user_is_admin: user.admin,
                token: id,
                kind: token.kind,
                scopes: token.scopes,
                patterns: token.patterns,
                expires_at: None,
            };
            Ok(Decided { changes, answer: caller })
        };
        let caller = self.stores.metadata.change(decide).await.unwrap();
        self.context(Caller::Token(Box::new(caller)))
    }

    pub(super) async fn create(
        &self,
        who: &Context,
        name: &str,
        visibility: Option<Visibility>,
    ) -> Result<PackageDetail, ServiceError> {
        let new = NewPackage { name: package(name), visibility, about: Description::default() };
        self.services.packages.create(who, new).await
    }

    pub(super) async fn publish(&self, who: &Context, name: &str, number: &str) {
        self.publish_needing(who, name, number, None).await;
    }

    /// Publishes a version that depends on others.
    pub(super) async fn publish_needing(
        &self,
        who: &Context,
        name: &str,
        number: &str,
        dependencies: Option<Vec<Dependency>>,
    ) {
        let request = PublishRequest {
            package: package(name),
            version: VersionNumber::parse(number).unwrap(),
            filename: None,
            about: Description { license: Some(format!("license of {number}")), ..Description::default() },
            dependencies,
            manifest: Some(b"{}".to_vec()),
            readme: None,
            create: true,
            visibility: None,
            dry_run: false,
            sha256: None,
            size: None,
            must_be_new: false,
        };
        let mut source = OneChunk(Some(bytes::Bytes::from(format!("{name} {number}"))));
        self.services.publish.publish(who, request, &mut source).await.unwrap();
    }

    /// The entries of a log, without the first one: type, version or owner, and whether they are in order of time.
    pub(super) async fn log(&self, log: Log) -> Vec<serde_json::Value> {
        let load = move |view: &View<'_>| {
            let mut entries = Vec::new();
            view.scan_events(log, 1, |_, bytes| {
                entries.push(serde_json::from_slice(bytes).unwrap());
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(entries)
        };
        self.stores.metadata.read(Cost::Point, load).await.unwrap()
    }

    /// The types of a log's entries, with blanks between.
    pub(super) async fn types(&self, log: Log) -> String {
        let entries = self.log(log).await;
        entries.iter().map(|entry| entry["type"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    /// Actions in the audit, oldest first, with blanks between.
    pub(super) async fn audit(&self) -> String {
        let load = |view: &View<'_>| {
            let mut actions = Vec::new();
            view.scan_audit(None, |entry| {
                actions.insert(0, entry.action);
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(actions.join(" "))
        };
        self.stores.metadata.read(Cost::Point, load).await.unwrap()
    }

    /// Checks all rows against each other and the logs, folded, against the rows.
    pub(super) async fn check_rows(&self) {
        let load = |view: &View<'_>| {
            let mut findings = Findings::default();
            check_rows(view.rows(), &Unwatched, &mut findings).unwrap();
            Ok(findings)
        };
        let findings = self.stores.metadata.read(Cost::Point, load).await.unwrap();
        assert_eq!(findings.list(), []);
    }

    /// All rows as they stand.
    pub(super) async fn rows(&self) -> MemoryRows {
        let load = |view: &View<'_>| Ok(MemoryRows::copy(view.rows()));
        self.stores.metadata.read(Cost::Point, load).await.unwrap()
    }

    /// Every blob that there is.
    pub(super) fn blobs(&self) -> BTreeMap<Sha256, Vec<u8>> {
        let mut blobs = BTreeMap::new();
        for digest in (0..=u8::MAX).flat_map(|first| self.stores.blobs.list(first).unwrap()) {
            let file = self.stores.blobs.open_blob(&digest).unwrap();
            let mut bytes = vec![0; usize::try_from(file.size()).unwrap()];
            file.read_exact_at(&mut bytes, 0).unwrap();
            blobs.insert(digest, bytes);
        }
        blobs
    }
}

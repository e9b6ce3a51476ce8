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
use crate::domain::package::{Description, MemberOf, Visibility};
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
use crate::storage::redb::{NoJournal, Options, RedbMetadata};
use crate::storage::{Cost, Decided, Metadata as _, Moment, View};

pub(super) struct Bench {
    _directory: tempfile::TempDir,
    stores: Stores,
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
        let directory = tempfile::tempdir().unwrap();
        let clock = AtomicI64::new(1_000_000);
        let options = Options {
            cache_bytes: 1 << 20,
            queue_length: 64,
            sink: Box::new(NoJournal),
            clock: Box::new(move || {
                let now = clock.fetch_add(1000, Ordering::Relaxed);
                Moment { now: Timestamp(now), tick: now.unsigned_abs() / 1000 }
            }),
        };
        let stores = Stores {
            metadata: Arc::new(RedbMetadata::open(directory.path(), options).unwrap()),
            blobs: BlobStore::open(directory.path(), Arc::new(RealFs)).unwrap(),
            leases: crate::storage::leases::Leases::default(),
            policy: Arc::new(policy),
        };
        Self { _directory: directory, services: Services::new(&stores), stores, ids: AtomicU64::new(1) }
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
        let request = PublishRequest {
            package: package(name),
            version: VersionNumber::parse(number).unwrap(),
            filename: None,
            about: Description { license: Some(format!("license of {number}")), ..Description::default() },
            dependencies: None,
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

    /// Checks that the logs, folded, are what rows say of a package: versions with their state, and owners.
    pub(super) async fn check_fold(&self, name: &str) {
        let mut folded = BTreeMap::new();
        let mut live = false;
        for log in Log::ALL {
            if let Some(state) = fold(&self.log(log).await, name) {
                assert!(!live, "`{name}` is in both logs");
                (folded, live) = (state, true);
            }
        }
        let name = package(name);
        let load = move |view: &View<'_>| {
            let mut rows = BTreeMap::new();
            if view.package(&name)?.is_none_or(|package| package.purged_at.is_some()) {
                return Ok(rows);
            }
            for version in view.versions(&name)? {
                let state = if version.purged.is_some() {
                    "purged".to_owned()
                } else {
                    let marks = [version.yank.is_some(), version.deprecated.is_some()];
                    format!("{} {marks:?}", version.artifact.sha256)
                };
                rows.insert(version.number.to_string(), state);
            }
            for member in view.members(&MemberOf::Package(name.clone()))? {
                if member.role == crate::domain::package::Role::Owner {
                    rows.insert(member.user.to_string(), "owner".to_owned());
                }
            }
            Ok(rows)
        };
        let rows = self.stores.metadata.read(Cost::Point, load).await.unwrap();
        assert_eq!(folded, rows);
    }
}

/// What is known of each version and owner.
type Facts = BTreeMap<String, String>;

/// What one log says of a package, if the package lives in it.
fn fold(entries: &[serde_json::Value], name: &str) -> Option<Facts> {
    let mut state: Option<(Facts, BTreeMap<String, [bool; 2]>)> = None;
    for entry in entries.iter().filter(|entry| entry["package"] == name) {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let kind = text("type");
        match kind.as_str() {
            "package.created" => state = Some(Default::default()),
            "package.hidden" | "package.purged" => state = None,
            _ => {}
        }
        let Some((facts, marks)) = &mut state else { continue };
        match kind.as_str() {
            "version.published" => {
                facts.insert(text("version"), text("sha256"));
                marks.insert(text("version"), [false, false]);
            }
            "version.yanked" => marks.get_mut(&text("version")).unwrap()[0] = true,
            "version.unyanked" => marks.get_mut(&text("version")).unwrap()[0] = false,
            "version.deprecated" => marks.get_mut(&text("version")).unwrap()[1] = entry.get("message").is_some(),
            "version.purged" => {
                facts.insert(text("version"), "purged".to_owned());
                marks.remove(&text("version"));
            }
            "owner.added" => drop(facts.insert(text("owner"), "owner".to_owned())),
            "owner.removed" => drop(facts.remove(&text("owner"))),
            _ => {}
        }
    }
    let (mut facts, marks) = state?;
    for (version, marks) in marks {
        facts.entry(version).and_modify(|fact| *fact = format!("{fact} {marks:?}"));
    }
    Some(facts)
}

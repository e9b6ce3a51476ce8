//! THE table: every endpoint there is, in the order of `docs/api.md`. What is not here does not exist (404).

mod keys;
pub mod row;

use std::sync::LazyLock;

use self::keys::{
    ACTION, ACTOR, AFTER, CHANGES_LIMIT, CREATE, CURSOR, DRY_RUN, FILENAME, INCLUDE_YANKED, KEYWORD, LIMIT, LOG,
    NAMESPACE, OWNER, PACKAGE, PRERELEASE, PURGE, Q, REASON, REQ, SINCE, SORT, USER, VERBOSE, VISIBILITY, WAIT,
};
use super::handlers::{
    artifacts, audit, discovery, jobs, login, members, namespaces, operations, packages, publish, tokens, uploads,
    users, versions, yank,
};
use super::matching::Matcher;
use super::wire::Envelope;
use super::wire::audit::Audit;
use super::wire::closure::{Closure, Dependent, ResolveRequest};
use super::wire::feed::{Change, Stats};
use super::wire::jobs::{GcRequest, Job, NewBackup};
use super::wire::members::{Member, NewMember};
use super::wire::namespaces::{Namespace, NamespacePatch, NewNamespace};
use super::wire::operations::{Health, Ready, Service};
use super::wire::packages::{NewPackage, Package, PackagePatch, VersionPatch};
use super::wire::publish::{PublishMetadata, PublishedVersion};
use super::wire::tokens::{NewToken, Rotation, Token, TokenWithSecret};
use super::wire::uploads::{FinishUpload, NewUpload, Upload};
use super::wire::users::{Login, Me, NewUser, PasswordChange, User, UserPatch};
use super::wire::versions::{ListedVersion, Version};
use row::BodyKind::Json as Takes;
use row::ReplyKind::{Bytes, Json, List};
pub use row::{Access, BodyKind, Handler, HandlerFuture, ReplyKind, Route};
use row::{handler, schema};

/// Every endpoint. A row is the path and what it answers with, then who may ask, then what it takes and can answer.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    Route::get("/health", "getHealth", Json(schema::<Envelope<Health>>), handler!(operations::health))
        .open_to(Access::Open, "Whether the process lives; touches no disk and no lock").no_store(),
    Route::get("/livez", "getLivez", Json(schema::<Envelope<Health>>), handler!(operations::health))
        .open_to(Access::Open, "The same as /health").no_store(),
    Route::get("/readyz", "getReadyz", Json(schema::<Envelope<Ready>>), handler!(operations::ready))
        .open_to(Access::Open, "Whether reads work; 503 when they don't")
        .query(&[VERBOSE])
        .statuses(&[200, 503]).no_store(),
    Route::get("/v1", "getService", Json(schema::<Envelope<Service>>), handler!(operations::service))
        .open_to(Access::Open, "What this registry is, can do and limits")
        .statuses(&[200, 503]),
    Route::get("/openapi.json", "getOpenApi", Bytes("application/json"), handler!(operations::openapi))
        .open_to(Access::Open, "This document: every endpoint of the registry, as OpenAPI 3.1")
        .statuses(&[200, 503]),
    Route::get("/v1/packages", "listPackages", List(schema::<Envelope<Vec<Package>>>), handler!(discovery::packages))
        .open_to(Access::Read, "List and search packages, of those that the caller may read")
        .query(&[Q, NAMESPACE, OWNER, KEYWORD, SORT, LIMIT, CURSOR]),
    Route::post("/v1/packages", "createPackage", Json(schema::<Envelope<Package>>), handler!(packages::create))
        .open_to(Access::Publish, "Make a package, claiming a namespace that nobody has")
        .body(Takes(schema::<NewPackage>)).statuses(&[201, 409]).deed("package.create"),
    Route::get("/v1/packages/{pkg}", "getPackage", Json(schema::<Envelope<Package>>), handler!(packages::get))
        .open_to(Access::Read, "One package").statuses(&[200, 410]),
    Route::patch("/v1/packages/{pkg}", "updatePackage", Json(schema::<Envelope<Package>>), handler!(packages::patch))
        .open_to(Access::Publish, "Change a package's own fields or its visibility; for owners")
        .body(Takes(schema::<PackagePatch>)).statuses(&[200, 410, 412]).deed("package.update"),
    Route::delete("/v1/packages/{pkg}", "deletePackage", Json(schema::<Envelope<Package>>), handler!(packages::remove))
        .open_to(Access::Publish, "Delete a package in which nothing was ever published; for admins, purge one")
        .query(&[PURGE, REASON]).statuses(&[200, 409, 410, 412]).deed("package.delete"),
    Route::get("/v1/packages/{pkg}/versions", "listVersions", List(schema::<Envelope<Vec<ListedVersion>>>), handler!(versions::list))
        .open_to(Access::Read, "The versions of a package, highest first")
        .query(&[REQ, INCLUDE_YANKED, LIMIT, CURSOR]).statuses(&[200, 410]),
    Route::post("/v1/packages/{pkg}/versions", "publishVersion", Json(schema::<Envelope<PublishedVersion>>), handler!(publish::post))
        .open_to(Access::Publish, "Publish metadata and artifact in parts").query(&[CREATE, VISIBILITY, DRY_RUN])
        .body(BodyKind::MultipartOrJson { multipart: schema::<PublishMetadata>, json: schema::<PublishMetadata> })
        .statuses(&[200, 201, 409, 410, 412]).deed("version.publish"),
    Route::get("/v1/packages/{pkg}/versions/{version}", "getVersion", Json(schema::<Envelope<Version>>), handler!(versions::get))
        .open_to(Access::Read, "A version, or the alias `latest`").statuses(&[200, 410]),
    Route::put("/v1/packages/{pkg}/versions/{version}", "putVersion", Json(schema::<Envelope<PublishedVersion>>), handler!(publish::put))
        .open_to(Access::Publish, "Publish the raw body in one request")
        .query(&[CREATE, VISIBILITY, DRY_RUN, FILENAME])
        .body(BodyKind::Bytes).statuses(&[200, 201, 409, 410, 412]).deed("version.publish"),
    Route::patch("/v1/packages/{pkg}/versions/{version}", "updateVersion", Json(schema::<Envelope<Version>>), handler!(yank::patch))
        .open_to(Access::Publish, "Yank, unyank or deprecate a version; for publishers")
        .body(Takes(schema::<VersionPatch>)).statuses(&[200, 410, 412]).deed("version.update"),
    Route::delete("/v1/packages/{pkg}/versions/{version}", "purgeVersion", Json(schema::<Envelope<Version>>), handler!(yank::purge))
        .open_to(Access::Admin, "Purge a version: its bytes are served no more, its number is never used again")
        .query(&[REASON]).statuses(&[200, 410, 412]).deed("version.purge"),
    Route::get("/v1/packages/{pkg}/versions/{version}/artifact", "getArtifact", Bytes("*/*"), handler!(artifacts::artifact))
        .open_to(Access::Read, "The bytes of a version").statuses(&[200, 206, 410, 416]),
    Route::get("/v1/packages/{pkg}/versions/{version}/artifact/{filename}", "getArtifactFile", Bytes("*/*"), handler!(artifacts::artifact))
        .open_to(Access::Read, "The same, for tools that name files by URL").statuses(&[200, 206, 410, 416]),
    Route::get("/v1/packages/{pkg}/versions/{version}/readme", "getReadme", Bytes("text/markdown; charset=utf-8"), handler!(artifacts::readme))
        .open_to(Access::Read, "The README of a version, raw").statuses(&[200, 410]),
    Route::get("/v1/packages/{pkg}/resolve", "resolvePackage", Json(schema::<Envelope<Version>>), handler!(versions::resolve))
        .open_to(Access::Read, "The best version for a requirement")
        .query(&[REQ, PRERELEASE, INCLUDE_YANKED])
        .statuses(&[200, 410]),
    Route::post("/v1/resolve", "resolveClosure", Json(schema::<Envelope<Closure>>), handler!(discovery::resolve))
        .open_to(Access::Read, "Everything that some packages need, pinned, or why nothing fits")
        .body(Takes(schema::<ResolveRequest>)).statuses(&[200, 409]).read_only(),
    Route::get("/v1/packages/{pkg}/dependents", "listDependents", List(schema::<Envelope<Vec<Dependent>>>), handler!(discovery::dependents))
        .open_to(Access::Read, "The packages whose `latest` needs this one")
        .query(&[LIMIT, CURSOR]).statuses(&[200, 410]),
    Route::get("/v1/index/{pkg}", "getIndex", Bytes("application/x-ndjson"), handler!(versions::index))
        .open_to(Access::Read, "One JSON line per version, for resolvers").statuses(&[200, 410]),
    Route::get("/v1/packages/{pkg}/members", "listPackageMembers", List(schema::<Envelope<Vec<Member>>>), handler!(members::list))
        .open_to(Access::Read, "The members of a package; its owners alone for those without a role")
        .query(&[LIMIT, CURSOR]).statuses(&[200, 410]),
    Route::get("/v1/packages/{pkg}/members/{principal}", "getPackageMember", Json(schema::<Envelope<Member>>), handler!(members::get))
        .open_to(Access::Read, "One member of a package").statuses(&[200, 410]),
    Route::put("/v1/packages/{pkg}/members/{principal}", "putPackageMember", Json(schema::<Envelope<Member>>), handler!(members::put))
        .open_to(Access::Publish, "Give somebody a role in a package; for owners").body(Takes(schema::<NewMember>))
        .statuses(&[200, 409, 410, 412]).deed("member.put"),
    Route::delete("/v1/packages/{pkg}/members/{principal}", "removePackageMember", Json(schema::<Envelope<Member>>), handler!(members::remove))
        .open_to(Access::Publish, "End somebody's role in a package; for owners, and for anybody's own role")
        .statuses(&[200, 409, 410, 412]).deed("member.remove"),
    Route::get("/v1/namespaces", "listNamespaces", List(schema::<Envelope<Vec<Namespace>>>), handler!(namespaces::list))
        .open_to(Access::Read, "All namespaces, by name").query(&[LIMIT, CURSOR]),
    Route::post("/v1/namespaces", "claimNamespace", Json(schema::<Envelope<Namespace>>), handler!(namespaces::claim))
        .open_to(Access::Publish, "Claim a namespace").body(Takes(schema::<NewNamespace>)).statuses(&[201, 409]).deed("namespace.claim"),
    Route::get("/v1/namespaces/{ns}", "getNamespace", Json(schema::<Envelope<Namespace>>), handler!(namespaces::get))
        .open_to(Access::Read, "One namespace"),
    Route::patch("/v1/namespaces/{ns}", "updateNamespace", Json(schema::<Envelope<Namespace>>), handler!(namespaces::patch))
        .open_to(Access::Publish, "Change a namespace; for owners").body(Takes(schema::<NamespacePatch>))
        .statuses(&[200, 412]).deed("namespace.update"),
    Route::delete("/v1/namespaces/{ns}", "deleteNamespace", Json(schema::<Envelope<Namespace>>), handler!(namespaces::delete))
        .open_to(Access::Publish, "Delete a namespace that never held a package; for owners")
        .statuses(&[200, 409, 412]).deed("namespace.delete"),
    Route::get("/v1/namespaces/{ns}/members", "listNamespaceMembers", List(schema::<Envelope<Vec<Member>>>), handler!(members::list))
        .open_to(Access::Read, "The members of a namespace; its owners alone for those without a role")
        .query(&[LIMIT, CURSOR]).statuses(&[200]),
    Route::get("/v1/namespaces/{ns}/members/{principal}", "getNamespaceMember", Json(schema::<Envelope<Member>>), handler!(members::get))
        .open_to(Access::Read, "One member of a namespace").statuses(&[200]),
    Route::put("/v1/namespaces/{ns}/members/{principal}", "putNamespaceMember", Json(schema::<Envelope<Member>>), handler!(members::put))
        .open_to(Access::Publish, "Give somebody a role in a namespace; for owners").body(Takes(schema::<NewMember>))
        .statuses(&[200, 409, 412]).deed("member.put"),
    Route::delete("/v1/namespaces/{ns}/members/{principal}", "removeNamespaceMember", Json(schema::<Envelope<Member>>), handler!(members::remove))
        .open_to(Access::Publish, "End somebody's role in a namespace; for owners, and for anybody's own role")
        .statuses(&[200, 409, 412]).deed("member.remove"),
    Route::get("/v1/blobs/{sha256}", "getBlob", Bytes("application/octet-stream"), handler!(artifacts::blob))
        .open_to(Access::Read, "Bytes by digest, if a package that the caller may read refers to them")
        .statuses(&[200, 206, 416]),
    Route::post("/v1/login", "login", Json(schema::<Envelope<TokenWithSecret>>), handler!(login::login))
        .open_to(Access::Open, "A short-lived token for a user name and a password").body(Takes(schema::<Login>))
        .statuses(&[200, 401, 403, 404, 429, 503]),
    Route::get("/v1/me", "getMe", Json(schema::<Envelope<Me>>), handler!(login::me))
        .open_to(Access::AnyToken, "Whose token this is, and what it may do").statuses(&[200, 404]).no_store(),
    Route::put("/v1/me/password", "changePassword", Json(schema::<Envelope<User>>), handler!(login::change_password))
        .open_to(Access::AnyToken, "Change one's own password, which ends one's other login tokens")
        .body(Takes(schema::<PasswordChange>)).statuses(&[200, 404, 429]).deed("user.password"),
    Route::get("/v1/tokens", "listTokens", List(schema::<Envelope<Vec<Token>>>), handler!(tokens::list))
        .open_to(Access::AnyToken, "One's own tokens that this one covers, oldest first; everybody's for admins")
        .query(&[USER, LIMIT, CURSOR]).statuses(&[200, 403, 404]).no_store(),
    Route::post("/v1/tokens", "createToken", Json(schema::<Envelope<TokenWithSecret>>), handler!(tokens::create))
        .open_to(Access::AnyToken, "Make a token that can do no more than this one; its secret is shown once")
        .body(Takes(schema::<NewToken>)).statuses(&[201, 404]).deed("token.create"),
    Route::get("/v1/tokens/{token}", "getToken", Json(schema::<Envelope<Token>>), handler!(tokens::get))
        .open_to(Access::AnyToken, "One token; `current` is the one that asks").no_store(),
    Route::delete("/v1/tokens/{token}", "revokeToken", Json(schema::<Envelope<Token>>), handler!(tokens::revoke))
        .open_to(Access::AnyToken, "Revoke a token and what it made; `current` logs out").deed("token.revoke"),
    Route::post("/v1/tokens/{token}/rotate", "rotateToken", Json(schema::<Envelope<TokenWithSecret>>), handler!(tokens::rotate))
        .open_to(Access::AnyToken, "Give a token a new secret under its id; the old one ends after the grace")
        .body(Takes(schema::<Rotation>)).deed("token.rotate"),
    Route::get("/v1/users", "listUsers", List(schema::<Envelope<Vec<User>>>), handler!(users::list))
        .open_to(Access::InstanceAdmin, "All users, by name").query(&[LIMIT, CURSOR]).no_store(),
    Route::post("/v1/users", "createUser", Json(schema::<Envelope<User>>), handler!(users::create))
        .open_to(Access::InstanceAdmin, "Make a user, whose name is then taken for ever")
        .body(Takes(schema::<NewUser>)).statuses(&[201, 409]).deed("user.create"),
    Route::get("/v1/users/{name}", "getUser", Json(schema::<Envelope<User>>), handler!(users::get))
        .open_to(Access::InstanceAdmin, "One user").no_store(),
    Route::patch("/v1/users/{name}", "updateUser", Json(schema::<Envelope<User>>), handler!(users::patch))
        .open_to(Access::InstanceAdmin, "Change a user; disabling revokes all of the user's tokens")
        .body(Takes(schema::<UserPatch>)).statuses(&[200, 409]).deed("user.update"),
    Route::delete("/v1/users/{name}", "deleteUser", Json(schema::<Envelope<User>>), handler!(users::delete))
        .open_to(Access::InstanceAdmin, "Delete a user who owns nothing alone").statuses(&[200, 409]).deed("user.delete"),
    Route::get("/v1/audit", "listAudit", List(schema::<Envelope<Vec<Audit>>>), handler!(audit::list))
        .open_to(Access::InstanceAdmin, "Who did what, from where, with which token; newest first")
        .query(&[ACTOR, ACTION, PACKAGE, SINCE, LIMIT, CURSOR]).no_store(),
    Route::post("/v1/uploads", "createUpload", Json(schema::<Envelope<Upload>>), handler!(uploads::create))
        .open_to(Access::Publish, "Begin an upload that survives broken connections and restarts")
        .body(Takes(schema::<NewUpload>)).statuses(&[201, 429]),
    Route::get("/v1/uploads/{id}", "getUpload", Json(schema::<Envelope<Upload>>), handler!(uploads::get))
        .open_to(Access::Publish, "An upload of one's own, and where its next byte goes").no_store(),
    Route::patch("/v1/uploads/{id}", "appendUpload", Json(schema::<Envelope<Upload>>), handler!(uploads::append))
        .open_to(Access::Publish, "Append the raw body where its `Content-Range` says")
        .body(BodyKind::Bytes).statuses(&[200, 409, 416]),
    Route::put("/v1/uploads/{id}", "finishUpload", Json(schema::<Envelope<Upload>>), handler!(uploads::finish))
        .open_to(Access::Publish, "Finish an upload with its digest; repeatable")
        .body(Takes(schema::<FinishUpload>)).statuses(&[200, 409]),
    Route::delete("/v1/uploads/{id}", "deleteUpload", Json(schema::<Envelope<Upload>>), handler!(uploads::remove))
        .open_to(Access::Publish, "Abandon an upload").statuses(&[200, 409]),
    Route::get("/v1/changes", "listChanges", Json(schema::<Envelope<Vec<Change>>>), handler!(discovery::changes))
        .open_to(Access::Read, "What changed, in order; waits for the next change when asked")
        .query(&[AFTER, LOG, CHANGES_LIMIT, WAIT]).statuses(&[200, 401]),
    Route::get("/v1/admin/stats", "getStats", Json(schema::<Envelope<Stats>>), handler!(discovery::stats))
        .open_to(Access::InstanceAdmin, "How much there is").no_store(),
    Route::post("/v1/admin/backup", "backup", Json(schema::<Envelope<Job>>), handler!(jobs::backup))
        .open_to(Access::InstanceAdmin, "Begin to make a backup in the folder that is configured for it")
        .body(Takes(schema::<NewBackup>)).statuses(&[202, 409, 412]).deed("admin.backup"),
    Route::post("/v1/admin/verify", "verify", Json(schema::<Envelope<Job>>), handler!(jobs::verify))
        .open_to(Access::InstanceAdmin, "Begin to read every byte and row, to find what is wrong")
        .statuses(&[202, 409]).deed("admin.verify"),
    Route::post("/v1/admin/gc", "gc", Json(schema::<Envelope<Job>>), handler!(jobs::gc))
        .open_to(Access::InstanceAdmin, "Begin to tell what nothing needs any more, and to remove it when asked to apply")
        .body(Takes(schema::<GcRequest>)).statuses(&[202, 409]).deed("admin.gc"),
    Route::get("/v1/admin/jobs", "listJobs", List(schema::<Envelope<Vec<Job>>>), handler!(jobs::list))
        .open_to(Access::InstanceAdmin, "Long works since the server started, newest first; 100 are remembered")
        .query(&[LIMIT, CURSOR]).no_store(),
    Route::get("/v1/admin/jobs/{id}", "getJob", Json(schema::<Envelope<Job>>), handler!(jobs::get))
        .open_to(Access::InstanceAdmin, "One long work: how far it is, what it ended with").no_store(),
];

/// The table, ready for matching.
pub fn matcher() -> &'static Matcher {
    static MATCHER: LazyLock<Matcher> =
        LazyLock::new(|| Matcher::new(ROUTES.iter().map(|route| (route.verb, route.pattern))));
    &MATCHER
}

#[cfg(test)]
mod tests;

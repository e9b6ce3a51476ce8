//! The query parameters that the table's rows name.

use crate::http::query::{PAGE_MAX, QueryKey, QueryKind};

const fn key(name: &'static str, kind: QueryKind, doc: &'static str) -> QueryKey {
    QueryKey { name, kind, doc }
}

pub(super) const VERBOSE: QueryKey = key("verbose", QueryKind::Bool, "List the single checks");
pub(super) const LIMIT: QueryKey =
    key("limit", QueryKind::Limit { max: PAGE_MAX }, "Entries of a page, 50 unless given");
pub(super) const CURSOR: QueryKey = key("cursor", QueryKind::Cursor, "The `next_cursor` of the page before");
pub(super) const REQ: QueryKey = key("req", QueryKind::Requirement, "Only versions that match");
pub(super) const INCLUDE_YANKED: QueryKey = key("include_yanked", QueryKind::Bool, "Yanked versions too");
pub(super) const PRERELEASE: QueryKey = key("prerelease", QueryKind::Bool, "Prereleases match too");
pub(super) const CREATE: QueryKey = key("create", QueryKind::Bool, "Make the package if it does not exist");
pub(super) const VISIBILITY: QueryKey =
    key("visibility", QueryKind::Choice(&["public", "private"]), "How visible to make the package then");
pub(super) const DRY_RUN: QueryKey = key("dry_run", QueryKind::Bool, "Check everything, store nothing");
pub(super) const FILENAME: QueryKey =
    key("filename", QueryKind::Filename, "The name under which the artifact is downloaded");
pub(super) const REASON: QueryKey = key("reason", QueryKind::Text { max: 512 }, "Why it is purged");
pub(super) const PURGE: QueryKey =
    key("purge", QueryKind::Bool, "For admins: purge every version, and never use the name again");
pub(super) const USER: QueryKey =
    key("user", QueryKind::Text { max: 64 }, "The tokens of this user alone; another's for admins");
pub(super) const ACTOR: QueryKey =
    key("actor", QueryKind::Text { max: 80 }, "What `user:NAME`, `local:UID` or `anonymous` did");
pub(super) const ACTION: QueryKey =
    key("action", QueryKind::Text { max: 64 }, "What was done, such as `version.publish`");
pub(super) const PACKAGE: QueryKey = key("package", QueryKind::Package, "What was done to this package");
pub(super) const SINCE: QueryKey = key("since", QueryKind::Time, "Not before this time");
pub(super) const Q: QueryKey = key("q", QueryKind::Text { max: 256 }, "Words to search for");
pub(super) const NAMESPACE: QueryKey = key("namespace", QueryKind::Namespace, "Only packages of this namespace");
pub(super) const OWNER: QueryKey = key("owner", QueryKind::Principal, "Only packages that this principal owns");
pub(super) const KEYWORD: QueryKey = key("keyword", QueryKind::Text { max: 256 }, "Only packages with this keyword");
pub(super) const SORT: QueryKey = key(
    "sort",
    QueryKind::Choice(&["name", "updated", "downloads", "relevance"]),
    "The order: by name unless given, by relevance with `q`; all but names descend",
);
pub(super) const AFTER: QueryKey =
    key("after", QueryKind::Serial, "The serial after which to begin: `meta.last` of the answer before");
pub(super) const LOG: QueryKey =
    key("log", QueryKind::Choice(&["public", "internal"]), "Which log; `internal` needs a token");
pub(super) const CHANGES_LIMIT: QueryKey =
    key("limit", QueryKind::Limit { max: 1000 }, "Changes of an answer, 50 unless given");
pub(super) const WAIT: QueryKey =
    key("wait", QueryKind::Seconds { max: 60 }, "How long to wait for a change, in seconds");

//! The members of each resource, exactly, copied by hand from API.md section 8.

use serde_json::Value;

const PACKAGE: &str = "name namespace visibility description license keywords links deprecated owners latest \
                       version_count downloads created_at updated_at";
const LISTED: &str = "package version sha256 size filename media_type url description license keywords links \
                      dependencies has_readme yanked yank deprecated downloads published_at published_by";
const MEMBER: &str = "principal role inherited since";
const NAMESPACE: &str = "name description default_visibility owners created_at";
const TOKEN: &str = "id name user kind scopes packages created_at expires_at last_used_at revoked_at";
const USER: &str = "id name email admin disabled has_password created_at";
const UPLOAD: &str = "id offset size sha256 state created_at expires_at";
const AUDIT: &str = "id time actor token_id action package version target ip request_id outcome";
const STATS: &str = "packages versions users tokens blobs blob_bytes disk_free_bytes serial last_backup_at \
                     last_verify_at degraded";
const JOB: &str = "id kind state progress created_at finished_at result error";
const SERVICE: &str = "service version api anonymous_read login read_only namespace_claim public_url features limits";
const LIMITS: &str = "artifact_bytes_max json_bytes_max json_depth_max readme_bytes_max page_max upload_ttl_s";

/// The members of what an operation answers with; `None` for one whose answer is no resource of fixed members.
fn members(operation: &str) -> Option<Vec<&'static str>> {
    let (base, more) = match operation {
        "createPackage" | "getPackage" | "updatePackage" | "deletePackage" | "listPackages" => (PACKAGE, ""),
        "listVersions" => (LISTED, ""),
        "getVersion" | "updateVersion" | "purgeVersion" | "resolvePackage" => (LISTED, "manifest"),
        "publishVersion" | "putVersion" => (LISTED, "manifest created dry_run"),
        "listPackageMembers"
        | "getPackageMember"
        | "putPackageMember"
        | "removePackageMember"
        | "listNamespaceMembers"
        | "getNamespaceMember"
        | "putNamespaceMember"
        | "removeNamespaceMember" => (MEMBER, ""),
        "listNamespaces" | "claimNamespace" | "getNamespace" | "updateNamespace" | "deleteNamespace" => (NAMESPACE, ""),
        "listTokens" | "getToken" | "revokeToken" => (TOKEN, ""),
        "createToken" | "rotateToken" | "login" => (TOKEN, "secret"),
        "getMe" => ("user token", ""),
        "changePassword" | "listUsers" | "createUser" | "getUser" | "updateUser" | "deleteUser" => (USER, ""),
        "listAudit" => (AUDIT, ""),
        "createUpload" | "appendUpload" | "getUpload" | "finishUpload" | "deleteUpload" => (UPLOAD, ""),
        "listDependents" => ("name version req kind optional", ""),
        "resolveClosure" | "resolve" => ("roots packages", ""),
        "getStats" => (STATS, ""),
        "backup" | "verify" | "gc" | "listJobs" | "getJob" => (JOB, ""),
        "getService" => (SERVICE, ""),
        "getHealth" | "getLivez" => ("status version", ""),
        _ => return None,
    };
    Some(base.split_whitespace().chain(more.split_whitespace()).collect())
}

/// The members of what stands inside of a resource, by its name there.
fn inner(name: &str) -> Option<&'static str> {
    match name {
        "yank" => Some("reason at"),
        "deprecated" => Some("message replaced_by"),
        "dependencies" => Some("name req kind optional"),
        "limits" => Some(LIMITS),
        "user" => Some(USER),
        "token" => Some(TOKEN),
        "serial" => Some("public internal"),
        "progress" => Some("done total unit"),
        "error" => Some("code reason message"),
        _ => None,
    }
}

/// Compares the members of an answer's `data` with the contract's.
#[track_caller]
pub(crate) fn check(operation: &str, data: &Value) {
    let Some(expected) = members(operation) else { return };
    for one in data.as_array().map_or(std::slice::from_ref(data), Vec::as_slice) {
        check_members(operation, one, &expected);
        for (name, value) in one.as_object().into_iter().flatten() {
            let Some(expected) = inner(name) else { continue };
            let expected: Vec<&str> = expected.split_whitespace().collect();
            for value in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
                // `user` and `token` are names elsewhere; `null` stands where there is no value.
                if value.is_object() {
                    check_members(&format!("{operation}: {name}"), value, &expected);
                }
            }
        }
        check_times(operation, one);
    }
}

#[track_caller]
fn check_members(what: &str, value: &Value, expected: &[&str]) {
    let found: Vec<&String> = value.as_object().unwrap_or_else(|| panic!("{what}: {value}")).keys().collect();
    let mut missing: Vec<&&str> = expected.iter().filter(|name| !found.iter().any(|known| known == *name)).collect();
    missing.sort_unstable();
    let unknown: Vec<&&String> = found.iter().filter(|name| !expected.contains(&name.as_str())).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "{what} lacks {missing:?} and has {unknown:?}: {value}");
}

/// Times are RFC 3339 in UTC with milliseconds and `Z`.
#[track_caller]
fn check_times(what: &str, value: &Value) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let Some(text) = value.as_str().filter(|_| name.ends_with("_at") || name == "time" || name == "since") else {
            continue;
        };
        let shape: String = text.chars().map(|one| if one.is_ascii_digit() { '0' } else { one }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{what}: {name} is `{text}`");
    }
}

//! Why something was refused: the closed list of reasons and what goes with one.
//!
//! Every refusal of every layer above storage is a [`Refusal`]. The reasons are the contract's (`docs/errors.md`); what
//! status each one has over HTTP is decided in one other place, `http::problem`.

use std::fmt;

macro_rules! reasons {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// The exact case of a refusal; a closed list, only ever added to. Each one is explained in `docs/errors.md`.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[expect(missing_docs, reason = "each reason is explained in docs/errors.md, and a test compares the two lists")]
        pub enum Reason {
            $($variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the contract.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The reason as clients see it, in snake case.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

reasons! {
    InvalidHost = "invalid_host",
    MalformedJson = "malformed_json",
    JsonTooDeep = "json_too_deep",
    UnknownField = "unknown_field",
    MissingField = "missing_field",
    InvalidField = "invalid_field",
    UnknownParameter = "unknown_parameter",
    DuplicateParameter = "duplicate_parameter",
    InvalidParameter = "invalid_parameter",
    InvalidPath = "invalid_path",
    InvalidName = "invalid_name",
    InvalidSemver = "invalid_semver",
    InvalidRequirement = "invalid_requirement",
    InvalidCursor = "invalid_cursor",
    InvalidDigest = "invalid_digest",
    DigestMismatch = "digest_mismatch",
    InvalidMultipart = "invalid_multipart",
    InvalidManifest = "invalid_manifest",
    EmptyArtifact = "empty_artifact",
    TruncatedBody = "truncated_body",
    PrivateNeedsNamespace = "private_needs_namespace",
    MissingToken = "missing_token",
    MalformedToken = "malformed_token",
    UnknownToken = "unknown_token",
    ExpiredToken = "expired_token",
    RevokedToken = "revoked_token",
    DisabledUser = "disabled_user",
    UnsupportedScheme = "unsupported_scheme",
    WrongCredentials = "wrong_credentials",
    MissingScope = "missing_scope",
    TokenPackages = "token_packages",
    MissingRole = "missing_role",
    NotNamespaceMember = "not_namespace_member",
    ClaimsClosed = "claims_closed",
    ExceedsOwnRights = "exceeds_own_rights",
    CrossOrigin = "cross_origin",
    NoSuchRoute = "no_such_route",
    NoMatchingVersion = "no_matching_version",
    PackageNotFound = "package_not_found",
    VersionNotFound = "version_not_found",
    NamespaceNotFound = "namespace_not_found",
    MemberNotFound = "member_not_found",
    UserNotFound = "user_not_found",
    TokenNotFound = "token_not_found",
    UploadNotFound = "upload_not_found",
    BlobNotFound = "blob_not_found",
    JobNotFound = "job_not_found",
    MethodNotAllowed = "method_not_allowed",
    BodyTooSlow = "body_too_slow",
    RequestTimeout = "request_timeout",
    Purged = "purged",
    EtagMismatch = "etag_mismatch",
    AlreadyExists = "already_exists",
    VersionExists = "version_exists",
    VersionPurged = "version_purged",
    PackageExists = "package_exists",
    NameTooSimilar = "name_too_similar",
    NameRetired = "name_retired",
    NamespaceTaken = "namespace_taken",
    UserExists = "user_exists",
    NotEmpty = "not_empty",
    LastOwner = "last_owner",
    SoleOwner = "sole_owner",
    LastAdmin = "last_admin",
    Unresolvable = "unresolvable",
    UploadBusy = "upload_busy",
    UploadIncomplete = "upload_incomplete",
    JobRunning = "job_running",
    ArtifactTooLarge = "artifact_too_large",
    BodyTooLarge = "body_too_large",
    UnsupportedMediaType = "unsupported_media_type",
    ContentCoding = "content_coding",
    UnsatisfiableRange = "unsatisfiable_range",
    WrongOffset = "wrong_offset",
    RateLimited = "rate_limited",
    TooManyUploads = "too_many_uploads",
    Internal = "internal",
    ArtifactDamaged = "artifact_damaged",
    Starting = "starting",
    Draining = "draining",
    ReadOnly = "read_only",
    Overloaded = "overloaded",
    StorageFull = "storage_full",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One field of a request that was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Detail {
    /// The field's path in the request, such as `dependencies[3].req`.
    pub field: String,
    /// Why this field was refused.
    pub reason: Reason,
    /// What to do about it, in words.
    pub message: String,
    /// The limit that was passed, in the field's unit (bytes, characters, entries).
    pub limit: Option<u64>,
}

/// A refusal: nothing was changed, and the text says what to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The exact case, for programs.
    pub reason: Reason,
    /// One sentence or two for a person: what was wrong, the offending value in backticks, the next thing to do.
    pub message: String,
    /// Per-field explanations; may be empty.
    pub details: Vec<Detail>,
}

impl Refusal {
    /// A refusal without details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), details: Vec::new() }
    }

    /// A refusal of one named field: the message is the detail's as well.
    pub fn field(reason: Reason, field: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        let detail = Detail { field: field.into(), reason, message: message.clone(), limit: None };
        Self { reason, message, details: vec![detail] }
    }

    /// States the limit that the (last) refused field passed.
    #[must_use]
    pub fn with_limit(mut self, limit: u64) -> Self {
        if let Some(detail) = self.details.last_mut() {
            detail.limit = Some(limit);
        }
        self
    }

    /// Adds one more explained field.
    #[must_use]
    pub fn with_detail(mut self, detail: Detail) -> Self {
        self.details.push(detail);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

impl std::error::Error for Refusal {}

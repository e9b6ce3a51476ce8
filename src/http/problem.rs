//! The error map: the only place that knows what status, code and fixed sentence a reason has over HTTP.
//!
//! It must never look at anything but the reason: what differs from one request to the next stands in the refusal's
//! message. `docs/errors.md` tells the same for people, and the test below compares the two.

use hyper::StatusCode;

use crate::domain::refusal::Reason;

/// The code of every refusal for want of a right.
pub const FORBIDDEN: &str = "FORBIDDEN";

/// What a reason is answered with, whatever the request was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The coarse kind, `error.code` of the envelope.
    pub code: &'static str,
    /// The fixed sentence of `X-Error` and of a challenge's `error_description`: printable ASCII without `"` and `\`.
    pub sentence: &'static str,
}

/// Builds the one exhaustive `match` from a table in the order of the statuses: a new reason does not compile until
/// it has its row here.
macro_rules! answers {
    ($($status:ident $code:literal { $($reason:ident: $sentence:literal,)+ })+) => {
        /// What this reason is answered with.
        pub const fn answer(reason: Reason) -> Answer {
            match reason {
                $($(Reason::$reason => {
                    Answer { status: StatusCode::$status, code: $code, sentence: $sentence }
                })+)+
            }
        }
    };
}

answers! {
    BAD_REQUEST "VALIDATION_ERROR" {
        InvalidHost: "the request needs exactly one valid Host header",
        MalformedJson: "the body is not valid JSON in UTF-8",
        JsonTooDeep: "the JSON is nested more deeply than the limit",
        UnknownField: "the body has a field that this request does not know",
        MissingField: "the body lacks a field that this request needs",
        InvalidField: "a field has a value or a type that is not allowed",
        UnknownParameter: "the query has a parameter that this route does not know",
        DuplicateParameter: "a query parameter is given more than once",
        InvalidParameter: "a query parameter or header has a value that is not allowed",
        InvalidPath: "the path has a segment that is empty, a dot segment or not decodable",
        InvalidName: "the name does not follow the rules for names",
        InvalidSemver: "the version is not a version of SemVer 2.0.0",
        InvalidRequirement: "the version requirement can not be read",
        InvalidCursor: "the cursor does not belong to this query",
        InvalidDigest: "a digest is not 64 lower-case hex digits or not readable",
        DigestMismatch: "the bytes that arrived do not have the announced digest",
        InvalidMultipart: "the multipart body is not metadata followed by artifact",
        InvalidManifest: "the manifest in the archive is not valid",
        EmptyArtifact: "the artifact has no bytes",
        TruncatedBody: "the body ended before its announced length",
        PrivateNeedsNamespace: "a private package needs a namespace",
    }
    UNAUTHORIZED "UNAUTHENTICATED" {
        MissingToken: "this request needs a token",
        MalformedToken: "the credential is not in the form of a token",
        UnknownToken: "the token is not known here",
        ExpiredToken: "the token has expired",
        RevokedToken: "the token was revoked",
        DisabledUser: "the user of this token is disabled",
        UnsupportedScheme: "the authorization scheme is neither Bearer nor Basic",
        WrongCredentials: "the user name or the password is wrong",
    }
    FORBIDDEN "FORBIDDEN" {
        MissingScope: "the token lacks the scope that this request needs",
        TokenPackages: "the package is outside of the patterns of this token",
        MissingRole: "this request needs a role on the package or namespace that the user lacks",
        NotNamespaceMember: "only owners and publishers of the namespace create packages in it",
        ClaimsClosed: "namespaces are given by administrators here",
        ExceedsOwnRights: "a new token can not do more or last longer than the one that asks",
        CrossOrigin: "a browser sent this request from another site",
    }
    NOT_FOUND "NOT_FOUND" {
        NoSuchRoute: "there is nothing at this path",
        NoMatchingVersion: "no version matches",
        PackageNotFound: "there is no such package here or a token is needed to see it",
        VersionNotFound: "the package has no such version",
        NamespaceNotFound: "there is no such namespace",
        MemberNotFound: "there is no such member",
        UserNotFound: "there is no such user",
        TokenNotFound: "there is no such token or it is not yours to see",
        UploadNotFound: "there is no such upload or it has expired",
        BlobNotFound: "there are no such bytes here or a token is needed to see them",
        JobNotFound: "there is no such job",
    }
    METHOD_NOT_ALLOWED "METHOD_NOT_ALLOWED" {
        MethodNotAllowed: "this path does not take this method",
    }
    REQUEST_TIMEOUT "TIMEOUT" {
        BodyTooSlow: "the body arrived more slowly than the limit",
        RequestTimeout: "the request took longer than the limit",
    }
    CONFLICT "CONFLICT" {
        VersionExists: "this version is published with other content and never changes",
        VersionPurged: "this version number was purged and is never used again",
        PackageExists: "a package of this name exists",
        NameTooSimilar: "a package exists whose name differs only in separators",
        NameRetired: "this name was used before and is not free for others",
        NamespaceTaken: "the namespace belongs to somebody else",
        UserExists: "a user of this name exists or existed",
        NotEmpty: "something was published here, so it can not be deleted",
        LastOwner: "the last owner can not be removed",
        SoleOwner: "the user is the only owner of something",
        LastAdmin: "the last administrator stays",
        Unresolvable: "no set of versions satisfies all requirements",
        UploadBusy: "another request is writing to this upload",
        UploadIncomplete: "the upload lacks bytes",
        JobRunning: "a job of this kind is running",
    }
    GONE "GONE" {
        Purged: "this was purged and will not come back",
    }
    PRECONDITION_FAILED "PRECONDITION_FAILED" {
        EtagMismatch: "the thing has changed since it was read",
        AlreadyExists: "it exists already and the request asked that it must not",
    }
    PAYLOAD_TOO_LARGE "PAYLOAD_TOO_LARGE" {
        ArtifactTooLarge: "the artifact is larger than the limit",
        BodyTooLarge: "the body is larger than the limit",
    }
    UNSUPPORTED_MEDIA_TYPE "UNSUPPORTED_MEDIA_TYPE" {
        UnsupportedMediaType: "the body has a Content-Type that this route does not take",
        ContentCoding: "the body has a Content-Encoding and must be sent plain",
    }
    RANGE_NOT_SATISFIABLE "RANGE_NOT_SATISFIABLE" {
        UnsatisfiableRange: "the range lies outside of the bytes",
        WrongOffset: "the piece does not begin where the upload ends",
    }
    TOO_MANY_REQUESTS "RATE_LIMITED" {
        RateLimited: "there were too many attempts in a short time",
        TooManyUploads: "the user has too many open uploads",
    }
    INTERNAL_SERVER_ERROR "INTERNAL_ERROR" {
        Internal: "the server failed",
        ArtifactDamaged: "the stored bytes of this artifact are damaged",
    }
    SERVICE_UNAVAILABLE "UNAVAILABLE" {
        Starting: "the server is starting",
        Draining: "the server is stopping",
        ReadOnly: "the server takes no writes now",
        Overloaded: "the server has too much to do",
    }
    INSUFFICIENT_STORAGE "STORAGE_FULL" {
        StorageFull: "the disk of the server is full",
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, answer};
    use crate::domain::refusal::Reason;

    /// The cells of the rows of `docs/errors.md` that begin with a reason.
    fn documented() -> Vec<[String; 4]> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
        let text = std::fs::read_to_string(path).expect("docs/errors.md is part of the source tree");
        text.lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| {
                let mut cells =
                    line.trim_matches('|').splitn(5, '|').map(|cell| cell.trim().trim_matches('`').to_owned());
                std::array::from_fn(|_| cells.next().expect("a row has five cells"))
            })
            .collect()
    }

    #[test]
    fn every_reason_is_documented_with_its_status_code_and_sentence() {
        let told = documented();
        assert_eq!(told.len(), Reason::ALL.len(), "docs/errors.md needs exactly one row for each reason");
        for &reason in Reason::ALL {
            let Answer { status, code, sentence } = answer(reason);
            let row = [reason.as_str(), status.as_str(), code, sentence].map(str::to_owned);
            assert!(told.contains(&row), "docs/errors.md lacks the row: {}", row.join(" | "));
        }
    }

    #[test]
    fn every_sentence_can_stand_in_a_quoted_header_value() {
        for &reason in Reason::ALL {
            let Answer { status, sentence, .. } = answer(reason);
            assert!(status.is_client_error() || status.is_server_error(), "{reason} is an error");
            let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
            assert!(!sentence.is_empty() && sentence.bytes().all(plain), "`{sentence}` of {reason}");
        }
    }
}

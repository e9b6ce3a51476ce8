//! Answering with an artifact: conditions, ranges and headers of a download (`docs/api.md`, Download).
//!
//! Two steps, because only the handler can open the bytes: [`plan`] says which of them are wanted, [`reply`] puts the
//! headers around them. Access is decided before either.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    RANGE,
};

use crate::domain::digest::Sha256;
use crate::domain::refusal::Reason;

use super::body::ResponseBody;
use super::conditions::{ETag, not_modified, range_applies};
use super::failure::Failure;
use super::range::{Framing, Ranges, Span, frame, select};
use super::reply::{Cache, Reply};

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// What is known of stored bytes without opening them.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Their identity.
    pub digest: Sha256,
    /// How many there are.
    pub size: u64,
    /// The name under which they are saved: `A-Za-z0-9._+-` alone.
    pub filename: String,
    /// What they are, by their first bytes.
    pub media_type: String,
    /// Whether an anonymous caller would now get the same bytes.
    pub is_public: bool,
}

/// Which bytes to answer with.
#[derive(Debug)]
pub enum Plan {
    /// None: the client has them (304).
    NotModified,
    /// All of them (200).
    Whole,
    /// These (206).
    One(Span),
    /// These, each after its head, then the tail (206).
    Many(Framing),
}

/// Reads conditions and ranges; HEAD must come without `Range` (the pipeline takes it off). `boundary` is random text
/// for an answer in parts.
///
/// # Errors
/// `unsatisfiable_range`.
pub fn plan(headers: &HeaderMap, artifact: &Artifact, boundary: &str) -> Result<Plan, Failure> {
    let etag = ETag::of_artifact(&artifact.digest);
    if not_modified(headers, &etag) {
        return Ok(Plan::NotModified);
    }
    let mut ranges = headers.get_all(RANGE).iter();
    let range = match (ranges.next(), ranges.next()) {
        (Some(range), None) if range_applies(headers, &etag) => range.to_str().ok(),
        (Some(_) | None, _) => None,
    };
    match select(range, artifact.size) {
        Ranges::Whole => Ok(Plan::Whole),
        Ranges::One(span) => Ok(Plan::One(span)),
        Ranges::Many(spans) => Ok(Plan::Many(frame(&spans, artifact.size, &artifact.media_type, boundary))),
        Ranges::Unsatisfiable => {
            let message = format!("no byte of the asked range exists: there are {} bytes", artifact.size);
            let failure = Failure::new(Reason::UnsatisfiableRange, message);
            Err(failure.with_header(CONTENT_RANGE, &format!("bytes */{}", artifact.size)))
        }
    }
}

/// The reply of a plan; `body` holds the planned bytes (an empty one for [`Plan::NotModified`] and for HEAD).
pub fn reply(plan: Plan, artifact: &Artifact, body: ResponseBody) -> Reply {
    let etag = ETag::of_artifact(&artifact.digest);
    let (reply, media_type) = match plan {
        Plan::NotModified => (Reply::not_modified(etag), None),
        Plan::Whole => (Reply::stream(body, artifact.size).with_etag(etag), Some(artifact.media_type.clone())),
        Plan::One(span) => {
            let reply = Reply::stream(body, span.length()).with_etag(etag).with_status(StatusCode::PARTIAL_CONTENT);
            let reply = reply.with_header(CONTENT_RANGE, &span.content_range(artifact.size));
            (reply, Some(artifact.media_type.clone()))
        }
        Plan::Many(framing) => {
            let reply = Reply::stream(body, framing.length).with_etag(etag).with_status(StatusCode::PARTIAL_CONTENT);
            (reply, Some(framing.content_type))
        }
    };
    let reply = reply.with_cache(Cache::Immutable { public: artifact.is_public });
    let Some(media_type) = media_type else { return reply };
    reply
        .with_header(CONTENT_TYPE, &media_type)
        .with_header(ACCEPT_RANGES, "bytes")
        .with_header(REPR_DIGEST, &format!("sha-256=:{}:", STANDARD.encode(artifact.digest.0)))
        .with_header(CONTENT_DISPOSITION, &format!("attachment; filename=\"{}\"", artifact.filename))
        .with_header(CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'")
}

#[cfg(test)]
mod tests {
    use hyper::header::{IF_NONE_MATCH, IF_RANGE};

    use super::*;
    use crate::http::body::full;

    fn artifact() -> Artifact {
        Artifact {
            digest: Sha256::of(b"0123456789"),
            size: 10,
            filename: "a-1.0.0.bin".to_owned(),
            media_type: "application/octet-stream".to_owned(),
            is_public: false,
        }
    }

    #[track_caller]
    fn check(headers: &[(HeaderName, &str)], status: u16, range: &str) {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let artifact = artifact();
        let answer = plan(&headers, &artifact, "B").map(|plan| reply(plan, &artifact, full("")));
        let (found, headers) = match answer {
            Ok(reply) => (reply.status.as_u16(), reply.headers),
            Err(failure) => {
                let response = failure.respond("i");
                (response.status().as_u16(), response.headers().clone())
            }
        };
        let content_range = headers.get(CONTENT_RANGE).map_or("", |value| value.to_str().unwrap());
        assert_eq!((found, content_range), (status, range), "{headers:?}");
    }

    #[test]
    fn conditions_come_before_ranges() {
        let etag = ETag::of_artifact(&artifact().digest).header();
        check(&[], 200, "");
        check(&[(IF_NONE_MATCH, &etag), (RANGE, "bytes=0-1")], 304, "");
        check(&[(RANGE, "bytes=0-1")], 206, "bytes 0-1/10");
        check(&[(RANGE, "bytes=0-1,4-5")], 206, "");
        check(&[(RANGE, "bytes=10-")], 416, "bytes */10");
        check(&[(RANGE, "bytes=0-1"), (IF_RANGE, &etag)], 206, "bytes 0-1/10");
        check(&[(RANGE, "bytes=0-1"), (IF_RANGE, "\"other\"")], 200, "");
        check(&[(RANGE, "bytes=10-"), (IF_RANGE, "\"other\"")], 200, "");
    }

    #[test]
    fn a_download_carries_its_digest_and_name() {
        let reply = reply(Plan::Whole, &artifact(), full("0123456789"));
        let header = |name: &str| reply.headers.get(name).unwrap().to_str().unwrap();
        // printf 0123456789 | openssl dgst -sha256 -binary | base64
        assert_eq!(header("repr-digest"), "sha-256=:hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=:");
        assert_eq!(header("content-disposition"), "attachment; filename=\"a-1.0.0.bin\"");
        assert_eq!(header("accept-ranges"), "bytes");
        assert_eq!(reply.cache, Some(Cache::Immutable { public: false }));
    }
}

//! A publish in parts: `metadata` (JSON), then `artifact` (bytes), nothing else (`multipart/form-data`, RFC 7578).
//!
//! multer finds the parts; their order, their count and what may be buffered are ours. Memory stays constant whatever
//! is sent: multer reads ahead as long as there is something to read, so [`Metered`] hands it one chunk a turn, and
//! no more outside of the artifact's bytes than the metadata may have.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::{Body, Frame};
use hyper::header::CONTENT_TYPE;
use multer::{Field, Multipart};

use crate::domain::name::shown;
use crate::domain::refusal::{Reason, Refusal};

use super::body::{BodyError, RequestBody};
use super::json_body::{body_refusal, check_coding, too_large};

/// What may come beside the parts' contents (their heads, boundaries, what stands before and after), and what multer
/// may read ahead.
const OVERHEAD_BYTES_MAX: u64 = 1 << 20;
/// RFC 2046 section 5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;

/// Bounds of the two parts, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartLimits {
    /// Most bytes of `metadata`.
    pub metadata_bytes_max: u64,
    /// Most bytes of `artifact`.
    pub artifact_bytes_max: u64,
}

/// A multipart body before its artifact.
pub struct Parts {
    multipart: Multipart<'static>,
    feed: Arc<Feed>,
    limits: PartLimits,
}

/// The part `artifact`: read it with [`ArtifactPart::next_chunk`] to its `None`, which proves that the body came whole.
pub struct ArtifactPart {
    field: Option<Field<'static>>,
    parts: Parts,
    received: u64,
}

impl Parts {
    /// Whether a body says that it is `multipart/form-data`.
    pub fn are_sent(headers: &HeaderMap) -> bool {
        let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let essence = value.split(';').next().unwrap_or("").trim();
        essence.eq_ignore_ascii_case("multipart/form-data")
    }

    /// Prepares the reading; reads nothing.
    ///
    /// # Errors
    /// `artifact_too_large` by the announced length, `unsupported_media_type`, `content_coding`, `invalid_multipart`
    /// without a usable boundary.
    pub fn begin(headers: &HeaderMap, mut body: RequestBody, limits: PartLimits) -> Result<Self, Refusal> {
        let bytes_max = limits.artifact_bytes_max.saturating_add(limits.metadata_bytes_max + OVERHEAD_BYTES_MAX);
        if body.declared_len().is_some_and(|bytes| bytes > bytes_max) {
            return Err(too_large(Reason::ArtifactTooLarge, limits.artifact_bytes_max));
        }
        if !Self::are_sent(headers) {
            let message = "the body has to be `multipart/form-data` with the parts `metadata` and `artifact`";
            return Err(Refusal::new(Reason::UnsupportedMediaType, message));
        }
        check_coding(headers)?;
        let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let boundary = multer::parse_boundary(value).unwrap_or_default();
        if boundary.is_empty() || boundary.len() > BOUNDARY_BYTES_MAX {
            let rule = format!("the Content-Type needs a `boundary` of 1 to {BOUNDARY_BYTES_MAX} characters");
            return Err(invalid(rule));
        }
        body.set_limit(bytes_max);
        let allowance = AtomicU64::new(limits.metadata_bytes_max + OVERHEAD_BYTES_MAX);
        let feed = Arc::new(Feed { body: Mutex::new(body), allowance });
        let stream = Metered { feed: Arc::clone(&feed), fed: false }.into_data_stream();
        Ok(Self { multipart: Multipart::new(stream, boundary), feed, limits })
    }

    /// Reads the first part, which has to be `metadata`, whole.
    ///
    /// # Errors
    /// `invalid_multipart`, `body_too_large`, `truncated_body`, `body_too_slow`.
    pub async fn metadata(&mut self) -> Result<Bytes, Refusal> {
        let mut field = self.next("metadata").await?;
        let limit = self.limits.metadata_bytes_max;
        let mut whole = BytesMut::new();
        while let Some(chunk) = field.chunk().await.map_err(|error| self.refusal(&error))? {
            whole.extend_from_slice(&chunk);
            if whole.len() as u64 > limit {
                return Err(too_large(Reason::BodyTooLarge, limit));
            }
        }
        Ok(whole.freeze())
    }

    /// Goes on to the part `artifact`; call it after [`Parts::metadata`].
    ///
    /// # Errors
    /// `invalid_multipart`, `truncated_body`, `body_too_slow`.
    pub async fn artifact(mut self) -> Result<ArtifactPart, Refusal> {
        let field = self.next("artifact").await?;
        self.feed.allowance.store(u64::MAX, Ordering::Relaxed);
        Ok(ArtifactPart { field: Some(field), parts: self, received: 0 })
    }

    async fn next(&mut self, expected: &str) -> Result<Field<'static>, Refusal> {
        let field = self.multipart.next_field().await.map_err(|error| self.refusal(&error))?;
        let Some(field) = field else {
            return Err(invalid(format!("the part `{expected}` is missing; send `metadata`, then `artifact`")));
        };
        match field.name() {
            Some(name) if name == expected => Ok(field),
            Some(name @ ("metadata" | "artifact")) => Err(invalid(format!(
                "the part `{name}` stands where `{expected}` belongs; send `metadata` once, then `artifact` once"
            ))),
            Some(name) => Err(invalid(format!("there is no part `{}`; send `metadata`, then `artifact`", shown(name)))),
            None => Err(invalid("a part has no name; send `metadata`, then `artifact`".to_owned())),
        }
    }

    fn refusal(&self, error: &multer::Error) -> Refusal {
        let multer::Error::StreamReadFailed(source) = error else {
            return invalid(format!("the parts can't be read: {}", shown(&error.to_string())));
        };
        match source.downcast_ref::<FeedError>() {
            Some(FeedError::Body(BodyError::TooLarge { .. })) => {
                too_large(Reason::ArtifactTooLarge, self.limits.artifact_bytes_max)
            }
            Some(FeedError::Body(error)) => body_refusal(error, Reason::ArtifactTooLarge),
            Some(FeedError::TooFarAhead) | None => {
                let limit = self.limits.metadata_bytes_max;
                invalid(format!("more than {limit} bytes stand outside of the part `artifact`")).with_limit(limit)
            }
        }
    }
}

impl ArtifactPart {
    /// The next bytes; `None` once the part and the whole body ended as they should.
    ///
    /// # Errors
    /// `artifact_too_large`, `invalid_multipart` (for what follows the part as well), `truncated_body`,
    /// `body_too_slow`.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Some(field) = &mut self.field else { return Ok(None) };
        let chunk = field.chunk().await.map_err(|error| self.parts.refusal(&error))?;
        let Some(chunk) = chunk else {
            self.field = None;
            return self.end().await.map(|()| None);
        };
        self.received += chunk.len() as u64;
        let limit = self.parts.limits.artifact_bytes_max;
        if self.received > limit {
            return Err(too_large(Reason::ArtifactTooLarge, limit));
        }
        Ok(Some(chunk))
    }

    async fn end(&mut self) -> Result<(), Refusal> {
        self.parts.feed.allowance.store(OVERHEAD_BYTES_MAX, Ordering::Relaxed);
        let more = self.parts.multipart.next_field().await.map_err(|error| self.parts.refusal(&error))?;
        if let Some(field) = more {
            let name = shown(field.name().unwrap_or(""));
            return Err(invalid(format!("the part `{name}` follows `artifact`, which has to be the last one")));
        }
        // The closing boundary came; what the client announced beyond it has to come too.
        loop {
            match poll_fn(|cx| self.parts.feed.poll(cx)).await {
                Some(Ok(_)) => {}
                Some(Err(FeedError::Body(error))) => return Err(body_refusal(&error, Reason::ArtifactTooLarge)),
                Some(Err(FeedError::TooFarAhead)) => return Err(invalid("too much follows the last part".to_owned())),
                None => return Ok(()),
            }
        }
    }
}

/// The body, and how much of it may still be handed on.
struct Feed {
    body: Mutex<RequestBody>,
    allowance: AtomicU64,
}

#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error(transparent)]
    Body(BodyError),
    #[error("too many bytes outside of the artifact")]
    TooFarAhead,
}

impl Feed {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FeedError>>> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(cx).map(|frame| {
            let data = match frame? {
                Ok(frame) => frame.into_data().unwrap_or_default(),
                Err(error) => return Some(Err(FeedError::Body(error))),
            };
            let allowed = self.allowance.load(Ordering::Relaxed);
            let Some(left) = allowed.checked_sub(data.len() as u64) else { return Some(Err(FeedError::TooFarAhead)) };
            if allowed != u64::MAX {
                self.allowance.store(left, Ordering::Relaxed);
            }
            Some(Ok(data))
        })
    }
}

/// Hands on one chunk a turn.
struct Metered {
    feed: Arc<Feed>,
    fed: bool,
}

impl Body for Metered {
    type Data = Bytes;
    type Error = FeedError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, FeedError>>> {
        if std::mem::take(&mut self.fed) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let chunk = self.feed.poll(cx);
        self.fed = matches!(chunk, Poll::Ready(Some(Ok(_))));
        chunk.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

fn invalid(message: String) -> Refusal {
    Refusal::new(Reason::InvalidMultipart, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PartLimits = PartLimits { metadata_bytes_max: 64, artifact_bytes_max: 100 };

    fn headers(content_type: &str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())])
    }

    fn part(name: &str, content: &str) -> String {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    }

    async fn read(body: String) -> Result<(Bytes, Vec<u8>), Refusal> {
        let body = RequestBody::from_bytes(body);
        let mut parts = Parts::begin(&headers("multipart/form-data; boundary=B"), body, LIMITS)?;
        let metadata = parts.metadata().await?;
        let mut artifact = parts.artifact().await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = artifact.next_chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        assert_eq!(artifact.next_chunk().await, Ok(None));
        Ok((metadata, bytes))
    }

    #[track_caller]
    fn check(read: Result<(Bytes, Vec<u8>), Refusal>, reason: Reason, words: &str) {
        let refusal = read.unwrap_err();
        assert_eq!(refusal.reason, reason, "{}", refusal.message);
        assert!(refusal.message.contains(words), "{}", refusal.message);
    }

    #[tokio::test]
    async fn metadata_then_artifact() {
        let artifact = "\r\n--X\r\nbytes\r\n-";
        let body = format!("{}{}--B--\r\nafter", part("metadata", "{}"), part("artifact", artifact));
        assert_eq!(read(body).await, Ok((Bytes::from("{}"), artifact.as_bytes().to_vec())));
        let empty = format!("{}{}--B--", part("metadata", ""), part("artifact", ""));
        assert_eq!(read(empty).await, Ok((Bytes::new(), Vec::new())));
    }

    #[tokio::test]
    async fn order_count_and_names_are_checked() {
        let (metadata, artifact) = (part("metadata", "{}"), part("artifact", "x"));
        let wrong = Reason::InvalidMultipart;
        check(read(format!("{artifact}{metadata}--B--")).await, wrong, "`artifact` stands where `metadata` belongs");
        check(read(format!("{metadata}{metadata}{artifact}--B--")).await, wrong, "stands where `artifact` belongs");
        check(read(format!("{metadata}{artifact}{artifact}--B--")).await, wrong, "follows `artifact`");
        check(read(format!("{metadata}{}--B--", part("more", "x"))).await, wrong, "no part `more`");
        check(read(format!("{metadata}--B--")).await, wrong, "`artifact` is missing");
        check(read("--B--".to_owned()).await, wrong, "`metadata` is missing");
        check(read(String::new()).await, wrong, "can't be read");
        check(read(format!("{metadata}{artifact}")).await, wrong, "can't be read");
        check(
            read(format!("{metadata}--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--")).await,
            wrong,
            "no name",
        );
    }

    #[tokio::test]
    async fn each_part_has_its_limit() {
        let metadata = part("metadata", &"m".repeat(65));
        check(read(format!("{metadata}{}--B--", part("artifact", "x"))).await, Reason::BodyTooLarge, "64 bytes");
        let long = part("artifact", &"a".repeat(101));
        check(read(format!("{}{long}--B--", part("metadata", "{}"))).await, Reason::ArtifactTooLarge, "100 bytes");
        let endless = "x".repeat(usize::try_from(OVERHEAD_BYTES_MAX).unwrap() + 65);
        check(read(endless).await, Reason::InvalidMultipart, "outside of the part");
    }

    #[test]
    fn the_type_and_its_boundary_are_needed() {
        let begin = |content_type: &str| {
            let body = RequestBody::from_bytes("");
            Parts::begin(&headers(content_type), body, LIMITS).err().map(|refusal| refusal.reason)
        };
        assert_eq!(begin("multipart/form-data; boundary=\"a b\""), None);
        assert_eq!(begin("multipart/form-data"), Some(Reason::InvalidMultipart));
        assert_eq!(begin("multipart/form-data; boundary="), Some(Reason::InvalidMultipart));
        assert_eq!(begin(&format!("multipart/form-data; boundary={}", "b".repeat(71))), Some(Reason::InvalidMultipart));
        assert_eq!(begin("multipart/mixed; boundary=B"), Some(Reason::UnsupportedMediaType));
    }
}

//! What a handler answers with when it succeeds. How that becomes bytes and headers is [`respond`](super::respond)'s.
//!
//! Statuses of refusals are not made here: a handler fails with a [`Failure`].

use bytes::Bytes;
use hyper::header::{CONTENT_LOCATION, HeaderName, HeaderValue, LOCATION};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::body::ResponseBody;
use super::conditions::ETag;
use super::failure::Failure;
use super::query::Query;
use super::wire::{Meta, Page, Warning};

/// Who may keep an answer, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cache {
    /// `no-store`, and no `ETag`.
    NoStore,
    /// `no-cache` with a strong `ETag`: kept, but asked about before each use.
    Revalidate,
    /// Kept, but asked about before each use: bytes under a name that moves (`latest`).
    Alias {
        /// Whether shared caches may keep it.
        public: bool,
    },
    /// Kept for ever: bytes that never change. `public` exactly where an anonymous caller would get them too.
    Immutable {
        /// Whether shared caches may keep it.
        public: bool,
    },
}

impl Cache {
    /// The value of `Cache-Control`.
    pub const fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::NoStore => "no-store",
            Self::Revalidate => "no-cache",
            Self::Alias { public: true } => "public, no-cache",
            Self::Alias { public: false } => "private, no-cache",
            Self::Immutable { public: true } => "public, max-age=31536000, immutable",
            Self::Immutable { public: false } => "private, max-age=31536000, immutable",
        })
    }
}

/// The body of a success.
pub enum Payload {
    /// The envelope around `data`, which is JSON text already.
    Json {
        /// JSON text.
        data: Vec<u8>,
        /// What stands beside it; the request's id is added where it belongs.
        meta: Meta,
    },
    /// Text that stands for itself (index lines, a README, the `OpenAPI` document).
    Text {
        /// The bytes, uncoded.
        bytes: Bytes,
        /// Their media type.
        media_type: &'static str,
    },
    /// Bytes from elsewhere, whose headers the handler has set; never coded.
    Stream {
        /// The bytes.
        body: ResponseBody,
        /// How many there are.
        length: u64,
    },
    /// No body at all.
    Empty,
}

/// A success.
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers beyond those that follow from the rest.
    pub headers: HeaderMap,
    /// The body.
    pub payload: Payload,
    /// Who may keep it; none: as the route says for reads, nobody for writes.
    pub cache: Option<Cache>,
    /// The tag, when it is known without looking at the bytes.
    pub etag: Option<ETag>,
    /// Whether a secret is in it: it is never compressed nor kept.
    pub is_secret: bool,
}

impl Reply {
    fn new(payload: Payload) -> Self {
        let (status, headers) = (StatusCode::OK, HeaderMap::new());
        Self { status, headers, payload, cache: None, etag: None, is_secret: false }
    }

    /// 200 with `data` in the envelope.
    ///
    /// # Errors
    /// An internal failure when `data` can't be written as JSON.
    pub fn json<T: Serialize>(data: &T) -> Result<Self, Failure> {
        let data = serde_json::to_vec(data).map_err(|error| Failure::internal("writing JSON", error))?;
        Ok(Self::rendered(data))
    }

    /// 200 with `data` in the envelope, which was written as JSON before.
    pub fn rendered(data: Vec<u8>) -> Self {
        Self::new(Payload::Json { data, meta: Meta::default() })
    }

    /// 201 with `data` and where it is from now on (an absolute path, already encoded).
    ///
    /// # Errors
    /// As [`Reply::json`].
    pub fn created<T: Serialize>(data: &T, location: &str) -> Result<Self, Failure> {
        Ok(Self { status: StatusCode::CREATED, ..Self::json(data)? }.with_header(LOCATION, location))
    }

    /// 202 with a job and where to ask for it.
    ///
    /// # Errors
    /// As [`Reply::json`].
    pub fn accepted<T: Serialize>(data: &T, location: &str) -> Result<Self, Failure> {
        Ok(Self { status: StatusCode::ACCEPTED, ..Self::json(data)? }.with_header(LOCATION, location))
    }

    /// 200 with one page of a list; `next` is the position where the next one begins, none on the last page. The
    /// `Link` to the next page is made from the request.
    ///
    /// # Errors
    /// As [`Reply::json`].
    pub fn list<T: Serialize>(items: &[T], query: &Query, next: Option<&[u8]>) -> Result<Self, Failure> {
        let mut reply = Self::json(&items)?;
        let next_cursor = next.map(|position| query.cursor_at(position));
        if let Payload::Json { meta, .. } = &mut reply.payload {
            meta.page = Some(Page { limit: query.limit(), next_cursor });
        }
        Ok(reply)
    }

    /// 200 with text that stands for itself.
    pub fn text(bytes: impl Into<Bytes>, media_type: &'static str) -> Self {
        Self::new(Payload::Text { bytes: bytes.into(), media_type })
    }

    /// Bytes from elsewhere; `Content-Length` is `length`, so exactly as many have to come.
    pub fn stream(body: ResponseBody, length: u64) -> Self {
        Self::new(Payload::Stream { body, length })
    }

    /// 304: what the client has is still what it would get.
    pub fn not_modified(etag: ETag) -> Self {
        Self { status: StatusCode::NOT_MODIFIED, etag: Some(etag), ..Self::new(Payload::Empty) }
    }

    /// 204 without a body.
    pub fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, ..Self::new(Payload::Empty) }
    }

    /// Another success status than the constructor's.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a header; a value that is no header value is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Names the thing that an alias (`latest`) stood for.
    #[must_use]
    pub fn content_location(self, path: &str) -> Self {
        self.with_header(CONTENT_LOCATION, path)
    }

    /// Says who may keep the answer, instead of what the route says.
    #[must_use]
    pub fn with_cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Gives the tag of the uncoded bytes, so that they need not be hashed.
    #[must_use]
    pub fn with_etag(mut self, etag: ETag) -> Self {
        self.etag = Some(etag);
        self
    }

    /// Says that there is a secret in it.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// Adds something that the client should know.
    #[must_use]
    pub fn with_warnings(mut self, warnings: impl IntoIterator<Item = Warning>) -> Self {
        if let Payload::Json { meta, .. } = &mut self.payload {
            meta.warnings.extend(warnings);
        }
        self
    }

    /// Adds a member to `meta`, such as `last`.
    #[must_use]
    pub fn with_meta(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        if let Payload::Json { meta, .. } = &mut self.payload {
            meta.extra.insert(name.to_owned(), value.into());
        }
        self
    }
}

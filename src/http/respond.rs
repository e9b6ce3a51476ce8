//! From a reply to a response: the envelope, the tag and its conditions, the coding, the headers that always stand.
//!
//! The last step of a success. It decides nothing about access: a condition is looked at only once there is a reply.

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, LINK, VARY};
use hyper::{HeaderMap, Method, Response, StatusCode};
use serde::Serialize;

use super::body::{ResponseBody, full};
use super::coding::{COMPRESS_BYTES_MIN, Coding, compress, negotiate};
use super::conditions::{ETag, not_modified};
use super::query::Query;
use super::reply::{Cache, Payload, Reply};
use super::wire::Meta;

/// What of a request its response depends on, beyond the handler.
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as it stood on the request line, for the link to the next page.
    pub path: &'a str,
    /// The query, for that link and its warnings.
    pub query: &'a Query,
    /// The headers, for conditions and codings.
    pub headers: &'a HeaderMap,
    /// The request's id.
    pub request_id: &'a str,
    /// What the route says about keeping its reads.
    pub cache: Cache,
}

impl Asked<'_> {
    fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }
}

/// Turns a reply into the response. For HEAD the body is left out and every header stays.
pub fn respond(reply: Reply, asked: &Asked<'_>) -> Response<ResponseBody> {
    let default = if asked.is_read() { asked.cache } else { Cache::NoStore };
    let cache = if reply.is_secret { Cache::NoStore } else { reply.cache.unwrap_or(default) };
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response.headers_mut().insert(CACHE_CONTROL, cache.header());
    match reply.payload {
        Payload::Json { data, meta } => {
            let meta = finish_meta(meta, asked, cache, response.headers_mut());
            let bytes = envelope(&data, &meta);
            let text = Text { bytes: bytes.into(), media_type: "application/json", etag: reply.etag };
            text.write(&mut response, asked, cache, !reply.is_secret);
        }
        Payload::Text { bytes, media_type } => {
            let text = Text { bytes, media_type, etag: reply.etag };
            text.write(&mut response, asked, cache, !reply.is_secret);
        }
        Payload::Stream { body, length } => {
            if let Some(etag) = reply.etag {
                set(&mut response, ETAG, &etag.header());
            }
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            *response.body_mut() = body;
        }
        Payload::Empty => {
            if let Some(etag) = reply.etag {
                set(&mut response, ETAG, &etag.header());
            }
        }
    }
    if asked.method == Method::HEAD {
        *response.body_mut() = full(Bytes::new());
    }
    response
}

/// Completes `meta`: the request's id where no tag stands, the query's warnings, the link to the next page.
fn finish_meta(mut meta: Meta, asked: &Asked<'_>, cache: Cache, headers: &mut HeaderMap) -> Meta {
    if cache == Cache::NoStore {
        meta.request_id = Some(asked.request_id.to_owned());
    }
    if let Some(cursor) = meta.page.as_ref().and_then(|page| page.next_cursor.as_ref()) {
        let link = format!("<{}?{}>; rel=\"next\"", asked.path, asked.query.with_cursor(cursor));
        if let Ok(link) = HeaderValue::from_str(&link) {
            headers.insert(LINK, link);
        }
    }
    meta.warnings.splice(0..0, asked.query.warnings.iter().cloned());
    meta
}

/// Text that may be tagged and coded.
struct Text {
    bytes: Bytes,
    media_type: &'static str,
    etag: Option<ETag>,
}

impl Text {
    fn write(self, response: &mut Response<ResponseBody>, asked: &Asked<'_>, cache: Cache, may_code: bool) {
        let coding = if may_code { negotiate(asked.headers) } else { Coding::Identity };
        if may_code {
            response.headers_mut().insert(VARY, HeaderValue::from_static("Authorization, Accept-Encoding"));
        }
        let etag = (cache != Cache::NoStore).then(|| self.etag.unwrap_or_else(|| ETag::of(&self.bytes)));
        let is_tagged_read = asked.is_read() && response.status() == StatusCode::OK;
        if let Some(etag) = etag.as_ref().filter(|_| is_tagged_read && self.bytes.len() > COMPRESS_BYTES_MIN)
            && not_modified(asked.headers, &etag.coded(coding))
        {
            // What the client has was coded like this: no need to compress it once more to know.
            return unchanged(response, &etag.coded(coding));
        }
        let coded = compress(&self.bytes, coding);
        let used = if coded.is_some() { coding } else { Coding::Identity };
        if let Some(etag) = etag.map(|etag| etag.coded(used)) {
            if is_tagged_read && not_modified(asked.headers, &etag) {
                return unchanged(response, &etag);
            }
            set(response, ETAG, &etag.header());
        }
        if let Some(name) = used.name() {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        let bytes = coded.unwrap_or(self.bytes);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        *response.body_mut() = full(bytes);
    }
}

fn unchanged(response: &mut Response<ResponseBody>, etag: &ETag) {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    set(response, ETAG, &etag.header());
}

fn set(response: &mut Response<ResponseBody>, name: hyper::header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The tag that GET gives for this data; `None` when it can't be written as JSON.
pub fn tag_of<T: Serialize>(data: &T) -> Option<ETag> {
    let data = serde_json::to_vec(data).ok()?;
    Some(ETag::of(&envelope(&data, &Meta::default())))
}

/// Writes [`Envelope`](super::wire::Envelope) around JSON text that is there already.
fn envelope(data: &[u8], meta: &Meta) -> Vec<u8> {
    let meta = serde_json::to_vec(meta).unwrap_or_else(|_| b"{}".to_vec());
    [b"{\"ok\":true,\"data\":", data, b",\"meta\":", &meta, b"}"].concat()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper::header::{ACCEPT_ENCODING, HeaderName, IF_NONE_MATCH};
    use serde_json::Value;

    use super::*;
    use crate::http::query::{QueryKey, QueryKind};

    struct Case {
        method: Method,
        cache: Cache,
        headers: HeaderMap,
        query: Query,
    }

    fn read() -> Case {
        Case { method: Method::GET, cache: Cache::Revalidate, headers: HeaderMap::new(), query: Query::default() }
    }

    impl Case {
        fn with(mut self, name: HeaderName, value: &str) -> Self {
            self.headers.insert(name, value.parse().unwrap());
            self
        }

        fn respond(&self, reply: Reply) -> Response<ResponseBody> {
            let (path, request_id) = ("/v1/a", "id-1");
            let Self { method, query, headers, cache } = self;
            respond(reply, &Asked { method, path, query, headers, request_id, cache: *cache })
        }
    }

    fn header<'r>(response: &'r Response<ResponseBody>, name: &str) -> &'r str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    async fn bytes(response: Response<ResponseBody>) -> Bytes {
        response.into_body().collect().await.unwrap().to_bytes()
    }

    fn reply(text: &str) -> Reply {
        Reply::json(&text).unwrap()
    }

    #[tokio::test]
    async fn a_tagged_read_is_the_same_from_one_request_to_the_next() {
        let response = read().respond(reply("x"));
        assert_eq!(header(&response, "cache-control"), "no-cache");
        assert_eq!(header(&response, "vary"), "Authorization, Accept-Encoding");
        let etag = header(&response, "etag").to_owned();
        assert_eq!(bytes(response).await, "{\"ok\":true,\"data\":\"x\",\"meta\":{}}");
        let again = read().with(IF_NONE_MATCH, &etag).respond(reply("x"));
        assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, etag.as_str()));
        assert_eq!(header(&again, "content-length"), "");
        assert!(bytes(again).await.is_empty());
        let changed = read().with(IF_NONE_MATCH, &etag).respond(reply("y"));
        assert_eq!(changed.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn writes_and_unkept_reads_have_the_request_id_and_no_tag() {
        for case in [Case { method: Method::POST, ..read() }, Case { cache: Cache::NoStore, ..read() }] {
            let response = case.with(IF_NONE_MATCH, "*").respond(reply("x"));
            assert_eq!((header(&response, "cache-control"), header(&response, "etag")), ("no-store", ""));
            let body: Value = serde_json::from_slice(&bytes(response).await).unwrap();
            assert_eq!(body["meta"]["request_id"], "id-1");
        }
    }

    #[tokio::test]
    async fn long_answers_are_coded_when_named_and_never_with_a_secret() {
        let long = "word ".repeat(400);
        let response = read().with(ACCEPT_ENCODING, "gzip").respond(reply(&long));
        assert_eq!(header(&response, "content-encoding"), "gzip");
        let etag = header(&response, "etag").to_owned();
        assert!(etag.ends_with("-gzip\""), "{etag}");
        let length: usize = header(&response, "content-length").parse().unwrap();
        assert_eq!(bytes(response).await.len(), length);
        let again = read().with(ACCEPT_ENCODING, "gzip").with(IF_NONE_MATCH, &etag).respond(reply(&long));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let other = read().with(IF_NONE_MATCH, &etag).respond(reply(&long));
        assert_eq!((other.status(), header(&other, "content-encoding")), (StatusCode::OK, ""));
        let secret = read().with(ACCEPT_ENCODING, "gzip").respond(reply(&long).secret());
        assert_eq!((header(&secret, "content-encoding"), header(&secret, "cache-control")), ("", "no-store"));
    }

    #[tokio::test]
    async fn head_has_the_headers_of_get() {
        let get = read().respond(reply("x"));
        let head = Case { method: Method::HEAD, ..read() }.respond(reply("x"));
        assert_eq!(get.headers(), head.headers());
        assert!(bytes(head).await.is_empty());
    }

    #[tokio::test]
    async fn lists_link_to_their_next_page() {
        const KEYS: &[QueryKey] = &[
            QueryKey { name: "limit", kind: QueryKind::Limit { max: 2 }, doc: "" },
            QueryKey { name: "cursor", kind: QueryKind::Cursor, doc: "" },
        ];
        let case = Case { query: Query::parse(KEYS, Some("limit=9"), "").unwrap(), ..read() };
        let response = case.respond(Reply::list(&[1, 2], &case.query, Some(b"k")).unwrap());
        let link = header(&response, "link").to_owned();
        let body: Value = serde_json::from_slice(&bytes(response).await).unwrap();
        let cursor = body["meta"]["page"]["next_cursor"].as_str().unwrap();
        assert_eq!(link, format!("</v1/a?limit=9&cursor={cursor}>; rel=\"next\""));
        assert_eq!(body["meta"]["page"]["limit"], 2);
        assert_eq!(body["meta"]["warnings"][0]["reason"], "limit_clamped");
        let last = case.respond(Reply::list(&[1], &case.query, None).unwrap());
        assert_eq!(header(&last, "link"), "");
        let body: Value = serde_json::from_slice(&bytes(last).await).unwrap();
        assert!(body["meta"]["page"]["next_cursor"].is_null());
    }
}

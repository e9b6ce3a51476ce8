//! Bytes on their way out: artifacts, READMEs, blobs by digest.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Frame;

use crate::domain::id::Id;
use crate::domain::version::VersionNumber;
use crate::http::artifact_reply::{Artifact, Plan, plan, reply};
use crate::http::body::{ResponseBody, full};
use crate::http::call::Call;
use crate::http::conditions::{ETag, not_modified};
use crate::http::failure::Failure;
use crate::http::range::Span;
use crate::http::reply::{Cache, Reply};
use crate::http::wire::versions::version_path;
use crate::services::download::{Download, DownloadReader, PIECE_BYTES};
use crate::services::versions::VersionRef;

/// `GET /v1/packages/{pkg}/versions/{version}/artifact[/{filename}]`.
pub async fn artifact(call: Call) -> Result<Reply, Failure> {
    let filename = call.params.filename.as_deref();
    let service = &call.app.services.downloads;
    let download = service.artifact(&call.context()?, &call.package()?, call.version()?, filename).await?;
    let (number, public) = (download.number.clone(), download.public);
    let reply = send(&call, download).await?;
    let is_alias = call.version()? == VersionRef::Latest;
    let reply = if is_alias { reply.with_cache(Cache::Alias { public }) } else { reply };
    named(&call, reply, number.as_ref(), "artifact")
}

/// `GET /v1/blobs/{sha256}`.
pub async fn blob(call: Call) -> Result<Reply, Failure> {
    let download = call.app.services.downloads.blob(&call.context()?, call.digest()?).await?;
    send(&call, download).await
}

/// `GET /v1/packages/{pkg}/versions/{version}/readme`.
pub async fn readme(call: Call) -> Result<Reply, Failure> {
    let service = &call.app.services.downloads;
    let (text, digest, number) = service.readme(&call.context()?, &call.package()?, call.version()?).await?;
    let etag = ETag::of_artifact(&digest);
    if not_modified(&call.headers, &etag) {
        return named(&call, Reply::not_modified(etag), Some(&number), "readme");
    }
    let reply = Reply::text(text, "text/markdown; charset=utf-8").with_etag(etag);
    named(&call, reply, Some(&number), "readme")
}

/// An alias moves: what it stands for now is named, and asked about before each use.
fn named(call: &Call, reply: Reply, number: Option<&VersionNumber>, what: &str) -> Result<Reply, Failure> {
    match (call.version()?, number) {
        (VersionRef::Latest, Some(number)) => {
            let path = version_path(&call.package()?, number);
            let location = format!("{}{path}/{what}", call.app.base_url());
            Ok(reply.content_location(&location))
        }
        (VersionRef::Number(_) | VersionRef::Latest, _) => Ok(reply),
    }
}

async fn send(call: &Call, download: Download) -> Result<Reply, Failure> {
    let artifact = Artifact {
        digest: download.sha256,
        size: download.size,
        filename: download.filename.clone(),
        media_type: download.media_type.clone(),
        is_public: download.public,
    };
    let boundary = Id(u128::from_be_bytes(crate::services::random()?)).to_string();
    let planned = plan(&call.headers, &artifact, &boundary)?;
    let first_byte = match &planned {
        Plan::NotModified => false,
        Plan::Whole => true,
        Plan::One(span) => span.first == 0,
        Plan::Many(framing) => framing.parts.iter().any(|(_, span)| span.first == 0),
    };
    if first_byte && !call.is_head {
        call.app.services.downloads.count(&download);
    }
    let body = if call.is_head { full("") } else { body_of(&planned, &download).await? };
    Ok(reply(planned, &artifact, body))
}

async fn body_of(planned: &Plan, download: &Download) -> Result<ResponseBody, Failure> {
    let mut pieces = VecDeque::new();
    let part = |span: &Span| Piece::Read(download.part(span.first, span.length()));
    match planned {
        Plan::NotModified => {}
        Plan::Whole => {
            // What fits into one piece is checked before the first byte, so that damage is a 500 and no cut.
            if download.size <= PIECE_BYTES {
                download.check().await?;
            }
            pieces.push_back(Piece::Read(download.whole()));
        }
        Plan::One(span) => {
            download.check().await?;
            pieces.push_back(part(span));
        }
        Plan::Many(framing) => {
            download.check().await?;
            for (head, span) in &framing.parts {
                pieces.push_back(Piece::Text(head.clone()));
                pieces.push_back(part(span));
            }
            pieces.push_back(Piece::Text(framing.tail.clone()));
        }
    }
    Ok(PiecesBody { pieces, reading: None }.boxed_unsync())
}

/// What an answer's body is put together from.
enum Piece {
    /// Text between parts.
    Text(Bytes),
    /// Stored bytes.
    Read(DownloadReader),
}

type Reading = Pin<Box<dyn Future<Output = (DownloadReader, io::Result<Option<Bytes>>)> + Send>>;

/// Reads one piece at a time, when the connection has room for it.
struct PiecesBody {
    pieces: VecDeque<Piece>,
    reading: Option<Reading>,
}

impl hyper::body::Body for PiecesBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let (reader, read) = std::task::ready!(reading.as_mut().poll(task));
                self.reading = None;
                match read {
                    Ok(Some(bytes)) => {
                        self.pieces.push_front(Piece::Read(reader));
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::error!(%error, "a download was cut off: its bytes can't be read or are damaged");
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
            match self.pieces.pop_front() {
                None => return Poll::Ready(None),
                Some(Piece::Text(text)) => return Poll::Ready(Some(Ok(Frame::data(text)))),
                Some(Piece::Read(mut reader)) => {
                    self.reading = Some(Box::pin(async move {
                        let read = reader.next().await.map_err(io::Error::other);
                        (reader, read)
                    }));
                }
            }
        }
    }
}

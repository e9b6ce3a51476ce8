//! Resumable uploads.

use hyper::HeaderMap;
use hyper::header::{CONTENT_RANGE, HeaderName};

use super::publish::digest_in;
use crate::domain::digest::Sha256;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::upload::{ContentRange, Part};
use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::reply::Reply;
use crate::http::wire::digest;
use crate::http::wire::uploads::{FinishUpload, NewUpload, Upload};
use crate::services::ServiceError;
use crate::services::uploads::UploadDetail;

const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// `POST /v1/uploads`.
pub async fn create(mut call: Call) -> Result<Reply, Failure> {
    let asked: NewUpload = call.json().await?;
    let begun = call.app.services.uploads.create(&call.context()?, asked.try_into()?).await?;
    let location = format!("{}/v1/uploads/{}", call.app.base_url(), begun.upload.id);
    Ok(Reply::created(&Upload::from(&begun), &location)?.with_header(UPLOAD_OFFSET, "0"))
}

/// `GET /v1/uploads/{id}`.
pub async fn get(call: Call) -> Result<Reply, Failure> {
    answer(&call.app.services.uploads.get(&call.context()?, call.id()?).await?)
}

/// `PATCH /v1/uploads/{id}`.
pub async fn append(mut call: Call) -> Result<Reply, Failure> {
    let (context, id) = (call.context()?, call.id()?);
    // Whose it is comes before what is wrong with the request.
    call.app.services.uploads.get(&context, id).await?;
    let sha256: Option<Sha256> = digest_in(&call.headers, &["content-digest"])?;
    let part = Part { range: range(&call.headers)?, length: call.body.declared_len(), sha256 };
    let mut body = call.take_bytes()?;
    match call.app.services.uploads.append(&context, id, &part, &mut body).await {
        Ok(detail) => answer(&detail),
        Err(error) => Err(with_offset(error)),
    }
}

/// `PUT /v1/uploads/{id}`.
pub async fn finish(mut call: Call) -> Result<Reply, Failure> {
    let (context, id) = (call.context()?, call.id()?);
    call.app.services.uploads.get(&context, id).await?;
    let asked: FinishUpload = call.json().await?;
    answer(&call.app.services.uploads.finish(&context, id, digest("sha256", &asked.sha256)?).await?)
}

/// `DELETE /v1/uploads/{id}`.
pub async fn remove(call: Call) -> Result<Reply, Failure> {
    answer(&call.app.services.uploads.remove(&call.context()?, call.id()?).await?)
}

fn answer(detail: &UploadDetail) -> Result<Reply, Failure> {
    Ok(Reply::json(&Upload::from(detail))?.with_header(UPLOAD_OFFSET, &detail.offset.to_string()))
}

fn range(headers: &HeaderMap) -> Result<ContentRange, Refusal> {
    let mut values = headers.get_all(CONTENT_RANGE).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => ContentRange::parse(value.to_str().unwrap_or_default()),
        (_, Some(_)) => {
            let message = "There is more than one `Content-Range`: send one.";
            Err(Refusal::field(Reason::InvalidField, "content-range", message))
        }
        (None, None) => {
            let message = "A part says where it belongs: send `Content-Range: bytes FIRST-LAST/TOTAL`.";
            Err(Refusal::field(Reason::MissingField, "content-range", message))
        }
    }
}

/// Tells the right offset in a header too: tools that resume look there.
fn with_offset(error: ServiceError) -> Failure {
    let offset = match &error {
        ServiceError::Refused(refusal) if refusal.reason == Reason::WrongOffset => {
            refusal.details.first().and_then(|detail| detail.limit)
        }
        ServiceError::Refused(_) | ServiceError::Internal { .. } => None,
    };
    let failure = Failure::from(error);
    match offset {
        Some(offset) => failure.with_header(UPLOAD_OFFSET, &offset.to_string()),
        None => failure,
    }
}

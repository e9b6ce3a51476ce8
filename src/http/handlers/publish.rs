//! Publishing: the raw body in one request, or metadata and artifact in parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;

use crate::domain::digest::Sha256;
use crate::domain::name::PackageName;
use crate::domain::package::{Description, Visibility};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::version::VersionNumber;
use crate::http::artifact_body::ArtifactBody;
use crate::http::call::Call;
use crate::http::conditions::must_be_new;
use crate::http::failure::Failure;
use crate::http::json_body::is_json;
use crate::http::reply::Reply;
use crate::http::wire::Warning;
use crate::http::wire::publish::{PublishMetadata, PublishedVersion};
use crate::http::wire::versions::version_path;
use crate::services::publish::{Admission, PublishRequest, Published};
use crate::services::uploads::ArtifactName;

/// `PUT /v1/packages/{pkg}/versions/{version}`.
pub async fn put(mut call: Call) -> Result<Reply, Failure> {
    let mut request = asked(&call, call.package()?, call.version_number()?);
    request.filename = call.query.text("filename").map(str::to_owned);
    request.size = call.body.declared_len();
    request.sha256 = digest_in(&call.headers, &["content-digest", "repr-digest"])?;
    let context = call.context()?;
    let published = match call.app.services.publish.admit(&context, &request).await? {
        Admission::Done(published) => *published,
        Admission::ReadBody => {
            let mut body = call.take_bytes()?;
            call.app.services.publish.publish(&context, request, &mut body).await?
        }
    };
    answer(&call, &published)
}

/// `POST /v1/packages/{pkg}/versions`.
pub async fn post(mut call: Call) -> Result<Reply, Failure> {
    let (package, context) = (call.package()?, call.context()?);
    call.app.services.publish.admit_name(&context, &package, call.query.is_on("create"), visibility(&call)).await?;
    if is_json(&call.headers) {
        return post_named(call, package).await;
    }
    let mut parts = call.take_parts()?;
    let metadata: PublishMetadata = call.parse_json(&parts.metadata().await?)?;
    if metadata.artifact.is_some() {
        let message = "`artifact` comes as the second part here: leave it out, or send the metadata alone as JSON.";
        return Err(Refusal::field(Reason::UnknownField, "artifact", message).into());
    }
    let number = VersionNumber::parse(&metadata.version)?;
    let mut request = asked(&call, package, number);
    metadata.fill(&mut request)?;
    let published = match call.app.services.publish.admit(&context, &request).await? {
        Admission::Done(published) => *published,
        Admission::ReadBody => {
            let mut body = ArtifactBody::Part(Box::new(parts.artifact().await?));
            call.app.services.publish.publish(&context, request, &mut body).await?
        }
    };
    answer(&call, &published)
}

/// The metadata alone, naming bytes that are here already.
async fn post_named(mut call: Call, package: PackageName) -> Result<Reply, Failure> {
    let mut metadata: PublishMetadata = call.json().await?;
    let artifact = metadata.artifact.take().ok_or_else(|| {
        let message = "`artifact` is missing: name bytes by `upload` or `sha256`, or send metadata and bytes in parts.";
        Refusal::field(Reason::MissingField, "artifact", message)
    })?;
    let artifact = ArtifactName::try_from(artifact)?;
    let mut request = asked(&call, package, VersionNumber::parse(&metadata.version)?);
    metadata.fill(&mut request)?;
    let services = &call.app.services;
    let published = services.uploads.publish(&services.publish, &call.context()?, request, artifact).await?;
    answer(&call, &published)
}

fn visibility(call: &Call) -> Option<Visibility> {
    call.query.text("visibility").and_then(Visibility::parse)
}

fn asked(call: &Call, package: PackageName, version: VersionNumber) -> PublishRequest {
    PublishRequest {
        package,
        version,
        filename: None,
        about: Description::default(),
        dependencies: None,
        manifest: None,
        readme: None,
        create: call.query.is_on("create"),
        visibility: visibility(call),
        dry_run: call.query.is_on("dry_run"),
        sha256: None,
        size: None,
        must_be_new: must_be_new(&call.headers),
    }
}

fn answer(call: &Call, published: &Published) -> Result<Reply, Failure> {
    let body = PublishedVersion::new(published, call.app.base_url());
    let warning = |it: &crate::services::archive::Warning| Warning { reason: it.reason, message: it.message.clone() };
    let reply = if published.created && !published.dry_run {
        let path = version_path(&published.detail.package, &published.detail.version.number);
        Reply::created(&body, &format!("{}{path}", call.app.base_url()))?
    } else {
        Reply::json(&body)?
    };
    Ok(reply.with_warnings(published.warnings.iter().map(warning)))
}

/// The SHA-256 in these fields, which are `Content-Digest` and `Repr-Digest` (RFC 9530) or one of them; other algorithms
/// are passed over.
///
/// # Errors
/// `invalid_digest` when `sha-256` is there but no digest, or when two of them differ.
pub fn digest_in(headers: &HeaderMap, names: &[&str]) -> Result<Option<Sha256>, Refusal> {
    let mut found = None;
    for name in names {
        for value in headers.get_all(*name) {
            for member in value.to_str().unwrap_or_default().split(',') {
                let Some(text) = member.trim().strip_prefix("sha-256=") else { continue };
                let digest = digest_of(text).ok_or_else(invalid)?;
                if found.is_some_and(|other| other != digest) {
                    return Err(invalid());
                }
                found = Some(digest);
            }
        }
    }
    Ok(found)
}

fn digest_of(text: &str) -> Option<Sha256> {
    let encoded = text.strip_prefix(':')?.split_once(':')?.0;
    Some(Sha256(STANDARD.decode(encoded).ok()?.try_into().ok()?))
}

fn invalid() -> Refusal {
    let message = "`Content-Digest` and `Repr-Digest` hold one `sha-256=:…:` with the base64 of 32 bytes (RFC 9530): \
                   correct it, or leave it out.";
    Refusal::field(Reason::InvalidDigest, "Content-Digest", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Result<Option<Sha256>, Reason>) {
        let headers = [("content-digest".parse().unwrap(), value.parse().unwrap())].into_iter().collect();
        assert_eq!(digest_in(&headers, &["content-digest"]).map_err(|refusal| refusal.reason), expected, "{value}");
    }

    #[test]
    fn digests_are_read_as_rfc_9530_writes_them() {
        let digest = Sha256::of(b"a");
        let text = format!("sha-256=:{}:", STANDARD.encode(digest.0));
        check(&text, Ok(Some(digest)));
        check(&format!("sha-512=:AAAA:, {text}"), Ok(Some(digest)));
        check("md5=:AAAA:", Ok(None));
        check("sha-256=:AAAA:", Err(Reason::InvalidDigest));
        check("sha-256=AAAA", Err(Reason::InvalidDigest));
        check(&format!("{text}, sha-256=:{}:", STANDARD.encode([0; 32])), Err(Reason::InvalidDigest));
    }
}

//! What a publish refuses, whichever way its bytes came and whatever happened since it was admitted.

use super::*;
use crate::domain::package::{Dependency, Description};
use crate::domain::token::Scope;
use crate::domain::upload::{ContentRange, NewUpload, Part};
use crate::services::fixture_tests::{Body, Registry, needs, refused, request};
use crate::services::uploads::ArtifactName;

const BYTES: &[u8] = b"some bytes";

/// Uploads [`BYTES`] and publishes them by name.
async fn publish_named(registry: &Registry, context: &Context, request: PublishRequest) -> Refusal {
    let uploads = &registry.services.uploads;
    let id = uploads.create(context, NewUpload::default()).await.unwrap().upload.id;
    let part = Part { range: ContentRange::parse("bytes 0-9/10").unwrap(), length: None, sha256: None };
    uploads.append(context, id, &part, &mut Body::of(BYTES)).await.unwrap();
    uploads.finish(context, id, Sha256::of(BYTES)).await.unwrap();
    refused(uploads.publish(&registry.services.publish, context, request, ArtifactName::Upload(id)).await)
}

#[tokio::test]
async fn metadata_keeps_its_limits_whichever_way_the_bytes_came() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let long = |bytes: usize| "x".repeat(bytes);
    let many: Vec<Dependency> = (0..513).map(|at| needs(&format!("p{at} *"))).collect();
    let base = || request("gk/a", "1.0.0");
    let about = |about: Description| PublishRequest { about, ..base() };
    let wrong = [
        (PublishRequest { filename: Some("../a".to_owned()), ..base() }, Reason::InvalidField),
        (PublishRequest { readme: Some(long((256 << 10) + 1)), ..base() }, Reason::InvalidField),
        (PublishRequest { manifest: Some(long((64 << 10) + 1).into_bytes()), ..base() }, Reason::InvalidManifest),
        (PublishRequest { dependencies: Some(many), ..base() }, Reason::InvalidField),
        (PublishRequest { dependencies: Some(vec![needs("b *"), needs("b ^1")]), ..base() }, Reason::InvalidField),
        (about(Description { description: Some(long(1025)), ..Description::default() }), Reason::InvalidField),
        (about(Description { keywords: Some(vec![long(65)]), ..Description::default() }), Reason::InvalidField),
    ];
    for (request, reason) in wrong {
        let context = registry.context(&pia);
        for dry_run in [true, false] {
            let request = PublishRequest { dry_run, ..request.clone() };
            assert_eq!(publish_named(&registry, &context, request.clone()).await.reason, reason, "{request:?}");
            let raw = registry.services.publish.publish(&context, request, &mut Body::of(BYTES)).await;
            assert_eq!(refused(raw).reason, reason);
        }
    }
    assert!(!registry.blob_path(&Sha256::of(BYTES)).exists());
}

#[tokio::test]
async fn a_version_that_came_while_the_body_was_read_is_not_new() {
    let registry = Registry::new();
    let pia = registry.user("pia", Scope::Publish, "*").await;
    let context = registry.context(&pia);
    let publish = &registry.services.publish;
    let only_new = PublishRequest { must_be_new: true, ..request("gk/a", "1.0.0") };
    assert!(matches!(publish.admit(&context, &only_new).await.unwrap(), Admission::ReadBody));
    let first = publish.publish(&context, request("gk/a", "1.0.0"), &mut Body::of(BYTES)).await.unwrap();
    assert!(first.created);
    let second = publish.publish(&context, only_new, &mut Body::of(BYTES)).await;
    assert_eq!(refused(second).reason, Reason::AlreadyExists);
}

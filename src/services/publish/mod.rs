//! Publishing: check what can be checked, take the bytes in, make them durable, then record the version.
//!
//! Order of steps: admission (before a byte of the body is read) → bytes to an unnamed file through both hashes → what
//! the archive tells of itself → decision on what is stored now → bytes durable under their name → decision and record
//! in one transaction. Whatever stops before the record leaves nothing.

mod contents;
mod record;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use self::contents::{Contents, keep_all, release_of};
use self::record::{Plan, admit_in, decide_in};
use super::archive::Warning;
use super::context::Deed;
use super::download::blob_not_found;
use super::load::{name_state, recheck};
use super::versions::{VersionDetail, detail, settle};
use super::{Context, ServiceError, Stores};
use crate::domain::change::BlobFacts;
use crate::domain::create::Creation;
use crate::domain::digest::{Blake3, Sha256};
use crate::domain::media::{MediaType, sniff};
use crate::domain::name::PackageName;
use crate::domain::package::{Dependency, Description, Visibility};
use crate::domain::publish::{Bytes as PublishBytes, decide_admission, differing_field, version_exists};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::version::VersionNumber;
use crate::storage::blobs::{BlobError, BlobStore, IngestHandle, Soundness, Staged};
use crate::storage::{ChangeError, Cost, Decided, Metadata as _, StoreError, View};

/// How many archives are looked into at once.
const INSPECTIONS_MAX: usize = 2;

/// Where the artifact's bytes come from.
pub trait ByteSource: Send {
    /// The next bytes; `None` at the end of what came whole.
    ///
    /// # Errors
    /// Why no more bytes come: too many, too slow, cut off.
    fn next_chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, Refusal>> + Send;
}

/// A publish as it was asked for, apart from its bytes.
#[derive(Clone, Debug)]
pub struct PublishRequest {
    /// Under which name.
    pub package: PackageName,
    /// Which number.
    pub version: VersionNumber,
    /// The file name, if one was given.
    pub filename: Option<String>,
    /// The descriptive fields that were given.
    pub about: Description,
    /// The dependencies that were given.
    pub dependencies: Option<Vec<Dependency>>,
    /// The manifest that was given, as compact JSON.
    pub manifest: Option<Vec<u8>>,
    /// The README that was given.
    pub readme: Option<String>,
    /// Whether to make the package if it does not exist.
    pub create: bool,
    /// How visible to make it then.
    pub visibility: Option<Visibility>,
    /// Whether to check everything and store nothing.
    pub dry_run: bool,
    /// The digest that the client announced.
    pub sha256: Option<Sha256>,
    /// The artifact's size, where the client announced it.
    pub size: Option<u64>,
    /// Whether an existing version is a refusal (`If-None-Match: *`).
    pub must_be_new: bool,
}

/// What came of a publish.
#[derive(Clone, Debug)]
pub struct Published {
    /// The version as it is now, or as it would be.
    pub detail: VersionDetail,
    /// Whether it is new.
    pub created: bool,
    /// Whether nothing was stored because that was asked.
    pub dry_run: bool,
    /// What the publisher should know.
    pub warnings: Vec<Warning>,
}

/// What is known before the body is read.
pub enum Admission {
    /// The body is to be read.
    ReadBody,
    /// The answer does not need it.
    Done(Box<Published>),
}

/// Publishes versions.
pub struct PublishService {
    stores: Stores,
    inspections: Arc<Semaphore>,
}

impl PublishService {
    /// Publishes into `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores, inspections: Arc::new(Semaphore::new(INSPECTIONS_MAX)) }
    }

    /// Everything that can be refused, or answered, before a byte of the body is read.
    ///
    /// # Errors
    /// The reasons of [`decide_admission`] and [`decide_number`]; `already_exists`; `version_exists` for a size or
    /// digest that is not the stored one; `artifact_too_large`; `storage_full`.
    pub async fn admit(&self, context: &Context, request: &PublishRequest) -> Result<Admission, ServiceError> {
        let (caller, asked, creation) = (context.caller.clone(), request.clone(), self.creation(request));
        let policy = Arc::clone(&self.stores.policy);
        let load = move |view: &View<'_>| {
            settle(admit_in(view, &caller, &asked, creation.as_ref()).and_then(|existing| {
                let Some((package, version)) = existing else { return Ok(None) };
                let public = policy.anonymous_read && package.visibility == Visibility::Public;
                let mut blobs = version.blobs();
                // The bytes are needed: they may heal what is marked, and end the mark.
                let is_whole = blobs.try_fold(true, |whole, blob| {
                    Ok::<_, StoreError>(whole && view.blob(&blob)?.is_some_and(|row| !row.damaged))
                })?;
                drop(blobs);
                Ok(Some((detail(view, &asked.package, version, public)?, is_whole)))
            }))
        };
        let existing = self.stores.metadata.read(Cost::Point, load).await??;
        if let (Some((existing, is_whole)), Some(announced)) = (existing, request.sha256)
            && self.answers_without_body(&existing, announced, request).await?
            && is_whole
        {
            let published =
                Published { detail: existing, created: false, dry_run: request.dry_run, warnings: Vec::new() };
            return Ok(Admission::Done(Box::new(published)));
        }
        self.check_room(request.size)?;
        Ok(Admission::ReadBody)
    }

    /// What can be refused by the package's name alone, before the metadata is read.
    ///
    /// # Errors
    /// The reasons of [`decide_admission`].
    pub async fn admit_name(
        &self,
        context: &Context,
        package: &PackageName,
        create: bool,
        visibility: Option<Visibility>,
    ) -> Result<(), ServiceError> {
        let (caller, name) = (context.caller.clone(), package.clone());
        let claims = self.stores.policy.claims;
        let creation = create.then(|| Creation { visibility, about: Description::default(), claims });
        let load = move |view: &View<'_>| {
            let state = name_state(view, &caller, &name)?;
            Ok(decide_admission(&caller, &name, &state, creation.as_ref()))
        };
        Ok(self.stores.metadata.read(Cost::Point, load).await??)
    }

    /// Whether the announced digest is the stored one over sound bytes and nothing else that was given differs.
    async fn answers_without_body(
        &self,
        existing: &VersionDetail,
        announced: Sha256,
        request: &PublishRequest,
    ) -> Result<bool, ServiceError> {
        let artifact = &existing.version.artifact;
        if announced != artifact.sha256 {
            return Err(version_exists(&request.package, &existing.version, "sha256").into());
        }
        let (digest, size) = (artifact.sha256, artifact.size);
        let verify = move |blobs: &Arc<BlobStore>| blobs.verify_once(&digest, size, None);
        let soundness = self.stores.blobs.blocking(verify).await?;
        if soundness != Soundness::Sound {
            return Ok(false);
        }
        let bytes = PublishBytes {
            facts: BlobFacts { sha256: digest, blake3: Blake3([0; 32]), size },
            media_type: artifact.media_type.clone(),
            extension: "",
        };
        let given = release_of(request);
        match differing_field(&given, &bytes, &existing.version, &existing.dependencies) {
            None => Ok(true),
            Some(field) => Err(version_exists(&request.package, &existing.version, field).into()),
        }
    }

    fn check_room(&self, size: Option<u64>) -> Result<(), ServiceError> {
        let policy = &self.stores.policy;
        if size.is_some_and(|size| size > policy.artifact_bytes_max) {
            return Err(artifact_too_large(policy.artifact_bytes_max).into());
        }
        let free = self.stores.blobs.free_bytes()?;
        if free.saturating_sub(size.unwrap_or(0)) < policy.free_bytes_min {
            return Err(ServiceError::storage_full(policy.free_bytes_min, free));
        }
        Ok(())
    }

    fn creation(&self, request: &PublishRequest) -> Option<Creation> {
        let claims = self.stores.policy.claims;
        request.create.then(|| Creation { visibility: request.visibility, about: Description::default(), claims })
    }

    /// Takes the bytes in and publishes them. [`PublishService::admit`] comes first.
    ///
    /// # Errors
    /// Those of `admit`, since things may have changed while the bytes came; `empty_artifact`, `digest_mismatch`,
    /// `artifact_too_large`, `invalid_manifest`, and those of the body.
    pub async fn publish(
        &self,
        context: &Context,
        request: PublishRequest,
        source: &mut impl ByteSource,
    ) -> Result<Published, ServiceError> {
        contents::check(&request, &self.stores.policy)?;
        let staged = self.ingest(&request, source).await?;
        self.publish_checked(context, request, staged).await
    }

    async fn ingest(&self, request: &PublishRequest, source: &mut impl ByteSource) -> Result<Staged, ServiceError> {
        let policy = &self.stores.policy;
        let mut ingest: IngestHandle = self.stores.blobs.ingest();
        let mut size: u64 = 0;
        while let Some(chunk) = source.next_chunk().await? {
            size = size.saturating_add(chunk.len() as u64);
            if size > policy.artifact_bytes_max {
                return Err(artifact_too_large(policy.artifact_bytes_max).into());
            }
            ingest.write(chunk).await?;
        }
        if size == 0 {
            let message = "The artifact is empty: send its bytes as the body.";
            return Err(Refusal::field(Reason::EmptyArtifact, "artifact", message).into());
        }
        let staged = ingest.finish().await?;
        match request.sha256 {
            Some(announced) if announced != staged.sha256() => {
                let message = format!(
                    "The artifact's SHA-256 is `{}`, not the announced `{announced}`: nothing was stored; send it again.",
                    staged.sha256()
                );
                Err(Refusal::field(Reason::DigestMismatch, "sha256", message).into())
            }
            Some(_) | None => Ok(staged),
        }
    }

    /// Publishes bytes that are here already, under no name yet or their own.
    ///
    /// # Errors
    /// As [`PublishService::publish`].
    pub async fn publish_staged(
        &self,
        context: &Context,
        request: PublishRequest,
        staged: Staged,
    ) -> Result<Published, ServiceError> {
        contents::check(&request, &self.stores.policy)?;
        self.publish_checked(context, request, staged).await
    }

    async fn publish_checked(
        &self,
        context: &Context,
        request: PublishRequest,
        staged: Staged,
    ) -> Result<Published, ServiceError> {
        let media = sniff(staged.head());
        let facts = BlobFacts { sha256: staged.sha256(), blake3: staged.blake3(), size: staged.size() };
        let (staged, contents) = self.look_inside(&request, staged, media).await?;
        let Contents { effective, texts, warnings } = contents;
        let plan = Arc::new(Plan {
            bytes: PublishBytes { facts, media_type: media.as_str().to_owned(), extension: media.extension() },
            creation: self.creation(&request),
            anonymous_read: self.stores.policy.anonymous_read,
            blobs: texts.facts(),
            manifest: texts.manifest.clone(),
            given: release_of(&request),
            effective,
            request,
        });
        let (outlook, created) = self.outlook(context, &plan).await?;
        if plan.request.dry_run {
            return Ok(Published { detail: outlook, created, dry_run: true, warnings });
        }
        let digests: Vec<Sha256> =
            std::iter::once(facts.sha256).chain(plan.blobs.iter().map(|blob| blob.sha256)).collect();
        let lease = self.stores.leases.take(digests).await?;
        let kept = self.stores.blobs.blocking(move |blobs| keep_all(blobs, staged, &texts)).await;
        kept.map_err(|error| swept_meanwhile(error, &facts.sha256))?;
        let recorded = self.record(context, Arc::clone(&plan)).await;
        match &recorded {
            // A repetition may bring texts of the archive that the stored version does not have.
            Ok((_, false)) | Err(ChangeError::Refused(_) | ChangeError::Store(StoreError::Busy)) => {
                self.stores.drop_unreferred(lease).await;
            }
            // Whether a write that failed on the disk was kept shows at the next start alone: then it needs its bytes.
            Ok((_, true)) | Err(ChangeError::Store(_)) => drop(lease),
        }
        let (detail, created) = recorded?;
        Ok(Published { detail, created, dry_run: false, warnings })
    }

    /// Reads what the archive tells of itself; a few at once, since each may unpack much.
    async fn look_inside(
        &self,
        request: &PublishRequest,
        staged: Staged,
        media: MediaType,
    ) -> Result<(Staged, Contents), ServiceError> {
        let permit = Arc::clone(&self.inspections).acquire_owned().await;
        let permit = permit.map_err(|error| ServiceError::internal("waiting to look into an archive", error))?;
        let (policy, request) = (Arc::clone(&self.stores.policy), request.clone());
        let look = move |_: &Arc<BlobStore>| {
            let contents = contents::read(&request, &staged, media, &policy);
            drop(permit);
            Ok((staged, contents))
        };
        let (staged, contents) = self.stores.blobs.blocking(look).await?;
        Ok((staged, contents?))
    }

    /// What the publish would come to now; its refusals come before anything is made durable.
    async fn outlook(&self, context: &Context, plan: &Arc<Plan>) -> Result<(VersionDetail, bool), ServiceError> {
        let (caller, now, plan) = (context.caller.clone(), context.now, Arc::clone(plan));
        let load = move |view: &View<'_>| settle(decide_in(view, &caller, &plan, now).map(|(_, answer)| answer));
        Ok(self.stores.metadata.read(Cost::Point, load).await??)
    }

    async fn record(&self, context: &Context, plan: Arc<Plan>) -> Result<(VersionDetail, bool), ChangeError> {
        let context = context.clone();
        let decide = move |view: &View<'_>, moment: crate::storage::Moment| {
            let caller = recheck(view, &context.caller, moment.now)?;
            let (mut changes, answer) = decide_in(view, &caller, &plan, moment.now)?;
            if answer.1 {
                let version = plan.request.version.to_string();
                let deed = Deed::to_package("version.publish", &plan.request.package);
                changes.push(context.audit(Deed { version: Some(&version), ..deed }));
            }
            Ok(Decided { changes, answer })
        };
        self.stores.metadata.change(decide).await
    }
}

/// Bytes that were found by their digest and are there no more: what referred to them went meanwhile.
fn swept_meanwhile(error: BlobError, digest: &Sha256) -> ServiceError {
    if matches!(error, BlobError::Missing) { blob_not_found(digest).into() } else { error.into() }
}

fn artifact_too_large(limit: u64) -> Refusal {
    let message = format!("The artifact is larger than the {limit} bytes that this registry takes: make it smaller.");
    Refusal::field(Reason::ArtifactTooLarge, "artifact", message).with_limit(limit)
}

#[cfg(test)]
mod tests;

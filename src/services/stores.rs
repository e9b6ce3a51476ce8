//! What every service works with: rows, bytes, and the operator's rules.

use std::future::Future;
use std::sync::Arc;

use super::{Policy, ServiceError};
use crate::domain::digest::Sha256;
use crate::storage::blobs::{BlobError, BlobFile, BlobStore};
use crate::storage::leases::{Lease, Leases};
use crate::storage::{Backend, Cost, Metadata as _};

/// The stores of one registry and the rules of its operator.
#[derive(Clone)]
pub struct Stores {
    /// Rows.
    pub metadata: Arc<Backend>,
    /// Bytes.
    pub blobs: Arc<BlobStore>,
    /// Which bytes are about to be referred to.
    pub leases: Leases,
    /// Rules and limits that the operator set.
    pub policy: Arc<Policy>,
}

impl Stores {
    /// The bytes of a blob that is small by contract: a manifest or a README.
    ///
    /// # Errors
    /// `artifact_damaged` when they are not there or not what their name says.
    pub async fn read_small_blob(&self, digest: Sha256) -> Result<Vec<u8>, ServiceError> {
        match self.open_blob(digest).await {
            Ok(file) => self.read_small(file).await,
            Err(error) => {
                self.blobs.suspect(digest);
                Err(error.into())
            }
        }
    }

    /// All bytes of an open blob that is small by contract.
    ///
    /// # Errors
    /// `artifact_damaged` when they are not what its name says.
    pub async fn read_small(&self, file: Arc<BlobFile>) -> Result<Vec<u8>, ServiceError> {
        let read = move |blobs: &Arc<BlobStore>| {
            let sha256 = file.sha256();
            let size = usize::try_from(file.size()).map_err(|_too_large| BlobError::Damaged { sha256 })?;
            let mut bytes = vec![0; size];
            file.read_exact_at(&mut bytes, 0)?;
            if Sha256::of(&bytes) == sha256 {
                return Ok(bytes);
            }
            blobs.suspect(sha256);
            Err(BlobError::Damaged { sha256 })
        };
        Ok(self.blobs.blocking(read).await?)
    }

    /// Looks up what refers to a blob and opens that; no file when nothing does. When the bytes are not there it is looked
    /// up once more: they go some time after the last version that refers to them, which may have gone meanwhile.
    ///
    /// # Errors
    /// Those of `look_up`; `artifact_damaged` when what refers to the blob is there and the blob is not.
    pub async fn held<T, F>(
        &self,
        look_up: impl Fn() -> F,
        digest_of: impl Fn(&T) -> Option<Sha256>,
    ) -> Result<(T, Option<Arc<BlobFile>>), ServiceError>
    where
        F: Future<Output = Result<T, ServiceError>>,
    {
        let mut is_first = true;
        loop {
            let found = look_up().await?;
            let Some(digest) = digest_of(&found) else { return Ok((found, None)) };
            match self.open_blob(digest).await {
                Ok(file) => return Ok((found, Some(file))),
                Err(BlobError::Missing) if is_first => is_first = false,
                Err(error) => {
                    self.blobs.suspect(digest);
                    return Err(error.into());
                }
            }
        }
    }

    async fn open_blob(&self, digest: Sha256) -> Result<Arc<BlobFile>, BlobError> {
        let leases = self.leases.clone();
        let open = move |blobs: &Arc<BlobStore>| {
            // The sweeper has it: it is gone, or will be by the second look.
            let lease = leases.take_blocking(&[digest]).map_err(|_kept| BlobError::Missing)?;
            let file = blobs.open_blob(&digest);
            drop(lease);
            file
        };
        Ok(Arc::new(self.blobs.blocking(open).await?))
    }

    /// Gives a publish's lease up after it was refused at the last moment, and removes the bytes that no row knows and
    /// nobody else is about to refer to.
    pub async fn drop_unreferred(&self, lease: Lease) {
        let stores = self.clone();
        let runtime = tokio::runtime::Handle::current();
        let work = move |_: &Arc<BlobStore>| {
            for alone in lease.into_exclusive() {
                let digest = alone.digest();
                let row = runtime.block_on(stores.metadata.read(Cost::Point, move |view| view.blob(&digest)));
                let removed = match row {
                    Ok(None) => stores.blobs.remove(&digest),
                    Ok(Some(_)) | Err(_) => Ok(false),
                };
                if let Err(error) = removed {
                    tracing::warn!(%error, "bytes of a refused publish stay until they are swept");
                }
            }
            Ok(())
        };
        if let Err(error) = self.blobs.blocking(work).await {
            tracing::warn!(%error, "bytes of a refused publish stay until they are swept");
        }
    }
}

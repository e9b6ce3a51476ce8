//! What every service works with: rows, bytes, and the operator's rules.

use std::sync::Arc;

use super::{Policy, ServiceError};
use crate::domain::digest::Sha256;
use crate::storage::blobs::{BlobError, BlobStore};
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
        let read = move |blobs: &Arc<BlobStore>| {
            let file = blobs.open_blob(&digest)?;
            let size = usize::try_from(file.size()).map_err(|_too_large| BlobError::Damaged { sha256: digest })?;
            let mut bytes = vec![0; size];
            file.read_exact_at(&mut bytes, 0)?;
            if Sha256::of(&bytes) == digest { Ok(bytes) } else { Err(BlobError::Damaged { sha256: digest }) }
        };
        Ok(self.blobs.blocking(read).await?)
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

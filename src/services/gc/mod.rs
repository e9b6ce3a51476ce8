//! What nothing needs any more: told first, then removed, with why each thing stays and until when.
//!
//! The server removes blobs, uploads and old journal files by itself; asking for it does so now, and also empties
//! `quarantine/`. With `now` the retention counts for nothing: what was purged is in no file afterwards.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::jobs::{Broken, GcResult};
use super::sweep::tally::{Tally, Thing};
use super::sweep::{Due, Mode, SweepError, SweepService};
use super::uploads::UploadService;
use super::{ServiceError, Stores};
use crate::storage::blobs::{BlobError, BlobStore};
use crate::storage::journal::name::FileKind;
use crate::storage::journal::retention::GenerationFiles;
use crate::storage::progress::Progress;
use crate::storage::quarantine::{QUARANTINE_FOLDER, SetAside, list, remove};

/// What `now` breaks, to be said before it is done.
pub const NOW_BREAKS: [&str; 3] = [
    "copies of the directory that are under way, and backups being made, are void: begin them anew",
    "a later pass of a copying tool over an earlier copy has to read all of the journal again",
    "nothing that was yanked, purged or deleted can be brought back from this directory",
];

const MS_PER_TICK: i64 = 1000;

/// Removes garbage.
#[derive(Clone)]
pub struct GcService {
    stores: Stores,
    sweep: Arc<SweepService>,
}

impl From<SweepError> for Broken {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Cancelled(_) => Self::Cancelled,
            SweepError::Failed(error) => Self::Failed(error),
        }
    }
}

impl GcService {
    /// Cleans `stores`, whose blobs `sweep` removes.
    pub fn new(stores: Stores, sweep: Arc<SweepService>) -> Self {
        Self { stores, sweep }
    }

    /// What [`GcService::run`] would do now.
    ///
    /// # Errors
    /// [`SweepError`].
    pub async fn plan(&self, now: bool, progress: &dyn Progress) -> Result<GcResult, SweepError> {
        let mut tally = self.sweep.tally(due(now), Mode::Plan, progress).await?;
        for (file, bytes) in self.expired_uploads().await? {
            tally.goes(upload(file, bytes));
        }
        self.generations(now, &mut tally);
        self.set_aside(now, Mode::Plan, &mut tally).await?;
        Ok(tally.result(false))
    }

    /// Removes what may go. With `now` everything that nothing refers to goes at once, and with it all history but the
    /// state as it is.
    ///
    /// # Errors
    /// [`SweepError`]. What was removed until then is gone; asking again goes on.
    pub async fn run(&self, now: bool, progress: &dyn Progress) -> Result<GcResult, SweepError> {
        let uploads = self.expired_uploads().await?;
        UploadService::new(self.stores.clone()).expire_uploads().await?;
        let mut tally = self.sweep.tally(due(now), Mode::Work, progress).await?;
        for (file, bytes) in uploads {
            tally.goes(upload(file, bytes));
        }
        self.set_aside(now, Mode::Work, &mut tally).await?;
        if now {
            self.compact(&mut tally).await?;
        } else {
            self.generations(now, &mut tally);
        }
        Ok(tally.result(true))
    }

    /// Names and bytes.
    async fn expired_uploads(&self) -> Result<Vec<(String, u64)>, ServiceError> {
        let ids = UploadService::new(self.stores.clone()).expired().await?;
        let look = move |blobs: &Arc<BlobStore>| {
            Ok(ids.iter().map(|id| (format!("uploads/{id}"), blobs.upload_len(id).unwrap_or(0))).collect())
        };
        Ok(self.stores.blobs.blocking(look).await?)
    }

    /// The files of the journal that a snapshot replaces.
    fn generations(&self, now: bool, tally: &mut Tally) {
        let status = self.stores.metadata.journal_status();
        let generations = self.stores.metadata.generations();
        for (at, files) in generations.iter().enumerate() {
            if now {
                each_file(files, "a new snapshot replaces it", |thing| tally.goes(thing));
                continue;
            }
            // Any later one will do, and the oldest is the first to be old enough.
            let later = generations.get(at + 1..).unwrap_or_default();
            let base = later.iter().find_map(|one| one.log_bytes.and(one.snapshot).map(|age| (one.generation, age)));
            if let Some((generation, age)) = base {
                let over = age.durable_at.saturating_add(status.retention_ticks).saturating_add(1);
                let stays = Some(over.saturating_sub(status.tick));
                let why = format!("`{}` replaces it once it is old enough", generation.shown(FileKind::Snapshot));
                each_file(files, &why, |thing| tally.stays(thing, stays));
            }
        }
    }

    async fn compact(&self, tally: &mut Tally) -> Result<(), ServiceError> {
        let mut known = Vec::new();
        for files in self.stores.metadata.generations() {
            each_file(&files, "", |thing| known.push((thing.file, thing.bytes)));
        }
        let compacted = self.stores.metadata.compact_history_now().await?;
        let by = compacted.snapshot.generation.shown(FileKind::Snapshot);
        for file in compacted.removed {
            let bytes = known.iter().find(|(known, _)| *known == file).map_or(0, |(_, bytes)| *bytes);
            tally.goes(Thing { file, bytes, why: format!("`{by}` replaces it") });
        }
        Ok(())
    }

    async fn set_aside(&self, now: bool, mode: Mode, tally: &mut Tally) -> Result<(), ServiceError> {
        let time = self.stores.moment().await?.now;
        let kept_ms = i64::try_from(self.stores.policy.retention_ticks).unwrap_or(i64::MAX).saturating_mul(MS_PER_TICK);
        for file in self.quarantine(list).await? {
            let left_ms = file.since.0.saturating_add(kept_ms).saturating_sub(time.0);
            let thing = |why: &str| Thing {
                file: format!("{QUARANTINE_FOLDER}/{}", file.name),
                bytes: file.bytes,
                why: why.to_owned(),
            };
            if !now && left_ms >= 0 {
                let left = u64::try_from(left_ms / MS_PER_TICK).unwrap_or(0).saturating_add(1);
                tally.stays(thing("it was set aside not long ago"), Some(left));
            } else if mode == Mode::Plan || self.discard(&file).await {
                tally.goes(thing("it was set aside, and nothing reads it"));
            } else {
                tally.stays(thing("it could not be removed; the server's log says why"), None);
            }
        }
        Ok(())
    }

    async fn discard(&self, file: &SetAside) -> bool {
        let (name, file) = (file.name.clone(), file.clone());
        match self.quarantine(move |blobs| remove(blobs, &file)).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%error, name, "a file in quarantine can't be removed");
                false
            }
        }
    }

    async fn quarantine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&BlobStore) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let op = "use the quarantine";
        let work = move |blobs: &Arc<BlobStore>| work(blobs).map_err(|source| BlobError::Io { op, source });
        Ok(self.stores.blobs.blocking(work).await?)
    }
}

const fn due(now: bool) -> Due {
    if now { Due::Now } else { Due::Retention }
}

fn upload(file: String, bytes: u64) -> Thing {
    Thing { file, bytes, why: "its time is over".to_owned() }
}

fn each_file(files: &GenerationFiles, why: &str, mut tell: impl FnMut(Thing)) {
    let snapshot = files.snapshot.map(|age| (FileKind::Snapshot, age.bytes));
    for (kind, bytes) in files.log_bytes.map(|bytes| (FileKind::Log, bytes)).into_iter().chain(snapshot) {
        tell(Thing { file: files.generation.shown(kind), bytes, why: why.to_owned() });
    }
}

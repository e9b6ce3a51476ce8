//! The end of blobs that nothing refers to, some time after the last version that did.
//!
//! For each: hold it alone → remove its row, if that still says so, durably → put a note where its bytes were → let go.
//! A publish of the same bytes waits for that or makes the sweep pass it by. Whatever stops in between leaves bytes
//! without a row, which are [`litter`] and go some time later. Nothing is removed on the word of a directory alone.

pub(super) mod litter;
#[cfg(test)]
mod tests;

use std::ops::{ControlFlow, RangeInclusive};
use std::time::Duration;

use tokio::sync::Mutex;

use super::{ServiceError, Stores};
use crate::domain::change::Change;
use crate::domain::digest::Sha256;
use crate::storage::blobs::Retired;
use crate::storage::journal::retention::{Settling, may_sweep};
use crate::storage::journal::retired::Note;
use crate::storage::leases::ExclusiveLease;
use crate::storage::progress::{Advance, Cancelled, Progress, Unit};
use crate::storage::rows::BlobRow;
use crate::storage::{Cost, Decided, Metadata as _, Moment, View};

/// Rows that one read looks at.
pub(super) const PAGE_ROWS: usize = 4096;
/// Blobs that go with one frame: each takes a few system calls while the batch is held.
const BATCH: usize = 64;
/// How long a sweep of the server's own rests after each batch, so that removing many large files stalls nobody.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest time, in ticks, between two looks at what no row knows.
const LITTER_TICKS_MAX: u64 = 3600;

/// Which of the blobs that nothing refers to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Those to which nothing has referred for longer than the retention.
    Retention,
    /// All, as the law or a full disk may ask. Copies of the directory that are under way are void.
    Now,
}

/// What a sweep did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Blobs that went.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files without a row that got one, so that they go after the retention.
    pub adopted: u64,
    /// Notes of blobs swept long ago that went.
    pub notes: u64,
    /// Blobs that could not be removed; they are litter now.
    pub left: u64,
}

/// Why a sweep ended early. What it did until then stands.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// It was told to.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The store or the disk failed.
    #[error(transparent)]
    Failed(#[from] ServiceError),
}

/// Removes blobs.
pub struct SweepService {
    stores: Stores,
    /// Held while a sweep runs: the tick of the last look at what no row knows.
    littered_at: Mutex<Option<u64>>,
}

/// What one sweep goes by.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) due: Due,
    pub(super) retention: u64,
    pub(super) settling: Settling,
}

impl Rule {
    fn may_go(&self, row: &BlobRow, moment: Moment) -> bool {
        match self.due {
            Due::Retention => may_sweep(row, self.settling.tick(moment.tick), self.retention),
            Due::Now => row.count == 0,
        }
    }
}

impl SweepService {
    /// Removes from `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores, littered_at: Mutex::default() }
    }

    /// Looks at every blob and removes those that are due. One sweep runs at a time.
    ///
    /// # Errors
    /// [`SweepError`]; what was not reached is seen again the next time.
    pub async fn sweep(&self, due: Due, progress: &dyn Progress) -> Result<Swept, SweepError> {
        self.sweep_shards(0..=u8::MAX, due, progress).await
    }

    async fn sweep_shards(
        &self,
        first_bytes: RangeInclusive<u8>,
        due: Due,
        progress: &dyn Progress,
    ) -> Result<Swept, SweepError> {
        let mut littered_at = self.littered_at.lock().await;
        if self.stores.blobs.is_read_only() {
            return Ok(Swept::default());
        }
        let rule = self.rule(due);
        let now = self.stores.moment().await?;
        let every = (rule.retention / 4).clamp(1, LITTER_TICKS_MAX);
        let seeks_litter = due == Due::Now || littered_at.is_none_or(|at| at.saturating_add(every) <= now.tick);
        let mut sweep = Sweep { stores: &self.stores, rule, now, progress, swept: Swept::default(), seen: 0 };
        for first_byte in first_bytes {
            if seeks_litter {
                sweep.litter(first_byte).await?;
            }
            sweep.rows(first_byte).await?;
        }
        if seeks_litter {
            *littered_at = Some(now.tick);
        }
        let swept = sweep.swept;
        if swept != Swept::default() {
            let Swept { blobs, bytes, adopted, notes, left } = swept;
            tracing::info!(blobs, bytes, adopted, notes, left, "blobs that nothing refers to were removed");
        }
        Ok(swept)
    }

    fn rule(&self, due: Due) -> Rule {
        let retention = self.stores.policy.retention_ticks;
        Rule { due, retention, settling: self.stores.metadata.settling() }
    }
}

/// One sweep under way.
struct Sweep<'s> {
    stores: &'s Stores,
    rule: Rule,
    /// When it began.
    now: Moment,
    progress: &'s dyn Progress,
    swept: Swept,
    seen: u64,
}

/// A blob whose row went.
type Removed = (Sha256, u64, u64);

impl Sweep<'_> {
    fn advance(&mut self, more: usize) -> Result<(), Cancelled> {
        self.seen = self.seen.saturating_add(more as u64);
        self.progress.advance(Advance { done: self.seen, total: None, unit: Unit::Blobs })
    }

    /// What is due among the rows of one directory, a page at a time.
    async fn rows(&mut self, first_byte: u8) -> Result<(), SweepError> {
        let mut beyond = None;
        loop {
            let (rule, now) = (self.rule, self.now);
            let load = move |view: &View<'_>| {
                let (mut due, mut seen, mut last) = (Vec::new(), 0, None);
                view.scan_blobs(first_byte, beyond.as_ref(), |row| {
                    due.extend(rule.may_go(&row, now).then_some(row.sha256));
                    (seen, last) = (seen + 1, Some(row.sha256));
                    Ok(if seen < PAGE_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
                })?;
                Ok((due, seen, last))
            };
            let (due, seen, last) = self.stores.metadata.read(Cost::Scan, load).await.map_err(ServiceError::from)?;
            self.advance(seen)?;
            for batch in due.chunks(BATCH) {
                self.remove(batch).await?;
                self.rest().await;
            }
            if seen < PAGE_ROWS {
                return Ok(());
            }
            beyond = last;
        }
    }

    async fn rest(&self) {
        if self.rule.due == Due::Retention {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Removes those of these blobs that nobody holds and whose rows still say that they may go.
    async fn remove(&mut self, batch: &[Sha256]) -> Result<(), ServiceError> {
        let leases: Vec<ExclusiveLease> =
            batch.iter().filter_map(|digest| self.stores.leases.try_exclusive(*digest)).collect();
        let digests: Vec<Sha256> = leases.iter().map(ExclusiveLease::digest).collect();
        if digests.is_empty() {
            return Ok(());
        }
        // Asked again: a frame may have been durable late since the sweep began.
        let rule = Rule { settling: self.stores.metadata.settling(), ..self.rule };
        let decide = move |view: &View<'_>, moment: Moment| {
            let mut removed: Vec<Removed> = Vec::new();
            for digest in &digests {
                if let Some(row) = view.blob(digest)?.filter(|row| rule.may_go(row, moment)) {
                    removed.push((*digest, row.dropped_since.unwrap_or(moment.tick), row.size));
                }
            }
            let changes = removed.iter().map(|(digest, ..)| Change::RemoveBlob(*digest)).collect();
            Ok(Decided { changes, answer: (removed, moment.tick) })
        };
        let (removed, at) = self.stores.metadata.change(decide).await?;
        self.swept.blobs += removed.len() as u64;
        self.swept.bytes += removed.iter().map(|(.., size)| size).sum::<u64>();
        let retired = retired(leases, &removed, at);
        self.swept.left += self.stores.blobs.blocking(move |blobs| blobs.retire(&retired)).await? as u64;
        Ok(())
    }
}

/// The leases whose rows went, with their notes; the others end here.
fn retired(leases: Vec<ExclusiveLease>, removed: &[Removed], at: u64) -> Vec<Retired> {
    let went = |lease: ExclusiveLease| {
        let (_, dropped, size) = *removed.iter().find(|(digest, ..)| *digest == lease.digest())?;
        Some(Retired { lease, note: Note::Swept { dropped, at }, size })
    };
    leases.into_iter().filter_map(went).collect()
}

impl Stores {
    /// What time it is by the store's own clocks. Nothing is written.
    ///
    /// # Errors
    /// That the store failed.
    pub async fn moment(&self) -> Result<Moment, ServiceError> {
        let tell = |_: &View<'_>, moment| Ok(Decided::unchanged(moment));
        Ok(self.metadata.change(tell).await?)
    }
}

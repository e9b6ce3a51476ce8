//! The end of blobs that nothing refers to, some time after the last version that did.
//!
//! For each: hold it alone → remove its row, if that still says so, durably → put a note where its bytes were → let go.
//! A publish of the same bytes waits for that or makes the sweep pass it by. Whatever stops in between leaves bytes
//! without a row, which are [`litter`] and go some time later. Nothing is removed on the word of a directory alone.

mod litter;
pub(super) mod tally;
#[cfg(test)]
mod tests;

use std::ops::{ControlFlow, RangeInclusive};
use std::time::Duration;

use tokio::sync::Mutex;

use self::tally::{Tally, Thing};
use super::{ServiceError, Stores};
use crate::domain::change::Change;
use crate::domain::digest::Sha256;
use crate::storage::blobs::Retired;
use crate::storage::journal::retention::{Settling, may_sweep};
use crate::storage::journal::retired::Note;
use crate::storage::leases::ExclusiveLease;
use crate::storage::progress::{Advance, Cancelled, Progress, Unit};
use crate::storage::rows::BlobRow;
use crate::storage::scrub::blobs::blob_file;
use crate::storage::{Cost, Decided, Metadata as _, Moment, View};

/// Rows that one read looks at.
pub(super) const PAGE_ROWS: usize = 4096;
/// Blobs that go with one frame: each takes a few system calls while the batch is held.
const BATCH: usize = 64;
/// How long a sweep of the server's own rests after each batch, so that removing many large files stalls nobody.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest time, in ticks, between two looks at what no row knows.
const LITTER_TICKS_MAX: u64 = 3600;

/// Why a blob stays that might go.
const IN_USE: &str = "a publish or a download has it just now";

/// Which of the blobs that nothing refers to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Those to which nothing has referred for longer than the retention.
    Retention,
    /// All, as the law or a full disk may ask. Copies of the directory that are under way are void.
    Now,
}

/// Whether anything is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// It is only told what would be.
    Plan,
    /// It is done.
    Work,
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
struct Rule {
    due: Due,
    mode: Mode,
    retention: u64,
    settling: Settling,
}

impl Rule {
    fn may_go(&self, row: &BlobRow, moment: Moment) -> bool {
        match self.due {
            Due::Retention => may_sweep(row, self.settling.tick(moment.tick), self.retention),
            Due::Now => row.count == 0,
        }
    }

    /// How many ticks it takes until the row may go.
    fn stays(&self, row: &BlobRow, moment: Moment) -> Option<u64> {
        let over = row.dropped_since?.saturating_add(self.retention).saturating_add(1);
        Some(over.saturating_sub(self.settling.tick(moment.tick)))
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
        self.run(0..=u8::MAX, self.rule(due, Mode::Work), progress).await.map(|(swept, _)| swept)
    }

    /// As [`SweepService::sweep`], or only says what it would do; also lists what goes and what stays.
    pub(super) async fn tally(&self, due: Due, mode: Mode, progress: &dyn Progress) -> Result<Tally, SweepError> {
        *self.littered_at.lock().await = None;
        self.run(0..=u8::MAX, self.rule(due, mode), progress).await.map(|(_, tally)| tally)
    }

    async fn run(
        &self,
        first_bytes: RangeInclusive<u8>,
        rule: Rule,
        progress: &dyn Progress,
    ) -> Result<(Swept, Tally), SweepError> {
        let mut littered_at = self.littered_at.lock().await;
        let now = self.stores.moment().await?;
        let every = (rule.retention / 4).clamp(1, LITTER_TICKS_MAX);
        let seeks_litter = rule.due == Due::Now || littered_at.is_none_or(|at| at.saturating_add(every) <= now.tick);
        let (swept, tally) = (Swept::default(), Tally::default());
        let mut sweep = Sweep { stores: &self.stores, rule, now, progress, swept, tally, seen: 0 };
        if rule.mode == Mode::Work && self.stores.blobs.is_read_only() {
            return Ok((swept, sweep.tally));
        }
        for first_byte in first_bytes {
            if seeks_litter {
                sweep.litter(first_byte).await?;
            }
            sweep.rows(first_byte).await?;
        }
        if seeks_litter && rule.mode == Mode::Work {
            *littered_at = Some(now.tick);
        }
        let Sweep { swept, tally, .. } = sweep;
        if swept != Swept::default() {
            let Swept { blobs, bytes, adopted, notes, left } = swept;
            tracing::info!(blobs, bytes, adopted, notes, left, "blobs that nothing refers to were removed");
        }
        Ok((swept, tally))
    }

    fn rule(&self, due: Due, mode: Mode) -> Rule {
        let retention = self.stores.policy.retention_ticks;
        Rule { due, mode, retention, settling: self.stores.metadata.settling() }
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
    tally: Tally,
    seen: u64,
}

/// One page of rows.
struct Page {
    /// Rows that may go.
    due: Vec<BlobRow>,
    /// Rows that nothing refers to and that stay.
    kept: Vec<BlobRow>,
    /// How many rows were looked at.
    seen: usize,
    last: Option<Sha256>,
}

impl Sweep<'_> {
    fn advance(&mut self, more: usize) -> Result<(), Cancelled> {
        self.seen = self.seen.saturating_add(more as u64);
        self.progress.advance(Advance { done: self.seen, total: None, unit: Unit::Blobs })
    }

    /// What is due among the rows of one directory, a page at a time.
    async fn rows(&mut self, first_byte: u8) -> Result<(), SweepError> {
        let mut beyond = None;
        loop {
            let Page { due, kept, seen, last } = self.page(first_byte, beyond).await?;
            self.advance(seen)?;
            for row in kept {
                self.tally.stays(dropped(&row), self.rule.stays(&row, self.now));
            }
            for batch in due.chunks(BATCH) {
                match self.rule.mode {
                    Mode::Plan => batch.iter().for_each(|row| self.tally.goes(dropped(row))),
                    Mode::Work => self.remove(batch).await?,
                }
                self.rest().await;
            }
            if seen < PAGE_ROWS {
                return Ok(());
            }
            beyond = last;
        }
    }

    async fn page(&self, first_byte: u8, beyond: Option<Sha256>) -> Result<Page, ServiceError> {
        let (rule, now) = (self.rule, self.now);
        let load = move |view: &View<'_>| {
            let mut page = Page { due: Vec::new(), kept: Vec::new(), seen: 0, last: None };
            view.scan_blobs(first_byte, beyond.as_ref(), |row| {
                (page.seen, page.last) = (page.seen + 1, Some(row.sha256));
                if rule.may_go(&row, now) {
                    page.due.push(row);
                } else if row.count == 0 {
                    page.kept.push(row);
                }
                Ok(if page.seen < PAGE_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            Ok(page)
        };
        Ok(self.stores.metadata.read(Cost::Scan, load).await?)
    }

    async fn rest(&self) {
        if (self.rule.due, self.rule.mode) == (Due::Retention, Mode::Work) {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Removes those of these blobs that nobody holds and whose rows still say that they may go.
    async fn remove(&mut self, batch: &[BlobRow]) -> Result<(), ServiceError> {
        let mut leases: Vec<ExclusiveLease> = Vec::new();
        for row in batch {
            match self.stores.leases.try_exclusive(row.sha256) {
                Some(lease) => leases.push(lease),
                None => self.tally.stays(Thing { why: IN_USE.to_owned(), ..dropped(row) }, None),
            }
        }
        let digests: Vec<Sha256> = leases.iter().map(ExclusiveLease::digest).collect();
        if digests.is_empty() {
            return Ok(());
        }
        // Asked again: a frame may have been durable late since the sweep began.
        let rule = Rule { settling: self.stores.metadata.settling(), ..self.rule };
        let decide = move |view: &View<'_>, moment: Moment| {
            let mut removed: Vec<BlobRow> = Vec::new();
            for digest in &digests {
                removed.extend(view.blob(digest)?.filter(|row| rule.may_go(row, moment)));
            }
            let changes = removed.iter().map(|row| Change::RemoveBlob(row.sha256)).collect();
            Ok(Decided { changes, answer: (removed, moment.tick) })
        };
        let (removed, at) = self.stores.metadata.change(decide).await?;
        for row in &removed {
            self.swept.blobs += 1;
            self.swept.bytes += row.size;
            self.tally.goes(dropped(row));
        }
        let retired = retired(leases, &removed, at);
        self.swept.left += self.stores.blobs.blocking(move |blobs| blobs.retire(&retired)).await? as u64;
        Ok(())
    }
}

/// A blob that nothing refers to.
fn dropped(row: &BlobRow) -> Thing {
    let why =
        row.dropped_since.map_or_else(String::new, |tick| format!("no version has referred to it since second {tick}"));
    Thing { file: blob_file(&row.sha256), bytes: row.size, why }
}

/// The leases whose rows went, with their notes; the others end here.
fn retired(leases: Vec<ExclusiveLease>, removed: &[BlobRow], at: u64) -> Vec<Retired> {
    let went = |lease: ExclusiveLease| {
        let row = removed.iter().find(|row| row.sha256 == lease.digest())?;
        Some(Retired { lease, note: Note::Swept { dropped: row.dropped_since.unwrap_or(at), at }, size: row.size })
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

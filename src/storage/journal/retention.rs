//! How long what is superseded stays, so that a copy under way finds what it needs.
//!
//! Pure rules over ticks: seconds in which a server ran. A tick is a second that has only begun, so "T has passed" is
//! more than T ticks, never exactly T. The promise to a copy that begins at any moment: what it may need then is still
//! there when T has passed. Who reads a wall clock instead lets a clock that jumps remove what is needed.

use super::name::{FileKind, Generation};
use crate::storage::rows::BlobRow;

/// Ticks that notes of what was removed stay, on top of the retention: a copy that takes less is never silently older.
pub const NOTES_KEPT_TICKS: u64 = 7 * 24 * 3600;

/// The byte cap shortens no retention below this many ticks.
pub const CAPPED_RETENTION_TICKS_MIN: u64 = 3600;

/// A generation's files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GenerationFiles {
    /// Which.
    pub generation: Generation,
    /// Its log's bytes; none when there is no log.
    pub log_bytes: Option<u64>,
    /// Its snapshot; none also when that is known to be damaged.
    pub snapshot: Option<SnapshotAge>,
}

/// What is known of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotAge {
    /// The tick at which it was durable.
    pub durable_at: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Whether it was just read back and is whole.
    pub is_read_back: bool,
}

/// What may be removed now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Retire {
    /// Nothing.
    Nothing,
    /// This snapshot is old enough to replace what is before it, but only when it is whole: read it back and ask again.
    ReadBack(Generation),
    /// These, in this order.
    Remove(Vec<(Generation, FileKind)>),
}

/// What the journal's files may take, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The configured retention, in ticks.
    pub retention: u64,
    /// The bytes of `journal/` from which on the retention is shortened.
    pub journal_bytes_max: u64,
}

/// Says which generations' files may go: those before the newest snapshot that is older than the retention.
///
/// `files` are in the order of their numbers; `retention` is the one in force. Older ones go first, so that a crash
/// midway leaves no gap.
pub fn decide_retire(files: &[GenerationFiles], tick: u64, retention: u64) -> Retire {
    let is_old = |age: SnapshotAge| age.durable_at.saturating_add(retention) < tick;
    let with_log = |one: &&GenerationFiles| one.log_bytes.is_some();
    let mut bases = files.iter().rev().filter(with_log).filter_map(|one| one.snapshot.map(|age| (one.generation, age)));
    let Some((base, age)) = bases.find(|(_, age)| is_old(*age)) else { return Retire::Nothing };
    let before = files.iter().filter(|one| one.generation.number < base.number);
    let remove: Vec<(Generation, FileKind)> = before
        .flat_map(|one| {
            let log = one.log_bytes.map(|_| (one.generation, FileKind::Log));
            log.into_iter().chain(one.snapshot.map(|_| (one.generation, FileKind::Snapshot)))
        })
        .collect();
    match (remove.is_empty(), age.is_read_back) {
        (true, _) => Retire::Nothing,
        (false, false) => Retire::ReadBack(base),
        (false, true) => Retire::Remove(remove),
    }
}

/// The retention in force for generations: the configured one, or less while the journal's files are more than their
/// cap; never less than [`CAPPED_RETENTION_TICKS_MIN`] because of that.
pub fn retention_in_force(files: &[GenerationFiles], tick: u64, limits: Limits) -> u64 {
    let bytes = |one: &GenerationFiles| one.log_bytes.unwrap_or(0) + one.snapshot.map_or(0, |age| age.bytes);
    let mut kept: u64 = files.iter().map(bytes).sum();
    let mut shortest = limits.retention;
    for one in files {
        if kept <= limits.journal_bytes_max {
            break;
        }
        if let (Some(age), Some(_)) = (one.snapshot, one.log_bytes) {
            let before: u64 = files.iter().filter(|it| it.generation.number < one.generation.number).map(bytes).sum();
            let all: u64 = files.iter().map(bytes).sum();
            kept = all.saturating_sub(before);
            shortest = shortest.min(tick.saturating_sub(age.durable_at).saturating_sub(1));
        }
    }
    shortest.max(limits.retention.min(CAPPED_RETENTION_TICKS_MIN))
}

/// Whether a blob's row and file may go, unless somebody holds a lease. `settled` is [`Settling::tick`].
pub fn may_sweep(row: &BlobRow, settled: u64, retention: u64) -> bool {
    row.count == 0 && row.dropped_since.is_some_and(|dropped| dropped.saturating_add(retention) < settled)
}

/// Whether the index is to be written anew: what a frame of tick `erased` took away may be in its free pages until then.
pub fn renewal_due(erased: Option<u64>, tick: u64, retention: u64) -> bool {
    erased.is_some_and(|since| since.saturating_add(retention) < tick)
}

/// Whether a note of what was removed at tick `removed_at` may go too.
pub fn may_forget(removed_at: u64, tick: u64, retention: u64) -> bool {
    removed_at.saturating_add(retention).saturating_add(NOTES_KEPT_TICKS) < tick
}

/// How far frames become durable behind their ticks. A row's tick is that of the decision; a disk that stalls makes the
/// frame durable later, and a copy that began in between would find the blob gone too early.
#[derive(Clone, Copy, Default, Debug)]
pub struct Settling {
    lag: u64,
}

impl Settling {
    /// Takes note that a frame of tick `decided` was durable at tick `now`.
    pub fn durable(&mut self, decided: u64, now: u64) {
        self.lag = self.lag.max(now.saturating_sub(decided));
    }

    /// The tick to hold rows' ticks against, when it is `now`. What another process wrote needs no lag: its frames were
    /// durable before this one began to count.
    pub fn tick(&self, now: u64) -> u64 {
        now.saturating_sub(self.lag)
    }
}

/// What is known of the log that is written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Growth {
    /// The log's bytes.
    pub log_bytes: u64,
    /// The bytes of the last snapshot.
    pub snapshot_bytes: u64,
    /// The tick of the first frame that changed more than the journal's own book-keeping: what it superseded stands in
    /// older files, and is gone two retentions later.
    pub first_change: Option<u64>,
}

/// Whether a new log is to be begun, and a snapshot to be made with it: when snapshots at most double what is written,
/// or when the log's first change is older than the retention.
pub fn rotation_due(growth: Growth, rotate_bytes: u64, tick: u64, retention: u64) -> bool {
    let is_big = growth.log_bytes >= rotate_bytes.max(growth.snapshot_bytes);
    let is_old = growth.first_change.is_some_and(|first| first.saturating_add(retention) < tick);
    is_big || is_old
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::{Blake3, Sha256};
    use crate::domain::id::Id;

    fn generation(number: u64) -> Generation {
        Generation { number, history: Id(1) }
    }

    fn files(number: u64, durable_at: Option<u64>) -> GenerationFiles {
        let snapshot = durable_at.map(|durable_at| SnapshotAge { durable_at, bytes: 50, is_read_back: true });
        GenerationFiles { generation: generation(number), log_bytes: Some(100), snapshot }
    }

    #[test]
    fn what_is_before_an_old_snapshot_goes_oldest_first() {
        let all = [files(1, None), files(2, Some(10)), files(3, Some(20)), files(4, Some(30))];
        assert_eq!(decide_retire(&all, 70, 60), Retire::Nothing, "T ticks are not more than T");
        let expected = vec![(generation(1), FileKind::Log)];
        assert_eq!(decide_retire(&all, 71, 60), Retire::Remove(expected));
        let expected = [(1, FileKind::Log), (2, FileKind::Log), (2, FileKind::Snapshot)];
        let expected = expected.map(|(number, kind)| (generation(number), kind)).to_vec();
        assert_eq!(decide_retire(&all, 85, 60), Retire::Remove(expected));
        assert_eq!(decide_retire(&all[1..2], 1000, 60), Retire::Nothing, "the newest base stays");
    }

    #[test]
    fn nothing_goes_before_its_successor_was_read_back() {
        let mut all = [files(1, Some(0)), files(2, Some(10))];
        all[1].snapshot.as_mut().unwrap().is_read_back = false;
        assert_eq!(decide_retire(&all, 100, 60), Retire::ReadBack(generation(2)));
        all[1].snapshot = None;
        assert_eq!(decide_retire(&all, 100, 60), Retire::Nothing, "a damaged one replaces nothing");
        all[1] = GenerationFiles { log_bytes: None, ..files(2, Some(10)) };
        assert_eq!(decide_retire(&all, 100, 60), Retire::Nothing, "nor does one without its log");
    }

    #[test]
    fn the_byte_cap_shortens_the_retention_as_little_as_it_must() {
        let hour = CAPPED_RETENTION_TICKS_MIN;
        let limits = |journal_bytes_max| Limits { retention: 24 * hour, journal_bytes_max };
        let all = [files(1, Some(0)), files(2, Some(hour)), files(3, Some(10 * hour)), files(4, Some(11 * hour + 30))];
        let tick = 12 * hour;
        assert_eq!(retention_in_force(&all, tick, limits(600)), 24 * hour);
        assert_eq!(retention_in_force(&all, tick, limits(599)), 11 * hour - 1);
        assert_eq!(retention_in_force(&all, tick, limits(400)), 2 * hour - 1);
        assert_eq!(retention_in_force(&all, tick, limits(200)), hour, "never under an hour");
        let in_force = retention_in_force(&all, tick, limits(400));
        assert!(matches!(decide_retire(&all, tick, in_force), Retire::Remove(gone) if gone.len() == 4));
        let short = Limits { retention: 5, journal_bytes_max: 1 };
        assert_eq!(retention_in_force(&all, tick, short), 5, "what is configured may be less");
    }

    #[test]
    fn a_blob_is_swept_only_after_it_was_unused_for_the_retention() {
        let row = |count, dropped_since| {
            let (sha256, blake3) = (Sha256([0; 32]), Blake3([0; 32]));
            BlobRow { count, size: 1, sha256, blake3, referred_since: 0, dropped_since, damaged: false }
        };
        assert!(!may_sweep(&row(0, Some(10)), 70, 60));
        assert!(may_sweep(&row(0, Some(10)), 71, 60));
        assert!(!may_sweep(&row(1, Some(10)), 71, 60));
        assert!(!may_sweep(&row(0, None), 71, 60));
        assert!(!may_sweep(&row(0, Some(u64::MAX)), 71, 60));
    }

    #[test]
    fn what_a_stalled_disk_made_durable_late_is_kept_from_then_on() {
        let mut settling = Settling::default();
        settling.durable(10, 10);
        assert_eq!(settling.tick(71), 71);
        settling.durable(20, 23);
        settling.durable(30, 31);
        assert_eq!(settling.tick(71), 68);
    }

    #[test]
    fn notes_stay_a_week_longer_than_the_retention() {
        assert!(!may_forget(10, 10 + 60 + NOTES_KEPT_TICKS, 60));
        assert!(may_forget(10, 11 + 60 + NOTES_KEPT_TICKS, 60));
    }

    #[test]
    fn a_log_is_rotated_by_size_and_by_the_age_of_its_first_change() {
        let growth = |log_bytes, snapshot_bytes, first_change| Growth { log_bytes, snapshot_bytes, first_change };
        assert!(!rotation_due(growth(99, 0, None), 100, 1000, 60));
        assert!(rotation_due(growth(100, 0, None), 100, 0, 60));
        assert!(!rotation_due(growth(100, 101, None), 100, 1000, 60));
        assert!(!rotation_due(growth(0, 0, Some(10)), 100, 70, 60));
        assert!(rotation_due(growth(0, 0, Some(10)), 100, 71, 60));
    }
}

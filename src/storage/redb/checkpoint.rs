//! When the index is made durable: after a moment of quiet, else by time or by bytes. A checkpoint saves only time at
//! the next start, so it never runs while the disk is full.

use std::time::{Duration, Instant};

/// When a checkpoint is due.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointRule {
    /// So long after the last frame.
    pub quiet: Duration,
    /// So long after the first frame since the last one, at the latest.
    pub every: Duration,
    /// Or as soon as so many bytes of frames came.
    pub bytes: u64,
}

impl Default for CheckpointRule {
    /// Every second cost a saturated writer a tenth of its time at a million versions (measured).
    fn default() -> Self {
        Self { quiet: Duration::from_secs(1), every: Duration::from_secs(10), bytes: 16 << 20 }
    }
}

/// What is not durable in the index yet.
#[derive(Debug)]
pub(super) struct Checkpoints {
    rule: CheckpointRule,
    since: Option<Pending>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    first: Instant,
    last: Instant,
    bytes: u64,
}

impl Checkpoints {
    pub(super) fn new(rule: CheckpointRule) -> Self {
        Self { rule, since: None }
    }

    /// A frame went into the index.
    pub(super) fn add(&mut self, bytes: u64, now: Instant) {
        let before = self.since.unwrap_or(Pending { first: now, last: now, bytes: 0 });
        self.since = Some(Pending { last: now, bytes: before.bytes + bytes, ..before });
    }

    /// The index is durable up to now.
    pub(super) fn clear(&mut self) {
        self.since = None;
    }

    /// When the next one is due; never, while there is nothing to make durable.
    pub(super) fn due(&self) -> Option<Instant> {
        let pending = self.since?;
        if pending.bytes >= self.rule.bytes {
            return Some(pending.last);
        }
        // A rule that is too long for a clock never comes.
        let by_quiet = pending.last.checked_add(self.rule.quiet);
        let by_time = pending.first.checked_add(self.rule.every);
        by_quiet.into_iter().chain(by_time).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_after_quiet_or_time_or_bytes_and_not_without_frames() {
        let second = Duration::from_secs(1);
        let mut checkpoints = Checkpoints::new(CheckpointRule { quiet: second, every: 10 * second, bytes: 100 });
        let start = Instant::now();
        assert_eq!(checkpoints.due(), None);
        checkpoints.add(40, start);
        assert_eq!(checkpoints.due(), Some(start + second));
        checkpoints.add(40, start + 9 * second);
        checkpoints.add(10, start + 19 * second / 2);
        assert_eq!(checkpoints.due(), Some(start + 10 * second), "frames that keep coming put it off only so long");
        checkpoints.add(10, start + 19 * second / 2);
        assert_eq!(checkpoints.due(), Some(start + 19 * second / 2));
        checkpoints.clear();
        assert_eq!(checkpoints.due(), None);
    }
}

//! What happens to the files that a snapshot replaces: removed after the retention, or at once when somebody asks for
//! that.

use super::commit::from_journal;
use super::renewal::Serves;
use super::rotation::{Compacted, Request, fail};
use super::writer::Writer;
use crate::storage::journal::facts::SnapshotFacts;
use crate::storage::journal::name::{FileKind, Generation};
use crate::storage::journal::retention::{NOTES_KEPT_TICKS, Retire, decide_retire};
use crate::storage::{StoreError, chain};

/// The most files that are removed between two batches.
const REMOVED_MAX: usize = 8;
/// How many ticks pass between two looks at whether notes of removed files may go.
const NOTES_LOOK_TICKS: u64 = 3600;

impl Writer {
    /// Removes what is old enough, or has the snapshot read back that is to replace it.
    pub(super) fn retire(&mut self, tick: u64, in_force: u64) {
        self.tell_generations(tick, in_force);
        match decide_retire(&self.rotation.generations.list(), tick, in_force) {
            Retire::Nothing => {}
            Retire::ReadBack(generation) => self.read_back(generation, Vec::new()),
            Retire::Remove(files) => {
                let files = self.rotation.generations.with_damaged(files);
                self.rotation.doomed.extend(files);
            }
        }
    }

    /// Tells those who ask how the journal stands.
    pub(super) fn tell_generations(&self, tick: u64, in_force: u64) {
        let bytes = self.rotation.generations.bytes();
        let newest = self.rotation.generations.newest();
        self.health.update(|status| {
            (status.tick, status.bytes, status.retention_ticks) = (tick, bytes, in_force);
            status.snapshot_age_ticks = newest.map(|(_, age)| tick.saturating_sub(age.durable_at));
        });
        self.health.set_generations(self.rotation.generations.list());
    }

    /// Removes the next few of what is to be removed: each takes a few syncs, and batches wait meanwhile.
    pub(super) fn remove_some(&mut self) {
        for _ in 0..REMOVED_MAX {
            let Some(file) = self.rotation.doomed.pop_front() else { return };
            if let Err(error) = self.remove(file) {
                // Asked again at the next look.
                self.rotation.doomed.clear();
                tracing::error!(file = file.0.shown(file.1), error = %chain(&error), "an old file could not be removed");
            }
        }
    }

    fn remove(&mut self, (generation, kind): (Generation, FileKind)) -> Result<(), StoreError> {
        let removed = self.journal.retire(generation, kind, (self.moment)().tick);
        removed.map_err(|error| from_journal("removing an old file", error))?;
        self.rotation.generations.removed(generation, kind);
        tracing::info!(file = generation.shown(kind), "an old file of the journal was removed");
        Ok(())
    }

    /// Takes the notes of removed files away once no copy can be under way that needs them.
    pub(super) fn forget_notes(&mut self, tick: u64) {
        if self.rotation.notes_at.is_some_and(|at| tick < at.saturating_add(NOTES_LOOK_TICKS)) {
            return;
        }
        self.rotation.notes_at = Some(tick);
        let kept = NOTES_KEPT_TICKS.saturating_add(self.rotation.rule.retention_ticks);
        if let Err(error) = self.journal.forget_notes(kept, tick) {
            tracing::warn!(error = %chain(&error), "the notes of old files could not be looked at");
        }
    }

    /// Removes everything before a snapshot that was just read back, and begins a fresh index: the free pages of the one in
    /// use, and the indexes set aside, hold what was there before.
    pub(super) fn compact(&mut self, snapshot: &SnapshotFacts, requests: Vec<Request>) {
        match self.compact_files(snapshot) {
            Ok(compacted) => self.begin_renewal(Some(Serves { compacted, requests })),
            Err(error) => fail(requests, &error),
        }
    }

    fn compact_files(&mut self, snapshot: &SnapshotFacts) -> Result<Compacted, StoreError> {
        let mut removed = Vec::new();
        for file in self.rotation.generations.before(snapshot.generation) {
            self.remove(file)?;
            removed.push(file.0.shown(file.1));
        }
        Ok(Compacted { snapshot: *snapshot, removed })
    }
}

//! The journal's files as the writer knows them: what they take, how old their snapshots are, which may go.

use std::collections::{BTreeMap, BTreeSet};

use super::job::Job;
use super::staging::Staging;
use crate::storage::journal::facts::{JournalFacts, SnapshotFacts};
use crate::storage::journal::header::Position;
use crate::storage::journal::name::{FileKind, Generation};
use crate::storage::journal::retention::{GenerationFiles, SnapshotAge};
use crate::storage::rows::Row as _;
use crate::storage::tables::Table;
use crate::storage::view::View;
use crate::storage::{Moment, StoreError, chain, keys};

/// All generations, and what the rows are still to be told about their snapshots.
#[derive(Debug, Default)]
pub(super) struct Generations {
    known: BTreeMap<Generation, GenerationFiles>,
    /// Snapshots that can't be read: they replace nothing and go with the rest of their generation.
    damaged: BTreeSet<Generation>,
    /// Rows to be put: since when a snapshot has been durable.
    unrecorded: Vec<(Generation, u64)>,
    /// Rows to be removed with their snapshots.
    gone: Vec<Generation>,
}

impl Generations {
    /// What the files said at the start, with the ages that rows tell. A snapshot without a row counts from now on.
    pub(super) fn of(facts: &JournalFacts, view: &View<'_>, tick: u64) -> Result<Self, StoreError> {
        let mut all = Self::default();
        for log in &facts.logs {
            all.entry(log.header.generation).log_bytes = Some(log.length);
        }
        for snapshot in &facts.snapshots {
            let SnapshotFacts { generation, length, .. } = *snapshot;
            let durable_at = view.snapshot_tick(&generation)?;
            if durable_at.is_none() {
                all.unrecorded.push((generation, tick));
            }
            let durable_at = durable_at.unwrap_or(tick);
            all.entry(generation).snapshot = Some(SnapshotAge { durable_at, bytes: length, is_read_back: false });
        }
        for file in &facts.unreadable {
            match file.kind {
                FileKind::Log => drop(all.entry(file.generation).log_bytes.get_or_insert(0)),
                FileKind::Snapshot => drop(all.damaged.insert(file.generation)),
            }
        }
        all.gone = view.snapshot_rows()?;
        all.gone.retain(|generation| all.known.get(generation).is_none_or(|one| one.snapshot.is_none()));
        Ok(all)
    }

    fn entry(&mut self, generation: Generation) -> &mut GenerationFiles {
        self.known.entry(generation).or_insert(GenerationFiles { generation, log_bytes: None, snapshot: None })
    }

    /// In the order of their numbers.
    pub(super) fn list(&self) -> Vec<GenerationFiles> {
        self.known.values().copied().collect()
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        let of = |one: &GenerationFiles| one.log_bytes.unwrap_or(0) + one.snapshot.map_or(0, |age| age.bytes);
        self.known.values().map(of).sum()
    }

    /// A log ends here now.
    pub(super) fn log_grew(&mut self, position: &Position) {
        self.entry(position.generation).log_bytes = Some(position.end);
    }

    /// A snapshot is durable since this tick.
    pub(super) fn snapshot_made(&mut self, facts: &SnapshotFacts, tick: u64) {
        let age = SnapshotAge { durable_at: tick, bytes: facts.length, is_read_back: false };
        self.entry(facts.generation).snapshot = Some(age);
        self.unrecorded.push((facts.generation, tick));
    }

    /// A snapshot was read from its first byte to its last.
    pub(super) fn snapshot_read(&mut self, generation: Generation) {
        let snapshot = &mut self.entry(generation).snapshot;
        *snapshot = snapshot.map(|age| SnapshotAge { is_read_back: true, ..age });
    }

    /// A snapshot is damaged.
    pub(super) fn snapshot_damaged(&mut self, generation: Generation) {
        if self.entry(generation).snapshot.take().is_some() {
            self.damaged.insert(generation);
        }
    }

    /// What else goes when this does: a snapshot that counts for nothing goes with its log.
    pub(super) fn with_damaged(&self, files: Vec<(Generation, FileKind)>) -> Vec<(Generation, FileKind)> {
        let with = |(generation, kind): (Generation, FileKind)| {
            let damaged = (kind == FileKind::Log && self.damaged.contains(&generation)).then_some(FileKind::Snapshot);
            std::iter::once(kind).chain(damaged).map(move |kind| (generation, kind))
        };
        files.into_iter().flat_map(with).collect()
    }

    /// What was read back once has to be read again for the next removal.
    pub(super) fn forget_reading(&mut self) {
        for one in self.known.values_mut() {
            one.snapshot = one.snapshot.map(|age| SnapshotAge { is_read_back: false, ..age });
        }
    }

    /// A file is no more.
    pub(super) fn removed(&mut self, generation: Generation, kind: FileKind) {
        let one = self.entry(generation);
        match kind {
            FileKind::Log => one.log_bytes = None,
            FileKind::Snapshot => {
                one.snapshot = None;
                self.damaged.remove(&generation);
                self.gone.push(generation);
            }
        }
        self.known.retain(|_, one| one.log_bytes.is_some() || one.snapshot.is_some());
    }

    /// The newest snapshot that has its log.
    pub(super) fn newest(&self) -> Option<(Generation, SnapshotAge)> {
        let mut bases = self.known.values().rev().filter(|one| one.log_bytes.is_some());
        bases.find_map(|one| one.snapshot.map(|age| (one.generation, age)))
    }

    /// Every file of the generations before this one, oldest first.
    pub(super) fn before(&self, base: Generation) -> Vec<(Generation, FileKind)> {
        let older = self.known.values().filter(|one| one.generation.number < base.number);
        let of = |one: &GenerationFiles| {
            let log = one.log_bytes.map(|_| (one.generation, FileKind::Log));
            log.into_iter().chain(one.snapshot.map(|_| (one.generation, FileKind::Snapshot))).collect::<Vec<_>>()
        };
        self.with_damaged(older.flat_map(of).collect())
    }

    /// Puts what the rows are to be told. It rides in the next frame that somebody asks for: a frame of its own would
    /// be a change that a next snapshot is made for, and so on for ever.
    pub(super) fn stage(&self, staging: &Staging<'_>) -> Result<(), StoreError> {
        for (generation, tick) in &self.unrecorded {
            staging.put(Table::Snapshots, keys::snapshot(generation), tick.to_row())?;
        }
        for generation in &self.gone {
            staging.delete(Table::Snapshots, keys::snapshot(generation))?;
        }
        Ok(())
    }

    /// The rows know everything.
    pub(super) fn staged(&mut self) {
        self.unrecorded.clear();
        self.gone.clear();
    }
}

/// Has the rows told at once although nobody asked for a change.
pub(super) struct Record;

impl Job for Record {
    fn stage(&mut self, _staging: &Staging<'_>, _moment: Moment) -> Result<(), StoreError> {
        Ok(())
    }

    fn is_change(&self) -> bool {
        true
    }

    fn answer(self: Box<Self>) {}

    fn fail(self: Box<Self>, error: StoreError) {
        tracing::error!(error = %chain(&error), "what the journal's files are could not be recorded");
    }
}

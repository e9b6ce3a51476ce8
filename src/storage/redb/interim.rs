//! Opens a directory that this process made or stopped in order; stands in until `storage::open` does.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase as _};

use super::backend::IndexFile;
use super::build::Build;
use super::commit::from_journal;
use super::recover::open_checked;
use super::replay::Replay;
use super::seq::read_seq;
use super::start::{Opened, Options};
use super::{METADATA_FILE, backend, from_io};
use crate::domain::id::Id;
use crate::storage::StoreError;
use crate::storage::journal::facts::LogFacts;
use crate::storage::journal::frame::{FrameKind, decode_ops};
use crate::storage::journal::header::{Continues, Position};
use crate::storage::journal::name::Generation;
use crate::storage::journal::plan::{IndexFacts, IndexPlan, decide_index, decide_lineup};
use crate::storage::journal::read::read_frames;
use crate::storage::journal::survey::survey;
use crate::storage::journal::{JournalError, JournalStart, NO_FRAME};

pub(super) fn open(data: &Path, options: &Options) -> Result<Opened, StoreError> {
    let path = data.join(METADATA_FILE);
    let found = if path.exists() {
        let file = IndexFile::open(Arc::clone(&options.fs), &path, Arc::clone(&options.disk));
        let file = file.map_err(|error| from_io("opening the index", error))?;
        let database = open_checked(file.backend(), options.cache_bytes)?;
        let read = database.begin_read().map_err(|error| backend("beginning to read", error.into()))?;
        Some((read_seq(&read)?, database, file))
    } else {
        None
    };
    let interest = found.as_ref().and_then(|(position, _, _)| *position);
    let facts = survey(&*options.fs, data, interest).map_err(|error| from_journal("reading the journal", error))?;
    let index = interest.map_or(IndexFacts::Missing, IndexFacts::At);
    let plan = decide_lineup(&facts).and_then(|lineup| decide_index(&lineup, index));
    let plan = plan.map_err(|refusal| StoreError::Corrupt { table: METADATA_FILE, what: refusal.to_string() })?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| StoreError::backend("drawing a history id", error.to_string()))?;
    let history = Id::from_parts((options.clock)().now.unix_ms(), u128::from_be_bytes(random));
    let retention = options.rotation.retention_ticks;
    match plan {
        IndexPlan::Create => {
            let generation = Generation { number: 0, history };
            let position = Position { generation, end: 0, number: 0, hash: NO_FRAME, tick: 0 };
            let build = Build::begin(
                Arc::clone(&options.fs),
                &Build::place(data),
                options.cache_bytes,
                Arc::clone(&options.disk),
            )?;
            let (database, index) = build.finish(Some(&position))?.install(&*options.fs, data)?;
            let start =
                JournalStart { history, lineage: Vec::new(), next_generation: 1, continues: None, tick: 0, retention };
            Ok(Opened { database, index, position, start, is_copy: false, facts })
        }
        IndexPlan::Replay { links } => {
            let (Some((_, database, index)), Some(tip)) =
                (found, facts.logs.iter().max_by_key(|log| log.header.generation))
            else {
                return Err(StoreError::Closed);
            };
            let stands = replay(data, options, &database, links.iter().map(|link| (link.first, link.last)))?;
            let last = tip.last();
            let position = stands.unwrap_or(Position { ..last });
            let start = start(tip, last, retention);
            Ok(Opened { database, index, position, start, is_copy: false, facts })
        }
        IndexPlan::TakeIn { .. } | IndexPlan::Rebuild { .. } | IndexPlan::Follow(_) => Err(StoreError::Closed),
    }
}

fn start(tip: &LogFacts, last: Position, retention: u64) -> JournalStart {
    let Position { generation, end, number, hash, tick } = last;
    JournalStart {
        history: generation.history,
        lineage: tip.header.lineage.clone(),
        next_generation: generation.number + 1,
        continues: Some(Continues { generation, length: tip.length, end, number, hash }),
        tick,
        retention,
    }
}

fn replay(
    data: &Path,
    options: &Options,
    database: &Database,
    links: impl Iterator<Item = (Position, Position)>,
) -> Result<Option<Position>, StoreError> {
    let mut replay = Replay::new(database);
    for (first, last) in links {
        let mut put = |frame: &crate::storage::journal::frame::Frame, position| {
            let ops = if frame.kind == FrameKind::Rows { decode_ops(&frame.payload)? } else { Vec::new() };
            replay.put(&ops, position).map_err(JournalError::rows)?;
            Ok(std::ops::ControlFlow::Continue(()))
        };
        let read = read_frames(&*options.fs, data, first.generation, first.end..last.end, &mut put);
        read.map_err(|error| from_journal("replaying", error))?;
    }
    replay.finish(Durability::Immediate)
}

pub(super) fn rebuild(
    fs: &Arc<dyn crate::storage::fs::Fs>,
    data: &Path,
    to: &Position,
    (cache_bytes, disk): (usize, &Arc<crate::storage::disk::DiskState>),
) -> Result<(Database, Arc<IndexFile>), StoreError> {
    use crate::storage::journal::plan::{Base, Lineup};
    let failed = |error| from_journal("rebuilding", error);
    let facts = survey(&**fs, data, Some(*to)).map_err(failed)?;
    let lineup = decide_lineup(&facts);
    let lineup = lineup.map_err(|refusal| StoreError::Corrupt { table: METADATA_FILE, what: refusal.to_string() })?;
    let Lineup::Original(original) = lineup else { return Err(StoreError::Closed) };
    if let Some(route) = original.routes.first() {
        let mut build = Build::begin(Arc::clone(fs), &Build::place(data), cache_bytes, Arc::clone(disk))?;
        if route.base == Base::Snapshot {
            let generation = route.links[0].first.generation;
            crate::storage::journal::snapshot::read_snapshot(&**fs, data, generation, &mut |table, key, value| {
                build.put(table, key, value).map_err(JournalError::rows)
            })
            .map_err(failed)?;
        }
        for link in &route.links {
            let is_last = link.first.generation == to.generation;
            let until = if is_last { to.end } else { link.last.end };
            read_frames(&**fs, data, link.first.generation, link.first.end..until, &mut |frame, _| {
                if frame.kind == FrameKind::Rows {
                    build.apply(decode_ops(&frame.payload)?).map_err(JournalError::rows)?;
                }
                Ok(std::ops::ControlFlow::Continue(()))
            })
            .map_err(failed)?;
            if is_last {
                break;
            }
        }
        return build.finish(Some(to))?.install(&**fs, data);
    }
    Err(StoreError::Closed)
}

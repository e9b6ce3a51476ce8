//! What must hold of whatever is found after the power went: it opens, holds every step that was acknowledged and at the
//! most the one that was under way, has every artifact whole that a version refers to, and works.

use std::ops::ControlFlow;
use std::sync::Arc;

use vix_registry::storage::blobs::Soundness;
use vix_registry::storage::progress::Unwatched;
use vix_registry::storage::rows::BlobRow;
use vix_registry::storage::scrub::Findings;
use vix_registry::storage::scrub::rows::check_rows;
use vix_registry::storage::tables::Table;
use vix_registry::storage::view::{Direction, KeyRange};
use vix_registry::storage::{Cost, Metadata as _, StoreError};

use super::steps::Step;
use super::{Checkpoints, Registry, Rows};
use crate::sim::explore::{Effort, Moment, Scratch, explore};
use crate::sim::image::Look;
use crate::sim::{Disk, Trace};
use crate::told::told;

/// A run, and every state in it.
pub(crate) struct Life {
    pub(crate) trace: Trace,
    /// The rows once so many steps were acknowledged; mark n stands where `states[n]` was.
    pub(crate) states: Vec<Rows>,
}

/// Does all steps on a sound disk, which may lie.
pub(crate) fn live(disk: &Arc<Disk>, steps: &[Step], checkpoints: Checkpoints) -> Life {
    let mut registry = Registry::open(disk, checkpoints).unwrap_or_else(|error| panic!("{error}"));
    let mut states = Vec::new();
    let mut acknowledged = |registry: &Registry| {
        disk.mark(states.len() as u64);
        states.push(registry.rows().expect("a sound disk"));
    };
    acknowledged(&registry);
    for step in steps {
        registry = registry.step(*step).unwrap_or_else(|error| panic!("{step:?}: {error}"));
        acknowledged(&registry);
    }
    drop(registry);
    Life { trace: disk.trace(), states }
}

/// How thoroughly an image is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depth {
    /// Of the images, so many in a hundred lose the power again while they are opened and used.
    pub(crate) again_percent: u8,
    /// How that is tried.
    pub(crate) again: Effort,
}

/// Opens an image, and some of what is left when the power goes while that is done.
pub(crate) fn judge(moment: &mut Moment<'_>, life: &Life, depth: Depth, scratch: &Scratch) -> Result<usize, String> {
    let dir = scratch.fresh();
    let disk = moment.image.place(&dir.path(), moment.look);
    let acknowledged = moment.marks.last().map(|mark| usize::try_from(*mark).expect("few steps"));
    let opened = open_and_compare(&disk, life, acknowledged)?;
    let after = use_it(opened)?;
    if !moment.random.chance(depth.again_percent) {
        return Ok(0);
    }
    // From the first mark of its own on, what was published into the image is acknowledged too.
    let again = explore(&disk.trace(), depth.again, moment.random, |moment| {
        let dir = scratch.fresh();
        let disk = moment.image.place(&dir.path(), if acknowledged.is_some() { moment.look } else { Look::Original });
        let found = open_and_check(&disk)?;
        let rows = found.rows()?;
        let is_right = match moment.marks {
            [] => is_state(&rows, life, acknowledged) || rows == after,
            _ => rows == after,
        };
        if is_right {
            Ok(0)
        } else {
            Err("after another loss of power its rows are of no state that it had".to_owned())
        }
    });
    again.into_result()
}

fn is_state(rows: &Rows, life: &Life, acknowledged: Option<usize>) -> bool {
    // Before the first step was acknowledged there may be nothing at all.
    let Some(from) = acknowledged else { return true };
    let until = (from + 2).min(life.states.len());
    life.states[from..until].contains(rows)
}

fn open_and_compare(disk: &Arc<Disk>, life: &Life, acknowledged: Option<usize>) -> Result<Registry, String> {
    let registry = open_and_check(disk)?;
    if is_state(&registry.rows()?, life, acknowledged) {
        return Ok(registry);
    }
    let rows = registry.rows()?;
    let which = life.states.iter().position(|state| *state == rows);
    Err(format!("{acknowledged:?} steps were acknowledged, and its rows are those of state {which:?}"))
}

/// Opens it, and holds its rows against each other and against the artifacts.
pub(crate) fn open_and_check(disk: &Arc<Disk>) -> Result<Registry, String> {
    let registry = Registry::open(disk, Checkpoints::Never)?;
    let read = registry.stores.metadata.read(Cost::Point, |view| {
        let mut findings = Findings::default();
        let checked = check_rows(view.rows(), &Unwatched, &mut findings);
        checked.map_err(|error| StoreError::backend("checking rows", error))?;
        let mut blobs = Vec::new();
        view.scan_rows::<BlobRow>(Table::Blobs, KeyRange::all(Direction::Up), |_, blob| {
            blobs.push(blob);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((findings, blobs))
    });
    let (findings, blobs) = registry.run(read).map_err(|error| told("read", &error))?;
    if let Some(finding) = findings.list().first() {
        return Err(format!("rows: {finding:?}"));
    }
    for BlobRow { sha256, size, count, damaged, .. } in blobs {
        if damaged {
            return Err(format!("{sha256} is said to be damaged"));
        }
        let found = registry.stores.blobs.verify(&sha256, size, None).map_err(|error| told("verify", &error))?;
        if count > 0 && found != Soundness::Sound {
            return Err(format!("{sha256} is referred to and is {found:?}"));
        }
    }
    Ok(registry)
}

/// Publishes one more version and stops; the rows after that.
pub(crate) fn use_it(registry: Registry) -> Result<Rows, String> {
    let disk = Arc::clone(&registry.disk);
    let registry = registry.step(Step::Publish { package: "after", version: "1.0.0", artifact: 9 })?;
    disk.mark(1);
    let rows = registry.rows()?;
    drop(registry);
    Ok(rows)
}

//! What must hold of whatever is found after the power went: it opens, holds every step that was acknowledged and at the
//! most the one that was under way, has every artifact whole that a version refers to, and works.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use vix_registry::storage::blobs::Soundness;
use vix_registry::storage::open::OpenReport;
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

/// How images were opened, and how often so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Openings(pub(crate) BTreeMap<String, usize>);

impl Openings {
    fn count(&mut self, report: &OpenReport) {
        let how = match report {
            OpenReport { rebuilt: Some(_), .. } => ", rebuilt",
            OpenReport { is_sealed: true, .. } => ", as sealed",
            OpenReport { frames: 1.., .. } => ", replayed",
            _ => "",
        };
        *self.0.entry(format!("{:?}{how}", report.opened_as)).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (how, times) in &other.0 {
            *self.0.entry(how.clone()).or_default() += times;
        }
    }
}

/// Judges images of one life.
pub(crate) struct Judge<'l> {
    pub(crate) life: &'l Life,
    pub(crate) depth: Depth,
    pub(crate) scratch: &'l Scratch,
}

impl Judge<'_> {
    /// Opens an image, and some of what is left when the power goes while that is done.
    pub(crate) fn judge(&self, moment: &mut Moment<'_>, openings: &mut Openings) -> Result<usize, String> {
        let dir = self.scratch.fresh();
        let disk = moment.image.place(&dir.path(), moment.look);
        let acknowledged = moment.marks.last().map(|mark| usize::try_from(*mark).expect("few steps"));
        let opened = open_and_check(&disk)?;
        openings.count(&opened.report);
        let before = opened.rows()?;
        if !self.is_state(&before, acknowledged) {
            let which = self.life.states.iter().position(|state| *state == before);
            return Err(format!("{acknowledged:?} steps were acknowledged, and its rows are those of state {which:?}"));
        }
        let after = use_it(opened)?;
        if !moment.random.chance(self.depth.again_percent) {
            return Ok(0);
        }
        let again = explore(&disk.trace(), self.depth.again, moment.random, |moment| {
            let dir = self.scratch.fresh();
            let rows = open_and_check(&moment.image.place(&dir.path(), moment.look))?.rows()?;
            // From its own mark on, what was published into the image is acknowledged too.
            let is_right = rows == after || (moment.marks.is_empty() && self.is_state(&rows, acknowledged));
            if is_right {
                Ok(0)
            } else {
                Err("after another loss of power it is in a state that it never had".to_owned())
            }
        });
        again.into_result()
    }

    /// Whether these are the rows after the last acknowledged step, or after the one that was under way.
    fn is_state(&self, rows: &Rows, acknowledged: Option<usize>) -> bool {
        // Before the first step was acknowledged there may be nothing at all.
        let Some(from) = acknowledged else { return true };
        let until = (from + 2).min(self.life.states.len());
        self.life.states[from..until].contains(rows)
    }
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

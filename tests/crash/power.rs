//! The power goes at every call of a registry's life (issue: Show 1).

use crate::random::{Random, is_long, seed};
use crate::registry::Checkpoints;
use crate::registry::check::{Depth, Judge, Openings, live, open_and_check, use_it};
use crate::registry::steps::LIFE;
use crate::sim::Disk;
use crate::sim::explore::{Effort, Outcome, Scratch, end, explore};
use crate::sim::fault::Lie;
use crate::sim::image::{Bytes, Look, Loss, Names};

/// Images of a campaign, at the least.
const CAMPAIGN_IMAGES: usize = 10_000;
/// How much of the life a copy holds.
const COPIED_STEPS: usize = 10;
/// Images of the gate, at the least.
const GATE_IMAGES: usize = 200;

/// Lives once and loses the power at every call of that.
struct Run {
    lie: Lie,
    checkpoints: Checkpoints,
    effort: Effort,
    depth: Depth,
}

impl Run {
    /// What came out, and how the images were opened.
    fn explore(&self, random: &mut Random) -> (Outcome, Openings) {
        let scratch = Scratch::new();
        let dir = scratch.fresh();
        let disk = Disk::new(&dir.path());
        disk.lie(self.lie);
        let life = live(&disk, LIFE, self.checkpoints);
        let mut openings = Openings::default();
        let outcome = explore(&life.trace, self.effort, random, |moment| {
            let judge = Judge { life: &life, depth: self.depth, scratch: &scratch };
            judge.judge(moment, &mut openings)
        });
        (outcome, openings)
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_every_open_succeeds_wherever_the_power_goes() {
    let seed = seed("a registry without power");
    let (effort, again_percent, least) = if is_long() {
        (Effort { calls_percent: 100, fixed_percent: 100, random: 4 }, 10, CAMPAIGN_IMAGES)
    } else {
        (Effort { calls_percent: 5, fixed_percent: 40, random: 1 }, 2, GATE_IMAGES)
    };
    let depth = Depth { again_percent, again: Effort { calls_percent: 20, fixed_percent: 30, random: 1 } };
    let (mut random, mut images, mut openings) = (Random::new(seed), 0, Openings::default());
    for checkpoints in [Checkpoints::Never, Checkpoints::Always] {
        let run = Run { lie: Lie::None, checkpoints, effort, depth };
        let (outcome, opened) = run.explore(&mut random);
        outcome.expect_none();
        images += outcome.images;
        openings.add(&opened);
    }
    eprintln!("a registry: {images} images, opened {openings:?}");
    assert!(images >= least, "{images}");
    for way in ["Original, replayed", "Original, rebuilt", "Copy, rebuilt"] {
        assert!(openings.0.contains_key(way), "no image was opened so: {way}");
    }
}

#[test]
fn a_missing_sync_anywhere_is_caught() {
    let seed = seed("a registry on a disk that lies");
    let effort = Effort { calls_percent: 20, fixed_percent: 60, random: 1 };
    let depth = Depth { again_percent: 0, again: effort };
    for lie in [Lie::Files, Lie::Folders, Lie::LogsLate] {
        let run = Run { lie, checkpoints: Checkpoints::Never, effort, depth };
        let (outcome, _) = run.explore(&mut Random::new(seed));
        assert!(!outcome.failures.is_empty(), "{lie:?} went unseen in {} images", outcome.images);
    }
}

#[test]
fn a_copy_is_durable_once_it_acknowledges_whatever_made_it() {
    let seed = seed("a copy without power");
    let mut random = Random::new(seed);
    let scratch = Scratch::new();
    let dirs = (scratch.fresh(), scratch.fresh());
    let disk = Disk::new(&dirs.0.path());
    let life = live(&disk, &LIFE[..COPIED_STEPS], Checkpoints::Always);
    let kept = Loss { bytes: Bytes::Kept, names: Names::Kept };
    let copy = end(&life.trace).lose_power(kept, &mut random).place(&dirs.1.path(), Look::UnsyncedCopy);
    let after = open_and_check(&copy).and_then(use_it).unwrap_or_else(|wrong| panic!("{wrong}"));
    let effort = Effort { calls_percent: 100, fixed_percent: 100, random: 2 };
    let outcome = explore(&copy.trace(), effort, &mut random, |moment| {
        if moment.marks.is_empty() {
            return Ok(0);
        }
        let dir = scratch.fresh();
        let rows = open_and_check(&moment.image.place(&dir.path(), Look::Original))?.rows()?;
        if rows == after { Ok(0) } else { Err("it is in a state that was not acknowledged".to_owned()) }
    });
    eprintln!("a copy: {} images", outcome.images);
    outcome.expect_none();
}

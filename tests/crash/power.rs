//! The power goes at every call of a registry's life (issue: Show 1).

use crate::random::{Random, is_long, seed};
use crate::registry::Checkpoints;
use crate::registry::check::{Depth, judge, live};
use crate::registry::steps::LIFE;
use crate::sim::Disk;
use crate::sim::explore::{Effort, Outcome, Scratch, explore};
use crate::sim::fault::Lie;

/// Images of a campaign, at the least.
const CAMPAIGN_IMAGES: usize = 10_000;
/// Images of the gate, at the least.
const GATE_IMAGES: usize = 200;

fn lose_power(lie: Lie, random: &mut Random, effort: Effort, depth: Depth) -> Outcome {
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    disk.lie(lie);
    let checkpoints = if random.chance(50) { Checkpoints::Never } else { Checkpoints::Always };
    let life = live(&disk, LIFE, checkpoints);
    explore(&life.trace, effort, random, |moment| judge(moment, &life, depth, &scratch))
}

#[test]
fn nothing_acknowledged_is_lost_and_every_open_succeeds_wherever_the_power_goes() {
    let seed = seed("a registry without power");
    let (effort, again_percent, least) = if is_long() {
        (Effort { calls_percent: 100, fixed_percent: 100, random: 4 }, 10, CAMPAIGN_IMAGES)
    } else {
        (Effort { calls_percent: 15, fixed_percent: 40, random: 1 }, 5, GATE_IMAGES)
    };
    let again = Effort { calls_percent: 20, fixed_percent: 30, random: 1 };
    let outcome = lose_power(Lie::None, &mut Random::new(seed), effort, Depth { again_percent, again });
    eprintln!("a registry: {} images", outcome.images);
    outcome.expect_none();
    assert!(outcome.images >= least, "{}", outcome.images);
}

#[test]
fn a_missing_sync_anywhere_is_caught() {
    let seed = seed("a registry on a disk that lies");
    let effort = Effort { calls_percent: 20, fixed_percent: 60, random: 1 };
    let never = Effort { calls_percent: 0, fixed_percent: 0, random: 0 };
    for lie in [Lie::Files, Lie::Folders, Lie::LogsLate] {
        let outcome = lose_power(lie, &mut Random::new(seed), effort, Depth { again_percent: 0, again: never });
        assert!(!outcome.failures.is_empty(), "{lie:?} went unseen in {} images", outcome.images);
    }
}

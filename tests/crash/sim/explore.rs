//! Loses the power after every event of a trace, in several ways each.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Trace;
use super::image::{Image, LOSSES, Look, Loss};
use super::world::{Event, ROOT, World};
use crate::random::Random;

/// Failures that are kept; more would tell nothing new.
const FAILURES_MAX: usize = 5;
/// Events told around a failure.
const EVENTS_TOLD: usize = 6;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Of the calls, so many in a hundred; the end is always among them.
    pub(crate) calls_percent: u8,
    /// Of the fixed losses at a call, so many in a hundred.
    pub(crate) fixed_percent: u8,
    /// Random losses at a call.
    pub(crate) random: usize,
}

/// The moment at which the power went.
#[derive(Debug)]
pub(crate) struct Moment<'t> {
    /// What was noted before: acknowledged, for sure.
    pub(crate) marks: &'t [u64],
    pub(crate) image: &'t Image,
    pub(crate) random: &'t mut Random,
    pub(crate) look: Look,
}

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Different images that were tried.
    pub(crate) images: usize,
    pub(crate) failures: Vec<String>,
}

impl Outcome {
    #[track_caller]
    pub(crate) fn expect_none(&self) {
        assert!(self.failures.is_empty(), "{}", self.failures.join("\n\n"));
    }

    /// How many were tried, if none was wrong.
    pub(crate) fn into_result(self) -> Result<usize, String> {
        if self.failures.is_empty() { Ok(self.images) } else { Err(self.failures.join("\n\n")) }
    }
}

/// Tries images at the calls of a trace. `check` says what is wrong with one, and may count those that it tried itself.
pub(crate) fn explore(
    trace: &Trace,
    effort: Effort,
    random: &mut Random,
    mut check: impl FnMut(&mut Moment<'_>) -> Result<usize, String>,
) -> Outcome {
    let mut world = trace.base.clone();
    let mut outcome = Outcome::default();
    let mut marks = Vec::new();
    let mut seen = HashSet::new();
    for index in 0..=trace.events.len() {
        if let Some(event) = index.checked_sub(1).map(|before| &trace.events[before]) {
            world.apply(event, trace.at_ns(index - 1));
            if let Event::Mark(mark) = event {
                marks.push(*mark);
            }
        }
        if index < trace.events.len() && !random.chance(effort.calls_percent) {
            continue;
        }
        for (loss, look) in draw(effort, random) {
            let image = world.lose_power(loss, random);
            // The same image is to be judged again when more was acknowledged.
            if !seen.insert((image.fingerprint(), marks.len(), look == Look::Copy)) {
                continue;
            }
            let mut moment = Moment { marks: &marks, image: &image, random, look };
            match check(&mut moment) {
                Ok(more) => outcome.images += 1 + more,
                Err(wrong) => {
                    let files = image.listing().join("\n  ");
                    let told = told(trace, index, &format!("{loss:?}, {look:?}: {wrong}"));
                    outcome.failures.push(format!("{told}\n  --\n  {files}"));
                }
            }
            if outcome.failures.len() >= FAILURES_MAX {
                return outcome;
            }
        }
    }
    outcome
}

fn draw(effort: Effort, random: &mut Random) -> Vec<(Loss, Look)> {
    let mut losses: Vec<Loss> = LOSSES.iter().copied().filter(|_| random.chance(effort.fixed_percent)).collect();
    losses.extend((0..effort.random).map(|_| Loss::draw(random)));
    // A machine that lost its power has the original; a snapshot of its volume may be opened as a copy.
    losses.into_iter().map(|loss| (loss, if random.chance(20) { Look::Copy } else { Look::Original })).collect()
}

fn told(trace: &Trace, index: usize, wrong: &str) -> String {
    let around = index.saturating_sub(EVENTS_TOLD)..(index + 2).min(trace.events.len());
    let events: Vec<_> = around.map(|at| format!("  {at}: {}", trace.events[at].brief())).collect();
    format!("power lost after event {index} of {}, {wrong}\n{}", trace.events.len(), events.join("\n"))
}

/// The state after all of a trace.
pub(crate) fn end(trace: &Trace) -> World {
    let mut world = trace.base.clone();
    for (index, event) in trace.events.iter().enumerate() {
        world.apply(event, trace.at_ns(index));
    }
    world
}

/// The same trace with nothing left to choose but what becomes of its end.
pub(crate) fn at_end(trace: &Trace) -> Trace {
    let is_mark = |event: &&Event| matches!(event, Event::Mark(_));
    Trace {
        base: end(trace),
        events: trace.events.iter().filter(is_mark).cloned().collect(),
        begun_ns: trace.at_ns(trace.events.len()),
    }
}

/// No process syncs a file or folder once its sync of it failed; but for `run/`, in which nothing is that was
/// acknowledged.
pub(crate) fn never_synced_again(trace: &Trace) -> Result<(), String> {
    let mut failed = HashSet::new();
    let made = trace.events.iter().find_map(|event| {
        if let Event::Folder { node, at, .. } = event { (at.1 == "run").then_some(*node) } else { None }
    });
    let run = made.or_else(|| trace.base.clone().entries(ROOT).get(OsStr::new("run")).copied());
    for event in &trace.events {
        if let Event::SyncFailed { node } | Event::SyncFolderFailed { folder: node } = event {
            failed.insert(*node);
        } else if matches!(event, Event::Restart) {
            failed.clear();
        } else if let Event::Sync { node, .. } | Event::SyncFolder { folder: node } = event
            && failed.contains(node)
            && run != Some(*node)
        {
            return Err(format!("a failed sync was tried again: {}", event.brief()));
        }
    }
    Ok(())
}

/// Directories for images, in memory where there is such a place.
#[derive(Debug)]
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let within = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        Self(tempfile::tempdir_in(within).expect("a directory for images"))
    }

    /// A fresh directory, only for its owner; gone with what is returned.
    pub(crate) fn fresh(&self) -> Fresh {
        Fresh(tempfile::tempdir_in(self.0.path()).expect("a directory for an image"))
    }
}

/// A directory for one image.
#[derive(Debug)]
pub(crate) struct Fresh(tempfile::TempDir);

impl Fresh {
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}

//! The disk fails at every call of a registry's life (issue: Show 2).

use std::collections::{BTreeMap, BTreeSet};

use vix_registry::domain::digest::Sha256;
use vix_registry::domain::name::PackageName;
use vix_registry::domain::refusal::Reason;
use vix_registry::domain::version::VersionNumber;
use vix_registry::services::ServiceError;
use vix_registry::storage::{Cost, Metadata as _};

use crate::random::{Random, is_long, seed};
use crate::registry::check::{live, open_and_check, use_it};
use crate::registry::steps::{LIFE, Step, artifact};
use crate::registry::{Checkpoints, Registry};
use crate::sim::Disk;
use crate::sim::explore::{Effort, Scratch, at_end, end, explore, never_synced_again};
use crate::sim::fault::{Call, Fault};
use crate::sim::image::{Bytes, Image, Look, Loss, Names};
use crate::sim::world::Event;
use crate::told::told;

/// More calls than the short life below makes.
const CALLS_MAX: usize = 3000;
/// Of the calls, one in so many fails in the gate.
const GATE_EVERY: usize = 7;
/// Before this, everything is sound: steps of [`LIFE`].
const SOUND_STEPS: usize = 7;

/// How a version stands: which artifact it has, whether it is yanked; purged: neither.
type Standing = Option<(u8, bool)>;

/// What is known of each version of the package that the faults are about.
#[derive(Debug, Default)]
struct Known(BTreeMap<&'static str, Claims>);

/// What was acknowledged last, and what was tried since then and failed, so that it may be there or not.
#[derive(Clone, Debug, Default)]
struct Claims {
    acknowledged: Option<Standing>,
    tried: Vec<Standing>,
}

const PACKAGE: &str = "fault";

impl Known {
    /// Notes how a step ended that would have led to `standing`.
    fn note<E>(&mut self, version: &'static str, standing: Standing, done: Result<(), E>) -> Result<(), E> {
        let claims = self.0.entry(version).or_default();
        match done {
            Ok(()) => *claims = Claims { acknowledged: Some(standing), tried: Vec::new() },
            Err(_) => claims.tried.push(standing),
        }
        done
    }

    /// Holds a registry against it.
    fn check(&self, registry: &Registry) -> Result<(), String> {
        for (version, claims) in &self.0 {
            let found = standing(registry, version)?;
            let is_acknowledged = claims.acknowledged == found;
            if !is_acknowledged && !found.is_some_and(|found| claims.tried.contains(&found)) {
                return Err(format!("{version} is {found:?}, {claims:?}"));
            }
        }
        Ok(())
    }
}

/// How a version stands; none: there is no such version.
fn standing(registry: &Registry, version: &'static str) -> Result<Option<Standing>, String> {
    let look = registry.stores.metadata.read(Cost::Point, move |view| {
        let name = PackageName::parse(PACKAGE).expect("a name");
        view.version(&name, &VersionNumber::parse(version).expect("a version"))
    });
    let Some(found) = registry.run(look).map_err(|error| told("read", &error))? else { return Ok(None) };
    if found.purged.is_some() {
        return Ok(Some(None));
    }
    let is_its = |number: &u8| Sha256::of(&artifact(*number)) == found.artifact.sha256;
    let number = (0..=u8::MAX).find(is_its).ok_or("an unknown artifact")?;
    Ok(Some(Some((number, found.yank.is_some()))))
}

/// Whether the fault lies with the server: a status from 500 on.
fn is_the_servers(error: &ServiceError) -> bool {
    match error {
        ServiceError::Internal { .. } => true,
        ServiceError::Refused(refusal) => matches!(
            refusal.reason,
            Reason::Internal | Reason::ArtifactDamaged | Reason::ReadOnly | Reason::Overloaded | Reason::StorageFull
        ),
    }
}

/// A registry on a disk that fails once it was opened, and what came of each step.
struct Trouble {
    registry: Registry,
    known: Known,
    fault: Fault,
    /// The last step that was tried went well.
    works: bool,
}

impl Trouble {
    fn step(&mut self, version: &'static str, standing: Standing, step: Step) -> Result<(), String> {
        let done = self.known.note(version, standing, self.registry.act(step));
        self.works = done.is_ok();
        if let Err(error) = done
            && !is_the_servers(&error)
        {
            return Err(told(&format!("{step:?} was refused"), &error));
        }
        // One read may be what the one failing call was for.
        let read = self.registry.rows().or_else(|_failed| self.registry.rows());
        read.map(drop).map_err(|error| format!("after {step:?} nothing can be read: {error}"))
    }

    fn publish(&mut self, version: &'static str, artifact: u8) -> Result<(), String> {
        self.step(version, Some((artifact, false)), Step::Publish { package: PACKAGE, version, artifact })
    }

    fn is_there(&self, version: &str) -> bool {
        self.known.0.get(version).is_some_and(|claims| claims.acknowledged.is_some())
    }

    /// On a full disk what makes no room still goes on.
    fn small(&mut self, version: &'static str, standing: Standing, step: Step) -> Result<(), String> {
        if !self.is_there(version) {
            return Ok(());
        }
        self.step(version, standing, step)?;
        let must_work = matches!(self.fault, Fault::Full { .. });
        if must_work && !self.works { Err(format!("{step:?} needs room")) } else { Ok(()) }
    }

    fn live(&mut self) -> Result<(), String> {
        self.publish("1.0.0", 20)?;
        self.publish("1.1.0", 21)?;
        self.publish("1.2.0", 20)?;
        self.small("1.0.0", Some((20, true)), Step::Yank { package: PACKAGE, version: "1.0.0" })?;
        // A snapshot is nobody's request: that it fails shows in no answer.
        drop(self.registry.act(Step::Rotate));
        self.publish("1.3.0", 22)?;
        self.small("1.2.0", None, Step::Purge { package: PACKAGE, version: "1.2.0" })?;
        self.registry.disk.pass(1);
        self.publish("1.4.0", 23)?;
        // The one failing call may have been this one's.
        if self.works { Ok(()) } else { self.publish("1.5.0", 24) }
    }
}

/// What came of a life on a failing disk.
struct Told {
    /// The call that failed and the file that it was for; none when there were not so many calls.
    hit: Option<(Call, String)>,
    works: bool,
}

/// Lives on a disk that fails; what is left is opened as it is and as the power leaves it.
fn endure(image: &Image, fault: Fault, random: &mut Random, scratch: &Scratch) -> Result<Told, String> {
    let dir = scratch.fresh();
    let disk = image.place(&dir.path(), Look::Original);
    let registry = Registry::open(&disk, Checkpoints::Always)?;
    disk.fail(fault);
    let mut trouble = Trouble { registry, known: Known::default(), fault, works: true };
    trouble.live()?;
    let hit = disk.calls().1;
    let Trouble { registry, known, works, .. } = trouble;
    drop(registry);
    disk.restart();
    disk.fail(Fault::None);
    let trace = disk.trace();
    never_synced_again(&trace)?;
    let effort = Effort { calls_percent: 0, fixed_percent: 30, random: 1 };
    let left = explore(&at_end(&trace), effort, random, |moment| {
        let dir = scratch.fresh();
        // A copy would be cut where an artifact is missing, which this one must not be.
        let opened = open_and_check(&moment.image.place(&dir.path(), Look::Original))?;
        known.check(&opened)?;
        use_it(opened).map(|_| 0)
    });
    left.into_result()?;
    let left = Registry::open(&disk, Checkpoints::Always)?;
    known.check(&left)?;
    Ok(Told { hit, works })
}

/// A registry that has lived for a while and was stopped.
fn grown() -> Image {
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    let life = live(&disk, &LIFE[..SOUND_STEPS], Checkpoints::Always);
    let kept = Loss { bytes: Bytes::Kept, names: Names::Kept };
    end(&life.trace).lose_power(kept, &mut Random::new(1))
}

/// Tries one kind of fault at the calls in turn; what was hit, and after which of the hits nothing could be written.
fn try_each(fault: impl Fn(usize) -> Fault, of: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let seed = seed(of);
    let (scratch, image, mut random) = (Scratch::new(), grown(), Random::new(seed));
    let (mut hits, mut stopped) = (BTreeSet::new(), BTreeSet::new());
    let step = if is_long() { 1 } else { GATE_EVERY };
    let first = 1 + random.below(step);
    for at in (first..CALLS_MAX).step_by(step) {
        let Told { hit, works } = endure(&image, fault(at), &mut random, &scratch)
            .unwrap_or_else(|wrong| panic!("VIXR_TEST_SEED={seed}, {:?}: {wrong}", fault(at)));
        let Some((call, name)) = hit else { break };
        let hit = format!("{call:?} {}", kind_of(&name));
        if !works {
            stopped.insert(hit.clone());
        }
        hits.insert(hit);
    }
    eprintln!("{of}: hit {hits:?}, wrote no more after {stopped:?}");
    (hits, stopped)
}

/// What kind of file a path is.
fn kind_of(name: &str) -> &str {
    let folder = name.split('/').next().unwrap_or(name);
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some(extension @ ("log" | "snap" | "redb")) => extension,
        Some(_) | None => folder,
    }
}

#[test]
fn an_error_at_any_call_loses_nothing_acknowledged_and_reads_go_on() {
    let (hits, stopped) = try_each(|at| Fault::Once { at }, "a registry on a disk that fails once");
    // Only a folder whose sync failed keeps the next writes from being made.
    let others: Vec<_> = stopped.iter().filter(|hit| !hit.starts_with("SyncDir")).collect();
    assert!(others.is_empty(), "{others:?}");
    if is_long() {
        for kind in ["SyncAll uploads", "SyncData log", "SyncData redb", "SyncDir journal", "SyncDir blobs"] {
            assert!(hits.contains(kind), "{kind} was never hit");
        }
    }
}

#[test]
fn a_short_write_at_any_call_loses_nothing_acknowledged() {
    let (hits, _) = try_each(|at| Fault::Short { at }, "a registry on a disk that writes half");
    assert!(!hits.is_empty());
}

#[test]
fn on_a_disk_that_is_dead_from_any_call_on_reads_go_on_and_nothing_acknowledged_is_lost() {
    try_each(|from| Fault::Dead { from }, "a registry on a dead disk");
}

#[test]
fn on_a_disk_that_is_full_from_any_call_on_yanks_and_purges_go_on_and_nothing_is_lost() {
    try_each(|from| Fault::Full { from }, "a registry on a full disk");
}

#[test]
fn an_error_at_any_call_of_an_opening_is_got_over_by_the_next_one() {
    let seed = seed("an opening on a disk that fails");
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    let life = live(&disk, &LIFE[..SOUND_STEPS], Checkpoints::Always);
    // Not stopped: the opening has something to do.
    let marks = life.trace.events.iter().rposition(|event| matches!(event, Event::Mark(_)));
    let mut trace = life.trace.clone();
    trace.events.truncate(marks.expect("steps were acknowledged") + 1);
    let kept = Loss { bytes: Bytes::Kept, names: Names::Kept };
    let image = end(&trace).lose_power(kept, &mut Random::new(1));
    let (mut random, mut at) = (Random::new(seed), 0);
    loop {
        at += if is_long() { 1 } else { 1 + random.below(GATE_EVERY) };
        let dir = scratch.fresh();
        let disk = image.place(&dir.path(), Look::Original);
        disk.fail(Fault::Once { at });
        drop(Registry::open(&disk, Checkpoints::Always));
        let hit = disk.calls().1;
        disk.fail(Fault::None);
        let opened = open_and_check(&disk).and_then(|opened| opened.rows());
        let rows = opened.unwrap_or_else(|wrong| panic!("VIXR_TEST_SEED={seed}, call {at}, {hit:?}: {wrong}"));
        assert!(life.states.last() == Some(&rows), "VIXR_TEST_SEED={seed}, call {at}, {hit:?}: other rows");
        if hit.is_none() {
            break;
        }
    }
    eprintln!("an opening makes {at} calls");
}

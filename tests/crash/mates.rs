//! Changes that share a commit which fails: nobody is refused because of what was not done (issue: Show 2).

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use vix_registry::domain::change::{Change, Setting};
use vix_registry::domain::refusal::{Reason, Refusal};
use vix_registry::storage::{ChangeError, Cost, Decided, Metadata as _, Moment, View};

use crate::random::{Random, seed};
use crate::registry::{Checkpoints, Registry};
use crate::sim::Disk;
use crate::sim::explore::{Scratch, end};
use crate::sim::fault::Fault;
use crate::sim::image::{Bytes, Look, Loss, Names};

/// No decision waits longer for its mates to be queued.
const PATIENCE: Duration = Duration::from_secs(30);
/// What two want to be the first to set.
const WANTED: Setting = Setting::InitialAdminToken;

/// Holds the writer in a decision until the next batch is queued.
#[derive(Default)]
struct Gate {
    /// Whether the writer is in the decision, and whether it may go on.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    fn hold(&self) {
        let mut state = self.state.lock().expect("no panic");
        state.0 = true;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |state| !state.1).expect("no panic");
        assert!(!waited.1.timed_out(), "nobody let the writer go on");
    }

    fn wait_until_held(&self) {
        let state = self.state.lock().expect("no panic");
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |state| !state.0).expect("no panic");
        assert!(!waited.1.timed_out(), "the writer never came");
    }

    fn open(&self) {
        self.state.lock().expect("no panic").1 = true;
        self.changed.notify_all();
    }
}

/// Sets what nobody has set; refused when somebody has.
fn claim(who: u8) -> impl Fn(&View<'_>, Moment) -> Result<Decided<()>, ChangeError> + Send + 'static {
    move |view, _| {
        if view.setting(WANTED)?.is_some() {
            return Err(Refusal::new(Reason::AlreadyExists, "somebody was first").into());
        }
        let change = Change::PutSetting { key: WANTED, value: Some(vec![who; 16]) };
        Ok(Decided { changes: vec![change], answer: () })
    }
}

/// Lets two claims share a batch on a disk that fails at a call; what both were told, or none when there were fewer.
fn race(fault: Fault, scratch: &Scratch) -> Option<Result<[Result<(), ChangeError>; 2], String>> {
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    let registry = Registry::open(&disk, Checkpoints::Never).expect("a sound disk");
    let gate = Arc::<Gate>::default();
    let told = std::thread::scope(|scope| {
        let (metadata, held) = (Arc::clone(&registry.stores.metadata), Arc::clone(&gate));
        let first = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(metadata.change(move |_: &View<'_>, _| {
                held.hold();
                Ok(Decided::unchanged(()))
            }))
        });
        gate.wait_until_held();
        disk.fail(fault);
        let metadata = &registry.stores.metadata;
        let (one, two) = registry.run(async {
            let both =
                async { tokio::join!(metadata.change(claim(1)), metadata.change(claim(2)), async { gate.open() }) };
            let (one, two, ()) = both.await;
            (one, two)
        });
        drop(first.join().expect("no panic"));
        [one, two]
    });
    let hit = disk.calls().1;
    drop(registry);
    disk.restart();
    disk.fail(Fault::None);
    hit?;
    Some(check(&disk, &told, scratch).map(|()| told))
}

/// Holds what both were told against what is there after the power went.
fn check(disk: &Arc<Disk>, told: &[Result<(), ChangeError>; 2], scratch: &Scratch) -> Result<(), String> {
    for bytes in [Bytes::Lost, Bytes::Kept] {
        let dir = scratch.fresh();
        let loss = Loss { bytes, names: if bytes == Bytes::Lost { Names::Lost } else { Names::Kept } };
        let image = end(&disk.trace()).lose_power(loss, &mut Random::new(1));
        let registry = Registry::open(&image.place(&dir.path(), Look::Original), Checkpoints::Never)?;
        let read = registry.run(registry.stores.metadata.read(Cost::Point, |view| view.setting(WANTED)));
        let who = read.map_err(|error| error.to_string())?.map(|value| value[0]);
        for (number, answer) in (1..).zip(told) {
            let other = 3 - number;
            let is_right = match answer {
                Ok(()) => who == Some(number),
                Err(ChangeError::Refused(_)) => who == Some(other),
                Err(ChangeError::Store(_)) => true,
            };
            if !is_right {
                return Err(format!("{number} was told {answer:?}, and it is {who:?}'s, {loss:?}; {told:?}"));
            }
        }
    }
    Ok(())
}

#[test]
fn nobody_is_refused_because_of_a_mate_whose_change_failed() {
    let seed = seed("a batch on a disk that fails");
    let scratch = Scratch::new();
    let (mut failures, mut refusals) = (0, 0);
    for fault in [|at| Fault::Once { at }, |at| Fault::Short { at }, |from| Fault::Dead { from }] {
        for at in 1.. {
            let Some(told) = race(fault(at), &scratch) else { break };
            let told = told.unwrap_or_else(|wrong| panic!("VIXR_TEST_SEED={seed}, {:?}: {wrong}", fault(at)));
            failures += told.iter().filter(|told| matches!(told, Err(ChangeError::Store(_)))).count();
            refusals += told.iter().filter(|told| matches!(told, Err(ChangeError::Refused(_)))).count();
        }
    }
    eprintln!("a batch: {failures} failed, {refusals} refused");
    assert!(failures > 0 && refusals > 0);
}

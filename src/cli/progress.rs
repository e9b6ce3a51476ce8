//! How verbs that take long show how far they are, and how they are interrupted.
//!
//! A bar on a terminal, JSON lines elsewhere, always on stderr; nothing for what ends within a second. Start at
//! [`Meter`] for what is shown and [`watched`] for work of this process.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::args::{Globals, ProgressForm};
use super::exit::{CliError, Exit};
use super::output::Output;
use crate::storage::progress::{Advance, Cancelled, Progress, Unit};

/// Work that ends sooner shows nothing.
const SILENCE: Duration = Duration::from_secs(1);
/// How often lines come when they were asked for, and when they were not.
const LINE_EVERY: Duration = Duration::from_secs(1);
const LINE_NOW_AND_THEN: Duration = Duration::from_secs(10);
/// How often work of this process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

const WITH_TOTAL_BYTES: &str = "{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
const WITH_TOTAL: &str = "{prefix} [{bar:30}] {pos}/{len} {msg} {eta} left";
const BYTES: &str = "{prefix} {spinner} {bytes} {bytes_per_sec}";
const COUNT: &str = "{prefix} {spinner} {pos} {msg}";

/// Shows how far one verb is.
#[derive(Debug)]
pub struct Meter {
    verb: &'static str,
    output: Output,
    form: Form,
    begun: Instant,
    /// What was shown last, and since when that part of the work is under way.
    part: Option<(Unit, Instant, u64)>,
}

#[derive(Debug)]
enum Form {
    /// None until there is something to show.
    Bar(Option<ProgressBar>),
    Lines {
        every: Duration,
        last: Option<Instant>,
    },
    Nothing,
}

impl Meter {
    /// For the verb, as the global flags say; `--quiet` shows nothing.
    pub fn new(global: &Globals, output: Output, verb: &'static str) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let lines = |every| Form::Lines { every, last: None };
        let form = match global.progress {
            _ if output.quiet => Form::Nothing,
            ProgressForm::None => Form::Nothing,
            ProgressForm::Auto | ProgressForm::Bar if is_terminal => Form::Bar(None),
            ProgressForm::Auto => lines(LINE_NOW_AND_THEN),
            ProgressForm::Bar | ProgressForm::Json => lines(LINE_EVERY),
        };
        Self { verb, output, form, begun: Instant::now(), part: None }
    }

    /// Shows that the work is there now.
    pub fn show(&mut self, at: Advance) {
        if self.begun.elapsed() < SILENCE {
            return;
        }
        let (began, from) = match self.part {
            Some((unit, began, from)) if unit == at.unit && from <= at.done => (began, from),
            Some(_) | None => (Instant::now(), at.done),
        };
        let is_new = self.part.is_none_or(|(unit, _, _)| unit != at.unit);
        self.part = Some((at.unit, began, from));
        let (verb, output) = (self.verb, self.output);
        match &mut self.form {
            Form::Bar(bar) => draw(bar.get_or_insert_with(|| new_bar(verb)), at, is_new),
            Form::Lines { every, last } if last.is_none_or(|last| last.elapsed() >= *every) => {
                *last = Some(Instant::now());
                let left = seconds_left(at, at.done.saturating_sub(from), began.elapsed());
                let Advance { done, total, unit } = at;
                let line = json!({
                    "type": "progress", "verb": verb, "done": done, "total": total, "unit": unit.as_str(), "eta_s": left
                });
                output.note(&line.to_string());
            }
            Form::Lines { .. } | Form::Nothing => {}
        }
    }

    /// Takes a bar away again.
    pub fn end(&mut self) {
        if let Form::Bar(Some(bar)) = &self.form {
            bar.finish_and_clear();
        }
    }
}

fn new_bar(verb: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_prefix(verb);
    bar
}

fn draw(bar: &ProgressBar, at: Advance, is_new: bool) {
    let template = match (at.unit, at.total) {
        (Unit::Bytes, Some(_)) => WITH_TOTAL_BYTES,
        (Unit::Bytes, None) => BYTES,
        (Unit::Blobs | Unit::Rows | Unit::Frames, Some(_)) => WITH_TOTAL,
        (Unit::Blobs | Unit::Rows | Unit::Frames, None) => COUNT,
    };
    if is_new {
        bar.reset();
    }
    // The templates above are well-formed, as a test sees.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(at.unit.as_str());
    match at.total {
        Some(total) => bar.set_length(total),
        None => bar.unset_length(),
    }
    bar.set_position(at.done);
    bar.tick();
}

/// How long the part goes on at the pace so far; none before that can be told.
fn seconds_left(at: Advance, done: u64, took: Duration) -> Option<u64> {
    let left = u128::from(at.total?.saturating_sub(at.done));
    let left_ms = left.saturating_mul(took.as_millis()).checked_div(u128::from(done))?;
    u64::try_from(left_ms.div_ceil(1000)).ok()
}

/// The unit of that name, as jobs of the API tell it.
pub fn unit(name: &str) -> Unit {
    [Unit::Blobs, Unit::Rows, Unit::Frames].into_iter().find(|unit| unit.as_str() == name).unwrap_or(Unit::Bytes)
}

/// SIGINT and SIGTERM, from now on.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Begins to listen: neither ends the process by itself any more.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn watch() -> Result<Self, CliError> {
        let failed = |error: std::io::Error| CliError::io("signals can't be watched", &error);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// Waits for one, and says how the run ends by it.
    pub async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }
}

/// The failure of a run that was told to stop.
pub fn interrupted(exit: Exit, hint: impl Into<String>) -> CliError {
    CliError::new(exit, "interrupted", "it was told to stop before it was done").hint(hint)
}

/// What work of this process tells, and is told.
#[derive(Debug)]
struct Watch {
    at: Mutex<Option<Advance>>,
    cancelled: AtomicBool,
}

impl Progress for Watch {
    fn advance(&self, at: Advance) -> Result<(), Cancelled> {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
        if self.cancelled.load(Ordering::Acquire) { Err(Cancelled) } else { Ok(()) }
    }
}

/// Runs `work` on a thread that may block, shows how far it is, and tells it to stop at SIGINT or SIGTERM. What it
/// answers then counts if it was done all the same; a second signal ends the process at once.
///
/// # Errors
/// What the work answers, and `interrupted`.
pub async fn watched<T, W>(mut meter: Meter, work: W) -> Result<T, CliError>
where
    T: Send + 'static,
    W: FnOnce(&dyn Progress) -> Result<T, CliError> + Send + 'static,
{
    let watch = Arc::new(Watch { at: Mutex::new(None), cancelled: AtomicBool::new(false) });
    let mut interrupts = Interrupts::watch()?;
    let working = Arc::clone(&watch);
    let mut running = tokio::task::spawn_blocking(move || work(&*working));
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut stopped: Option<Exit> = None;
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
            _ = look.tick() => {
                if let Some(at) = *watch.at.lock().unwrap_or_else(PoisonError::into_inner) {
                    meter.show(at);
                }
            }
            exit = interrupts.next() => {
                if stopped.replace(exit).is_some() {
                    end_at_once(exit);
                }
                watch.cancelled.store(true, Ordering::Release);
            }
        }
    };
    meter.end();
    let ended = ended.unwrap_or_else(|panic| {
        Err(CliError::new(Exit::Failed, "internal", "something broke that should not").why(panic.to_string()))
    });
    match (ended, stopped) {
        (Ok(done), _) => Ok(done),
        (Err(_), Some(exit)) => Err(interrupted(exit, "nothing is left half-done: begin again when you like")),
        (Err(error), None) => Err(error),
    }
}

#[expect(clippy::exit, reason = "a second signal asks for exactly this; the work is harmless to interrupt")]
fn end_at_once(exit: Exit) -> ! {
    std::process::exit(i32::from(exit.code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_of_bars_are_well_formed() {
        for template in [WITH_TOTAL_BYTES, WITH_TOTAL, BYTES, COUNT] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn what_is_left_is_told_from_the_pace_so_far() {
        let at = |done, total| Advance { done, total, unit: Unit::Bytes };
        assert_eq!(seconds_left(at(100, Some(400)), 100, Duration::from_secs(2)), Some(6));
        assert_eq!(seconds_left(at(100, Some(400)), 50, Duration::from_secs(2)), Some(12));
        assert_eq!(seconds_left(at(0, Some(400)), 0, Duration::from_secs(2)), None);
        assert_eq!(seconds_left(at(9, None), 9, Duration::from_secs(2)), None);
        assert_eq!(seconds_left(at(u64::MAX, Some(1)), 1, Duration::MAX), Some(0));
    }

    #[test]
    fn units_are_read_as_they_are_told() {
        for known in [Unit::Bytes, Unit::Blobs, Unit::Rows, Unit::Frames] {
            assert_eq!(unit(known.as_str()), known);
        }
    }

    #[tokio::test]
    async fn work_is_answered_and_its_failures_too() {
        let meter = || Meter {
            verb: "test",
            output: Output::new(false, true, crate::cli::args::ColorWhen::Never),
            form: Form::Nothing,
            begun: Instant::now(),
            part: None,
        };
        assert_eq!(watched(meter(), |_: &dyn Progress| Ok(7)).await.unwrap(), 7);
        let failed = watched::<u8, _>(meter(), |_: &dyn Progress| Err(CliError::usage("no"))).await;
        assert_eq!(failed.unwrap_err().exit, Exit::Usage);
        let broken = watched::<u8, _>(meter(), |_: &dyn Progress| panic!("boom")).await;
        assert_eq!(broken.unwrap_err().reason, "internal");
    }
}

//! What a run says: its result on stdout, everything else on stderr. The only file that writes to either.
//!
//! Nothing is told by colour alone, and stdout is never coloured: it is for programs too.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

use serde_json::{Value, json};

use super::args::ColorWhen;
use super::exit::{CliError, Exit};
use crate::telemetry::clean_to;

/// The most characters of one line on stderr.
const LINE_CHARS_MAX: usize = 8192;

/// The reason of the one failure that is not told.
const STDOUT_CLOSED: &str = "stdout_closed";

/// How a run says what it has to say.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// One document in the API's envelope instead of text.
    pub json: bool,
    /// Nothing but the result and failures.
    pub quiet: bool,
    /// Whether stderr is coloured.
    color: bool,
}

/// What a verb has to show.
#[derive(Clone, PartialEq, Debug)]
pub enum Shown {
    /// Text for people, and the envelope that it was made of.
    Both(String, Value),
    /// Something that is the same either way: a script, a schema.
    Raw(String),
}

impl Shown {
    /// Text for people, and data that gets an envelope.
    pub fn data(text: impl Into<String>, data: &Value) -> Self {
        Self::Both(text.into(), json!({ "ok": true, "data": data, "meta": {} }))
    }
}

impl Output {
    /// Decides on colour: `--color`, else `NO_COLOR` (when it is not empty), `TERM=dumb`, and whether stderr is a
    /// terminal.
    pub fn new(json: bool, quiet: bool, when: ColorWhen) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let color = match when {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => {
                set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb") && io::stderr().is_terminal()
            }
        };
        Self { json, quiet, color }
    }

    /// Prints the result.
    ///
    /// # Errors
    /// When stdout does not take it.
    pub fn show(self, shown: &Shown) -> Result<(), CliError> {
        match shown {
            Shown::Both(_, envelope) if self.json => self.line(&envelope.to_string()),
            Shown::Raw(text) if self.json => self.line(&json!({ "ok": true, "data": text, "meta": {} }).to_string()),
            Shown::Both(text, _) | Shown::Raw(text) => self.line(text),
        }
    }

    /// Prints a line on stdout, whole and at once.
    ///
    /// # Errors
    /// When stdout does not take it.
    pub fn line(self, text: &str) -> Result<(), CliError> {
        if text.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        let text = text.strip_suffix('\n').unwrap_or(text);
        let written = out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                CliError::new(Exit::Failed, STDOUT_CLOSED, "nobody reads stdout any more")
            } else {
                CliError::io("the result could not be written to stdout", &error)
            }
        })
    }

    /// Says something beside the result.
    pub fn note(self, text: &str) {
        if !self.quiet {
            to_stderr(&format!("{}\n", clean(text)));
        }
    }

    /// Asks on stderr, also when quiet: somebody waits for it.
    pub fn prompt(self, text: &str) {
        to_stderr(text);
    }

    /// Says that something may be wrong.
    pub fn warn(self, text: &str) {
        if !self.quiet {
            let mark = self.painted("33", "warning:");
            to_stderr(&format!("{mark} {}\n", clean(text)));
        }
    }

    /// Says why the run fails; with `--json` on stdout too, as its one document.
    pub fn fail(self, failure: &CliError) -> Exit {
        if failure.reason == STDOUT_CLOSED {
            // Whoever read had enough (`| head`): that is no trouble to tell of.
            return failure.exit;
        }
        if self.json && self.line(&failure.to_envelope().to_string()).is_err() {
            return Exit::Failed;
        }
        let mark = self.painted("1;31", &format!("error[{}]:", clean(&failure.reason)));
        let mut text = format!("{mark} {}\n", clean(&failure.what));
        for (name, value) in [("why", &failure.why), ("hint", &failure.hint)] {
            for (number, line) in value.lines().enumerate() {
                let name = if number == 0 { format!("{name}: ") } else { String::new() };
                text = format!("{text}  {name}{}\n", clean(line));
            }
        }
        to_stderr(&text);
        failure.exit
    }

    fn painted(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Text of others, made harmless; long paths stay whole.
fn clean(text: &str) -> Cow<'_, str> {
    clean_to(text, LINE_CHARS_MAX)
}

/// Writes to stderr; when nobody reads it, there is nobody to tell.
fn to_stderr(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

//! Passwords as they come in: a line of stdin, or typed twice without being shown. Never an argument.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::cli::exit::CliError;
use crate::cli::output::Output;

/// The most bytes of a line that are read.
const LINE_BYTES_MAX: u64 = 4096;

/// Stops showing what is typed, until it is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0) {
            tracing::warn!(%error, "the terminal could not be set back: `stty echo` does it");
        }
    }
}

/// Reads a new password.
///
/// # Errors
/// When there is none, or when the two that were typed differ.
pub fn read(output: Output) -> Result<String, CliError> {
    if !io::stdin().is_terminal() {
        let line = line()?;
        return if line.is_empty() {
            Err(CliError::usage("there is no password on stdin").hint("pipe it in, or run this on a terminal"))
        } else {
            Ok(line)
        };
    }
    let failed = |error: io::Error| CliError::io("the terminal can't hide what is typed", &error);
    let silence = Silence::begin().map_err(failed)?;
    output.prompt("new password: ");
    let first = line()?;
    output.prompt("\nonce more: ");
    let second = line()?;
    output.prompt("\n");
    drop(silence);
    if first == second { Ok(first) } else { Err(CliError::usage("the two passwords differ").hint("try again")) }
}

fn line() -> Result<String, CliError> {
    let mut line = String::new();
    let read = io::stdin().lock().take(LINE_BYTES_MAX).read_line(&mut line);
    read.map_err(|error| CliError::io("stdin can't be read", &error))?;
    Ok(line.strip_suffix('\n').map_or(line.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)).to_owned())
}

//! The verbs: each one builds requests of the API and shows the answers as text; `--json` passes them through.

pub mod about;
pub mod backup;
pub mod check;
pub mod config;
pub mod gc;
pub mod job;
pub mod member;
pub mod namespace;
pub mod package;
pub mod password;
pub mod salvage;
pub mod span;
pub mod status;
pub mod table;
pub mod token;
pub mod user;
pub mod verify;

use serde::Serialize;
use serde_json::Value;

use super::args::Globals;
use super::exit::{CliError, Exit};
use super::output::Shown;
use super::process;
use super::transport::Transport;
use crate::config::Config;
use crate::domain::time::Timestamp;
use crate::storage::directory::Create;
use crate::telemetry::{self, Format, Level};

/// Finds the registry, does the verb's work with it, and closes it again.
///
/// # Errors
/// Those of the configuration, of [`Transport::open`] and of the work.
pub fn with_registry(
    global: &Globals,
    create: Create,
    work: impl AsyncFnOnce(&mut Transport) -> Result<Shown, CliError>,
) -> Result<Shown, CliError> {
    let config = begin(global)?;
    runtime()?.block_on(async {
        let mut transport = Transport::open(&config, create).await?;
        let done = work(&mut transport).await;
        transport.close().await;
        done
    })
}

/// What every verb begins with: its configuration, warnings on stderr, and files for their owner alone.
fn begin(global: &Globals) -> Result<Config, CliError> {
    let config = Config::load(&global.sources(Vec::new()))?.config;
    let to_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let begun = telemetry::init(Level::Warn, Format::Text, to_terminal);
    begun.map_err(|error| CliError::new(Exit::Failed, "internal", error.to_string()))?;
    process::private_files();
    Ok(config)
}

/// The time by this machine's clock.
fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// The envelope of an answer as it is, and text made of its data.
fn both(envelope: Value, text: impl FnOnce(&Value) -> String) -> Shown {
    Shown::Both(text(&envelope["data"]), envelope)
}

/// A result as JSON.
fn to_json(result: &impl Serialize) -> Result<Value, CliError> {
    let failed = |error: serde_json::Error| {
        CliError::new(Exit::Failed, "internal", "the result can't be shown").why(error.to_string())
    };
    serde_json::to_value(result).map_err(failed)
}

/// A field as it is. It may be a secret, which the cells of tables mask.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// What verbs wait with: one thread is enough.
fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| CliError::io("the runtime could not be started", &error))
}

/// Puts what was given into a request's body; what was not stays out of it.
fn put<T: Into<Value>>(body: &mut Value, key: &str, given: Option<T>) {
    if let Some(given) = given {
        body[key] = given.into();
    }
}

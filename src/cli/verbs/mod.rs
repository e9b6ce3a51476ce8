//! The verbs: each one builds requests of the API and shows the answers as text; `--json` passes them through.

pub mod span;
pub mod table;
pub mod token;

use serde_json::{Value, json};

use super::args::Globals;
use super::exit::{CliError, Exit};
use super::output::Shown;
use super::process;
use super::transport::Transport;
use crate::config::Config;
use crate::storage::directory::Create;
use crate::telemetry::{self, Format, Level};

/// The version of this program.
pub fn version() -> Shown {
    let version = env!("CARGO_PKG_VERSION");
    Shown::data(format!("vix-registry {version}"), &json!({ "version": version }))
}

/// Finds the registry, does the verb's work with it, and closes it again.
///
/// # Errors
/// Those of the configuration, of [`Transport::open`] and of the work.
pub fn with_registry(
    global: &Globals,
    create: Create,
    work: impl AsyncFnOnce(&mut Transport) -> Result<Shown, CliError>,
) -> Result<Shown, CliError> {
    let config = Config::load(&global.sources(Vec::new()))?.config;
    let to_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let begun = telemetry::init(Level::Warn, Format::Text, to_terminal);
    begun.map_err(|error| CliError::new(Exit::Failed, "internal", error.to_string()))?;
    process::private_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::io("the runtime could not be started", &error))?;
    runtime.block_on(async {
        let mut transport = Transport::open(&config, create).await?;
        let done = work(&mut transport).await;
        transport.close().await;
        done
    })
}

/// The envelope of an answer as it is, and text made of its data.
fn both(envelope: Value, text: impl FnOnce(&Value) -> String) -> Shown {
    Shown::Both(text(&envelope["data"]), envelope)
}

/// A field as it is. It may be a secret, which the cells of tables mask.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

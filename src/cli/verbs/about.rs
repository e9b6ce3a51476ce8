//! What the program tells about itself, without any registry.

use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::json;

use crate::cli::args::Cli;
use crate::cli::exit::CliError;
use crate::cli::output::Shown;
use crate::http::openapi;

/// The version of this program.
pub fn version() -> Shown {
    let version = env!("CARGO_PKG_VERSION");
    Shown::data(format!("vix-registry {version}"), &json!({ "version": version }))
}

/// The `OpenAPI` document.
pub fn openapi() -> Shown {
    Shown::data(openapi::text(), &openapi::document())
}

/// A script that completes the command line.
pub fn completions(shell: Shell) -> Shown {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "vix-registry", &mut script);
    Shown::Raw(String::from_utf8_lossy(&script).into_owned())
}

/// Writes a manual page for the program and one for each verb.
///
/// # Errors
/// When the directory can't be made or written to.
pub fn man(dir: &Path) -> Result<Shown, CliError> {
    let failed = |error: std::io::Error| CliError::io(format!("`{}` can't be written to", dir.display()), &error);
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(failed)?;
    Ok(Shown::data(format!("manual pages are in {}", dir.display()), &json!({ "dir": dir.to_string_lossy() })))
}

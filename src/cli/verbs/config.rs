//! `config`: what is set, where it came from, and how to begin.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::table::table;
use crate::cli::args::Globals;
use crate::cli::exit::CliError;
use crate::cli::output::{Output, Shown};
use crate::config::{Config, json_schema, sample_toml};

/// What is done with configurations.
#[derive(Subcommand, Debug)]
pub enum ConfigVerb {
    /// Every key with its value and where it came from
    Show,
    /// Try the configuration and say what is wrong with it
    Check,
    /// Print a file that sets nothing yet, or make it
    Init {
        /// Where to make it; one that is there is left alone
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of a configuration file
    Schema,
}

/// Does it.
///
/// # Errors
/// What is wrong with the configuration; a file that can't be made.
pub fn run(global: &Globals, verb: &ConfigVerb, output: Output) -> Result<Shown, CliError> {
    match verb {
        ConfigVerb::Show => {
            let loaded = Config::load(&global.sources(Vec::new()))?;
            let line =
                |line: &crate::config::ShowLine| json!({ "key": line.key, "value": line.value, "origin": line.origin });
            let lines = Value::Array(loaded.render_show().iter().map(line).collect());
            let columns = [("KEY", "key"), ("VALUE", "value"), ("ORIGIN", "origin")];
            Ok(Shown::data(table(&lines, &columns, ""), &lines))
        }
        ConfigVerb::Check => {
            let loaded = Config::load(&global.sources(Vec::new()))?;
            for warning in &loaded.warnings {
                output.warn(warning);
            }
            let file = loaded.file.map_or_else(|| "no file is read".to_owned(), |file| file.display().to_string());
            Ok(Shown::data(format!("ok: {file}"), &json!({ "file": file, "warnings": loaded.warnings })))
        }
        ConfigVerb::Init { file: None } => Ok(Shown::Raw(sample_toml())),
        ConfigVerb::Init { file: Some(file) } => {
            let made = OpenOptions::new().write(true).create_new(true).open(file);
            let written = made.and_then(|mut made| made.write_all(sample_toml().as_bytes()));
            written.map_err(|error| CliError::io(format!("`{}` can't be made", file.display()), &error))?;
            Ok(Shown::data(format!("made {}", file.display()), &json!({ "file": file.to_string_lossy() })))
        }
        ConfigVerb::Schema => {
            let schema = json_schema();
            Ok(Shown::data(format!("{schema:#}"), &schema))
        }
    }
}

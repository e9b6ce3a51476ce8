//! The command line as it is typed: global flags, then one variant for each verb.
//!
//! Help texts are the comments of this file and of the verbs'; nothing here does anything.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::verbs::backup::BackupVerb;
use super::verbs::config::ConfigVerb;
use super::verbs::gc::GcArgs;
use super::verbs::namespace::NamespaceVerb;
use super::verbs::package::PackageVerb;
use super::verbs::token::TokenVerb;
use super::verbs::user::UserVerb;
use super::verbs::verify::VerifyArgs;
use crate::config::Sources;

/// A package registry in one program and one data directory.
///
/// Results go to stdout, everything else to stderr. Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 finished
/// with findings, 4 authentication, 10 no data directory, 11 locked by another process, 12 data damaged, 13 refused
/// (fork or rollback), 14 disk full or read-only, 15 data newer than the program, 130 and 143 signals; any other code
/// means failure.
#[derive(Parser, Debug)]
#[command(name = "vix-registry", version, disable_help_subcommand = true, max_term_width = 120)]
pub struct Cli {
    /// What holds for every verb.
    #[command(flatten)]
    pub global: Globals,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags that every verb takes, before it or after.
#[derive(Args, Clone, Debug)]
pub struct Globals {
    /// The data directory [env: `VIX_REGISTRY_DATA`] [default: ./reg]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub data: Option<PathBuf>,
    /// The configuration file [env: `VIX_REGISTRY_CONFIG`] [default: config.toml in the data directory]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Print one JSON document, in the API's envelope
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Say nothing but the result and failures
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// When stderr is coloured
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Global options")]
    pub color: ColorWhen,
    /// How progress is shown, by verbs that take long
    #[arg(long, global = true, value_name = "FORM", default_value = "auto", help_heading = "Global options")]
    pub progress: ProgressForm,
}

impl Globals {
    /// The sources of the configuration, with these flags and the given ones over them.
    pub fn sources(&self, flags: Vec<(String, String)>) -> Sources {
        Sources { flags, data: self.data.clone(), file: self.config.clone(), ..Sources::of_process() }
    }
}

/// When output is coloured.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` or `TERM=dumb` says otherwise
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How progress is shown.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProgressForm {
    /// A bar on a terminal, else a JSON line now and then
    Auto,
    /// A bar
    Bar,
    /// One JSON object a line, on stderr, each second
    Json,
    /// None
    None,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Run the registry
    Serve(ServeArgs),
    /// Make, list, revoke and rotate tokens
    #[command(subcommand)]
    Token(TokenVerb),
    /// Make, list, change and delete users
    #[command(subcommand)]
    User(UserVerb),
    /// List, show, make, change, yank and purge packages
    #[command(subcommand)]
    Package(PackageVerb),
    /// List, show and make namespaces
    #[command(subcommand)]
    Namespace(NamespaceVerb),
    /// Look for what is wrong with the directory, the disk and the configuration; fast, and changes nothing
    Check,
    /// Make backups, try them out, and put them back
    #[command(subcommand)]
    Backup(BackupVerb),
    /// Read every byte and row, and say what is wrong; beside a running server or without one
    Verify(VerifyArgs),
    /// Tell what nothing needs any more, and remove it with --yes
    Gc(GcArgs),
    /// Say how much there is, and whether it works
    Status,
    /// Ask a running server whether it is ready; for containers
    Healthcheck(ServeArgs),
    /// Show, try and begin configurations
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages into a directory
    Man {
        /// The directory; it is made when it is missing
        dir: PathBuf,
    },
    /// Print the `OpenAPI` document of this version
    Openapi,
    /// Print the version
    Version,
}

/// Where the registry listens.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Where to listen; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
}

impl ServeArgs {
    /// As flags of the configuration.
    pub fn to_flags(&self) -> Vec<(String, String)> {
        self.listen.iter().map(|listen| ("http.listen".to_owned(), listen.clone())).collect()
    }
}

//! The command line: from arguments to an exit code, and the only wiring of the layers.
//!
//! Start at [`run`]. What can be typed is in [`args`], how a run ends in [`exit`], how a verb reaches its registry in
//! [`transport`]. Must never hold a rule of the registry: verbs are requests of the API.

pub mod args;
mod engines;
pub mod exit;
mod first_admin;
mod opening;
pub mod output;
mod process;
pub mod progress;
mod serve;
mod socket;
pub mod transport;
pub mod verbs;
mod wire_up;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};

use self::args::{Cli, ColorWhen, Verb};
use self::exit::{CliError, Exit};
use self::output::{Output, Shown};

/// Does what the arguments say; the first one is the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let json = arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    let exit = match parse(&arguments) {
        Ok(cli) => {
            let output = Output::new(cli.global.json, cli.global.quiet, cli.global.color);
            dispatch(&cli, output).unwrap_or_else(|failure| output.fail(&failure))
        }
        Err(error) => {
            let output = Output::new(json, false, ColorWhen::Auto);
            not_parsed(&error, output).unwrap_or_else(|failure| output.fail(&failure))
        }
    };
    ExitCode::from(exit.code())
}

fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = Cli::command().color(clap::ColorChoice::Never).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// Help and version are results; everything else that is not parsed is a failure in our words.
fn not_parsed(error: &clap::Error, output: Output) -> Result<Exit, CliError> {
    let text = error.render().to_string();
    let kind = error.kind();
    if matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        output.show(&Shown::Raw(text))?;
        return Ok(Exit::Ok);
    }
    if kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Err(CliError::usage("no verb was given").hint("`vix-registry --help` lists the verbs"));
    }
    let mut paragraphs = text.split("\n\n");
    let said = paragraphs.next().unwrap_or_default().trim_start_matches("error: ");
    let said = said.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    let failure = CliError::usage(said).why(usage.map(|usage| format!("it is used so: {usage}")).unwrap_or_default());
    Err(failure.hint(tip.unwrap_or("`vix-registry --help` lists the verbs, and each verb has a --help of its own")))
}

fn dispatch(cli: &Cli, output: Output) -> Result<Exit, CliError> {
    let global = &cli.global;
    let found = |(shown, exit): (Shown, Exit)| {
        output.show(&shown)?;
        Ok(exit)
    };
    let shown = match &cli.verb {
        Verb::Serve(args) => return serve::serve(global, args, output),
        Verb::Check => return found(verbs::check::run(global)?),
        Verb::Backup(verb) => return found(verbs::backup::run(global, verb, output)?),
        Verb::Verify(args) => return found(verbs::verify::run(global, args, output)?),
        Verb::Gc(args) => verbs::gc::run(global, args, output)?,
        Verb::Token(verb) => verbs::token::run(global, verb, output)?,
        Verb::User(verb) => verbs::user::run(global, verb, output)?,
        Verb::Package(verb) => verbs::package::run(global, verb, output)?,
        Verb::Namespace(verb) => verbs::namespace::run(global, verb)?,
        Verb::Status => verbs::status::status(global)?,
        Verb::Healthcheck(args) => verbs::status::healthcheck(global, args)?,
        Verb::Config(verb) => verbs::config::run(global, verb, output)?,
        Verb::Completions { shell } => verbs::about::completions(*shell),
        Verb::Man { dir } => verbs::about::man(dir)?,
        Verb::Openapi => verbs::about::openapi(),
        Verb::Version => verbs::about::version(),
    };
    output.show(&shown)?;
    Ok(Exit::Ok)
}

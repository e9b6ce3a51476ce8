//! `namespace`: listed, shown and made.

use clap::Subcommand;
use serde_json::json;

use super::member::{self, MemberVerb};
use super::table::{cell, lines, table};
use super::{both, put, with_registry};
use crate::cli::args::Globals;
use crate::cli::exit::CliError;
use crate::cli::output::Shown;
use crate::cli::transport::{Call, Transport, place};
use crate::storage::directory::Create;

/// What is done with namespaces.
#[derive(Subcommand, Debug)]
pub enum NamespaceVerb {
    /// List namespaces
    List {
        /// At most so many
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Show one
    Show {
        /// Its name
        name: String,
    },
    /// Make one; give it an owner with `namespace member set`
    Create {
        /// Its name
        name: String,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
        /// Whether its new packages are public or private
        #[arg(long, value_name = "VISIBILITY")]
        default_visibility: Option<String>,
    },
    /// List, add and remove members
    #[command(subcommand)]
    Member(MemberVerb),
}

/// Does it.
///
/// # Errors
/// As [`with_registry`].
pub fn run(global: &Globals, verb: &NamespaceVerb) -> Result<Shown, CliError> {
    with_registry(global, Create::No, async |transport| match verb {
        NamespaceVerb::List { limit } => {
            let columns = [("NAME", "name"), ("DEFAULT", "default_visibility"), ("OWNERS", "owners")];
            let found = transport.list("/v1/namespaces", &[], *limit).await?;
            Ok(both(found, |namespaces| table(namespaces, &columns, "there are no namespaces")))
        }
        NamespaceVerb::Show { name } => show(transport, name).await,
        NamespaceVerb::Create { name, description, default_visibility } => {
            let mut body = json!({ "name": name });
            put(&mut body, "description", description.clone());
            put(&mut body, "default_visibility", default_visibility.clone());
            let made = transport.call(Call::new("POST", "/v1/namespaces").json(body)).await?;
            Ok(both(made, |namespace| format!("made the namespace {}", cell(&namespace["name"]))))
        }
        NamespaceVerb::Member(verb) => member::run(transport, "/v1/namespaces", verb).await,
    })
}

async fn show(transport: &mut Transport, name: &str) -> Result<Shown, CliError> {
    Ok(both(transport.call(Call::new("GET", format!("/v1/namespaces/{}", place(name)))).await?, lines))
}

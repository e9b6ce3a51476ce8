//! `member`: who has a role on a package or a namespace.

use clap::Subcommand;
use serde_json::json;

use super::both;
use super::table::{cell, table};
use crate::cli::exit::CliError;
use crate::cli::output::Shown;
use crate::cli::transport::{Call, ENTRIES_MAX, Transport, place};

/// What is done with members.
#[derive(Subcommand, Debug)]
pub enum MemberVerb {
    /// List the members
    List {
        /// Of which package or namespace
        of: String,
    },
    /// Give somebody a role
    Set {
        /// On which package or namespace
        of: String,
        /// Who, by user name
        principal: String,
        /// owner, publisher or reader
        role: String,
    },
    /// Take somebody's role away
    Remove {
        /// On which package or namespace
        of: String,
        /// Who, by user name
        principal: String,
    },
}

/// A user's name as the API writes it.
pub fn principal(text: &str) -> String {
    if text.contains(':') { text.to_owned() } else { format!("user:{text}") }
}

/// Does it below `/v1/packages` or `/v1/namespaces`.
///
/// # Errors
/// As [`Transport::call`].
pub async fn run(transport: &mut Transport, base: &str, verb: &MemberVerb) -> Result<Shown, CliError> {
    let (MemberVerb::List { of } | MemberVerb::Set { of, .. } | MemberVerb::Remove { of, .. }) = verb;
    let path = format!("{base}/{}/members", place(of));
    match verb {
        MemberVerb::List { .. } => {
            let columns =
                [("PRINCIPAL", "principal"), ("ROLE", "role"), ("INHERITED", "inherited"), ("SINCE", "since")];
            let found = transport.list(&path, &[], ENTRIES_MAX).await?;
            Ok(both(found, |members| table(members, &columns, "there are no members")))
        }
        MemberVerb::Set { principal: who, role, .. } => {
            let call = Call::new("PUT", format!("{path}/{}", place(&principal(who)))).json(json!({ "role": role }));
            let set = transport.call(call).await?;
            Ok(both(set, |member| format!("{} is {} of {of}", cell(&member["principal"]), cell(&member["role"]))))
        }
        MemberVerb::Remove { principal: who, .. } => {
            let removed = transport.call(Call::new("DELETE", format!("{path}/{}", place(&principal(who))))).await?;
            Ok(both(removed, |member| format!("{} is no member of {of} any more", cell(&member["principal"]))))
        }
    }
}

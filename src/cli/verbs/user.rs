//! `user`: made, listed, changed, disabled and deleted.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::table::{cell, table};
use super::{both, password, put, with_registry};
use crate::cli::args::Globals;
use crate::cli::exit::CliError;
use crate::cli::output::{Output, Shown};
use crate::cli::transport::{Call, place};
use crate::storage::directory::Create;

/// What is done with users.
#[derive(Subcommand, Debug)]
pub enum UserVerb {
    /// Make a user
    Add {
        /// The user's name
        name: String,
        /// As an admin
        #[arg(long)]
        admin: bool,
        /// How people reach the user
        #[arg(long)]
        email: Option<String>,
        /// With a password, which is asked for or read from stdin; without one, tokens alone prove the user
        #[arg(long)]
        password: bool,
    },
    /// List users
    List {
        /// At most so many
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Change a user
    Set {
        /// The user's name
        name: String,
        /// Whether an admin
        #[arg(long, value_name = "true|false")]
        admin: Option<bool>,
        /// How people reach the user
        #[arg(long)]
        email: Option<String>,
        /// Take a field's value away
        #[arg(long, value_name = "FIELD")]
        clear: Vec<UserField>,
    },
    /// Disable a user, which ends all of the user's tokens for good
    Disable {
        /// The user's name
        name: String,
    },
    /// Enable a user again
    Enable {
        /// The user's name
        name: String,
    },
    /// Set a user's password, which is asked for or read from stdin; ends the user's logins
    Passwd {
        /// The user's name
        name: String,
        /// Take the password away: tokens alone prove the user
        #[arg(long)]
        remove: bool,
    },
    /// Delete a user who owns nothing alone; the name is never free again
    Delete {
        /// The user's name
        name: String,
    },
}

/// What can be taken away from a user.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserField {
    /// The e-mail address
    Email,
}

/// Does it.
///
/// # Errors
/// As [`with_registry`]; a password that can't be read.
pub fn run(global: &Globals, verb: &UserVerb, output: Output) -> Result<Shown, CliError> {
    let create = if matches!(verb, UserVerb::Add { .. }) { Create::Yes } else { Create::No };
    let (call, done) = match verb {
        UserVerb::List { limit } => {
            return with_registry(global, Create::No, async |transport| {
                let found = transport.list("/v1/users", &[], *limit).await?;
                Ok(both(found, |users| table(users, COLUMNS, "there are no users")))
            });
        }
        UserVerb::Add { name, admin, email, password } => {
            let mut body = json!({ "name": name, "admin": admin });
            put(&mut body, "email", email.clone());
            if *password {
                body["password"] = password::read(output)?.into();
            }
            (Call::new("POST", "/v1/users").json(body), "made the user")
        }
        UserVerb::Set { name, admin, email, clear } => {
            let mut body = json!({});
            put(&mut body, "admin", *admin);
            put(&mut body, "email", email.clone());
            if clear.contains(&UserField::Email) {
                body["email"] = Value::Null;
            }
            if body == json!({}) {
                return Err(CliError::usage("there is nothing to set").hint("give --admin, --email or --clear"));
            }
            (patch(name, body), "changed the user")
        }
        UserVerb::Disable { name } => (patch(name, json!({ "disabled": true })), "disabled the user"),
        UserVerb::Enable { name } => (patch(name, json!({ "disabled": false })), "enabled the user"),
        UserVerb::Passwd { name, remove } => {
            let password = if *remove { Value::Null } else { password::read(output)?.into() };
            (patch(name, json!({ "password": password })), "changed the password of")
        }
        UserVerb::Delete { name } => (Call::new("DELETE", path(name)), "deleted the user"),
    };
    with_registry(global, create, async |transport| {
        Ok(both(transport.call(call).await?, |user| format!("{done} {}", cell(&user["name"]))))
    })
}

const COLUMNS: &[(&str, &str)] = &[
    ("NAME", "name"),
    ("ADMIN", "admin"),
    ("DISABLED", "disabled"),
    ("PASSWORD", "has_password"),
    ("EMAIL", "email"),
    ("CREATED", "created_at"),
];

fn path(name: &str) -> String {
    format!("/v1/users/{}", place(name))
}

fn patch(name: &str, body: Value) -> Call {
    Call::new("PATCH", path(name)).json(body)
}

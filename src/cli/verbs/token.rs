//! `token`: made, listed, revoked and rotated. A secret is printed once, on stdout, and nowhere else.

use clap::{Args, Subcommand};
use serde_json::json;

use super::span::{End, parse_end, parse_span};
use super::table::{cell, table};
use super::{both, text, with_registry};
use crate::cli::args::Globals;
use crate::cli::exit::CliError;
use crate::cli::output::{Output, Shown};
use crate::cli::transport::{Call, Transport, place};
use crate::storage::directory::Create;

/// What is done with tokens.
#[derive(Subcommand, Debug)]
pub enum TokenVerb {
    /// Make a token and print it; its user too, when there is none of that name
    Create(CreateArgs),
    /// List tokens
    List(ListArgs),
    /// End a token, and those that it made
    Revoke {
        /// The token's id
        id: String,
    },
    /// Give a token a new secret and print it
    Rotate {
        /// The token's id
        id: String,
        /// How long the former secret stays good, such as 1h, at most 24h
        #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_span)]
        grace: i64,
    },
}

/// A token that is to be made.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// Whose token it is
    #[arg(long, value_name = "NAME")]
    user: String,
    /// What it is for: read, publish, admin
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', required = true)]
    scope: Vec<String>,
    /// A name for people
    #[arg(long, default_value = "cli")]
    name: String,
    /// Which packages it is for, such as 'gk/*,json' [default: all]
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
    packages: Vec<String>,
    /// When it ends: 30d, 12h, a time such as 2027-01-31T00:00:00Z, or never
    #[arg(long, value_name = "TIME", default_value = "never", value_parser = parse_end)]
    expires: End,
}

/// Which tokens are listed.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Those of one user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

/// Does it.
///
/// # Errors
/// As [`with_registry`].
pub fn run(global: &Globals, verb: &TokenVerb, output: Output) -> Result<Shown, CliError> {
    let create = if matches!(verb, TokenVerb::Create(_)) { Create::Yes } else { Create::No };
    with_registry(global, create, async |transport| match verb {
        TokenVerb::Create(args) => make(transport, args, output).await,
        TokenVerb::List(args) => list(transport, args).await,
        TokenVerb::Revoke { id } => {
            let revoked = transport.call(Call::new("DELETE", format!("/v1/tokens/{}", place(id)))).await?;
            Ok(both(revoked, |token| format!("token {} of {} has ended", cell(&token["id"]), cell(&token["user"]))))
        }
        TokenVerb::Rotate { id, grace } => {
            let body = json!({ "grace_s": grace / 1000 });
            let call = Call::new("POST", format!("/v1/tokens/{}/rotate", place(id))).json(body);
            Ok(both(transport.call(call).await?, |token| text(token, "secret").to_owned()))
        }
    })
}

async fn make(transport: &mut Transport, args: &CreateArgs, output: Output) -> Result<Shown, CliError> {
    let mut body = json!({ "name": args.name, "scopes": args.scope, "user": args.user });
    if !args.packages.is_empty() {
        body["packages"] = json!(args.packages);
    }
    if args.expires != End::Never {
        body["expires_at"] = args.expires.to_json();
    }
    let call = || Call::new("POST", "/v1/tokens").json(body.clone());
    let made = match transport.call(call()).await {
        Err(refused) if refused.reason == "user_not_found" => {
            let admin = args.scope.iter().any(|scope| scope == "admin");
            let user = json!({ "name": args.user, "admin": admin });
            transport.call(Call::new("POST", "/v1/users").json(user)).await?;
            let kind = if admin { "an admin" } else { "not an admin" };
            output.note(&format!("made the user {}, {kind}", args.user));
            transport.call(call()).await?
        }
        made => made?,
    };
    Ok(both(made, |token| text(token, "secret").to_owned()))
}

async fn list(transport: &mut Transport, args: &ListArgs) -> Result<Shown, CliError> {
    let query: Vec<(&str, &str)> = args.user.iter().map(|user| ("user", user.as_str())).collect();
    let columns = [
        ("ID", "id"),
        ("USER", "user"),
        ("NAME", "name"),
        ("KIND", "kind"),
        ("SCOPES", "scopes"),
        ("PACKAGES", "packages"),
        ("EXPIRES", "expires_at"),
        ("LAST USED", "last_used_at"),
        ("REVOKED", "revoked_at"),
    ];
    let found = transport.list("/v1/tokens", &query, args.limit).await?;
    Ok(both(found, |tokens| table(tokens, &columns, "there are no tokens")))
}

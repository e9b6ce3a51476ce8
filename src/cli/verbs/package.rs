//! `package`: listed, shown, made, changed, yanked and purged.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::member::{self, MemberVerb, principal};
use super::table::{cell, lines, table};
use super::{both, put, with_registry};
use crate::cli::args::Globals;
use crate::cli::exit::CliError;
use crate::cli::output::{Output, Shown};
use crate::cli::transport::{Call, ENTRIES_MAX, Transport, place};
use crate::storage::directory::Create;

/// What is done with packages.
#[derive(Subcommand, Debug)]
pub enum PackageVerb {
    /// List and search packages
    List(ListArgs),
    /// Show a package and its versions, or one version
    Show {
        /// The package's name
        name: String,
        /// A version of it, or `latest`
        version: Option<String>,
    },
    /// Make a package; give it an owner with `package member set`
    Create {
        /// The package's name
        name: String,
        /// What it is
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a package
    Set {
        /// The package's name
        name: String,
        /// What is changed
        #[command(flatten)]
        fields: Fields,
        /// Say that it should not be used any more, and why
        #[arg(long, value_name = "MESSAGE")]
        deprecated: Option<String>,
        /// What to use instead
        #[arg(long, value_name = "PACKAGE", requires = "deprecated")]
        replaced_by: Option<String>,
        /// Take a field's value away
        #[arg(long, value_name = "FIELD")]
        clear: Vec<PackageField>,
    },
    /// List, add and remove members
    #[command(subcommand)]
    Member(MemberVerb),
    /// Keep resolvers from choosing a version; it stays downloadable
    Yank {
        /// The package's name
        name: String,
        /// The version
        version: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let resolvers choose a version again
    Unyank {
        /// The package's name
        name: String,
        /// The version
        version: String,
    },
    /// Remove a version or a whole package for good; shows what would go unless --yes is given
    Purge {
        /// The package's name
        name: String,
        /// One version; without it, all of them and the package
        version: Option<String>,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
        /// Do it
        #[arg(long)]
        yes: bool,
    },
}

/// Which packages are listed.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Words to search for
    query: Option<String>,
    /// Only those of a namespace
    #[arg(long)]
    namespace: Option<String>,
    /// Only those that a user owns
    #[arg(long)]
    owner: Option<String>,
    /// Only those with a keyword
    #[arg(long)]
    keyword: Option<String>,
    /// name, updated, downloads or relevance
    #[arg(long)]
    sort: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

/// Fields of a package.
#[derive(Args, Debug)]
pub struct Fields {
    /// public or private
    #[arg(long)]
    visibility: Option<String>,
    /// What it is
    #[arg(long)]
    description: Option<String>,
    /// Under which licence, as SPDX writes it
    #[arg(long)]
    license: Option<String>,
    /// A keyword; can be given several times
    #[arg(long)]
    keyword: Vec<String>,
    /// A link such as repository=https://…; can be given several times
    #[arg(long, value_name = "KEY=URL", value_parser = parse_link)]
    link: Vec<(String, String)>,
}

/// What can be taken away from a package.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum PackageField {
    /// The description
    Description,
    /// The licence
    License,
    /// All keywords
    Keywords,
    /// All links
    Links,
    /// The deprecation
    Deprecated,
}

impl PackageField {
    fn as_str(self) -> &'static str {
        match self {
            Self::Description => "description",
            Self::License => "license",
            Self::Keywords => "keywords",
            Self::Links => "links",
            Self::Deprecated => "deprecated",
        }
    }
}

fn parse_link(text: &str) -> Result<(String, String), String> {
    let (key, url) = text.split_once('=').ok_or("write KEY=URL, such as repository=https://example.com/x")?;
    Ok((key.to_owned(), url.to_owned()))
}

impl Fields {
    fn to_json(&self) -> Value {
        let mut body = json!({});
        put(&mut body, "visibility", self.visibility.clone());
        put(&mut body, "description", self.description.clone());
        put(&mut body, "license", self.license.clone());
        put(&mut body, "keywords", (!self.keyword.is_empty()).then(|| self.keyword.clone()));
        let links = || self.link.iter().map(|(key, url)| (key.clone(), json!(url))).collect::<serde_json::Map<_, _>>();
        put(&mut body, "links", (!self.link.is_empty()).then(links));
        body
    }
}

/// Does it.
///
/// # Errors
/// As [`with_registry`].
pub fn run(global: &Globals, verb: &PackageVerb, output: Output) -> Result<Shown, CliError> {
    with_registry(global, Create::No, async |transport| match verb {
        PackageVerb::List(args) => list(transport, args).await,
        PackageVerb::Show { name, version: None } => show(transport, name).await,
        PackageVerb::Show { name, version: Some(version) } => {
            Ok(both(transport.call(Call::new("GET", version_path(name, version))).await?, lines))
        }
        PackageVerb::Create { name, fields } => {
            let mut body = fields.to_json();
            body["name"] = json!(name);
            let made = transport.call(Call::new("POST", "/v1/packages").json(body)).await?;
            Ok(both(made, |package| format!("made the package {}", cell(&package["name"]))))
        }
        PackageVerb::Set { name, fields, deprecated, replaced_by, clear } => {
            let mut body = fields.to_json();
            if let Some(message) = deprecated {
                body["deprecated"] = json!({ "message": message });
                put(&mut body["deprecated"], "replaced_by", replaced_by.clone());
            }
            for field in clear {
                body[field.as_str()] = Value::Null;
            }
            if body == json!({}) {
                return Err(CliError::usage("there is nothing to set").hint("`package set --help` lists the fields"));
            }
            Ok(both(transport.call(Call::new("PATCH", path(name)).json(body)).await?, lines))
        }
        PackageVerb::Member(verb) => member::run(transport, "/v1/packages", verb).await,
        PackageVerb::Yank { name, version, reason } => {
            let mut body = json!({ "yanked": true });
            put(&mut body, "reason", reason.clone());
            let yanked = transport.call(Call::new("PATCH", version_path(name, version)).json(body)).await?;
            Ok(both(yanked, |version| format!("yanked {name} {}", cell(&version["version"]))))
        }
        PackageVerb::Unyank { name, version } => {
            let call = Call::new("PATCH", version_path(name, version)).json(json!({ "yanked": false }));
            let unyanked = transport.call(call).await?;
            Ok(both(unyanked, |version| format!("{name} {} can be chosen again", cell(&version["version"]))))
        }
        PackageVerb::Purge { name, version, reason, yes } => {
            let version = version.as_deref();
            if *yes {
                purge(transport, name, version, reason.as_deref()).await
            } else {
                plan(transport, name, version, output).await
            }
        }
    })
}

fn path(name: &str) -> String {
    format!("/v1/packages/{}", place(name))
}

fn version_path(name: &str, version: &str) -> String {
    format!("{}/versions/{}", path(name), place(version))
}

async fn list(transport: &mut Transport, args: &ListArgs) -> Result<Shown, CliError> {
    let owner = args.owner.as_deref().map(principal);
    let query = [
        ("q", args.query.as_deref()),
        ("namespace", args.namespace.as_deref()),
        ("owner", owner.as_deref()),
        ("keyword", args.keyword.as_deref()),
        ("sort", args.sort.as_deref()),
    ];
    let query: Vec<(&str, &str)> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let columns = [
        ("NAME", "name"),
        ("VISIBILITY", "visibility"),
        ("LATEST", "latest"),
        ("VERSIONS", "version_count"),
        ("DOWNLOADS", "downloads"),
        ("UPDATED", "updated_at"),
    ];
    let found = transport.list("/v1/packages", &query, args.limit).await?;
    Ok(both(found, |packages| table(packages, &columns, "there are no packages")))
}

async fn versions(transport: &mut Transport, name: &str) -> Result<Value, CliError> {
    transport.list(&format!("{}/versions", path(name)), &[("include_yanked", "true")], ENTRIES_MAX).await
}

async fn show(transport: &mut Transport, name: &str) -> Result<Shown, CliError> {
    let package = transport.call(Call::new("GET", path(name))).await?;
    let versions = versions(transport, name).await?;
    let columns = [
        ("VERSION", "version"),
        ("SIZE", "size"),
        ("YANKED", "yanked"),
        ("PUBLISHED", "published_at"),
        ("SHA256", "sha256"),
    ];
    let versions = table(&versions["data"], &columns, "it has no versions");
    Ok(both(package, |package| format!("{}\n\n{versions}", lines(package))))
}

/// What a purge would take.
async fn plan(transport: &mut Transport, name: &str, version: Option<&str>, output: Output) -> Result<Shown, CliError> {
    let versions = match version {
        Some(version) => json!([transport.call(Call::new("GET", version_path(name, version))).await?["data"]]),
        None => versions(transport, name).await?["data"].take(),
    };
    let of_all = versions.as_array().map(Vec::as_slice).unwrap_or_default();
    let bytes: u64 = of_all.iter().filter_map(|version| version["size"].as_u64()).sum();
    let columns = [("VERSION", "version"), ("SIZE", "size"), ("DOWNLOADS", "downloads"), ("SHA256", "sha256")];
    let what = if version.is_some() { "one version of it" } else { "all of its versions, and the package itself" };
    let text = format!("{name}: {what} would be purged, {bytes} bytes\n{}", table(&versions, &columns, "no versions"));
    output.note("nothing was changed: this can't be undone, and --yes does it");
    let plan = json!({ "applied": false, "package": name, "bytes": bytes, "versions": versions });
    Ok(Shown::data(text, &plan))
}

async fn purge(
    transport: &mut Transport,
    name: &str,
    version: Option<&str>,
    reason: Option<&str>,
) -> Result<Shown, CliError> {
    let mut call = match version {
        Some(version) => Call::new("DELETE", version_path(name, version)),
        None => Call::new("DELETE", path(name)).query("purge", "true"),
    };
    if let Some(reason) = reason {
        call = call.query("reason", reason);
    }
    let purged = transport.call(call).await?;
    let what = version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"));
    Ok(both(purged, |_| format!("purged {what}: its number and name stay used")))
}

//! Finding out: which packages there are, who depends on a package, what a set of packages needs, what changed, how much there is.

use std::time::Duration;

use serde_json::json;

use crate::domain::event::Log;
use crate::domain::members::Principal;
use crate::domain::name::PackageName;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::search::Words;
use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::reply::Reply;
use crate::http::wire::closure::{Closure, Dependent, ResolveRequest};
use crate::http::wire::feed::{Change, Stats};
use crate::http::wire::packages::Package;
use crate::http::wire::standing::Standing;
use crate::services::changes::ChangesQuery;
use crate::services::search::{SearchQuery, Sort};

/// `GET /v1/packages`.
pub async fn packages(call: Call) -> Result<Reply, Failure> {
    let words = call.query.text("q").map(Words::parse).transpose()?.flatten();
    let default = if words.is_some() { Sort::Relevance } else { Sort::Name };
    let query = SearchQuery {
        words,
        namespace: call.query.namespace("namespace").cloned(),
        owner: call.query.principal("owner").map(|Principal::User(name)| name.clone()),
        keyword: call.query.text("keyword").map(str::to_owned),
        sort: call.query.text("sort").and_then(Sort::parse).unwrap_or(default),
        beyond: call.query.position().map(<[u8]>::to_vec),
        limit: call.query.limit(),
    };
    let page = call.app.services.search.list(&call.context()?, query).await?;
    let packages: Vec<_> = page.packages.iter().map(Package::from).collect();
    Reply::list(&packages, &call.query, page.next.as_deref())
}

/// `GET /v1/packages/{pkg}/dependents`.
pub async fn dependents(call: Call) -> Result<Reply, Failure> {
    let beyond = call.query.position().map(name_at).transpose()?;
    let (context, package) = (call.context()?, call.package()?);
    let page = call.app.services.dependents.list(&context, &package, beyond, call.query.limit()).await?;
    let dependents: Vec<_> = page.dependents.iter().map(Dependent::from).collect();
    let next = page.next.map(|name| name.to_string().into_bytes());
    Reply::list(&dependents, &call.query, next.as_deref())
}

fn name_at(position: &[u8]) -> Result<PackageName, Refusal> {
    let name = std::str::from_utf8(position).ok().and_then(|text| PackageName::parse(text).ok());
    name.ok_or_else(|| {
        let message = "`cursor` does not belong to this query: leave it out to begin again.";
        Refusal::field(Reason::InvalidCursor, "cursor", message)
    })
}

/// `POST /v1/resolve`.
pub async fn resolve(mut call: Call) -> Result<Reply, Failure> {
    let asked: ResolveRequest = call.json().await?;
    let closure = call.app.services.closures.resolve(&call.context()?, asked.try_into()?).await?;
    Reply::json(&Closure::new(&closure, call.app.base_url()))
}

/// `GET /v1/changes`.
pub async fn changes(call: Call) -> Result<Reply, Failure> {
    let query = ChangesQuery {
        log: if call.query.text("log") == Some(Log::Internal.as_str()) { Log::Internal } else { Log::Public },
        after: call.query.number("after").unwrap_or(0),
        limit: call.query.limit(),
        wait: Duration::from_secs(call.query.number("wait").unwrap_or(0)),
    };
    let page = call.app.services.changes.list(&call.context()?, query).await?;
    let changes: Vec<_> = page.changes.into_iter().map(Change::from).collect();
    let parent = page.parent.map(|(id, serial)| json!({ "id": id.to_string(), "serial": serial }));
    let history = json!({ "id": page.history.to_string(), "parent": parent });
    Ok(Reply::json(&changes)?.with_meta("last", page.last).with_meta("history", history))
}

/// `GET /v1/admin/stats`.
pub async fn stats(call: Call) -> Result<Reply, Failure> {
    let services = &call.app.services;
    let standing = serde_json::to_value(Standing::from(services.standing.look()));
    let standing = standing.map_err(|error| Failure::internal("writing JSON", error))?;
    Ok(Reply::json(&Stats::from(services.stats.stats().await?))?.with_meta("storage", standing))
}

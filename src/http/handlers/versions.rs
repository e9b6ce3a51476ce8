//! Versions: metadata, lists, resolution, index lines.

use crate::domain::requirement::Prereleases;
use crate::domain::resolve::ResolveOptions;
use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::reply::Reply;
use crate::http::wire::versions::{IndexLine, ListedVersion, Version, version_path};
use crate::services::versions::{VersionFilter, VersionRef};

/// The media type of index lines.
pub const NDJSON: &str = "application/x-ndjson";

/// `GET /v1/packages/{pkg}/versions/{version}`.
pub async fn get(call: Call) -> Result<Reply, Failure> {
    let (package, which) = (call.package()?, call.version()?);
    let detail = call.app.services.versions.get(&call.context()?, &package, which.clone()).await?;
    let reply = Reply::json(&Version::new(&detail, call.app.base_url()))?;
    Ok(match which {
        VersionRef::Number(_) => reply,
        VersionRef::Latest => {
            let path = version_path(&package, &detail.version.number);
            reply.content_location(&format!("{}{path}", call.app.base_url()))
        }
    })
}

/// `GET /v1/packages/{pkg}/versions`.
pub async fn list(call: Call) -> Result<Reply, Failure> {
    let filter = VersionFilter {
        req: call.query.requirement("req").cloned(),
        include_yanked: call.query.is_on("include_yanked"),
        beyond: call.query.position().map(<[u8]>::to_vec),
        limit: call.query.limit(),
    };
    let page = call.app.services.versions.list(&call.context()?, &call.package()?, filter).await?;
    let base = call.app.base_url();
    let versions: Vec<_> = page.versions.iter().map(|detail| ListedVersion::new(detail, base)).collect();
    Reply::list(&versions, &call.query, page.next.as_deref())
}

/// `GET /v1/packages/{pkg}/resolve`.
pub async fn resolve(call: Call) -> Result<Reply, Failure> {
    let any = crate::domain::requirement::Requirement::parse("*")?;
    let req = call.query.requirement("req").unwrap_or(&any);
    let prereleases = if call.query.is_on("prerelease") { Prereleases::Allowed } else { Prereleases::OnlyNamed };
    let options = ResolveOptions { prereleases, include_yanked: call.query.is_on("include_yanked") };
    let detail = call.app.services.versions.resolve(&call.context()?, &call.package()?, req, options).await?;
    Reply::json(&Version::new(&detail, call.app.base_url()))
}

/// `GET /v1/index/{pkg}`.
pub async fn index(call: Call) -> Result<Reply, Failure> {
    let index = call.app.services.versions.index(&call.context()?, &call.package()?).await?;
    let mut lines = Vec::new();
    for (version, dependencies) in &index.entries {
        let line = serde_json::to_writer(&mut lines, &IndexLine::new(version, dependencies));
        line.map_err(|error| Failure::internal("writing index lines", error))?;
        lines.push(b'\n');
    }
    Ok(Reply::text(lines, NDJSON))
}

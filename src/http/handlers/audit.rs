//! The audit, for admins.

use crate::domain::audit::ActorFilter;
use crate::domain::id::Id;
use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::reply::Reply;
use crate::http::wire::audit::Audit;
use crate::services::audit::AuditFilter;

/// `GET /v1/audit`.
pub async fn list(call: Call) -> Result<Reply, Failure> {
    let filter = AuditFilter {
        actor: call.query.text("actor").map(ActorFilter::parse).transpose()?,
        action: call.query.text("action").map(str::to_owned),
        package: call.query.package("package").cloned(),
        since: call.query.time("since"),
    };
    let before = call.query.position().and_then(Id::from_bytes);
    let (lines, next) = call.app.services.audit.list(&call.context()?, filter, before, call.query.limit()).await?;
    let lines: Vec<Audit> = lines.iter().map(Audit::from).collect();
    Reply::list(&lines, &call.query, next.map(Id::to_bytes).as_ref().map(<[u8; 16]>::as_slice))
}

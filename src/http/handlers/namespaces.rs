//! Namespaces.

use crate::domain::name::NamespaceName;
use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::precondition::precondition;
use crate::http::reply::Reply;
use crate::http::wire::namespaces::{Namespace, NamespacePatch, NewNamespace};
use crate::services::namespaces::NamespaceDetail;

fn shown(detail: &NamespaceDetail) -> Namespace {
    Namespace::from(detail)
}

/// `GET /v1/namespaces`.
pub async fn list(call: Call) -> Result<Reply, Failure> {
    // A cursor that was checked holds a name; anything else begins anew.
    let after = call.query.position().and_then(|name| NamespaceName::parse(str::from_utf8(name).ok()?).ok());
    let page = call.app.services.namespaces.list(after, call.query.limit()).await?;
    let namespaces: Vec<Namespace> = page.namespaces.iter().map(shown).collect();
    Reply::list(&namespaces, &call.query, page.next.as_ref().map(|name| name.as_str().as_bytes()))
}

/// `POST /v1/namespaces`.
pub async fn claim(mut call: Call) -> Result<Reply, Failure> {
    let asked: NewNamespace = call.json().await?;
    let claimed = call.app.services.namespaces.claim(&call.context()?, asked.try_into()?).await?;
    Reply::created(&shown(&claimed), &format!("/v1/namespaces/{}", claimed.namespace.name))
}

/// `GET /v1/namespaces/{ns}`.
pub async fn get(call: Call) -> Result<Reply, Failure> {
    Reply::json(&shown(&call.app.services.namespaces.get(&call.namespace()?).await?))
}

/// `PATCH /v1/namespaces/{ns}`.
pub async fn patch(mut call: Call) -> Result<Reply, Failure> {
    let (context, name) = (call.context()?, call.namespace()?);
    let precondition = precondition(&call.headers, shown);
    call.app.services.namespaces.admit(&context, &name, precondition.clone()).await?;
    let asked: NamespacePatch = call.json().await?;
    let patched = call.app.services.namespaces.patch(&context, &name, asked.try_into()?, precondition).await?;
    Reply::json(&shown(&patched))
}

/// `DELETE /v1/namespaces/{ns}`.
pub async fn delete(call: Call) -> Result<Reply, Failure> {
    let precondition = precondition(&call.headers, shown);
    let namespaces = &call.app.services.namespaces;
    Reply::json(&shown(&namespaces.delete(&call.context()?, &call.namespace()?, precondition).await?))
}

//! What is said about versions after they were published.

use std::sync::Arc;

use crate::domain::permission::Action;
use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::precondition::precondition;
use crate::http::reply::Reply;
use crate::http::wire::packages::VersionPatch;
use crate::http::wire::versions::Version;
use crate::services::versions::VersionDetail;
use crate::services::yank::VersionTarget;

fn target(call: &Call) -> Result<VersionTarget, Failure> {
    let app = Arc::clone(&call.app);
    let precondition = precondition(&call.headers, move |detail: &VersionDetail| Version::new(detail, app.base_url()));
    Ok(VersionTarget { package: call.package()?, number: call.version_number()?, precondition })
}

/// `PATCH /v1/packages/{pkg}/versions/{version}`.
pub async fn patch(mut call: Call) -> Result<Reply, Failure> {
    let (context, target) = (call.context()?, target(&call)?);
    call.app.services.yanks.admit(&context, &target, Action::Publish).await?;
    let asked: VersionPatch = call.json().await?;
    let detail = call.app.services.yanks.patch(&context, &target, asked.try_into()?).await?;
    Reply::json(&Version::new(&detail, call.app.base_url()))
}

/// `DELETE /v1/packages/{pkg}/versions/{version}`.
pub async fn purge(call: Call) -> Result<Reply, Failure> {
    let (context, target) = (call.context()?, target(&call)?);
    let reason = call.query.text("reason").map(str::to_owned);
    let detail = call.app.services.yanks.purge(&context, &target, reason).await?;
    Reply::json(&Version::new(&detail, call.app.base_url()))
}

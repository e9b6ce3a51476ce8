//! Packages: made, shown, changed, deleted, purged.

use crate::domain::permission::Action;
use crate::domain::refusal::{Reason, Refusal};
use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::precondition::precondition;
use crate::http::reply::Reply;
use crate::http::wire::packages::{NewPackage, Package, PackagePatch};
use crate::services::packages::{PackageDetail, Removal};

fn shown(detail: &PackageDetail) -> Package {
    Package::from(detail)
}

/// `POST /v1/packages`.
pub async fn create(mut call: Call) -> Result<Reply, Failure> {
    let asked: NewPackage = call.json().await?;
    let made = call.app.services.packages.create(&call.context()?, asked.try_into()?).await?;
    Reply::created(&shown(&made), &format!("/v1/packages/{}", made.package.name))
}

/// `GET /v1/packages/{pkg}`.
pub async fn get(call: Call) -> Result<Reply, Failure> {
    Reply::json(&shown(&call.app.services.packages.get(&call.context()?, &call.package()?).await?))
}

/// `PATCH /v1/packages/{pkg}`.
pub async fn patch(mut call: Call) -> Result<Reply, Failure> {
    let (context, name) = (call.context()?, call.package()?);
    let precondition = precondition(&call.headers, shown);
    call.app.services.packages.admit(&context, &name, Action::Govern, precondition.clone()).await?;
    let asked: PackagePatch = call.json().await?;
    let patched = call.app.services.packages.patch(&context, &name, asked.try_into()?, precondition).await?;
    Reply::json(&shown(&patched))
}

/// `DELETE /v1/packages/{pkg}`.
pub async fn remove(call: Call) -> Result<Reply, Failure> {
    let reason = call.query.text("reason").map(str::to_owned);
    let removal = match (call.query.is_on("purge"), reason) {
        (true, reason) => Removal::Purge { reason },
        (false, None) => Removal::Delete,
        (false, Some(_)) => {
            let message = "`reason` says why a package is purged: give it together with `purge=true`, or leave it out.";
            return Err(Refusal::field(Reason::InvalidParameter, "reason", message).into());
        }
    };
    let precondition = precondition(&call.headers, shown);
    let packages = &call.app.services.packages;
    Reply::json(&shown(&packages.remove(&call.context()?, &call.package()?, removal, precondition).await?))
}

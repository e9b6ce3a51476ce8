//! Long works, for admins: begun here, and asked about.

use crate::domain::id::Id;
use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::reply::Reply;
use crate::http::wire::jobs::{GcRequest, Job, NewBackup};
use crate::services::jobs::RegistryJob;

/// `POST /v1/admin/backup`.
pub async fn backup(mut call: Call) -> Result<Reply, Failure> {
    let name = call.json::<NewBackup>().await?.read()?;
    begun(&call.app.services.jobs.backup(&call.context()?, name).await?)
}

/// `POST /v1/admin/verify`.
pub async fn verify(call: Call) -> Result<Reply, Failure> {
    begun(&call.app.services.jobs.verify(&call.context()?).await?)
}

/// `POST /v1/admin/gc`.
pub async fn gc(mut call: Call) -> Result<Reply, Failure> {
    let ctx = call.context()?;
    let ask = if call.body.declared_len() == Some(0) { GcRequest::default() } else { call.json().await? };
    let services = &call.app.services;
    begun(&services.jobs.gc(&ctx, &services.gc, ask.read()).await?)
}

fn begun(job: &RegistryJob) -> Result<Reply, Failure> {
    Reply::accepted(&Job::from(job), &format!("/v1/admin/jobs/{}", job.id))
}

/// `GET /v1/admin/jobs`.
pub async fn list(call: Call) -> Result<Reply, Failure> {
    let before = call.query.position().and_then(Id::from_bytes);
    let (jobs, next) = call.app.services.jobs.list(&call.context()?, before, call.query.limit())?;
    let jobs: Vec<Job> = jobs.iter().map(Job::from).collect();
    Reply::list(&jobs, &call.query, next.map(Id::to_bytes).as_ref().map(<[u8; 16]>::as_slice))
}

/// `GET /v1/admin/jobs/{id}`.
pub async fn get(call: Call) -> Result<Reply, Failure> {
    let job = call.app.services.jobs.get(&call.context()?, call.id()?)?;
    Reply::json(&Job::from(&job))
}

//! What the registry says about itself.

use crate::domain::create::ClaimPolicy;
use crate::domain::refusal::Reason;
use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::openapi;
use crate::http::query::PAGE_MAX;
use crate::http::reply::Reply;
use crate::http::wire::operations::{Check, Health as Alive, Ready, Service, ServiceLimits};
use crate::services::stats::{Health, Readiness, ReadinessCheck};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The features that this build has, as `GET /v1` names them.
const FEATURES: &[&str] = &["multipart", "uploads", "resolve"];

/// `GET /health`, `GET /livez`: touches no disk and no lock.
pub async fn health(_call: Call) -> Result<Reply, Failure> {
    alive()
}

/// That the process lives, whether there is a registry yet or not.
///
/// # Errors
/// Internal, when the answer can't be written.
pub fn alive() -> Result<Reply, Failure> {
    Reply::json(&Alive { status: "ok", version: VERSION })
}

/// `GET /readyz`.
pub async fn ready(call: Call) -> Result<Reply, Failure> {
    let Readiness { health, degraded, checks } = call.app.services.stats.readiness().await;
    let (status, refused) = match (call.app.is_draining(), health) {
        (true, _) => ("draining", Some((Reason::Draining, "The registry is stopping: ask another one, or later."))),
        (false, Health::Fail) => {
            ("failed", Some((Reason::Starting, "Packages can't be read: ask another one, or later.")))
        }
        (false, Health::Warn) => ("degraded", None),
        (false, Health::Ok) => ("ready", None),
    };
    let shown =
        |check: ReadinessCheck| Check { name: check.name, status: check.health.as_str(), message: check.message };
    let checks = call.query.is_on("verbose").then(|| checks.into_iter().map(shown).collect());
    let ready = Ready { status, degraded, checks };
    let Some((reason, message)) = refused else { return Reply::json(&ready) };
    let ready = serde_json::to_value(&ready).map_err(|error| Failure::internal("writing JSON", error))?;
    Err(Failure::new(reason, message).with_meta("ready", ready))
}

/// `GET /v1`.
pub async fn service(call: Call) -> Result<Reply, Failure> {
    let (settings, limits) = (&call.app.settings, &call.app.limits);
    Reply::json(&Service {
        service: "vix-registry",
        version: VERSION,
        api: vec!["v1"],
        anonymous_read: settings.anonymous_read,
        login: settings.login,
        read_only: call.app.services.stats.is_read_only(),
        namespace_claim: match settings.claims {
            ClaimPolicy::FirstUse => "first_use",
            ClaimPolicy::Admin => "admin",
        },
        public_url: settings.public_url.clone(),
        features: FEATURES.to_vec(),
        limits: ServiceLimits {
            artifact_bytes_max: limits.artifact_bytes_max,
            json_bytes_max: limits.json.bytes_max,
            json_depth_max: limits.json.depth_max,
            readme_bytes_max: limits.readme_bytes_max,
            page_max: PAGE_MAX,
            upload_ttl_s: limits.upload_ttl_s,
        },
    })
}

/// `GET /openapi.json`.
pub async fn openapi(_call: Call) -> Result<Reply, Failure> {
    Ok(Reply::text(openapi::text(), "application/json"))
}

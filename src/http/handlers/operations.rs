//! What the registry says about itself.

use crate::domain::create::ClaimPolicy;
use crate::domain::refusal::Reason;
use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::query::PAGE_MAX;
use crate::http::reply::Reply;
use crate::http::wire::operations::{Check, Health, Ready, Service, ServiceLimits};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The features that this build has, as `GET /v1` names them.
const FEATURES: &[&str] = &[];

/// `GET /health`, `GET /livez`: touches no disk and no lock.
pub async fn health(_call: Call) -> Result<Reply, Failure> {
    Reply::json(&Health { status: "ok", version: VERSION })
}

/// `GET /readyz`.
pub async fn ready(call: Call) -> Result<Reply, Failure> {
    let is_draining = call.app.is_draining();
    let (status, check) = if is_draining { ("draining", "fail") } else { ("ready", "ok") };
    let message = if is_draining { "the registry is stopping" } else { "requests are answered" };
    let checks = call
        .query
        .is_on("verbose")
        .then(|| vec![Check { name: "serving", status: check, message: message.to_owned() }]);
    let ready = Ready { status, degraded: Vec::new(), checks };
    if !is_draining {
        return Reply::json(&ready);
    }
    let ready = serde_json::to_value(&ready).map_err(|error| Failure::internal("writing JSON", error))?;
    Err(Failure::new(Reason::Draining, "the registry is stopping; ask another one, or later").with_meta("ready", ready))
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
        read_only: false,
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

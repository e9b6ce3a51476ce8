//! Dependents and closures on the wire.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::versions::version_path;
use crate::domain::closure::ClosureRequest;
use crate::domain::name::{PackageName, shown};
use crate::domain::refusal::Refusal;
use crate::domain::requirement::{Prereleases, Requirement};
use crate::domain::version::VersionNumber;
use crate::services::closure::{ClosureDetail, PinnedDetail};
use crate::services::dependents;

/// A package whose `latest` needs the one that was asked about.
#[derive(Serialize, JsonSchema)]
pub struct Dependent {
    /// Its name.
    pub name: String,
    /// Its `latest`.
    pub version: String,
    /// Which versions that needs.
    pub req: String,
    /// `normal`, `dev` or `build`.
    pub kind: &'static str,
    /// Whether it can be left out.
    pub optional: bool,
}

impl From<&dependents::Dependent> for Dependent {
    fn from(dependent: &dependents::Dependent) -> Self {
        Self {
            name: dependent.name.to_string(),
            version: dependent.version.to_string(),
            req: dependent.need.req.clone(),
            kind: dependent.need.kind.as_str(),
            optional: dependent.need.optional,
        }
    }
}

/// What a closure is asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    /// Packages, and which versions of them will do.
    roots: BTreeMap<String, String>,
    /// Versions that were chosen earlier, and stay where they fit.
    locked: Option<BTreeMap<String, String>>,
    /// Whether prereleases match.
    prerelease: Option<bool>,
}

impl TryFrom<ResolveRequest> for ClosureRequest {
    type Error = Refusal;

    fn try_from(body: ResolveRequest) -> Result<Self, Refusal> {
        let root = |(name, req): (String, String)| {
            let read = || Ok((PackageName::parse(&name)?, Requirement::parse(&req)?));
            read().map_err(|refusal: Refusal| at("roots", &name, &refusal))
        };
        let locked = |(name, number): (String, String)| {
            let read = || Ok((PackageName::parse(&name)?, VersionNumber::parse(&number)?));
            read().map_err(|refusal: Refusal| at("locked", &name, &refusal))
        };
        Ok(Self {
            roots: body.roots.into_iter().map(root).collect::<Result<_, _>>()?,
            locked: body.locked.unwrap_or_default().into_iter().map(locked).collect::<Result<_, _>>()?,
            prereleases: if body.prerelease == Some(true) { Prereleases::Allowed } else { Prereleases::OnlyNamed },
        })
    }
}

fn at(field: &str, name: &str, refusal: &Refusal) -> Refusal {
    let field = format!("{field}.{}", shown(name));
    let message = format!("`{field}`: {}", refusal.message);
    Refusal::field(refusal.reason, field, message)
}

/// One version for each package that is needed.
#[derive(Serialize, JsonSchema)]
pub struct Closure {
    /// The versions of the roots.
    pub roots: BTreeMap<String, String>,
    /// Every package that is needed, sorted by name.
    pub packages: Vec<Pinned>,
}

/// A package of a closure.
#[derive(Serialize, JsonSchema)]
pub struct Pinned {
    /// Its name.
    pub name: String,
    /// The version that was chosen.
    pub version: String,
    /// Its artifact's digest.
    pub sha256: String,
    /// Its artifact's bytes.
    pub size: u64,
    /// Its artifact's name.
    pub filename: String,
    /// Where its artifact is.
    pub url: String,
    /// Whether it is yanked: it was locked.
    pub yanked: bool,
    /// The packages that it needs, and the versions that were chosen for them.
    pub dependencies: BTreeMap<String, String>,
}

fn texts(numbers: &BTreeMap<PackageName, VersionNumber>) -> BTreeMap<String, String> {
    numbers.iter().map(|(name, number)| (name.to_string(), number.to_string())).collect()
}

impl Closure {
    /// The body of a closure; `base` is `public_url` or nothing.
    pub fn new(closure: &ClosureDetail, base: &str) -> Self {
        let pinned = |detail: &PinnedDetail| {
            let PinnedDetail { pinned, artifact, yanked } = detail;
            Pinned {
                name: pinned.name.to_string(),
                version: pinned.version.to_string(),
                sha256: artifact.sha256.to_hex(),
                size: artifact.size,
                filename: artifact.filename.clone(),
                url: format!("{base}{}/artifact", version_path(&pinned.name, &pinned.version)),
                yanked: *yanked,
                dependencies: texts(&pinned.dependencies),
            }
        };
        Self { roots: texts(&closure.roots), packages: closure.packages.iter().map(pinned).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::Reason;

    #[test]
    fn a_wrong_root_or_lock_is_named() {
        let read = |json: &str| ClosureRequest::try_from(serde_json::from_str::<ResolveRequest>(json).unwrap());
        assert_eq!(read(r#"{"roots":{"gk/jwt":"^1"},"locked":{"a":"1.0.0"}}"#).unwrap().roots.len(), 1);
        for (json, field, reason) in [
            (r#"{"roots":{"gk/jwt":"?"}}"#, "roots.gk/jwt", Reason::InvalidRequirement),
            (r#"{"roots":{"A":"*"}}"#, "roots.A", Reason::InvalidName),
            (r#"{"roots":{},"locked":{"a":"1"}}"#, "locked.a", Reason::InvalidSemver),
        ] {
            let refusal = read(json).unwrap_err();
            assert_eq!((refusal.reason, refusal.details[0].field.as_str()), (reason, field));
        }
    }
}

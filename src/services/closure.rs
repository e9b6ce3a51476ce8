//! Whole closures: everything that some roots need, pinned, as of one moment.

use std::collections::BTreeMap;

use super::reach::Reach;
use super::{Context, ServiceError, Stores};
use crate::domain::closure::{ClosureError, ClosureRequest, ClosureSource, ClosureVersion, Pinned, decide_closure};
use crate::domain::name::PackageName;
use crate::domain::package::{Artifact, Dependency};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::version::VersionNumber;
use crate::storage::{Cost, Metadata as _, StoreError, View};

/// Chosen versions that all fit, with what it takes to fetch them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClosureDetail {
    /// The versions of the roots.
    pub roots: BTreeMap<PackageName, VersionNumber>,
    /// Every package that is needed, the roots too, sorted by the text of the name.
    pub packages: Vec<PinnedDetail>,
}

/// One package of a closure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinnedDetail {
    /// What was chosen, and for what it needs.
    pub pinned: Pinned,
    /// Its bytes.
    pub artifact: Artifact,
    /// Whether its publisher advised against it: it was locked.
    pub yanked: bool,
}

/// Resolves closures.
pub struct ClosureService {
    stores: Stores,
}

impl ClosureService {
    /// Resolves among the packages of `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores }
    }

    /// The closure of some roots, of packages that the caller may read; others are as if they were not there.
    ///
    /// # Errors
    /// `invalid_field` for no roots or too many; `unresolvable`, with why.
    pub async fn resolve(&self, context: &Context, request: ClosureRequest) -> Result<ClosureDetail, ServiceError> {
        let (count, most) = (request.roots.len() as u64, self.stores.policy.roots_max);
        if request.roots.is_empty() || count > most {
            let message = format!("A closure has 1 to {most} roots, this one has {count}: ask in parts.");
            return Err(Refusal::field(Reason::InvalidField, "roots", message).with_limit(most).into());
        }
        let caller = context.caller.clone();
        let load = move |view: &View<'_>| {
            let mut stored = Stored { view, reach: Reach::load(view, &caller)? };
            let closure = match decide_closure(&mut stored, &request) {
                Ok(closure) => closure,
                Err(ClosureError::Refused(refusal)) => return Ok(Err(refusal)),
                Err(ClosureError::Source(error)) => return Err(error),
            };
            let packages: Result<Vec<_>, _> = closure.packages.into_iter().map(|pinned| pin(view, pinned)).collect();
            let mut packages = packages?;
            // As text: names without a namespace stand among those with one.
            packages.sort_by_cached_key(|one| one.pinned.name.to_string());
            Ok(Ok(ClosureDetail { roots: closure.roots, packages }))
        };
        Ok(self.stores.metadata.read(Cost::Scan, load).await??)
    }
}

fn pin(view: &View<'_>, pinned: Pinned) -> Result<PinnedDetail, StoreError> {
    // It was read in this same transaction.
    let version = view.version(&pinned.name, &pinned.version)?.ok_or(StoreError::Closed)?;
    Ok(PinnedDetail { pinned, artifact: version.artifact, yanked: version.yank.is_some() })
}

/// The packages of one transaction that one caller may read.
struct Stored<'v, 't> {
    view: &'v View<'t>,
    reach: Reach,
}

impl ClosureSource for Stored<'_, '_> {
    type Error = StoreError;

    fn versions(&mut self, package: &PackageName) -> Result<Option<Vec<ClosureVersion>>, StoreError> {
        if self.reach.live(self.view, package)?.is_none() {
            return Ok(None);
        }
        let versions = self.view.versions(package)?.into_iter().filter(|version| version.purged.is_none());
        let versions =
            versions.map(|version| ClosureVersion { yanked: version.yank.is_some(), number: version.number });
        Ok(Some(versions.collect()))
    }

    fn dependencies(&mut self, package: &PackageName, number: &VersionNumber) -> Result<Vec<Dependency>, StoreError> {
        self.view.dependencies(package, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::Caller;
    use crate::domain::package::Visibility;
    use crate::domain::requirement::{Prereleases, Requirement};
    use crate::domain::token::Scope;
    use crate::services::Policy;
    use crate::services::fixture_tests::{Registry, name, needs, refused, request};
    use crate::services::publish::PublishRequest;

    async fn publish(registry: &Registry, caller: &Caller, package: &str, version: &str, need: &[&str]) {
        let visibility = package.starts_with("secret/").then_some(Visibility::Private);
        let dependencies = Some(need.iter().map(|need| needs(need)).collect());
        registry.publish(caller, PublishRequest { dependencies, visibility, ..request(package, version) }).await;
    }

    /// The closure of `name requirement` roots, each package as `name version`; or why there is none.
    async fn resolve(registry: &Registry, caller: &Caller, roots: &[&str]) -> Result<Vec<String>, Reason> {
        let root = |text: &&str| {
            let need = needs(text);
            (need.name, Requirement::parse(&need.req).unwrap())
        };
        let request = ClosureRequest {
            roots: roots.iter().map(root).collect(),
            locked: BTreeMap::new(),
            prereleases: Prereleases::OnlyNamed,
        };
        match registry.services.closures.resolve(&registry.context(caller), request).await {
            Ok(closure) => {
                for one in &closure.packages {
                    let bytes = format!("{} {}", one.pinned.name, one.pinned.version);
                    assert_eq!(one.artifact.sha256, crate::domain::digest::Sha256::of(bytes.as_bytes()));
                }
                let told = |one: PinnedDetail| format!("{} {}", one.pinned.name, one.pinned.version);
                Ok(closure.packages.into_iter().map(told).collect())
            }
            Err(error) => Err(refused(Err::<(), _>(error)).reason),
        }
    }

    #[tokio::test]
    async fn a_closure_pins_what_the_caller_may_read() {
        let registry = Registry::new();
        let pia = registry.user("pia", Scope::Publish, "*").await;
        publish(&registry, &pia, "json", "1.0.0", &[]).await;
        publish(&registry, &pia, "json", "1.2.0", &[]).await;
        publish(&registry, &pia, "secret/core", "1.0.0", &["json ~1.0"]).await;
        publish(&registry, &pia, "gk/app", "1.0.0", &["json ^1"]).await;
        publish(&registry, &pia, "gk/app", "2.0.0", &["json ^1", "secret/core ^1"]).await;
        let all = ["gk/app 2.0.0", "json 1.0.0", "secret/core 1.0.0"];
        assert_eq!(resolve(&registry, &pia, &["gk/app *"]).await.unwrap(), all);
        let anonymous = resolve(&registry, &Caller::Anonymous, &["gk/app *"]).await;
        assert_eq!(anonymous.unwrap(), ["gk/app 1.0.0", "json 1.2.0"]);
        for hidden in [&["secret/core ^1"], &["secret/none ^1"]] {
            assert_eq!(resolve(&registry, &Caller::Anonymous, hidden).await, Err(Reason::Unresolvable));
        }
    }

    #[tokio::test]
    async fn roots_are_bounded() {
        let registry = Registry::with(Policy { free_bytes_min: 0, roots_max: 1, ..Policy::default() });
        for roots in [&[][..], &["a *", "b *"]] {
            assert_eq!(resolve(&registry, &Caller::Anonymous, roots).await, Err(Reason::InvalidField));
        }
        let missing = resolve(&registry, &Caller::Anonymous, &[&format!("{} *", name("a"))]).await;
        assert_eq!(missing, Err(Reason::Unresolvable));
    }
}

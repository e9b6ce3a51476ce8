//! Reverse dependencies: who would be affected by a change of a package, as far as the caller may know of them.

use std::ops::ControlFlow;

use super::load::live_package_for;
use super::reach::Reach;
use super::versions::settle;
use super::{Context, ServiceError, Stores};
use crate::domain::name::PackageName;
use crate::domain::package::{Dependency, DependencyKind, Visibility};
use crate::domain::permission::Action;
use crate::domain::version::VersionNumber;
use crate::storage::{ChangeError, Cost, Metadata as _, View};

/// A package whose `latest` needs the one that was asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dependent {
    /// Its name.
    pub name: PackageName,
    /// Its `latest`.
    pub version: VersionNumber,
    /// What that needs; where it says so for several kinds, the one that most users come by.
    pub need: Dependency,
}

/// A page of dependents, in the order of names.
#[derive(Clone, Debug)]
pub struct DependentPage {
    /// The dependents.
    pub dependents: Vec<Dependent>,
    /// The name to go on behind; none when this was the last page.
    pub next: Option<PackageName>,
    /// Whether an anonymous caller would see the same.
    pub public: bool,
}

/// Finds who depends on a package.
pub struct DependentService {
    stores: Stores,
}

impl DependentService {
    /// Looks among the packages of `stores`.
    pub fn new(stores: Stores) -> Self {
        Self { stores }
    }

    /// A page of the packages that depend on `package`, of those that the caller may read, from behind `beyond` on.
    ///
    /// # Errors
    /// `package_not_found`, `purged`.
    pub async fn list(
        &self,
        context: &Context,
        package: &PackageName,
        beyond: Option<PackageName>,
        limit: usize,
    ) -> Result<DependentPage, ServiceError> {
        let (caller, needed) = (context.caller.clone(), package.clone());
        let anonymous_read = self.stores.policy.anonymous_read;
        let load = move |view: &View<'_>| {
            settle(live_package_for(view, &caller, Action::Read, &needed).and_then(|(package, _)| {
                let reach = Reach::load(view, &caller)?;
                let mut page = page(view, &reach, &needed, beyond.as_ref(), limit)?;
                page.public &= anonymous_read && package.visibility == Visibility::Public;
                Ok(page)
            }))
        };
        Ok(self.stores.metadata.read(Cost::Scan, load).await??)
    }
}

fn page(
    view: &View<'_>,
    reach: &Reach,
    needed: &PackageName,
    beyond: Option<&PackageName>,
    limit: usize,
) -> Result<DependentPage, ChangeError> {
    let (mut dependents, mut public) = (Vec::new(), true);
    view.scan_dependents(needed, beyond, |name| {
        let package = reach.live(view, &name)?;
        let Some((visibility, version)) = package.and_then(|package| Some((package.visibility, package.latest?)))
        else {
            return Ok(ControlFlow::Continue(()));
        };
        let needs = view.dependencies(&name, &version)?;
        let need = needs.into_iter().filter(|need| need.name == *needed).min_by_key(|need| rank(need.kind));
        if let Some(need) = need {
            public &= visibility == Visibility::Public;
            dependents.push(Dependent { name, version, need });
        }
        Ok(if dependents.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let more = dependents.len() > limit;
    dependents.truncate(limit);
    let next = dependents.last().filter(|_| more).map(|last| last.name.clone());
    Ok(DependentPage { dependents, next, public })
}

const fn rank(kind: DependencyKind) -> u8 {
    match kind {
        DependencyKind::Normal => 0,
        DependencyKind::Build => 1,
        DependencyKind::Dev => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::Caller;
    use crate::domain::refusal::Reason;
    use crate::domain::token::Scope;
    use crate::services::fixture_tests::{Registry, name, needs, refused, request};
    use crate::services::publish::PublishRequest;

    async fn publish(registry: &Registry, caller: &Caller, package: &str, version: &str, need: &[&str]) {
        let visibility = package.starts_with("secret/").then_some(Visibility::Private);
        let dependencies = Some(need.iter().map(|need| needs(need)).collect());
        let request = PublishRequest { dependencies, visibility, ..request(package, version) };
        registry.publish(caller, request).await;
    }

    /// Each as `name version requirement`, read in pages of one.
    async fn seen(registry: &Registry, caller: &Caller, needed: &str) -> Vec<String> {
        let (mut seen, mut beyond) = (Vec::new(), None);
        loop {
            let context = registry.context(caller);
            let page = registry.services.dependents.list(&context, &name(needed), beyond, 1).await.unwrap();
            let told = |one: &Dependent| format!("{} {} {}", one.name, one.version, one.need.req);
            seen.extend(page.dependents.iter().map(told));
            match page.next {
                Some(next) => beyond = Some(next),
                None => return seen,
            }
        }
    }

    #[tokio::test]
    async fn only_what_latest_needs_and_the_caller_may_read_is_told() {
        let registry = Registry::new();
        let pia = registry.user("pia", Scope::Publish, "*").await;
        publish(&registry, &pia, "json", "1.0.0", &[]).await;
        publish(&registry, &pia, "gk/old", "1.0.0", &["json ^1"]).await;
        publish(&registry, &pia, "gk/old", "2.0.0", &[]).await;
        publish(&registry, &pia, "gk/new", "1.0.0", &["json ^1", "gk/old ^2"]).await;
        publish(&registry, &pia, "gk/new", "1.1.0", &["json ~1.0"]).await;
        publish(&registry, &pia, "zip", "0.1.0", &["json *"]).await;
        publish(&registry, &pia, "secret/app", "1.0.0", &["json 1.x"]).await;
        let anonymous = ["gk/new 1.1.0 ~1.0", "zip 0.1.0 *"];
        assert_eq!(seen(&registry, &Caller::Anonymous, "json").await, anonymous);
        assert_eq!(seen(&registry, &pia, "json").await, [anonymous[0], "secret/app 1.0.0 1.x", anonymous[1]]);
        assert!(seen(&registry, &pia, "gk/old").await.is_empty());
        let hidden = registry.services.dependents.list(&registry.anonymous(), &name("secret/app"), None, 9).await;
        assert_eq!(refused(hidden).reason, Reason::PackageNotFound);
    }
}

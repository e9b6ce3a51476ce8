//! Namespaces, from their claim to their end.

use std::sync::Arc;

use super::bench::{Bench, namespace, reason};
use crate::domain::create::ClaimPolicy;
use crate::domain::event::Log;
use crate::domain::name::UserName;
use crate::domain::namespace::{Claim, NamespacePatch};
use crate::domain::package::Visibility;
use crate::domain::patch::Field;
use crate::domain::refusal::Reason;
use crate::domain::token::Scope;
use crate::services::Policy;

fn claim(name: &str) -> Claim {
    Claim { name: namespace(name), description: None, default_visibility: Visibility::Private }
}

#[tokio::test]
async fn a_namespace_is_claimed_once_by_a_token_that_covers_it() {
    let bench = Bench::new();
    let (pia, tom) = (bench.user("pia").await, bench.user("tom").await);
    let namespaces = &bench.services.namespaces;
    assert_eq!(reason(namespaces.claim(&bench.anonymous(), claim("gk")).await), Reason::MissingToken);
    let narrow = bench.token("pia", Scope::Publish, "gk/jwt").await;
    assert_eq!(reason(namespaces.claim(&narrow, claim("gk")).await), Reason::TokenPackages);
    let long = Claim { description: Some("x".repeat(1025)), ..claim("gk") };
    assert_eq!(reason(namespaces.claim(&pia, long.clone()).await), Reason::InvalidField);
    let claimed = namespaces.claim(&pia, claim("gk")).await.unwrap();
    assert_eq!(claimed.owners, [UserName::parse("pia").unwrap()]);
    assert_eq!(namespaces.get(&namespace("gk")).await.unwrap(), claimed);
    assert_eq!(reason(namespaces.claim(&tom, long).await), Reason::NamespaceTaken);
    assert!(!bench.create(&pia, "gk/jwt", None).await.unwrap().public, "the default visibility holds");
    assert_eq!(bench.types(Log::Public).await, "namespace.created owner.added");
    assert_eq!(bench.audit().await, "namespace.claim package.create");
}

#[tokio::test]
async fn where_an_admin_gives_them_out_others_can_claim_none() {
    let bench = Bench::with(Policy { claims: ClaimPolicy::Admin, ..Policy::default() });
    let (pia, admin) = (bench.user("pia").await, bench.admin().await);
    let namespaces = &bench.services.namespaces;
    assert_eq!(reason(namespaces.claim(&pia, claim("gk")).await), Reason::ClaimsClosed);
    namespaces.claim(&admin, claim("gk")).await.unwrap();
    assert_eq!(reason(namespaces.claim(&pia, claim("gk")).await), Reason::ClaimsClosed);
}

#[tokio::test]
async fn owners_change_and_delete_what_never_held_a_package() {
    let bench = Bench::new();
    let (pia, tom) = (bench.user("pia").await, bench.user("tom").await);
    let namespaces = &bench.services.namespaces;
    let gk = namespace("gk");
    namespaces.claim(&pia, claim("gk")).await.unwrap();
    let patch = NamespacePatch { description: Field::Set("Keys".to_owned()), ..NamespacePatch::default() };
    assert_eq!(reason(namespaces.patch(&tom, &gk, patch.clone(), None).await), Reason::MissingRole);
    assert_eq!(reason(namespaces.patch(&tom, &namespace("no"), patch.clone(), None).await), Reason::NamespaceNotFound);
    assert_eq!(
        reason(namespaces.patch(&pia, &gk, patch.clone(), Some(Arc::new(|_| false))).await),
        Reason::EtagMismatch
    );
    let patched = namespaces.patch(&pia, &gk, patch.clone(), None).await.unwrap();
    assert_eq!(patched.namespace.description.as_deref(), Some("Keys"));
    assert_eq!(namespaces.patch(&pia, &gk, patch, None).await.unwrap(), patched);
    assert_eq!(reason(namespaces.delete(&tom, &gk, None).await), Reason::MissingRole);
    assert_eq!(namespaces.delete(&pia, &gk, None).await.unwrap(), patched);
    assert_eq!(reason(namespaces.get(&gk).await), Reason::NamespaceNotFound);
    bench.create(&tom, "gk/a", None).await.unwrap();
    bench
        .services
        .packages
        .remove(&tom, &super::bench::package("gk/a"), crate::services::packages::Removal::Delete, None)
        .await
        .unwrap();
    assert_eq!(reason(namespaces.delete(&tom, &gk, None).await), Reason::NotEmpty);
    let audit = "namespace.claim namespace.update namespace.delete package.create package.delete";
    assert_eq!(bench.audit().await, audit);
}

#[tokio::test]
async fn all_namespaces_are_listed_page_by_page() {
    let bench = Bench::new();
    let pia = bench.user("pia").await;
    let namespaces = &bench.services.namespaces;
    for name in ["c", "a", "b"] {
        namespaces.claim(&pia, claim(name)).await.unwrap();
    }
    let (mut after, mut names) = (None, Vec::new());
    loop {
        let page = namespaces.list(after, 2).await.unwrap();
        names.extend(page.namespaces.iter().map(|one| one.namespace.name.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "c"]);
}

//! Packages, from their making to their purge.

use std::sync::Arc;

use super::bench::{Bench, member, package, reason};
use crate::domain::event::Log;
use crate::domain::govern::PackagePatch;
use crate::domain::name::UserName;
use crate::domain::package::{Role, Visibility};
use crate::domain::patch::{DeprecationAsk, Field};
use crate::domain::permission::Action;
use crate::domain::refusal::Reason;
use crate::domain::token::Scope;
use crate::services::Context;
use crate::services::packages::{PackageDetail, Removal};
use crate::services::precondition::Precondition;

fn flip(visibility: Visibility) -> PackagePatch {
    PackagePatch { visibility: Some(visibility), ..PackagePatch::default() }
}

#[tokio::test]
async fn a_package_is_made_once_and_shown_with_its_owner() {
    let bench = Bench::new();
    let (pia, tom) = (bench.user("pia").await, bench.user("tom").await);
    let made = bench.create(&pia, "gk/jwt", None).await.unwrap();
    assert_eq!(made, bench.services.packages.get(&bench.anonymous(), &package("gk/jwt")).await.unwrap());
    assert_eq!(made.owners, [UserName::parse("pia").unwrap()]);
    assert!(made.public);
    assert_eq!(reason(bench.create(&pia, "gk/jwt", None).await), Reason::PackageExists);
    assert_eq!(
        reason(bench.create(&pia, "gk/j-wt", None).await.and(bench.create(&pia, "gk/j_wt", None).await)),
        Reason::NameTooSimilar
    );
    assert_eq!(reason(bench.create(&tom, "gk/jwt", None).await), Reason::NotNamespaceMember);
    assert_eq!(reason(bench.create(&tom, "gk/new", None).await), Reason::NotNamespaceMember);
    assert_eq!(reason(bench.create(&tom, "x", Some(Visibility::Private)).await), Reason::PrivateNeedsNamespace);
    assert_eq!(bench.audit().await, "package.create package.create");
}

#[tokio::test]
async fn a_hidden_package_answers_as_an_absent_one() {
    let bench = Bench::new();
    let (pia, tom) = (bench.user("pia").await, bench.user("tom").await);
    bench.create(&pia, "gk/jwt", Some(Visibility::Private)).await.unwrap();
    let packages = &bench.services.packages;
    let shapes = |name: &str, text: String| text.replace(name, "NAME");
    for who in [&tom, &bench.anonymous(), &bench.token("pia", Scope::Publish, "other/*").await] {
        for name in ["gk/jwt", "gk/no"] {
            let error = packages.get(who, &package(name)).await.unwrap_err();
            assert_eq!(
                shapes(name, error.to_string()),
                shapes("gk/no", packages.get(who, &package("gk/no")).await.unwrap_err().to_string())
            );
            assert_eq!(
                reason(packages.patch(who, &package(name), flip(Visibility::Public), None).await),
                Reason::PackageNotFound
            );
            assert_eq!(
                reason(packages.remove(who, &package(name), Removal::Delete, None).await),
                Reason::PackageNotFound
            );
        }
    }
    for name in ["gk/jwt", "gk/no"] {
        let purged = packages.remove(&tom, &package(name), Removal::Purge { reason: None }, None).await;
        assert_eq!(reason(purged), Reason::MissingScope, "the scope is asked for before what exists");
    }
    assert!(!packages.get(&pia, &package("gk/jwt")).await.unwrap().public);
}

#[tokio::test]
async fn fields_nobody_set_follow_the_latest_version() {
    let bench = Bench::new();
    let pia = bench.user("pia").await;
    bench.publish(&pia, "jwt", "1.0.0").await;
    let packages = &bench.services.packages;
    let license = async || packages.get(&pia, &package("jwt")).await.unwrap().about.license.unwrap();
    assert_eq!(license().await, "license of 1.0.0");
    let patch = PackagePatch { license: Field::Set("own".to_owned()), ..PackagePatch::default() };
    let patched = packages.patch(&pia, &package("jwt"), patch.clone(), None).await.unwrap();
    assert_eq!(patched.about.license.as_deref(), Some("own"));
    assert!(patched.package.updated_at > patched.package.created_at);
    assert_eq!(packages.patch(&pia, &package("jwt"), patch, None).await.unwrap(), patched);
    assert_eq!(license().await, "own");
    let clear = PackagePatch { license: Field::Clear, ..PackagePatch::default() };
    packages.patch(&pia, &package("jwt"), clear, None).await.unwrap();
    assert_eq!(license().await, "license of 1.0.0");
    assert_eq!(bench.audit().await, "version.publish package.update package.update");
    assert_eq!(
        bench.types(Log::Public).await,
        "package.created owner.added version.published package.updated package.updated"
    );
}

#[tokio::test]
async fn governing_takes_scope_patterns_and_role_and_then_the_etag_counts() {
    let bench = Bench::new();
    let pia = bench.user("pia").await;
    bench.create(&pia, "gk/jwt", None).await.unwrap();
    let name = package("gk/jwt");
    let packages = &bench.services.packages;
    let never: Precondition<PackageDetail> = Arc::new(|_| false);
    let check = async |who: &Context, expected| {
        let patched = packages.patch(who, &name, flip(Visibility::Private), Some(Arc::clone(&never))).await;
        assert_eq!(reason(patched), expected);
        let admitted = packages.admit(who, &name, Action::Govern, Some(Arc::clone(&never))).await;
        assert_eq!(reason(admitted), expected);
        assert_eq!(reason(packages.remove(who, &name, Removal::Delete, Some(Arc::clone(&never))).await), expected);
    };
    check(&bench.anonymous(), Reason::MissingToken).await;
    check(&bench.token("pia", Scope::Read, "*").await, Reason::MissingScope).await;
    check(&bench.token("pia", Scope::Publish, "gk/no").await, Reason::TokenPackages).await;
    check(&bench.user("tom").await, Reason::MissingRole).await;
    check(&pia, Reason::EtagMismatch).await;
    let seen = packages.get(&pia, &name).await.unwrap();
    let same: Precondition<PackageDetail> = Arc::new(move |now| *now == seen);
    packages.patch(&pia, &name, flip(Visibility::Private), Some(Arc::clone(&same))).await.unwrap();
    assert_eq!(reason(packages.patch(&pia, &name, flip(Visibility::Public), Some(same)).await), Reason::EtagMismatch);
}

#[tokio::test]
async fn a_flip_ends_a_package_in_one_log_and_announces_it_in_the_other() {
    let bench = Bench::new();
    let (pia, admin) = (bench.user("pia").await, bench.admin().await);
    bench.user("tom").await;
    for number in ["1.0.0", "1.1.0", "2.0.0"] {
        bench.publish(&pia, "gk/jwt", number).await;
    }
    bench.services.members.put(&pia, &member("gk/jwt", "tom"), Role::Owner).await.unwrap();
    let yank = super::versions::yank(true);
    bench.services.yanks.patch(&pia, &super::bench::version("gk/jwt", "1.1.0"), yank).await.unwrap();
    bench.services.yanks.purge(&admin, &super::bench::version("gk/jwt", "2.0.0"), None).await.unwrap();
    bench.check_rows().await;
    let before = bench.types(Log::Public).await;
    let packages = &bench.services.packages;
    let deprecated = Field::Set(DeprecationAsk { message: "old".to_owned(), replaced_by: None });
    let patch = PackagePatch { deprecated, ..flip(Visibility::Private) };
    let hidden = packages.patch(&pia, &package("gk/jwt"), patch, None).await.unwrap();
    assert_eq!(hidden.package.latest.unwrap().to_string(), "1.0.0");
    bench.check_rows().await;
    assert_eq!(bench.types(Log::Public).await, format!("{before} package.hidden"));
    let announced = "package.created owner.added owner.added package.updated version.published version.published \
                     version.yanked version.published version.purged";
    assert_eq!(bench.types(Log::Internal).await, announced);
    let times: Vec<_> = bench.log(Log::Public).await.iter().map(|entry| entry["time"].clone()).collect();
    let internal = bench.log(Log::Internal).await;
    let original = |entry: &serde_json::Value| entry["type"] == "package.updated" || times.contains(&entry["time"]);
    assert!(internal.iter().all(original), "{internal:?}");
    packages.patch(&pia, &package("gk/jwt"), flip(Visibility::Public), None).await.unwrap();
    bench.check_rows().await;
    assert_eq!(bench.types(Log::Internal).await, format!("{announced} package.hidden"));
    assert_eq!(reason(packages.get(&pia, &package("jwt")).await), Reason::PackageNotFound);
}

#[tokio::test]
async fn deleting_is_for_empty_packages_and_frees_their_names() {
    let bench = Bench::new();
    let pia = bench.user("pia").await;
    let packages = &bench.services.packages;
    bench.create(&pia, "a-b", None).await.unwrap();
    packages.remove(&pia, &package("a-b"), Removal::Delete, None).await.unwrap();
    bench.check_rows().await;
    assert_eq!(reason(packages.get(&pia, &package("a-b")).await), Reason::PackageNotFound);
    bench.publish(&pia, "a_b", "1.0.0").await;
    assert_eq!(reason(packages.remove(&pia, &package("a_b"), Removal::Delete, None).await), Reason::NotEmpty);
    assert_eq!(bench.audit().await, "package.create package.delete version.publish");
}

#[tokio::test]
async fn a_purge_retires_the_name_and_every_version() {
    let bench = Bench::new();
    let (pia, tom, admin) = (bench.user("pia").await, bench.user("tom").await, bench.admin().await);
    bench.publish(&pia, "gk/jwt", "1.0.0").await;
    let packages = &bench.services.packages;
    let name = package("gk/jwt");
    let purge = |reason: &str| Removal::Purge { reason: Some(reason.to_owned()) };
    assert_eq!(reason(packages.remove(&pia, &name, purge("leak"), None).await), Reason::MissingScope);
    assert_eq!(reason(packages.remove(&admin, &name, purge(&"x".repeat(513)), None).await), Reason::InvalidField);
    let left = packages.remove(&admin, &name, purge("leak"), None).await.unwrap();
    assert_eq!((left.package.version_count, left.package.latest, left.about.license), (0, None, None));
    bench.check_rows().await;
    assert_eq!(reason(packages.get(&tom, &name).await), Reason::Purged);
    assert_eq!(reason(packages.patch(&pia, &name, flip(Visibility::Private), None).await), Reason::Purged);
    assert_eq!(reason(packages.remove(&admin, &name, purge("again"), None).await), Reason::Purged);
    assert_eq!(reason(bench.create(&pia, "gk/jwt", None).await), Reason::NameRetired);
    assert_eq!(reason(bench.create(&tom, "gk/jwt", None).await), Reason::NotNamespaceMember);
    bench.create(&pia, "gk/secret", Some(Visibility::Private)).await.unwrap();
    packages.remove(&admin, &package("gk/secret"), purge("leak"), None).await.unwrap();
    assert_eq!(reason(packages.get(&tom, &package("gk/secret")).await), Reason::PackageNotFound);
    assert_eq!(reason(packages.get(&pia, &package("gk/secret")).await), Reason::Purged);
}

//! Yanks, deprecations and purges through the services.

use std::sync::Arc;

use super::bench::{Bench, package, reason, version};
use crate::domain::event::Log;
use crate::domain::patch::{DeprecationAsk, Field};
use crate::domain::refusal::Reason;
use crate::domain::version::VersionNumber;
use crate::domain::yank::VersionPatch;
use crate::services::Context;
use crate::services::versions::VersionRef;
use crate::services::yank::VersionTarget;

pub(super) fn yank(yanked: bool) -> VersionPatch {
    VersionPatch { yanked: Some(yanked), ..VersionPatch::default() }
}

#[tokio::test]
async fn repeating_a_yank_leaves_no_event_and_no_audit() {
    let bench = Bench::new();
    let pia = bench.user("pia").await;
    bench.publish(&pia, "jwt", "1.0.0").await;
    bench.publish(&pia, "jwt", "1.1.0").await;
    let yanks = &bench.services.yanks;
    let latest =
        async || bench.services.packages.get(&pia, &package("jwt")).await.unwrap().package.latest.unwrap().to_string();
    let patch = VersionPatch { reason: Field::Set("bad".to_owned()), ..yank(true) };
    let yanked = yanks.patch(&pia, &version("jwt", "1.1.0"), patch.clone()).await.unwrap();
    assert_eq!(yanked.version.yank.as_ref().unwrap().reason.as_deref(), Some("bad"));
    assert_eq!(yanked.manifest.as_deref(), Some(&b"{}"[..]));
    assert_eq!(latest().await, "1.0.0");
    let again = yanks.patch(&pia, &version("jwt", "1.1.0"), patch).await.unwrap();
    assert_eq!(again.version, yanked.version);
    let shown = VersionRef::Number(VersionNumber::parse("1.1.0").unwrap());
    assert_eq!(bench.services.versions.get(&pia, &package("jwt"), shown).await.unwrap().version, yanked.version);
    bench.check_rows().await;
    yanks.patch(&pia, &version("jwt", "1.1.0"), yank(false)).await.unwrap();
    assert_eq!(latest().await, "1.1.0");
    let deprecated = Field::Set(DeprecationAsk { message: "old".to_owned(), replaced_by: Some(package("jwt2")) });
    for deprecated in [deprecated.clone(), deprecated, Field::Clear] {
        yanks
            .patch(&pia, &version("jwt", "1.0.0"), VersionPatch { deprecated, ..VersionPatch::default() })
            .await
            .unwrap();
        bench.check_rows().await;
    }
    let audit = "version.publish version.publish version.yank version.unyank version.deprecate version.deprecate";
    assert_eq!(bench.audit().await, audit);
    let types = bench.types(Log::Public).await;
    assert!(types.ends_with("version.yanked version.unyanked version.deprecated version.deprecated"), "{types}");
}

#[tokio::test]
async fn refusals_come_in_the_order_of_the_contract() {
    let bench = Bench::new();
    let (pia, tom, admin) = (bench.user("pia").await, bench.user("tom").await, bench.admin().await);
    bench.publish(&pia, "gk/jwt", "1.0.0+b").await;
    let yanks = &bench.services.yanks;
    let check = async |who: &Context, target: &VersionTarget, expected| {
        assert_eq!(reason(yanks.patch(who, target, yank(true)).await), expected);
    };
    let never = |target: VersionTarget| VersionTarget { precondition: Some(Arc::new(|_| false)), ..target };
    check(&tom, &version("gk/no", "1.0.0"), Reason::PackageNotFound).await;
    check(&tom, &version("gk/jwt", "9.0.0"), Reason::MissingRole).await;
    check(&pia, &version("gk/jwt", "9.0.0"), Reason::VersionNotFound).await;
    check(&pia, &version("gk/jwt", "1.0.0+c"), Reason::VersionNotFound).await;
    check(&pia, &never(version("gk/jwt", "1.0.0")), Reason::EtagMismatch).await;
    assert_eq!(reason(yanks.purge(&pia, &version("gk/jwt", "1.0.0"), None).await), Reason::MissingScope);
    assert_eq!(reason(yanks.purge(&admin, &never(version("gk/jwt", "1.0.0")), None).await), Reason::EtagMismatch);
    let whole = |detail: &crate::services::versions::VersionDetail| detail.manifest.is_some();
    let seen = VersionTarget { precondition: Some(Arc::new(whole)), ..version("gk/jwt", "1.0.0") };
    yanks.patch(&pia, &seen, yank(true)).await.unwrap();
}

#[tokio::test]
async fn a_purged_version_is_gone_and_its_number_stays_used() {
    let bench = Bench::new();
    let (pia, admin) = (bench.user("pia").await, bench.admin().await);
    bench.publish(&pia, "jwt", "1.0.0").await;
    bench.publish(&pia, "jwt", "1.1.0").await;
    let yanks = &bench.services.yanks;
    let purged = yanks.purge(&admin, &version("jwt", "1.1.0"), Some("leak".to_owned())).await.unwrap();
    assert_eq!((purged.manifest, purged.version.about.license), (None, None));
    bench.check_rows().await;
    let package = bench.services.packages.get(&pia, &package("jwt")).await.unwrap().package;
    assert_eq!((package.latest.unwrap().to_string().as_str(), package.version_count), ("1.0.0", 1));
    assert_eq!(reason(yanks.patch(&pia, &version("jwt", "1.1.0"), yank(true)).await), Reason::Purged);
    assert_eq!(reason(yanks.purge(&admin, &version("jwt", "1.1.0"), None).await), Reason::Purged);
    assert_eq!(bench.audit().await, "version.publish version.publish version.purge");
}

//! Members of packages and namespaces through the services.

use std::sync::Arc;

use super::bench::{Bench, member, reason};
use crate::domain::event::Log;
use crate::domain::package::{Role, Visibility};
use crate::domain::refusal::Reason;
use crate::domain::token::Scope;
use crate::services::Context;
use crate::services::members::MemberTarget;

/// Everybody whom the caller sees: name, role's first letter, `'` when it is inherited.
async fn seen(bench: &Bench, who: &Context, of: &str) -> String {
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = bench.services.members.list(who, &member(of, "x").of, after, 2).await.unwrap();
        seen.extend(page.members.iter().map(|one| {
            let mark = if one.inherited { "'" } else { "" };
            format!("{}:{}{mark}", one.name, &one.member.role.as_str()[..1])
        }));
        after = page.next;
        if after.is_none() {
            return seen.join(" ");
        }
    }
}

#[tokio::test]
async fn members_are_added_changed_removed_and_shown_to_those_with_a_role() {
    let bench = Bench::new();
    let (pia, tom) = (bench.user("pia").await, bench.user("tom").await);
    let eve = bench.user("eve").await;
    bench.create(&pia, "gk/jwt", None).await.unwrap();
    let members = &bench.services.members;
    assert_eq!(seen(&bench, &tom, "gk/jwt").await, "pia:o pia:o'");
    members.put(&pia, &member("gk/jwt", "tom"), Role::Reader).await.unwrap();
    members.put(&pia, &member("gk/", "eve"), Role::Publisher).await.unwrap();
    assert_eq!(seen(&bench, &tom, "gk/jwt").await, "pia:o tom:r eve:p' pia:o'");
    assert_eq!(seen(&bench, &bench.anonymous(), "gk/jwt").await, "pia:o pia:o'");
    assert_eq!(seen(&bench, &tom, "gk/").await, "pia:o");
    assert_eq!(seen(&bench, &eve, "gk/").await, "eve:p pia:o");
    let elsewhere = bench.token("tom", Scope::Publish, "other/*").await;
    assert_eq!(seen(&bench, &elsewhere, "gk/jwt").await, "pia:o pia:o'");
    let of = &member("gk/jwt", "tom").of;
    assert_eq!(reason(members.get(&elsewhere, of, &member("gk/jwt", "tom").principal).await), Reason::MemberNotFound);
    let inherited = members.get(&tom, of, &member("gk/jwt", "eve").principal).await.unwrap().0;
    assert!(inherited.inherited);

    let first = members.put(&pia, &member("gk/jwt", "tom"), Role::Owner).await.unwrap();
    assert_eq!(members.put(&pia, &member("gk/jwt", "tom"), Role::Owner).await.unwrap(), first);
    let second = members.put(&pia, &member("gk/jwt", "tom"), Role::Publisher).await.unwrap();
    assert!(second.member.since > first.member.since);
    members.remove(&pia, &member("gk/jwt", "tom")).await.unwrap();
    assert_eq!(reason(members.remove(&pia, &member("gk/jwt", "tom")).await), Reason::MemberNotFound);
    assert_eq!(reason(members.remove(&pia, &member("gk/jwt", "eve")).await), Reason::MemberNotFound);
    assert_eq!(reason(members.put(&pia, &member("gk/jwt", "nobody"), Role::Reader).await), Reason::UserNotFound);
    assert_eq!(reason(members.put(&tom, &member("gk/jwt", "nobody"), Role::Reader).await), Reason::MissingRole);
    assert_eq!(bench.audit().await, "package.create member.put member.put member.put member.put member.remove");
    let types = bench.types(Log::Public).await;
    assert!(types.ends_with("package.created owner.added owner.added owner.removed"), "{types}");
    bench.check_rows().await;
}

#[tokio::test]
async fn any_member_may_leave_but_the_last_owner_stays() {
    let bench = Bench::new();
    let (pia, tom, eve) = (bench.user("pia").await, bench.user("tom").await, bench.user("eve").await);
    let admin = bench.admin().await;
    bench.create(&pia, "gk/jwt", Some(Visibility::Private)).await.unwrap();
    let members = &bench.services.members;
    for of in ["gk/jwt", "gk/"] {
        for who in ["tom", "eve"] {
            members.put(&pia, &member(of, who), Role::Reader).await.unwrap();
        }
        assert_eq!(reason(members.remove(&tom, &member(of, "eve")).await), Reason::MissingRole);
        assert_eq!(reason(members.remove(&tom, &member(of, "pia")).await), Reason::MissingRole);
        members.remove(&tom, &member(of, "tom")).await.unwrap();
        let gone = if of == "gk/" { Reason::MissingRole } else { Reason::PackageNotFound };
        assert_eq!(reason(members.remove(&tom, &member(of, "tom")).await), gone);
        let reading = bench.token("eve", Scope::Read, "*").await;
        assert_eq!(reason(members.remove(&reading, &member(of, "eve")).await), Reason::MissingScope);
        for who in [&pia, &admin] {
            assert_eq!(reason(members.remove(who, &member(of, "pia")).await), Reason::LastOwner);
            assert_eq!(reason(members.put(who, &member(of, "pia"), Role::Reader).await), Reason::LastOwner);
        }
        members.put(&admin, &member(of, "root"), Role::Owner).await.unwrap();
        members.remove(&pia, &member(of, "pia")).await.unwrap();
        members.put(&admin, &member(of, "pia"), Role::Owner).await.unwrap();
    }
    assert_eq!(seen(&bench, &eve, "gk/jwt").await, "eve:r pia:o root:o eve:r' pia:o' root:o'");
    bench.check_rows().await;
}

#[tokio::test]
async fn a_member_that_changed_meanwhile_is_not_overwritten() {
    let bench = Bench::new();
    let pia = bench.user("pia").await;
    bench.user("tom").await;
    bench.create(&pia, "jwt", None).await.unwrap();
    let members = &bench.services.members;
    let reader = |target: MemberTarget| MemberTarget {
        precondition: Some(Arc::new(|now| now.member.role == Role::Reader)),
        ..target
    };
    let tom = reader(member("jwt", "tom"));
    assert_eq!(reason(members.put(&pia, &tom, Role::Owner).await), Reason::EtagMismatch);
    assert_eq!(reason(members.admit(&pia, &tom).await), Reason::EtagMismatch);
    members.put(&pia, &member("jwt", "tom"), Role::Reader).await.unwrap();
    members.admit(&pia, &tom).await.unwrap();
    members.put(&pia, &tom, Role::Publisher).await.unwrap();
    assert_eq!(reason(members.remove(&pia, &tom).await), Reason::EtagMismatch);
    assert_eq!(reason(members.remove(&pia, &member("gone", "tom")).await), Reason::PackageNotFound);
}

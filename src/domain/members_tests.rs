//! Who joins, changes and leaves, and that an owner always stays.

use super::super::id::Id;
use super::super::name::PackageName;
use super::*;

/// Members by letter (`o` owner, `p` publisher, `r` reader), whose ids are their places.
fn members(letters: &str) -> Vec<Member> {
    let role = |letter| match letter {
        'o' => Role::Owner,
        'p' => Role::Publisher,
        _ => Role::Reader,
    };
    letters
        .chars()
        .zip(0..)
        .map(|(letter, id)| Member { user: Id(id), role: role(letter), since: Timestamp(1) })
        .collect()
}

/// Each change by its first letter (`m` member put, `r` removed, `+` owner added, `-` owner removed), or the reason.
fn said(decided: Result<Vec<Change>, Refusal>) -> String {
    let letter = |change| {
        if matches!(change, Change::PutMember { .. }) {
            return 'm';
        }
        let Change::Event(Event { fact, .. }) = change else { return 'r' };
        if fact.type_name() == "owner.added" { '+' } else { '-' }
    };
    match decided {
        Ok(changes) => changes.into_iter().map(letter).collect(),
        Err(refusal) => refusal.reason.to_string(),
    }
}

#[test]
fn an_owner_always_stays() {
    let of = MemberOf::Namespace(super::super::name::NamespaceName::parse("gk").unwrap());
    let name = UserName::parse("pia").unwrap();
    let check = |letters: &str, user: u128, put: [&str; 3], removed: &str| {
        let members = members(letters);
        let membership = Membership { of: &of, package: None, members: &members };
        let who = (Id(user), &name);
        for (role, expected) in [Role::Reader, Role::Publisher, Role::Owner].into_iter().zip(put) {
            assert_eq!(said(membership.decide_put(who, role, Timestamp(2))), expected, "{letters} {user} {role:?}");
        }
        let decided = membership.decide_remove(who, Timestamp(2)).map(|(changes, _)| changes);
        assert_eq!(said(decided), removed, "{letters} {user}");
    };
    check("o", 0, ["last_owner", "last_owner", ""], "last_owner");
    check("op", 0, ["last_owner", "last_owner", ""], "last_owner");
    check("oo", 0, ["m-", "m-", ""], "r-");
    check("op", 1, ["m", "", "m+"], "r");
    check("or", 1, ["", "m", "m+"], "r");
    check("o", 1, ["m", "m", "m+"], "member_not_found");
    check("", 0, ["m", "m", "m+"], "member_not_found");
}

#[test]
fn principals_print_as_they_parse() {
    assert_eq!(Principal::parse("user:pia").unwrap().to_string(), "user:pia");
    for wrong in ["pia", "user:", "user:PIA", "team:a/b", "user:a/b", ""] {
        assert_eq!(Principal::parse(wrong).unwrap_err().reason, Reason::InvalidName, "{wrong}");
    }
    let of = MemberOf::Package(PackageName::parse("gk/jwt").unwrap());
    assert!(member_not_found(&of, &UserName::parse("pia").unwrap()).message.contains("`gk/jwt`"));
}

//! Who may make which package, and what a change of its fields or its visibility records.

use super::super::caller::TokenCaller;
use super::super::create::ClaimPolicy;
use super::super::id::Id;
use super::super::name::{NamespaceName, UserName};
use super::super::package::Namespace;
use super::super::package::{Deprecation, Yank};
use super::super::token::{Pattern, Patterns, Scopes, TokenKind};
use super::*;

const LIMITS: TextLimits = TextLimits { description_bytes_max: 8, reason_bytes_max: 8, keywords_max: 2 };
const NOW: Timestamp = Timestamp(100);

fn name(text: &str) -> PackageName {
    PackageName::parse(text).unwrap()
}

fn caller(scope: Scope, admin: bool, pattern: &str) -> Caller {
    Caller::Token(Box::new(TokenCaller {
        user: Id(1),
        user_name: UserName::parse("pia").unwrap(),
        user_is_admin: admin,
        token: Id(2),
        kind: TokenKind::Token,
        scopes: Scopes::new([scope]).unwrap(),
        patterns: Patterns::new(vec![Pattern::parse(pattern).unwrap()]).unwrap(),
        expires_at: None,
    }))
}

fn package(text: &str, visibility: Visibility) -> Package {
    Package {
        name: name(text),
        visibility,
        about: Description::default(),
        deprecated: None,
        purged_at: None,
        published: false,
        version_count: 0,
        latest: None,
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
    }
}

/// Who has the namespace.
#[derive(Clone, Copy)]
enum Taken {
    Nobody,
    Others,
    Member(Role),
}

fn state(taken: Taken, package: Option<Package>) -> NameState {
    let (taken, namespace_role) = match taken {
        Taken::Nobody => (false, None),
        Taken::Others => (true, None),
        Taken::Member(role) => (true, Some(role)),
    };
    let namespace = taken.then(|| Namespace {
        name: NamespaceName::parse("gk").unwrap(),
        description: None,
        default_visibility: Visibility::Private,
        held_package: true,
        created_at: Timestamp(1),
    });
    let lookalike = package.as_ref().map(|package| package.name.clone());
    NameState { namespace, namespace_role, package, package_role: None, lookalike }
}

fn types(changes: &[Change]) -> String {
    let events = changes.iter().filter_map(|change| if let Change::Event(event) = change { Some(event) } else { None });
    let text = |event: &Event| format!("{}:{}@{}", event.log.as_str(), event.fact.type_name(), event.time.0);
    events.map(text).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_package_is_made_by_those_who_may_and_a_refusal_tells_nothing_hidden() {
    let creation = |visibility| Creation { visibility, about: Description::default(), claims: ClaimPolicy::FirstUse };
    let check = |caller: &Caller, text: &str, state: NameState, expected: Result<&str, Reason>| {
        let made = decide_create(caller, &name(text), &state, (&creation(None), LIMITS), NOW);
        let made = made.map(|(changes, _)| types(&changes)).map_err(|refusal| refusal.reason);
        assert_eq!(made.as_deref(), expected.as_ref().map(|text| *text), "{text} {state:?}");
    };
    let pia = caller(Scope::Publish, false, "*");
    let public = "public:package.created@100 public:owner.added@100";
    let private = "internal:package.created@100 internal:owner.added@100";
    let claimed = format!("public:namespace.created@100 public:owner.added@100 {public}");
    let hidden = || Some(package("gk/jwt", Visibility::Private));
    check(&pia, "jwt", state(Taken::Nobody, None), Ok(public));
    check(&pia, "gk/jwt", state(Taken::Nobody, None), Ok(&claimed));
    check(&pia, "gk/jwt", state(Taken::Member(Role::Publisher), None), Ok(private));
    check(&pia, "gk/jwt", state(Taken::Member(Role::Reader), None), Err(Reason::NotNamespaceMember));
    check(&pia, "gk/jwt", state(Taken::Others, None), Err(Reason::NotNamespaceMember));
    check(&pia, "gk/jwt", state(Taken::Others, hidden()), Err(Reason::NotNamespaceMember));
    check(&pia, "gk/jwt", state(Taken::Member(Role::Owner), hidden()), Err(Reason::PackageExists));
    check(&pia, "a_b", state(Taken::Nobody, Some(package("a_b", Visibility::Public))), Err(Reason::PackageExists));
    let purged = Package { purged_at: Some(NOW), ..package("jwt", Visibility::Public) };
    check(&pia, "jwt", state(Taken::Nobody, Some(purged)), Err(Reason::NameRetired));
    let similar = NameState { lookalike: Some(name("a_b")), ..state(Taken::Nobody, None) };
    check(&pia, "a-b", similar, Err(Reason::NameTooSimilar));
    check(&Caller::Anonymous, "jwt", state(Taken::Nobody, None), Err(Reason::MissingToken));
    check(&caller(Scope::Read, false, "*"), "jwt", state(Taken::Nobody, None), Err(Reason::MissingScope));
    check(&caller(Scope::Publish, false, "gk/*"), "jwt", state(Taken::Nobody, None), Err(Reason::TokenPackages));
    check(&caller(Scope::Publish, false, "gk/jwt"), "gk/jwt", state(Taken::Nobody, None), Err(Reason::TokenPackages));
    check(&caller(Scope::Admin, true, "*"), "gk/jwt", state(Taken::Others, None), Ok(private));
    let of_local = "public:namespace.created@100 public:package.created@100";
    check(&Caller::Local { uid: 0 }, "gk/jwt", state(Taken::Nobody, None), Ok(of_local));
}

#[test]
fn conflicts_are_told_before_wrong_texts() {
    let about = Description { keywords: Some(vec![String::new()]), ..Description::default() };
    let creation = Creation { visibility: None, about, claims: ClaimPolicy::FirstUse };
    let made = |state| {
        let pia = caller(Scope::Publish, false, "*");
        decide_create(&pia, &name("jwt"), &state, (&creation, LIMITS), NOW).unwrap_err().reason
    };
    assert_eq!(made(state(Taken::Nobody, Some(package("jwt", Visibility::Public)))), Reason::PackageExists);
    assert_eq!(made(state(Taken::Nobody, None)), Reason::InvalidField);
}

#[test]
fn fields_are_kept_cleared_and_set() {
    let about = Description { license: Some("MIT".to_owned()), ..Description::default() };
    let stored = Package { about, ..package("gk/jwt", Visibility::Public) };
    let decide = |patch: &PackagePatch| decide_patch(&stored, patch, &Contents::default(), LIMITS, NOW);
    assert_eq!(decide(&PackagePatch::default()).unwrap(), None);
    assert_eq!(
        decide(&PackagePatch { visibility: Some(Visibility::Public), ..PackagePatch::default() }).unwrap(),
        None
    );
    assert_eq!(
        decide(&PackagePatch { license: Field::Set("MIT".to_owned()), ..PackagePatch::default() }).unwrap(),
        None
    );
    let patch =
        PackagePatch { license: Field::Clear, description: Field::Set("new".to_owned()), ..PackagePatch::default() };
    let (changes, changed) = decide(&patch).unwrap().unwrap();
    assert_eq!((changed.about.license, changed.about.description.as_deref()), (None, Some("new")));
    assert_eq!((types(&changes).as_str(), changed.updated_at), ("public:package.updated@100", NOW));
    let too_long = PackagePatch { description: Field::Set("123456789".to_owned()), ..PackagePatch::default() };
    assert_eq!(decide(&too_long).unwrap_err().details[0].limit, Some(8));
}

#[test]
fn a_private_package_needs_a_namespace() {
    let patch = PackagePatch { visibility: Some(Visibility::Private), ..PackagePatch::default() };
    let stored = package("jwt", Visibility::Public);
    let refusal = decide_patch(&stored, &patch, &Contents::default(), LIMITS, NOW).unwrap_err();
    assert_eq!(refusal.reason, Reason::PrivateNeedsNamespace);
}

#[test]
fn a_package_that_changes_logs_is_announced_whole_with_its_original_times() {
    let deprecation = |at| Some(Deprecation { message: "old".to_owned(), replaced_by: None, at: Timestamp(at) });
    let version = |number: &str, at| Version {
        number: super::super::version::VersionNumber::parse(number).unwrap(),
        artifact: super::super::package::Artifact {
            sha256: super::super::digest::Sha256::of(number.as_bytes()),
            size: 1,
            filename: String::new(),
            media_type: String::new(),
        },
        about: Description::default(),
        manifest: None,
        readme: None,
        yank: None,
        deprecated: None,
        purged: None,
        published_at: Timestamp(at),
        published_by: None,
    };
    let late = Version {
        yank: Some(Yank { reason: None, at: Timestamp(40) }),
        deprecated: deprecation(41),
        ..version("1.0.0", 30)
    };
    let purged = super::super::package::Tombstone { reason: None, at: Timestamp(50) };
    let early = Version { purged: Some(purged), ..version("2.0.0", 20) };
    let member = |id, role, at| Member { user: Id(id), role, since: Timestamp(at) };
    let contents = Contents {
        members: vec![member(1, Role::Owner, 2), member(2, Role::Reader, 3), member(3, Role::Owner, 4)],
        versions: vec![(late, Vec::new()), (early, Vec::new())],
    };
    let stored = Package { deprecated: deprecation(60), ..package("gk/jwt", Visibility::Private) };
    let patch = PackagePatch { visibility: Some(Visibility::Public), ..PackagePatch::default() };
    let (changes, changed) = decide_patch(&stored, &patch, &contents, LIMITS, NOW).unwrap().unwrap();
    assert_eq!((changed.visibility, changed.created_at, changed.updated_at), (Visibility::Public, Timestamp(1), NOW));
    let expected = "internal:package.hidden@100 public:package.created@1 public:owner.added@2 public:owner.added@4 \
         public:package.updated@60 public:version.published@20 public:version.purged@50 \
         public:version.published@30 public:version.yanked@40 public:version.deprecated@41";
    assert_eq!(types(&changes), expected);
}

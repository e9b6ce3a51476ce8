//! Every form of manifest that the official client writes, and every one that is refused.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> ManifestFields {
    parse(text.as_bytes(), &ManifestLimits::default()).unwrap()
}

#[track_caller]
fn refused(text: &str, field: &str, message: &str) -> Refusal {
    let refusal = parse(text.as_bytes(), &ManifestLimits::default()).unwrap_err();
    assert_eq!(refusal.reason, Reason::InvalidManifest);
    let [detail] = &refusal.details[..] else { panic!("one detail, not {:?}", refusal.details) };
    assert_eq!(detail.field, field, "{}", refusal.message);
    assert!(refusal.message.contains(message), "{}", refusal.message);
    assert!(refusal.message.contains("`vix.json`"), "{}", refusal.message);
    refusal
}

/// What `deps` is read as: `name req` with the kind and `?` for optional where they are not the usual.
fn needs(text: &str) -> Vec<String> {
    let show = |dependency: &ManifestDependency| {
        let kind = if dependency.kind == DependencyKind::Normal { "" } else { dependency.kind.as_str() };
        format!("{} {}{kind}{}", dependency.name, dependency.req, if dependency.optional { "?" } else { "" })
    };
    read(text).dependencies.unwrap().iter().map(show).collect()
}

#[track_caller]
fn check(deps: &str, expected: &[&str]) {
    assert_eq!(needs(&format!("{{\"deps\":{deps}}}")), expected, "{deps}");
}

#[test]
fn a_full_manifest_is_read() {
    let text = r#"{"name":"jwt","namespace":"gk","version":"1.2.0","type":"header-only","license":"MIT",
        "description":"Tokens.","keywords":["jwt","c++","jwt"],"authors":[{"name":"G"}],
        "repository":"https://github.com/gk/jwt","homepage":"http://gk.example/","issues":{"url":"https://i.example/1"},
        "documentation":"","changelog":null,"deps":[{"id":"gk/hmac","version":"^1.0.0"}],"extensions":{"note":{"api":"1"}}}"#;
    let fields = read(text);
    let texts = [&fields.name, &fields.namespace, &fields.version, &fields.description, &fields.license];
    assert_eq!(texts.map(|text| text.as_deref().unwrap()), ["jwt", "gk", "1.2.0", "Tokens.", "MIT"]);
    assert_eq!(fields.keywords.unwrap(), ["jwt", "c++"]);
    let links: Vec<_> = fields.links.iter().map(|(key, address)| (key.as_str(), address.as_str())).collect();
    assert_eq!(
        links,
        [
            ("homepage", "http://gk.example/"),
            ("issues", "https://i.example/1"),
            ("repository", "https://github.com/gk/jwt")
        ]
    );
    assert_eq!(fields.value["extensions"]["note"]["api"], "1");
    assert_eq!(fields.warnings, []);
}

#[test]
fn absent_null_and_empty_texts_are_nothing() {
    for text in [
        "{}",
        "\u{feff}{}",
        r#"{"name":null,"description":null,"keywords":null,"deps":null,"dependencies":null,"repository":null}"#,
        r#"{"name":"","description":"","license":"","homepage":""}"#,
    ] {
        let fields = read(text);
        assert_eq!((fields.name, fields.description, fields.license), (None, None, None), "{text}");
        assert_eq!((fields.keywords, fields.dependencies, fields.links.len()), (None, None, 0), "{text}");
        assert_eq!(fields.warnings, [], "{text}");
    }
}

#[test]
fn dependencies_in_a_list_are_read() {
    check("[]", &[]);
    check(
        r#"["gk/hmac@^1.2","@gk/sha@1.0.0","@gk/jwt","gk/csv@latest","gk/kv@ >=1 <2 "]"#,
        &["gk/hmac ^1.2", "gk/sha 1.0.0", "gk/jwt *", "gk/csv *", "gk/kv >=1 <2"],
    );
    check(
        r#"[{"id":"gk/a","version":"1.0.0"},{"id":"@gk/b","requested":"~1.2"},{"id":"gk/c","range":"^0.2.0"}]"#,
        &["gk/a 1.0.0", "gk/b ~1.2", "gk/c ^0.2.0"],
    );
    check(
        r#"[{"id":"gk/a","version":"","requested":"2.0.0","range":"^9"},{"name":"gk/b"},{"id":"gk/c@1.x","version":null}]"#,
        &["gk/a 2.0.0", "gk/b *", "gk/c 1.x"],
    );
    check(
        r#"[{"id":"gk/a","version":"1.0.0","kind":"dev","optional":true},{"id":"gk/a","version":"1.0.0"}]"#,
        &["gk/a 1.0.0dev?", "gk/a 1.0.0"],
    );
}

#[test]
fn dependencies_in_a_map_are_read() {
    check("{}", &[]);
    check(
        r#"{"gk/a":"^1","@gk/b":{"version":"2.0.0"},"plain_name":null,"gk/c":{}}"#,
        &["gk/a ^1", "gk/b 2.0.0", "plain_name *", "gk/c *"],
    );
    check(r#"[{"gk/a":"^1","gk/b":"*"},"gk/c@1.0.0"]"#, &["gk/a ^1", "gk/b *", "gk/c 1.0.0"]);
    assert_eq!(needs(r#"{"dependencies":{"@gk/a":"^0.2.0"}}"#), ["gk/a ^0.2.0"]);
}

#[test]
fn dependencies_by_origin_are_read_as_in_index_entries() {
    let text = r#"{"dependencies":{"git":[{"url":"https://x"}],"registry":[{"id":"acme/p","version":"^0.2.0"}],"system":["ssl"]}}"#;
    assert_eq!(needs(text), ["acme/p ^0.2.0"]);
    check(r#"{"registry":{"gk/a":"1.0.0"},"git":[]}"#, &["gk/a 1.0.0"]);
    check(r#"{"registry":null,"git":[]}"#, &[]);
    check(r#"{"registry":"^1"}"#, &["registry ^1"]);
}

#[test]
fn deps_count_before_dependencies() {
    assert_eq!(needs(r#"{"dependencies":["gk/old"],"deps":["gk/new"]}"#), ["gk/new *"]);
    assert_eq!(needs(r#"{"dependencies":["gk/old"],"deps":null}"#), ["gk/old *"]);
}

#[test]
fn repeated_dependencies_count_once_or_contradict() {
    check(r#"["gk/a@^1",{"id":"gk/a","version":"^1"}]"#, &["gk/a ^1"]);
    refused(r#"{"deps":["gk/a@^1","gk/a@^2"]}"#, "deps[1]", "other terms");
}

#[test]
fn dependencies_from_elsewhere_are_left_out_with_a_warning() {
    let fields = read(r#"{"deps":[{"git":"https://x"},{"id":"gk/a"}],"x":1}"#);
    assert_eq!(fields.dependencies.unwrap().len(), 1);
    let [warning] = &fields.warnings[..] else { panic!("one warning") };
    assert_eq!(warning.reason, "manifest_field_ignored");
    assert!(warning.message.contains("deps[0]"), "{}", warning.message);
    assert_eq!(read(r#"{"deps":{"gk/a":{"path":"../a"}}}"#).warnings.len(), 1);
}

#[test]
fn wrong_shapes_name_their_field() {
    for (text, field, message) in [
        ("[]", "vix.json", "a list"),
        ("null", "vix.json", "null"),
        (r#"{"name":3}"#, "name", "a number"),
        (r#"{"version":[]}"#, "version", "a list"),
        (r#"{"license":{"type":"MIT"}}"#, "license", "an object"),
        (r#"{"description":false}"#, "description", "a boolean"),
        (r#"{"keywords":"a,b"}"#, "keywords", "list of strings"),
        (r#"{"keywords":["a",1]}"#, "keywords[1]", "a number"),
        (r#"{"homepage":1}"#, "homepage", "a number"),
        (r#"{"repository":{"type":"git"}}"#, "repository.url", "a string"),
        (r#"{"deps":"gk/a"}"#, "deps", "a list or an object"),
        (r#"{"deps":[1]}"#, "deps[0]", "a number"),
        (r#"{"deps":[null]}"#, "deps[0]", "null"),
        (r#"{"deps":[[]]}"#, "deps[0]", "a list"),
        (r#"{"deps":[{"id":1}]}"#, "deps[0].id", "a number"),
        (r#"{"deps":["gk/a",{"id":"gk/b","version":1}]}"#, "deps[1].version", "a number"),
        (r#"{"deps":[{"id":"gk/b","kind":"peer"}]}"#, "deps[0].kind", "`peer`"),
        (r#"{"deps":[{"id":"gk/b","optional":"no"}]}"#, "deps[0].optional", "true or false"),
        (r#"{"deps":{"gk/a":1}}"#, "deps.gk/a", "a number"),
        (r#"{"deps":[{"gk/a":[]}]}"#, "deps[0].gk/a", "a list"),
        (r#"{"dependencies":{"registry":1,"git":[]}}"#, "dependencies.registry", "a number"),
    ] {
        refused(text, field, message);
    }
}

#[test]
fn names_and_requirements_that_cannot_be_held_are_refused() {
    refused(r#"{"deps":["GK/Json@^1"]}"#, "deps[0]", "GK");
    refused(r#"{"deps":["gk/a/b@^1"]}"#, "deps[0]", "gk/a/b");
    refused(r#"{"deps":[{"id":"","version":"1"}]}"#, "deps[0]", "");
    refused(r#"{"deps":{"gk/a":"not a range"}}"#, "deps.gk/a", "not a range");
    refused(r#"{"deps":["gk/a@file:../a"]}"#, "deps[0]", "file:../a");
}

#[test]
fn broken_texts_tell_their_place() {
    refused("", "vix.json", "line 1, column 1");
    refused("{\n  \"name\": jwt\n}", "vix.json", "line 2");
    refused("{\"name\":\"a\",}", "vix.json", "line 1, column 13");
    refused("{\"a\":{\"b\":1,\"b\":2}}", "a.b", "twice");
    refused("{\"name\":\"a\",\"n\\u0061me\":\"b\"}", "name", "twice");
    let deep = format!("{{\"x\":{}1{}}}", "[".repeat(32), "]".repeat(32));
    assert_eq!(refused(&deep, "vix.json", "32 deep").details[0].limit, Some(32));
    read(&format!("{{\"x\":{}1{}}}", "[".repeat(31), "]".repeat(31)));
}

#[test]
fn sizes_are_limited() {
    let padded = |size: usize| format!("{{{}}}", " ".repeat(size - 2));
    read(&padded(65_536));
    assert_eq!(refused(&padded(65_537), "vix.json", "65536 bytes").details[0].limit, Some(65_536));
    let needs = |count: usize| {
        let list: Vec<_> = (0..count).map(|index| format!("\"gk/p{index}\"")).collect();
        format!("{{\"deps\":[{}]}}", list.join(","))
    };
    assert_eq!(read(&needs(512)).dependencies.unwrap().len(), 512);
    assert_eq!(refused(&needs(513), "deps[512]", "512").details[0].limit, Some(512));
}

#[test]
fn fields_past_their_limits_are_left_out_with_a_warning() {
    let text = |key: &str, size: usize| format!("{{\"{key}\":\"{}\"}}", "a".repeat(size));
    assert!(read(&text("description", 1024)).description.is_some());
    assert!(read(&text("license", 256)).license.is_some());
    for (text, field) in [
        (text("description", 1025), "`description`"),
        (text("license", 257), "`license`"),
        (r#"{"repository":"git@github.com:gk/jwt.git"}"#.to_owned(), "`repository`"),
        (r#"{"homepage":"javascript:alert(1)"}"#.to_owned(), "`homepage`"),
        (r#"{"homepage":"https:///x"}"#.to_owned(), "`homepage`"),
        (r#"{"homepage":"https://a b"}"#.to_owned(), "`homepage`"),
        (r#"{"keywords":["","a"]}"#.to_owned(), "`keywords[0]`"),
        (r#"{"keywords":["a","b\n"]}"#.to_owned(), "`keywords[1]`"),
        (format!("{{\"keywords\":[\"a\",\"{}\"]}}", "b".repeat(65)), "`keywords[1]`"),
    ] {
        let fields = read(&text);
        let [warning] = &fields.warnings[..] else { panic!("one warning for {text}, not {:?}", fields.warnings) };
        assert_eq!(warning.reason, "manifest_field_ignored");
        assert!(warning.message.contains(field), "{}", warning.message);
        assert_eq!((fields.description, fields.license, fields.links.len()), (None, None, 0));
        assert!(fields.keywords.is_none_or(|keywords| keywords == ["a"]));
    }
    let many: Vec<_> = (0..70).map(|index| format!("\"k{index}\"")).collect();
    let fields = read(&format!("{{\"keywords\":[{}]}}", many.join(",")));
    assert_eq!((fields.keywords.unwrap().len(), fields.warnings.len()), (64, 1));
    let empty = vec!["\"\""; 1000].join(",");
    assert_eq!(read(&format!("{{\"keywords\":[{empty}]}}")).warnings.len(), WARNINGS_MAX);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
        let parsed = parse(&bytes, &ManifestLimits::default());
        prop_assert!(parsed.is_ok() || parsed.is_err_and(|refusal| refusal.reason == Reason::InvalidManifest));
    }

    #[test]
    fn no_json_panics(
        key in "name|version|license|keywords|homepage|repository|deps|dependencies",
        value in "[\\[\\]{}:,\"]{0,6}(\"(id|url|version|git|registry|gk/a|@|)\"|1|null|true)[\\[\\]{}:,\"]{0,6}",
    ) {
        let text = format!("{{\"{key}\":{value}}}");
        if let Err(refusal) = parse(text.as_bytes(), &ManifestLimits::default()) {
            prop_assert_eq!(refusal.reason, Reason::InvalidManifest);
            prop_assert_eq!(refusal.details.len(), 1);
        }
    }
}

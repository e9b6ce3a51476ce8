//! What holds for all keys, and the order of sources, seen through [`Config::load`].

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Sources without a file.
fn env(pairs: &[(&str, &str)]) -> Sources {
    let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { env, data: Some("no-such-directory".into()), ..Sources::default() }
}

/// Sources with a file of that name and text, in a directory that lives as long as the first result.
fn file(name: &str, text: &str) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join(name);
    fs::write(&path, text).expect("write");
    (dir, Sources { file: Some(path), ..Sources::default() })
}

fn load(sources: &Sources) -> Loaded {
    Config::load(sources).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(sources: &Sources, hints: &[&str]) -> String {
    let error = Config::load(sources).expect_err("a refusal");
    assert!(error.problems.iter().all(|p| !p.what.is_empty() && !p.why.is_empty() && !p.next.is_empty()));
    let text = error.to_string();
    for hint in hints {
        assert!(text.contains(hint), "{hint:?} is missing: {text}");
    }
    text
}

fn key(name: &str) -> &'static Key {
    Key::find(name).expect(name)
}

fn shown(loaded: &Loaded, name: &str) -> (String, String) {
    let line = loaded.render_show().into_iter().find(|line| line.key == name).expect(name);
    (line.value, line.origin)
}

/// For each kind: values that are taken, each with how it is shown, and values that are not.
fn examples(key: &Key) -> (Vec<(&'static str, &'static str)>, Vec<&'static str>) {
    match key.kind {
        Kind::Path(_) | Kind::OptionalPath(_) => {
            (vec![("/srv/x", "/srv/x"), ("x/y", "x/y")], vec!["a\0b", "a\u{fffd}"])
        }
        Kind::Address(_) => {
            (vec![("[::1]:9", "[::1]:9"), ("0.0.0.0:0", "0.0.0.0:0")], vec!["8080", "localhost:80", "1.2.3.4"])
        }
        Kind::Origin(_) => {
            (vec![("https://A.example/", "https://a.example"), ("none", "none")], vec!["a.example", "https://a/b"])
        }
        Kind::Origins(_) => (
            vec![("https://a.example, http://b:8080", "https://a.example, http://b:8080"), ("none", "none")],
            vec!["*", "a.example"],
        ),
        Kind::Networks(_) => {
            (vec![("10.0.0.0/8 ::1", "10.0.0.0/8, ::1/128"), ("none", "none")], vec!["10.0.0.1/8", "proxy"])
        }
        Kind::Bool(_) => {
            (vec![("false", "false"), ("true", "true"), ("0", "false"), ("yes", "true")], vec!["maybe", "2"])
        }
        Kind::Count(..) => (vec![("20", "20")], vec!["-1", "1.5", "many", "99999999999999999999", "5 B"]),
        Kind::Bytes(..) => (vec![("2 MiB", "2 MiB")], vec!["-1", "1.5 KiB", "big", "99999 TiB", "5 s"]),
        Kind::Rate(..) => {
            (vec![("2 KiB/s", "2 KiB/s"), ("512", "512 B/s"), ("0", "0 B/s")], vec!["fast", "2 KiB/h", "-1"])
        }
        Kind::Duration(..) => (vec![("90 s", "1 min 30 s")], vec!["90", "-1 s", "soon", "99999 w"]),
        Kind::OptionalDuration(..) => (vec![("30 d", "30 d"), ("none", "none")], vec!["30", "0 s", "never"]),
        Kind::Choice(_) => (vec![], vec!["nothing", "INFO", "1"]),
    }
}

#[test]
fn every_key_takes_good_values_and_refuses_bad_ones_from_the_environment() {
    for key in KEYS {
        let (good, bad) = examples(key);
        let small = matches!(
            key.name,
            "limits.header_bytes" | "limits.uri_bytes" | "limits.description_bytes" | "limits.reason_bytes"
        );
        let words = if let Kind::Choice(slot) = key.kind {
            slot(&mut Config::default()).words().iter().map(|word| (*word, *word)).collect()
        } else if small {
            vec![("2 KiB", "2 KiB")]
        } else {
            good
        };
        assert!(!words.is_empty(), "{}", key.name);
        for (text, expected) in words {
            let mut sources = env(&[(&key.env(), text)]);
            sources.data = sources.data.filter(|_| key.name != "data");
            assert_eq!(shown(&load(&sources), key.name), (expected.to_owned(), format!("env {}", key.env())));
        }
        for text in bad {
            let message = refused(&env(&[(&key.env(), text)]), &[key.name, &key.env(), "\n  why: ", "\n  next: "]);
            assert!(message.starts_with(&format!("`{}` can't be `", key.name)), "{message}");
        }
    }
}

#[test]
fn every_default_is_valid_and_shown_as_it_is_written() {
    let loaded = load(&Sources::default());
    assert_eq!(loaded.config, Config::defaults());
    assert_eq!((loaded.file.as_ref(), loaded.warnings.len()), (None, 0));
    for (key, line) in KEYS.iter().zip(loaded.render_show()) {
        assert_eq!((line.key, line.origin.as_str()), (key.name, "default"));
        let same_time = (key.default, line.value.as_str()) == ("60 s", "1 min")
            || (key.default, line.value.as_str()) == ("24 h", "1 d");
        assert!(same_time || line.value == key.default, "{}: {} {}", key.name, key.default, line.value);
    }
    assert_eq!(loaded.config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(loaded.config.limits.artifact_bytes, 1 << 30);
    assert_eq!(loaded.config.tokens.expires_max, None);
}

#[test]
fn every_key_sets_a_field_of_its_own() {
    let defaults = load(&Sources::default()).render_show();
    for key in KEYS {
        let mut config = Config::defaults();
        let before = key.kind.show(&mut config);
        let texts = ["/srv/x", "[::1]:9", "https://a.example", "10.0.0.0/8", "false", "20", "2 KiB", "2 MiB", "7 s"];
        let words = ["debug", "json", "admin"];
        let mut changes = texts.iter().chain(&words).map(|text| env(&[(&key.env(), text)]));
        let loaded = changes.find_map(|sources| {
            let sources = Sources { data: None, ..sources };
            Config::load(&sources).ok().filter(|loaded| shown(loaded, key.name).0 != before)
        });
        let lines = loaded.expect(key.name).render_show();
        let differing = lines.iter().zip(&defaults).filter(|(now, then)| now.value != then.value);
        assert_eq!(differing.map(|(now, _)| now.key).collect::<Vec<_>>(), [key.name]);
    }
}

#[test]
fn the_ends_of_a_range_are_taken_and_what_lies_beyond_is_not() {
    for (name, inside, outside) in [
        ("limits.json_depth", ["4", "120"], ["3", "121"]),
        ("limits.uri_bytes", ["128 B", "60 KiB"], ["127", "61441"]),
        ("http.header_timeout", ["10 ms", "10 min"], ["9 ms", "600001 ms"]),
        ("http.shutdown_timeout", ["0", "1 h"], ["3601 s", "2 h"]),
        ("tokens.expires_max", ["1 s", "36500 d"], ["999 ms", "36501 d"]),
    ] {
        let variable = key(name).env();
        for text in inside {
            load(&env(&[(&variable, text)]));
        }
        for text in outside {
            refused(&env(&[(&variable, text)]), &[name, " from ", " to "]);
        }
    }
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let (dir, mut sources) = file("c.toml", "[uploads]\nper_user = 2\n[log]\nlevel = 'warn'\n[limits]\nkeywords = 3\n");
    sources.env = env(&[("VIX_REGISTRY_LOG_LEVEL", "debug"), ("VIX_REGISTRY_LIMITS_KEYWORDS", "4")]).env;
    sources.flags = vec![("limits.keywords".to_owned(), "5".to_owned())];
    let loaded = load(&sources);
    let place = |line: usize| format!("{}:{line}", dir.path().join("c.toml").display());
    assert_eq!(shown(&loaded, "uploads.per_user"), ("2".to_owned(), place(2)));
    assert_eq!(shown(&loaded, "log.level"), ("debug".to_owned(), "env VIX_REGISTRY_LOG_LEVEL".to_owned()));
    assert_eq!(shown(&loaded, "limits.keywords"), ("5".to_owned(), "flag".to_owned()));
    assert_eq!(shown(&loaded, "http.listen").1, "default");
    assert_eq!(loaded.file, Some(dir.path().join("c.toml")));
    assert_eq!(*loaded.origin(key("log.level")), Origin::Env("VIX_REGISTRY_LOG_LEVEL".to_owned()));
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let (_dir, mut sources) = file("c.toml", "public_url = 'https://a.example'\n");
    sources.env = env(&[("VIX_REGISTRY_PUBLIC_URL", ""), ("VIX_REGISTRY_CONFIG", ""), ("PATH", "/bin")]).env;
    assert_eq!(load(&sources).config.public_url.as_deref(), Some("https://a.example"));
    sources.env = env(&[("VIX_REGISTRY_PUBLIC_URL", "none")]).env;
    assert_eq!(load(&sources).config.public_url, None);
}

#[test]
fn unknown_keys_and_variables_are_refused_with_a_suggestion() {
    for (text, hint) in [
        ("[http]\nlisten_on = 'x'", "unknown key `http.listen_on`"),
        ("[http]\nlisen = 'x'", "did you mean `http.listen`?"),
        ("[htp]\nlisten = 'x'", "did you mean `http`?"),
        ("publik_url = 'x'", "did you mean `public_url`?"),
        ("json_depth = 3", "did you mean `limits.json_depth`?"),
        ("colour = 'x'", "config show"),
        ("http = 'x'", "unknown key `http`"),
        ("[http.listen]\nport = 1", "`http.listen` can't be a table"),
    ] {
        let (_dir, sources) = file("c.toml", text);
        refused(&sources, &[hint, "c.toml:"]);
    }
    refused(&env(&[("VIX_REGISTRY_HTTP_LISEN", "hush")]), &["did you mean `VIX_REGISTRY_HTTP_LISTEN`?"]);
    let text = refused(&env(&[("VIX_REGISTRY_TOKEN", "hush")]), &["unknown environment variable `VIX_REGISTRY_TOKEN`"]);
    assert!(!text.contains("hush"), "{text}");
    let flags = vec![("log.leval".to_owned(), "x".to_owned())];
    refused(&Sources { flags, ..Sources::default() }, &["`log.leval` (flag)", "did you mean `log.level`?"]);
}

#[test]
fn values_of_the_wrong_kind_say_what_is_expected_and_where() {
    for (name, text, hint) in [
        ("c.toml", "anonymous_read = 'true'", "c.toml:1"),
        ("c.toml", "\n[limits]\nkeywords = '5'", "c.toml:3"),
        ("c.toml", "[login]\ntoken_ttl = 12", "can't be the number `12`"),
        ("c.toml", "[limits]\njson_bytes = 1.5", "a number with a fraction"),
        ("c.toml", "[http]\ntrusted_proxies = [1]", "can't be a list"),
        ("c.toml", "[cors]\norigins = ['*']", "name each origin"),
        ("c.json", r#"{"http":{"listen":8080}}"#, "such as `127.0.0.1:8080`"),
        ("c.json", r#"{"http":{"listen":null}}"#, "can't be `null`"),
        ("c.json", r#"{"log":{"level":"loud"}}"#, "one of `error`, `warn`, `info`, `debug`, `trace`"),
    ] {
        let (_dir, sources) = file(name, text);
        refused(&sources, &[hint, name]);
    }
    let many = vec!["'10.0.0.0/8'"; 257].join(",");
    let (_dir, sources) = file("c.toml", &format!("[http]\ntrusted_proxies = [{many}]"));
    refused(&sources, &["at most 256"]);
}

#[test]
fn all_problems_are_told_at_once_and_secrets_in_none() {
    let token = format!("vixr_{}", "a1".repeat(24));
    let sources = env(&[
        ("VIX_REGISTRY_LOG_LEVEL", &token),
        ("VIX_REGISTRY_PUBLIC_URL", "https://me:hush@host"),
        ("VIX_REGISTRY_ADMIN_TOKEN_FILE", &token),
    ]);
    let text = refused(&sources, &["`log.level`", "`public_url`", "`admin_token_file` can't be a token"]);
    assert!(!text.contains("a1a1") && !text.contains("hush"), "{text}");
}

#[test]
fn a_key_given_twice_in_one_source_is_refused() {
    let (_dir, sources) = file("c.toml", "port = 1\n[http]\nlisten = '127.0.0.1:2'\n");
    refused(&sources, &["`http.listen` is set twice", "c.toml:1", "c.toml:3"]);
    let (_dir, sources) = file("c.toml", "'http.listen' = '127.0.0.1:1'\n[http]\nlisten = '127.0.0.1:2'\n");
    refused(&sources, &["set twice"]);
    let flags = vec![("port".to_owned(), "1".to_owned()); 2];
    refused(&Sources { flags, ..Sources::default() }, &["set twice (flag and flag)"]);
}

#[test]
fn earlier_names_are_understood_with_a_warning() {
    for (text, name, expected) in [
        ("port = 9000", "http.listen", "127.0.0.1:9000"),
        ("log_level = 'warn'", "log.level", "warn"),
        ("request_timeout_ms = 1500", "http.request_timeout", "1 s 500 ms"),
        ("max_body_bytes = 1048576", "limits.artifact_bytes", "1 MiB"),
    ] {
        let (_dir, sources) = file("c.toml", text);
        let loaded = load(&sources);
        let (value, origin) = shown(&loaded, name);
        assert_eq!(value, expected);
        assert!(origin.ends_with("c.toml:1"), "{origin}");
        assert!(loaded.warnings.len() == 1 && loaded.warnings[0].contains(name), "{:?}", loaded.warnings);
    }
    for text in ["storage_backend = 'redb'", "data = 'reg'\nartifacts_dir = './reg/blobs'"] {
        let (_dir, sources) = file("c.toml", text);
        assert_eq!(load(&sources).warnings.len(), 1);
    }
    let loaded = load(&env(&[("VIX_REGISTRY_PORT", "9000")]));
    assert_eq!(shown(&loaded, "http.listen"), ("127.0.0.1:9000".to_owned(), "env VIX_REGISTRY_PORT".to_owned()));
    let (_dir, mut sources) = file("c.toml", "[http]\nlisten = '[::1]:1'\n");
    sources.env = env(&[("VIX_REGISTRY_PORT", "9000")]).env;
    assert_eq!(load(&sources).config.http.listen.to_string(), "[::1]:9000");
}

#[test]
fn earlier_names_refuse_what_has_no_meaning_any_more() {
    for (text, hint) in [
        ("port = 65536", "a port from 0 to 65535"),
        ("port = 'x'", "`port` can't be"),
        ("request_timeout_ms = '30 s'", "whole number of milliseconds"),
        ("request_timeout_ms = 1", "`http.request_timeout` can't be"),
        ("storage_backend = 'sqlite'", "one storage backend, `redb`"),
        ("artifacts_dir = '/srv/artifacts'", "part of the data directory"),
        ("artifacts_dir = 1", "it takes a path"),
    ] {
        let (_dir, sources) = file("c.toml", text);
        refused(&sources, &[hint, "c.toml:1"]);
    }
}

#[test]
fn the_file_is_looked_for_in_the_data_directory_and_its_paths_start_there() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let sources = Sources { data: Some(dir.path().to_owned()), ..Sources::default() };
    fs::write(dir.path().join("config.json"), r#"{"admin_token_file":"admin.token"}"#).expect("write");
    let loaded = load(&sources);
    assert_eq!(loaded.config.admin_token_file, Some(dir.path().join("admin.token")));
    assert_eq!(loaded.config.data, dir.path());

    fs::write(dir.path().join("config.json"), r#"{"data":"elsewhere"}"#).expect("write");
    assert_eq!(load(&sources).config.data, dir.path(), "a copied directory can be served with --data");
}

#[test]
fn a_named_file_must_be_there_and_may_name_the_data_directory() {
    refused(
        &Sources { file: Some("no-such-file.toml".into()), ..Sources::default() },
        &["`no-such-file.toml` can't be read"],
    );
    let (dir, mut sources) = file("c.toml", "data = 'reg'\n");
    assert_eq!(load(&sources).config.data, dir.path().join("reg"));
    let path = sources.file.take().expect("a file");
    sources.env = env(&[("VIX_REGISTRY_CONFIG", path.to_str().expect("UTF-8"))]).env;
    assert_eq!(load(&sources).file, Some(path));
    sources.data = Some("other".into());
    assert_eq!(shown(&load(&sources), "data"), ("other".to_owned(), "flag".to_owned()));
}

#[test]
fn a_credential_is_found_by_itself_unless_a_file_is_named() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let directory = dir.path().to_str().expect("UTF-8");
    let sources = env(&[("CREDENTIALS_DIRECTORY", directory)]);
    assert_eq!(load(&sources).config.admin_token_file, None);
    fs::write(dir.path().join("admin-token"), "x").expect("write");
    let loaded = load(&sources);
    assert_eq!(loaded.config.admin_token_file, Some(dir.path().join("admin-token")));
    assert_eq!(shown(&loaded, "admin_token_file").1, "credential admin-token");
    let sources = env(&[("CREDENTIALS_DIRECTORY", directory), ("VIX_REGISTRY_ADMIN_TOKEN_FILE", "/t")]);
    assert_eq!(load(&sources).config.admin_token_file, Some(PathBuf::from("/t")));
}

#[test]
fn what_is_allowed_but_dangerous_or_odd_is_warned_of() {
    let loaded = load(&env(&[("VIX_REGISTRY_HTTP_LISTEN", "0.0.0.0:8080")]));
    assert!(loaded.warnings.len() == 1 && loaded.warnings[0].contains("not encrypted"), "{:?}", loaded.warnings);
    let behind = [("VIX_REGISTRY_HTTP_LISTEN", "0.0.0.0:8080"), ("VIX_REGISTRY_HTTP_TRUSTED_PROXIES", "10.0.0.0/8")];
    assert_eq!(load(&env(&behind)).warnings, Vec::<String>::new());
    let loaded = load(&env(&[("VIX_REGISTRY_PORT", "tcp://10.0.0.1:80"), ("VIX_REGISTRY_SERVICE_HOST", "10.0.0.1")]));
    assert!(loaded.warnings[0].starts_with("2 variables of a Kubernetes service"), "{:?}", loaded.warnings);
    assert_eq!(loaded.config.http.listen.port(), 8080);
}

#[test]
fn the_sample_file_sets_every_key_to_its_default_once_its_lines_are_taken_in() {
    let taken: String = sample_toml()
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line).to_owned() + "\n")
        .collect();
    let (dir, sources) = file("c.toml", &taken);
    let loaded = load(&sources);
    let lines = loaded.render_show();
    assert!(lines.iter().all(|line| line.origin.contains("c.toml:")), "{lines:?}");
    let expected = Config { data: dir.path().join("./reg"), ..Config::defaults() };
    assert_eq!(loaded.config, expected);
    let (_dir, sources) = file("c.toml", &sample_toml());
    assert_eq!(load(&sources).config, Config::defaults());
}

#[test]
fn the_schema_names_every_key_and_earlier_name() {
    let schema = json_schema();
    for key in KEYS {
        let pointer = match key.split() {
            ("", name) => format!("/properties/{name}"),
            (section, name) => format!("/properties/{section}/properties/{name}"),
        };
        assert!(schema.pointer(&pointer).is_some_and(|found| found["description"].is_string()), "{pointer}");
    }
    for alias in ALIASES {
        assert_eq!(schema["properties"][alias.name]["deprecated"], true);
    }
}

/// Compares a committed file with what the table gives, or writes it when `VIXR_REFRESH` is set.
fn check_committed(path: &str, render: impl Fn(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let present = fs::read_to_string(&path).unwrap_or_default();
    let expected = render(&present);
    if std::env::var_os("VIXR_REFRESH").is_some() {
        fs::write(&path, expected).expect("write");
    } else {
        assert_eq!(present, expected, "{} is not what KEYS says: run once with VIXR_REFRESH=1", path.display());
    }
}

#[test]
fn the_committed_sample_is_the_table() {
    check_committed("packaging/config.sample.toml", |_| sample_toml());
}

#[test]
fn the_committed_documentation_holds_the_table() {
    check_committed("docs/configuration.md", |present| {
        let (before, rest) = present.split_once("<!-- keys -->\n").expect("the mark where the tables begin");
        let (_, after) = rest.split_once("<!-- /keys -->\n").expect("the mark where the tables end");
        format!("{before}<!-- keys -->\n{}\n<!-- /keys -->\n{after}", doc_tables())
    });
}

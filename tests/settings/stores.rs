//! `storage.*` and `downloads.*`.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::registry::{Check, Registry, see_each};
use crate::support::{Ask, Client};

pub(crate) const STORES: &[Check] = &[
    Check { key: "storage.queue", value: "1", see: queue },
    Check { key: "storage.cache_bytes", value: "3 MiB", see: cache_bytes },
    Check { key: "backup.dir", value: "backups", see: backup_dir },
    Check { key: "downloads.flush_interval", value: "10 ms", see: flush_interval },
];

pub(crate) const JOURNAL: &[Check] = &[
    Check { key: "storage.rotate_bytes", value: "4 KiB", see: rotate_bytes },
    Check { key: "storage.retention", value: "1 s", see: retention },
];

pub(crate) const LARGE: &[Check] =
    &[Check { key: "storage.journal_bytes_max", value: "1 MiB", see: journal_bytes_max }];

pub(crate) const FULL: &[Check] = &[Check { key: "storage.free_bytes_min", value: "1 TiB", see: free_bytes_min }];

#[test]
fn the_store_is_set_up_as_told() {
    see_each(STORES);
}

#[test]
fn the_journal_is_cut_into_logs_and_keeps_them_as_told() {
    see_each(JOURNAL);
}

#[test]
fn a_large_journal_cuts_the_retention_short() {
    let [Check { key, value, see }] = LARGE else { panic!("one key is looked at") };
    see(&mut Registry::start(&[(*key, *value), ("storage.rotate_bytes", "32 KiB")]));
}

#[test]
fn a_disk_with_less_room_than_is_to_be_kept_takes_nothing() {
    see_each(FULL);
}

/// Many writes at once find no place in a queue of one; the default has room for all.
fn queue(registry: &mut Registry) {
    let mut clients: Vec<Client> = (0..32).map(|_| registry.connect()).collect();
    for round in 0..50 {
        let asks = (0..clients.len()).map(|at| {
            let body = json!({"name": format!("p{round}x{at}")});
            Ask::json("POST", "/v1/packages", &body).token(&registry.pia)
        });
        for (client, ask) in clients.iter_mut().zip(asks) {
            let mut bytes = ask.head(client.address()).into_bytes();
            bytes.extend(ask.body.unwrap_or_default());
            client.write(&bytes);
        }
        let answers = clients.iter_mut().map(|client| client.answer("POST").expect("an answer"));
        let reasons: Vec<(u16, String)> = answers.map(|answer| (answer.status, answer.reason())).collect();
        let overloaded = (503, "overloaded".to_owned());
        assert!(reasons.iter().all(|one| one.0 == 201 || *one == overloaded), "{reasons:?}");
        if reasons.contains(&overloaded) {
            return;
        }
    }
    panic!("a queue of one took all writes");
}

/// How much memory the database takes can't be seen in what it answers; that the value is handed on to it is a unit
/// test of `cli::wire_up`.
fn cache_bytes(registry: &mut Registry) {
    let shown = registry.ok(&["config", "show"]);
    let line = shown.lines().find(|line| line.contains("cache_bytes")).unwrap_or_else(|| panic!("{shown}"));
    assert!(line.contains("3 MiB") && line.contains("VIX_REGISTRY_STORAGE_CACHE_BYTES"), "{line}");
}

fn flush_interval(registry: &mut Registry) {
    let began = Instant::now();
    // The queue of this server has one place, which its own flushes take now and then.
    while registry.put("counted", "1.0.0", "bytes").reason() == "overloaded" {
        assert!(began.elapsed() < Duration::from_secs(30), "the queue is never free");
    }
    registry.get("/v1/packages/counted/versions/1.0.0/artifact").expect(200);
    let mut client = registry.connect();
    let ask = Ask::get("/v1/packages/counted/versions/1.0.0").token(&registry.pia);
    while client.ask(&ask).expect(200).data()["downloads"] != 1 {
        assert!(began.elapsed() < Duration::from_secs(30), "the download is not written down");
    }
}

/// A backup comes to stand in the folder, if that is there.
fn backup_dir(registry: &mut Registry) {
    let began = Instant::now();
    let ask = Ask::json("POST", "/v1/admin/backup", &json!({"name": "one"})).token(&registry.admin);
    let folder = registry.path("backups");
    std::fs::create_dir(&folder).expect("a folder");
    let mut answer = registry.ask(&ask);
    // The queue of this server has one place.
    while answer.reason() == "overloaded" {
        assert!(began.elapsed() < Duration::from_secs(30), "the queue is never free");
        answer = registry.ask(&ask);
    }
    let job = answer.expect(202).data()["id"].as_str().expect("an id").to_owned();
    while !folder.join("one").exists() {
        let told = registry.ask(&Ask::get(&format!("/v1/admin/jobs/{job}")).token(&registry.admin)).expect(200).data();
        assert_ne!(told["state"], "failed", "{told}");
        assert!(began.elapsed() < Duration::from_secs(30), "{told}");
    }
}

/// The names in `journal/` with this ending; of files that are more than the note of what was there.
fn journal(registry: &Registry, ending: &str) -> Vec<String> {
    let folder = registry.place.data().join("journal");
    let mut names = crate::program::names(&folder);
    names.retain(|name| {
        let is_whole = std::fs::metadata(folder.join(name)).is_ok_and(|file| file.len() > NOTE_BYTES_MAX);
        name.ends_with(ending) && is_whole
    });
    names
}

/// Longer than any note under the name of a removed file.
const NOTE_BYTES_MAX: u64 = 100;

/// Publishes until `seen`.
fn publish_until(registry: &Registry, package: &str, mut seen: impl FnMut() -> bool) {
    let began = Instant::now();
    for number in 0.. {
        if seen() {
            return;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "nothing came of {number} versions");
        registry.put(package, &format!("{number}.0.0"), "bytes").expect(201);
    }
}

fn rotate_bytes(registry: &mut Registry) {
    publish_until(registry, "rotated", || !journal(registry, ".snap").is_empty());
    assert!(journal(registry, ".log").len() > 1);
}

/// The first log goes once a snapshot that replaces it has stood for the second.
fn retention(registry: &mut Registry) {
    publish_until(registry, "retained", || {
        !journal(registry, ".log").iter().any(|name| name.starts_with("0000000001."))
    });
}

/// The retention in force is told by those who show how the journal stands.
fn journal_bytes_max(registry: &mut Registry) {
    let storage = |registry: &Registry| {
        let stats = registry.ask(&Ask::get("/v1/admin/stats").token(&registry.admin)).expect(200).json();
        stats["meta"]["storage"].clone()
    };
    assert_eq!(storage(registry)["retention_s"], 24 * 3600);
    publish_until(registry, "large", || storage(registry)["retention_s"] == 3600);
    assert!(storage(registry)["journal_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20));
}

fn free_bytes_min(registry: &mut Registry) {
    let stats = registry.ask(&Ask::get("/v1/admin/stats").token(&registry.admin)).expect(200).data();
    let free = stats["disk_free_bytes"].as_u64().expect("a number");
    if free >= 1 << 40 {
        eprintln!("not seen: this disk has more room than `storage.free_bytes_min` can keep");
        return;
    }
    registry.put("gk/jwt", "1.0.0", "bytes").refused(507, "storage_full");
}

//! Long works: begun, watched, refused, forgotten.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vix_registry::domain::change::Change;
use vix_registry::domain::event::{Event, Fact, Log, Owned};
use vix_registry::domain::name::NamespaceName;
use vix_registry::services::Policy;

use crate::support::personas::{HIDDEN, OTHERS, PUBLIC, VERSION, people, user_id, world_bytes};
use crate::support::{Ask, Persona, Server, Setup};

const PATIENCE: Duration = Duration::from_mins(1);

fn post(path: &str, body: &Value) -> Ask {
    Ask::json("POST", path, body).token(&Persona::Admin.token())
}

fn verify() -> Ask {
    Ask::new("POST", "/v1/admin/verify").token(&Persona::Admin.token())
}

/// A registry with packages whose state is what its event log tells, and a folder for backups.
fn registry() -> (Server, tempfile::TempDir) {
    let backups = tempfile::tempdir().expect("a directory");
    let policy = Policy { backup_dir: Some(backups.path().to_owned()), ..Policy::default() };
    let server = Server::with(Setup { policy, ..Setup::default() });
    people(&server);
    for (name, owner) in [("gk", "owner"), ("others", "other")] {
        let namespace = NamespaceName::parse(name).expect("a name");
        let added = Fact::OwnerAdded { of: Owned::Namespace(namespace.clone()), owner: user_id(owner) };
        let event = |fact| Change::Event(Event { log: Log::Public, time: server.now(), fact });
        server.seed(vec![event(Fact::NamespaceCreated { namespace }), event(added)]);
    }
    for (package, by, visibility) in [
        (PUBLIC, Persona::Owner, "public"),
        (HIDDEN, Persona::Owner, "private"),
        (OTHERS, Persona::OtherOwner, "public"),
    ] {
        let path = format!("/v1/packages/{package}/versions/{VERSION}?create=true&visibility={visibility}");
        server.put(&path, &by.token(), world_bytes(package)).expect(201);
    }
    (server, backups)
}

/// Begins a job and waits for its end.
#[track_caller]
fn ended(server: &Server, ask: &Ask) -> Value {
    let begun = server.ask(ask).expect(202);
    let id = begun.data()["id"].as_str().expect("an id").to_owned();
    assert_eq!(begun.header("location"), format!("/v1/admin/jobs/{id}"));
    end_of(server, &id)
}

#[track_caller]
fn end_of(server: &Server, id: &str) -> Value {
    let mut client = server.connect();
    let ask = Ask::get(&format!("/v1/admin/jobs/{id}")).token(&Persona::Admin.token());
    let begun = Instant::now();
    loop {
        let job = client.ask(&ask).expect(200).data();
        if ["done", "failed"].contains(&job["state"].as_str().expect("a state")) {
            assert!(job["finished_at"].is_string() && (job["result"].is_null() != job["error"].is_null()), "{job}");
            return job;
        }
        assert!(job["finished_at"].is_null() && job["result"].is_null(), "{job}");
        assert!(begun.elapsed() < PATIENCE, "{job}");
    }
}

/// What the audit says of works, oldest first.
fn audited(server: &Server) -> Vec<(String, Value, Value)> {
    let mut lines: Vec<Value> = server.pages("/v1/audit", &Persona::Admin.token());
    lines.retain(|line| line["action"].as_str().is_some_and(|action| action.starts_with("admin.")));
    lines.reverse();
    let text = |line: &Value| line["action"].as_str().unwrap_or_default().to_owned();
    lines.iter().map(|line| (text(line), line["target"].clone(), line["outcome"].clone())).collect()
}

#[test]
fn a_verification_reads_everything_and_is_remembered() {
    let (mut server, _backups) = registry();
    let stats = |server: &Server| server.get("/v1/admin/stats", &Persona::Admin.token()).expect(200);
    assert_eq!(stats(&server).data()["last_verify_at"], Value::Null);
    let job = ended(&server, &verify());
    assert_eq!((&job["kind"], &job["state"], &job["error"]), (&"verify".into(), &"done".into(), &Value::Null));
    assert_eq!(job["result"]["findings"], json!([]), "{job}");
    assert!(job["result"]["blobs"].as_u64().is_some_and(|blobs| blobs > 0), "{job}");
    let told = stats(&server);
    assert_eq!(told.data()["last_verify_at"], job["finished_at"]);
    assert_eq!(told.json()["meta"]["storage"]["verify"]["outcome"], "ok");
    assert_eq!(audited(&server), [("admin.verify".to_owned(), Value::Null, "ok".into())]);
    server.restart();
    assert_eq!(stats(&server).data()["last_verify_at"], job["finished_at"], "it outlives the process");
    let id = job["id"].as_str().expect("an id");
    server.get(&format!("/v1/admin/jobs/{id}"), &Persona::Admin.token()).refused(404, "job_not_found");
    assert!(server.pages("/v1/admin/jobs", &Persona::Admin.token()).is_empty());
}

#[test]
fn a_damaged_artifact_is_found_and_named() {
    let (server, _backups) = registry();
    let files = server.stored_files();
    let file = files.iter().find(|file| file.starts_with(server.data().join("blobs"))).expect("an artifact");
    let mut bytes = std::fs::read(file).expect("it can be read");
    bytes[0] ^= 1;
    std::fs::remove_file(file).and_then(|()| std::fs::write(file, bytes)).expect("it can be written");
    let job = ended(&server, &verify());
    let findings = job["result"]["findings"].as_array().expect("a list");
    let name = file.strip_prefix(server.data()).expect("it is below").to_str().expect("text");
    assert_eq!((job["state"].as_str(), findings.len()), (Some("done"), 1), "{job}");
    assert_eq!(findings[0]["file"], name);
    assert!(findings[0]["what"].is_string() && findings[0]["fix"].is_string());
}

#[test]
fn one_of_a_kind_runs_at_a_time() {
    let (server, _backups) = registry();
    let mut client = server.connect();
    let mut refused = 0;
    for _ in 0..200 {
        let answer = client.ask(&verify());
        match answer.status {
            202 => {}
            409 => {
                assert_eq!(answer.reason(), "job_running");
                refused += 1;
            }
            status => panic!("{status}: {}", answer.text()),
        }
        if refused > 3 {
            return;
        }
    }
    panic!("200 verifications at once, and none waited for another");
}

#[test]
fn jobs_are_listed_newest_first_in_pages() {
    let (server, _backups) = registry();
    let ids: Vec<Value> = (0..5).map(|_| ended(&server, &verify())["id"].clone()).collect();
    let listed = server.pages("/v1/admin/jobs?limit=2", &Persona::Admin.token());
    let listed: Vec<Value> = listed.iter().map(|job| job["id"].clone()).rev().collect();
    assert_eq!(listed, ids);
}

#[test]
fn a_job_goes_on_when_who_asked_for_it_hangs_up() {
    let (server, _backups) = registry();
    let mut client = server.connect();
    let ask = verify();
    client.write(ask.head(client.address()).as_bytes());
    drop(client);
    let begun = Instant::now();
    let job = loop {
        let jobs = server.pages("/v1/admin/jobs", &Persona::Admin.token());
        if let Some(job) = jobs.first() {
            break job["id"].as_str().expect("an id").to_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "the job was never begun");
    };
    assert_eq!(end_of(&server, &job)["state"], "done");
}

#[test]
fn a_server_that_stops_stops_its_jobs() {
    let (mut server, _backups) = registry();
    server.ask(&verify()).expect(202);
    server.stop();
}

#[test]
fn a_backup_is_made_under_the_configured_folder_once() {
    let (server, backups) = registry();
    let job = ended(&server, &post("/v1/admin/backup", &json!({"name": "monday"})));
    assert_eq!((&job["kind"], &job["state"]), (&"backup".into(), &"done".into()), "{job}");
    assert_eq!(job["result"]["name"], "monday");
    assert!(job["result"]["blobs"].as_u64().is_some_and(|blobs| blobs > 0), "{job}");
    let names: Vec<_> = std::fs::read_dir(backups.path()).expect("a directory").collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(backups.path().join("monday/journal").is_dir());
    server.ask(&post("/v1/admin/backup", &json!({"name": "monday"}))).refused(412, "already_exists");
    let stats = server.get("/v1/admin/stats", &Persona::Admin.token()).expect(200).data();
    assert_eq!(stats["last_backup_at"], job["finished_at"]);
    assert_eq!(audited(&server), [("admin.backup".to_owned(), "monday".into(), "ok".into())]);
}

#[test]
fn a_backup_goes_nowhere_else() {
    let (server, backups) = registry();
    for name in ["", "..", "../x", "/var/x", "a/b", ".hidden", "x.partial"] {
        server.ask(&post("/v1/admin/backup", &json!({"name": name}))).refused(400, "invalid_field");
    }
    server.ask(&post("/v1/admin/backup", &json!({}))).refused(400, "missing_field");
    server.ask(&post("/v1/admin/backup", &json!({"name": "x", "dir": "/var"}))).refused(400, "unknown_field");
    assert_eq!(std::fs::read_dir(backups.path()).expect("a directory").count(), 0);
    let without = Server::start();
    people(&without);
    let refused = without.ask(&post("/v1/admin/backup", &json!({"name": "x"})));
    assert!(refused.text().contains("backup.dir"), "{}", refused.text());
    refused.refused(400, "invalid_field");
    assert!(without.pages("/v1/admin/jobs", &Persona::Admin.token()).is_empty());
}

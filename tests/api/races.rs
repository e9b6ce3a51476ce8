//! Many at once (API.md section 4: of N concurrent publishes of one version exactly one gets 201).

use std::sync::Barrier;

use vix_registry::domain::digest::Sha256;

use crate::support::personas::people;
use crate::support::{Ask, Persona, Server};

const CLIENTS: usize = 64;

/// Publishes one version from all clients at once, and returns the statuses, sorted, with the digest that won.
fn race(server: &Server, body: impl Fn(usize) -> Vec<u8> + Sync) -> (Vec<u16>, String) {
    let path = "/v1/packages/fresh/jwt/versions/1.0.0?create=true";
    let start = Barrier::new(CLIENTS);
    let mut answers: Vec<(u16, String)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let ask = Ask::put(path, body(client)).token(&Persona::Owner.token());
                let start = &start;
                scope.spawn(move || {
                    let mut connection = server.connect();
                    start.wait();
                    let answer = connection.ask(&ask);
                    assert!(answer.status < 400 || answer.reason() == "version_exists", "{}", answer.text());
                    let sha256 = answer.json()["data"]["sha256"].as_str().unwrap_or("").to_owned();
                    (answer.status, sha256)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    answers.sort();
    let winner = answers.iter().find(|(status, _)| *status == 201).expect("a winner").1.clone();
    (answers.into_iter().map(|(status, _)| status).collect(), winner)
}

fn check(same_bytes: bool, loser: u16) {
    let mut server = Server::start();
    people(&server);
    let body = |client: usize| format!("artifact {:04}", if same_bytes { 0 } else { client }).into_bytes();
    let (statuses, winner) = race(&server, body);
    let mut expected = vec![loser; CLIENTS - 1];
    expected.push(201);
    expected.sort_unstable();
    assert_eq!(statuses, expected);
    for _ in 0..2 {
        let files = server.stored_files();
        assert_eq!(files.len(), 1, "one artifact is left: {files:?}");
        assert!(files[0].to_string_lossy().ends_with(&winner));
        let fetched = server.get("/v1/packages/fresh/jwt/versions/1.0.0/artifact", "").expect(200);
        assert_eq!(Sha256::of(&fetched.body).to_string(), winner);
        let list = server.get("/v1/packages/fresh/jwt/versions", "").expect(200).data();
        assert_eq!(list.as_array().map(Vec::len), Some(1));
        server.restart();
    }
}

#[test]
fn of_many_publishes_of_the_same_bytes_one_creates_and_the_rest_are_told_so() {
    check(true, 200);
}

#[test]
fn of_many_publishes_of_different_bytes_one_creates_and_the_rest_conflict() {
    check(false, 409);
}

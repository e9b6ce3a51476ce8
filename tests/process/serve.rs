//! `serve`: from its line on stdout to its exit code.

use std::io::Write as _;
use std::net::TcpStream;

use rustix::process::Signal;

use crate::program::{Ended, PATIENCE, Place, Server, holds_token};

#[test]
fn it_says_where_it_listens_answers_and_ends_well_when_told_to() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        let server = place.serve();
        assert!(!server.address.ends_with(":0"), "{}", server.address);
        assert_eq!(server.request("GET", "/health", None, b"").0, 200);
        assert_eq!(server.request("GET", "/readyz", None, b"").0, 200);
        server.process.signal(signal);
        let ended = server.process.end();
        assert_eq!((ended.code(), ended.stdout.as_str()), (0, ""), "one line on stdout, which was read: {ended:?}");
        assert!(!place.data().join("run/admin.sock").exists());
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let place = Place::new();
        let server = place.serve();
        let token = place.ok(&["token", "create", "--user", "pia", "--scope", "publish"]);
        // A publish that never ends keeps the server from draining.
        let mut upload = TcpStream::connect(&server.address).expect("it accepts");
        let head = format!(
            "PUT /v1/packages/gk/jwt/versions/1.0.0?create=true HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n"
        );
        upload.write_all(head.as_bytes()).expect("it reads");
        let mut asked = [0; 12];
        std::io::Read::read_exact(&mut upload, &mut asked).expect("it asks for the body");
        assert_eq!(&asked, b"HTTP/1.1 100");
        server.process.signal(signal);
        server.process.stderr_line("stopping");
        server.process.signal(signal);
        assert_eq!(server.process.end().code(), code);
        assert_eq!(place.serve().stop().code(), 0, "the data is whole");
    }
}

#[test]
fn the_service_manager_is_told_when_it_is_ready_and_when_it_stops() {
    let place = Place::new();
    let path = place.path("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let told = || {
        let mut text = [0; 64];
        let length = manager.recv(&mut text).expect("the manager is told");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::start(command.env("NOTIFY_SOCKET", &path));
    assert_eq!(told(), "READY=1\n");
    server.stop();
    assert_eq!(told(), "STOPPING=1\n");
}

#[test]
fn a_second_server_on_the_directory_is_told_who_has_it() {
    let place = Place::new();
    let server = place.serve();
    let second = place.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!((second.code(), second.stdout.as_str()), (11, ""), "{second:?}");
    assert!(second.stderr.contains(&format!("process {}", server.process.pid())), "{second:?}");
    assert_eq!(server.request("GET", "/health", None, b"").0, 200);
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_opened() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let ended = place.run(&["serve", "--listen", &address]);
    assert_eq!(ended.code(), 1);
    assert!(ended.stderr.contains("error[listen]") && ended.stderr.contains("--listen"), "{ended:?}");
    assert!(!place.data().join("meta.redb").exists());
}

#[test]
fn a_killed_server_leaves_nothing_in_the_way() {
    let place = Place::new();
    let server = place.serve();
    let token = place.ok(&["token", "create", "--user", "pia", "--scope", "publish"]);
    let path = "/v1/packages/gk/jwt/versions/1.0.0";
    assert_eq!(server.request("PUT", &format!("{path}?create=true"), Some(&token), b"bytes").0, 201);
    server.kill();
    assert!(place.data().join("run/admin.sock").exists(), "a dead socket is left");
    assert!(place.ok(&["package", "list"]).contains("gk/jwt"), "verbs open the directory themselves");
    let server = place.serve();
    assert_eq!(server.request("GET", &format!("{path}/artifact"), None, b""), (200, "bytes".to_owned()));
    assert_eq!(server.me(&token), 200);
    server.stop();
}

#[test]
fn what_it_logs_holds_no_token() {
    let place = Place::new();
    let server = place.serve();
    let token = place.ok(&["token", "create", "--user", "pia", "--scope", "admin"]);
    assert_eq!(server.me(&token), 200);
    assert_eq!(server.request("GET", &format!("/v1/{token}"), Some(&token), b"").0, 404);
    let ended = server.stop();
    assert!(ended.stderr.contains("/v1/me"), "{ended:?}");
    assert!(!holds_token(&ended.stderr), "{ended:?}");
}

#[test]
fn wrong_settings_are_refused_with_a_suggestion() {
    let place = Place::new();
    let mut mistyped = place.command(&["serve"]);
    let ended = Ended::of(mistyped.env("VIX_REGISTRY_HTTP_LISEN", "127.0.0.1:0"), "");
    assert_eq!(ended.code(), 2);
    assert!(ended.stderr.contains("VIX_REGISTRY_HTTP_LISTEN"), "{ended:?}");
    std::fs::write(place.path("c.toml"), "[http]\nlisen = \"127.0.0.1:0\"\n").expect("a file");
    let ended = place.run(&["serve", "--config", "c.toml"]);
    assert_eq!(ended.code(), 2);
    assert!(ended.stderr.contains("http.listen"), "{ended:?}");
    assert!(!place.data().exists(), "nothing was made");
}

//! kill -9 of the program at random moments while clients publish, yank and purge; small logs and a short retention, so
//! that rotations, snapshots and removals are cut off too. The oracle is what clients were answered: each 2xx is there
//! afterwards, and nothing that nobody asked for.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;
use vix_registry::domain::digest::Sha256;

use crate::program::{PATIENCE, Place, Server};

const CLIENTS: usize = 6;
/// Kills of the gate and of a campaign.
const KILLS: (usize, usize) = (6, 200);
/// A server is killed after at most so many answers.
const ANSWERS_MAX: usize = 120;
/// Versions whose bytes are read after each kill; all others are looked up.
const READ: usize = 12;

/// A generator of pseudo-random numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound as u64).expect("less than bound")
    }
}

/// What a version may be after a kill; absent from the model: nobody asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Absent,
    There,
    Yanked,
    Purged,
}

/// What is known of a version: the states that it may have. More than one after an answer that never came.
type Model = BTreeMap<(usize, usize), Vec<State>>;

#[derive(Clone, Copy, Debug)]
enum Deed {
    Publish,
    Yank,
    Unyank,
    Purge,
}

fn name(client: usize) -> String {
    format!("kill/p{client}")
}

fn path(client: usize, version: usize) -> String {
    format!("/v1/packages/{}/versions/{version}.0.0", name(client))
}

/// Every fourth version has the bytes of another package's.
fn bytes(client: usize, version: usize) -> Vec<u8> {
    let of = if version.is_multiple_of(4) { 0 } else { client };
    format!("{of} {version} ").repeat(400 + version % 50).into_bytes()
}

impl Deed {
    fn draw(random: &mut Random, known: &[State]) -> Option<Self> {
        let [state] = known else { return None };
        match state {
            State::Absent => Some(Self::Publish),
            State::There if random.below(8) == 0 => Some(Self::Purge),
            State::There => Some(Self::Yank),
            State::Yanked => Some(Self::Unyank),
            State::Purged => None,
        }
    }

    fn result(self) -> State {
        match self {
            Self::Publish | Self::Unyank => State::There,
            Self::Yank => State::Yanked,
            Self::Purge => State::Purged,
        }
    }

    fn send(self, at: &Door<'_>, client: usize, version: usize) -> io::Result<u16> {
        let path = path(client, version);
        let patch = |yanked: bool| at.ask("PATCH", &path, at.token, format!("{{\"yanked\":{yanked}}}").as_bytes());
        let (status, body) = match self {
            Self::Publish => at.ask("PUT", &format!("{path}?create=true"), at.token, &bytes(client, version))?,
            Self::Yank => patch(true)?,
            Self::Unyank => patch(false)?,
            Self::Purge => at.ask("DELETE", &path, at.admin, b"")?,
        };
        assert!(status < 500 || status == 503, "{self:?} {path}: {status} {}", String::from_utf8_lossy(&body));
        Ok(status)
    }
}

/// How to reach a server that may be gone at any moment.
struct Door<'a> {
    address: &'a str,
    token: &'a str,
    admin: &'a str,
}

impl Door<'_> {
    fn ask(&self, method: &str, path: &str, token: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let kind = if method == "PATCH" { "content-type: application/json\r\n" } else { "" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{kind}authorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let status = answer.get(9..12).and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
        // An answer that broke off in its head is none.
        let (Some(end), Some(status)) = (end, status) else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        Ok((status, answer.split_off(end + 4)))
    }
}

/// Works until the server is gone; answers with what it then knows of its versions.
fn work(client: usize, door: &Door<'_>, seed: u64, mut model: Model, answered: &AtomicUsize) -> Model {
    let mut random = Random(seed);
    loop {
        let next = model.keys().map(|(_, version)| version + 1).max().unwrap_or(1);
        // A new version half of the time, else one of the last few.
        let version = if random.below(2) == 0 { next } else { next.saturating_sub(1 + random.below(6)).max(1) };
        let known = model.get(&(client, version)).cloned().unwrap_or_else(|| vec![State::Absent]);
        let Some(deed) = Deed::draw(&mut random, &known) else {
            model.entry((client, next)).or_insert_with(|| vec![State::Absent]);
            continue;
        };
        match deed.send(door, client, version) {
            Ok(status) if status < 300 => drop(model.insert((client, version), vec![deed.result()])),
            // Refused: nothing was changed.
            Ok(_) => drop(model.insert((client, version), known)),
            Err(_) => {
                model.insert((client, version), [known, vec![deed.result()]].concat());
                return model;
            }
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Looks every version up and narrows down what was not known.
fn check(server: &Server, door: &Door<'_>, random: &mut Random, model: &mut Model, at: &str) {
    let highest = model.keys().map(|(_, version)| *version).max().unwrap_or(0);
    for client in 0..CLIENTS {
        for version in 1..=highest + 1 {
            let path = path(client, version);
            let (status, body) = door.ask("GET", &path, door.token, b"").expect("the server answers");
            let found = match status {
                200 => {
                    let body: Value = serde_json::from_slice(&body).expect("JSON");
                    let digest = Sha256::of(&bytes(client, version)).to_hex();
                    assert_eq!(body["data"]["sha256"], Value::from(digest), "{at}: {path}: {body}");
                    if body["data"]["yanked"] == true { State::Yanked } else { State::There }
                }
                404 => State::Absent,
                410 => State::Purged,
                _ => panic!("{at}: {path}: {status} {}", String::from_utf8_lossy(&body)),
            };
            let may_be = model.get(&(client, version)).cloned().unwrap_or_else(|| vec![State::Absent]);
            assert!(may_be.contains(&found), "{at}: {path} is {found:?} and may be {may_be:?}");
            model.insert((client, version), vec![found]);
        }
    }
    let there: Vec<_> =
        model.iter().filter(|(_, known)| matches!(known.as_slice(), [State::There | State::Yanked])).collect();
    for _ in 0..READ.min(there.len()) {
        let ((client, version), _) = there[random.below(there.len())];
        let path = format!("{}/artifact", path(*client, *version));
        let (status, body) = door.ask("GET", &path, door.token, b"").expect("the server answers");
        assert!(status == 200 && body == bytes(*client, *version), "{at}: {path}: {status}, {} bytes", body.len());
    }
    assert_eq!(server.me(door.token), 200, "{at}");
}

#[test]
fn whatever_was_acknowledged_is_there_after_kill_9_at_any_moment() {
    let long = std::env::var("VIXR_TEST_BUDGET").is_ok_and(|budget| budget == "long");
    let kills = if long { KILLS.1 } else { KILLS.0 };
    let given = std::env::var("VIXR_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = given.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 0x9E37);
    eprintln!("kill9: VIXR_TEST_SEED={seed}, {kills} kills (VIXR_TEST_BUDGET=long for {})", KILLS.1);
    let mut random = Random(seed);
    let place = Place::new();
    let token = place.ok(&["token", "create", "--user", "pia", "--scope", "publish"]);
    let admin = place.ok(&["token", "create", "--user", "ada", "--scope", "admin"]);
    let mut model = Model::new();
    let mut total = 0;
    for kill in 1..=kills {
        let at = format!("VIXR_TEST_SEED={seed}, kill {kill}");
        let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("VIX_REGISTRY_STORAGE_ROTATE_BYTES", "4 KiB").env("VIX_REGISTRY_STORAGE_RETENTION", "1 s");
        let server = Server::start(&mut command);
        let address = server.address.clone();
        let door = Door { address: &address, token: &token, admin: &admin };
        check(&server, &door, &mut random, &mut model, &at);
        let answered = AtomicUsize::new(0);
        let (enough, seeds) =
            (1 + random.below(ANSWERS_MAX), [(); CLIENTS].map(|()| random.below(usize::MAX) as u64 | 1));
        let learned: Vec<Model> = thread::scope(|scope| {
            let workers: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let own = model.iter().filter(|((of, _), _)| *of == client);
                    let own: Model = own.map(|(key, known)| (*key, known.clone())).collect();
                    let (door, answered, seed) = (&door, &answered, seeds[client]);
                    scope.spawn(move || work(client, door, seed, own, answered))
                })
                .collect();
            while answered.load(Ordering::Relaxed) < enough {
                thread::yield_now();
            }
            server.kill();
            workers.into_iter().map(|worker| worker.join().expect("a client")).collect()
        });
        model.extend(learned.into_iter().flatten());
        total += answered.into_inner();
    }
    let server = place.serve();
    let address = server.address.clone();
    let door = Door { address: &address, token: &token, admin: &admin };
    check(&server, &door, &mut random, &mut model, &format!("VIXR_TEST_SEED={seed}, at the end"));
    server.stop();
    let there = model.values().filter(|known| matches!(known.as_slice(), [State::There | State::Yanked])).count();
    eprintln!("kill9: {total} answers, {there} versions there, none lost");
}

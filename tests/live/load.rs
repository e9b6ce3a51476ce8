//! Publishers, yankers and purgers that write down what they were told, and when.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::http::{Ask, Connection};

/// Small pools make the same bytes come again and again.
const CONTENTS: usize = 48;
const VERSIONS_PER_PACKAGE: u64 = 40;
/// How long a client rests between two steps.
const PACE: Duration = Duration::from_millis(150);

/// What a version is like after a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Absent,
    There { content: usize, yanked: bool },
    Purged,
}

/// One step of one version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) after: State,
    pub(crate) sent_at: Instant,
    /// When it was acknowledged; never, when the server went away meanwhile.
    pub(crate) done_at: Option<Instant>,
}

/// A package and a version.
pub(crate) type Key = (String, String);

/// What was done to each version, in order.
pub(crate) type History = BTreeMap<Key, Vec<Step>>;

/// What a worker works with.
struct Worker<'l> {
    history: &'l Mutex<History>,
    connection: Connection,
}

/// Where the server listens now, and everything that the workers did.
pub(crate) struct Load {
    address: RwLock<String>,
    token: String,
    stop: AtomicBool,
    histories: Vec<Mutex<History>>,
}

/// The bytes of a content: from 200 bytes to some tens of kilobytes.
pub(crate) fn content(number: usize) -> Vec<u8> {
    let length = 200 + (number * number * 37) % 40_000;
    let mut random = Random(number as u64 + 1);
    (0..length).map(|_| random.next().to_le_bytes()[0]).collect()
}

/// A small generator of pseudo-random numbers (xorshift64*).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound.max(1)
    }
}

impl Load {
    pub(crate) fn new(address: &str, token: &str, workers: usize) -> Self {
        let histories = (0..workers).map(|_| Mutex::default()).collect();
        Self {
            address: RwLock::new(address.to_owned()),
            token: token.to_owned(),
            stop: AtomicBool::new(false),
            histories,
        }
    }

    /// The server listens elsewhere from now on.
    pub(crate) fn moved(&self, address: &str) {
        address.clone_into(&mut self.address.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Everything that was done so far.
    pub(crate) fn history(&self) -> History {
        let mut all = History::new();
        for history in &self.histories {
            all.extend(history.lock().unwrap_or_else(PoisonError::into_inner).clone());
        }
        all
    }

    /// How many steps were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.history().values().flatten().filter(|step| step.done_at.is_some()).count()
    }

    /// Works until it is stopped. A worker alone writes to its own packages.
    pub(crate) fn work(&self, worker: usize, seed: u64) {
        let mut random = Random(seed ^ (worker as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut own = Worker { history: &self.histories[worker], connection: Connection::default() };
        let mut published: u64 = 0;
        while !self.stop.load(Ordering::Relaxed) {
            // A rate at which a copy sees many writes, and the history can still be compared whole many times.
            std::thread::park_timeout(PACE);
            if published == 0 || random.below(10) < 6 {
                let package = format!("load/w{worker}-{}", published / VERSIONS_PER_PACKAGE);
                let version = format!("1.{}.0", published % VERSIONS_PER_PACKAGE);
                let number = usize::try_from(random.below(CONTENTS as u64)).unwrap_or(0);
                self.publish(&mut own, &(package, version), number);
                published += 1;
            } else {
                let one = random.below(published).max(published.saturating_sub(200));
                let one = if one < published { one } else { published - 1 };
                let key = (
                    format!("load/w{worker}-{}", one / VERSIONS_PER_PACKAGE),
                    format!("1.{}.0", one % VERSIONS_PER_PACKAGE),
                );
                self.touch(&mut own, &key, &mut random);
            }
        }
    }

    fn publish(&self, worker: &mut Worker<'_>, key: &Key, number: usize) {
        let path = format!("/v1/packages/{}/versions/{}?create=true", key.0, key.1);
        let ask = Ask { method: "PUT", path: &path, body: &content(number) };
        self.step(worker, key, &ask, State::There { content: number, yanked: false });
    }

    fn touch(&self, worker: &mut Worker<'_>, key: &Key, random: &mut Random) {
        let last = {
            let history = worker.history.lock().unwrap_or_else(PoisonError::into_inner);
            let steps = history.get(key).map(Vec::as_slice).unwrap_or_default();
            // What may or may not have happened is left alone, so that every state is known.
            if steps.iter().any(|step| step.done_at.is_none()) {
                return;
            }
            steps.last().map(|step| step.after)
        };
        let Some(State::There { content, yanked }) = last else { return };
        let path = format!("/v1/packages/{}/versions/{}", key.0, key.1);
        if random.below(4) == 0 {
            let path = format!("{path}?reason=test");
            self.step(worker, key, &Ask { method: "DELETE", path: &path, body: b"" }, State::Purged);
        } else {
            let body = if yanked { r#"{"yanked":false}"# } else { r#"{"yanked":true}"# };
            let ask = Ask { method: "PATCH", path: &path, body: body.as_bytes() };
            self.step(worker, key, &ask, State::There { content, yanked: !yanked });
        }
    }

    /// Sends what leads to a state, and writes down when that was and whether it was acknowledged.
    fn step(&self, worker: &mut Worker<'_>, key: &Key, ask: &Ask<'_>, after: State) {
        let Worker { history, connection } = worker;
        let address = self.address.read().unwrap_or_else(PoisonError::into_inner).clone();
        let begun = Step { after, sent_at: Instant::now(), done_at: None };
        let at = {
            let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
            let steps = history.entry(key.clone()).or_default();
            steps.push(begun);
            steps.len() - 1
        };
        let answer = connection.ask(&address, &self.token, ask);
        let done = matches!(&answer, Ok((200 | 201, _)));
        if let Ok((status, body)) = &answer
            && !done
            && *status < 500
        {
            panic!("{} {}: {status} {}", ask.method, ask.path, String::from_utf8_lossy(body));
        }
        let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
        if done && let Some(step) = history.get_mut(key).and_then(|steps| steps.get_mut(at)) {
            step.done_at = Some(Instant::now());
        }
        drop(history);
        if !done {
            // The server is away: wait for it without spinning.
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

//! How often a name or an address may fail to log in.
//!
//! An attempt counts as failed from its beginning until it is forgiven, so that many at once can't slip through.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::name::UserName;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;

/// How many names and addresses are remembered. The slow hash lets through far fewer in a window of a minute; beyond
/// that the longest known ones are forgotten.
pub const KNOWN_MAX: usize = 8192;

/// What attempts are counted by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Key {
    Name(Option<UserName>),
    Address(IpAddr),
}

#[derive(Clone, Copy)]
struct Window {
    begun: Timestamp,
    failures: u32,
}

/// The failures of names and addresses within a window of time.
pub struct Attempts {
    failures_max: u32,
    window_ms: i64,
    known: Mutex<HashMap<Key, Window>>,
}

/// One attempt, to be forgiven when it was no failure.
#[derive(Debug)]
pub struct Attempt {
    keys: Vec<Key>,
}

impl Attempts {
    /// Allows `failures_max` failures in `window_ms` for each name and each address.
    pub fn new(failures_max: u32, window_ms: i64) -> Self {
        Self { failures_max: failures_max.max(1), window_ms: window_ms.max(1), known: Mutex::default() }
    }

    /// Begins an attempt to be `name` (none: a text that is no name) from `ip`.
    ///
    /// # Errors
    /// `rate_limited`, whose detail `retry_after_s` has the seconds after which to try again as its limit.
    pub fn begin(&self, name: Option<&UserName>, ip: Option<IpAddr>, now: Timestamp) -> Result<Attempt, Refusal> {
        let mut keys = vec![Key::Name(name.cloned())];
        keys.extend(ip.map(|ip| Key::Address(site(ip))));
        let mut known = self.known();
        let wait_ms = keys.iter().filter_map(|key| self.wait_ms(known.get(key)?, now)).max();
        if let Some(wait_ms) = wait_ms {
            let seconds = u64::try_from(wait_ms).unwrap_or(0).div_ceil(1000).max(1);
            let message =
                format!("Too many failed logins for this name or from this address: try again in {seconds} s.");
            return Err(Refusal::field(Reason::RateLimited, "retry_after_s", message).with_limit(seconds));
        }
        for key in &keys {
            if !known.contains_key(key) {
                self.make_room(&mut known, now);
            }
            let window = known.entry(key.clone()).or_insert(Window { begun: now, failures: 0 });
            if self.is_over(window, now) {
                *window = Window { begun: now, failures: 0 };
            }
            window.failures = window.failures.saturating_add(1);
        }
        Ok(Attempt { keys })
    }

    /// Takes back what [`Attempts::begin`] counted.
    pub fn forgive(&self, attempt: &Attempt) {
        let mut known = self.known();
        for key in &attempt.keys {
            if let Some(window) = known.get_mut(key) {
                window.failures = window.failures.saturating_sub(1);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Window>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A clock that went back ends a window rather than stretching it.
    fn is_over(&self, window: &Window, now: Timestamp) -> bool {
        now < window.begun || now >= window.begun.plus_ms(self.window_ms)
    }

    fn wait_ms(&self, window: &Window, now: Timestamp) -> Option<i64> {
        let is_full = window.failures >= self.failures_max && !self.is_over(window, now);
        is_full.then(|| window.begun.plus_ms(self.window_ms).0.saturating_sub(now.0))
    }

    fn make_room(&self, known: &mut HashMap<Key, Window>, now: Timestamp) {
        if known.len() < KNOWN_MAX {
            return;
        }
        known.retain(|_, window| !self.is_over(window, now) && window.failures > 0);
        if known.len() >= KNOWN_MAX
            && let Some(oldest) = known.iter().min_by_key(|(_, window)| window.begun).map(|(key, _)| key.clone())
        {
            known.remove(&oldest);
        }
    }
}

/// What one party holds: an IPv4 address, or the /64 of an IPv6 one.
fn site(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    /// The seconds to wait, if the attempt is refused.
    fn wait(attempts: &Attempts, who: &str, ip: &str, after_ms: i64) -> Option<u64> {
        let begun = attempts.begin(Some(&name(who)), Some(ip.parse().unwrap()), START.plus_ms(after_ms));
        begun.err().map(|refusal| refusal.details[0].limit.unwrap())
    }

    #[test]
    fn a_name_and_an_address_are_held_each_by_itself() {
        let attempts = Attempts::new(2, 60_000);
        assert_eq!(wait(&attempts, "pia", "192.0.2.1", 0), None);
        assert_eq!(wait(&attempts, "pia", "192.0.2.2", 0), None);
        assert_eq!(wait(&attempts, "pia", "192.0.2.3", 500), Some(60));
        assert_eq!(wait(&attempts, "ben", "192.0.2.1", 500), None);
        assert_eq!(wait(&attempts, "eve", "::ffff:192.0.2.1", 59_001), Some(1));
        assert_eq!(wait(&attempts, "pia", "192.0.2.1", 60_000), None);
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let attempts = Attempts::new(1, 60_000);
        assert_eq!(wait(&attempts, "a", "2001:db8::1", 0), None);
        assert_eq!(wait(&attempts, "b", "2001:db8::2", 0), Some(60));
        assert_eq!(wait(&attempts, "c", "2001:db8:0:1::2", 0), None);
    }

    #[test]
    fn what_was_no_failure_is_forgiven() {
        let attempts = Attempts::new(1, 60_000);
        for _ in 0..3 {
            let attempt = attempts.begin(Some(&name("pia")), None, START).unwrap();
            attempts.forgive(&attempt);
        }
        assert_eq!(wait(&attempts, "pia", "192.0.2.1", 0), None);
        assert_eq!(wait(&attempts, "pia", "192.0.2.1", 0), Some(60));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::new(1, 60_000);
        for at in 0..KNOWN_MAX + 10 {
            let begun = attempts.begin(Some(&name(&format!("u{at}"))), None, START.plus_ms(1)).is_ok();
            assert!(begun, "{at}");
        }
        assert_eq!(attempts.known().len(), KNOWN_MAX);
        wait(&attempts, "late", "192.0.2.1", 70_000);
        assert_eq!(attempts.known().len(), 2);
    }
}

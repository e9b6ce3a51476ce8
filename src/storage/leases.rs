//! Who holds which blobs: those that are about to refer to, open or copy one, together; or the sweeper, alone.
//!
//! Between a blob's file and its row nothing else stands in the way of a removal, so whoever looks at one and acts on
//! the other holds a lease over both. Must never be held over anything that waits for a client.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::domain::digest::Sha256;

/// How long a holder waits for the sweeper, which keeps a blob for one commit and a few system calls.
pub const LEASE_WAIT_MAX: Duration = Duration::from_secs(30);

/// The sweeper kept a blob for longer than [`LEASE_WAIT_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a blob was kept from its use for {} s", LEASE_WAIT_MAX.as_secs())]
pub struct LeaseTimeout;

/// The leases of one store.
#[derive(Clone, Debug)]
pub struct Leases(Arc<Table>);

#[derive(Debug)]
struct Table {
    wait_max: Duration,
    held: Mutex<HashMap<Sha256, Hold>>,
    /// Told each time when blobs are free again: those who wait on the event loop, and those who block.
    freed: Notify,
    freed_blocking: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hold {
    /// By so many; never 0.
    Shared(usize),
    Exclusive,
}

/// Holds blobs together with others, until it is dropped.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    digests: Vec<Sha256>,
}

/// Holds one blob alone, until it is dropped.
#[derive(Debug)]
pub struct ExclusiveLease {
    leases: Leases,
    digest: Sha256,
}

impl Default for Leases {
    fn default() -> Self {
        Self::waiting_at_most(LEASE_WAIT_MAX)
    }
}

impl Leases {
    fn waiting_at_most(wait_max: Duration) -> Self {
        let (held, freed, freed_blocking) = (Mutex::default(), Notify::new(), Condvar::new());
        Self(Arc::new(Table { wait_max, held, freed, freed_blocking }))
    }

    /// Takes a lease on all of these blobs, before anybody looks whether they are there; waits while the sweeper has one.
    ///
    /// # Errors
    /// [`LeaseTimeout`].
    pub async fn take(&self, digests: Vec<Sha256>) -> Result<Lease, LeaseTimeout> {
        let wait = async {
            loop {
                let freed = self.0.freed.notified();
                if let Some(lease) = self.try_take(&digests) {
                    return lease;
                }
                freed.await;
            }
        };
        tokio::time::timeout(self.0.wait_max, wait).await.map_err(|_elapsed| LeaseTimeout)
    }

    /// As [`Leases::take`], on a thread that may block.
    ///
    /// # Errors
    /// [`LeaseTimeout`].
    pub fn take_blocking(&self, digests: &[Sha256]) -> Result<Lease, LeaseTimeout> {
        let until = Instant::now() + self.0.wait_max;
        let mut held = self.lock();
        loop {
            if share(&mut held, digests) {
                return Ok(Lease { leases: self.clone(), digests: digests.to_vec() });
            }
            let left = until.checked_duration_since(Instant::now()).ok_or(LeaseTimeout)?;
            held = self.0.freed_blocking.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn try_take(&self, digests: &[Sha256]) -> Option<Lease> {
        share(&mut self.lock(), digests).then(|| Lease { leases: self.clone(), digests: digests.to_vec() })
    }

    /// Takes a blob for the caller alone, unless anybody has it.
    pub fn try_exclusive(&self, digest: Sha256) -> Option<ExclusiveLease> {
        match self.lock().entry(digest) {
            Entry::Occupied(_) => None,
            Entry::Vacant(free) => {
                free.insert(Hold::Exclusive);
                Some(ExclusiveLease { leases: self.clone(), digest })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sha256, Hold>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds one holder to all of these blobs, or to none when one of them is held exclusively.
fn share(held: &mut HashMap<Sha256, Hold>, digests: &[Sha256]) -> bool {
    if digests.iter().any(|digest| held.get(digest) == Some(&Hold::Exclusive)) {
        return false;
    }
    for digest in digests {
        match held.entry(*digest).or_insert(Hold::Shared(0)) {
            Hold::Shared(count) => *count += 1,
            Hold::Exclusive => {}
        }
    }
    true
}

impl Lease {
    /// Gives the lease up, but for the blobs that nobody else holds: those are the caller's alone from here on.
    pub fn into_exclusive(mut self) -> Vec<ExclusiveLease> {
        let digests = std::mem::take(&mut self.digests);
        let mut held = self.leases.lock();
        let free = release(&mut held, &digests);
        held.extend(free.iter().map(|digest| (*digest, Hold::Exclusive)));
        free.into_iter().map(|digest| ExclusiveLease { leases: self.leases.clone(), digest }).collect()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        release(&mut self.leases.lock(), &self.digests);
    }
}

impl ExclusiveLease {
    /// The blob.
    pub fn digest(&self) -> Sha256 {
        self.digest
    }
}

impl Drop for ExclusiveLease {
    fn drop(&mut self) {
        self.leases.lock().remove(&self.digest);
        self.leases.0.freed.notify_waiters();
        self.leases.0.freed_blocking.notify_all();
    }
}

/// Counts down, and answers with the blobs that nobody holds any more.
fn release(held: &mut HashMap<Sha256, Hold>, digests: &[Sha256]) -> Vec<Sha256> {
    let mut free = Vec::new();
    for digest in digests {
        match held.get_mut(digest) {
            Some(Hold::Shared(count)) if *count > 1 => *count -= 1,
            Some(Hold::Shared(_)) => {
                held.remove(digest);
                free.push(*digest);
            }
            Some(Hold::Exclusive) | None => {}
        }
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: u8) -> Sha256 {
        Sha256::of(&[number])
    }

    #[tokio::test]
    async fn only_the_last_holder_gets_a_blob_alone() {
        let leases = Leases::default();
        let (a, b) = (numbered(1), numbered(2));
        // The same blob twice: an artifact may be its own README.
        let first = leases.take(vec![a, a, b]).await.unwrap();
        let second = leases.take_blocking(&[a]).unwrap();
        assert!(leases.try_exclusive(a).is_none());
        let alone: Vec<_> = first.into_exclusive().iter().map(ExclusiveLease::digest).collect();
        assert_eq!(alone, [b]);
        let alone = second.into_exclusive();
        assert_eq!(alone.iter().map(ExclusiveLease::digest).collect::<Vec<_>>(), [a]);
        assert!(leases.try_exclusive(a).is_none());
        drop(alone);
        assert!(leases.try_exclusive(a).is_some() && leases.lock().is_empty());
    }

    #[tokio::test]
    async fn who_wants_a_blob_waits_while_the_sweeper_has_it() {
        let leases = Leases::default();
        let swept = leases.try_exclusive(numbered(1)).unwrap();
        let mut waiting = Box::pin(leases.take(vec![numbered(2), numbered(1)]));
        let blocked = std::thread::spawn({
            let leases = leases.clone();
            move || leases.take_blocking(&[numbered(1)]).is_ok()
        });
        assert!(is_pending(&mut waiting).await);
        // Nothing is taken while one of them is missing, so that two who wait can't keep each other waiting.
        assert!(leases.try_exclusive(numbered(2)).is_some());
        drop(swept);
        assert!(waiting.await.is_ok() && blocked.join().unwrap());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let leases = Leases::waiting_at_most(Duration::from_millis(1));
        let swept = leases.try_exclusive(numbered(1)).unwrap();
        assert_eq!(leases.take(vec![numbered(1)]).await.unwrap_err(), LeaseTimeout);
        assert_eq!(leases.take_blocking(&[numbered(1)]).unwrap_err(), LeaseTimeout);
        drop(swept);
    }

    async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|task| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(task).is_pending()))
            .await
    }
}

//! Which blobs a publish is about to refer to, so that nobody removes them between their link and their row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::digest::Sha256;

/// The leases of one store.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    held: Arc<Mutex<HashMap<Sha256, usize>>>,
}

/// Holds blobs until it is dropped.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    digests: Vec<Sha256>,
}

impl Leases {
    /// Takes a lease; it is taken before anybody looks whether the blobs are there.
    pub fn take(&self, digests: Vec<Sha256>) -> Lease {
        let mut held = self.lock();
        for digest in &digests {
            *held.entry(*digest).or_default() += 1;
        }
        drop(held);
        Lease { leases: self.clone(), digests }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sha256, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Gives the lease up and runs `remove` on each blob that nobody else holds; nobody can take a lease meanwhile.
    pub fn release_with(mut self, mut remove: impl FnMut(&Sha256)) {
        let digests = std::mem::take(&mut self.digests);
        let leases = self.leases.clone();
        let mut held = leases.lock();
        for digest in release(&mut held, digests) {
            remove(&digest);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let digests = std::mem::take(&mut self.digests);
        let mut held = self.leases.lock();
        release(&mut held, digests);
    }
}

/// Counts down, and answers with the blobs that nobody holds any more.
fn release(held: &mut HashMap<Sha256, usize>, digests: Vec<Sha256>) -> Vec<Sha256> {
    let mut free = Vec::new();
    for digest in digests {
        if let Some(count) = held.get_mut(&digest) {
            *count -= 1;
            if *count == 0 {
                held.remove(&digest);
                free.push(digest);
            }
        }
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_holder_may_remove() {
        let leases = Leases::default();
        let digest = Sha256::of(b"a");
        let first = leases.take(vec![digest]);
        let second = leases.take(vec![digest]);
        first.release_with(|_| panic!("somebody else holds it"));
        let mut removed = Vec::new();
        second.release_with(|digest| removed.push(*digest));
        assert_eq!(removed, [digest]);
        assert!(leases.lock().is_empty());
    }
}

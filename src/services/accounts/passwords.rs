//! The slow hash: argon2id, on threads that may block, so many at once and so many waiting.
//!
//! A check holds its memory and its core for as long as it runs, also when nobody waits for it any more: its place in
//! the line goes with it into the blocking task.

use std::sync::Arc;

use argon2::password_hash::Error;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::Semaphore;

use crate::domain::password::Password;
use crate::domain::refusal::Reason;
use crate::services::{ServiceError, random};

/// How many checks may wait beside those that run.
pub const WAITING_MAX: usize = 32;
/// Memory of one hash, in KiB (OWASP's minimum with two passes and one lane).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// The hash of no password, with the parameters above: who has none costs the same work.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzIQ$bm9ib2R5IGhhcyBhIHBhc3N3b3JkIGxpa2UgdGhpcyE";

/// Where passwords are hashed and checked.
pub struct PasswordGate {
    running: Arc<Semaphore>,
    line: Arc<Semaphore>,
}

impl PasswordGate {
    /// Lets `concurrency` hashes run at once (at least one), and [`WAITING_MAX`] more wait.
    pub fn new(concurrency: usize) -> Self {
        let concurrency = concurrency.clamp(1, 1024);
        Self {
            running: Arc::new(Semaphore::new(concurrency)),
            line: Arc::new(Semaphore::new(concurrency + WAITING_MAX)),
        }
    }

    /// The password's hash in PHC form, under a salt of its own.
    ///
    /// # Errors
    /// `overloaded` when too many wait; [`ServiceError::Internal`] when hashing fails.
    pub async fn hash(&self, password: Password) -> Result<String, ServiceError> {
        let salt: [u8; 16] = random()?;
        let work = move || argon2()?.hash_password_with_salt(password.reveal().as_bytes(), &salt);
        let hashed = self.run(work).await?;
        let hashed = hashed.map_err(|error| ServiceError::internal("hashing a password", error.to_string()))?;
        Ok(hashed.to_string())
    }

    /// Whether the password is the one of `hash`; without a hash it is not, after the same work.
    ///
    /// # Errors
    /// `overloaded` when too many wait.
    pub async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, ServiceError> {
        let work = move || {
            let against = hash.as_deref().unwrap_or(NOBODYS_HASH);
            let matches = argon2().and_then(|argon2| argon2.verify_password(password.reveal().as_bytes(), against));
            (matches, hash.is_some())
        };
        match self.run(work).await? {
            (Ok(()), has_hash) => Ok(has_hash),
            (Err(Error::PasswordInvalid), _) => Ok(false),
            (Err(error), _) => {
                tracing::error!(%error, "a stored password hash can't be checked");
                Ok(false)
            }
        }
    }

    async fn run<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> Result<R, ServiceError> {
        let place = Arc::clone(&self.line).try_acquire_owned().map_err(|_full| {
            ServiceError::refused(Reason::Overloaded, "Too many logins are waiting: try again in a few seconds.")
        })?;
        let closed = |error| ServiceError::internal("waiting to hash a password", error);
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(closed)?;
        let task = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, place));
            done
        });
        task.await.map_err(|error| ServiceError::internal("hashing a password", error))
    }
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::given("password", text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn a_hash_proves_its_own_password_alone() {
        let gate = PasswordGate::new(1);
        let hash = gate.hash(password("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(gate.hash(password("correct horse")).await.unwrap(), hash);
        assert!(gate.verify(password("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!gate.verify(password("correct horsf"), Some(hash)).await.unwrap());
        assert!(!gate.verify(password("correct horse"), None).await.unwrap());
        assert!(!gate.verify(password("correct horse"), Some("junk".to_owned())).await.unwrap());
    }

    #[test]
    fn nobodys_hash_costs_the_whole_work() {
        let checked = argon2().unwrap().verify_password(b"anything", NOBODYS_HASH);
        assert_eq!(checked, Err(Error::PasswordInvalid));
    }

    #[tokio::test]
    async fn who_comes_when_the_line_is_full_is_sent_away() {
        let gate = PasswordGate::new(2);
        let places = Arc::clone(&gate.line).acquire_many_owned(2 + 32).await.unwrap();
        let ServiceError::Refused(refusal) = gate.hash(password("correct horse")).await.unwrap_err() else { panic!() };
        assert_eq!(refusal.reason, Reason::Overloaded);
        drop(places);
        gate.hash(password("correct horse")).await.unwrap();
        assert_eq!((gate.line.available_permits(), gate.running.available_permits()), (34, 2));
    }
}

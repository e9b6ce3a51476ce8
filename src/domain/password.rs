//! Passwords: how long they can be, and that they are never shown.

use std::fmt;

use super::refusal::{Reason, Refusal};

/// Shortest password that can be chosen, in bytes.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// Longest password that is looked at, in bytes: what is hashed must be bounded before anybody is proven.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// A password as somebody sent it. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// A password that somebody chooses, in the request's field `field`.
    ///
    /// # Errors
    /// `invalid_field` unless it has [`PASSWORD_BYTES_MIN`] to [`PASSWORD_BYTES_MAX`] bytes.
    pub fn chosen(field: &str, text: String) -> Result<Self, Refusal> {
        if text.len() < PASSWORD_BYTES_MIN {
            let message = format!("`{field}` is too short: choose a password of at least {PASSWORD_BYTES_MIN} bytes.");
            let refusal = Refusal::field(Reason::InvalidField, field, message);
            return Err(refusal.with_limit(PASSWORD_BYTES_MIN as u64));
        }
        Self::given(field, text)
    }

    /// A password that somebody gives as proof: any that is not absurdly long, also one older than today's rules.
    ///
    /// # Errors
    /// `invalid_field` for more than [`PASSWORD_BYTES_MAX`] bytes.
    pub fn given(field: &str, text: String) -> Result<Self, Refusal> {
        if text.len() > PASSWORD_BYTES_MAX {
            let message = format!("`{field}` is too long: passwords have at most {PASSWORD_BYTES_MAX} bytes.");
            let refusal = Refusal::field(Reason::InvalidField, field, message);
            return Err(refusal.with_limit(PASSWORD_BYTES_MAX as u64));
        }
        Ok(Self(text))
    }

    /// The password itself, to be hashed.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_held_and_nothing_is_shown() {
        let limit = |made: Result<Password, Refusal>| made.err().map(|refusal| refusal.details[0].limit);
        assert_eq!(limit(Password::chosen("password", "x".repeat(7))), Some(Some(8)));
        assert_eq!(limit(Password::chosen("password", "x".repeat(8))), None);
        assert_eq!(limit(Password::chosen("password", "x".repeat(1024))), None);
        assert_eq!(limit(Password::chosen("password", "x".repeat(1025))), Some(Some(1024)));
        assert_eq!(limit(Password::given("password", String::new())), None);
        assert_eq!(limit(Password::given("password", "x".repeat(1025))), Some(Some(1024)));
        assert_eq!(format!("{:?}", Password::given("password", "hunter22".to_owned()).unwrap()), "Password(…)");
    }
}

//! What a PATCH asks for: fields that are kept, cleared or set, and a deprecation among them.

use super::digest::Sha256;
use super::name::PackageName;
use super::package::Deprecation;
use super::refusal::{Reason, Refusal};
use super::text::{TextLimits, check_reason};
use super::time::Timestamp;

/// One field of a PATCH.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Field<T> {
    /// Leave it as it is.
    #[default]
    Keep,
    /// It has no value from now on.
    Clear,
    /// It has this value from now on.
    Set(T),
}

impl<T> Field<T> {
    /// The new value, if one is to be set.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Keep | Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// What the field is once this was asked of `current`.
    pub fn applied_to(&self, current: Option<&T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Keep => current.cloned(),
            Self::Clear => None,
            Self::Set(value) => Some(value.clone()),
        }
    }
}

/// What a deprecation is to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeprecationAsk {
    /// What users should know.
    pub message: String,
    /// The package to use instead; whether there is one of that name is not looked at, since it may be hidden.
    pub replaced_by: Option<PackageName>,
}

impl Field<DeprecationAsk> {
    /// Checks the deprecation that is to be set on `package` or one of its versions, if there is one.
    ///
    /// # Errors
    /// `invalid_field` for a message that is blank or too long.
    pub fn check(&self, limits: TextLimits) -> Result<(), Refusal> {
        let Some(ask) = self.value() else { return Ok(()) };
        if ask.message.trim().is_empty() {
            let message = "`deprecated.message` is empty: say what users should know.";
            return Err(Refusal::field(Reason::InvalidField, "deprecated.message", message));
        }
        check_reason("deprecated.message", &ask.message, limits)
    }

    /// The deprecation once this was asked; one that says the same keeps its time.
    pub fn deprecation(&self, current: Option<&Deprecation>, now: Timestamp) -> Option<Deprecation> {
        match self {
            Self::Keep => current.cloned(),
            Self::Clear => None,
            Self::Set(ask) => {
                let same = current.filter(|one| one.message == ask.message && one.replaced_by == ask.replaced_by);
                let new =
                    || Deprecation { message: ask.message.clone(), replaced_by: ask.replaced_by.clone(), at: now };
                Some(same.cloned().unwrap_or_else(new))
            }
        }
    }
}

/// The SHA-256 of a deprecation as the log names it: the message and, when there is a replacement, a zero byte and its
/// name (a message never holds a zero byte).
pub fn deprecation_digest(deprecation: &Deprecation) -> Sha256 {
    let mut text = deprecation.message.clone();
    if let Some(other) = &deprecation.replaced_by {
        text.extend(["\0", &other.to_string()]);
    }
    Sha256::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deprecation_that_says_the_same_keeps_its_time() {
        let ask = |message: &str| Field::Set(DeprecationAsk { message: message.to_owned(), replaced_by: None });
        let first = ask("old").deprecation(None, Timestamp(1)).unwrap();
        assert_eq!(ask("old").deprecation(Some(&first), Timestamp(2)), Some(first.clone()));
        assert_eq!(ask("older").deprecation(Some(&first), Timestamp(2)).unwrap().at, Timestamp(2));
        assert_eq!(Field::Keep.deprecation(Some(&first), Timestamp(2)), Some(first.clone()));
        assert_eq!(Field::Clear.deprecation(Some(&first), Timestamp(2)), None);
        let other = Deprecation { replaced_by: Some(PackageName::parse("b").unwrap()), ..first.clone() };
        assert_ne!(deprecation_digest(&first), deprecation_digest(&other));
    }

    #[test]
    fn a_blank_deprecation_is_refused() {
        let limits = TextLimits { description_bytes_max: 0, reason_bytes_max: 4, keywords_max: 0 };
        let check =
            |message: &str| Field::Set(DeprecationAsk { message: message.to_owned(), replaced_by: None }).check(limits);
        assert!(check("old").is_ok());
        assert_eq!(check(" \n").unwrap_err().reason, Reason::InvalidField);
        assert_eq!(check("older").unwrap_err().details[0].limit, Some(4));
    }
}

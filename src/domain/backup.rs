//! Names of backups that are asked for over the API: one safe segment of a path, never a path.

use std::fmt;

use super::name::shown;
use super::refusal::{Reason, Refusal};

/// Longest name of a backup, in bytes (all of them ASCII).
pub const BACKUP_NAME_BYTES_MAX: usize = 64;

/// What the name of a backup that is not done yet ends with.
pub const PARTIAL_SUFFIX: &str = ".partial";

/// A backup's name: `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`, not ending in `.partial`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupName(String);

impl BackupName {
    /// Reads a name.
    ///
    /// # Errors
    /// `invalid_field`, naming `name`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_good = starts_well && text.bytes().all(is_inner) && !text.ends_with(PARTIAL_SUFFIX);
        if is_good && text.len() <= BACKUP_NAME_BYTES_MAX {
            return Ok(Self(text.to_owned()));
        }
        let message = format!(
            "`{}` is no name for a backup: give 1 to {BACKUP_NAME_BYTES_MAX} of `A-Za-z0-9._-` that start with a letter or \
             digit and do not end in `{PARTIAL_SUFFIX}`.",
            shown(text)
        );
        Err(Refusal::field(Reason::InvalidField, "name", message).with_limit(BACKUP_NAME_BYTES_MAX as u64))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_that_leads_nowhere_else() {
        for good in ["monday", "2026-11-24", "a.b_c", "7", &"x".repeat(64)] {
            assert_eq!(BackupName::parse(good).unwrap().as_str(), good);
        }
        for wrong in
            ["", ".", "..", "../x", "a/b", "/etc", ".hidden", "-rf", "a b", "a\0", "ä", "x.partial", &"x".repeat(65)]
        {
            let refusal = BackupName::parse(wrong).unwrap_err();
            assert_eq!((refusal.reason, refusal.details[0].field.as_str()), (Reason::InvalidField, "name"), "{wrong}");
        }
    }
}

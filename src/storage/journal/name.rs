//! The names of files in `journal/`: generation, history, kind.

use std::fmt;
use std::path::{Path, PathBuf};

use super::JOURNAL_FOLDER;
use crate::domain::id::Id;

/// Digits of a generation's number in a file name, so that names sort in order.
const DIGITS: usize = 10;

/// One log and the snapshot of its beginning. Numbers grow by one along a history, also from one history to the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Generation {
    /// From 1.
    pub number: u64,
    /// The history in which it was begun.
    pub history: Id,
}

/// What a file of a generation holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileKind {
    /// A header, then frames.
    Log,
    /// Every row as it stood at the log's header.
    Snapshot,
}

impl FileKind {
    const fn extension(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Snapshot => "snap",
        }
    }
}

impl Generation {
    /// The name of one of its files: `0000000007.<history>.log`.
    pub fn file_name(&self, kind: FileKind) -> String {
        format!("{:010}.{}.{}", self.number, self.history, kind.extension())
    }

    /// Where one of its files is, in the data directory `data`.
    pub fn path(&self, data: &Path, kind: FileKind) -> PathBuf {
        data.join(JOURNAL_FOLDER).join(self.file_name(kind))
    }

    /// The name of one of its files within the data directory, for people.
    pub fn shown(&self, kind: FileKind) -> String {
        format!("{JOURNAL_FOLDER}/{}", self.file_name(kind))
    }

    /// Reads a file's name; `None` for any other spelling, so that no two names mean the same file.
    pub fn parse(name: &str) -> Option<(Self, FileKind)> {
        let mut parts = name.split('.');
        let (number, history, extension) = (parts.next()?, parts.next()?, parts.next()?);
        let digits = number.len() >= DIGITS && number.bytes().all(|byte| byte.is_ascii_digit());
        let generation = Self { number: number.parse().ok().filter(|_| digits)?, history: Id::parse(history)? };
        let kind = [FileKind::Log, FileKind::Snapshot].into_iter().find(|kind| kind.extension() == extension)?;
        (generation.file_name(kind) == name).then_some((generation, kind))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}.{}", self.number, self.history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_no_other_spelling_is() {
        let generation = Generation { number: 7, history: Id(12) };
        let name = generation.file_name(FileKind::Log);
        assert_eq!(name, format!("0000000007.{}.log", Id(12)));
        assert_eq!(Generation::parse(&name), Some((generation, FileKind::Log)));
        let snapshot = generation.file_name(FileKind::Snapshot);
        assert_eq!(Generation::parse(&snapshot), Some((generation, FileKind::Snapshot)));
        for other in [name.to_lowercase(), format!("{name}~"), name.replace("0000000007", "7"), "LOCK".to_owned()] {
            assert_eq!(Generation::parse(&other), None, "{other}");
        }
    }
}

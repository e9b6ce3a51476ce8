//! The note that stands under a blob's name for a while after the blob was swept.
//!
//! A copy of the directory that takes longer than the retention may hold a journal that refers to a blob which was gone
//! before the copying tool came to it. The note tells that apart from damage and from a blob that is yet to be copied.

use std::fmt;
use std::fs::File;
use std::io;

use crate::domain::digest::Sha256;
use crate::storage::fs::{Fs, read_full};

/// Longest note, in bytes: two numbers of 20 digits and the words around them.
pub const NOTE_BYTES_MAX: u64 = 96;

const BEGINNING: &str = "VIXRGONE dropped at tick ";
const MIDDLE: &str = ", swept at tick ";

/// When a blob was dropped and swept, in ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note {
    /// Since when nothing referred to it.
    pub dropped: u64,
    /// When its row went.
    pub swept: u64,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{BEGINNING}{}{MIDDLE}{}", self.dropped, self.swept)
    }
}

impl Note {
    /// Reads a note's exact text.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (dropped, swept) =
            std::str::from_utf8(text).ok()?.strip_prefix(BEGINNING)?.strip_suffix('\n')?.split_once(MIDDLE)?;
        let note = Self { dropped: dropped.parse().ok()?, swept: swept.parse().ok()? };
        (note.to_string().as_bytes() == text).then_some(note)
    }

    /// Reads the note that stands under the name of `sha256`, if it is one: somebody may publish a note's text, and then
    /// the file is the blob that its name says.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn read(fs: &dyn Fs, file: &File, size: u64, sha256: &Sha256) -> io::Result<Option<Self>> {
        if size > NOTE_BYTES_MAX {
            return Ok(None);
        }
        let mut text = vec![0; usize::try_from(size).unwrap_or(0)];
        let length = read_full(fs, file, &mut text, 0)?;
        text.truncate(length);
        Ok(Self::parse(&text).filter(|_| Sha256::of(&text) != *sha256))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_nothing_like_it_is() {
        let note = Note { dropped: 7, swept: u64::MAX };
        let text = note.to_string();
        assert_eq!(text, format!("VIXRGONE dropped at tick 7, swept at tick {}\n", u64::MAX));
        assert_eq!(Note::parse(text.as_bytes()), Some(note));
        let longest = Note { dropped: u64::MAX, swept: u64::MAX }.to_string();
        assert!(longest.len() as u64 <= NOTE_BYTES_MAX, "{longest}");
        for other in ["", "VIXRGONE", text.trim_end(), &text.replace('7', "07"), &text.replace('7', "+7"), &format!("{text} ")] {
            assert_eq!(Note::parse(other.as_bytes()), None, "{other:?}");
        }
    }
}

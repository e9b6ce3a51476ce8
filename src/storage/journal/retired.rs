//! The small note that stands under the name of what the server removed.
//!
//! A copy that takes longer than the retention could read a log early and find its successor, or a blob, gone later; it
//! would then open as an older state and nobody would know. With a note under the name it is refused instead.
//!
//! A user may publish bytes that read like a note: whoever meets one under a blob's name compares its digest first.

use std::fs::File;
use std::io;

use crate::storage::fs::{Fs, read_full};

/// The longest note.
pub const NOTE_BYTES_MAX: usize = 96;
/// What every note begins with.
const MAGIC: &str = "VIXRGONE ";

/// What a note says. Ticks are seconds in which a server ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// A log or a snapshot was superseded for longer than the retention.
    Retired {
        /// When it was removed.
        at: u64,
    },
    /// Nothing referred to a blob for longer than the retention.
    Swept {
        /// Since when nothing referred to it.
        dropped: u64,
        /// When it was removed.
        at: u64,
    },
}

impl Note {
    /// The file's content: one line.
    pub fn to_text(self) -> String {
        match self {
            Self::Retired { at } => format!("{MAGIC}retired at tick {at}\n"),
            Self::Swept { dropped, at } => format!("{MAGIC}dropped at tick {dropped}, swept at tick {at}\n"),
        }
    }

    /// The content for the note of a blob that had `blob_bytes`: never as long as the blob, since a copying tool skips a
    /// file of the same length and second, and the same blob may be published again within that second.
    pub fn to_text_unlike(self, blob_bytes: u64) -> String {
        let text = self.to_text();
        if text.len() as u64 == blob_bytes { text + "\n" } else { text }
    }

    /// Reads a note; `None` for any other bytes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= NOTE_BYTES_MAX)?;
        let text = text.strip_suffix("\n\n").map_or(text, |line| text.get(..=line.len()).unwrap_or(text));
        let line = text.strip_prefix(MAGIC)?.strip_suffix('\n')?;
        let note = if let Some(at) = line.strip_prefix("retired at tick ") {
            Self::Retired { at: at.parse().ok()? }
        } else {
            let (dropped, at) = line.strip_prefix("dropped at tick ")?.split_once(", swept at tick ")?;
            Self::Swept { dropped: dropped.parse().ok()?, at: at.parse().ok()? }
        };
        (note.to_text() == text).then_some(note)
    }

    /// Reads the note that an open file is; `None` when it is something else.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn read(fs: &dyn Fs, file: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; NOTE_BYTES_MAX + 1];
        let count = read_full(fs, file, &mut bytes, 0)?;
        Ok(bytes.get(..count).and_then(Self::parse))
    }

    /// When what it stands for was removed.
    pub const fn at(self) -> u64 {
        match self {
            Self::Retired { at } | Self::Swept { at, .. } => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_nothing_else_is_one() {
        for note in [Note::Retired { at: 0 }, Note::Swept { dropped: u64::MAX, at: u64::MAX }] {
            let text = note.to_text();
            assert!(text.len() <= NOTE_BYTES_MAX);
            assert_eq!(Note::parse(text.as_bytes()), Some(note));
            assert_eq!(note.to_text_unlike(text.len() as u64 + 1), text);
            let longer = note.to_text_unlike(text.len() as u64);
            assert_eq!((longer.len(), Note::parse(longer.as_bytes())), (text.len() + 1, Some(note)));
            for other in [&text[1..], &text[..text.len() - 1], &format!("{text}\n\n"), &text.replace("tick ", "tick +")]
            {
                assert_eq!(Note::parse(other.as_bytes()), None, "{other:?}");
            }
        }
        assert_eq!(Note::parse(b"VIXRGONE \xff\n"), None);
    }
}

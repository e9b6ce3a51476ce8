//! Rows as they stand on disk: one format byte, then postcard. Conversions to and from the domain live here.
//!
//! The byte sequences are this project's own and never change for a format number; a changed row gets the next number
//! and a reader for both. `docs/storage.md` lists them.

mod accounts;
mod history;
mod packages;

pub use history::{HistoryRow, Parent};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::tables::Table;
use crate::domain::digest::{Blake3, Sha256};
use crate::domain::id::Id;

/// The format byte that every row begins with today.
pub const ROW_FORMAT: u8 = 1;

/// What is stored for a domain value.
pub trait Row: Sized {
    /// The value's bytes, format byte first.
    fn to_row(&self) -> Vec<u8>;

    /// Reads the bytes back.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when they are not such a row.
    fn from_row(table: Table, bytes: &[u8]) -> Result<Self, StoreError>;
}

fn encode<T: Serialize>(disk: &T) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "plain structs of numbers, strings and lists always serialise into a Vec")]
    postcard::to_extend(disk, vec![ROW_FORMAT]).expect("plain structs serialise")
}

fn decode<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T, StoreError> {
    match bytes {
        [ROW_FORMAT, rest @ ..] => {
            postcard::from_bytes(rest).map_err(|error| corrupt(table, format!("row does not read: {error}")))
        }
        [other, ..] => Err(corrupt(table, format!("row has the unknown format {other}"))),
        [] => Err(corrupt(table, "row is empty".to_owned())),
    }
}

pub(crate) fn corrupt(table: Table, what: impl Into<String>) -> StoreError {
    StoreError::Corrupt { table: table.name(), what: what.into() }
}

/// Where a blob stands: who refers to it is in its own table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlobRow {
    /// How many versions refer to it.
    pub count: u64,
    /// Bytes.
    pub size: u64,
    /// Public name.
    pub sha256: Sha256,
    /// Scrubbing hash.
    pub blake3: Blake3,
    /// The tick since when something refers to it without a break.
    pub referred_since: u64,
    /// The tick since when nothing does.
    pub dropped_since: Option<u64>,
    /// Whether its bytes were found not to be what their name says.
    pub damaged: bool,
}

impl Row for BlobRow {
    fn to_row(&self) -> Vec<u8> {
        let disk = (self.count, self.size, self.sha256.0, self.blake3.0);
        encode(&(disk, self.referred_since, self.dropped_since, self.damaged))
    }

    fn from_row(table: Table, bytes: &[u8]) -> Result<Self, StoreError> {
        type Disk = ((u64, u64, [u8; 32], [u8; 32]), u64, Option<u64>, bool);
        let ((count, size, sha256, blake3), referred_since, dropped_since, damaged): Disk = decode(table, bytes)?;
        Ok(Self { count, size, sha256: Sha256(sha256), blake3: Blake3(blake3), referred_since, dropped_since, damaged })
    }
}

impl Row for Id {
    fn to_row(&self) -> Vec<u8> {
        encode(&self.0)
    }

    fn from_row(table: Table, bytes: &[u8]) -> Result<Self, StoreError> {
        decode(table, bytes).map(Self)
    }
}

impl Row for u64 {
    fn to_row(&self) -> Vec<u8> {
        encode(self)
    }

    fn from_row(table: Table, bytes: &[u8]) -> Result<Self, StoreError> {
        decode(table, bytes)
    }
}

/// A row that says nothing but that it is there.
pub fn empty_row() -> Vec<u8> {
    vec![ROW_FORMAT]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_an_unknown_format_is_corrupt_not_guessed() {
        let mut bytes = 7_u64.to_row();
        assert_eq!(u64::from_row(Table::Downloads, &bytes).unwrap(), 7);
        bytes[0] = 2;
        assert!(matches!(u64::from_row(Table::Downloads, &bytes), Err(StoreError::Corrupt { .. })));
        assert!(matches!(u64::from_row(Table::Downloads, &[]), Err(StoreError::Corrupt { .. })));
    }
}

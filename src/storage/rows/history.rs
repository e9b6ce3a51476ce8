//! The setting that says which history the serials of this directory belong to.

use super::corrupt;
use crate::domain::event::Log;
use crate::domain::id::Id;
use crate::storage::StoreError;
use crate::storage::tables::Table;

/// A history, and where it left the one that it was forked off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HistoryRow {
    /// Its random id.
    pub id: Id,
    /// Nothing when it began with nothing.
    pub parent: Option<Parent>,
}

/// The history that a copy went on from, up to where both are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parent {
    /// Its id.
    pub id: Id,
    /// The number of the last frame that both have.
    pub frame: u64,
    /// The serial of the last entry of the public log that both have.
    pub public: u64,
    /// The serial of the last entry of the internal log that both have.
    pub internal: u64,
}

impl Parent {
    /// The serial of the last entry of a log that both have.
    pub const fn serial(&self, log: Log) -> u64 {
        match log {
            Log::Public => self.public,
            Log::Internal => self.internal,
        }
    }
}

impl HistoryRow {
    /// The setting's bytes: the id; for a fork the parent's id, the frame and both serials after it, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.id.to_bytes().to_vec();
        if let Some(Parent { id, frame, public, internal }) = self.parent {
            bytes.extend(id.to_bytes());
            for number in [frame, public, internal] {
                bytes.extend(number.to_le_bytes());
            }
        }
        bytes
    }

    /// Reads the setting.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for anything that [`HistoryRow::to_bytes`] does not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let read = || {
            let (id, rest) = bytes.split_at_checked(16)?;
            let id = Id::from_bytes(id)?;
            if rest.is_empty() {
                return Some(Self { id, parent: None });
            }
            let (parent, rest) = rest.split_at_checked(16)?;
            let (frame, rest) = rest.split_first_chunk()?;
            let (public, rest) = rest.split_first_chunk()?;
            let internal: [u8; 8] = rest.try_into().ok()?;
            let number = |bytes: [u8; 8]| u64::from_le_bytes(bytes);
            let (frame, public, internal) = (number(*frame), number(*public), number(internal));
            Some(Self { id, parent: Some(Parent { id: Id::from_bytes(parent)?, frame, public, internal }) })
        };
        read().ok_or_else(|| corrupt(Table::Settings, "the history has no id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_reads_back_with_and_without_a_parent() {
        let parent = Parent { id: Id(2), frame: 3, public: 4, internal: 5 };
        for row in [HistoryRow { id: Id(1), parent: None }, HistoryRow { id: Id(1), parent: Some(parent) }] {
            let bytes = row.to_bytes();
            assert_eq!(HistoryRow::from_bytes(&bytes).unwrap(), row);
            assert!(HistoryRow::from_bytes(&bytes[1..]).is_err());
            assert!(HistoryRow::from_bytes(&[bytes, vec![0]].concat()).is_err());
        }
        assert_eq!(HistoryRow { id: Id(1), parent: None }.to_bytes(), Id(1).to_bytes());
    }
}

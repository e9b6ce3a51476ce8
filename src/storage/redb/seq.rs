//! The row that says up to which frame the index holds the journal, and the one that says since when its free pages hold
//! what was erased. They stand in a table of their own, outside of those that snapshots carry, and are written in the
//! same transaction as the rows of the frame that they tell of.

use redb::{ReadTransaction, ReadableTable as _, TableDefinition, WriteTransaction};

use super::{METADATA_FILE, backend};
use crate::domain::digest::Blake3;
use crate::domain::id::Id;
use crate::storage::StoreError;
use crate::storage::journal::header::Position;
use crate::storage::journal::name::Generation;

const SEQ: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("seq");
const KEY: &str = "seq";
const ERASED: &str = "erased";
const FORMAT: u8 = 1;

/// Where the index stands; `None` for one from before the journal.
///
/// # Errors
/// That redb fails, or [`StoreError::Corrupt`] for bytes that are no position.
pub fn read_seq(transaction: &ReadTransaction) -> Result<Option<Position>, StoreError> {
    let Some(row) = read(transaction, KEY)? else { return Ok(None) };
    let what = || "the row `seq` names no frame".to_owned();
    decode(&row).map(Some).ok_or_else(|| StoreError::Corrupt { table: METADATA_FILE, what: what() })
}

/// The tick of the first frame since the index was built that erased rows, whose bytes may be in free pages since.
///
/// # Errors
/// That redb fails, or [`StoreError::Corrupt`] for bytes that are no tick.
pub fn read_erased(transaction: &ReadTransaction) -> Result<Option<u64>, StoreError> {
    let Some(row) = read(transaction, ERASED)? else { return Ok(None) };
    let what = || "the row `erased` tells no tick".to_owned();
    let tick = row.as_slice().as_array().copied().map(u64::from_le_bytes);
    tick.map(Some).ok_or_else(|| StoreError::Corrupt { table: METADATA_FILE, what: what() })
}

/// Notes that a frame of this tick erases rows, unless an earlier one did.
///
/// # Errors
/// That redb fails.
pub fn note_erased(transaction: &WriteTransaction, tick: u64) -> Result<(), StoreError> {
    let failed = |error: redb::Error| backend("writing the sequence", error);
    let mut table = transaction.open_table(SEQ).map_err(|error| failed(error.into()))?;
    let is_noted = table.get(ERASED).map_err(|error| failed(error.into()))?.is_some();
    if !is_noted {
        table.insert(ERASED, tick.to_le_bytes().as_slice()).map_err(|error| failed(error.into()))?;
    }
    Ok(())
}

fn read(transaction: &ReadTransaction, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let table = match transaction.open_table(SEQ) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(backend("reading the sequence", error.into())),
    };
    let row = table.get(key).map_err(|error| backend("reading the sequence", error.into()))?;
    Ok(row.map(|row| row.value().to_vec()))
}

/// Says that the transaction's rows are those after the frame at `position`.
///
/// # Errors
/// That redb fails.
pub fn write_seq(transaction: &WriteTransaction, position: &Position) -> Result<(), StoreError> {
    let failed = |error: redb::Error| backend("writing the sequence", error);
    let mut table = transaction.open_table(SEQ).map_err(|error| failed(error.into()))?;
    table.insert(KEY, encode(position).as_slice()).map_err(|error| failed(error.into()))?;
    Ok(())
}

fn encode(position: &Position) -> Vec<u8> {
    let Position { generation, end, number, hash, tick } = position;
    let mut bytes = vec![FORMAT];
    bytes.extend(generation.number.to_le_bytes());
    bytes.extend(generation.history.to_bytes());
    bytes.extend(end.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.extend(hash.0);
    bytes.extend(tick.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Position> {
    let (format, rest) = bytes.split_first()?;
    let (generation, rest) = rest.split_first_chunk()?;
    let (history, rest) = rest.split_first_chunk::<16>()?;
    let (end, rest) = rest.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (hash, rest) = rest.split_first_chunk()?;
    let tick: &[u8; 8] = rest.try_into().ok()?;
    (*format == FORMAT).then_some(Position {
        generation: Generation { number: u64::from_le_bytes(*generation), history: Id::from_bytes(history)? },
        end: u64::from_le_bytes(*end),
        number: u64::from_le_bytes(*number),
        hash: Blake3(*hash),
        tick: u64::from_le_bytes(*tick),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_and_nothing_else_does() {
        let generation = Generation { number: 7, history: Id(12) };
        let position = Position { generation, end: 4096, number: 99, hash: Blake3([5; 32]), tick: 1 << 40 };
        let bytes = encode(&position);
        assert_eq!((bytes.len(), decode(&bytes)), (81, Some(position)));
        for other in [&bytes[1..], &bytes[..80], &[bytes.clone(), vec![0]].concat(), &[]] {
            assert_eq!(decode(other), None, "{other:?}");
        }
    }
}

//! The bytes of a log's header and of a seal.
//!
//! The sequences are this project's own and never change for a format number. Must never accept bytes that it would not
//! have written: what follows a value is damage too.

use serde::de::DeserializeOwned;

use super::error::JournalError;
use super::header::{Ancestor, Continues, Header, Identity, Mark, Seal};
use super::name::Generation;
use crate::domain::digest::Blake3;
use crate::domain::id::Id;

/// The first bytes of a log.
pub const LOG_MAGIC: [u8; 8] = *b"VIXRLOG\n";
/// The format of logs that is written.
pub const LOG_FORMAT: u32 = 1;
/// The bytes before a header's body: magic, format, length.
pub(super) const HEADER_FRONT_BYTES: usize = 16;
/// The longest header: room for some seventeen thousand ancestors.
pub const HEADER_BYTES_MAX: usize = 1 << 20;
/// The bytes of a hash.
pub(super) const HASH_BYTES: usize = 32;
/// The bytes of a seal: inode, size, change.
pub(super) const SEAL_BYTES: usize = 24;

type DiskGeneration = (u64, [u8; 16]);
type DiskContinues = (DiskGeneration, u64, u64, u64, [u8; 32]);
type DiskAncestor = ([u8; 16], u64, [u8; 32]);
type DiskIdentity = (u64, Option<i64>);
type DiskHeader = (DiskGeneration, u64, u64, Option<DiskContinues>, Vec<DiskAncestor>, (DiskIdentity, DiskIdentity));

/// A header's bytes, hash included.
///
/// # Errors
/// `TooLarge` when its lineage is longer than a header may tell.
pub fn encode_header(header: &Header) -> Result<Vec<u8>, JournalError> {
    let continues = header.continues.map(|from| {
        let Continues { generation, length, end, number, hash } = from;
        (of_generation(generation), length, end, number, hash.0)
    });
    let lineage = header.lineage.iter().map(|Ancestor { history, number, hash }| (history.to_bytes(), *number, hash.0));
    let mark = (of_identity(header.mark.file), of_identity(header.mark.directory));
    let disk: DiskHeader =
        (of_generation(header.generation), header.tick, header.retention, continues, lineage.collect(), mark);
    let body = encode(&disk);
    let length = HEADER_FRONT_BYTES + body.len() + HASH_BYTES;
    let length = u32::try_from(length).ok().filter(|_| length <= HEADER_BYTES_MAX).ok_or(JournalError::TooLarge {
        what: "a log's header",
        bytes: length as u64,
        bytes_max: HEADER_BYTES_MAX as u64,
    })?;
    let mut bytes = [LOG_MAGIC.as_slice(), &LOG_FORMAT.to_le_bytes(), &length.to_le_bytes(), &body].concat();
    let hash = Blake3::of(&bytes);
    bytes.extend_from_slice(&hash.0);
    Ok(bytes)
}

/// How long the header is that begins with these bytes.
///
/// # Errors
/// What is wrong with them, for people.
pub(super) fn header_length(front: &[u8]) -> Result<usize, String> {
    let Some((magic, rest)) = front.split_first_chunk::<8>() else { return Err("it is too short for a log".into()) };
    if *magic != LOG_MAGIC {
        return Err("it does not begin like a log".into());
    }
    match u32_at(rest, 0) {
        Some(LOG_FORMAT) => {}
        Some(other) => return Err(format!("it has the unknown format {other}, or a damaged header")),
        None => return Err("it is too short for a log".into()),
    }
    let length = u32_at(rest, 4).and_then(|length| usize::try_from(length).ok());
    length
        .filter(|length| (HEADER_FRONT_BYTES + HASH_BYTES..=HEADER_BYTES_MAX).contains(length))
        .ok_or_else(|| "its header has an impossible length".into())
}

/// Reads a whole header.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn decode_header(bytes: &[u8]) -> Result<Header, String> {
    if header_length(bytes)? != bytes.len() {
        return Err("its header is cut off".into());
    }
    let Some((all, hash)) = bytes.split_last_chunk::<HASH_BYTES>() else { return Err("its header is cut off".into()) };
    if Blake3::of(all).0 != *hash {
        return Err("its header is not what was written".into());
    }
    let disk: Option<DiskHeader> = all.get(HEADER_FRONT_BYTES..).and_then(decode);
    let Some((generation, tick, retention, continues, lineage, (file, directory))) = disk else {
        return Err("its header does not read".into());
    };
    let continues = continues.map(|(generation, length, end, number, hash)| Continues {
        generation: to_generation(generation),
        length,
        end,
        number,
        hash: Blake3(hash),
    });
    let ancestor =
        |(history, number, hash)| Ancestor { history: Id(u128::from_be_bytes(history)), number, hash: Blake3(hash) };
    Ok(Header {
        generation: to_generation(generation),
        tick,
        retention,
        continues,
        lineage: lineage.into_iter().map(ancestor).collect(),
        mark: Mark { file: to_identity(file), directory: to_identity(directory) },
    })
}

/// The payload of a seal frame; always of the same length.
pub fn encode_seal(seal: &Seal) -> Vec<u8> {
    [seal.inode.to_le_bytes(), seal.size.to_le_bytes(), seal.changed_ns.to_le_bytes()].concat()
}

/// Reads the payload of a seal frame; `None` when it is none.
pub fn decode_seal(payload: &[u8]) -> Option<Seal> {
    if payload.len() != SEAL_BYTES {
        return None;
    }
    let changed_ns = u64_at(payload, 16)?.cast_signed();
    Some(Seal { inode: u64_at(payload, 0)?, size: u64_at(payload, 8)?, changed_ns })
}

/// The little-endian number at `at`; `None` beyond the bytes.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

/// The little-endian number at `at`; `None` beyond the bytes.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

/// The hash at `at`; `None` beyond the bytes.
pub(super) fn hash_at(bytes: &[u8], at: usize) -> Option<Blake3> {
    bytes.get(at..)?.first_chunk().map(|chunk| Blake3(*chunk))
}

fn encode<T: serde::Serialize>(disk: &T) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "plain tuples of numbers and lists always serialise into a Vec")]
    postcard::to_extend(disk, Vec::new()).expect("plain tuples serialise")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::take_from_bytes(bytes).ok().filter(|(_, rest)| rest.is_empty()).map(|(disk, _)| disk)
}

fn of_generation(generation: Generation) -> DiskGeneration {
    (generation.number, generation.history.to_bytes())
}

fn to_generation((number, history): DiskGeneration) -> Generation {
    Generation { number, history: Id(u128::from_be_bytes(history)) }
}

fn of_identity(identity: Identity) -> DiskIdentity {
    (identity.inode, identity.born_ns)
}

fn to_identity((inode, born_ns): DiskIdentity) -> Identity {
    Identity { inode, born_ns }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(ancestors: usize) -> Header {
        let generation = |number| Generation { number, history: Id(u128::from(number) << 70) };
        let (number, hash) = (41, Blake3([7; 32]));
        Header {
            generation: generation(3),
            tick: 1 << 40,
            retention: 86_400,
            continues: Some(Continues { generation: generation(2), length: 900, end: 800, number, hash }),
            lineage: vec![Ancestor { history: Id(9), number: 12, hash }; ancestors],
            mark: Mark {
                file: Identity { inode: u64::MAX, born_ns: Some(-5) },
                directory: Identity { inode: 2, born_ns: None },
            },
        }
    }

    #[test]
    fn a_header_is_read_back_and_no_flipped_or_cut_one_is() {
        for header in [header(0), header(3), Header { continues: None, ..header(1) }] {
            let bytes = encode_header(&header).unwrap();
            assert_eq!(header_length(&bytes), Ok(bytes.len()));
            assert_eq!(decode_header(&bytes).as_ref(), Ok(&header));
            for at in 0..bytes.len() {
                assert!(decode_header(&bytes[..at]).is_err(), "cut off at {at}");
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x40;
                assert!(decode_header(&flipped).is_err(), "flipped at {at}");
            }
            assert!(decode_header(&[bytes.as_slice(), &[0]].concat()).is_err());
        }
    }

    #[test]
    fn a_header_has_a_greatest_length() {
        assert!(encode_header(&header(17_000)).is_ok());
        assert!(matches!(encode_header(&header(30_000)), Err(JournalError::TooLarge { .. })));
    }

    #[test]
    fn a_seal_is_read_back_and_nothing_longer_or_shorter_is() {
        let seal = Seal { inode: 3, size: 1 << 40, changed_ns: -1 };
        let bytes = encode_seal(&seal);
        assert_eq!(decode_seal(&bytes), Some(seal));
        assert_eq!(decode_seal(&bytes[1..]), None);
        assert_eq!(decode_seal(&[bytes.as_slice(), &[0]].concat()), None);
    }
}

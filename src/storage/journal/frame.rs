//! The bytes of a frame: what one batch did, chained to the frame before it.

use super::codec::{HASH_BYTES, hash_at, u32_at, u64_at};
use super::error::JournalError;
use super::header::Position;
use crate::domain::digest::Blake3;
use crate::storage::tables::{RowOp, Table};

/// The longest frame. A batch beyond it runs member by member; a single change beyond it is refused.
pub const FRAME_BYTES_MAX: u64 = 256 << 20;
/// The bytes before a frame's payload: length, kind, number, tick, hash of the frame before.
pub(super) const FRAME_FRONT_BYTES: usize = 56;
/// The bytes of a frame without a payload.
pub(super) const FRAME_BYTES_MIN: u64 = (FRAME_FRONT_BYTES + HASH_BYTES) as u64;
/// The bytes of a frame's front that [`FrameFront::is_plausible`] looks at.
pub(super) const PLAUSIBLE_BYTES: usize = 16;

const PUT: u8 = 0;
const DELETE: u8 = 1;

/// What a frame holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// The row operations of one batch.
    Rows,
    /// What the index looked like at a clean stop.
    Seal,
}

/// One frame whose hash was found right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// What it holds.
    pub kind: FrameKind,
    /// From 1, across all logs and histories.
    pub number: u64,
    /// Seconds in which a server ran.
    pub tick: u64,
    /// The hash of the frame before, in whichever log; zeros before the first.
    pub previous: Blake3,
    /// For rows what [`decode_ops`] reads, for a seal what [`decode_seal`](super::codec::decode_seal) does.
    pub payload: Vec<u8>,
    /// The BLAKE3 of all of the frame's bytes before it: check and chain in one.
    pub hash: Blake3,
}

/// The bytes before a frame's payload, read; as in [`Frame`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FrameFront {
    /// All of the frame's bytes.
    pub(super) length: u64,
    pub(super) kind: FrameKind,
    pub(super) number: u64,
    pub(super) tick: u64,
    pub(super) previous: Blake3,
}

impl FrameKind {
    const fn code(self) -> u32 {
        match self {
            Self::Rows => 1,
            Self::Seal => 2,
        }
    }

    fn of_code(code: u32) -> Option<Self> {
        [Self::Rows, Self::Seal].into_iter().find(|kind| kind.code() == code)
    }
}

impl FrameFront {
    /// Reads the front; `None` when no frame begins so.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let length = u64::from(u32_at(bytes, 0)?);
        let kind = FrameKind::of_code(u32_at(bytes, 4)?)?;
        let (number, tick, previous) = (u64_at(bytes, 8)?, u64_at(bytes, 16)?, hash_at(bytes, 24)?);
        (FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&length).then_some(Self { length, kind, number, tick, previous })
    }

    /// Whether a frame may begin with these bytes that is at most `room` long and whose number is in `numbers`: looked
    /// at before any hashing, at each byte behind junk.
    pub(super) fn is_plausible(bytes: &[u8], room: u64, numbers: &std::ops::RangeInclusive<u64>) -> bool {
        let has_kind = || u32_at(bytes, 4).and_then(FrameKind::of_code).is_some();
        let fits = || u32_at(bytes, 0).is_some_and(|length| (FRAME_BYTES_MIN..=room).contains(&u64::from(length)));
        has_kind() && fits() && u64_at(bytes, 8).is_some_and(|number| numbers.contains(&number))
    }

    /// Where this frame ends, when it follows `last` and has this hash.
    pub(super) fn position(&self, last: &Position, hash: Blake3) -> Position {
        let Self { length, number, tick, .. } = *self;
        Position { generation: last.generation, end: last.end + length, number, hash, tick }
    }

    /// How many bytes of the frame are payload.
    pub(super) fn payload_bytes(&self) -> u64 {
        self.length - FRAME_BYTES_MIN
    }
}

impl Frame {
    /// The frame that comes after `last`, its hash computed.
    pub fn following(last: &Position, kind: FrameKind, tick: u64, payload: Vec<u8>) -> Self {
        let mut frame = Self { kind, number: last.number + 1, tick, previous: last.hash, payload, hash: last.hash };
        let mut hasher = blake3::Hasher::new();
        hasher.update(&frame.front()).update(&frame.payload);
        frame.hash = Blake3(*hasher.finalize().as_bytes());
        frame
    }

    /// How long it is on disk.
    pub fn length(&self) -> u64 {
        FRAME_BYTES_MIN + self.payload.len() as u64
    }

    /// Its bytes.
    ///
    /// # Errors
    /// `TooLarge` beyond [`FRAME_BYTES_MAX`].
    pub fn encode(&self) -> Result<Vec<u8>, JournalError> {
        let bytes = self.length();
        if bytes > FRAME_BYTES_MAX {
            return Err(JournalError::TooLarge { what: "a frame", bytes, bytes_max: FRAME_BYTES_MAX });
        }
        Ok([self.front().as_slice(), &self.payload, &self.hash.0].concat())
    }

    /// The bytes before the payload.
    fn front(&self) -> [u8; FRAME_FRONT_BYTES] {
        let mut front = [0; FRAME_FRONT_BYTES];
        let length = u32::try_from(self.length()).unwrap_or(u32::MAX);
        front[..4].copy_from_slice(&length.to_le_bytes());
        front[4..8].copy_from_slice(&self.kind.code().to_le_bytes());
        front[8..16].copy_from_slice(&self.number.to_le_bytes());
        front[16..24].copy_from_slice(&self.tick.to_le_bytes());
        front[24..].copy_from_slice(&self.previous.0);
        front
    }
}

/// The payload of a batch. A key or value of 4 GiB and more has its length cut short here; no frame holds one.
pub fn encode_ops(ops: &[RowOp]) -> Vec<u8> {
    let mut payload = Vec::new();
    for op in ops {
        match op {
            RowOp::Put { table, key, value } => {
                payload.extend_from_slice(&[PUT, *table as u8]);
                push(&mut payload, key);
                push(&mut payload, value);
            }
            RowOp::Delete { table, key } => {
                payload.extend_from_slice(&[DELETE, *table as u8]);
                push(&mut payload, key);
            }
        }
    }
    payload
}

/// Reads the payload of a batch back.
///
/// # Errors
/// `Payload` for bytes that [`encode_ops`] of this version does not write.
pub fn decode_ops(payload: &[u8]) -> Result<Vec<RowOp>, JournalError> {
    let mut rest = payload;
    let mut ops = Vec::new();
    while !rest.is_empty() {
        let bad = |what| JournalError::Payload { offset: payload.len() - rest.len(), what };
        let (op, after) = decode_op(rest).map_err(bad)?;
        ops.push(op);
        rest = after;
    }
    Ok(ops)
}

fn decode_op(bytes: &[u8]) -> Result<(RowOp, &[u8]), &'static str> {
    let Some(([kind, table], rest)) = bytes.split_first_chunk::<2>() else { return Err("an operation is cut off") };
    let table = table_of(*table).ok_or("a table that this version does not know")?;
    let (key, rest) = take(rest).ok_or("a key is cut off")?;
    match *kind {
        PUT => {
            let (value, rest) = take(rest).ok_or("a value is cut off")?;
            Ok((RowOp::Put { table, key: key.to_vec(), value: value.to_vec() }, rest))
        }
        DELETE => Ok((RowOp::Delete { table, key: key.to_vec() }, rest)),
        _ => Err("an operation that this version does not know"),
    }
}

/// The table of this number.
pub(super) fn table_of(number: u8) -> Option<Table> {
    Table::ALL.iter().copied().find(|table| *table as u8 == number)
}

fn push(bytes: &mut Vec<u8>, field: &[u8]) {
    let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(field);
}

fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Id;
    use crate::storage::journal::name::Generation;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn any_op() -> impl Strategy<Value = RowOp> {
        let row = (any::<bool>(), 0..Table::ALL.len(), vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..90));
        row.prop_map(|(is_put, table, key, value)| match (is_put, Table::ALL[table]) {
            (true, table) => RowOp::Put { table, key, value },
            (false, table) => RowOp::Delete { table, key },
        })
    }

    proptest! {
        #[test]
        fn rows_are_read_back_as_they_were(ops in vec(any_op(), 0..20)) {
            prop_assert_eq!(decode_ops(&encode_ops(&ops)).unwrap(), ops);
        }

        #[test]
        fn any_bytes_are_rows_or_refused(bytes in vec(any::<u8>(), 0..200)) {
            if let Ok(ops) = decode_ops(&bytes) {
                prop_assert_eq!(encode_ops(&ops), bytes);
            }
        }
    }

    #[test]
    fn cut_rows_are_refused_with_the_place() {
        let op = RowOp::Put { table: Table::Blobs, key: b"key".to_vec(), value: b"value".to_vec() };
        let payload = encode_ops(&[op.clone(), op]);
        let one = payload.len() / 2;
        for end in (1..one).chain(one + 1..payload.len()) {
            let refused = decode_ops(&payload[..end]).unwrap_err();
            let place = if end < one { 0 } else { one };
            assert!(matches!(refused, JournalError::Payload { offset, .. } if offset == place), "{end}: {refused}");
        }
        assert!(decode_ops(&[PUT, u8::MAX, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn a_frame_has_a_greatest_length() {
        let generation = Generation { number: 1, history: Id(1) };
        let last = Position { generation, end: 0, number: 8, hash: Blake3([5; 32]), tick: 0 };
        let payload = vec![0; usize::try_from(FRAME_BYTES_MAX - FRAME_BYTES_MIN).unwrap()];
        let mut frame = Frame::following(&last, FrameKind::Seal, 7, payload);
        let bytes = frame.encode().unwrap();
        let (length, previous) = (FRAME_BYTES_MAX, last.hash);
        let front = FrameFront { length, kind: FrameKind::Seal, number: 9, tick: 7, previous };
        assert_eq!(FrameFront::read(&bytes), Some(front));
        assert_eq!(hash_at(&bytes, bytes.len() - HASH_BYTES), Some(frame.hash));
        frame.payload.push(0);
        assert!(matches!(frame.encode(), Err(JournalError::TooLarge { .. })));
    }
}

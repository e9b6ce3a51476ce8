//! How far a copy reaches: the longest prefix of its history that refers to no blob which copying left behind.
//!
//! Pure: it is fed the rows of [`Table::Blobs`] in a base and then what each frame does to them, and asks for each blob
//! that is referred to whether its file is there. Three things look alike and are kept apart:
//! - a file that was not there yet when its folder was copied: the state is newer than the files, and is cut;
//! - a file that was lost before: it was referred to for longer than a copy may take, so that copying can't be why. It is
//!   named, and nothing is cut for it;
//! - a file that was dropped and swept while the copy was made: the files are newer than the state. Cutting would give an
//!   older state than the copy promised, so that it is refused.

use std::collections::{BTreeMap, BTreeSet};

use super::header::Position;
use super::plan::OpenRefusal;
use crate::domain::digest::Sha256;
use crate::storage::StoreError;
use crate::storage::rows::{BlobRow, Row, corrupt};
use crate::storage::tables::{RowOp, Table};

/// Blobs that are named where some are missing; their number is told in any case.
pub const LACKING_NAMED_MAX: usize = 20;

/// What stands under a blob's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// A file that may be the blob.
    There,
    /// Nothing.
    Missing,
    /// A note that it was swept.
    Swept {
        /// The tick at which nothing referred to it any more.
        dropped: u64,
    },
}

/// How far a route reaches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cut {
    /// To this state.
    Keep(Kept),
    /// To none: also the state of the base lacks blobs.
    Nothing {
        /// Which, at most [`LACKING_NAMED_MAX`].
        lacking: Vec<Sha256>,
    },
    /// Further than may be opened: a blob that is referred to there was swept before it was copied.
    Outlasted {
        /// Which.
        blob: Sha256,
        /// The tick at which the original dropped it.
        dropped: u64,
    },
}

/// The state to open a copy at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Its last frame.
    pub at: Position,
    /// Blobs that it refers to and that were lost before the copy was made: these artifacts are damaged.
    pub damaged: BTreeSet<Sha256>,
    /// Blobs for whose sake the frames after it are left out, at most [`LACKING_NAMED_MAX`]; none when there are no more
    /// frames.
    pub lacking: Vec<Sha256>,
}

/// Why a referred blob that is not there counts, or does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lack {
    /// Copying may have left it behind.
    Late,
    /// It was lost long before.
    Lost,
    /// It was swept after this state.
    Swept { dropped: u64 },
}

/// Follows which blobs are referred to and not there, over a base and the frames after it.
pub struct Completeness<'a> {
    look: &'a dyn Fn(&Sha256) -> Presence,
    /// What has been referred to since before this tick can't have been left behind by copying.
    copied_since: Option<u64>,
    lacks: BTreeMap<Sha256, Lack>,
    /// How many of `lacks` are not [`Lack::Lost`].
    counted: usize,
    best: Option<(Position, BTreeSet<Sha256>)>,
    /// The lost ones are not what they were at `best`.
    changed: bool,
    swept: Option<(Sha256, u64)>,
}

impl<'a> Completeness<'a> {
    /// Begins a walk. `tick` is what [`super::plan::Route`] says of its end, `retention` what [`super::plan::Copied`] says.
    pub fn new(tick: u64, retention: u64, look: &'a dyn Fn(&Sha256) -> Presence) -> Self {
        let copied_since = tick.checked_sub(retention);
        let (lacks, best, swept) = (BTreeMap::new(), None, None);
        Self { look, copied_since, lacks, counted: 0, best, changed: true, swept }
    }

    /// Takes a row of [`Table::Blobs`] of the base.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is no such row.
    pub fn base_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let row = BlobRow::from_row(Table::Blobs, value)?;
        let lack = self.lack(&row);
        self.set(digest(key)?, lack);
        Ok(())
    }

    /// Ends the base: all its rows were taken.
    pub fn base_end(&mut self, at: Position) {
        self.settle(at);
    }

    /// Takes a frame.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it puts something that is no blob's row.
    pub fn frame(&mut self, ops: &[RowOp], at: Position) -> Result<(), StoreError> {
        for op in ops {
            match op {
                RowOp::Put { table: Table::Blobs, key, value } => self.base_row(key, value)?,
                RowOp::Delete { table: Table::Blobs, key } => self.set(digest(key)?, None),
                RowOp::Put { .. } | RowOp::Delete { .. } => {}
            }
        }
        self.settle(at);
        Ok(())
    }

    /// How far the route reaches.
    pub fn finish(self) -> Cut {
        let counted = self.lacks.iter().filter(|(_, lack)| **lack != Lack::Lost);
        let lacking = counted.map(|(blob, _)| *blob).take(LACKING_NAMED_MAX).collect();
        match (self.swept, self.best) {
            (Some((blob, dropped)), _) => Cut::Outlasted { blob, dropped },
            (None, Some((at, damaged))) => Cut::Keep(Kept { at, damaged, lacking }),
            (None, None) => Cut::Nothing { lacking },
        }
    }

    /// What a row says of a blob that is not there; nothing when it need not be.
    fn lack(&self, row: &BlobRow) -> Option<Lack> {
        if row.count == 0 || row.damaged {
            return None;
        }
        match (self.look)(&row.sha256) {
            Presence::There => None,
            Presence::Swept { dropped } if dropped >= row.referred_since => Some(Lack::Swept { dropped }),
            Presence::Missing | Presence::Swept { .. } => {
                let is_older = self.copied_since.is_some_and(|since| row.referred_since < since);
                Some(if is_older { Lack::Lost } else { Lack::Late })
            }
        }
    }

    fn set(&mut self, blob: Sha256, lack: Option<Lack>) {
        let before = match lack {
            Some(lack) => self.lacks.insert(blob, lack),
            None => self.lacks.remove(&blob),
        };
        let counts = |lack: Option<Lack>| usize::from(lack.is_some_and(|lack| lack != Lack::Lost));
        self.counted = (self.counted + counts(lack)).saturating_sub(counts(before));
        self.changed |= before != lack && [before, lack].contains(&Some(Lack::Lost));
    }

    /// Judges the state that everything so far led to.
    fn settle(&mut self, at: Position) {
        if self.counted == 0 {
            self.swept = None;
            match &mut self.best {
                Some((best, _)) if !self.changed => *best = at,
                best => *best = Some((at, self.lacks.keys().copied().collect())),
            }
            self.changed = false;
            return;
        }
        if self.swept.is_none() {
            let swept = |(blob, lack): (&Sha256, &Lack)| match lack {
                Lack::Swept { dropped } => Some((*blob, *dropped)),
                Lack::Late | Lack::Lost => None,
            };
            self.swept = self.lacks.iter().find_map(swept);
        }
    }
}

fn digest(key: &[u8]) -> Result<Sha256, StoreError> {
    let bytes = key.try_into().ok().ok_or_else(|| corrupt(Table::Blobs, "a key is no SHA-256"));
    bytes.map(Sha256)
}

impl super::plan::Copied {
    /// Says whether the state that a walk came to is opened: `None` when the next route is to be tried.
    ///
    /// # Errors
    /// [`super::plan::RefusalKind::Outlasted`] when the original took away what the copy needed before it was copied.
    pub fn judge(&self, cut: Cut) -> Result<Option<Kept>, OpenRefusal> {
        match cut {
            Cut::Keep(kept) => self.check(&kept.at).map(|()| Some(kept)),
            Cut::Nothing { .. } => Ok(None),
            Cut::Outlasted { blob, dropped } => {
                let (shard, name) = (blob.0[0], blob.to_hex());
                let what = format!(
                    "this copy took longer than the original keeps what it dropped: a blob that the copy refers to was \
                     dropped at tick {dropped} and removed before it was copied"
                );
                Err(OpenRefusal::outlasted(vec![format!("blobs/sha256/{shard:02x}/{name}")], what))
            }
        }
    }

    /// The refusal when no route leads to a state: each one refers to blobs that are not there.
    pub fn nothing_whole(lacking: &[Sha256]) -> OpenRefusal {
        let name = |blob: &Sha256| format!("blobs/sha256/{:02x}/{}", blob.0[0], blob.to_hex());
        let what = "every state that the journal tells refers to blobs that are not there".to_owned();
        OpenRefusal::damaged(lacking.iter().map(name).collect(), None, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Blake3;
    use crate::domain::id::Id;
    use crate::storage::journal::name::Generation;

    const RETENTION: u64 = 10;

    fn blob(number: u8) -> Sha256 {
        Sha256([number; 32])
    }

    fn row(number: u8, count: u64, referred_since: u64) -> BlobRow {
        let (sha256, blake3) = (blob(number), Blake3([0; 32]));
        let dropped_since = (count == 0).then_some(referred_since);
        BlobRow { count, size: 1, sha256, blake3, referred_since, dropped_since, damaged: false }
    }

    fn put(row: &BlobRow) -> RowOp {
        RowOp::Put { table: Table::Blobs, key: row.sha256.0.to_vec(), value: row.to_row() }
    }

    fn at(number: u64) -> Position {
        let generation = Generation { number: 1, history: Id(1) };
        Position { generation, end: number, number, hash: Blake3([0; 32]), tick: number }
    }

    /// Walks frames that each put one row, after an empty base; frame n is of tick n.
    fn walk(rows: &[BlobRow], look: &dyn Fn(&Sha256) -> Presence) -> Cut {
        let mut walk = Completeness::new(rows.len() as u64, RETENTION, look);
        walk.base_end(at(0));
        for (number, row) in (1..).zip(rows) {
            walk.frame(&[put(row)], at(number)).unwrap();
        }
        walk.finish()
    }

    fn kept(cut: Cut) -> (u64, Vec<Sha256>, Vec<Sha256>) {
        let Cut::Keep(kept) = cut else { panic!("kept: {cut:?}") };
        (kept.at.number, kept.damaged.into_iter().collect(), kept.lacking)
    }

    #[test]
    fn a_copy_is_cut_before_the_first_blob_that_it_lacks_to_its_end() {
        let look = |digest: &Sha256| if digest.0[0] == 2 { Presence::Missing } else { Presence::There };
        let rows = [row(1, 1, 1), row(2, 1, 2), row(3, 1, 3)];
        assert_eq!(kept(walk(&rows, &look)), (1, vec![], vec![blob(2)]));
        let dropped = [row(1, 1, 1), row(2, 1, 2), row(2, 0, 3)];
        assert_eq!(kept(walk(&dropped, &look)), (3, vec![], vec![]), "nothing refers to it in the end");
        let flagged = [row(1, 1, 1), BlobRow { damaged: true, ..row(2, 1, 2) }];
        assert_eq!(kept(walk(&flagged, &look)), (2, vec![], vec![]), "it was known to be damaged");
    }

    #[test]
    fn a_blob_lost_before_the_copy_began_is_damage_and_no_reason_to_cut() {
        let look = |digest: &Sha256| if digest.0[0] == 1 { Presence::Missing } else { Presence::There };
        let rows = |count: u64| (1..=count).map(|tick| row(if tick == 1 { 1 } else { 2 }, 1, tick)).collect::<Vec<_>>();
        assert_eq!(kept(walk(&rows(12), &look)), (12, vec![blob(1)], vec![]));
        assert_eq!(kept(walk(&rows(11), &look)), (0, vec![], vec![blob(1)]), "within the retention it may be copying");
    }

    #[test]
    fn the_damage_that_is_named_is_that_of_the_state_that_is_kept() {
        let look = |digest: &Sha256| if digest.0[0] == 2 { Presence::There } else { Presence::Missing };
        let mut rows: Vec<BlobRow> = (1..=12).map(|tick| row(2, 1, tick)).collect();
        rows[1] = row(1, 1, 0);
        assert_eq!(kept(walk(&rows, &look)), (12, vec![blob(1)], vec![]));
        rows[4] = row(3, 1, 12);
        rows[8] = row(1, 0, 0);
        assert_eq!(kept(walk(&rows, &look)), (4, vec![blob(1)], vec![blob(3)]));
    }

    #[test]
    fn a_blob_that_was_swept_after_the_state_refuses_it() {
        let look = |digest: &Sha256| if digest.0[0] == 1 { Presence::Swept { dropped: 5 } } else { Presence::There };
        assert_eq!(walk(&[row(1, 1, 1), row(2, 1, 2)], &look), Cut::Outlasted { blob: blob(1), dropped: 5 });
        let long: Vec<BlobRow> = (1..=20).map(|tick| row(if tick == 1 { 1 } else { 2 }, 1, tick)).collect();
        assert!(matches!(walk(&long, &look), Cut::Outlasted { .. }), "however long it had been referred to");
        let dropped = [row(1, 1, 1), row(1, 0, 2), row(2, 1, 3)];
        assert_eq!(kept(walk(&dropped, &look)), (3, vec![], vec![]));
        assert_eq!(kept(walk(&[row(2, 1, 1), row(1, 1, 6)], &look)), (1, vec![], vec![blob(1)]), "an older note");
    }

    #[test]
    fn a_swept_blob_that_is_needed_only_before_the_state_does_not_matter() {
        let look = |digest: &Sha256| match digest.0[0] {
            1 => Presence::Swept { dropped: 2 },
            3 => Presence::Missing,
            _ => Presence::There,
        };
        let rows = [row(1, 1, 1), row(1, 0, 2), row(2, 1, 3), row(3, 1, 4)];
        assert_eq!(kept(walk(&rows, &look)), (3, vec![], vec![blob(3)]));
        let mut walk = Completeness::new(4, RETENTION, &look);
        let late = row(3, 1, 4);
        walk.base_row(&late.sha256.0, &late.to_row()).unwrap();
        walk.base_end(at(9));
        assert_eq!(walk.finish(), Cut::Nothing { lacking: vec![blob(3)] });
    }

    #[test]
    fn what_is_no_row_of_a_blob_is_corrupt() {
        let look = |_: &Sha256| Presence::There;
        let mut walk = Completeness::new(1, RETENTION, &look);
        assert!(walk.base_row(&[1, 2], &row(1, 1, 1).to_row()).is_err());
        assert!(walk.base_row(&[1; 32], &[9]).is_err());
    }
}

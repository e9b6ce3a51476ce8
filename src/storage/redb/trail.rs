//! Where the frames stand that came after the last checkpoint: what a reopened index lacks.

use std::ops::Range;

use crate::storage::journal::header::Position;
use crate::storage::journal::name::Generation;

/// A part of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stretch {
    pub(super) generation: Generation,
    /// Bytes; from 0 means from the log's first frame.
    pub(super) range: Range<u64>,
}

/// The frames from one position to another, in the order in which they came.
#[derive(Debug)]
pub(super) struct Trail {
    from: Position,
    to: Position,
    stretches: Vec<Stretch>,
}

impl Trail {
    /// No frames yet after `from`.
    pub(super) fn new(from: Position) -> Self {
        Self { from, to: from, stretches: Vec::new() }
    }

    /// Where it ends.
    pub(super) fn to(&self) -> Position {
        self.to
    }

    /// Where it begins.
    pub(super) fn from(&self) -> Position {
        self.from
    }

    /// Where an index stands that names no frame: at the beginning, as long as none was made durable.
    pub(super) fn nothing(&self) -> Option<Position> {
        Some(self.from).filter(|from| from.number == 0)
    }

    /// One more frame ends at `position`. What lies between two logs' frames is void.
    pub(super) fn extend(&mut self, position: Position) {
        let former = std::mem::replace(&mut self.to, position);
        match self.stretches.last_mut() {
            Some(last) if last.generation == position.generation => last.range.end = position.end,
            Some(_) | None => {
                let start = if former.generation == position.generation { former.end } else { 0 };
                self.stretches.push(Stretch { generation: position.generation, range: start..position.end });
            }
        }
    }

    /// The stretches after `position`, which is where it begins or the end of one of its frames; `None` for any other.
    pub(super) fn after(&self, position: &Position) -> Option<Vec<Stretch>> {
        if position.number == self.from.number && position.hash == self.from.hash {
            return Some(self.stretches.clone());
        }
        let within = |stretch: &Stretch| {
            stretch.generation == position.generation && {
                (stretch.range.start + 1..=stretch.range.end).contains(&position.end)
            }
        };
        let at = self.stretches.iter().position(within)?;
        let mut rest = self.stretches.get(at..)?.to_vec();
        if let Some(first) = rest.first_mut() {
            first.range.start = position.end;
        }
        rest.retain(|stretch| !stretch.range.is_empty());
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Blake3;
    use crate::domain::id::Id;

    fn position(generation: u64, end: u64, number: u64) -> Position {
        let generation = Generation { number: generation, history: Id(1) };
        Position { generation, end, number, hash: Blake3([u8::try_from(number).unwrap(); 32]), tick: 0 }
    }

    #[test]
    fn what_follows_a_position_is_found_across_logs_and_nothing_for_a_stranger() {
        let mut trail = Trail::new(position(1, 200, 3));
        for next in [position(1, 250, 4), position(1, 300, 5), position(2, 190, 6), position(2, 240, 7)] {
            trail.extend(next);
        }
        let follows = |after: Position| -> Option<Vec<(u64, Range<u64>)>> {
            let stretches = trail.after(&after)?;
            Some(stretches.into_iter().map(|stretch| (stretch.generation.number, stretch.range)).collect())
        };
        assert_eq!(follows(position(1, 200, 3)), Some(vec![(1, 200..300), (2, 0..240)]));
        assert_eq!(follows(position(1, 250, 4)), Some(vec![(1, 250..300), (2, 0..240)]));
        assert_eq!(follows(position(1, 300, 5)), Some(vec![(2, 0..240)]));
        assert_eq!(follows(position(2, 240, 7)), Some(vec![]));
        assert_eq!(follows(position(1, 100, 2)), None);
        assert_eq!(follows(position(3, 10, 8)), None);
        assert_eq!(trail.to(), position(2, 240, 7));
    }
}

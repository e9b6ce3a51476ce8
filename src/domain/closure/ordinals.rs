//! Sets of versions of one package, each version told by its place among those that may be chosen.
//!
//! A requirement is no interval of versions (`^1.2` leaves 1.3.0-rc.1 out), so the solver never sees versions or
//! requirements, only the places of the versions that match.

use std::fmt;
use std::ops::Bound;

use pubgrub::{Ranges, VersionSet};

/// A set of places. Half-open runs from 0 on, so that neighbours join and equal sets have equal forms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ordinals(Ranges<u32>);

impl Ordinals {
    /// The places at which `chosen` holds.
    pub(super) fn of(chosen: impl Iterator<Item = bool>) -> Self {
        let places = (0_u32..).zip(chosen).filter(|(_, chosen)| *chosen);
        Self(places.map(|(place, _)| (Bound::Included(place), Bound::Excluded(place + 1))).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl VersionSet for Ordinals {
    type V = u32;

    fn empty() -> Self {
        Self(Ranges::empty())
    }

    fn full() -> Self {
        Self(Ranges::higher_than(0_u32))
    }

    fn singleton(place: u32) -> Self {
        Self(Ranges::between(place, place + 1))
    }

    fn complement(&self) -> Self {
        Self(self.0.complement().intersection(&Ranges::higher_than(0_u32)))
    }

    fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0))
    }

    fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0))
    }

    fn contains(&self, place: &u32) -> bool {
        self.0.contains(place)
    }

    fn is_disjoint(&self, other: &Self) -> bool {
        self.0.is_disjoint(&other.0)
    }

    fn subset_of(&self, other: &Self) -> bool {
        self.0.subset_of(&other.0)
    }
}

impl fmt::Display for Ordinals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(places: &[u32]) -> Ordinals {
        Ordinals::of((0..10).map(|place| places.contains(&place)))
    }

    #[test]
    fn equal_sets_are_equal_however_they_were_made() {
        let joined = Ordinals::singleton(1).union(&Ordinals::singleton(2)).union(&Ordinals::singleton(0));
        assert_eq!(joined, set(&[0, 1, 2]));
        assert_eq!(Ordinals::full().complement(), Ordinals::empty());
        assert_eq!(set(&[0, 1, 5]).complement().complement(), set(&[0, 1, 5]));
        assert_eq!(set(&[1, 2, 3]).intersection(&Ordinals::singleton(2).complement()), set(&[1, 3]));
        assert!(set(&[0, 1]).intersection(&set(&[2, 3])).is_empty());
        assert!(set(&[1]).subset_of(&set(&[0, 1])) && set(&[0]).is_disjoint(&set(&[1])));
    }
}

//! Each invariant of the rows, broken once.


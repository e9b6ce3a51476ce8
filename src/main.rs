//! The `vix-registry` binary.

fn main() {}

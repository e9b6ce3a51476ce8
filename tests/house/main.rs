//! The rules of the house that a machine can check, over the source tree itself.
//!
//! Each module is one theme. A rule reports every place where it is broken as `file:line: what`, so that one run shows
//! all of them. What rustc, clippy and rustfmt check already (function length, lints, style) is not repeated here.

mod documents;
mod layers;
mod packages;
mod roadmap;
mod rust;
mod shape;
mod statuses;
mod tree;

/// Fails with one line per broken place.
fn none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}\n  {}", broken.join("\n  "));
}

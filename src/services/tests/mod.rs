//! Services over a real store in a directory of their own, and what is stored after each step.

mod backup;
mod bench;
mod live;
mod members;
mod namespaces;
mod packages;
mod scrub;
mod verify;
mod versions;

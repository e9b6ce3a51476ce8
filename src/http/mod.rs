//! The door: HTTP and JSON, and no rules of the registry.

pub mod problem;

//! The handlers: decode, one service call, reply. No rule of the registry stands here.

pub mod artifacts;
pub mod operations;
pub mod publish;
pub mod versions;

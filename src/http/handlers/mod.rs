//! The handlers: decode, one service call, reply. No rule of the registry stands here.

pub mod operations;

//! The handlers: decode, one service call, reply. No rule of the registry stands here.

pub mod artifacts;
pub mod audit;
pub mod discovery;
pub mod jobs;
pub mod login;
pub mod members;
pub mod namespaces;
pub mod operations;
pub mod packages;
pub mod publish;
pub mod tokens;
pub mod uploads;
pub mod users;
pub mod versions;
pub mod yank;

#[cfg(test)]
mod accounts_tests;
#[cfg(test)]
mod tests;

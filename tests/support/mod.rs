//! A registry in this process, clients that talk to it over TCP, and the people who do.
//!
//! Shared by test binaries (`#[path = "../support/mod.rs"] mod support;`). Every answer that goes through
//! [`client`] is held against the contract's conventions and the route table by [`contract`].

#[expect(unreachable_pub, reason = "unit tests of the library include this file too")]
pub(crate) mod archive;
pub(crate) mod client;
pub(crate) mod contract;
pub(crate) mod personas;
pub(crate) mod secrecy;
pub(crate) mod server;
pub(crate) mod shapes;

pub(crate) use client::{Answer, Ask, Client};
pub(crate) use personas::Persona;
pub(crate) use server::{Server, Setup};

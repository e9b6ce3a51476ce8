//! The order of steps of each operation: who may, what is stored first, what is answered.
//!
//! Services know neither HTTP nor tables. They load through [`crate::storage`], let [`crate::domain`] decide, and hand
//! back domain values or a [`ServiceError`].

pub mod error;

pub use error::ServiceError;

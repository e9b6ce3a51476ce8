//! What can be configured: one closed table of keys, read from flags, environment, one file and defaults.
//!
//! This is the only place that reads the environment or a configuration file. It opens nothing else, starts nothing
//! and logs nothing: warnings are handed back. Start reading at [`KEYS`], then [`Config::load`].

mod alias;
mod error;
mod file;
mod keys;
mod kind;
mod load;
mod network;
mod render;
mod sources;
#[cfg(test)]
mod tests;
mod types;
mod units;
mod url;

pub use alias::{ALIASES, Alias, Meaning};
pub use error::{ConfigError, Problem};
pub use keys::{ENV_PREFIX, KEYS, Key, SECTIONS};
pub use kind::{Choice, Kind, Slot};
pub use load::Loaded;
pub use network::Network;
pub use render::{ShowLine, doc_tables, json_schema, sample_toml};
pub use sources::{CONFIG_ENV, Origin, SYSTEM_FILE, Sources};
pub use types::{
    Config, Cors, Downloads, Http, Limits, Log, Login, NamespaceClaim, Namespaces, Storage, Tokens, Uploads,
};

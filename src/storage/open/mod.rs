//! Opens the data of a directory: looks, decides, and only then changes anything.

pub mod watch;

pub use watch::{Opening, Phase, Watch, unwatched};

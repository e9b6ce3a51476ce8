//! What is logged and in which shape: lines on stderr, JSON or text.
//!
//! Any layer may log. A secret, a query string, a header's value or a body must never be handed to a log; what looks
//! like a token of this registry is masked all the same, and other crates are heard at `warn` and above alone, because
//! their finer levels show what requests hold. Start reading at [`init`] and [`access()`].

mod access;
mod clean;
mod format;

pub use access::{ACCESS_TARGET, AccessLine, access, field};
pub use clean::{VALUE_CHARS_MAX, clean, clean_to, is_unsafe};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

/// The least important level that is logged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Level {
    /// What needs somebody now.
    Error,
    /// What needs somebody soon, and requests that failed through the server's fault.
    Warn,
    /// Also every request and every step of the server's life.
    #[default]
    Info,
    /// Also what helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

/// The shape of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One line of text an event.
    Text,
    /// One line of JSON an event.
    Json,
}

impl Level {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

impl Format {
    /// Whether lines are JSON, given where they go to.
    pub fn is_json(self, to_terminal: bool) -> bool {
        match self {
            Self::Auto => !to_terminal,
            Self::Text => false,
            Self::Json => true,
        }
    }
}

/// Starts logging to stderr, for the whole process and once.
///
/// # Errors
/// When logging was started before.
pub fn init(level: Level, format: Format, stderr_is_terminal: bool) -> Result<(), SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(level, format, stderr_is_terminal, std::io::stderr))
}

/// What formats and filters events; a line that can't be written is dropped, because stderr may be a pipe that is gone.
fn subscriber<W>(level: Level, format: Format, to_terminal: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = format::Lines { json: format.is_json(to_terminal) };
    let layer = tracing_subscriber::fmt::layer()
        .event_format(lines)
        .with_ansi(false)
        .log_internal_errors(false)
        .with_writer(writer);
    let targets = Targets::new()
        .with_default(level.filter().min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), level.filter())
        .with_target(ACCESS_TARGET, level.filter());
    tracing_subscriber::registry().with(targets).with(layer)
}

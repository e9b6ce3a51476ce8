//! Looks for secrets where none may be: in every line that is logged, and in every file of a data directory.
//!
//! Every server of every test is watched. Tokens are known by their prefix; passwords of tests begin with
//! [`PASSWORD`]. Lines are seen as the code hands them to the log, before anything masks what looks like a token.

use std::io;
use std::path::Path;
use std::sync::{Mutex, Once, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use vix_registry::domain::token::TOKEN_PREFIX;
use vix_registry::telemetry::ACCESS_TARGET;

use super::server::files_below;

/// What every password of the tests begins with.
pub(crate) const PASSWORD: &str = "s3cret-";

static FORBIDDEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LINES: Mutex<u64> = Mutex::new(0);

/// Forbids one more text from now on, such as an encoded credential.
pub(crate) fn forbid(text: &str) {
    FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
}

/// How many lines were looked at.
pub(crate) fn lines_seen() -> u64 {
    *LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_secret(text: &str) -> bool {
    let forbidden = FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
    text.contains(TOKEN_PREFIX) || text.contains(PASSWORD) || forbidden.iter().any(|secret| text.contains(secret))
}

/// Listens to all that this crate logs, at every level, from the first server on.
pub(crate) fn watch_logs() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        // Other crates' finer levels show what requests hold; the binary never lets them through.
        let ours = Targets::new().with_target("vix_registry", LevelFilter::TRACE);
        let ours = ours.with_target(ACCESS_TARGET, LevelFilter::TRACE).with_default(LevelFilter::WARN);
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(|| Watch);
        let subscriber = tracing_subscriber::registry().with(ours).with(lines);
        tracing::subscriber::set_global_default(subscriber).expect("nobody else listens");
    });
}

struct Watch;

impl io::Write for Watch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        *LINES.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        if is_secret(&line) {
            FOUND.lock().unwrap_or_else(PoisonError::into_inner).push(line.into_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fails when a secret was logged, or stands in a file of the directory.
#[track_caller]
pub(crate) fn check(data: &Path) {
    // Whoever comes first tells it; the others would say the same.
    let found = std::mem::take(&mut *FOUND.lock().unwrap_or_else(PoisonError::into_inner));
    assert!(found.is_empty(), "logged secrets: {found:?}");
    for path in files_below(data) {
        let bytes = std::fs::read(&path).expect("a readable file");
        assert!(!is_secret(&String::from_utf8_lossy(&bytes)), "{} holds a secret", path.display());
        assert!(!is_secret(&path.to_string_lossy()), "{}", path.display());
    }
}

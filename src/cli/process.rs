//! What the process asks of the system before it opens anything.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

/// Descriptors that are asked for: connections, and a file for each of them.
const OPEN_FILES: u64 = 65_536;

/// From now on files are made for their owner alone, whatever the shell says.
pub(super) fn private_files() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Raises the soft limit of open files as far as the hard one allows; serving goes on when it can't be.
pub(super) fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::debug!(%error, "the limit of open files could not be raised");
    }
}

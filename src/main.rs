//! The `vix-registry` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    vix_registry::cli::run(std::env::args_os())
}

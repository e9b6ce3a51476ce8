//! `verify`: reads every byte and row, and says what is wrong; beside a running server as its job, else in this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::Value;

use super::table::cell;
use super::{begin, job, runtime, salvage, to_json};
use crate::cli::args::Globals;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Output, Shown};
use crate::cli::progress::{Meter, watched};
use crate::cli::transport::{Call, Reached, Transport};
use crate::cli::wire_up::store_options;
use crate::config::Config;
use crate::http::wire::jobs::VerifyResult as Wire;
use crate::services::jobs::{JobKind, VerifyResult};
use crate::services::reports::Reports;
use crate::storage::directory::{Create, DataDirectory};
use crate::storage::fs::RealFs;
use crate::storage::progress::Progress;
use crate::storage::scrub::rebuild::Rebuilt;
use crate::storage::scrub::replica::{Workshop, scratch_of};
use crate::storage::scrub::verify::{Verification, Whose, verify};

/// What is verified, or made of what is damaged.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Build the index anew from the journal, then verify; the old one is set aside. For a registry that is stopped
    #[arg(long)]
    rebuild: bool,
    /// Show what can be saved of a directory that is refused; with --yes, save it into this new one. Changes nothing in
    /// the old one
    #[arg(long, value_name = "NEW-DIRECTORY", conflicts_with = "rebuild")]
    salvage: Option<PathBuf>,
    /// Save it; without this only what would be saved is shown
    #[arg(long, requires = "salvage")]
    yes: bool,
}

/// Verifies; findings make the exit code 3.
///
/// # Errors
/// Those of the configuration, of [`Transport::reach`] and of the work.
pub fn run(global: &Globals, args: &VerifyArgs, output: Output) -> Result<(Shown, Exit), CliError> {
    let config = begin(global)?;
    let meter = Meter::new(global, output, "verify");
    if let Some(dest) = &args.salvage {
        let work = salvage::run(&config, dest, args.yes, (meter, output));
        return runtime()?.block_on(work);
    }
    if args.rebuild {
        rebuild(&config, output)?;
    }
    let result = runtime()?.block_on(async {
        match Transport::reach(&config, Create::No).await? {
            Reached::Server(mut server) => job::run(&mut server, Call::new("POST", "/v1/admin/verify"), meter).await,
            Reached::Directory(directory) => alone(&config, directory, meter).await,
        }
    })?;
    let findings = result["findings"].as_array().map_or(0, Vec::len);
    let exit = if findings == 0 { Exit::Ok } else { Exit::Findings };
    Ok((Shown::data(text(&result), &result), exit))
}

/// Builds the index of a stopped registry anew.
fn rebuild(config: &Config, output: Output) -> Result<(), CliError> {
    let directory = DataDirectory::open(&config.data, Create::No)?;
    let what = match directory.rebuild_index(store_options(config))? {
        Rebuilt::Done(position) => format!("the index was built anew, up to change {}", position.number),
        Rebuilt::NotNeeded => "this is a copy that was never opened: its index is built when it is".to_owned(),
        Rebuilt::NoJournal => "there is no journal to build an index from; nothing was changed".to_owned(),
    };
    output.note(&what);
    Ok(())
}

/// On a directory that nobody else uses.
async fn alone(config: &Config, directory: DataDirectory, meter: Meter) -> Result<Value, CliError> {
    let scratch = scratch_of(directory.path());
    directory.run_folder()?;
    let workshop = Workshop {
        fs: Arc::new(RealFs),
        data: directory.path().to_owned(),
        scratch,
        cache_bytes: usize::try_from(config.storage.cache_bytes).unwrap_or(usize::MAX),
    };
    let work = move |progress: &dyn Progress| {
        let verification = Verification { workshop: &workshop, whose: Whose::Own, bytes_per_second_max: None };
        Ok(VerifyResult::from(verify(&verification, progress)?))
    };
    let result = watched(meter, work).await?;
    note(directory.path(), &result);
    to_json(&Wire::from(&result))
}

fn note(data: &Path, result: &VerifyResult) {
    Reports::of(data).note(JobKind::Verify, super::now(), result.outcome(), &result.summary());
}

/// What was read, then each finding with what to do about it.
pub(super) fn text(result: &Value) -> String {
    let number = |key: &str| result[key].as_u64().unwrap_or(0);
    let mut lines = vec![format!(
        "read: {} blobs of {} bytes, {} frames and {} snapshots of the journal, {} rows",
        number("blobs"),
        number("blob_bytes"),
        number("frames"),
        number("snapshots"),
        number("rows"),
    )];
    lines.extend(findings(result));
    let listed = result["findings"].as_array().map_or(0, Vec::len) as u64;
    lines.push(match (listed, number("findings_left_off")) {
        (0, 0) => "nothing is wrong".to_owned(),
        (1, 0) => "1 finding".to_owned(),
        (listed, 0) => format!("{listed} findings"),
        (listed, more) => format!("{} findings, of which {more} are not listed", listed + more),
    });
    lines.join("\n")
}

/// Two lines for each finding of a result.
pub(super) fn findings(result: &Value) -> Vec<String> {
    let of_all = result["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let told = |finding: &Value| {
        let file = format!("{}: {}", cell(&finding["file"]), cell(&finding["what"]));
        [file, format!("  fix: {}", cell(&finding["fix"]))]
    };
    of_all.iter().flat_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_finding_is_told_with_its_file_and_what_to_do() {
        let whole = json!({ "blobs": 2, "blob_bytes": 9, "frames": 3, "snapshots": 1, "rows": 7, "findings": [], "findings_left_off": 0 });
        let read = "read: 2 blobs of 9 bytes, 3 frames and 1 snapshots of the journal, 7 rows";
        assert_eq!(text(&whole), format!("{read}\nnothing is wrong"));
        let mut broken = whole;
        broken["findings"] = json!([{ "file": "blobs/x", "what": "it is short", "fix": "publish it again" }]);
        assert_eq!(text(&broken), format!("{read}\nblobs/x: it is short\n  fix: publish it again\n1 finding"));
        broken["findings_left_off"] = json!(4);
        assert!(text(&broken).ends_with("5 findings, of which 4 are not listed"));
    }
}

//! `verify --salvage`: what can be saved of a directory that is refused, and saving it into a new one.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Output, Shown};
use crate::cli::progress::{Meter, watched};
use crate::cli::wire_up::store_options;
use crate::config::Config;
use crate::domain::digest::Sha256;
use crate::storage::directory::{Create, DataDirectory};
use crate::storage::open::Opening;
use crate::storage::open::salvage::{Deed, SalvageError, SalvageReport};

/// Shows what would be saved, or saves it.
///
/// # Errors
/// When the directory is in use or missing, nothing can be saved, or the disk fails.
pub(super) async fn run(
    config: &Config,
    dest: &Path,
    yes: bool,
    (meter, output): (Meter, Output),
) -> Result<(Shown, Exit), CliError> {
    let directory = DataDirectory::open(&config.data, Create::No)?;
    let (options, to, data) = (store_options(config), dest.to_owned(), config.data.clone());
    let deed = if yes { Deed::Save } else { Deed::Show };
    let saved = watched(meter, move |progress| {
        let told = |opening: Opening| progress.advance(opening.at);
        match directory.salvage(&to, deed, options, &told) {
            Ok(report) => Ok(Some(report)),
            Err(SalvageError::Sound) => Ok(None),
            Err(SalvageError::Open(error)) => Err(CliError::opening(&data, error)),
            Err(error @ SalvageError::Nothing(_)) => {
                Err(CliError::new(Exit::Damaged, "damaged", error.to_string()).hint("restore a backup"))
            }
            Err(error @ SalvageError::Exists(_)) => Err(CliError::new(Exit::Failed, "exists", error.to_string())
                .hint("name a place that is not there yet, or move what is there aside")),
        }
    })
    .await?;
    let Some(report) = saved else {
        let text = "there is nothing to save: the directory opens as it is";
        return Ok((Shown::data(text.to_owned(), &json!({ "sound": true })), Exit::Ok));
    };
    if !yes {
        output.note("nothing was written: --yes does it");
    }
    let shown = Shown::data(text(&report, dest, yes), &data_of(&report, yes));
    Ok((shown, if yes { Exit::Ok } else { Exit::Findings }))
}

fn text(report: &SalvageReport, dest: &Path, yes: bool) -> String {
    let SalvageReport { change, tick, packages, versions, blobs, blob_bytes, lost_blobs, .. } = report;
    let verb = if yes { "saved into" } else { "would be saved into" };
    let source = if report.from_index { "the index" } else { "the journal" };
    let mut lines = vec![
        format!("refused: {}", report.refusal.what),
        format!("{verb} `{}`, as {source} tells: everything up to change {change} (tick {tick})", dest.display()),
        format!("kept: {packages} packages, {versions} versions, {blobs} artifacts of {blob_bytes} bytes"),
    ];
    lines.extend(report.lost.iter().map(|lost| format!("lost: {lost}")));
    if *lost_blobs > 0 {
        let named: Vec<String> = report.lost_blobs_named.iter().map(Sha256::to_hex).collect();
        lines.push(format!("lost: {lost_blobs} artifacts, among them {}", named.join(", ")));
    }
    if yes {
        lines.push(format!("look at it: vix-registry serve --data {}", dest.display()));
    }
    lines.join("\n")
}

fn data_of(report: &SalvageReport, yes: bool) -> Value {
    json!({
        "saved": yes,
        "refused": report.refusal.what,
        "files": report.refusal.files,
        "from_index": report.from_index,
        "change": report.change,
        "tick": report.tick,
        "packages": report.packages,
        "versions": report.versions,
        "blobs": report.blobs,
        "blob_bytes": report.blob_bytes,
        "lost": report.lost,
        "lost_blobs": report.lost_blobs,
        "lost_blobs_named": report.lost_blobs_named.iter().map(Sha256::to_hex).collect::<Vec<_>>(),
    })
}

//! `backup`: made, tried out and put back, in this process, which only reads where it copies from: beside a running
//! server as well as without one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use serde_json::{Value, json};

use super::verify::{findings, text};
use super::{begin, now, runtime, to_json};
use crate::cli::args::Globals;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Output, Shown};
use crate::cli::progress::{Meter, watched};
use crate::config::Config;
use crate::http::wire::jobs as wire;
use crate::services::jobs::{BackupResult, JobKind, VerifyResult};
use crate::services::reports::{Outcome, Reports};
use crate::storage::backup::{BackupOptions, BackupReport, RestoreReport, create, restore};
use crate::storage::fs::{Fs, RealFs};
use crate::storage::journal::JOURNAL_FOLDER;
use crate::storage::progress::Progress;

use crate::storage::scrub::replica::Workshop;
use crate::storage::scrub::verify::{Verification, VerifyReport, Whose, verify};

/// What is done with backups.
#[derive(Subcommand, Debug)]
pub enum BackupVerb {
    /// Make a backup of the data directory, and read it back; beside a running server or without one
    Create {
        /// Where: a folder that is not there yet
        dest: PathBuf,
        /// Copy artifacts also where hard links would do, which share the fate of the registry's disk
        #[arg(long)]
        copy: bool,
    },
    /// Try a backup, or any copy of a data directory, out: open it elsewhere and read every byte; writes nothing into it
    Verify {
        /// The backup
        dir: PathBuf,
        /// Where the index is built meanwhile, which takes about as much room as the registry's [default: the system's
        /// folder for temporary files]
        #[arg(long, value_name = "DIR")]
        scratch: Option<PathBuf>,
    },
    /// Put a backup, or any copy of a data directory, where --data points; never over existing data
    Restore {
        /// The backup
        dir: PathBuf,
    },
}

/// Does it; findings make the exit code 3.
///
/// # Errors
/// Those of the configuration and of the engines.
pub fn run(global: &Globals, verb: &BackupVerb, output: Output) -> Result<(Shown, Exit), CliError> {
    let config = begin(global)?;
    let work = async {
        match verb {
            BackupVerb::Create { dest, copy } => {
                make(&config, dest, *copy, Meter::new(global, output, "backup create")).await
            }
            BackupVerb::Verify { dir, scratch } => {
                let scratch = scratch.clone().unwrap_or_else(std::env::temp_dir);
                check(&config, dir, scratch, Meter::new(global, output, "backup verify")).await
            }
            BackupVerb::Restore { dir } => put_back(&config, dir, Meter::new(global, output, "backup restore")).await,
        }
    };
    runtime()?.block_on(work)
}

fn disk() -> Arc<dyn Fs> {
    Arc::new(RealFs)
}

fn cache_bytes(config: &Config) -> usize {
    usize::try_from(config.storage.cache_bytes).unwrap_or(usize::MAX)
}

fn ended(shown: Shown, findings: u64) -> (Shown, Exit) {
    (shown, if findings == 0 { Exit::Ok } else { Exit::Findings })
}

async fn make(config: &Config, dest: &Path, copy: bool, meter: Meter) -> Result<(Shown, Exit), CliError> {
    let (data, to) = (config.data.clone(), dest.to_owned());
    let options = BackupOptions { copy, cache_bytes: cache_bytes(config) };
    let work = move |progress: &dyn Progress| Ok(create(&disk(), &data, &to, &options, progress)?);
    let made = watched(meter, work).await;
    let reports = Reports::of(&config.data);
    let report: BackupReport = match made {
        Ok(report) => report,
        Err(error) => {
            // What was asked for wrongly, or stopped, says nothing about the registry and its backups.
            let is_askers = ["interrupted", "exists", "busy", "no_folder", "no_data_directory"];
            if !is_askers.contains(&error.reason.as_str()) {
                reports.note(JobKind::Backup, now(), Outcome::Failed, &error.what);
            }
            return Err(error);
        }
    };
    let result = BackupResult::new(dest.display().to_string(), &report);
    reports.note(JobKind::Backup, now(), result.outcome(), &result.summary());
    let mut lines = vec![format!(
        "{}: {} rows, {} artifacts of {} bytes, read back and right",
        dest.display(),
        report.rows,
        report.blobs,
        report.blob_bytes
    )];
    if report.linked > 0 {
        lines.push(format!(
            "{} of the artifacts are hard links: they guard against mistakes, not against the disk; --copy copies them",
            report.linked
        ));
    }
    let data = to_json(&wire::BackupResult::from(&result))?;
    if report.findings.count() > 0 {
        lines.push("these artifacts were damaged or lost before, and so they are in the backup:".to_owned());
        lines.extend(findings(&data));
    }
    Ok(ended(Shown::data(lines.join("\n"), &data), report.findings.count()))
}

async fn check(config: &Config, dir: &Path, scratch: PathBuf, meter: Meter) -> Result<(Shown, Exit), CliError> {
    if ![JOURNAL_FOLDER, "meta.redb"].iter().any(|name| dir.join(name).exists()) {
        let what = format!("there is no backup in `{}`", dir.display());
        return Err(CliError::new(Exit::NoData, "no_data_directory", what).hint("check the path"));
    }
    let workshop = Workshop { fs: disk(), data: dir.to_owned(), scratch, cache_bytes: cache_bytes(config) };
    let work = move |progress: &dyn Progress| {
        let work = Verification { workshop: &workshop, whose: Whose::Copy, bytes_per_second_max: None };
        Ok(verify(&work, progress)?)
    };
    let report: VerifyReport = watched(meter, work).await?;
    let result = VerifyResult::from(report);
    let data = to_json(&wire::VerifyResult::from(&result))?;
    Ok(ended(Shown::data(text(&data), &data), result.findings_count()))
}

async fn put_back(config: &Config, dir: &Path, meter: Meter) -> Result<(Shown, Exit), CliError> {
    let (from, to, cache_bytes) = (dir.to_owned(), config.data.clone(), cache_bytes(config));
    let work = move |progress: &dyn Progress| Ok(restore(&disk(), &from, &to, cache_bytes, progress)?);
    let report: RestoreReport = watched(meter, work).await?;
    let found: Vec<Value> = report
        .findings
        .list()
        .iter()
        .map(|finding| json!({ "file": finding.file, "what": finding.what, "fix": finding.fix }))
        .collect();
    let data = json!({
        "data": config.data.display().to_string(),
        "number": report.state.map(|state| state.number),
        "rows": report.rows,
        "blobs": report.blobs,
        "bytes": report.bytes,
        "findings": found,
        "findings_left_off": report.findings.left_off(),
    });
    let mut lines = vec![format!(
        "{}: {} rows, {} artifacts, read back and right",
        config.data.display(),
        report.rows,
        report.blobs
    )];
    if report.findings.count() > 0 {
        lines.push("these artifacts are damaged or lost in the backup:".to_owned());
        lines.extend(findings(&data));
    }
    Ok(ended(Shown::data(lines.join("\n"), &data), report.findings.count()))
}

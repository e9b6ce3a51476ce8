//! `gc`: what nothing needs any more, why each thing stays and until when; `--yes` removes what is past its time.

use clap::Args;
use serde_json::{Value, json};

use super::table::cell;
use super::{job, with_registry};
use crate::cli::args::Globals;
use crate::cli::exit::CliError;
use crate::cli::output::{Output, Shown};
use crate::cli::progress::Meter;
use crate::cli::transport::Call;
use crate::storage::directory::Create;

/// What a gc may do.
#[derive(Args, Debug)]
pub struct GcArgs {
    /// Do it; without this the plan is shown, and nothing changes
    #[arg(long)]
    yes: bool,
    /// Remove at once also what is kept for copies under way, and what was purged from the journal; copies under way
    /// are void then
    #[arg(long)]
    now: bool,
}

/// Plans, and does it when told to.
///
/// # Errors
/// As [`with_registry`] and [`job::run`].
pub fn run(global: &Globals, args: &GcArgs, output: Output) -> Result<Shown, CliError> {
    with_registry(global, Create::No, async |transport| {
        let body = json!({ "apply": args.yes, "now": args.now });
        let call = Call::new("POST", "/v1/admin/gc").json(body);
        let result = job::run(transport, call, Meter::new(global, output, "gc")).await?;
        if args.now {
            let tense = if args.yes { "are void now" } else { "will be void" };
            output.note(&format!("copies of the directory that are under way {tense}: begin them again"));
        }
        if !args.yes {
            output.note("nothing was changed: --yes does it");
        }
        Ok(Shown::data(text(&result), &result))
    })
}

fn text(result: &Value) -> String {
    let number = |key: &str| result[key].as_u64().unwrap_or(0);
    let verb = if result["applied"] == true { "removed" } else { "would be removed" };
    let mut lines = vec![
        format!("{} things of {} bytes {verb}", number("removed"), number("removed_bytes")),
        format!("{} things of {} bytes stay for now", number("kept"), number("kept_bytes")),
    ];
    lines.extend(result["entries"].as_array().into_iter().flatten().map(entry));
    match number("entries_left_off") {
        0 => {}
        more => lines.push(format!("and {more} more")),
    }
    lines.join("\n")
}

fn entry(entry: &Value) -> String {
    let verb = if entry["goes"] == true { "goes " } else { "stays" };
    let until = entry["stays_s"].as_u64().map(|seconds| format!(", for {}", span(seconds))).unwrap_or_default();
    format!("{verb}  {}  {} bytes: {}{until}", cell(&entry["file"]), cell(&entry["bytes"]), cell(&entry["why"]))
}

/// A length of time that a server runs, never shown shorter than it is.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_what_goes_what_stays_and_until_when() {
        let result = json!({
            "applied": false, "removed": 1, "removed_bytes": 5, "kept": 1, "kept_bytes": 7, "entries_left_off": 2,
            "entries": [
                { "file": "blobs/sha256/ab/ab1", "bytes": 5, "goes": true, "why": "dropped", "stays_s": null },
                { "file": "journal/2.log", "bytes": 7, "goes": false, "why": "a copy may need it", "stays_s": 7201 },
            ],
        });
        let expected = "1 things of 5 bytes would be removed\n1 things of 7 bytes stay for now\n\
                        goes   blobs/sha256/ab/ab1  5 bytes: dropped\n\
                        stays  journal/2.log  7 bytes: a copy may need it, for 3 h\nand 2 more";
        assert_eq!(text(&result), expected);
    }
}

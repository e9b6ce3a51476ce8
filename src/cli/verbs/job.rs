//! A job of the registry, from its beginning to its result: in the server that runs on the directory, or in this
//! process when none does.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::exit::CliError;
use crate::cli::progress::{Interrupts, Meter, interrupted, unit};
use crate::cli::transport::{Call, Transport};
use crate::storage::progress::Advance;

/// How often a job is asked about, at first and later.
const ASK_EVERY_MIN: Duration = Duration::from_millis(20);
const ASK_EVERY_MAX: Duration = Duration::from_millis(500);
/// A job that has told nothing new for so long is waited for no more.
const STALL_MAX: Duration = Duration::from_mins(30);

/// Begins the job that `call` asks for, waits for its end, and answers with its result.
///
/// # Errors
/// The registry's refusal or the job's failure; `interrupted` at SIGINT or SIGTERM: a job in a server then goes on,
/// one in this process is stopped when the transport is closed.
pub async fn run(transport: &mut Transport, call: Call, mut meter: Meter) -> Result<Value, CliError> {
    let mut interrupts = Interrupts::watch()?;
    let mut job = transport.call(call).await?["data"].take();
    let path = format!("/v1/admin/jobs/{}", job["id"].as_str().unwrap_or_default());
    let (mut pause, mut moved) = (ASK_EVERY_MIN, Instant::now());
    loop {
        match job["state"].as_str() {
            Some("done") => {
                meter.end();
                return Ok(job["result"].take());
            }
            Some("failed") => {
                meter.end();
                return Err(failed(&job));
            }
            Some(_) | None => {}
        }
        meter.show(advance(&job["progress"]));
        if moved.elapsed() > STALL_MAX {
            meter.end();
            let what = format!("the job has made no progress for {} minutes", STALL_MAX.as_secs() / 60);
            return Err(
                CliError::new(crate::cli::exit::Exit::Failed, "stalled", what).hint(still_there(transport, &path))
            );
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            exit = interrupts.next() => {
                meter.end();
                return Err(interrupted(exit, still_there(transport, &path)));
            }
        }
        pause = pause.saturating_mul(2).min(ASK_EVERY_MAX);
        let now = transport.call(Call::new("GET", &path)).await?["data"].take();
        if now["progress"] != job["progress"] || now["state"] != job["state"] {
            moved = Instant::now();
        }
        job = now;
    }
}

fn still_there(transport: &Transport, path: &str) -> String {
    match transport {
        Transport::Socket(_) => format!("the server goes on with it: ask for it at {path}"),
        Transport::InProcess(_) => "nothing is left half-done: begin again when you like".to_owned(),
    }
}

fn advance(progress: &Value) -> Advance {
    Advance {
        done: progress["done"].as_u64().unwrap_or(0),
        total: progress["total"].as_u64(),
        unit: unit(progress["unit"].as_str().unwrap_or_default()),
    }
}

/// The failure of a job, as if its request had failed so.
fn failed(job: &Value) -> CliError {
    let status = match job["error"]["reason"].as_str() {
        Some("storage_full") => 507,
        Some("read_only") => 503,
        Some(_) | None => 500,
    };
    CliError::refused(status, json!({ "ok": false, "error": job["error"], "meta": {} }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    #[test]
    fn a_failed_job_ends_the_run_with_its_reason() {
        let check = |reason: &str, expected: Exit| {
            let job = json!({ "error": { "code": "X", "reason": reason, "message": "m" } });
            let failure = failed(&job);
            assert_eq!((failure.exit, failure.reason.as_str(), failure.what.as_str()), (expected, reason, "m"));
            assert_eq!(failure.to_envelope()["error"], job["error"]);
        };
        check("storage_full", Exit::DiskFull);
        check("read_only", Exit::DiskFull);
        check("draining", Exit::Failed);
    }

    #[test]
    fn progress_is_read_as_jobs_tell_it() {
        let at = advance(&json!({ "done": 3, "total": null, "unit": "blobs" }));
        assert_eq!((at.done, at.total, at.unit.as_str()), (3, None, "blobs"));
    }
}

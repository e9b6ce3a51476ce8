//! Jobs of made-up work: how they begin, end, fail and are stopped.

use std::sync::mpsc;

use super::*;
use crate::domain::token::Scope;
use crate::services::accounts::bench_tests::{Bench, anonymous, local, reason};
use crate::storage::progress::{Advance, Unit};

const AT: Advance = Advance { done: 3, total: Some(9), unit: Unit::Blobs };

fn order<W>(kind: JobKind, work: W) -> Order<'static, W>
where
    W: FnOnce(&dyn Progress) -> Result<JobResult, Broken> + Send + 'static,
{
    Order { kind, action: "admin.verify", target: None, work }
}

fn verified() -> JobResult {
    JobResult::Verify(VerifyResult { blobs: 3, ..VerifyResult::default() })
}

/// Waits until nothing is under way, without a clock.
async fn ended(jobs: &JobService, job: &RegistryJob) -> RegistryJob {
    jobs.board.idle().await;
    jobs.get(&local(), job.id).unwrap()
}

#[tokio::test]
async fn a_job_goes_from_queued_to_done_and_tells_how_far_it_is() {
    let bench = Bench::new();
    let jobs = &bench.services.jobs;
    let (told, go_on) = (mpsc::channel(), mpsc::channel::<()>());
    let (tell, wait) = (told.0, go_on.1);
    let work = move |progress: &dyn Progress| {
        progress.advance(AT)?;
        tell.send(()).unwrap();
        wait.recv().unwrap();
        Ok(verified())
    };
    let job = jobs.begin(&local(), order(JobKind::Verify, work)).await.unwrap();
    assert_eq!((job.state, job.kind, job.finished_at), (JobState::Queued, JobKind::Verify, None));
    tokio::task::spawn_blocking(move || told.1.recv().unwrap()).await.unwrap();
    let running = jobs.get(&local(), job.id).unwrap();
    assert_eq!((running.state, running.progress), (JobState::Running, AT));
    let second = jobs.begin(&local(), order(JobKind::Verify, |_: &dyn Progress| Ok(verified()))).await;
    assert_eq!(reason(second), Reason::JobRunning);
    go_on.0.send(()).unwrap();
    let done = ended(jobs, &job).await;
    assert_eq!((done.state, done.result, done.error), (JobState::Done, Some(verified()), None));
    assert!(done.finished_at.is_some());
    assert_eq!(bench.audited().await, ["admin.verify"], "who was refused began nothing");
    let stats = bench.services.stats.stats().await.unwrap();
    assert_eq!((stats.last_verify_at, stats.last_backup_at), (done.finished_at, None));
}

#[tokio::test]
async fn a_job_that_fails_or_panics_says_so_and_makes_way() {
    let bench = Bench::new();
    let jobs = &bench.services.jobs;
    let full = |_: &dyn Progress| Err(Broken::Failed(ServiceError::storage_full(1, 0)));
    let job = jobs.begin(&local(), order(JobKind::Backup, full)).await.unwrap();
    let failed = ended(jobs, &job).await;
    assert_eq!((failed.state, failed.error.unwrap().reason), (JobState::Failed, Reason::StorageFull));
    let panics = |_: &dyn Progress| panic!("boom");
    let job = jobs.begin(&local(), order(JobKind::Backup, panics)).await.unwrap();
    let broken = ended(jobs, &job).await;
    let error = broken.error.unwrap();
    assert_eq!((broken.state, error.reason, broken.result), (JobState::Failed, Reason::Internal, None));
    assert!(!error.message.contains("boom"));
    assert_eq!(bench.services.stats.stats().await.unwrap().last_backup_at, None);
}

#[tokio::test]
async fn stopping_ends_what_is_under_way_and_leaves_no_report() {
    let bench = Bench::new();
    let jobs = &bench.services.jobs;
    let endless = |progress: &dyn Progress| {
        loop {
            progress.advance(AT)?;
        }
    };
    let job = jobs.begin(&local(), order(JobKind::Verify, endless)).await.unwrap();
    jobs.stop().await;
    let stopped = jobs.get(&local(), job.id).unwrap();
    assert_eq!((stopped.state, stopped.error.unwrap().reason), (JobState::Failed, Reason::Draining));
    assert_eq!(jobs.reports.last(JobKind::Verify), None);
    let more = jobs.begin(&local(), order(JobKind::Gc, |_: &dyn Progress| Ok(verified()))).await;
    assert_eq!(reason(more), Reason::Draining);
}

#[tokio::test]
async fn jobs_are_for_admins_of_the_whole() {
    let bench = Bench::new();
    let jobs = &bench.services.jobs;
    let publisher = bench.user("pia", Scope::Publish).await;
    for (ctx, expected) in [(anonymous(), Reason::MissingToken), (publisher, Reason::MissingScope)] {
        assert_eq!(reason(jobs.list(&ctx, None, 9)), expected);
        assert_eq!(reason(jobs.get(&ctx, Id(1))), expected);
        let begun = jobs.begin(&ctx, order(JobKind::Gc, |_: &dyn Progress| Ok(verified()))).await;
        assert_eq!(reason(begun), expected);
    }
    assert_eq!(reason(jobs.get(&local(), Id(1))), Reason::JobNotFound);
}

#[tokio::test]
async fn the_list_goes_on_where_it_stopped() {
    let bench = Bench::new();
    let jobs = &bench.services.jobs;
    for _ in 0..5 {
        jobs.begin(&local(), order(JobKind::Verify, |_: &dyn Progress| Ok(verified()))).await.unwrap();
        jobs.board.idle().await;
    }
    let (first, next) = jobs.list(&local(), None, 3).unwrap();
    let (rest, end) = jobs.list(&local(), next, 3).unwrap();
    assert_eq!((first.len(), rest.len(), end), (3, 2, None));
    let ids: Vec<Id> = first.iter().chain(&rest).map(|job| job.id).collect();
    assert!(ids.is_sorted_by(|newer, older| newer > older));
}

//! Claims, fences and workers that vanish. Numbers are those of the incidents that such queues had.

use std::time::Duration;

use fair_queue::{FinishedJob, JobState, Kept, PartitionShare, Verdict};

use crate::support::{Harness, ids, tenant};

fn all_verdicts() -> Vec<Verdict> {
    let reason = String::new;
    vec![
        Verdict::Completed,
        Verdict::Retry { after: Duration::ZERO, error: reason() },
        Verdict::Discarded { code: "x", reason: reason() },
        Verdict::Quarantined { code: "x", reason: reason() },
        Verdict::Waiting { after: Duration::ZERO, reason: reason() },
        Verdict::Parked { reason: reason() },
        Verdict::Dropped { reason: reason() },
        Verdict::Released,
    ]
}

/// Case 4: a worker that was paused past its lease finishes a job that another worker has now.
#[tokio::test]
async fn case_4_a_stale_fence_changes_nothing() {
    let h = Harness::new().await;
    let job = h.ping("acme");
    h.push(std::slice::from_ref(&job)).await;
    let slow = h.fetch_as("slow", 1).await;
    assert_eq!(h.let_die().await.returned, 1);
    let quick = h.fetch_as("quick", 1).await;
    assert!(quick.fence > slow.fence);
    for verdict in all_verdicts() {
        assert!(!h.finish(&slow, 0, verdict.clone()).await, "{verdict:?}");
        let status = h.queue.lookup(&tenant("acme"), job.id).await.unwrap().unwrap();
        assert_eq!((status.state, status.attempts, status.deaths), (JobState::Active, 0, 1), "{verdict:?}");
    }
    assert_eq!(h.queue.renew(0, &[slow.fence, quick.fence]).await.unwrap(), [false, true]);
    h.complete(&quick).await;
    let stats = h.queue.stats(&tenant("acme")).await.unwrap();
    assert_eq!((stats.open(), stats.completed_total, stats.discarded, stats.quarantined), (0, 1, 0, 0));
}

/// Case 20: the lease is renewed for as long as the job runs.
#[tokio::test]
async fn case_20_a_renewed_claim_is_not_reaped_however_long_its_job() {
    let h = Harness::new().await;
    h.push(&[h.ping("acme")]).await;
    let claim = h.fetch(1).await;
    for _ in 0..5 {
        h.clock.advance(h.config.lease * 2 / 3);
        assert_eq!(h.queue.renew(0, &[claim.fence]).await.unwrap(), [true]);
        assert_eq!(h.queue.reap(0, 10).await.unwrap().claims, 0);
    }
    h.complete(&claim).await;
    assert_eq!(h.queue.renew(0, &[claim.fence]).await.unwrap(), [false]);
}

/// Cases 19 and 23: a job that kills its workers ends in quarantine; its attempts are untouched.
#[tokio::test]
async fn case_23_a_job_that_kills_three_workers_is_quarantined() {
    let h = Harness::new().await;
    let (acme, poison) = (tenant("acme"), h.ping("acme"));
    h.push(std::slice::from_ref(&poison)).await;
    for death in 1..=3_u32 {
        assert_eq!(h.fetch(1).await.jobs.len(), 1);
        let reaped = h.let_die().await;
        assert_eq!(reaped.quarantined.len(), usize::from(death == 3));
        let status = h.queue.lookup(&acme, poison.id).await.unwrap().unwrap();
        assert_eq!((status.deaths, status.attempts), (death, 0));
        h.clock.advance(Duration::from_secs(1));
    }
    let kept = h.queue.kept(&acme, Kept::Quarantined, 10).await.unwrap();
    assert_eq!((kept[0].id, kept[0].reason.code.as_str()), (poison.id, "worker_died"));
    assert!(h.fetch(1).await.jobs.is_empty());
    let next = h.ping("acme");
    h.push(std::slice::from_ref(&next)).await;
    assert_eq!(ids(&h.fetch(1).await), [next.id.to_string()], "the next job runs");
}

/// The neighbours of a poison job come back apart from it, so that it cannot take them along.
#[tokio::test]
async fn the_neighbours_of_a_poison_job_survive_it() {
    let h = Harness::new().await;
    let jobs: Vec<_> = (0..8).map(|_| h.ping("acme")).collect();
    h.push(&jobs).await;
    let poison = jobs[0].id.to_string();
    let mut done = 0;
    for _ in 0..200 {
        let claim = h.fetch(8).await;
        if ids(&claim).contains(&poison) {
            h.let_die().await;
        } else {
            done += claim.jobs.len();
            h.complete(&claim).await;
            h.clock.advance(Duration::from_millis(500));
        }
    }
    let stats = h.queue.stats(&tenant("acme")).await.unwrap();
    assert_eq!((done, stats.quarantined, stats.open()), (7, 1, 0));
}

/// Cases 1 to 8: slots are counted from the jobs in flight, so none can leak.
#[tokio::test]
async fn case_7_a_cap_is_held_and_never_leaks() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let share = PartitionShare { cap: Some(2), ..PartitionShare::default() };
    h.queue.partition_set(&acme, share).await.unwrap();
    let jobs: Vec<_> = (0..20).map(|_| h.ping("acme")).collect();
    h.push(&jobs).await;
    for verdict in all_verdicts() {
        let claim = h.fetch(10).await;
        assert_eq!(claim.jobs.len(), 2, "{verdict:?}");
        assert!(h.fetch(10).await.jobs.is_empty(), "the cap is reached");
        assert!(h.finish(&claim, 0, verdict.clone()).await);
        h.let_die().await;
        h.clock.advance(Duration::from_secs(10));
    }
    let claim = h.fetch(10).await;
    assert_eq!(claim.jobs.len(), 2);
    // A cap that is raised frees what waits, at once.
    h.queue.partition_set(&acme, PartitionShare { cap: Some(5), ..PartitionShare::default() }).await.unwrap();
    assert_eq!(h.fetch(10).await.jobs.len(), 3);
}

/// Case 1: retention or a person removed the record of a running job.
#[tokio::test]
async fn case_1_a_record_that_vanished_frees_its_slot() {
    let h = Harness::new().await;
    let job = h.ping("acme");
    h.queue
        .partition_set(&tenant("acme"), PartitionShare { cap: Some(1), ..PartitionShare::default() })
        .await
        .unwrap();
    h.push(&[job.clone(), h.ping("acme")]).await;
    h.fetch(1).await;
    let mut redis = h.redis().await;
    let _: i64 =
        redis::cmd("HDEL").arg(h.key("e")).arg(job.id.to_string()).query_async(&mut redis).await.unwrap();
    assert_eq!(h.let_die().await.quarantined.len(), 1);
    let claim = h.fetch(1).await;
    assert_eq!(claim.jobs.len(), 1);
    h.complete(&claim).await;
}

#[tokio::test]
async fn one_call_finishes_jobs_of_many_tenants_and_tells_which_were_refused() {
    let h = Harness::new().await;
    let jobs: Vec<_> = (0..9).map(|n| h.ping(&format!("t{}", n % 3))).collect();
    h.push(&jobs).await;
    let claim = h.fetch(9).await;
    let finish = |index: usize, verdict: Verdict, fence| {
        let job = &claim.jobs[index];
        FinishedJob::new(job, fence, verdict)
    };
    let batch: Vec<_> = (0..9)
        .map(|index| match index % 3 {
            0 => finish(index, Verdict::Completed, claim.fence),
            1 => finish(index, Verdict::Completed, claim.fence + 1),
            _ => finish(index, Verdict::Retry { after: Duration::ZERO, error: "again".into() }, claim.fence),
        })
        .collect();
    let expected: Vec<_> = (0..9).map(|index| index % 3 != 1).collect();
    assert_eq!(h.queue.finish(&batch).await.unwrap(), expected);
}

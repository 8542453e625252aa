//! How such queues have failed elsewhere, for the cases that no other test here is named after. The numbers are those
//! of our collection of incidents.

use std::collections::BTreeSet;
use std::time::Duration;

use fair_queue::clock::{Clock as _, ManualClock, SystemClock};
use fair_queue::testing::RedisServer;
use fair_queue::{JobState, Kept, PartitionShare, Priority, Redriven, Verdict};

use crate::support::{EnqueueOptions, Harness, Pong, config_at, ids, tenant, text};

/// A Redis of the test's own, so that its commands can be counted.
async fn alone() -> (RedisServer, Harness) {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let h = Harness::with(config_at(server.url()), ManualClock::at(SystemClock.now())).await;
    (server, h)
}

/// Commands that Redis has carried out so far, those inside scripts included.
async fn commands(h: &Harness) -> u64 {
    let mut redis = h.redis().await;
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut redis).await.unwrap();
    let calls =
        info.lines().filter(|line| !line.starts_with("cmdstat_info") && !line.starts_with("cmdstat_client"));
    calls.filter_map(|line| line.split("calls=").nth(1)?.split(',').next()?.parse::<u64>().ok()).sum()
}

async fn cost(h: &Harness, what: impl AsyncFnOnce()) -> u64 {
    let before = commands(h).await;
    what().await;
    commands(h).await - before
}

/// A redriven dead letter obeys the cap like any other job, and a full cap does not hold up tenants behind it.
#[tokio::test]
async fn case_8_a_manual_retry_obeys_the_cap() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    h.queue.partition_set(&acme, PartitionShare { cap: Some(1), ..PartitionShare::default() }).await.unwrap();
    let dead = h.ping("acme");
    h.push(std::slice::from_ref(&dead)).await;
    let claim = h.fetch(1).await;
    h.finish(&claim, 0, Verdict::Discarded { code: "x", reason: String::new() }).await;
    h.push(&[h.ping("acme")]).await;
    let running = h.fetch(1).await;
    assert_eq!(h.queue.redrive(&acme, dead.id).await.unwrap(), Redriven::Started);
    assert!(h.fetch(10).await.jobs.is_empty(), "the slot is taken");
    h.queue.cancel(&acme, running.jobs[0].id.parse().unwrap()).await.unwrap();
    h.finish(&running, 0, Verdict::Released).await;
    assert_eq!(ids(&h.fetch(10).await), [dead.id.to_string()], "a cancelled job's slot is free");
}

/// What a fetch costs does not depend on how many tenants may not run.
#[tokio::test]
async fn case_10_tenants_at_their_caps_cost_a_fetch_nothing() {
    let (_server, h) = alone().await;
    let mut costs = Vec::new();
    for capped in [2, 500] {
        for number in 0..capped {
            let name = format!("capped-{capped}-{number}");
            h.queue
                .partition_set(&tenant(&name), PartitionShare { cap: Some(0), ..PartitionShare::default() })
                .await
                .unwrap();
            h.push(&[h.ping(&name)]).await;
        }
        let free = format!("free-{capped}");
        h.push(&[h.ping(&free), h.ping(&free)]).await;
        costs.push(cost(&h, async || assert_eq!(h.fetch(10).await.jobs.len(), 2)).await);
    }
    assert_eq!(costs[0], costs[1]);
}

/// Limits that do not bind cost a fetch next to nothing.
#[tokio::test]
async fn case_14_limits_that_do_not_bind_are_free() {
    let (_server, h) = alone().await;
    let share = PartitionShare {
        weight: Some(7),
        cap: Some(50),
        interval_ms: Some(1),
        burst: Some(1_000),
        backlog_jobs: Some(10_000),
        ..PartitionShare::default()
    };
    h.queue.partition_set(&tenant("limited"), share).await.unwrap();
    let mut costs = Vec::new();
    for name in ["plain", "limited"] {
        let jobs: Vec<_> = (0..20).map(|_| h.ping(name)).collect();
        h.push(&jobs).await;
        costs.push(cost(&h, async || assert_eq!(h.fetch(20).await.jobs.len(), 20)).await);
    }
    assert!(costs[1] <= costs[0] + costs[0] / 10, "{costs:?}");
}

/// However many workers vanish at once, each sweep does a bounded part, and in the end everything is back.
#[tokio::test]
async fn case_21_sweeps_are_paged_and_come_to_an_end() {
    let h = Harness::new().await;
    let jobs: Vec<_> = (0..60).map(|_| h.ping("acme")).collect();
    h.push(&jobs).await;
    for number in 0..30 {
        assert_eq!(h.fetch_as(&format!("w{number}"), 2).await.jobs.len(), 2);
    }
    h.clock.advance(h.config.lease + Duration::from_millis(1));
    let mut back = 0;
    for _ in 0..15 {
        let reaped = h.queue.reap(0, 2).await.unwrap();
        assert_eq!(reaped.claims, 2);
        back += reaped.returned;
    }
    assert_eq!((back, h.queue.reap(0, 2).await.unwrap().claims), (60, 0));
}

/// Cancelling ten thousand jobs takes Redis a few steps, and each sweep after it a bounded number.
#[tokio::test]
async fn case_33_no_script_works_through_a_whole_backlog() {
    let (_server, h) = alone().await;
    let acme = tenant("acme");
    let jobs: Vec<_> = (0..10_000).map(|_| h.ping("acme")).collect();
    h.push(&jobs).await;
    let steps =
        cost(&h, async || assert_eq!(h.queue.cancel_partition(&acme).await.unwrap().cancelled, 10_000)).await;
    assert!(steps < 60, "{steps} commands");
    let mut sweeps = 0;
    loop {
        let steps = cost(&h, async || {
            h.queue.sweep(0, 200).await.unwrap();
        })
        .await;
        assert!(steps < 40, "{steps} commands in one sweep");
        sweeps += 1;
        if h.queue.sweep(0, 200).await.unwrap() == 0 {
            break;
        }
    }
    assert!(sweeps >= 20, "{sweeps}");
}

/// A worker that finds more than it can take wakes another, which wakes the next: never all of them at once.
#[tokio::test]
async fn case_38_a_worker_that_leaves_work_behind_wakes_one_other() {
    let (_server, h) = alone().await;
    let mut redis = h.redis().await;
    let jobs: Vec<_> = (0..3).map(|_| h.ping("acme")).collect();
    h.push(&jobs).await;
    let mut marker = async |command: &str| -> i64 {
        redis::cmd(command).arg(h.key("mk:0")).query_async(&mut redis).await.unwrap()
    };
    assert_eq!(marker("ZCARD").await, 1, "one marker for any number of jobs");
    marker("DEL").await;
    h.fetch(2).await;
    assert_eq!(marker("ZCARD").await, 1, "more is there");
    marker("DEL").await;
    h.fetch(2).await;
    assert_eq!(marker("ZCARD").await, 0, "nothing is left");
}

/// The payload stays the same through every state of a job.
#[tokio::test]
async fn case_44_every_way_back_keeps_the_payload() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let job = h.ping("acme");
    h.push(std::slice::from_ref(&job)).await;
    let reason = || "as told".to_owned();
    for round in 0..6 {
        h.clock.advance(Duration::from_secs(10));
        let claim = h.fetch(1).await;
        let record = String::from_utf8(claim.jobs[0].record.clone().unwrap()).unwrap();
        assert!(record.ends_with(text(&job)), "round {round}");
        let verdict = match round {
            0 => Verdict::Retry { after: Duration::from_secs(1), error: reason() },
            1 => Verdict::Parked { reason: reason() },
            2 => Verdict::Released,
            3 => Verdict::Discarded { code: "x", reason: reason() },
            4 => Verdict::Quarantined { code: "x", reason: reason() },
            _ => {
                h.let_die().await;
                continue;
            }
        };
        assert!(h.finish(&claim, 0, verdict).await);
        if matches!(round, 3 | 4) {
            assert_eq!(h.queue.redrive(&acme, job.id).await.unwrap(), Redriven::Started);
        }
    }
    let claim = h.fetch(1).await;
    assert!(claim.jobs[0].record.as_ref().unwrap().ends_with(&job.payload));
}

/// What a job waits for, one thing after the other.
#[tokio::test]
async fn case_50_a_job_says_what_it_waits_for() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let why = async |id| -> BTreeSet<&'static str> {
        let explained = h.queue.explain(&acme, id).await.unwrap().unwrap();
        explained.waits_for.iter().map(fair_queue::WaitsFor::code).collect()
    };
    let later = h.clock.now() + Duration::from_secs(60);
    let timed = EnqueueOptions { scheduled_at: Some(later), ..EnqueueOptions::default() };
    let timed = h.job("acme", &Pong::default(), timed);
    let (first, second) = (h.ping("acme"), h.ping("acme"));
    h.push(&[timed.clone(), first.clone(), second.clone()]).await;
    assert_eq!(why(timed.id).await, BTreeSet::from(["scheduled", "no_worker"]));
    assert_eq!(why(first.id).await, BTreeSet::from(["no_worker"]), "nobody has said that it runs such jobs");
    assert_eq!(why(second.id).await, BTreeSet::from(["no_worker", "jobs_ahead"]));
    let rate = PartitionShare { interval_ms: Some(5_000), burst: Some(1), ..PartitionShare::default() };
    h.queue.partition_set(&acme, rate).await.unwrap();
    let claim = h.fetch(5).await;
    assert_eq!(claim.jobs.len(), 1);
    assert!(why(second.id).await.contains("rate"));
    assert!(why(first.id).await.is_empty(), "it runs");
    let cap = PartitionShare { interval_ms: Some(0), cap: Some(1), ..PartitionShare::default() };
    h.queue.partition_set(&acme, cap).await.unwrap();
    assert_eq!(why(second.id).await, BTreeSet::from(["no_worker", "cap"]));
    h.finish(&claim, 0, Verdict::Parked { reason: "suspended".into() }).await;
    assert!(why(first.id).await.contains("parked") && why(second.id).await.contains("parked"));
    assert_eq!(h.queue.explain(&tenant("globex"), first.id).await.unwrap(), None);
}

/// Waiting is not failing: a job that waits for a day behind its tenant's other jobs has lost nothing.
#[tokio::test]
async fn case_52_waiting_is_not_stalling() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let low = EnqueueOptions { priority: Some(Priority::Background), ..EnqueueOptions::default() };
    let patient = h.job("acme", &super::support::Ping::default(), low);
    h.push(&[h.ping("acme"), patient.clone()]).await;
    let claim = h.fetch(1).await;
    for _ in 0..24 {
        h.clock.advance(Duration::from_secs(3_600));
        h.queue.renew(0, &[claim.fence]).await.unwrap();
        h.queue.reap(0, 10).await.unwrap();
        h.queue.heal(0, "0", 10).await.unwrap();
    }
    let status = h.queue.lookup(&acme, patient.id).await.unwrap().unwrap();
    assert_eq!((status.state, status.attempts, status.deaths), (JobState::Available, 0, 0));
    assert_eq!(h.queue.kept(&acme, Kept::Quarantined, 10).await.unwrap().len(), 0);
    h.complete(&claim).await;
    assert_eq!(ids(&h.fetch(2).await), [patient.id.to_string()]);
}

//! What a tenant may use, and whether work flows.

use std::collections::BTreeMap;
use std::time::Duration;

use fair_queue::{
    Flow, JobState, LimitReached, NewJob, PartitionShare, QueueError, RateTaken, RateWindow, Verdict,
};

use crate::support::{EnqueueOptions, Harness, Ping, Pong, skill_of, tenant};

fn later(h: &Harness, seconds: u64) -> EnqueueOptions {
    use fair_queue::clock::Clock as _;
    let scheduled_at = Some(h.clock.now() + Duration::from_secs(seconds));
    EnqueueOptions { scheduled_at, ..EnqueueOptions::default() }
}

async fn refusal(h: &Harness, jobs: &[NewJob]) -> LimitReached {
    let refused = h.queue.push(jobs).await.unwrap_err();
    let QueueError::LimitReached(mut limits) = refused else { unreachable!("not a limit: {refused:?}") };
    assert_eq!(limits.len(), 1);
    limits.remove(0)
}

/// Case 12: a tenant's backlog is bounded, and does not count for other tenants.
#[tokio::test]
async fn case_12_a_full_backlog_refuses_all_or_nothing() {
    let h = Harness::new().await;
    let share = PartitionShare { backlog_jobs: Some(3), ..PartitionShare::default() };
    h.queue.partition_set(&tenant("acme"), share).await.unwrap();
    let first: Vec<_> = (0..2).map(|_| h.ping("acme")).collect();
    h.push(&first).await;
    let more: Vec<_> = (0..2).map(|_| h.ping("acme")).chain([h.ping("globex")]).collect();
    let limit = refusal(&h, &more).await;
    assert_eq!((limit.limit.as_str(), limit.current, limit.maximum), ("backlog_jobs", 2, 3));
    assert_eq!(limit.partition, tenant("acme"));
    assert!(limit.retry_after >= Duration::from_secs(1));
    assert_eq!(h.queue.stats(&tenant("acme")).await.unwrap().available, 2, "none of its jobs came in");
    assert_eq!(h.queue.stats(&tenant("globex")).await.unwrap().available, 1, "the neighbour's did");
    // Jobs that are in the queue already do not count, so a caller that got no answer may push again.
    h.push(&[h.ping("acme")]).await;
    assert_eq!(h.queue.push(&first).await.unwrap().duplicates, 2);
    // Running jobs are not backlog; jobs accepted before are pushed without regard to the limit.
    let claim = h.fetch(1).await;
    let job = h.ping(&claim.jobs[0].partition);
    h.push(&[job]).await;
    assert_eq!(h.queue.push_accepted(&[h.ping("acme")]).await.unwrap().accepted, 1);
    // A limit that is lifted is lifted at once.
    let share = PartitionShare { backlog_jobs: Some(0), ..PartitionShare::default() };
    h.queue.partition_set(&tenant("acme"), share).await.unwrap();
    h.push(&[h.ping("acme")]).await;
}

#[tokio::test]
async fn bytes_and_scheduled_jobs_have_quotas_of_their_own() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let share =
        PartitionShare { backlog_bytes: Some(2_500), scheduled_jobs: Some(1), ..PartitionShare::default() };
    h.queue.partition_set(&acme, share).await.unwrap();
    h.push(&[h.job("acme", &Ping::default(), later(&h, 60))]).await;
    let limit = refusal(&h, &[h.job("acme", &Ping::default(), later(&h, 60))]).await;
    assert_eq!((limit.limit.as_str(), limit.current, limit.maximum), ("scheduled_jobs", 1, 1));
    let mut accepted = 0;
    let limit = loop {
        let job = h.ping("acme");
        match h.queue.push(std::slice::from_ref(&job)).await {
            Ok(_) => accepted += 1,
            Err(QueueError::LimitReached(limits)) => break limits[0].clone(),
            Err(error) => panic!("{error}"),
        }
        assert!(accepted < 10);
    };
    assert_eq!((limit.limit.as_str(), limit.maximum), ("backlog_bytes", 2_500));
    assert!(accepted > 0 && limit.current > 1_000);
    // Every end of a job gives its bytes back.
    h.clock.advance(Duration::from_secs(61));
    loop {
        let claim = h.fetch(10).await;
        if claim.jobs.is_empty() {
            break;
        }
        h.complete(&claim).await;
    }
    for _ in 0..accepted {
        h.push(&[h.ping("acme")]).await;
    }
}

#[tokio::test]
async fn room_says_beforehand_what_a_push_would_say() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let share = PartitionShare { backlog_jobs: Some(2), ..PartitionShare::default() };
    h.queue.partition_set(&acme, share).await.unwrap();
    h.queue.room(&acme, "test", 2, 1_000, 0).await.unwrap();
    let Err(QueueError::LimitReached(limits)) = h.queue.room(&acme, "test", 3, 1_000, 0).await else {
        panic!("three do not fit");
    };
    assert_eq!((limits[0].limit.as_str(), limits[0].current, limits[0].maximum), ("backlog_jobs", 0, 2));
    h.queue.room(&tenant("globex"), "test", 3, 1_000, 0).await.unwrap();
}

#[tokio::test]
async fn a_window_slides_and_takes_all_or_nothing() {
    let h = Harness::new().await;
    let (acme, globex) = (tenant("acme"), tenant("globex"));
    let window = |second: i64| RateWindow { limit: 3, window_s: 60, now_s: 1_800_000_000 + second };
    let take = async |second, more| h.queue.admit(&acme, window(second), more, None).await.unwrap().0;
    let taken = |used, frees_in_s| RateTaken { taken: true, used, frees_in_s };
    let full = |used, frees_in_s| RateTaken { taken: false, used, frees_in_s };
    assert_eq!(take(0, 0).await, taken(0, 60), "looking takes nothing");
    assert_eq!(take(0, 1).await, taken(1, 60));
    assert_eq!(take(30, 3).await, full(1, 30), "all or nothing");
    assert_eq!(take(30, 2).await, taken(3, 30));
    assert_eq!(take(59, 1).await, full(3, 1));
    assert_eq!(take(59, 0).await, taken(3, 1));
    // The first entry leaves the window and makes room for one; the others follow.
    assert_eq!(take(60, 1).await, taken(3, 30));
    assert_eq!(take(60, 1).await, full(3, 30));
    assert_eq!(take(90, 2).await, taken(3, 30));
    // A limit lowered below the present amount rejects until enough entries have left the window.
    let lowered = RateWindow { limit: 1, ..window(90) };
    assert_eq!(h.queue.admit(&acme, lowered, 1, None).await.unwrap().0, full(3, 30));
    assert_eq!(take(1_000, 0).await, taken(0, 60));
    assert_eq!(h.queue.admit(&globex, window(60), 1, None).await.unwrap().0, taken(1, 60));
}

#[tokio::test]
async fn of_a_hundred_at_once_as_many_are_admitted_as_the_window_holds() {
    let h = Harness::new().await;
    let (acme, window) = (tenant("acme"), RateWindow { limit: 10, window_s: 60, now_s: 1_800_000_000 });
    let takes = (0..100).map(|_| h.queue.admit(&acme, window, 1, None));
    let takes = futures::future::join_all(takes).await;
    assert_eq!(takes.into_iter().filter(|take| take.as_ref().unwrap().0.taken).count(), 10);
}

/// A window whose key was filled from outside counts again from 0, and is a bounded amount of work.
#[tokio::test]
async fn a_window_with_too_many_entries_starts_again() {
    let h = Harness::new().await;
    let mut fill = redis::cmd("HSET");
    fill.arg(h.key("t:acme:r"));
    for second in 0..20_000 {
        fill.arg(1_800_000_000 + second).arg(1);
    }
    fill.query_async::<()>(&mut h.redis().await).await.unwrap();
    let window = RateWindow { limit: 10, window_s: 60, now_s: 1_800_000_000 };
    let (taken, _) = h.queue.admit(&tenant("acme"), window, 1, None).await.unwrap();
    assert_eq!(taken, RateTaken { taken: true, used: 1, frees_in_s: 60 });
}

/// What is read with the window says later what a push would say, however many jobs it will be.
#[tokio::test]
async fn room_is_read_with_the_window_and_compared_later() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let share = PartitionShare { backlog_jobs: Some(2), ..PartitionShare::default() };
    h.queue.partition_set(&acme, share).await.unwrap();
    let window = RateWindow { limit: 1, window_s: 60, now_s: 1_800_000_000 };
    let admit = async || h.queue.admit(&acme, window, 1, Some("test")).await.unwrap();
    let pings = |count: usize| (0..count).map(|_| h.ping("acme")).collect::<Vec<_>>();
    let (taken, room) = admit().await;
    let room = room.unwrap();
    assert!(taken.taken && room.check(&pings(2)).unwrap().is_ok());
    let Some(Err(QueueError::LimitReached(limits))) = room.check(&pings(3)) else {
        panic!("three do not fit")
    };
    assert_eq!(limits[0], refusal(&h, &pings(3)).await);
    assert!(room.check(&[h.ping("globex")]).is_none(), "it says nothing about another partition");
    assert!(room.check::<NewJob>(&[]).is_none());

    h.queue
        .partition_set(&acme, PartitionShare { draining: Some(true), ..PartitionShare::default() })
        .await
        .unwrap();
    let (taken, room) = admit().await;
    assert!(!taken.taken, "room is told to who is not admitted as well");
    let Some(Err(QueueError::LimitReached(limits))) = room.unwrap().check(&pings(1)) else {
        panic!("a tenant that drains takes nothing on")
    };
    assert_eq!(limits[0].limit, "tenant_draining");
}

/// A cap of one type leaves the tenant's other types alone, counts what runs already, and never leaks.
#[tokio::test]
async fn a_type_has_a_cap_of_its_own() {
    let mut h = Harness::new().await;
    h.skills.push(skill_of::<Pong>());
    let acme = tenant("acme");
    let pings: Vec<_> = (0..6).map(|_| h.ping("acme")).collect();
    h.push(&pings).await;
    let first = h.fetch(1).await;
    let cap = |cap| PartitionShare {
        type_caps: BTreeMap::from([("test.ping".into(), cap)]),
        ..PartitionShare::default()
    };
    h.queue.partition_set(&acme, cap(Some(2))).await.unwrap();
    h.push(&[h.job("acme", &Pong::default(), EnqueueOptions::default())]).await;
    let second = h.fetch(10).await;
    assert_eq!(second.jobs.len(), 2, "one ping beside the one that runs, and the pong");
    assert!(h.fetch(10).await.jobs.is_empty());
    let explained = h.queue.explain(&acme, pings[5].id).await.unwrap().unwrap();
    let reasons: Vec<_> = explained.waits_for.iter().map(ToString::to_string).collect();
    assert!(reasons.contains(&"the tenant runs 2 of 2 jobs of type test.ping".to_owned()), "{reasons:?}");
    for verdict in
        [Verdict::Completed, Verdict::Released, Verdict::Retry { after: Duration::ZERO, error: "x".into() }]
    {
        let claim = h.fetch(10).await;
        assert!(claim.jobs.is_empty(), "{verdict:?}");
        let running = if matches!(verdict, Verdict::Completed) { &first } else { &second };
        let index = running.jobs.iter().position(|job| {
            let record = String::from_utf8_lossy(job.record.as_ref().unwrap()).into_owned();
            record.contains("test.ping@1")
        });
        if h.finish(running, index.unwrap(), verdict.clone()).await {
            let next = h.fetch(10).await;
            assert_eq!(next.jobs.len(), 1, "{verdict:?}");
            h.finish(&next, 0, Verdict::Released).await;
            h.fetch(1).await;
        }
    }
    h.let_die().await;
    assert_eq!(h.fetch(10).await.jobs.len(), 3, "two pings and the pong: a dead worker leaks no slot");
    h.queue.partition_set(&acme, cap(None)).await.unwrap();
    assert!(!h.fetch(10).await.jobs.is_empty(), "a cap that is lifted is lifted at once");
}

/// Cases 17 and 52: a pause, of a tenant, a queue or a tenant's queue, affects nothing else.
#[tokio::test]
async fn case_17_queues_are_paused_for_all_or_for_one() {
    let h = Harness::new().await;
    let (acme, globex) = (tenant("acme"), tenant("globex"));
    let job = h.ping("acme");
    h.push(&[job.clone(), h.ping("globex")]).await;
    h.queue.partition_queue_set(&acme, "test", Flow::Paused).await.unwrap();
    let claim = h.fetch(10).await;
    assert_eq!((claim.jobs.len(), &*claim.jobs[0].partition), (1, "globex"));
    h.push(&[h.ping("acme")]).await;
    assert!(h.fetch(10).await.jobs.is_empty(), "what comes meanwhile waits too");
    let why = h.queue.explain(&acme, job.id).await.unwrap().unwrap().waits_for;
    assert!(why.iter().any(|why| why.code() == "tenant_queue_paused"), "{why:?}");
    h.queue.partition_queue_set(&acme, "test", Flow::Open).await.unwrap();
    h.queue.queue_set("test", Flow::Paused).await.unwrap();
    assert!(h.fetch(10).await.jobs.is_empty());
    let why = h.queue.explain(&acme, job.id).await.unwrap().unwrap().waits_for;
    assert!(why.iter().any(|why| why.code() == "queue_paused"), "{why:?}");
    h.queue.queue_set("test", Flow::Open).await.unwrap();
    let claim = h.fetch(10).await;
    assert_eq!(claim.jobs.len(), 2);
    h.complete(&claim).await;
    assert_eq!(h.queue.stats(&globex).await.unwrap().active, 1);
}

#[tokio::test]
async fn what_drains_runs_and_takes_nothing_new() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let job = h.ping("acme");
    h.push(std::slice::from_ref(&job)).await;
    let drain = |on| PartitionShare { draining: Some(on), ..PartitionShare::default() };
    h.queue.partition_set(&acme, drain(true)).await.unwrap();
    assert_eq!(refusal(&h, &[h.ping("acme")]).await.limit, "tenant_draining");
    h.push(&[h.ping("globex")]).await;
    h.queue.partition_set(&acme, drain(false)).await.unwrap();
    h.queue.partition_queue_set(&acme, "test", Flow::Draining).await.unwrap();
    assert_eq!(refusal(&h, &[h.ping("acme")]).await.limit, "tenant_queue_draining");
    h.queue.partition_queue_set(&acme, "test", Flow::Open).await.unwrap();
    h.queue.queue_set("test", Flow::Draining).await.unwrap();
    assert_eq!(refusal(&h, &[h.ping("acme")]).await.limit, "queue_draining");
    // The children of what runs are what drains.
    let claim = h.fetch_as("w", 10).await;
    assert_eq!(claim.jobs.len(), 2);
    let index = claim.jobs.iter().position(|claimed| *claimed.id == *job.id.to_string()).unwrap();
    let (children, group) = h.group(&job, 2);
    let finish = fair_queue::Finish { verdict: Verdict::Completed, children, group: Some(group) };
    assert!(h.finish(&claim, index, finish).await);
    assert_eq!(h.fetch(10).await.jobs.len(), 2);
}

/// A suspended tenant's jobs are parked where they are, and come back as they were.
#[tokio::test]
async fn a_suspended_tenants_jobs_are_parked() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let job = h.ping("acme");
    h.push(std::slice::from_ref(&job)).await;
    let suspend = |on| PartitionShare { suspended: Some(on), ..PartitionShare::default() };
    h.queue.partition_set(&acme, suspend(true)).await.unwrap();
    assert!(h.fetch(10).await.jobs.is_empty());
    let explained = h.queue.explain(&acme, job.id).await.unwrap().unwrap();
    assert_eq!(explained.status.state, JobState::Parked);
    assert!(explained.waits_for.iter().any(|why| why.code() == "tenant_suspended"));
    h.queue.partition_set(&acme, suspend(false)).await.unwrap();
    assert_eq!(h.queue.lookup(&acme, job.id).await.unwrap().unwrap().state, JobState::Available);
    assert_eq!(h.fetch(10).await.jobs.len(), 1);
}

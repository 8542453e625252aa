//! Changing the number of shards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fair_queue::clock::Clock as _;
use fair_queue::{
    FetchRequest, Fetched, Finish, FinishedJob, JobId, JobState, Kept, PartitionShare, Priority, Queue,
    QueueConfig, QueueError, ReshardError, Verdict, reshard,
};

use crate::support::{EnqueueOptions, Harness, Ping, Pong, skill_of, tenant};

fn names() -> Vec<String> {
    (0..12).map(|n| format!("tenant-{n}")).collect()
}

async fn connect(h: &Harness, shards: u16) -> Queue {
    Queue::connect(QueueConfig { shards, ..h.config.clone() }).await.unwrap()
}

/// Starts the change again and again, and stops it in the middle each time, until one gets through.
async fn change_with_interruptions(h: &Harness, to: u16) -> u32 {
    let mut interrupted = 0;
    loop {
        let patience = Duration::from_millis(3) * (interrupted + 1);
        if let Ok(done) = tokio::time::timeout(patience, reshard(h.config.clone(), to)).await {
            done.unwrap();
            return interrupted;
        }
        interrupted += 1;
    }
}

/// Fetches and completes all jobs, in every shard. Returns what ran.
async fn drain(queue: &Queue, h: &Harness, attempt: &mut u64) -> Vec<(String, String)> {
    let mut ran = Vec::new();
    let skills = [skill_of::<Ping>(), skill_of::<Pong>()];
    for shard in queue.shards() {
        loop {
            *attempt += 1;
            let attempt = *attempt;
            let request = FetchRequest {
                worker: "w",
                attempt,
                shard,
                turn: None,
                skills: &skills,
                limit: 50,
                quantum: 10,
            };
            match queue.fetch(request).await.unwrap() {
                Fetched::Claim(claim) => {
                    for job in &claim.jobs {
                        assert_eq!(
                            queue.home(&tenant(&job.partition)),
                            shard,
                            "{} is in its shard",
                            job.partition
                        );
                        assert!(job.record.is_some(), "{} has its record", job.id);
                        let finished = FinishedJob::new(job, claim.fence, Verdict::Completed);
                        assert_eq!(queue.finish(&[finished]).await.unwrap(), [true]);
                        ran.push((job.partition.to_string(), job.id.to_string()));
                    }
                }
                Fetched::Nothing { more: true, .. } => {}
                Fetched::Nothing { more: false, .. } => break,
            }
        }
    }
    h.clock.advance(Duration::from_secs(1));
    ran
}

/// Everything that a queue may hold of a tenant; its ids by their expected end.
#[derive(Default)]
struct Filled {
    /// Will run by themselves.
    runs: BTreeSet<String>,
    /// Dead letters.
    dead: BTreeMap<String, JobId>,
    /// Continuations.
    continuations: BTreeSet<String>,
}

async fn fill(h: &Harness) -> Filled {
    let mut filled = Filled::default();
    let mut ends: BTreeMap<String, Finish> = BTreeMap::new();
    for name in names() {
        let weight = PartitionShare { weight: Some(3), cap: Some(1_000), ..PartitionShare::default() };
        h.queue.partition_set(&tenant(&name), weight).await.unwrap();
        let (dead, retried, parent) = (h.ping(&name), h.ping(&name), h.ping(&name));
        h.push(&[dead.clone(), retried.clone(), parent.clone()]).await;
        let (children, group) = h.group(&parent, 3);
        filled.runs.extend(children.iter().map(|job| job.id.to_string()));
        filled.continuations.insert(group.continuation.id.to_string());
        filled.runs.insert(retried.id.to_string());
        let broken = Verdict::Discarded { code: "broken", reason: "on purpose".into() };
        let again = Verdict::Retry { after: Duration::from_secs(5), error: "again".into() };
        let opened = Finish { group: Some(group), children, ..Finish::of(Verdict::Completed) };
        ends.insert(dead.id.to_string(), broken.into());
        ends.insert(retried.id.to_string(), again.into());
        ends.insert(parent.id.to_string(), opened);
        filled.dead.insert(name, dead.id);
    }
    let claim = h.fetch(3 * names().len()).await;
    assert_eq!(claim.jobs.len(), ends.len());
    for (index, job) in claim.jobs.iter().enumerate() {
        assert!(h.finish(&claim, index, ends.remove(&*job.id).unwrap()).await);
    }
    for name in names() {
        let mut jobs: Vec<_> = (0..30).map(|_| h.ping(&name)).collect();
        let high = EnqueueOptions { priority: Some(Priority::High), ..EnqueueOptions::default() };
        jobs.push(h.job(&name, &Ping::default(), high));
        jobs.push(h.job(&name, &Pong::default(), EnqueueOptions::default()));
        let later = Some(h.clock.now() + Duration::from_secs(20));
        let scheduled = EnqueueOptions { scheduled_at: later, ..EnqueueOptions::default() };
        jobs.push(h.job(&name, &Ping::default(), scheduled));
        h.push(&jobs).await;
        filled.runs.extend(jobs.iter().map(|job| job.id.to_string()));
    }
    filled
}

async fn keys(h: &Harness) -> Vec<String> {
    let mut redis = h.redis().await;
    redis::cmd("KEYS").arg(format!("{}:*", h.config.prefix)).query_async(&mut redis).await.unwrap()
}

/// Waiting, scheduled, retryable, dead and grouped jobs: from 1 shard to 4, to 3, to 1, each change killed in the
/// middle many times, and every job still runs exactly once.
#[tokio::test]
async fn jobs_in_every_state_survive_changes_that_are_killed_in_the_middle() {
    let h = Harness::new().await;
    let filled = fill(&h).await;
    let mut interrupted = 0;
    for shards in [4, 3] {
        interrupted += change_with_interruptions(&h, shards).await;
        let error = Queue::connect(h.config.clone()).await.unwrap_err();
        assert!(matches!(error, QueueError::Shards { stored, wanted: 1, .. } if stored == shards), "{error}");
        let queue = connect(&h, shards).await;
        for (name, dead) in &filled.dead {
            let acme = tenant(name);
            let stats = queue.stats(&acme).await.unwrap();
            let counts =
                (stats.available, stats.scheduled, stats.retryable, stats.discarded, stats.completed_total);
            assert_eq!(counts, (35, 1, 1, 1, 1), "{name} on {shards} shards");
            let kept = queue.kept(&acme, Kept::Discarded, 10).await.unwrap();
            assert_eq!((kept.len(), kept[0].id, kept[0].reason.code.as_str()), (1, *dead, "broken"));
        }
    }
    assert!(interrupted > 4, "the changes were stopped in the middle {interrupted} times");

    let queue = connect(&h, 3).await;
    let (mut ran, mut attempt) = (Vec::new(), 0);
    for _ in 0..30 {
        ran.extend(drain(&queue, &h, &mut attempt).await);
    }
    let once: BTreeSet<String> = ran.iter().map(|(_, id)| id.clone()).collect();
    assert_eq!(once.len(), ran.len(), "nothing runs twice");
    assert_eq!(once, filled.runs.union(&filled.continuations).cloned().collect());
    for (name, dead) in &filled.dead {
        let state = queue.lookup(&tenant(name), *dead).await.unwrap().unwrap().state;
        assert_eq!(state, JobState::Discarded);
        queue.redrive(&tenant(name), *dead).await.unwrap();
    }
    change_with_interruptions(&h, 1).await;
    let queue = connect(&h, 1).await;
    let ran = drain(&queue, &h, &mut attempt).await;
    let again: BTreeSet<String> = ran.into_iter().map(|(_, id)| id).collect();
    assert_eq!(again, filled.dead.values().map(JobId::to_string).collect());
    let left: Vec<_> = keys(&h).await.into_iter().filter(|key| !key.contains("{q.0}")).collect();
    assert!(left.iter().all(|key| key.ends_with(":shards")), "left in shards that are no more: {left:?}");
}

/// Weights, caps and pauses are moved too; an idle tenant is in the right index, ready or not.
#[tokio::test]
async fn settings_go_along() {
    let h = Harness::new().await;
    for name in names() {
        let share = PartitionShare { cap: Some(2), ..PartitionShare::default() };
        h.queue.partition_set(&tenant(&name), share).await.unwrap();
        h.push(&(0..5).map(|_| h.ping(&name)).collect::<Vec<_>>()).await;
    }
    let paused = PartitionShare { paused: Some(true), ..PartitionShare::default() };
    h.queue.partition_set(&tenant("tenant-3"), paused).await.unwrap();
    reshard(h.config.clone(), 4).await.unwrap();
    let queue = connect(&h, 4).await;
    let mut claimed: BTreeMap<String, usize> = BTreeMap::new();
    for shard in queue.shards() {
        let skills = &h.skills;
        let request =
            FetchRequest { worker: "w", attempt: 1, shard, turn: None, skills, limit: 200, quantum: 10 };
        if let Fetched::Claim(claim) = queue.fetch(request).await.unwrap() {
            for job in claim.jobs {
                *claimed.entry(job.partition.to_string()).or_default() += 1;
            }
        }
    }
    let expected = names().into_iter().filter(|name| name != "tenant-3").map(|name| (name, 2));
    assert_eq!(claimed, expected.collect());
}

/// A cancelled job leaves a tombstone in its list, and skills have other numbers in other shards.
#[tokio::test]
async fn what_was_cancelled_is_not_counted_again() {
    let h = Harness::new().await;
    let mut before = BTreeMap::new();
    for name in names() {
        let pong = || h.job(&name, &Pong::default(), EnqueueOptions::default());
        let jobs = [h.ping(&name), h.ping(&name), h.ping(&name), pong(), pong()];
        h.push(&jobs).await;
        for gone in [&jobs[1], &jobs[2], &jobs[3]] {
            h.queue.cancel(&tenant(&name), gone.id).await.unwrap();
        }
        let stats = h.queue.stats(&tenant(&name)).await.unwrap();
        assert_eq!(stats.undeclared.values().copied().collect::<Vec<_>>(), [1, 1], "{stats:?}");
        before.insert(name, stats);
    }
    reshard(h.config.clone(), 4).await.unwrap();
    let queue = connect(&h, 4).await;
    for (name, stats) in before {
        assert_eq!(queue.stats(&tenant(&name)).await.unwrap(), stats, "{name}");
    }
}

#[tokio::test]
async fn a_change_is_refused_while_somebody_works_and_waits_for_who_vanished() {
    let site = super::worker_queue::site::Site::shared().await;
    let config = site.queue.config().clone();
    let work = site.work(1, |_| async { Ok(Verdict::Completed.into()) });
    super::worker_queue::site::until("the worker is seen", async || {
        site.queue.skills().await.unwrap().iter().any(|skill| skill.workers == 1)
    })
    .await;
    let error = reshard(config.clone(), 4).await.unwrap_err();
    assert!(matches!(error, ReshardError::WorkersAlive { count: 1 }), "{error}");
    site.queue.push(&[super::worker_queue::site::ping("acme", 0)]).await.unwrap();
    work.stop().await;
    let done = reshard(config.clone(), 4).await.unwrap();
    assert_eq!((done.from, done.to), (1, 4));
    let done = reshard(config.clone(), 4).await.unwrap();
    assert_eq!((done.from, done.to, done.jobs), (4, 4, 0));
    assert!(matches!(reshard(config, 0).await, Err(ReshardError::Number { number: 0 })));
}

/// What this version does not know it does not lose.
#[tokio::test]
async fn an_unknown_key_stops_a_change_before_it_begins() {
    let h = Harness::new().await;
    h.push(&[h.ping("acme")]).await;
    let mut redis = h.redis().await;
    redis::cmd("SET").arg(h.key("novel")).arg(1).query_async::<()>(&mut redis).await.unwrap();
    let error = reshard(h.config.clone(), 4).await.unwrap_err();
    assert!(matches!(&error, ReshardError::UnknownKey(key) if key == "novel"), "{error}");
    assert_eq!(h.fetch(1).await.jobs.len(), 1, "the queue goes on");
}

//! Cancelling jobs.

use std::time::Duration;

use fair_queue::clock::Clock as _;
use fair_queue::{CancelReport, Cancelled, Finish, JobFilter, JobState, Kept, PartitionShare, Verdict};

use crate::support::{EnqueueOptions, Harness, Ping, Pong, ids, skill_of, tenant};

fn reason() -> String {
    "as told".into()
}

#[tokio::test]
async fn a_waiting_job_leaves_at_once_wherever_it_waits() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let later = h.clock.now() + Duration::from_secs(60);
    let scheduled = EnqueueOptions { scheduled_at: Some(later), ..EnqueueOptions::default() };
    let (waits, timed, retries) =
        (h.ping("acme"), h.job("acme", &Ping::default(), scheduled), h.ping("acme"));
    h.push(std::slice::from_ref(&retries)).await;
    let claim = h.fetch(1).await;
    h.finish(&claim, 0, Verdict::Retry { after: Duration::from_secs(60), error: reason() }).await;
    h.push(&[waits.clone(), timed.clone()]).await;
    for job in [&waits, &timed, &retries] {
        assert_eq!(h.queue.cancel(&tenant("globex"), job.id).await.unwrap(), Cancelled::NotFound);
        assert_eq!(h.queue.cancel(&acme, job.id).await.unwrap(), Cancelled::Now);
        assert_eq!(h.queue.cancel(&acme, job.id).await.unwrap(), Cancelled::NotFound);
        assert_eq!(h.queue.lookup(&acme, job.id).await.unwrap().unwrap().state, JobState::Cancelled);
    }
    let stats = h.queue.stats(&acme).await.unwrap();
    assert_eq!((stats.open(), stats.cancelled_total), (0, 3));
    // Pushed again by a caller that does not know of the cancellation: it stays cancelled while its tombstone is in
    // the list.
    assert_eq!(h.queue.push(&[waits]).await.unwrap().duplicates, 1);
    let next = h.ping("acme");
    h.push(std::slice::from_ref(&next)).await;
    h.clock.advance(Duration::from_secs(61));
    assert_eq!(ids(&h.fetch(10).await), [next.id.to_string()]);
}

/// A thousand cancelled jobs before a live one: a fetch gets through them.
#[tokio::test]
async fn many_cancelled_jobs_are_in_nobodys_way() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let many: Vec<_> = (0..1_000).map(|_| h.ping("acme")).collect();
    h.push(&many).await;
    let last = h.ping("acme");
    h.push(std::slice::from_ref(&last)).await;
    let ids_of: Vec<_> = many.iter().map(|job| job.id).collect();
    let done = h.queue.cancel_ids(&acme, &ids_of).await.unwrap();
    assert!(done.iter().all(|done| *done == Cancelled::Now));
    let mut found = Vec::new();
    for _ in 0..1_000 {
        found = ids(&h.fetch(10).await);
        if !found.is_empty() {
            break;
        }
    }
    assert_eq!(found, [last.id.to_string()]);
    assert_eq!(h.queue.stats(&acme).await.unwrap().available, 0);
}

#[tokio::test]
async fn a_running_job_does_not_come_back_however_it_ends() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    for verdict in [
        Verdict::Retry { after: Duration::ZERO, error: reason() },
        Verdict::Discarded { code: "x", reason: reason() },
        Verdict::Waiting { after: Duration::ZERO, reason: reason() },
        Verdict::Parked { reason: reason() },
        Verdict::Released,
        Verdict::Dropped { reason: reason() },
    ] {
        let job = h.ping("acme");
        h.push(std::slice::from_ref(&job)).await;
        let claim = h.fetch(1).await;
        assert_eq!(h.queue.cancel(&acme, job.id).await.unwrap(), Cancelled::Stopping);
        assert!(h.finish(&claim, 0, verdict.clone()).await);
        let state = h.queue.lookup(&acme, job.id).await.unwrap().unwrap().state;
        assert_eq!(state, JobState::Cancelled, "{verdict:?}");
    }
    // A job that completes nevertheless is done; a job whose worker vanished is cancelled.
    let (done, dead) = (h.ping("acme"), h.ping("acme"));
    h.push(&[done.clone(), dead.clone()]).await;
    let claim = h.fetch(2).await;
    for job in [&done, &dead] {
        assert_eq!(h.queue.cancel(&acme, job.id).await.unwrap(), Cancelled::Stopping);
    }
    assert!(h.finish(&claim, 0, Verdict::Completed).await);
    assert_eq!(h.let_die().await.returned, 0);
    let state = async |id| h.queue.lookup(&acme, id).await.unwrap().unwrap().state;
    assert_eq!((state(done.id).await, state(dead.id).await), (JobState::Completed, JobState::Cancelled));
    let mut redis = h.redis().await;
    let left: i64 =
        redis::cmd("EXISTS").arg(h.key("s")).arg(h.key("t:acme:c")).query_async(&mut redis).await.unwrap();
    assert_eq!(left, 0, "no request outlives its job");
}

#[tokio::test]
async fn a_filter_cancels_what_it_matches_and_nothing_else() {
    let mut h = Harness::new().await;
    h.skills.push(skill_of::<Pong>());
    let acme = tenant("acme");
    let pings: Vec<_> = (0..450).map(|_| h.ping("acme")).collect();
    let pong = h.job("acme", &Pong::default(), EnqueueOptions::default());
    h.push(&pings).await;
    h.push(&[pong.clone(), h.ping("globex")]).await;
    let filter = JobFilter { kinds: vec!["test.pong".into()], ..JobFilter::default() };
    let listed = h.queue.list(&acme, &filter, None, 10).await.unwrap().jobs;
    assert_eq!((listed.len(), listed[0].id, listed[0].skill.as_str()), (1, pong.id, "test.pong@2"));
    let filter = JobFilter { kinds: vec!["test.ping".into()], ..JobFilter::default() };
    let page = h.queue.list(&acme, &filter, None, 440).await.unwrap();
    assert_eq!(page.jobs.len(), 440);
    let rest = h.queue.list(&acme, &filter, page.next.as_ref(), 100).await.unwrap();
    assert_eq!((rest.jobs.len(), rest.next), (10, None));
    let report = h.queue.cancel_where(&acme, &filter).await.unwrap();
    assert_eq!(report, CancelReport { cancelled: 450, stopping: 0 });
    let left =
        [h.queue.stats(&acme).await.unwrap().open(), h.queue.stats(&tenant("globex")).await.unwrap().open()];
    assert_eq!(left, [1, 1]);
    let none =
        JobFilter { created_before: Some(h.clock.now() - Duration::from_secs(1)), ..JobFilter::default() };
    assert_eq!(h.queue.cancel_where(&acme, &none).await.unwrap(), CancelReport::default());
}

/// Everything of a tenant at once, however much it is: what waits, what runs, groups; and nothing of a neighbour.
#[tokio::test]
async fn a_whole_tenant_is_called_off_in_one_step() {
    let h = Harness::new().await;
    let (acme, globex) = (tenant("acme"), tenant("globex"));
    let parent = h.ping("acme");
    h.push(std::slice::from_ref(&parent)).await;
    let claim = h.fetch(1).await;
    let (children, group) = h.group(&parent, 3);
    let continuation = group.continuation.id;
    let finish = Finish { verdict: Verdict::Completed, children: children.clone(), group: Some(group) };
    assert!(h.finish(&claim, 0, finish).await);
    let many: Vec<_> = (0..700).map(|_| h.ping("acme")).collect();
    h.push(&many).await;
    h.push(&[h.ping("globex")]).await;
    let running = h.fetch(4).await;
    let own: Vec<_> = running.jobs.iter().filter(|job| &*job.partition == "acme").collect();
    let report = h.queue.cancel_partition(&acme).await.unwrap();
    assert_eq!(report.stopping, own.len() as u64);
    assert_eq!(report.cancelled, 703 - own.len() as u64);
    let stats = h.queue.stats(&acme).await.unwrap();
    assert_eq!((stats.available, stats.active), (0, own.len() as u64));
    let waited = many.last().unwrap().id;
    assert_eq!(h.queue.lookup(&acme, waited).await.unwrap().unwrap().state, JobState::Cancelled);
    assert_eq!(h.queue.cancel(&acme, waited).await.unwrap(), Cancelled::NotFound);
    // New jobs run before any sweep.
    let fresh = h.ping("acme");
    h.push(std::slice::from_ref(&fresh)).await;
    let ids_now = ids(&h.fetch(10).await);
    assert_eq!(ids_now.iter().filter(|id| **id == fresh.id.to_string()).count(), 1);
    // Running jobs end, and are not retried.
    for index in 0..running.jobs.len() {
        let verdict = Verdict::Retry { after: Duration::ZERO, error: reason() };
        assert!(h.finish(&running, index, verdict).await);
    }
    while h.queue.sweep(0, 100).await.unwrap() > 0 {}
    h.clock.advance(Duration::from_secs(10));
    assert!(ids(&h.fetch(10).await).iter().all(|id| !many.iter().any(|job| job.id.to_string() == *id)));
    assert_ne!(
        h.queue.lookup(&acme, continuation).await.unwrap().map(|s| s.state),
        Some(JobState::Available)
    );
    let mut redis = h.redis().await;
    let records: i64 = redis::cmd("HLEN").arg(h.key("e")).query_async(&mut redis).await.unwrap();
    let open = h.queue.stats(&acme).await.unwrap().open() + h.queue.stats(&globex).await.unwrap().open();
    assert_eq!(u64::try_from(records).unwrap(), open, "nothing is left of what was called off");
}

#[tokio::test]
async fn dead_letters_are_redriven_and_purged_by_filter() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let jobs: Vec<_> = (0..230).map(|_| h.ping("acme")).collect();
    h.push(&jobs).await;
    let mut number = 0;
    loop {
        let claim = h.fetch(50).await;
        if claim.jobs.is_empty() {
            break;
        }
        for index in 0..claim.jobs.len() {
            number += 1;
            let code = if number % 2 == 0 { "even" } else { "odd" };
            h.finish(&claim, index, Verdict::Discarded { code, reason: reason() }).await;
        }
    }
    let even = JobFilter { reason_code: Some("even".into()), ..JobFilter::default() };
    assert_eq!(h.queue.redrive_where(&acme, Kept::Quarantined, &even).await.unwrap(), 0);
    assert_eq!(h.queue.redrive_where(&tenant("globex"), Kept::Discarded, &even).await.unwrap(), 0);
    assert_eq!(h.queue.redrive_where(&acme, Kept::Discarded, &even).await.unwrap(), 115);
    let stats = h.queue.stats(&acme).await.unwrap();
    assert_eq!((stats.available, stats.discarded), (115, 115));
    assert_eq!(h.queue.purge_where(&acme, Kept::Discarded, &JobFilter::default()).await.unwrap(), 115);
    let stats = h.queue.stats(&acme).await.unwrap();
    assert_eq!((stats.available, stats.discarded), (115, 0));
    assert!(!h.queue.purge(&acme, jobs[0].id).await.unwrap());
    h.queue.partition_set(&acme, PartitionShare::usual()).await.unwrap();
    assert_eq!(h.fetch(200).await.jobs.len(), 115);
}

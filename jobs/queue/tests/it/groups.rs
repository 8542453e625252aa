//! A group's continuation starts when the last child is done, exactly once.

use std::time::Duration;

use fair_queue::{Claim, Finish, FinishedJob, JobState, QueueError, Verdict};

use crate::support::{EnqueueOptions, Harness, Job as _, Ping, Pong, ids, tenant};

/// Finishes a parent that opens a group of `children`, and says what the children and the continuation are.
async fn opened(h: &Harness, children: usize) -> (Vec<String>, String) {
    let parent = h.ping("acme");
    h.push(std::slice::from_ref(&parent)).await;
    let claim = h.fetch(1).await;
    let (children, group) = h.group(&parent, children);
    let ids = children.iter().map(|job| job.id.to_string()).collect();
    let continuation = group.continuation.id.to_string();
    assert!(h.finish(&claim, 0, Finish { verdict: Verdict::Completed, children, group: Some(group) }).await);
    (ids, continuation)
}

fn finished(claim: &Claim, index: usize, verdict: Verdict) -> FinishedJob {
    let job = &claim.jobs[index];
    FinishedJob::new(job, claim.fence, verdict)
}

#[tokio::test]
async fn every_kind_of_end_counts_and_no_other_does() {
    let h = Harness::new().await;
    let (mut children, continuation) = opened(&h, 4).await;
    let claim = h.fetch(10).await;
    let mut fetched = ids(&claim);
    fetched.sort();
    children.sort();
    assert_eq!(fetched, children);
    assert!(h.finish(&claim, 0, Verdict::Completed).await);
    assert!(h.finish(&claim, 1, Verdict::Discarded { code: "bad", reason: String::new() }).await);
    assert!(h.finish(&claim, 2, Verdict::Quarantined { code: "forged", reason: String::new() }).await);
    for not_an_end in [
        Verdict::Released,
        Verdict::Retry { after: Duration::ZERO, error: "again".into() },
        Verdict::Parked { reason: "suspended".into() },
    ] {
        let again = if fetched.is_empty() {
            h.fetch(1).await
        } else {
            Claim { jobs: vec![claim.jobs[3].clone()], ..claim }
        };
        fetched.clear();
        assert!(h.finish(&again, 0, not_an_end).await);
    }
    assert!(h.fetch(1).await.jobs.is_empty(), "one child is left, and its tenant is parked");
    h.clock.advance(Duration::from_secs(2));
    let last = h.fetch(10).await;
    assert_eq!(last.jobs.len(), 1);
    assert!(h.finish(&last, 0, Verdict::Dropped { reason: String::new() }).await);
    let claim = h.fetch(10).await;
    assert_eq!(ids(&claim), [continuation]);
    h.complete(&claim).await;
    assert!(h.fetch(10).await.jobs.is_empty());
    assert_eq!(h.queue.stats(&tenant("acme")).await.unwrap().open(), 0);
}

#[tokio::test]
async fn a_finish_that_comes_twice_or_too_late_does_not_count_twice() {
    let h = Harness::new().await;
    let (_, continuation) = opened(&h, 2).await;
    let claim = h.fetch(1).await;
    let done = finished(&claim, 0, Verdict::Completed);
    assert_eq!(h.queue.finish(&[done.clone(), done.clone()]).await.unwrap(), [true, false]);
    assert_eq!(h.queue.finish(&[done]).await.unwrap(), [false]);
    assert!(h.queue.stats(&tenant("acme")).await.unwrap().available == 1, "the other child");
    let late = h.fetch(1).await;
    assert_eq!(h.let_die().await.returned, 1);
    assert!(!h.finish(&late, 0, Verdict::Completed).await, "the claim is gone");
    let claim = h.fetch(2).await;
    assert_eq!(ids(&claim), ids(&late));
    h.complete(&claim).await;
    assert_eq!(ids(&h.fetch(2).await), [continuation]);
}

#[tokio::test]
async fn a_child_that_kills_its_workers_counts_as_well() {
    let h = Harness::new().await;
    let (children, continuation) = opened(&h, 1).await;
    for _ in 0..3 {
        assert_eq!(ids(&h.fetch(1).await), children);
        h.let_die().await;
        h.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(ids(&h.fetch(1).await), [continuation]);
}

#[tokio::test]
async fn a_parent_that_lost_its_claim_leaves_nothing_behind() {
    let h = Harness::new().await;
    let parent = h.ping("acme");
    h.push(std::slice::from_ref(&parent)).await;
    let claim = h.fetch(1).await;
    h.let_die().await;
    let (children, group) = h.group(&parent, 3);
    assert!(!h.finish(&claim, 0, Finish { verdict: Verdict::Completed, children, group: Some(group) }).await);
    assert_eq!(ids(&h.fetch(10).await), [parent.id.to_string()]);
}

#[tokio::test]
async fn a_group_without_children_continues_at_once() {
    let h = Harness::new().await;
    let (_, continuation) = opened(&h, 0).await;
    assert_eq!(ids(&h.fetch(10).await), [continuation]);
}

#[tokio::test]
async fn a_child_that_is_in_the_queue_already_is_waited_for_and_one_that_ended_is_not() {
    let h = Harness::new().await;
    let parent = h.ping("acme");
    let (children, group) = h.group(&parent, 3);
    let continuation = group.continuation.id.to_string();
    // Two of the children were enqueued by an earlier run; one of them is a dead letter by now.
    h.push(&children[..1]).await;
    let claim = h.fetch(1).await;
    assert!(h.finish(&claim, 0, Verdict::Discarded { code: "bad", reason: String::new() }).await);
    h.push(&children[1..2]).await;
    let early = h.fetch(1).await;
    h.push(std::slice::from_ref(&parent)).await;
    let claim = h.fetch(1).await;
    assert!(h.finish(&claim, 0, Finish { verdict: Verdict::Completed, children, group: Some(group) }).await);
    let third = h.fetch(10).await;
    assert_eq!(third.jobs.len(), 1);
    h.complete(&third).await;
    assert!(h.fetch(10).await.jobs.is_empty(), "the one that already ran is still running");
    h.complete(&early).await;
    assert_eq!(ids(&h.fetch(10).await), [continuation]);
}

#[tokio::test]
async fn groups_nest() {
    let h = Harness::new().await;
    let outer_parent = h.ping("acme");
    h.push(std::slice::from_ref(&outer_parent)).await;
    let claim = h.fetch(1).await;
    let (children, outer) = h.group(&outer_parent, 1);
    let (child, outer_continuation) = (children[0].clone(), outer.continuation.id.to_string());
    let in_outer = EnqueueOptions { group: Some(outer.id), ..EnqueueOptions::default() };
    assert!(h.finish(&claim, 0, Finish { verdict: Verdict::Completed, children, group: Some(outer) }).await);

    // The child opens a group whose continuation belongs to the outer group: that waits for it as well.
    let claim = h.fetch(1).await;
    let (grandchildren, mut inner) = h.group(&child, 2);
    inner.continuation = h.job("acme", &Ping { n: 7 }, in_outer);
    let inner_continuation = inner.continuation.id.to_string();
    assert!(
        h.finish(
            &claim,
            0,
            Finish { verdict: Verdict::Completed, children: grandchildren, group: Some(inner) }
        )
        .await
    );
    let claim = h.fetch(10).await;
    assert_eq!(claim.jobs.len(), 2, "only the grandchildren");
    h.complete(&claim).await;
    let claim = h.fetch(10).await;
    assert_eq!(ids(&claim), [inner_continuation]);
    h.complete(&claim).await;
    assert_eq!(ids(&h.fetch(10).await), [outer_continuation]);
}

#[tokio::test]
async fn a_continuation_waits_in_its_own_skill_for_a_worker_that_knows_it() {
    let h = Harness::new().await;
    let parent = h.ping("acme");
    h.push(std::slice::from_ref(&parent)).await;
    let claim = h.fetch(1).await;
    let (children, mut group) = h.group(&parent, 1);
    group.continuation = h.job("acme", &Pong::default(), EnqueueOptions::default());
    let id = group.continuation.id;
    assert!(h.finish(&claim, 0, Finish { verdict: Verdict::Completed, children, group: Some(group) }).await);
    h.complete(&h.fetch(10).await).await;
    let status = h.queue.lookup(&tenant("acme"), id).await.unwrap().unwrap();
    assert_eq!((status.state, status.skill), (JobState::Available, format!("{}@2", Pong::TYPE)));
}

#[tokio::test]
async fn a_finish_cannot_reach_into_another_tenant_nor_without_bounds() {
    let h = Harness::new().await;
    let parent = h.ping("acme");
    h.push(std::slice::from_ref(&parent)).await;
    let claim = h.fetch(1).await;
    let mut job = finished(&claim, 0, Verdict::Completed);
    job.finish.children = vec![h.ping("globex")];
    assert!(matches!(h.queue.finish(&[job.clone()]).await, Err(QueueError::ForeignChild)));
    let (children, mut group) = h.group(&parent, 0);
    group.continuation = h.ping("globex");
    job.finish = Finish { verdict: Verdict::Completed, children, group: Some(group) };
    assert!(matches!(h.queue.finish(&[job.clone()]).await, Err(QueueError::ForeignChild)));
    job.finish = Finish::of(Verdict::Completed);
    job.finish.children = vec![h.ping("acme"); Finish::MAX_CHILDREN + 1];
    assert!(matches!(h.queue.finish(&[job]).await, Err(QueueError::TooManyChildren { count: 501 })));
    assert_eq!(h.queue.stats(&tenant("globex")).await.unwrap().open(), 0);
}

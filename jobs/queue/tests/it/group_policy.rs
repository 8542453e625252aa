//! Groups and chains that fail or are cancelled.

use fair_queue::{Finish, GroupId, JobId, JobState, OnFailure, OpenGroup, Verdict};

use crate::support::{EnqueueOptions, Harness, Ping, chained, ids, tenant};

fn failed() -> Verdict {
    Verdict::Discarded { code: "x", reason: String::new() }
}

async fn state(h: &Harness, id: JobId) -> Option<JobState> {
    h.queue.lookup(&tenant("acme"), id).await.unwrap().map(|status| status.state)
}

/// A group of `members` that a job outside of it has opened, pushed as a whole.
async fn group(h: &Harness, members: usize, on_failure: OnFailure) -> (GroupId, Vec<JobId>, JobId) {
    let (children, group) = h.group(&h.ping("acme"), members);
    let group = OpenGroup { on_failure, ..group };
    assert_eq!(h.queue.push_group(&group, &children).await.unwrap().accepted, members);
    (group.id, children.iter().map(|job| job.id).collect(), group.continuation.id)
}

#[tokio::test]
async fn a_failure_cancels_the_rest_of_a_group_that_says_so() {
    let h = Harness::new().await;
    let (_, members, continuation) = group(&h, 5, OnFailure::Cancel).await;
    let claim = h.fetch(2).await;
    assert!(h.finish(&claim, 0, failed()).await);
    assert_eq!(state(&h, continuation).await, Some(JobState::Cancelled));
    for member in &members[2..] {
        assert_eq!(state(&h, *member).await, Some(JobState::Cancelled));
    }
    // The running job receives a stop signal and is not retried.
    let again = Verdict::Retry { after: std::time::Duration::ZERO, error: String::new() };
    assert!(h.finish(&claim, 1, again).await);
    assert!(h.fetch(10).await.jobs.is_empty());
    assert_eq!(h.queue.stats(&tenant("acme")).await.unwrap().open(), 0);
}

#[tokio::test]
async fn without_a_failure_the_policy_changes_nothing() {
    let h = Harness::new().await;
    let (_, _, continuation) = group(&h, 3, OnFailure::Cancel).await;
    h.complete(&h.fetch(10).await).await;
    assert_eq!(ids(&h.fetch(10).await), [continuation.to_string()]);
}

#[tokio::test]
async fn a_group_is_called_off_as_a_whole_however_large() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let (id, members, continuation) = group(&h, 500, OnFailure::Continue).await;
    assert_eq!(h.queue.cancel_group(&tenant("globex"), id).await.unwrap(), None);
    let running = h.fetch(3).await;
    h.complete(&running).await;
    assert_eq!(h.queue.cancel_group(&acme, id).await.unwrap(), Some(497));
    assert_eq!(h.queue.cancel_group(&acme, id).await.unwrap(), None);
    while h.queue.sweep(0, 200).await.unwrap() > 0 {}
    for id in [members[300], members[499], continuation] {
        assert_eq!(state(&h, id).await, Some(JobState::Cancelled));
    }
    for _ in 0..500 {
        assert!(h.fetch(10).await.jobs.is_empty());
    }
    let stats = h.queue.stats(&acme).await.unwrap();
    assert_eq!((stats.open(), stats.completed_total, stats.cancelled_total), (0, 3, 498));
}

/// A group in a group in a group: a failure in the innermost goes as far out as the policies say.
#[tokio::test]
async fn failures_go_out_through_nested_groups() {
    let h = Harness::new().await;
    let outer_parent = h.ping("acme");
    let (mut children, outer) = h.group(&outer_parent, 2);
    let after_all = outer.continuation.id;
    let in_outer = EnqueueOptions { group: Some(outer.id), ..EnqueueOptions::default() };
    let bystander = children.pop().unwrap();
    let outer = OpenGroup { on_failure: OnFailure::Continue, ..outer };
    h.queue.push_group(&outer, &children).await.unwrap();
    let claim = h.fetch(1).await;
    let (mut middle_children, middle) = h.group(&children[0], 1);
    let middle_end = h.job("acme", &Ping { n: 1 }, in_outer);
    let middle = OpenGroup { continuation: middle_end.clone(), on_failure: OnFailure::Cancel, ..middle };
    let in_middle = EnqueueOptions { group: Some(middle.id), ..EnqueueOptions::default() };
    let middle_child = middle_children.pop().unwrap();
    let finish = Finish {
        verdict: Verdict::Completed,
        children: vec![middle_child.clone(), bystander],
        group: Some(middle),
    };
    assert!(h.finish(&claim, 0, finish).await);
    let claim = h.fetch(10).await;
    let at = claim.jobs.iter().position(|job| *job.id == *middle_child.id.to_string()).unwrap();
    let (inner_children, inner) = h.group(&middle_child, 2);
    let inner_end = h.job("acme", &Ping { n: 2 }, in_middle);
    let inner = OpenGroup { continuation: inner_end.clone(), on_failure: OnFailure::Cancel, ..inner };
    let finish = Finish { verdict: Verdict::Completed, children: inner_children, group: Some(inner) };
    assert!(h.finish(&claim, at, finish).await);
    for index in (0..claim.jobs.len()).filter(|&index| index != at) {
        assert!(h.finish(&claim, index, Verdict::Completed).await);
    }
    let claim = h.fetch(1).await;
    assert!(h.finish(&claim, 0, failed()).await);
    for cancelled in [inner_end.id, middle_end.id] {
        assert_eq!(state(&h, cancelled).await, Some(JobState::Cancelled));
    }
    assert_eq!(ids(&h.fetch(10).await), [after_all.to_string()], "the outermost goes on");
}

#[tokio::test]
async fn a_chain_runs_in_order_and_ends_at_a_failure() {
    let h = Harness::new().await;
    for fails_at in [None, Some(0), Some(1)] {
        let chain = chained((0..4).map(|n| h.job("acme", &Ping { n }, EnqueueOptions::default())));
        assert_eq!(h.queue.push_chain(&chain).await.unwrap().accepted, 1);
        let expected: Vec<_> = chain.iter().map(|job| job.id).collect();
        for (n, id) in expected.iter().enumerate() {
            let claim = h.fetch(10).await;
            assert_eq!(ids(&claim), [id.to_string()]);
            if fails_at == Some(n) {
                assert!(h.finish(&claim, 0, failed()).await);
                break;
            }
            h.complete(&claim).await;
        }
        if let Some(n) = fails_at {
            for id in &expected[n + 1..] {
                assert_eq!(state(&h, *id).await, Some(JobState::Cancelled));
            }
        }
        assert!(h.fetch(10).await.jobs.is_empty());
    }
}

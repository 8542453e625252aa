//! Jobs that were lost from the queue's keys are told from jobs that are where they belong, and what can be is mended.

use std::time::Duration;

use fair_queue::{Claim, Damage, Finish, GroupId, JobId, NewJob, OpenGroup, Verdict, Whereabouts};

use crate::support::{EnqueueOptions, Harness, Ping, ids, tenant};

async fn found(h: &Harness, jobs: &[&NewJob]) -> Vec<Whereabouts> {
    let asked: Vec<_> = jobs.iter().map(|job| (job.partition.clone(), job.id)).collect();
    h.queue.whereabouts(&asked).await.unwrap()
}

async fn one(h: &Harness, job: &NewJob) -> Whereabouts {
    found(h, &[job]).await.remove(0)
}

async fn redis(h: &Harness, command: &str, key: &str, rest: &[&str]) {
    let mut connection = h.redis().await;
    let mut query = redis::cmd(command);
    query.arg(h.key(key)).arg(rest);
    let _: redis::Value = query.query_async(&mut connection).await.unwrap();
}

fn alone(job: &NewJob, is_lost: bool) -> Damage {
    Damage { group: None, jobs: vec![job.id], is_lost }
}

async fn mended(h: &Harness, damage: &Whereabouts) -> u64 {
    let damage = if let Whereabouts::Damaged(damage) = damage { Some(damage) } else { None }.unwrap();
    h.queue.mend(&tenant("acme"), damage).await.unwrap()
}

/// A job whose id says that it was made a second after the one before.
fn later(h: &Harness) -> NewJob {
    h.clock.advance(Duration::from_secs(1));
    h.ping("acme")
}

async fn open_group(h: &Harness, parent: &NewJob, children: usize) -> (Vec<NewJob>, JobId) {
    h.push(std::slice::from_ref(parent)).await;
    let claim = h.fetch(1).await;
    let (children, group) = h.group(parent, children);
    let continuation = NewJob { id: parent.id.continuation(), ..group.continuation };
    let group = OpenGroup { continuation, ..group };
    let finish = Finish { verdict: Verdict::Completed, children: children.clone(), group: Some(group) };
    assert!(h.finish(&claim, 0, finish).await);
    (children, parent.id.continuation())
}

async fn all_that_is_left(h: &Harness) -> Vec<String> {
    let mut done = Vec::new();
    loop {
        let claim: Claim = h.fetch(10).await;
        if claim.jobs.is_empty() {
            return done;
        }
        done.extend(ids(&claim));
        h.complete(&claim).await;
    }
}

#[tokio::test]
async fn a_job_is_never_lost_while_it_lives() {
    let h = Harness::new().await;
    let job = h.ping("acme");
    assert_eq!(one(&h, &job).await, Whereabouts::Gone, "before it is pushed");
    h.push(std::slice::from_ref(&job)).await;
    assert_eq!(one(&h, &job).await, Whereabouts::There, "waiting");
    let claim = h.fetch(1).await;
    assert_eq!(one(&h, &job).await, Whereabouts::There, "running");
    let after = Duration::from_secs(60);
    assert!(h.finish(&claim, 0, Verdict::Retry { after, error: "again".into() }).await);
    assert_eq!(one(&h, &job).await, Whereabouts::There, "retryable");
    h.clock.advance(after * 2);
    let claim = h.fetch(1).await;
    assert!(h.finish(&claim, 0, Verdict::Parked { reason: "away".into() }).await);
    assert_eq!(one(&h, &job).await, Whereabouts::There, "parked");
    h.clock.advance(after);
    let claim = h.fetch(1).await;
    assert!(h.finish(&claim, 0, Verdict::Discarded { code: "bad", reason: String::new() }).await);
    assert_eq!(one(&h, &job).await, Whereabouts::Kept, "a dead letter");
    assert!(h.queue.redrive(&tenant("acme"), job.id).await.is_ok());
    assert_eq!(one(&h, &job).await, Whereabouts::There, "started again");
    let claim = h.fetch(1).await;
    h.complete(&claim).await;
    assert_eq!(one(&h, &job).await, Whereabouts::Ended);

    let (cancelled, due) = (h.ping("acme"), h.clock_now() + Duration::from_secs(60));
    let scheduled =
        h.job("acme", &Ping::default(), EnqueueOptions { scheduled_at: Some(due), ..Default::default() });
    h.push(&[cancelled.clone(), scheduled.clone()]).await;
    h.queue.cancel(&tenant("acme"), cancelled.id).await.unwrap();
    let expected = [Whereabouts::Ended, Whereabouts::There];
    assert_eq!(found(&h, &[&cancelled, &scheduled]).await, expected);
}

#[tokio::test]
async fn what_was_flushed_is_gone_and_another_tenants_is_not_shown() {
    let h = Harness::new().await;
    let (ours, theirs) = (h.ping("acme"), h.ping("globex"));
    h.push(&[ours.clone(), theirs.clone()]).await;
    let foreign = NewJob { partition: tenant("acme"), ..theirs.clone() };
    assert_eq!(one(&h, &foreign).await, Whereabouts::Gone);
    redis(&h, "DEL", "e", &[]).await;
    redis(&h, "DEL", "t:acme:0.1", &[]).await;
    assert_eq!(one(&h, &ours).await, Whereabouts::Gone);
    assert_eq!(
        one(&h, &theirs).await,
        Whereabouts::There,
        "its id waits: the next fetch sees that it is empty"
    );
}

/// Method: delete the entry of a job from its list; only what is made later waits there.
#[tokio::test]
async fn a_job_that_nothing_leads_to_is_put_back_once() {
    let h = Harness::new().await;
    let lost = later(&h);
    let rest = [later(&h), later(&h)];
    h.push(&[lost.clone(), rest[0].clone(), rest[1].clone()]).await;
    redis(&h, "LREM", "t:acme:0.1", &["0", &lost.id.to_string()]).await;
    let damage = one(&h, &lost).await;
    assert_eq!(damage, Whereabouts::Damaged(alone(&lost, false)));
    assert_eq!(
        (mended(&h, &damage).await, mended(&h, &damage).await),
        (1, 0),
        "another caller finds it mended"
    );
    assert_eq!(one(&h, &lost).await, Whereabouts::There);
    let mut done = all_that_is_left(&h).await;
    done.sort();
    let mut expected: Vec<_> = [&lost, &rest[0], &rest[1]].map(|job| job.id.to_string()).into();
    expected.sort();
    assert_eq!(done, expected, "each once");
}

#[tokio::test]
async fn a_job_without_its_record_can_be_pushed_again_after_quarantine() {
    let h = Harness::new().await;
    let (job, forged) = (h.ping("acme"), h.ping("acme"));
    h.push(std::slice::from_ref(&job)).await;
    redis(&h, "HDEL", "e", &[&job.id.to_string()]).await;
    assert_eq!(one(&h, &job).await, Whereabouts::There, "its id is in a list");
    // As a worker does with a job whose record it does not find.
    let claim = h.fetch(1).await;
    let verdict = Verdict::Quarantined { code: "record_missing", reason: String::new() };
    assert!(h.finish(&claim, 0, verdict).await);
    let damage = one(&h, &job).await;
    assert_eq!(damage, Whereabouts::Damaged(alone(&job, true)));
    mended(&h, &damage).await;
    assert_eq!(one(&h, &job).await, Whereabouts::Gone);
    h.push(std::slice::from_ref(&job)).await;
    assert_eq!(all_that_is_left(&h).await, [job.id.to_string()]);

    h.push(std::slice::from_ref(&forged)).await;
    let claim = h.fetch(1).await;
    let verdict = Verdict::Quarantined { code: "envelope_altered", reason: String::new() };
    assert!(h.finish(&claim, 0, verdict).await);
    assert_eq!(one(&h, &forged).await, Whereabouts::Kept, "what was refused stays refused");
}

#[tokio::test]
async fn a_parent_is_there_as_long_as_its_group_or_its_continuation() {
    let h = Harness::new().await;
    let parent = h.ping("acme");
    let (children, continuation) = open_group(&h, &parent, 2).await;
    assert_eq!(one(&h, &parent).await, Whereabouts::There, "its children wait");
    let claim = h.fetch(10).await;
    assert_eq!(claim.jobs.len(), children.len());
    h.complete(&claim).await;
    assert_eq!(one(&h, &parent).await, Whereabouts::There, "its continuation waits");
    assert_eq!(all_that_is_left(&h).await, [continuation.to_string()]);
    assert_eq!(one(&h, &parent).await, Whereabouts::Ended);
}

#[tokio::test]
async fn a_group_goes_on_without_a_member_that_is_lost() {
    let h = Harness::new().await;
    let parent = h.ping("acme");
    let (children, continuation) = open_group(&h, &parent, 3).await;
    let lost = children[1].id.to_string();
    redis(&h, "LREM", "t:acme:0.1", &["0", &lost]).await;
    redis(&h, "HDEL", "e", &[&lost]).await;
    let damage = one(&h, &parent).await;
    let expected = Damage { group: Some(GroupId::of(parent.id)), jobs: vec![children[1].id], is_lost: false };
    assert_eq!(damage, Whereabouts::Damaged(expected));
    mended(&h, &damage).await;
    assert_eq!(one(&h, &parent).await, Whereabouts::There);
    let done = all_that_is_left(&h).await;
    assert_eq!((done.len(), done.last()), (3, Some(&continuation.to_string())), "{done:?}");
}

#[tokio::test]
async fn a_group_whose_members_are_all_lost_is_continued() {
    for lost_members in [true, false] {
        let h = Harness::new().await;
        let parent = h.ping("acme");
        let (children, continuation) = open_group(&h, &parent, 2).await;
        redis(&h, "DEL", "t:acme:0.1", &[]).await;
        for child in &children {
            redis(&h, "HDEL", "e", &[&child.id.to_string()]).await;
            if lost_members {
                redis(&h, "HDEL", &format!("t:acme:g:{}", parent.id), &[&child.id.to_string()]).await;
            }
        }
        let damage = one(&h, &parent).await;
        mended(&h, &damage).await;
        assert_eq!(all_that_is_left(&h).await, [continuation.to_string()]);
        assert_eq!(one(&h, &parent).await, Whereabouts::Ended);
    }
}

#[tokio::test]
async fn many_are_asked_about_in_one_question() {
    let h = Harness::new().await;
    let jobs: Vec<NewJob> = (0..450).map(|_| h.ping("acme")).collect();
    h.push(&jobs[..400]).await;
    let all: Vec<&NewJob> = jobs.iter().collect();
    let found = found(&h, &all).await;
    assert!(found[..400].iter().all(|place| *place == Whereabouts::There));
    assert!(found[400..].iter().all(|place| *place == Whereabouts::Gone));
}

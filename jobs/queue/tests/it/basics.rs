//! One job's way through the queue.

use std::time::Duration;

use fair_queue::clock::Clock as _;
use fair_queue::{JobId, JobState, Kept, Priority, PushOutcome, Redriven, Verdict};

use crate::support::{EnqueueOptions, Harness, Ping, Pong, ids, tenant, text};

fn outcome(accepted: usize, duplicates: usize) -> PushOutcome {
    PushOutcome { accepted, duplicates, ..PushOutcome::default() }
}

#[tokio::test]
async fn a_job_is_pushed_once_run_and_forgotten_but_for_its_outcome() {
    let h = Harness::new().await;
    let (acme, job) = (tenant("acme"), h.ping("acme"));
    let again = [job.clone(), job.clone()];
    assert_eq!(h.queue.push(&again).await.unwrap(), outcome(1, 1));
    assert_eq!(h.queue.push(&again).await.unwrap(), outcome(0, 2));

    let status = h.queue.lookup(&acme, job.id).await.unwrap().unwrap();
    assert_eq!(
        (status.state, status.skill.as_str(), status.attempts),
        (JobState::Available, "test.ping@1", 0)
    );
    assert!(
        h.queue.lookup(&tenant("globex"), job.id).await.unwrap().is_none(),
        "another tenant's job is not found"
    );

    let claim = h.fetch(10).await;
    assert_eq!(ids(&claim), [job.id.to_string()]);
    let record = String::from_utf8(claim.jobs[0].record.clone().unwrap()).unwrap();
    assert!(record.ends_with(text(&job)), "the payload comes back as it was");
    assert_eq!(h.queue.lookup(&acme, job.id).await.unwrap().unwrap().state, JobState::Active);
    assert!(h.fetch(10).await.jobs.is_empty());
    assert_eq!(h.queue.push(&again[..1]).await.unwrap().duplicates, 1);

    h.complete(&claim).await;
    assert_eq!(h.queue.lookup(&acme, job.id).await.unwrap().unwrap().state, JobState::Completed);
    let counts = h.queue.stats(&acme).await.unwrap();
    assert_eq!((counts.open(), counts.completed_total), (0, 1));
}

#[tokio::test]
async fn a_failed_job_comes_back_later_with_its_reason_and_ends_as_a_dead_letter() {
    let h = Harness::new().await;
    let (acme, job) = (tenant("acme"), h.ping("acme"));
    h.push(std::slice::from_ref(&job)).await;
    let error = "the model\nsaid no".to_owned();
    let claim = h.fetch(1).await;
    assert!(h.finish(&claim, 0, Verdict::Retry { after: Duration::from_secs(5), error }).await);
    let status = h.queue.lookup(&acme, job.id).await.unwrap().unwrap();
    assert_eq!((status.state, status.attempts), (JobState::Retryable, 1));
    assert_eq!(status.reason.unwrap().text, "the model said no");
    assert_eq!(status.at.unwrap(), h.clock.now() + Duration::from_secs(5));

    assert!(h.fetch(1).await.jobs.is_empty());
    h.clock.advance(Duration::from_secs(5));
    let claim = h.fetch(1).await;
    let reason = "x".repeat(400);
    assert!(h.finish(&claim, 0, Verdict::Discarded { code: "no_use", reason }).await);
    let status = h.queue.lookup(&acme, job.id).await.unwrap().unwrap();
    assert_eq!(status.state, JobState::Discarded);
    let kept = h.queue.kept(&acme, Kept::Discarded, 10).await.unwrap();
    assert_eq!((kept[0].id, kept[0].reason.code.as_str(), kept[0].since), (job.id, "no_use", h.clock.now()));
    assert_eq!(kept[0].reason.text.len(), 300 - "no_use\n".len());

    assert_eq!(h.queue.redrive(&tenant("globex"), job.id).await.unwrap(), Redriven::NotFound);
    assert_eq!(h.queue.redrive(&acme, job.id).await.unwrap(), Redriven::Started);
    assert_eq!(h.queue.redrive(&acme, job.id).await.unwrap(), Redriven::NotFound);
    let status = h.queue.lookup(&acme, job.id).await.unwrap().unwrap();
    assert_eq!((status.state, status.attempts, status.reason), (JobState::Available, 0, None));
    assert_eq!(ids(&h.fetch(1).await), [job.id.to_string()]);
}

#[tokio::test]
async fn a_parked_tenant_waits_as_a_whole_and_starts_soon_after() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let first = h.ping("acme");
    h.push(std::slice::from_ref(&first)).await;
    h.push(&[h.ping("acme"), h.ping("globex")]).await;
    for park in 1..=7_u64 {
        let claim = h.fetch_as("w", 1).await;
        let claim = if &*claim.jobs[0].partition == "globex" {
            h.complete(&claim).await;
            h.fetch(1).await
        } else {
            claim
        };
        assert!(h.finish(&claim, 0, Verdict::Parked { reason: "the tenant is provisioning".into() }).await);
        assert!(
            h.fetch(10).await.jobs.iter().all(|job| &*job.partition == "globex"),
            "the tenant's other job waits as well"
        );
        h.clock.advance(Duration::from_millis((park.min(5)) * 1000 + 250));
    }
    let counts = h.queue.stats(&acme).await.unwrap();
    assert_eq!(counts.available + counts.parked, 2);
    let status = h.queue.lookup(&acme, first.id).await.unwrap().unwrap();
    assert_eq!(status.attempts, 0, "waiting is not failing");
    assert_eq!(h.fetch(10).await.jobs.len(), 2);
}

#[tokio::test]
async fn case_19_a_released_job_goes_first_and_spends_no_attempt() {
    let h = Harness::new().await;
    let (a, b) = (h.ping("acme"), h.ping("acme"));
    h.push(&[a.clone(), b]).await;
    let claim = h.fetch(1).await;
    assert!(h.finish(&claim, 0, Verdict::Released).await);
    assert!(!h.finish(&claim, 0, Verdict::Completed).await, "given back is given back");
    assert_eq!(ids(&h.fetch(1).await), [a.id.to_string()]);
    let status = h.queue.lookup(&tenant("acme"), a.id).await.unwrap().unwrap();
    assert_eq!((status.attempts, status.interruptions, status.deaths), (0, 1, 0));
}

#[tokio::test]
async fn a_dropped_job_leaves_as_cancelled() {
    let h = Harness::new().await;
    let job = h.ping("acme");
    h.push(std::slice::from_ref(&job)).await;
    let claim = h.fetch(1).await;
    assert!(
        h.finish(&claim, 0, Verdict::Dropped { reason: "the tenant's work was called off".into() }).await
    );
    let status = h.queue.lookup(&tenant("acme"), job.id).await.unwrap().unwrap();
    assert_eq!(status.state, JobState::Cancelled);
    assert_eq!(h.queue.stats(&tenant("acme")).await.unwrap().cancelled_total, 1);
}

#[tokio::test]
async fn a_scheduled_job_waits_for_its_time() {
    let h = Harness::new().await;
    let at = h.clock.now() + Duration::from_secs(60);
    let options = EnqueueOptions { scheduled_at: Some(at), ..EnqueueOptions::default() };
    let job = h.job("acme", &Ping::default(), options);
    h.push(std::slice::from_ref(&job)).await;
    let status = h.queue.lookup(&tenant("acme"), job.id).await.unwrap().unwrap();
    assert_eq!((status.state, status.at), (JobState::Scheduled, Some(at)));
    h.clock.advance(Duration::from_millis(59_999));
    assert!(h.fetch(1).await.jobs.is_empty());
    h.clock.advance(Duration::from_millis(1));
    assert_eq!(ids(&h.fetch(1).await), [job.id.to_string()]);
}

#[tokio::test]
async fn priority_orders_a_tenants_jobs_and_starves_none() {
    let h = Harness::new().await;
    let of = |priority| EnqueueOptions { priority: Some(priority), ..EnqueueOptions::default() };
    let low: Vec<_> = (0..10).map(|_| h.job("acme", &Ping::default(), of(Priority::Background))).collect();
    let high: Vec<_> = (0..100).map(|_| h.job("acme", &Ping::default(), of(Priority::High))).collect();
    h.push(&low).await;
    h.push(&high).await;
    let claim = h.fetch(100).await;
    let is_low = |id: &String| low.iter().any(|job| job.id.to_string() == *id);
    let served = ids(&claim);
    assert!(!is_low(&served[0]), "high goes first");
    let share = served.iter().filter(|id| is_low(id)).count();
    assert!((1..=10).contains(&share), "{share} low jobs among 100");
}

#[tokio::test]
async fn case_22_a_job_nobody_declares_waits_visibly_and_in_nobodys_way() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let strangers: Vec<_> =
        (0..50).map(|_| h.job("acme", &Pong::default(), EnqueueOptions::default())).collect();
    h.push(&strangers).await;
    let known = h.ping("acme");
    h.push(std::slice::from_ref(&known)).await;
    assert_eq!(ids(&h.fetch(10).await), [known.id.to_string()]);
    assert!(h.fetch(10).await.jobs.is_empty());
    let status = h.queue.lookup(&acme, strangers[0].id).await.unwrap().unwrap();
    assert_eq!(
        (status.state, status.skill_declared, status.skill.as_str()),
        (JobState::Available, false, "test.pong@2")
    );
    let counts = h.queue.stats(&acme).await.unwrap();
    assert_eq!((counts.available, counts.undeclared.get("test.pong@2")), (50, Some(&50)));
}

#[tokio::test]
async fn case_2_a_claim_whose_answer_was_lost_is_answered_again() {
    use fair_queue::{FetchRequest, Fetched};
    let h = Harness::new().await;
    let jobs: Vec<_> = (0..5).map(|_| h.ping("acme")).collect();
    h.push(&jobs).await;
    let request = FetchRequest {
        worker: "w",
        attempt: 7,
        shard: 0,
        turn: None,
        skills: &h.skills,
        limit: 3,
        quantum: 10,
    };
    let claim = async || match h.queue.fetch(request).await.unwrap() {
        Fetched::Claim(claim) => (claim.fence, ids(&claim)),
        Fetched::Nothing { .. } => panic!("there are jobs"),
    };
    let first = claim().await;
    assert_eq!(first.1.len(), 3);
    assert_eq!(claim().await, first);
    assert_eq!(h.queue.stats(&tenant("acme")).await.unwrap().active, 3);
}

#[tokio::test]
async fn an_unknown_job_is_not_found() {
    let h = Harness::new().await;
    let id = JobId::generate(h.clock.now());
    assert!(h.queue.lookup(&tenant("acme"), id).await.unwrap().is_none());
    assert_eq!(h.queue.redrive(&tenant("acme"), id).await.unwrap(), Redriven::NotFound);
}

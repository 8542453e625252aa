//! Another time for a job that waits for one.

use std::time::Duration;

use fair_queue::clock::Clock as _;
use fair_queue::{JobState, Rescheduled, Verdict};

use crate::support::{EnqueueOptions, Harness, Ping, ids, tenant};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_scheduled_job_starts_at_its_new_time() {
    let h = Harness::new().await;
    let (acme, start) = (tenant("acme"), h.clock.now());
    let options = EnqueueOptions { scheduled_at: Some(start + HOUR), ..EnqueueOptions::default() };
    let job = h.job("acme", &Ping::default(), options);
    h.push(std::slice::from_ref(&job)).await;
    assert_eq!(h.queue.reschedule(&tenant("globex"), job.id, start).await.unwrap(), Rescheduled::NotFound);
    assert_eq!(h.queue.reschedule(&acme, job.id, start + 2 * HOUR).await.unwrap(), Rescheduled::Moved);
    h.clock.advance(HOUR + Duration::from_secs(1));
    assert!(ids(&h.fetch(10).await).is_empty(), "its old time has passed");
    // A time that has passed is now.
    assert_eq!(h.queue.reschedule(&acme, job.id, start).await.unwrap(), Rescheduled::Moved);
    let claim = h.fetch(10).await;
    assert_eq!(ids(&claim), [job.id.to_string()]);
    assert_eq!(h.queue.reschedule(&acme, job.id, start).await.unwrap(), Rescheduled::NotScheduled, "it runs");
    h.finish(&claim, 0, Verdict::Completed).await;
    assert_eq!(
        h.queue.reschedule(&acme, job.id, start).await.unwrap(),
        Rescheduled::NotFound,
        "it has ended"
    );
}

#[tokio::test]
async fn the_next_attempt_may_come_sooner_and_counts_as_before() {
    let h = Harness::new().await;
    let acme = tenant("acme");
    let job = h.ping("acme");
    h.push(std::slice::from_ref(&job)).await;
    let claim = h.fetch(1).await;
    h.finish(&claim, 0, Verdict::Retry { after: HOUR, error: "the model is away".into() }).await;
    assert_eq!(h.queue.reschedule(&acme, job.id, h.clock.now()).await.unwrap(), Rescheduled::Moved);
    assert_eq!(ids(&h.fetch(1).await), [job.id.to_string()]);
    let status = h.queue.lookup(&acme, job.id).await.unwrap().unwrap();
    assert_eq!((status.state, status.attempts), (JobState::Active, 1));
}

#[tokio::test]
async fn what_waits_for_no_time_stays_as_it_is() {
    let h = Harness::new().await;
    let (acme, later) = (tenant("acme"), h.clock.now() + HOUR);
    let (waits, fails) = (h.ping("acme"), h.ping("acme"));
    h.push(std::slice::from_ref(&fails)).await;
    let claim = h.fetch(1).await;
    h.finish(&claim, 0, Verdict::Discarded { code: "no", reason: "never".into() }).await;
    h.push(std::slice::from_ref(&waits)).await;
    for job in [&waits, &fails] {
        assert_eq!(h.queue.reschedule(&acme, job.id, later).await.unwrap(), Rescheduled::NotScheduled);
    }
    assert_eq!(ids(&h.fetch(10).await), [waits.id.to_string()]);
}

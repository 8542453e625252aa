//! Jobs of every type that are stamped for one tenant and name ids of another.

use jobs::envelope::EnqueueOptions;
use jobs::queue::{JobState, Reason};
use jobs::{JobId, JobKind};
use reqwest::Method;
use tests::bed::{Bed, Snapshot, TestTenant, send, servers};
use tests::texts;
use tests::wait::wait_for;

use super::bait;
use super::described::{Asker, Ids, stamped};

/// How a job ended, as far as its tenant can tell.
type Outcome = (JobState, u32, Option<Reason>);

/// How jobs of one type end, one about each of these ids.
async fn outcomes(bed: &Bed, tenant: &TestTenant, kind: JobKind, ids: &[Ids]) -> Vec<Outcome> {
    let asker = Asker::of(&tenant.id);
    let stamped = |ids| stamped(kind, bed.stamper(), &asker, ids, EnqueueOptions::default());
    let mut outcomes = Vec::new();
    for job in ids.iter().map(stamped) {
        // One after the other: of those that are the same work, one waits at a time.
        bed.queue().push(std::slice::from_ref(&job)).await.unwrap();
        outcomes.push(settled(bed, tenant, job.id()).await);
    }
    outcomes
}

async fn settled(bed: &Bed, tenant: &TestTenant, job: JobId) -> Outcome {
    let id = tenant.id.parse().unwrap();
    wait_for("the job to end or to be put aside", async || {
        let status = bed.queue().lookup(&id, job).await.map_err(|error| error.to_string())?;
        match status {
            Some(found) if !matches!(found.state, JobState::Available | JobState::Active) => {
                Ok((found.state, found.attempts, found.reason))
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// A reindex reads the tenant's own documents again.
async fn follow_ups_done(bed: &Bed, tenant: &TestTenant) {
    let id = tenant.id.parse().unwrap();
    wait_for("what can run to have run", async || {
        let stats = bed.queue().stats(&id).await.map_err(|error| error.to_string())?;
        let done = stats.available + stats.active + stats.retryable == 0;
        if done { Ok(()) } else { Err(format!("{stats:?}")) }
    })
    .await;
}

/// Goal: with ids of `theirs`, a job of `mine` reads, changes and learns nothing of `theirs`.
/// Method: it ends as with ids that exist nowhere; everything that either tenant has is as before.
async fn mean_nothing(bed: &Bed, theirs: &TestTenant, mine: &TestTenant) {
    mine.ingest("own.md", &texts::short("Stillbrook")).await;
    bait::lay(bed, theirs).await;
    let before = (bait::holdings(bed, theirs).await, Snapshot::of(bed.stores(), &mine.id).await);
    for kind in JobKind::ALL {
        let ids = bait::ids(theirs);
        let nowhere: Vec<_> = ids.iter().map(bait::nowhere).collect();
        let both = outcomes(bed, mine, *kind, &[nowhere, ids.clone()].concat()).await;
        let (of_nowhere, of_theirs) = both.split_at(ids.len());
        assert_eq!(of_theirs, of_nowhere, "{kind} of {ids:?}");
    }
    assert_eq!(bait::holdings(bed, theirs).await, before.0);
    follow_ups_done(bed, mine).await;
    assert_eq!(Snapshot::of(bed.stores(), &mine.id).await, before.1);

    // Now the jobs run that wait for it.
    let end = send(bed.operator().request(Method::DELETE, &format!("/api/v1/tenants/{}", mine.id))).await;
    assert_eq!(end.status, 202, "{end:?}");
    bed.run_until_empty(mine).await;
    assert_eq!(bait::holdings(bed, theirs).await, before.0);
    bait::goes_on(bed, theirs).await;
}

#[tokio::test]
async fn mean_nothing_on_embedded_stores() {
    let bed = Bed::embedded().await;
    let (acme, acme_2) = bed.look_alikes().await;
    mean_nothing(&bed, &acme, &acme_2).await;
    let (acme, acme_2) = bed.look_alikes().await;
    mean_nothing(&bed, &acme_2, &acme).await;
}

#[tokio::test]
async fn mean_nothing_on_servers() {
    let bed = servers().await;
    let (acme, acme_2) = bed.look_alikes().await;
    mean_nothing(bed, &acme, &acme_2).await;
}

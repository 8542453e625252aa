use chrono::TimeDelta;

use super::fixture::{Pair, upload};
use crate::Opened;
use crate::catalog::{TenantMeasure, WaitingDocument};
use crate::model::Acceptance;

pub(super) async fn outbox(opened: &Opened) {
    let pair = Pair::new(opened).await;
    // Older than what other checks leave there.
    let long_ago = pair.now - TimeDelta::days(1_000);
    let before = opened.measures.outbox().await.unwrap().rows;
    let job = pair.acme.job();
    let acceptance = Acceptance { jobs: vec![job.clone()], ..Acceptance::default() };
    pair.acme.stores.catalog().accept(&acceptance, long_ago).await.unwrap();
    let measured = opened.measures.outbox().await.unwrap();
    assert!(measured.rows >= 1, "{measured:?}, and before {before}");
    assert_eq!(measured.oldest, Some(long_ago));
    pair.acme.stores.catalog().outbox_delete(&[job.id()]).await.unwrap();
    assert_ne!(opened.measures.outbox().await.unwrap().oldest, Some(long_ago));
}

pub(super) async fn sums_of_a_tenant(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, later) = (pair.acme.stores.catalog(), pair.now + TimeDelta::minutes(10));
    assert_eq!(
        opened.measures.tenant(pair.acme.id(), later).await.unwrap(),
        TenantMeasure::default(),
        "a tenant without documents"
    );
    let (job, document) = (pair.acme.job(), upload("a.md", 1, pair.now));
    let (size, waits_for) = (document.size_bytes, document.job_id);
    let documents = Some((pair.acme.kb.id.clone(), vec![document]));
    let acceptance = Acceptance { documents, jobs: vec![job.clone()], ..Acceptance::default() };
    catalog.accept(&acceptance, pair.now).await.unwrap();
    catalog.outbox_delete(&[job.id()]).await.unwrap();

    let measured = opened.measures.tenant(pair.acme.id(), later).await.unwrap();
    assert_eq!((measured.storage_bytes, measured.users), (size, 0));
    assert_eq!(measured.waiting, [WaitingDocument { job: waits_for, is_pending: true }]);
    let at_once = opened.measures.tenant(pair.acme.id(), pair.now).await.unwrap();
    assert_eq!(at_once.waiting, [], "it has not waited long enough");
    assert_eq!(opened.measures.tenant(pair.twin.id(), later).await.unwrap(), TenantMeasure::default());
}

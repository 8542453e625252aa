use chrono::TimeDelta;
use jobs::JobId;

use super::fixture::{Pair, Party, upload};
use crate::Opened;
use crate::model::{Acceptance, Accepted, Document, DocumentCounts, DocumentFault, DocumentStatus, JobMark};

fn fault() -> DocumentFault {
    DocumentFault { code: "cancelled".into(), detail: "somebody cancelled it".into() }
}

async fn documents(party: &Party) -> Vec<Document> {
    let mut page = party.stores.catalog().documents(&party.kb.id, None, None, 100).await.unwrap().items;
    page.sort_by(|one, other| one.name.cmp(&other.name));
    page
}

fn statuses(documents: &[Document]) -> Vec<DocumentStatus> {
    documents.iter().map(|document| document.status).collect()
}

pub(super) async fn documents_of_jobs(opened: &Opened) {
    use DocumentStatus::{Failed, Pending, Processed, Processing};
    let pair = Pair::new(opened).await;
    let uploads: Vec<_> =
        ["a.md", "b.md", "c.md", "d.md"].map(|name| upload(name, 1, pair.now)).into_iter().collect();
    let jobs: Vec<JobId> = uploads.iter().map(|upload| upload.job_id).collect();
    for party in [&pair.acme, &pair.twin] {
        assert_eq!(party.register(uploads.clone(), pair.now).await, Accepted::New);
    }
    let (catalog, kb) = (pair.acme.stores.catalog(), &pair.acme.kb.id);
    catalog.document_processing(kb, &uploads[1].id, 1, (jobs[1], 2), pair.now).await.unwrap();
    catalog.document_processed(kb, &uploads[2].id, 1, DocumentCounts::default(), pair.now).await.unwrap();
    assert_eq!(statuses(&documents(&pair.acme).await), [Pending, Processing, Processed, Pending]);

    let later = pair.now + TimeDelta::seconds(1);
    assert_eq!(catalog.documents_failed(&[], &fault(), later).await.unwrap(), 0);
    assert_eq!(catalog.documents_failed(&jobs[..3], &fault(), later).await.unwrap(), 2);
    let after = documents(&pair.acme).await;
    assert_eq!(statuses(&after), [Failed, Failed, Processed, Pending]);
    assert_eq!((after[0].fault.clone(), after[0].updated_at), (Some(fault()), later));
    assert_eq!(after[2].fault, None);
    assert_eq!(statuses(&documents(&pair.twin).await), [Pending; 4]);
}

pub(super) async fn documents_of_a_tenant(opened: &Opened) {
    use DocumentStatus::{Failed, Pending};
    let pair = Pair::new(opened).await;
    let later = pair.now + TimeDelta::seconds(1);
    for party in [&pair.acme, &pair.twin] {
        party.register(vec![upload("a.md", 1, pair.now)], pair.now).await;
        party.register(vec![upload("b.md", 1, later)], later).await;
    }
    let catalog = pair.acme.stores.catalog();
    catalog.cancel_everything(&fault(), pair.now).await.unwrap();
    let after = documents(&pair.acme).await;
    assert_eq!(statuses(&after), [Failed, Pending], "what came later is not meant");
    assert_eq!(statuses(&documents(&pair.twin).await), [Pending, Pending]);
}

pub(super) async fn outbox(opened: &Opened) {
    let pair = Pair::new(opened).await;
    for party in [&pair.acme, &pair.acme, &pair.twin] {
        let acceptance = Acceptance { jobs: vec![party.job()], ..Acceptance::default() };
        party.stores.catalog().accept(&acceptance, pair.now).await.unwrap();
    }
    assert_eq!(pair.acme.stores.catalog().outbox_clear().await.unwrap(), 2);
    assert_eq!((pair.acme.outbox(opened).await.len(), pair.twin.outbox(opened).await.len()), (0, 1));
}

/// A cancelled job stays cancelled, and a job that is enqueued later runs.
pub(super) async fn jobs(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let second = |n| pair.now + TimeDelta::seconds(n);
    let [one, other] = [(); 2].map(|()| JobId::generate(pair.now));
    let cancelled = async |party: &Party, job, at| {
        opened.directory.is_cancelled(party.id(), job, second(at)).await.unwrap()
    };
    let catalog = pair.acme.stores.catalog();
    assert!(!cancelled(&pair.acme, one, 0).await);
    catalog.jobs_mark(&[one, one], JobMark::Cancelled, second(1)).await.unwrap();
    assert!(cancelled(&pair.acme, one, 0).await && !cancelled(&pair.acme, other, 0).await);
    assert!(!cancelled(&pair.twin, one, 0).await, "the same id of another tenant");
    catalog.jobs_unmark(&[one]).await.unwrap();
    assert!(!cancelled(&pair.acme, one, 0).await);

    catalog.cancel_everything(&fault(), second(10)).await.unwrap();
    assert!(cancelled(&pair.acme, one, 9).await && cancelled(&pair.acme, other, 0).await);
    assert!(!cancelled(&pair.acme, one, 10).await && !cancelled(&pair.twin, one, 0).await);
    catalog.jobs_mark(&[one], JobMark::Redriven, second(11)).await.unwrap();
    assert!(!cancelled(&pair.acme, one, 0).await && cancelled(&pair.acme, other, 0).await);
    catalog.cancel_everything(&fault(), second(12)).await.unwrap();
    assert!(cancelled(&pair.acme, one, 0).await, "it was started before everything was cancelled again");
}

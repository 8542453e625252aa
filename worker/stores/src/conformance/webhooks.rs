use std::collections::HashMap;

use chrono::TimeDelta;
use jobs::JobId;
use jobs::plan::{Limits, Quota};
use jobs::webhook::{EventId, EventType, WebhookId};

use super::fixture::{Pair, Party, now, upload};
use crate::Opened;
use crate::model::{
    Acceptance, AfterAttempt, Attempt, Delivery, DeliveryState, DisabledReason, DocumentCounts,
    DocumentFault, DueWebhook, JobRecord, NewWebhook, WebhookChange, WebhookEdit, WebhookMade,
};

fn new(party: &Party, events: &[EventType]) -> NewWebhook {
    NewWebhook {
        id: WebhookId::generate(),
        url: "https://hooks.example.com/".into(),
        description: "the portal".into(),
        events: events.to_vec(),
        sealed_secret: "k.sealed".into(),
        template: party.job(),
        created_by: "user:ann".into(),
    }
}

async fn made(party: &Party, events: &[EventType]) -> WebhookId {
    let new = new(party, events);
    let made = party.stores.catalog().webhook_insert(&new, &Limits::default(), now()).await.unwrap();
    assert!(matches!(made, WebhookMade::Done(_)));
    new.id
}

async fn deliveries(party: &Party, id: &WebhookId) -> Vec<Delivery> {
    party.stores.catalog().webhook_deliveries(id, None, None, 1_000).await.unwrap().items
}

fn details(enabled: Option<bool>) -> WebhookEdit {
    WebhookEdit::Details { url: None, description: None, events: None, enabled }
}

pub(super) async fn made_changed_and_removed(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, twin) = (pair.acme.stores.catalog(), pair.twin.stores.catalog());
    let limits = Limits { max_webhooks: Some(2), ..Limits::default() };
    let wanted = new(&pair.acme, &[EventType::JobFailed, EventType::DocumentFailed]);
    let WebhookMade::Done(webhook) = catalog.webhook_insert(&wanted, &limits, pair.now).await.unwrap() else {
        panic!("there is room")
    };
    assert_eq!((&webhook.events, webhook.revision, webhook.disabled), (&wanted.events, 1, None));
    let other = made(&pair.acme, &[EventType::JobFailed]).await;
    let over = catalog.webhook_insert(&new(&pair.acme, &[EventType::JobFailed]), &limits, pair.now).await;
    let WebhookMade::OverQuota(over) = over.unwrap() else { panic!("there is no room") };
    assert_eq!((over.quota, over.maximum), (Quota::MaxWebhooks, 2));
    assert_eq!(catalog.usage(pair.now).await.unwrap().webhooks, 2);
    let foreign = NewWebhook { template: pair.twin.job(), ..new(&pair.acme, &[EventType::JobFailed]) };
    assert!(catalog.webhook_insert(&foreign, &Limits::default(), pair.now).await.is_err());
    let page = catalog.webhooks(None, 1).await.unwrap();
    let rest = catalog.webhooks(page.next.map(|next| next.parse().unwrap()).as_ref(), 1).await.unwrap();
    let mut both = [webhook.id.clone(), other];
    both.sort();
    assert_eq!([page.items[0].id.clone(), rest.items[0].id.clone()], both);

    let edit = WebhookEdit::Details {
        url: Some("https://b.example.com/".into()),
        description: None,
        events: Some(vec![EventType::JobCompleted]),
        enabled: None,
    };
    assert_eq!(
        catalog.webhook_change(&webhook.id, &edit, Some(7), pair.now).await.unwrap(),
        WebhookChange::Stale
    );
    assert_eq!(
        twin.webhook_change(&webhook.id, &edit, None, pair.now).await.unwrap(),
        WebhookChange::Unknown
    );
    let changed = catalog.webhook_change(&webhook.id, &edit, Some(1), pair.now).await.unwrap();
    let WebhookChange::Done(changed) = changed else { panic!("{changed:?}") };
    assert_eq!((changed.url.as_str(), changed.revision), ("https://b.example.com/", 2));
    assert_eq!((changed.description.as_str(), changed.events), ("the portal", vec![EventType::JobCompleted]));
    assert_eq!(twin.webhook_delete(&webhook.id, None).await.unwrap(), WebhookChange::Unknown);
    assert_eq!(twin.webhook(&webhook.id).await.unwrap(), None);
    assert_eq!(catalog.webhook_delete(&webhook.id, Some(1)).await.unwrap(), WebhookChange::Stale);
    assert!(matches!(catalog.webhook_delete(&webhook.id, Some(2)).await.unwrap(), WebhookChange::Done(_)));
    assert_eq!(catalog.webhook(&webhook.id).await.unwrap(), None);
}

/// One event for each end of a document, for those who asked, in the transaction of the end.
pub(super) async fn told_of_documents(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb) = (pair.acme.stores.catalog(), &pair.acme.kb.id);
    let asked = [EventType::DocumentProcessed, EventType::DocumentFailed, EventType::DocumentDeleted];
    let (all, failures) = (made(&pair.acme, &asked).await, made(&pair.acme, &asked[1..2]).await);
    let theirs = made(&pair.twin, &asked).await;
    let documents = ["a.md", "b.md", "c.md"].map(|name| upload(name, 1, pair.now));
    let [a, b, c] = documents.clone();
    pair.acme.register(documents.to_vec(), pair.now).await;
    let counts = DocumentCounts::default();
    for _ in 0..2 {
        // Twice is once: the second time nothing ends.
        assert!(catalog.document_processed(kb, &a.id, 1, counts, pair.now).await.unwrap());
    }
    assert!(!catalog.document_processed(kb, &a.id, 7, counts, pair.now).await.unwrap());
    let fault = DocumentFault { code: "not_utf8".into(), detail: "save it as UTF-8".into() };
    assert!(catalog.document_failed(kb, &b.id, 1, &fault, pair.now).await.unwrap());
    assert_eq!(catalog.documents_failed(&[c.job_id], &fault, pair.now).await.unwrap(), 1);
    let begun = pair.acme.stores.lifecycle().document_deletion_begin(kb, &a.id, 1, pair.now).await.unwrap();
    assert!(pair.acme.stores.lifecycle().document_delete(kb, &a.id, begun.unwrap()).await.unwrap());

    let row = |delivery: &Delivery| {
        let event = &delivery.event;
        (event.kind, event.document_id.clone().unwrap(), event.job_id, event.error_code.clone())
    };
    let mut rows: Vec<_> = deliveries(&pair.acme, &all).await.iter().map(row).collect();
    rows.sort_by_key(|(kind, document, ..)| (*kind, document.clone()));
    let code = Some("not_utf8".to_owned());
    let mut failed = vec![
        (EventType::DocumentFailed, b.id.clone(), Some(b.job_id), code.clone()),
        (EventType::DocumentFailed, c.id.clone(), Some(c.job_id), code),
    ];
    failed.sort_by_key(|(_, document, ..)| document.clone());
    let mut expected = vec![(EventType::DocumentProcessed, a.id.clone(), Some(a.job_id), None)];
    expected.extend(failed.clone());
    expected.push((EventType::DocumentDeleted, a.id.clone(), Some(a.job_id), None));
    assert_eq!(rows, expected);
    let mut rows: Vec<_> = deliveries(&pair.acme, &failures).await.iter().map(row).collect();
    rows.sort_by_key(|(_, document, ..)| document.clone());
    assert_eq!(rows, failed);
    assert_eq!(deliveries(&pair.twin, &theirs).await, []);
}

fn record(kind: &str, state: &str) -> JobRecord {
    JobRecord {
        id: JobId::generate(now()),
        kind: kind.into(),
        kb: None,
        parent: None,
        batch: None,
        trace_id: None,
        queue: "q".into(),
        state: state.into(),
        attempts: 1,
        error: (state == "discarded").then(|| ("too_complex".into(), "split it".into())),
        created_at: now(),
        started_at: None,
        finished_at: now(),
    }
}

pub(super) async fn told_of_jobs(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let id = made(&pair.acme, &[EventType::JobCompleted, EventType::JobFailed]).await;
    let [done, failed, cancelled] =
        [("kb.reindex", "completed"), ("kb.delete", "discarded"), ("kb.delete", "cancelled")]
            .map(|(kind, state)| record(kind, state));
    let delivery = record("webhook.deliver", "completed");
    let all = [done.clone(), failed.clone(), cancelled, delivery];
    catalog.history_insert(&all).await.unwrap();
    // The same end once more: the record stays, and nothing is told.
    catalog.history_insert(std::slice::from_ref(&done)).await.unwrap();
    let told = |found: &[Delivery]| {
        let mut told: Vec<_> = found.iter().map(|one| (one.event.kind, one.event.job_id.unwrap())).collect();
        told.sort_by_key(|(kind, _)| *kind);
        told
    };
    let expected = [(EventType::JobCompleted, done.id), (EventType::JobFailed, failed.id)];
    assert_eq!(told(&deliveries(&pair.acme, &id).await), expected);

    // A dead letter that was started again ends once more.
    let again = JobRecord {
        state: "completed".into(),
        error: None,
        finished_at: now() + TimeDelta::seconds(1),
        ..failed
    };
    catalog.history_insert(&[again]).await.unwrap();
    let found = deliveries(&pair.acme, &id).await;
    assert_eq!(told(&found)[..2].iter().filter(|(kind, _)| *kind == EventType::JobCompleted).count(), 2);
    assert_eq!(found.len(), 3);
    let page = catalog.webhook_deliveries(&id, None, None, 2).await.unwrap();
    let next: EventId = page.next.unwrap().parse().unwrap();
    let rest = catalog.webhook_deliveries(&id, None, Some(&next), 2).await.unwrap();
    assert_eq!([page.items, rest.items].concat(), found);
    let pending = catalog.webhook_deliveries(&id, Some(DeliveryState::Delivered), None, 10).await.unwrap();
    assert_eq!(pending.items, []);
}

fn attempt(status: u16) -> Attempt {
    let error = (status >= 300).then(|| ("http_status".to_owned(), format!("answered {status}")));
    Attempt { at: now(), duration_ms: 12, status: Some(status), error }
}

async fn due(opened: &Opened, party: &Party, at: TimeDelta) -> Option<DueWebhook> {
    let found = opened.webhooks.webhooks_due(now() + at, None, 10_000).await.unwrap();
    found.into_iter().find(|due| due.tenant_id == *party.id())
}

/// An endpoint that works gets what is pending, and one that fails gets one now and then, and what a person asked for.
pub(super) async fn handed_on_with_care(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    assert!(due(opened, &pair.acme, TimeDelta::zero()).await.is_none());
    let id = made(&pair.acme, &[EventType::JobCompleted]).await;
    let records: Vec<_> = (0..4).map(|_| record("kb.reindex", "completed")).collect();
    catalog.history_insert(&records).await.unwrap();
    let found = due(opened, &pair.acme, TimeDelta::zero()).await.unwrap();
    assert_eq!((&found.id, found.room), (&id, 100));
    let pending = opened.webhooks.pending(&found).await.unwrap();
    assert_eq!(pending.len(), 4);
    let run = JobId::generate(now());
    let first = pending[0].event_id.clone();
    opened.webhooks.queued(&found, &HashMap::from([(first.clone(), run)]), now()).await.unwrap();
    let found = due(opened, &pair.acme, TimeDelta::zero()).await.unwrap();
    assert_eq!((found.room, opened.webhooks.pending(&found).await.unwrap().len()), (99, 3));
    let to_do = catalog.webhook_to_do(&id, &first, now()).await.unwrap().unwrap();
    assert_eq!((to_do.disabled, to_do.sealed_secrets), (false, vec!["k.sealed".to_owned()]));
    assert_eq!((to_do.delivery.state, to_do.delivery.run_id), (DeliveryState::Queued, Some(run)));
    assert!(pair.twin.stores.catalog().webhook_to_do(&id, &first, now()).await.unwrap().is_none());

    let retry = AfterAttempt::Retry(now() + TimeDelta::seconds(5));
    assert_eq!(catalog.webhook_attempted((&id, &first), run, &attempt(500), retry).await.unwrap(), None);
    assert!(catalog.webhook(&id).await.unwrap().unwrap().failing_since.is_some());
    let probe = due(opened, &pair.acme, TimeDelta::zero()).await.unwrap();
    assert_eq!((probe.room, opened.webhooks.pending(&probe).await.unwrap().len()), (1, 1));
    opened.webhooks.queued(&probe, &HashMap::new(), now()).await.unwrap();
    assert!(due(opened, &pair.acme, TimeDelta::minutes(14)).await.is_none());
    assert!(due(opened, &pair.acme, TimeDelta::minutes(16)).await.is_some());
    let test = catalog.webhook_test(&id, now()).await.unwrap().unwrap();
    let asked = due(opened, &pair.acme, TimeDelta::zero()).await.unwrap();
    let pending: Vec<_> = opened.webhooks.pending(&asked).await.unwrap();
    assert_eq!(pending.iter().map(|one| &one.event_id).collect::<Vec<_>>(), [&test]);

    let works = (&id, &test);
    catalog.webhook_attempted(works, run, &attempt(204), AfterAttempt::Delivered).await.unwrap();
    assert_eq!(catalog.webhook(&id).await.unwrap().unwrap().failing_since, None);
    assert_eq!(due(opened, &pair.acme, TimeDelta::zero()).await.unwrap().room, 99);
    let attempts = catalog.webhook_attempts(&id, &first).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].status), (1, Some(500)));
}

pub(super) async fn given_up_and_sent_again(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let id = made(&pair.acme, &[EventType::JobCompleted]).await;
    let test = catalog.webhook_test(&id, now()).await.unwrap().unwrap();
    let (run, other) = (JobId::generate(now()), JobId::generate(now()));
    let delivery = async || catalog.webhook_delivery(&id, &test).await.unwrap().unwrap();
    let gone = catalog.webhook_attempted((&id, &test), run, &attempt(410), AfterAttempt::Gone).await.unwrap();
    assert_eq!(gone, Some(DisabledReason::Gone));
    assert_eq!((delivery().await.state, delivery().await.run_id), (DeliveryState::Failed, Some(run)));
    assert_eq!(catalog.webhook_test(&id, now()).await.unwrap(), None);
    assert!(!catalog.webhook_redeliver(&id, &test).await.unwrap());
    assert!(!catalog.webhook_reopen(&id, &test, run).await.unwrap());
    catalog.history_insert(&[record("kb.reindex", "completed")]).await.unwrap();
    assert_eq!(deliveries(&pair.acme, &id).await.len(), 1, "it is told of nothing");

    catalog.webhook_change(&id, &details(Some(true)), None, now()).await.unwrap();
    assert!(!pair.twin.stores.catalog().webhook_redeliver(&id, &test).await.unwrap());
    assert!(catalog.webhook_reopen(&id, &test, run).await.unwrap());
    let given_up = (DeliveryState::Failed, "attempts_exhausted");
    catalog.webhook_given_up((&id, &test), other, given_up).await.unwrap();
    assert_eq!(delivery().await.state, DeliveryState::Queued, "another job has it");
    catalog.webhook_given_up((&id, &test), run, given_up).await.unwrap();
    assert_eq!(delivery().await.state, DeliveryState::Failed);
    assert!(catalog.webhook_redeliver(&id, &test).await.unwrap());
    assert_eq!((delivery().await.state, delivery().await.run_id), (DeliveryState::Pending, None));
    let found = due(opened, &pair.acme, TimeDelta::zero()).await.unwrap();
    assert_eq!(opened.webhooks.pending(&found).await.unwrap()[0].runs, 1);

    // Cancelled with its job, or with everything.
    opened.webhooks.queued(&found, &HashMap::from([(test.clone(), other)]), now()).await.unwrap();
    let fault = DocumentFault { code: "cancelled".into(), detail: "cancelled".into() };
    assert_eq!(catalog.documents_failed(&[other], &fault, now()).await.unwrap(), 0);
    assert_eq!(delivery().await.state, DeliveryState::Cancelled);
    assert!(catalog.webhook_redeliver(&id, &test).await.unwrap());
    catalog.cancel_everything(&fault, now()).await.unwrap();
    assert_eq!(delivery().await.state, DeliveryState::Cancelled);
    assert!(due(opened, &pair.acme, TimeDelta::zero()).await.is_none());
}

pub(super) async fn go_with_their_tenant(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let id = made(&pair.acme, &[EventType::JobCompleted]).await;
    let theirs = made(&pair.twin, &[EventType::JobCompleted]).await;
    let test = pair.acme.stores.catalog().webhook_test(&id, now()).await.unwrap().unwrap();
    let run = JobId::generate(now());
    let retry = AfterAttempt::Retry(now());
    pair.acme.stores.catalog().webhook_attempted((&id, &test), run, &attempt(500), retry).await.unwrap();
    let epoch = pair.acme.stores.lifecycle().tenant_close().await.unwrap();
    let closing = Acceptance { tenant_closed: epoch, ..Acceptance::default() };
    pair.acme.stores.catalog().accept(&closing, now()).await.unwrap();
    assert!(pair.acme.stores.lifecycle().tenant_delete(now()).await.unwrap());
    assert_eq!(pair.acme.stores.catalog().webhook(&id).await.unwrap(), None);
    assert_eq!(deliveries(&pair.acme, &id).await, []);
    assert_eq!(pair.acme.stores.catalog().webhook_attempts(&id, &test).await.unwrap(), []);
    assert!(pair.twin.stores.catalog().webhook(&theirs).await.unwrap().is_some());
}

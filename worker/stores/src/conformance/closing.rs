use std::time::Duration;

use chrono::TimeDelta;
use jobs::DocumentId;
use jobs::plan::Limits;
use jobs::tenant::{TenantId, TenantRecord, TenantStatus};
use uuid::Uuid;

use super::audit::entry;
use super::fixture::{Pair, Party, now, upload};
use super::identities::someone;
use super::schedules::schedule;
use crate::model::{
    Acceptance, Accepted, AuditFilter, Idempotency, JobRecord, NewApiKey, NewTenant, ParsedDocument, Renewal,
    Session,
};
use crate::{Catalog, Opened};

async fn accept(party: &Party, acceptance: Acceptance) -> Accepted {
    party.stores.catalog().accept(&acceptance, now()).await.unwrap()
}

pub(super) async fn called_off(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, lifecycle) = (pair.acme.stores.catalog(), pair.acme.stores.lifecycle());
    assert!(!lifecycle.tenant_delete(now()).await.unwrap(), "nobody closed it");
    let record = |epoch| Some(TenantRecord { status: TenantStatus::Deprovisioning, epoch });
    for epoch in [1, 2] {
        assert_eq!(lifecycle.tenant_close().await.unwrap(), Some(epoch));
        assert_eq!(opened.directory.tenant(pair.acme.id()).await.unwrap(), record(epoch));
    }
    // A closed tenant accepts only its own deletion, and only under its last epoch.
    let register = pair.acme.register(vec![upload("a.md", 1, pair.now)], pair.now).await;
    assert_eq!(register, Accepted::TenantGone);
    for (tenant_closed, expected) in
        [(None, Accepted::TenantGone), (Some(1), Accepted::TenantGone), (Some(2), Accepted::New)]
    {
        let acceptance = Acceptance { tenant_closed, jobs: vec![pair.acme.job()], ..Acceptance::default() };
        assert_eq!(accept(&pair.acme, acceptance).await, expected);
    }
    assert_eq!(pair.acme.outbox(opened).await.len(), 1);
    assert_eq!(catalog.tenant().await.unwrap().unwrap().status, TenantStatus::Deprovisioning);

    let early = Acceptance { tenant_closed: Some(0), jobs: vec![pair.twin.job()], ..Acceptance::default() };
    assert_eq!(accept(&pair.twin, early).await, Accepted::TenantGone, "it is in use");
    assert_eq!(pair.twin.register(vec![upload("a.md", 1, pair.now)], pair.now).await, Accepted::New);
}

/// Inserts a row into every table.
async fn fill(party: &Party) {
    let catalog = party.stores.catalog();
    let idempotency =
        Idempotency { key: "k".into(), fingerprint: "f".into(), status: 202, body: "answer".into() };
    let documents = Some((party.kb.id.clone(), vec![upload("a.md", 1, now())]));
    let jobs = vec![party.job()];
    let acceptance = Acceptance { documents, jobs, idempotency: Some(idempotency), ..Acceptance::default() };
    assert_eq!(accept(party, acceptance).await, Accepted::New);
    let nightly = schedule(party, "nightly", now() + chrono::TimeDelta::days(1));
    catalog.schedule_put(&nightly, &Limits::default()).await.unwrap();
    catalog.api_key_ensure(&key(), now()).await.unwrap();
    catalog.history_insert(&[record(party)]).await.unwrap();
    assert!(catalog.audit_append(&entry(now(), "operator", "flow_pause")).await.unwrap());
}

fn key() -> NewApiKey {
    NewApiKey {
        id: "abcd1234".parse().unwrap(),
        name: "first".into(),
        secret_sha256: "11".repeat(32),
        role: jobs::tenant::Role::Editor,
        kb_id: None,
        permissions: None,
        created_by: None,
        expires_at: None,
    }
}

fn record(party: &Party) -> JobRecord {
    JobRecord {
        parent: None,
        batch: None,
        trace_id: None,
        id: party.job().id(),
        kind: "document.ingest".into(),
        kb: None,
        queue: "documents".into(),
        state: "completed".into(),
        attempts: 1,
        error: None,
        created_at: now(),
        started_at: Some(now()),
        finished_at: now(),
    }
}

pub(super) async fn deleted(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let closed = pair.acme.kb_new("archive").await;
    let close = Acceptance { kb_close: Some(closed.id.clone()), ..Acceptance::default() };
    assert_eq!(accept(&pair.acme, close).await, Accepted::New);
    fill(&pair.acme).await;
    fill(&pair.twin).await;
    let (catalog, lifecycle) = (pair.acme.stores.catalog(), pair.acme.stores.lifecycle());
    let kbs: Vec<_> = lifecycle.tenant_kbs().await.unwrap().into_iter().map(|kb| kb.workspace).collect();
    assert_eq!(kbs, [closed.workspace, pair.acme.kb.workspace.clone()]);

    assert_eq!(lifecycle.tenant_close().await.unwrap(), Some(1));
    assert!(lifecycle.tenant_delete(now()).await.unwrap());
    assert!(!lifecycle.tenant_delete(now()).await.unwrap());
    assert_eq!(lifecycle.tenant_close().await.unwrap(), None);
    assert_eq!(catalog.tenant().await.unwrap(), None);
    assert_eq!(lifecycle.tenant_kbs().await.unwrap(), []);
    let (kb, id) = (&pair.acme.kb.id, DocumentId::of_name("a.md"));
    assert_eq!(catalog.document(kb, &id).await.unwrap(), None);
    assert_eq!(catalog.replay("k").await.unwrap(), None);
    assert_eq!(catalog.schedules(kb).await.unwrap(), []);
    assert_eq!(pair.acme.outbox(opened).await, []);
    assert!(opened.directory.api_key(pair.acme.id(), &key().id).await.unwrap().is_none());
    let audited =
        async |catalog: &Catalog| catalog.audit(&AuditFilter::default(), None, 10).await.unwrap().items;
    assert_eq!(audited(&catalog).await, []);
    let late = entry(now(), "operator", "tenants_delete");
    assert!(!catalog.audit_append(&late).await.unwrap(), "the log went with the tenant");
    // The deleting job itself is the last one to end, and leaves no record.
    let last = record(&pair.acme);
    catalog.history_insert(std::slice::from_ref(&last)).await.unwrap();
    assert_eq!(catalog.history(last.id).await.unwrap(), None);

    // The tombstone keeps the id, with the epoch that cancels old jobs.
    let tombstone = TenantRecord { status: TenantStatus::Deprovisioning, epoch: 1 };
    assert_eq!(opened.directory.tenant(pair.acme.id()).await.unwrap(), Some(tombstone));
    let new = NewTenant::new("Usurper", "gold");
    let again = Acceptance { tenant: Some(new), ..Acceptance::default() };
    assert_eq!(accept(&pair.acme, again).await, Accepted::TenantExists);
    let all = opened.settings.settings_all(None, 10_000).await.unwrap();
    let unapplied = opened.settings.settings_unapplied(10_000).await.unwrap();
    assert!(all.iter().chain(&unapplied).all(|tenant| tenant.id != *pair.acme.id()));

    let twin = pair.twin.stores.catalog();
    assert_eq!(twin.tenant().await.unwrap().unwrap().epoch, 0);
    assert_eq!(twin.document_totals(&pair.twin.kb.id).await.unwrap(), [1, 0, 0, 0, 0]);
    assert_eq!(twin.schedules(&pair.twin.kb.id).await.unwrap().len(), 1);
    assert!(twin.replay("k").await.unwrap().is_some());
    assert_eq!(audited(&twin).await.len(), 1);
    assert!(opened.directory.api_key(pair.twin.id(), &key().id).await.unwrap().is_some());
}

/// Log-ins to the tenant end with it, and no row of them stays behind.
pub(super) async fn sessions(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (identities, ann) = (&opened.identities, someone());
    identities.user_put(&ann, now()).await.unwrap();
    let log_in = async |tenant: Option<&TenantId>| {
        let session = Session {
            id: Uuid::now_v7(),
            user: ann.name.clone(),
            tenant: tenant.cloned(),
            generation: 1,
            expires_at: now() + TimeDelta::hours(1),
        };
        identities.session_insert(&session, now()).await.unwrap();
        session.id
    };
    let (acme, twin) = (log_in(Some(pair.acme.id())).await, log_in(Some(pair.twin.id())).await);
    let without_tenant = log_in(None).await;
    let lifecycle = pair.acme.stores.lifecycle();
    lifecycle.tenant_close().await.unwrap();
    assert!(lifecycle.tenant_delete(now()).await.unwrap());
    let is_live = async |id| identities.session_is_live(id, now()).await.unwrap();
    assert!(!is_live(acme).await && is_live(twin).await && is_live(without_tenant).await);
    let later = now() + TimeDelta::hours(2);
    // An ended session that is still stored would count as reused.
    assert_eq!(identities.session_renew(acme, 1, later, now()).await.unwrap(), Renewal::Ended);
}

pub(super) async fn texts_and_values(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (kb, id) = (&pair.acme.kb.id, DocumentId::of_name("a.md"));
    let parsed = ParsedDocument { revision: 1, title: None, text: "text".into() };
    let sha256 = "0".repeat(64);
    for party in [&pair.acme, &pair.twin] {
        party.stores.documents().parsed_put(kb, &id, &parsed).await.unwrap();
        party.stores.blobs().original_put(kb, &id, &sha256, "bytes".into()).await.unwrap();
        for key in ["progress:1", "progress:2"] {
            party.stores.cache().put(key, "1/2", Duration::from_secs(60)).await.unwrap();
        }
    }
    let held = async |party: &Party| {
        (
            party.stores.documents().parsed(kb, &id).await.unwrap().is_some(),
            party.stores.blobs().originals(kb, &id).await.unwrap().len(),
            party.stores.cache().get("progress:2").await.unwrap(),
        )
    };
    for _ in 0..2 {
        pair.acme.stores.documents().tenant_forget().await.unwrap();
        pair.acme.stores.blobs().tenant_forget().await.unwrap();
        pair.acme.stores.cache().clear().await.unwrap();
        assert_eq!(held(&pair.acme).await, (false, 0, None));
    }
    assert_eq!(held(&pair.twin).await, (true, 1, Some("1/2".into())));
}

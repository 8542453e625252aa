//! A tenant with something in every store.

use chrono::{DateTime, Utc};
use jobs::clock::{Clock as _, SystemClock};
use jobs::envelope::{EnqueueOptions, StampKeys, StampedJob, Stamper};
use jobs::tenant::{KbId, Role, TenantContext};
use jobs::types::ReindexKb;
use jobs::webhook::{EventType, WebhookId};
use jobs::{BatchId, DocumentId, JobId};
use std::sync::Arc;
use stores::model::{
    Acceptance, AfterAttempt, Attempt, AuditEntry, Chunk, DocumentFault, DocumentSelection, Extraction,
    Idempotency, Invitation, JobMark, JobRecord, Kb, Mention, MentionKind, NewApiKey, NewDocument,
    NewSchedule, NewTenant, NewWebhook, ParsedDocument, WorkspaceId,
};
use stores::{Catalog, Opened, TenantStores};
use tests::services::ServerUrls;

/// Stores on the servers, and a directory that goes when this does.
pub(super) struct Servers {
    pub(super) urls: ServerUrls,
    pub(super) opened: Opened,
    /// The same PostgreSQL with the documents and the graph in it as well.
    on_postgres_alone: Opened,
    _data: tempfile::TempDir,
}

pub(super) async fn servers() -> Servers {
    let urls = tests::services::migrated().await;
    let data = tempfile::tempdir().unwrap();
    let opened = stores::open(&urls.stores(data.path()), Arc::new(SystemClock)).await.unwrap();
    let alone = urls.stores_on_postgres_alone(data.path());
    let on_postgres_alone = stores::open(&alone, Arc::new(SystemClock)).await.unwrap();
    Servers { urls, opened, on_postgres_alone, _data: data }
}

/// A tenant of its own for each test, with look-alike content.
pub(super) struct Seeded {
    pub(super) id: String,
    pub(super) kb: Kb,
    pub(super) stores: TenantStores,
}

/// Writes something into every table, collection and label through the ports.
pub(super) async fn seed(servers: &Servers, prefix: &str) -> Seeded {
    let now = SystemClock.now();
    let id = format!("{prefix}-{}", JobId::generate(now));
    let context = TenantContext::for_tests(&id);
    let stores = servers.opened.stores.scoped(&context);
    let kb = seed_catalog(servers, &stores, &context, now).await;
    seed_content(&stores, &kb).await;
    seed_content(&servers.on_postgres_alone.stores.scoped(&context), &kb).await;
    Seeded { id, kb, stores }
}

async fn seed_content(stores: &TenantStores, kb: &Kb) {
    let name = "plan.md";
    let document = DocumentId::of_name(name);
    let documents = stores.documents();
    documents.provision().await.unwrap();
    let parsed = ParsedDocument { revision: 1, title: None, text: "Ada builds the engine.".repeat(250_000) };
    documents.parsed_put(&kb.id, &document, &parsed).await.unwrap();
    let chunk = Chunk { order: 0, tokens: 5, content: "Ada builds the engine.".into() };
    documents.staged_put(&kb.id, &document, &parsed, std::slice::from_ref(&chunk)).await.unwrap();
    documents.extractions_put(&kb.id, &document, 1, &[(0, Extraction::default())]).await.unwrap();
    let index = stores.index();
    index.provision(kb).await.unwrap();
    index.chunks_replace(kb, &document, name, &[chunk]).await.unwrap();
    index.graph_replace(kb, &document, name, &mentions(&document)).await.unwrap();
}

async fn seed_catalog(
    servers: &Servers,
    stores: &TenantStores,
    context: &TenantContext,
    now: DateTime<Utc>,
) -> Kb {
    let catalog = stores.catalog();
    let workspace = WorkspaceId::generate(
        now,
        u32::from_le_bytes(*uuid::Uuid::now_v7().as_bytes().last_chunk().unwrap()),
    );
    let new = NewTenant::new("Look-alike", "free");
    let accepted = Acceptance { tenant: Some(new), ..Acceptance::default() };
    catalog.accept(&accepted, now).await.unwrap();
    let kb = catalog.kb_ensure(&KbId::first(), "First", &workspace, now).await.unwrap();
    catalog.api_key_ensure(&api_key(), now).await.unwrap();
    catalog.member_insert(&"local:ann".parse().unwrap(), Role::Editor, None, now, None).await.unwrap();
    catalog.invitation_insert(&invitation(now), &"0".repeat(64), None, now).await.unwrap();
    catalog.accept(&acceptance(context, now), now).await.unwrap();
    // Uploaded again in another batch, which leaves a trace of the first; that one is cancelled too.
    let again = Acceptance { idempotency: None, ..acceptance_of(context, 2, now) };
    catalog.accept(&again, now).await.unwrap();
    let fault = DocumentFault { code: "cancelled".into(), detail: "a test".into() };
    catalog.batch_cancel(again.batch.unwrap(), None, &fault, now).await.unwrap();
    catalog.history_insert(&[record(now)]).await.unwrap();
    let unfinished = job(context);
    catalog.unfinished_put(&[(unfinished.id(), unfinished.wire())], now).await.unwrap();
    catalog.jobs_mark(&[JobId::generate(now)], JobMark::Cancelled, now).await.unwrap();
    catalog.job_redriven(&[JobId::generate(now)], "local:ann", now).await.unwrap();
    catalog.audit_append(&audit_entry(now)).await.unwrap();
    let list = JobId::generate(now);
    catalog.deletion_list_put(&kb.id, list, &DocumentSelection::All, now).await.unwrap();
    let schedule = NewSchedule {
        name: "nightly".into(),
        kb_id: kb.id.clone(),
        cron: "0 3 * * *".into(),
        time_zone: "UTC".into(),
        next_fire_at: now + chrono::TimeDelta::days(300),
        template: job(context),
        created_by: "local:ann".into(),
    };
    catalog.schedule_put(&schedule, &jobs::plan::Limits::default()).await.unwrap();
    seed_webhook(&catalog, context, now).await;
    reject_one(servers, context, now).await;
    kb
}

/// An endpoint, a delivery and an attempt at it.
async fn seed_webhook(catalog: &Catalog, context: &TenantContext, now: DateTime<Utc>) {
    let new = NewWebhook {
        id: WebhookId::generate(),
        url: "https://hooks.example.com/".into(),
        description: "look-alike".into(),
        events: vec![EventType::JobFailed],
        sealed_secret: "sealed".into(),
        template: job(context),
        created_by: "local:ann".into(),
    };
    catalog.webhook_insert(&new, &jobs::plan::Limits::default(), now).await.unwrap();
    let event = catalog.webhook_test(&new.id, now).await.unwrap().unwrap();
    let attempt = Attempt { at: now, duration_ms: 1, status: Some(204), error: None };
    let delivery = (&new.id, &event);
    catalog
        .webhook_attempted(delivery, JobId::generate(now), &attempt, AfterAttempt::Delivered)
        .await
        .unwrap();
}

/// Nothing in a port makes this row but the relay.
async fn reject_one(servers: &Servers, context: &TenantContext, now: DateTime<Utc>) {
    let job = job(context);
    let row = stores::OutboxRow {
        tenant_id: context.tenant_id().clone(),
        job_id: job.id(),
        wire: job.wire().to_owned(),
        accepted_at: now,
    };
    servers.opened.outbox.outbox_reject(&row, "a test", now).await.unwrap();
}

fn acceptance(context: &TenantContext, now: DateTime<Utc>) -> Acceptance {
    acceptance_of(context, 1, now)
}

fn acceptance_of(context: &TenantContext, revision: u64, now: DateTime<Utc>) -> Acceptance {
    let job = job(context);
    let name = "plan.md";
    let document = NewDocument {
        id: DocumentId::of_name(name),
        name: name.into(),
        revision,
        media_type: "text/markdown".into(),
        size_bytes: 22,
        sha256: "0".repeat(64),
        job_id: job.id(),
    };
    let idempotency = Idempotency {
        key: now.to_rfc3339(),
        fingerprint: "f".into(),
        status: 202,
        body: serde_json::json!({ "id": 1 }),
    };
    Acceptance {
        documents: Some((KbId::first(), vec![document])),
        batch: Some(BatchId::generate(now, rand::random())),
        jobs: vec![job],
        idempotency: Some(idempotency),
        ..Acceptance::default()
    }
}

fn job(context: &TenantContext) -> StampedJob {
    let keys = StampKeys::parse(&StampKeys::generate("test")).unwrap();
    let stamper = Stamper::new(keys, Arc::new(SystemClock));
    stamper.stamp(context, &ReindexKb::default(), EnqueueOptions::default()).unwrap()
}

fn invitation(now: DateTime<Utc>) -> Invitation {
    Invitation {
        id: uuid::Uuid::now_v7(),
        subject: "bob".parse().unwrap(),
        role: Role::Viewer,
        created_by: "local:ann".into(),
        created_at: now,
        expires_at: now + chrono::TimeDelta::days(1),
    }
}

fn audit_entry(now: DateTime<Utc>) -> AuditEntry {
    AuditEntry {
        id: AuditEntry::id_at(now),
        at: now,
        actor: "local:ann".into(),
        action: "flow_pause".into(),
        target: [].into(),
        reason: None,
        request_id: "r-1".into(),
        status: Some(200),
    }
}

fn api_key() -> NewApiKey {
    NewApiKey {
        id: "abcd1234".parse().unwrap(),
        name: "First".into(),
        secret_sha256: "0".repeat(64),
        role: Role::Admin,
        kb_id: None,
        permissions: None,
        created_by: None,
        expires_at: None,
    }
}

fn record(now: DateTime<Utc>) -> JobRecord {
    JobRecord {
        parent: None,
        batch: None,
        trace_id: None,
        id: JobId::generate(now),
        kind: "kb.reindex".into(),
        kb: None,
        queue: "maintenance".into(),
        state: "completed".into(),
        attempts: 1,
        error: None,
        created_at: now,
        started_at: Some(now),
        finished_at: now,
    }
}

pub(super) fn mentions(document: &DocumentId) -> Vec<Mention> {
    let entity = |name: &str| Mention {
        kind: MentionKind::Entity { name: name.into(), entity_type: "person".into() },
        chunk_id: document.chunk_id(0),
        description: format!("{name} builds."),
    };
    let relation = Mention {
        kind: MentionKind::Relation {
            source: "Ada".into(),
            target: "Engine".into(),
            keywords: vec!["builds".into()],
            weight: 1.0,
        },
        chunk_id: document.chunk_id(0),
        description: "Ada builds the engine.".into(),
    };
    vec![entity("Ada"), entity("Engine"), relation]
}

//! Two tenants with similar ids, and test data for them.

use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound as _, Utc};
use jobs::clock::{Clock as _, SystemClock};
use jobs::envelope::{EnqueueOptions, StampKeys, StampedJob, Stamper};
use jobs::plan::Limits;
use jobs::tenant::{KbId, TenantContext, TenantId};
use jobs::types::IngestDocument;
use jobs::{DocumentId, JobId};

use crate::model::{Acceptance, Accepted, Kb, NewDocument, NewTenant, UploadQuestion, WorkspaceId};
use crate::{Opened, TenantStores};

/// One tenant, provisioned with a knowledge base.
pub(super) struct Party {
    pub(super) context: TenantContext,
    pub(super) stores: TenantStores,
    pub(super) kb: Kb,
    stamper: Stamper,
}

/// Two tenants; the id of one is a prefix of the other's.
pub(super) struct Pair {
    pub(super) acme: Party,
    pub(super) twin: Party,
    pub(super) now: DateTime<Utc>,
}

impl Pair {
    pub(super) async fn new(opened: &Opened) -> Self {
        let now = now();
        let (acme, twin) = ids(now);
        let acme = Party::new(opened, &acme, now).await;
        Self { acme, twin: Party::new(opened, &twin, now).await, now }
    }
}

/// Now, truncated to the precision that every store keeps.
pub(super) fn now() -> DateTime<Utc> {
    SystemClock.now().trunc_subsecs(6)
}

/// Two unused tenant ids.
pub(super) fn ids(now: DateTime<Utc>) -> (String, String) {
    let unique = JobId::generate(now).to_string();
    let tail = unique.rsplit('-').next().unwrap();
    (format!("acme-{tail}"), format!("acme-{tail}-2"))
}

/// An unused workspace id.
pub(super) fn workspace(now: DateTime<Utc>) -> WorkspaceId {
    let unique = JobId::generate(now).to_string();
    let random = u32::from_str_radix(&unique[unique.len() - 8..], 16).unwrap();
    WorkspaceId::generate(now, random)
}

impl Party {
    async fn new(opened: &Opened, tenant: &str, now: DateTime<Utc>) -> Self {
        let context = TenantContext::for_tests(tenant);
        let stores = opened.stores.scoped(&context);
        let new = NewTenant::new("Acme", "free");
        let acceptance = Acceptance { tenant: Some(new), ..Acceptance::default() };
        assert_eq!(stores.catalog().accept(&acceptance, now).await.unwrap(), Accepted::New);
        let keys = StampKeys::parse(&StampKeys::generate("test")).unwrap();
        let stamper = Stamper::new(keys, std::sync::Arc::new(SystemClock));
        let kb = provision(&stores, &KbId::first(), now).await;
        Self { context, stores, kb, stamper }
    }

    pub(super) fn id(&self) -> &TenantId {
        self.context.tenant_id()
    }

    /// One more knowledge base of the same tenant.
    pub(super) async fn kb_new(&self, id: &str) -> Kb {
        provision(&self.stores, &id.parse().unwrap(), now()).await
    }

    /// A job of this tenant.
    pub(super) fn job(&self) -> StampedJob {
        let job = IngestDocument { document_id: DocumentId::of_name("a.md"), revision: 1 };
        self.stamper.stamp(&self.context, &job, EnqueueOptions::default()).unwrap()
    }

    /// Registers documents.
    pub(super) async fn register(&self, documents: Vec<NewDocument>, now: DateTime<Utc>) -> Accepted {
        let documents = Some((self.kb.id.clone(), documents));
        let acceptance = Acceptance { documents, ..Acceptance::default() };
        self.stores.catalog().accept(&acceptance, now).await.unwrap()
    }

    /// The revision on which the next upload of a document builds.
    pub(super) async fn last_revision(&self, kb: &KbId, id: &DocumentId) -> u64 {
        let documents = std::slice::from_ref(id);
        let asked = UploadQuestion { kb, documents, key: None, batch: None, limits: &Limits::default() };
        self.stores.catalog().upload_view(&asked, now()).await.unwrap().documents[0].revision
    }

    /// The jobs of this tenant that are in the outbox.
    pub(super) async fn outbox(&self, opened: &Opened) -> Vec<JobId> {
        let later = now() + chrono::TimeDelta::hours(1);
        let rows = opened.outbox.outbox_due(later, Duration::ZERO, None, 10_000).await.unwrap();
        rows.into_iter().filter(|row| row.tenant_id == *self.id()).map(|row| row.job_id).collect()
    }
}

async fn provision(stores: &TenantStores, id: &KbId, now: DateTime<Utc>) -> Kb {
    let kb = stores.catalog().kb_ensure(id, "Papers", &workspace(now), now).await.unwrap();
    stores.documents().provision().await.unwrap();
    stores.index().provision(&kb).await.unwrap();
    kb
}

/// A document to register.
pub(super) fn upload(name: &str, revision: u64, now: DateTime<Utc>) -> NewDocument {
    NewDocument {
        id: DocumentId::of_name(name),
        name: name.to_owned(),
        revision,
        media_type: "text/markdown".into(),
        size_bytes: 5_000_000_000 + revision,
        sha256: format!("{revision:064x}"),
        job_id: JobId::generate(now),
    }
}

const WAIT_LIMIT: Duration = Duration::from_secs(30);
const WAIT_STEP: Duration = Duration::from_millis(20);

/// Polls until the answer is yes.
pub(super) async fn wait_until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let start = Instant::now();
    while !ask().await {
        assert!(start.elapsed() < WAIT_LIMIT, "still not so after {WAIT_LIMIT:?}: {what}");
        tokio::time::sleep(WAIT_STEP).await;
    }
}

//! A redriven dead letter continues its work to the end, for every job type.

use std::sync::{Arc, Mutex};

use jobs::clock::Clock as _;
use jobs::envelope::EnqueueOptions;
use jobs::queue::{Kept, Redriven};
use jobs::tenant::{Authenticated, KbId, TenantContext, TenantStatus};
use jobs::types::{
    BuildGraph, DeleteDocument, DeleteDocuments, DeleteKb, DeprovisionTenant, ExtractEntities, FirstApiKey,
    IngestDocument, ProvisionTenant, ReindexKb,
};
use jobs::{DocumentId, Job, JobError, JobId};
use sha2::{Digest as _, Sha256};
use stores::TenantStores;
use stores::model::{
    Acceptance, Accepted, Document, DocumentSelection, DocumentStatus, GraphCounts, NewDocument,
};
use tests::bed::Snapshot;
use tests::holdings::last_revision;
use tests::texts;
use worker::TestBench;
use worker::layer::{JobRequest, Next, from_fn};

const NAME: &str = "heron.md";

/// The part that fails for now.
#[derive(Clone, Copy)]
enum Broken {
    Nothing,
    /// Jobs of a type.
    Type(&'static str),
    /// Jobs of a type that were never redriven.
    Fresh(&'static str),
}

impl Broken {
    fn breaks(self, request: &JobRequest) -> bool {
        match self {
            Self::Nothing => false,
            Self::Type(kind) => request.kind() == kind,
            Self::Fresh(kind) => request.kind() == kind && !request.was_redriven(),
        }
    }
}

struct Site {
    bench: TestBench,
    broken: Arc<Mutex<Broken>>,
}

impl Site {
    async fn start() -> Self {
        let broken = Arc::new(Mutex::new(Broken::Nothing));
        let now = Arc::clone(&broken);
        let layer = from_fn(move |request: JobRequest, next: Next| {
            let breaks = now.lock().unwrap().breaks(&request);
            async move {
                if breaks {
                    return Err(JobError::fail("out_of_order", "told to"));
                }
                next.run(request).await
            }
        });
        let bench = TestBench::start(|worker| {
            let worker = ingest::equip(worker, &ingest::ExtractionSettings::default());
            worker.unwrap().layer(layer)
        })
        .await;
        Self { bench, broken }
    }

    fn set(&self, broken: Broken) {
        *self.broken.lock().unwrap() = broken;
    }

    fn stores(&self, tenant: &TenantContext) -> TenantStores {
        self.bench.opened().stores.scoped(tenant)
    }

    /// A tenant whose documents have more chunks than one extraction job takes.
    async fn tenant(&self, id: &str) -> TenantContext {
        let tenant = self.bench.tenant(id).await;
        let catalog = self.stores(&tenant).catalog();
        let (mut settings, revision) = catalog.rag_settings().await.unwrap().unwrap();
        (settings.chunk_size_tokens, settings.chunk_overlap_tokens) = (100, 0);
        assert!(catalog.rag_settings_put(&settings, revision).await.unwrap());
        tenant
    }

    /// Registers a document, stores its original and enqueues its job, as the API does.
    async fn upload(&self, tenant: &TenantContext, text: String) {
        let (stores, kb, id) = (self.stores(tenant), KbId::first(), DocumentId::of_name(NAME));
        let now = self.bench.clock().now();
        let (revision, job_id) = (last_revision(&stores, &kb, &id).await + 1, JobId::generate(now));
        let new = NewDocument {
            id: id.clone(),
            name: NAME.to_owned(),
            revision,
            media_type: "text/markdown".to_owned(),
            size_bytes: text.len() as u64,
            sha256: hex::encode(Sha256::digest(&text)),
            job_id,
        };
        stores.blobs().original_put(&kb, &id, &new.sha256, text.into_bytes().into()).await.unwrap();
        let acceptance = Acceptance { documents: Some((kb, vec![new])), ..Acceptance::default() };
        assert_eq!(stores.catalog().accept(&acceptance, now).await.unwrap(), Accepted::New);
        let options = EnqueueOptions { id: Some(job_id), ..EnqueueOptions::default() };
        self.bench.enqueue_with(tenant, &IngestDocument { document_id: id, revision }, options).await;
        self.bench.run_to_the_end().await;
    }

    async fn enqueue<J: Job>(&self, tenant: &TenantContext, job: &J) -> JobId {
        let id = self.bench.enqueue(tenant, job).await;
        self.bench.run_to_the_end().await;
        id
    }

    async fn document(&self, tenant: &TenantContext) -> Option<Document> {
        let id = DocumentId::of_name(NAME);
        self.stores(tenant).catalog().document(&KbId::first(), &id).await.unwrap()
    }

    async fn snapshot(&self, tenant: &TenantContext) -> Snapshot {
        Snapshot::of(&self.bench.opened().stores, tenant.tenant_id().as_str()).await
    }

    fn dead(&self, tenant: &TenantContext) -> Vec<JobId> {
        let kept = self.bench.queue().kept(tenant.tenant_id(), Kept::Discarded, 1_000);
        kept.into_iter().map(|kept| kept.id).collect()
    }

    /// Starts dead letters again together and lets everything run.
    async fn redrive(&self, tenant: &TenantContext, ids: &[JobId]) {
        for id in ids {
            assert_eq!(self.bench.queue().redrive(tenant.tenant_id(), *id), Redriven::Started);
        }
        self.bench.run_to_the_end().await;
    }

    /// How a job ended, and why it had nothing to do if it had not.
    async fn ended(&self, tenant: &TenantContext, id: JobId) -> (String, Option<String>) {
        let record = self.stores(tenant).catalog().history(id).await.unwrap().unwrap();
        (record.state, record.error.map(|(code, _)| code))
    }

    /// What the knowledge base holds of a tenant for which everything works.
    async fn expected(&self, text: String) -> Snapshot {
        let other = self.tenant("works").await;
        self.upload(&other, text).await;
        self.snapshot(&other).await
    }

    async fn assert_failed(&self, tenant: &TenantContext) {
        let document = self.document(tenant).await.unwrap();
        assert_eq!(document.status, DocumentStatus::Failed);
        assert_eq!(document.fault.unwrap().code, "out_of_order");
    }
}

fn completed() -> (String, Option<String>) {
    ("completed".to_owned(), None)
}

fn nothing_to_do() -> (String, Option<String>) {
    ("completed".to_owned(), Some("nothing_to_do".to_owned()))
}

#[tokio::test]
async fn every_step_of_a_document_goes_on_to_the_end() {
    for kind in [IngestDocument::TYPE, ExtractEntities::TYPE, BuildGraph::TYPE] {
        let site = Site::start().await;
        let expected = site.expected(texts::long("Bluebird")).await;
        let (acme, twin) = (site.tenant("acme").await, site.tenant("acme-2").await);
        site.set(Broken::Type(kind));
        for tenant in [&acme, &twin] {
            site.upload(tenant, texts::long("Bluebird")).await;
            site.assert_failed(tenant).await;
        }
        let (dead, untouched) = (site.dead(&acme), site.snapshot(&twin).await);
        assert_eq!(dead.len() > 1, kind == ExtractEntities::TYPE, "{kind}: {dead:?}");

        site.redrive(&acme, &dead).await;
        site.assert_failed(&acme).await;
        assert_eq!(site.dead(&acme).len(), dead.len(), "{kind}: the cause is there still");

        site.set(Broken::Nothing);
        site.redrive(&acme, &dead).await;
        assert_eq!(site.snapshot(&acme).await, expected, "{kind}");
        assert_eq!(site.dead(&acme), [], "{kind}");
        for id in &dead {
            assert_eq!(site.ended(&acme, *id).await.0, "completed", "{kind}");
            assert_eq!(site.bench.queue().redrive(acme.tenant_id(), *id), Redriven::NotFound, "{kind}");
        }
        assert_eq!(site.snapshot(&twin).await, untouched, "{kind}");
    }
}

#[tokio::test]
async fn one_extraction_started_again_brings_its_document_to_the_end() {
    let site = Site::start().await;
    let expected = site.expected(texts::long("Bluebird")).await;
    let acme = site.tenant("acme").await;
    site.set(Broken::Type(ExtractEntities::TYPE));
    site.upload(&acme, texts::long("Bluebird")).await;
    site.set(Broken::Nothing);
    let dead = site.dead(&acme);
    site.redrive(&acme, &dead[..1]).await;
    assert_eq!(site.snapshot(&acme).await, expected);
    assert_eq!(site.ended(&acme, dead[0]).await, completed());
    for id in &dead[1..] {
        site.redrive(&acme, &[*id]).await;
        assert_eq!(site.ended(&acme, *id).await, nothing_to_do());
    }
    assert_eq!((site.snapshot(&acme).await, site.dead(&acme)), (expected, vec![]));
}

/// A job that it enqueued fails: the document shows that, and redriving that job continues the work.
#[tokio::test]
async fn a_chain_that_fails_again_can_be_started_again() {
    let site = Site::start().await;
    let expected = site.expected(texts::long("Bluebird")).await;
    let acme = site.tenant("acme").await;
    site.set(Broken::Fresh(ExtractEntities::TYPE));
    site.upload(&acme, texts::long("Bluebird")).await;
    let first = site.dead(&acme);
    site.redrive(&acme, &first).await;
    site.assert_failed(&acme).await;
    let second = site.dead(&acme);
    assert_eq!(second.len(), first.len());
    assert!(second.iter().all(|id| !first.contains(id)), "one of them went on with all chunks");
    site.set(Broken::Fresh(BuildGraph::TYPE));
    site.redrive(&acme, &second).await;
    site.assert_failed(&acme).await;
    site.set(Broken::Nothing);
    let third = site.dead(&acme);
    assert_eq!(third.len(), 1);
    site.redrive(&acme, &third).await;
    assert_eq!((site.snapshot(&acme).await, site.dead(&acme)), (expected, vec![]));
}

#[tokio::test]
async fn what_makes_no_sense_any_more_completes_and_says_so() {
    for kind in [IngestDocument::TYPE, ExtractEntities::TYPE, BuildGraph::TYPE] {
        for step in ["replaced", "reindexed", "deleted"] {
            let site = Site::start().await;
            let acme = site.tenant("acme").await;
            site.set(Broken::Type(kind));
            site.upload(&acme, texts::long("Bluebird")).await;
            site.set(Broken::Nothing);
            let delete = DeleteDocument { document_id: DocumentId::of_name(NAME), revision: 1 };
            match step {
                "replaced" => site.upload(&acme, texts::short("Nightjar")).await,
                "reindexed" => drop(site.enqueue(&acme, &ReindexKb::default()).await),
                _ => drop(site.enqueue(&acme, &delete).await),
            }
            let (before, dead) = (site.snapshot(&acme).await, site.dead(&acme));
            assert_eq!(before.documents.is_empty(), step == "deleted");
            site.redrive(&acme, &dead).await;
            for id in &dead {
                assert_eq!(site.ended(&acme, *id).await, nothing_to_do(), "{kind}, {step}");
            }
            assert_eq!((site.snapshot(&acme).await, site.dead(&acme)), (before, vec![]), "{kind}, {step}");
        }
    }
}

#[tokio::test]
async fn deletions_and_reindexes_go_on_where_they_stopped() {
    let site = Site::start().await;
    let (acme, twin) = (site.tenant("acme").await, site.tenant("acme-2").await);
    for tenant in [&acme, &twin] {
        site.upload(tenant, texts::long("Bluebird")).await;
    }
    let untouched = site.snapshot(&twin).await;
    let redriven = async |kind: &'static str, id: JobId| {
        assert_eq!(site.dead(&acme), [id], "{kind}");
        site.set(Broken::Nothing);
        site.redrive(&acme, &[id]).await;
        assert_eq!((site.ended(&acme, id).await, site.dead(&acme)), (completed(), vec![]), "{kind}");
    };

    site.set(Broken::Type(ReindexKb::TYPE));
    let job = site.enqueue(&acme, &ReindexKb::default()).await;
    let before = (site.document(&acme).await.unwrap(), site.snapshot(&acme).await);
    redriven(ReindexKb::TYPE, job).await;
    let after = (site.document(&acme).await.unwrap(), site.snapshot(&acme).await);
    assert_eq!((after.0.status, &after.1), (DocumentStatus::Processed, &before.1));
    assert_ne!(after.0.job_id, before.0.job_id, "it was read once more");

    site.set(Broken::Type(DeleteDocument::TYPE));
    let delete = DeleteDocument { document_id: DocumentId::of_name(NAME), revision: 1 };
    let job = site.enqueue(&acme, &delete).await;
    redriven(DeleteDocument::TYPE, job).await;
    assert!(site.snapshot(&acme).await.documents.is_empty());

    site.upload(&acme, texts::long("Bluebird")).await;
    site.set(Broken::Type(DeleteDocuments::TYPE));
    let (list, now) = (JobId::generate(site.bench.clock().now()), site.bench.clock().now());
    let catalog = site.stores(&acme).catalog();
    catalog.deletion_list_put(&KbId::first(), list, &DocumentSelection::All, now).await.unwrap();
    let job = site.enqueue(&acme, &DeleteDocuments { list }).await;
    assert_eq!(site.snapshot(&acme).await.documents.len(), 1);
    redriven(DeleteDocuments::TYPE, job).await;
    assert!(site.snapshot(&acme).await.documents.is_empty());

    site.set(Broken::Type(DeleteKb::TYPE));
    let catalog = site.stores(&acme).catalog();
    let close = Acceptance { kb_close: Some(KbId::first()), ..Acceptance::default() };
    assert_eq!(catalog.accept(&close, site.bench.clock().now()).await.unwrap(), Accepted::New);
    let job = site.enqueue(&acme, &DeleteKb {}).await;
    redriven(DeleteKb::TYPE, job).await;
    assert_eq!(site.stores(&acme).lifecycle().kb_closed(&KbId::first()).await.unwrap(), None);
    assert_eq!(site.snapshot(&twin).await, untouched);
}

/// The same authority over the tenant since it was closed under `epoch`.
#[expect(clippy::disallowed_methods, reason = "a test stands in for the API")]
fn at_epoch(tenant: &TenantContext, epoch: u64) -> TenantContext {
    TenantContext::for_request(Authenticated {
        tenant_id: tenant.tenant_id().clone(),
        epoch,
        kb_id: None,
        actor: tenant.actor().clone(),
        role: tenant.role(),
        permissions: tenant.permissions(),
    })
}

/// The deletion fails before it begins and once more half-way; redriven, it goes on to the end.
#[tokio::test]
async fn a_tenant_whose_deletion_stopped_is_deleted() {
    let site = Site::start().await;
    let (acme, twin) = (site.tenant("acme").await, site.tenant("acme-2").await);
    for tenant in [&acme, &twin] {
        site.upload(tenant, texts::long("Bluebird")).await;
    }
    let untouched = site.snapshot(&twin).await;
    let (stores, kb) = (site.stores(&acme), KbId::first());
    let found = stores.catalog().kb(&kb).await.unwrap().unwrap();
    let epoch = stores.lifecycle().tenant_close().await.unwrap().unwrap();
    let closed = at_epoch(&acme, epoch);
    site.set(Broken::Type(DeprovisionTenant::TYPE));
    let job = site.enqueue(&closed, &DeprovisionTenant::default()).await;
    assert_eq!(site.dead(&acme), [job]);
    stores.documents().kb_forget(&kb).await.unwrap();
    site.redrive(&acme, &[job]).await;
    assert_eq!(site.dead(&acme), [job], "the cause is there still");
    assert_ne!(stores.index().counts(&found).await.unwrap(), GraphCounts::default());

    site.set(Broken::Nothing);
    site.redrive(&acme, &[job]).await;
    assert_eq!(site.dead(&acme), []);
    assert_eq!(stores.catalog().tenant().await.unwrap(), None);
    assert_eq!(stores.lifecycle().tenant_kbs().await.unwrap(), []);
    assert_eq!(stores.index().counts(&found).await.unwrap(), GraphCounts::default());
    assert_eq!(stores.blobs().originals(&kb, &DocumentId::of_name(NAME)).await.unwrap(), []);
    assert_eq!(site.snapshot(&twin).await, untouched);
    assert_eq!(site.bench.queue().redrive(acme.tenant_id(), job), Redriven::NotFound);
}

#[tokio::test]
async fn a_tenant_that_was_not_prepared_is_prepared_and_active() {
    let site = Site::start().await;
    let acme = site.tenant("acme").await;
    let catalog = site.stores(&acme).catalog();
    assert!(catalog.tenant_status_move(TenantStatus::Active, TenantStatus::Provisioning).await.unwrap());
    let api_key = FirstApiKey { id: "firstkey".parse().unwrap(), secret_sha256: "0".repeat(64) };
    site.set(Broken::Type(ProvisionTenant::TYPE));
    let job = site.enqueue(&acme, &ProvisionTenant { api_key }).await;
    assert_eq!(site.dead(&acme), [job]);
    site.set(Broken::Nothing);
    site.redrive(&acme, &[job]).await;
    assert_eq!((site.ended(&acme, job).await, site.dead(&acme)), (completed(), vec![]));
    assert_eq!(catalog.tenant().await.unwrap().unwrap().status, TenantStatus::Active);
}

//! Turns inside a tenant: a person's upload beside a reindex, one knowledge base beside the backlog of another.

use std::sync::{Arc, Mutex};

use jobs::clock::Clock as _;
use jobs::envelope::EnqueueOptions;
use jobs::tenant::{KbId, TenantContext};
use jobs::types::{ExtractEntities, IngestDocument, ReindexKb};
use jobs::{DocumentId, Enqueuer, Job, JobId, Lane};
use sha2::{Digest as _, Sha256};
use stores::model::{Acceptance, Accepted, NewDocument};
use worker::TestBench;
use worker::layer::{JobRequest, Next, from_fn};

/// What ran, in its order, and what a person does meanwhile.
#[derive(Default)]
struct Runs {
    ran: Vec<(&'static str, JobId, Lane)>,
    /// Enqueued when so many jobs have run.
    meanwhile: Option<(usize, Enqueuer, TenantContext, IngestDocument)>,
}

struct Site {
    bench: TestBench,
    runs: Arc<Mutex<Runs>>,
}

impl Site {
    async fn start() -> Self {
        let runs = Arc::<Mutex<Runs>>::default();
        let seen = Arc::clone(&runs);
        let layer = from_fn(move |request: JobRequest, next: Next| {
            let due = {
                let mut runs = seen.lock().unwrap();
                runs.ran.push((request.kind(), request.job_id(), request.envelope().meta.lane));
                let count = runs.ran.len();
                runs.meanwhile.take_if(|(at, ..)| *at == count)
            };
            async move {
                if let Some((_, enqueuer, person, job)) = due {
                    enqueuer.enqueue(&person, &job).await.unwrap();
                }
                next.run(request).await
            }
        });
        let bench = TestBench::start(|worker| {
            let worker = ingest::equip(worker, &ingest::ExtractionSettings::default());
            worker.unwrap().layer(layer)
        })
        .await;
        Self { bench, runs }
    }

    /// Registers documents and stores their originals, as the API does.
    async fn register(&self, tenant: &TenantContext, names: &[String]) -> Vec<IngestDocument> {
        let stores = self.bench.opened().stores.scoped(tenant);
        let (kb, now) = (KbId::first(), self.bench.clock().now());
        let (mut documents, mut jobs) = (Vec::new(), Vec::new());
        for name in names {
            let (id, text) = (DocumentId::of_name(name), format!("{name} is about the Bluebird."));
            let sha256 = hex::encode(Sha256::digest(&text));
            let size_bytes = text.len() as u64;
            stores.blobs().original_put(&kb, &id, &sha256, text.into_bytes().into()).await.unwrap();
            jobs.push(IngestDocument { document_id: id.clone(), revision: 1 });
            let (job_id, media_type) = (JobId::generate(now), "text/markdown".to_owned());
            documents.push(NewDocument {
                id,
                name: name.clone(),
                revision: 1,
                media_type,
                size_bytes,
                sha256,
                job_id,
            });
        }
        let acceptance = Acceptance { documents: Some((kb, documents)), ..Acceptance::default() };
        assert_eq!(stores.catalog().accept(&acceptance, now).await.unwrap(), Accepted::New);
        jobs
    }
}

#[tokio::test]
async fn a_persons_upload_beside_a_reindex_starts_within_a_few_jobs() {
    let site = Site::start().await;
    let acme = site.bench.tenant("acme").await;
    let names: Vec<_> = (0..40).map(|number| format!("{number}.md")).collect();
    let documents = site.register(&acme, &names).await;
    let upload = (10, site.bench.enqueuer(), acme.clone(), documents[39].clone());
    site.runs.lock().unwrap().meanwhile = Some(upload);
    site.bench.enqueue(&acme, &ReindexKb::default()).await;
    site.bench.run_until_empty().await;
    let ran = std::mem::take(&mut site.runs.lock().unwrap().ran);
    let first = ran.iter().position(|(_, _, lane)| *lane == Lane::Interactive).unwrap();
    assert!((10..=12).contains(&first), "it started as number {first}: {ran:?}");
    let of_person: Vec<_> = ran.iter().filter(|(_, _, lane)| *lane == Lane::Interactive).collect();
    assert!(of_person.iter().any(|(kind, ..)| *kind == ExtractEntities::TYPE), "its children have its lane");
    let of_reindex = |kind| ran.iter().filter(|(is, _, lane)| *is == kind && *lane == Lane::Bulk).count();
    assert_eq!((of_reindex(ReindexKb::TYPE), of_reindex(IngestDocument::TYPE)), (1, 40), "{ran:?}");
    assert!(of_reindex(ExtractEntities::TYPE) >= 40);
}

#[tokio::test]
async fn a_redriven_job_of_bulk_stays_one() {
    let site = Site::start().await;
    let acme = site.bench.tenant("acme").await;
    let documents = site.register(&acme, &["gone.md".to_owned()]).await;
    let options = EnqueueOptions { lane: Some(Lane::Bulk), ..EnqueueOptions::default() };
    let id = site.bench.enqueue_with(&acme, &documents[0], options).await;
    for _ in 0..3 {
        site.bench.crash().await;
    }
    assert_eq!(site.bench.queue().lookup(acme.tenant_id(), id).unwrap().state.as_str(), "quarantined");
    site.bench.queue().redrive(acme.tenant_id(), id);
    site.bench.run_to_the_end().await;
    let ran = std::mem::take(&mut site.runs.lock().unwrap().ran);
    assert!(
        ran.iter().any(|(_, run, _)| *run == id) && ran.iter().all(|(.., lane)| *lane == Lane::Bulk),
        "{ran:?}"
    );
}

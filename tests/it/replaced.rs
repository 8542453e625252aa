//! A replacement takes the place of what is served when it is whole: one that fails, is cancelled or is interrupted
//! leaves the version before as it was, and the document says which revision is served.

use jobs::DocumentId;
use jobs::tenant::{KbId, TenantContext};
use reqwest::Method;
use serde_json::{Value, json};
use stores::model::{Chunk, IndexContent, Mention, MentionKind};
use tests::bed::{Bed, Snapshot, TestTenant, postgres_alone, send, servers};
use tests::program::Program;
use tests::texts;
use tests::wait::wait_for;

const NAME: &str = "board.md";
const OLD: &str = "Nora Lindqvist chairs the board of Fennwick Ltd in Oslo.";
const NEW: &str = "Tomas Berg chairs the board of Borealis Freight in Bergen.";

/// What queries see of a knowledge base with one document: text, chunks, graph and how much of it there is.
async fn served(bed: &Bed, tenant: &TestTenant) -> impl PartialEq + std::fmt::Debug + use<> {
    let Snapshot { mut documents, entities, relations } = Snapshot::of(bed.stores(), &tenant.id).await;
    let document = documents.remove(0);
    let chunks = tenant.http.get(&tenant.kb(&format!("documents/{}/chunks", document.id))).await;
    let graph = tenant.http.get(&tenant.kb("graph")).await;
    let counts = json!(document.counts);
    (document.text, document.chunks, (entities, relations), (chunks.body, graph.body, counts))
}

async fn queue(tenant: &TestTenant, name: &str, what: &str) {
    let path = format!("/api/v1/tenants/{}/queues/{name}/{what}", tenant.id);
    let answer = tenant.http.post(&path, &json!({})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn jobs(tenant: &TestTenant, kind: &str) -> Vec<String> {
    let path = format!("/api/v1/tenants/{}/jobs?type={kind}", tenant.id);
    let jobs = tenant.http.get(&path).await.body["jobs"].clone();
    let id = |job: &Value| job["id"].as_str().unwrap().to_owned();
    jobs.as_array().unwrap().iter().map(id).collect()
}

/// Uploads `text` in place of what is there, and waits until its extraction waits in a paused queue.
async fn replacing(tenant: &TestTenant, text: &str) -> Vec<String> {
    queue(tenant, "enrich", "pause").await;
    assert_eq!(tenant.upload(NAME, text).await.status, 202);
    wait_for("the new text to be read", async || {
        let found = jobs(tenant, "entities.extract").await;
        if found.is_empty() { Err(tenant.document(NAME).await) } else { Ok(found) }
    })
    .await
}

/// The document failed, and says that revision 1 is served.
fn assert_still_served(document: &Value, code: &str, revision: u64) {
    assert_eq!(
        (&document["status"], &document["error"]["code"]),
        (&json!("failed"), &json!(code)),
        "{document}"
    );
    assert_eq!(
        (&document["revision"], &document["served_revision"]),
        (&json!(revision), &json!(1)),
        "{document}"
    );
    let detail = document["error"]["detail"].as_str().unwrap();
    assert!(detail.contains("revision 1 is still served") && detail.contains("upload"), "{detail}");
}

async fn cancelled_failed_and_replaced(bed: &Bed) {
    let (acme, twin) = bed.look_alikes().await;
    for tenant in [&acme, &twin] {
        tenant.ingest(NAME, OLD).await;
    }
    let (before, of_twin) = (served(bed, &acme).await, served(bed, &twin).await);

    // While it waits, and when one of its jobs is cancelled.
    let extractions = replacing(&acme, NEW).await;
    let document = acme.document(NAME).await.body;
    assert_eq!((&document["status"], &document["served_revision"]), (&json!("processing"), &json!(1)));
    assert_eq!(served(bed, &acme).await, before, "while the new revision is made");
    let path = format!("/api/v1/tenants/{}/jobs/{}", acme.id, extractions[0]);
    assert_eq!(send(acme.http.request(Method::DELETE, &path)).await.status, 202);
    queue(&acme, "enrich", "resume").await;
    bed.run_until_empty(&acme).await;
    assert_still_served(&acme.settled(NAME).await, "cancelled", 2);
    assert_eq!(served(bed, &acme).await, before, "after it was cancelled");

    // When it fails for good.
    assert_eq!(acme.upload(NAME, "<!-- nothing yet -->").await.status, 202);
    bed.run_until_empty(&acme).await;
    assert_still_served(&acme.settled(NAME).await, "empty_document", 3);
    assert_eq!(served(bed, &acme).await, before, "after it failed");
    let originals = async || {
        let stores = bed.stores().scoped(&TenantContext::for_tests(&acme.id));
        let stored = stores.blobs().originals(&KbId::first(), &DocumentId::of_name(NAME)).await.unwrap();
        stored.len()
    };
    wait_for("the originals of what is served and of the newest", async || {
        let count = originals().await;
        if count == 2 { Ok(()) } else { Err(count) }
    })
    .await;

    // One that is whole takes its place, and nothing of the others is left.
    assert_eq!(acme.upload(NAME, NEW).await.status, 202);
    bed.run_until_empty(&acme).await;
    let document = acme.settled(NAME).await;
    assert_eq!((&document["status"], &document["served_revision"]), (&json!("processed"), &json!(4)));
    assert_eq!(originals().await, 1);
    assert_eq!(served(bed, &twin).await, of_twin);
    twin.ingest(NAME, NEW).await;
    assert_eq!(served(bed, &acme).await, served(bed, &twin).await);
    let used = async |tenant: &TestTenant| {
        tenant.http.get(&format!("/api/v1/tenants/{}/usage", tenant.id)).await.body["storage_bytes"].clone()
    };
    assert_eq!(used(&acme).await, used(&twin).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_become_whole_leaves_the_old_version_served() {
    let (embedded, (alone, database)) = (Bed::embedded().await, postgres_alone().await);
    tokio::join!(
        cancelled_failed_and_replaced(&embedded),
        cancelled_failed_and_replaced(&alone),
        cancelled_failed_and_replaced(servers().await)
    );
    drop(alone);
    database.drop().await;
}

/// A reindex tries the newest revision again; what is served stays until that is whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_reindex_after_a_failed_replacement_is_of_the_newest_revision() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    acme.ingest(NAME, OLD).await;
    let before = served(&bed, &acme).await;
    let reindex = async || {
        assert_eq!(acme.http.post(&acme.kb("reindex"), &json!({})).await.status, 202);
        bed.run_until_empty(&acme).await;
        acme.settled(NAME).await
    };
    assert_eq!(reindex().await["status"], "processed");
    assert_eq!(served(&bed, &acme).await, before, "of what is served");

    let extractions = replacing(&acme, NEW).await;
    let path = format!("/api/v1/tenants/{}/jobs/{}", acme.id, extractions[0]);
    assert_eq!(send(acme.http.request(Method::DELETE, &path)).await.status, 202);
    queue(&acme, "enrich", "resume").await;
    bed.run_until_empty(&acme).await;
    assert_still_served(&acme.settled(NAME).await, "cancelled", 2);
    let document = reindex().await;
    assert_eq!((&document["status"], &document["served_revision"]), (&json!("processed"), &json!(2)));
    twin.ingest(NAME, NEW).await;
    assert_eq!(served(&bed, &acme).await, served(&bed, &twin).await);
}

/// Goal: a worker that dies between two of the writes that put a revision into its place leaves nothing half-done.
/// Method: make the writes up to there by hand while the jobs wait, each with something that only a repetition
/// corrects, and let the jobs go on.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_interrupted_between_its_writes_becomes_whole() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    twin.ingest(NAME, NEW).await;
    let expected = served(&bed, &twin).await;
    let stores = bed.stores().scoped(&TenantContext::for_tests(&acme.id));
    let kb = stores.catalog().kb(&KbId::first()).await.unwrap().unwrap();
    let id = DocumentId::of_name(NAME);
    for (round, writes) in [0, 1, 2].into_iter().enumerate() {
        acme.ingest(NAME, OLD).await;
        let revision = 2 * (round as u64 + 1);
        replacing(&acme, NEW).await;
        if writes > 0 {
            let chunk = Chunk { order: 0, tokens: 1, content: "half".into() };
            let kind = MentionKind::Entity { name: "Half".into(), entity_type: "thing".into() };
            let mention = Mention { kind, chunk_id: id.chunk_id(0), description: "half".into() };
            let content = IndexContent {
                document: &id,
                name: NAME,
                revision,
                chunks: Some(std::slice::from_ref(&chunk)),
                mentions: std::slice::from_ref(&mention),
            };
            stores.index().document_replace(&kb, &content, &jobs::plan::Limits::default()).await.unwrap();
            let document = acme.document(NAME).await.body;
            assert_eq!(document["served_revision"], json!(revision), "{document}");
            assert_eq!(
                document["counts"],
                json!({ "chunks": 1, "entities": 1, "relations": 0 }),
                "{document}"
            );
        }
        if writes > 1 {
            assert!(stores.documents().staged_publish(&kb.id, &id, revision).await.unwrap());
        }
        queue(&acme, "enrich", "resume").await;
        bed.run_until_empty(&acme).await;
        assert_eq!(acme.settled(NAME).await["status"], "processed");
        assert_eq!(served(&bed, &acme).await, expected, "after {writes} writes");
    }
}

/// Goal: as above, with a process that is killed wherever it is.
#[tokio::test]
async fn kill_9_in_the_middle_of_replacements_ends_in_the_same_graph() {
    const NAMES: [&str; 6] = ["a.md", "b.md", "c.md", "d.md", "e.md", "f.md"];
    let undisturbed = Bed::embedded().await;
    let (expected, _) = undisturbed.look_alikes().await;
    let data = tempfile::tempdir().unwrap();
    let program = Program::dev(data.path());
    let tenant = program.provision("acme").await;
    for name in NAMES {
        expected.ingest(name, &texts::long(&format!("new {name}"))).await;
        tenant.ingest(name, &texts::short(&format!("old {name}"))).await;
    }
    for name in NAMES {
        assert_eq!(tenant.upload(name, &texts::long(&format!("new {name}"))).await.status, 202);
    }
    wait_for("the first replacement to be served", async || {
        let found = tenant.http.get(&tenant.kb("documents")).await.body;
        let is_new = |document: &Value| document["served_revision"] == 2;
        if found["documents"].as_array().is_some_and(|found| found.iter().any(is_new)) {
            Ok(())
        } else {
            Err(found)
        }
    })
    .await;
    program.kill();

    let program = Program::dev(data.path());
    let tenant = TestTenant { id: tenant.id, http: tenant.http.at(&program.url) };
    for name in NAMES {
        let document = tenant.settled(name).await;
        assert_eq!((&document["status"], &document["served_revision"]), (&json!("processed"), &json!(2)));
    }
    let graph = async |tenant: &TestTenant| tenant.http.get(&tenant.kb("graph?limit=1000")).await.body;
    assert_eq!(graph(&tenant).await, graph(&expected).await);
}

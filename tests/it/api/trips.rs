//! How often an upload asks a server. Whoever adds a trip sees it here.

use std::collections::BTreeMap;
use std::time::Instant;

use fair_queue::testing::RedisServer;
use jobs::plan::Plans;
use reqwest::Method;
use serde_json::json;
use tests::api::{Api, ApiOptions, ApiTenant, send};
use tests::services::{ServerUrls, migrated};
use tests::trips::{CountingProxy, RedisMonitor, Trips};

/// Everything that is counted is limited, so that nothing is left out because it need not be counted.
const LIMITED: &str = "[plan.limited]\nrequests_per_minute = 100_000\napi_calls_per_month = 100_000\n\
    backlog_jobs = 100_000\nmax_documents = 100_000\nstorage_bytes = 1_000_000_000\ndaily_jobs = 100_000\n\
    idempotency_keys = 100_000";

async fn api(servers: Option<ServerUrls>, redis_url: Option<String>) -> (Api, ApiTenant) {
    let plans = Plans::parse(LIMITED).unwrap();
    let api = Api::with(ApiOptions { plans, servers, redis_url, ..ApiOptions::default() }).await;
    let acme = api.tenant(&format!("acme-{}", uuid::Uuid::now_v7().simple())).await;
    let plan = api.operator(Method::PATCH, &format!("/api/v1/tenants/{}", acme.id));
    assert_eq!(send(plan.json(&json!({ "plan": "limited" }))).await.status, 200);
    // What is asked once in a while is asked now.
    upload(&acme, "first.md", None).await;
    (api, acme)
}

async fn upload(acme: &ApiTenant, name: &str, key: Option<&str>) {
    let request = acme.request(Method::POST, "/kbs/default/documents/text");
    let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
    let reply = send(request.json(&json!({ "name": name, "text": "text" }))).await;
    assert_eq!(reply.status, 202, "{reply:?}");
}

/// How often each operation of the catalog made a trip. What the directory has forgotten by now it asks again, each
/// fact for itself.
fn catalog(trips: &Trips) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for trip in trips.take() {
        if trip.starts_with("catalog.") && trip != "catalog.bookkeep" {
            *counts.entry(trip).or_insert(0) += 1;
        }
    }
    counts
}

/// Two operations: one that reads and one that writes. `reads` and `writes` are their trips, and how many more a write
/// under an Idempotency-Key takes is `keyed`.
async fn one_read_and_one_write(acme: &ApiTenant, trips: &Trips, reads: usize, writes: usize, keyed: usize) {
    let expected = |reads: usize, writes: usize| {
        BTreeMap::from([("catalog.accept".to_owned(), writes), ("catalog.upload_view".to_owned(), reads)])
    };
    catalog(trips);
    upload(acme, "a.md", None).await;
    assert_eq!(catalog(trips), expected(reads, writes), "a new document");
    upload(acme, "a.md", None).await;
    assert_eq!(catalog(trips), expected(reads, writes), "in place of another");
    upload(acme, "b.md", Some("key")).await;
    assert_eq!(catalog(trips), expected(reads, writes + keyed), "under a key");
    upload(acme, "b.md", Some("key")).await;
    let replayed = BTreeMap::from([("catalog.upload_view".to_owned(), reads)]);
    assert_eq!(catalog(trips), replayed, "once more under the key");
    let many: Vec<_> = (0..50).map(|n| json!({ "name": format!("{n}.md"), "text": "text" })).collect();
    let reply = acme.post("/kbs/default/documents/batch", &json!({ "documents": many })).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(catalog(trips), expected(reads, writes), "fifty documents");
}

/// On SQLite a trip is no more than a statement, and a read needs no transaction.
#[tokio::test]
async fn an_upload_reads_and_writes_the_catalog_once() {
    let (_api, acme) = api(None, None).await;
    one_read_and_one_write(&acme, &Trips::watch(), 1, 7, 2).await;
}

/// On PostgreSQL the writes are one statement, and so are BEGIN and the tenant's name.
#[tokio::test]
async fn an_upload_reads_and_writes_the_catalog_once_on_postgres() {
    let (_api, acme) = api(Some(migrated().await), None).await;
    one_read_and_one_write(&acme, &Trips::watch(), 2, 5, 1).await;
}

/// What the catalog counts is all that PostgreSQL is asked, but for the ends of transactions that no client waits for:
/// two trips after a read and one after a write, until the connection is in the pool again.
#[tokio::test]
async fn postgres_is_asked_no_more_often_than_the_catalog_says() {
    const UPLOADS: usize = 100;
    let urls = migrated().await;
    let proxy = CountingProxy::start(&urls.postgres).await;
    let (_api, acme) = api(Some(ServerUrls { postgres: proxy.url.clone(), ..urls }), None).await;
    for n in 0..10 {
        upload(&acme, &format!("warm-{n}.md"), None).await;
    }
    let (trips, before) = (Trips::watch(), proxy.count());
    for n in 0..UPLOADS {
        upload(&acme, &format!("{n}.md"), None).await;
    }
    let (counted, made) = (trips.take().len(), proxy.count() - before);
    // What goes on beside the uploads ends as often as it makes trips, at most.
    let (uploads, ends, beside) = (UPLOADS * 7, UPLOADS * 3, 2 * (counted - UPLOADS * 7));
    // Once for each connection: its start, and the statements that it did not know.
    let once = 100;
    assert!(made <= uploads + ends + beside + once, "{made} round trips, of which {counted} are counted");
    assert!(made >= counted, "{made} round trips of {counted} that are counted: the proxy does not see them");
}

#[tokio::test]
async fn an_upload_calls_redis_twice() {
    let redis = RedisServer::start(&[]).unwrap();
    let (_api, acme) = api(None, Some(redis.url())).await;
    let mut monitor = RedisMonitor::start(redis.port()).await;
    for n in 0..10 {
        upload(&acme, &format!("{n}.md"), None).await;
        assert_eq!(monitor.take().await, ["admit", "enqueue"]);
    }
    let files = [("a.md", b"a".as_slice()), ("b.md", b"b")];
    assert_eq!(acme.upload_files(&files).await.status, 202);
    assert_eq!(monitor.take().await, ["admit", "enqueue"], "two documents");
    assert_eq!(acme.get("/kbs/default/documents").await.status, 200);
    assert_eq!(monitor.take().await, ["admit"], "a request without jobs");
}

/// The key, the tenant, its plan and the knowledge base.
#[tokio::test]
async fn an_upload_asks_the_directory_for_each_fact_once() {
    let (_api, acme) = api(None, None).await;
    let trips = Trips::watch();
    upload(&acme, "a.md", None).await;
    let mut questions = trips.take_questions();
    questions.sort_unstable();
    let facts: Vec<_> = questions.iter().map(|question| question.split('(').next().unwrap()).collect();
    assert_eq!(facts, ["ApiKey", "Kb", "Plan", "Tenant"], "{questions:?}");
}

/// What uploads leave to be written is written together: by the second, and not by the upload.
#[tokio::test]
async fn bookkeeping_is_written_together() {
    const UPLOADS: usize = 50;
    let (api, acme) = api(None, None).await;
    let (trips, start) = (Trips::watch(), Instant::now());
    for n in 0..UPLOADS {
        upload(&acme, &format!("{n}.md"), None).await;
    }
    assert_eq!(api.outbox_len().await, 0, "nothing is left of them");
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap() + 2;
    // Begin, count, look, move from the outbox to the unfinished jobs (two), commit; sometimes the key.
    let written = trips.take().iter().filter(|trip| *trip == "catalog.bookkeep").count();
    assert!((4..=seconds * 7).contains(&written), "{written} trips in {seconds} s");
}

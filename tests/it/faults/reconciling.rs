//! What the search for lost work costs and says: nothing for tenants without work, a command that names what is lost,
//! and the reason on a document whose job may never run.

use std::time::Duration;

use jobs::JobId;
use jobs::queue::{JobState, RedisServer};
use jobs::tenant::TenantContext;
use redis::AsyncCommands as _;
use serde_json::{Value, json};
use stores::model::{Acceptance, Accepted, NewTenant};
use tests::bed::{Bed, Http, TestTenant};
use tests::program::{Program, output};
use tests::texts;
use tests::trips::Trips;
use tests::wait::wait_for;
use worker::reconcile::{Mode, Reconciler};

/// Tenants that have nothing to do.
async fn idle_tenants(bed: &Bed, count: usize) {
    for number in 0..count {
        let stores = bed.stores().scoped(&TenantContext::for_tests(&format!("idle-{number}")));
        let tenant = NewTenant::new("Idle", "free");
        let acceptance = Acceptance { tenant: Some(tenant), ..Acceptance::default() };
        assert_eq!(stores.catalog().accept(&acceptance, bed.now()).await.unwrap(), Accepted::New);
    }
}

/// Goal: 100,000 idle tenants cost what none costs. Method: count the trips to the catalog.
#[tokio::test]
async fn idle_tenants_cost_nothing() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    // With a single subscriber `tracing` lets other threads, which have none, decide what is of interest.
    let _other = Trips::watch();
    let trips = Trips::watch();
    let bed = Bed::on_redis_alone(&server.url()).await;
    let (tenant, _) = bed.look_alikes().await;
    tenant.ingest("heron.md", &texts::short("Bluebird")).await;
    let reconciler = Reconciler { every: Duration::ZERO, ..bed.another_worker().await.reconciler() };
    let cost = async || {
        let _ = trips.take();
        let done = reconciler.everywhere(Mode::Repair).await.unwrap();
        assert!(done.is_well(), "{done:?}");
        let of_ours = |trip: &String| trip.starts_with("unfinished.");
        (done.looked_at, trips.take().into_iter().filter(of_ours).collect::<Vec<_>>())
    };
    wait_for("the work to have ended", async || {
        let (looked_at, _) = cost().await;
        if looked_at == 0 { Ok(()) } else { Err(looked_at) }
    })
    .await;
    let before = cost().await;
    idle_tenants(&bed, 300).await;
    assert_eq!(cost().await, before);
    assert_eq!(before, (0, vec!["unfinished.page".to_owned(), "unfinished.deliveries".to_owned()]));
}

/// The command of an operator, beside a running system.
fn reconcile(data: &std::path::Path, more: &[&str]) -> Value {
    let secrets = std::fs::read_to_string(data.join("secrets.env")).unwrap();
    let keys = secrets.lines().find_map(|line| line.strip_prefix("TENANTRY_STAMP_KEYS=")).unwrap();
    let redis = format!("redis+unix://{}", data.join("redis/redis.sock").display());
    let arguments = [&["reconcile", "--json", "--older-than", "0"], more].concat();
    let settings =
        [("TENANTRY_DATA_DIR", data.to_str().unwrap()), ("TENANTRY_STAMP_KEYS", keys), ("REDIS_URL", &redis)];
    let output = output("tenantry", &arguments, &settings);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_names_what_is_lost_and_enqueues_it() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::dev_with(data.path(), &[("TENANTRY_RECONCILE_S", "86400")]);
    let operator = Http::new(&program.url, &program.operator_key);
    let made = operator.post("/api/v1/tenants", &json!({ "id": "acme", "name": "Acme" })).await;
    let tenant = TestTenant {
        id: "acme".to_owned(),
        http: Http::new(&program.url, made.body["api_key"].as_str().unwrap()),
    };
    wait_for("the tenant to be active", async || {
        let answer = tenant.http.get("/api/v1/tenants/acme").await;
        if answer.body["status"] == "active" { Ok(()) } else { Err(answer) }
    })
    .await;
    let paused = tenant.http.post("/api/v1/tenants/acme/queues/documents/pause", &json!({})).await;
    assert_eq!(paused.status, 200, "{paused:?}");
    let job = tenant.upload("heron.md", &texts::short("Bluebird")).await.body["job_id"].clone();
    let url = format!("redis+unix://{}", data.path().join("redis/redis.sock").display());
    let client = redis::Client::open(url.replace("redis+unix", "unix")).unwrap();
    wait_for("the job to be expected in the queue", async || {
        let done = reconcile(data.path(), &["--dry-run"]);
        if done["looked_at"] == 1 { Ok(()) } else { Err(done) }
    })
    .await;
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let _: () = redis::cmd("FLUSHALL").query_async(&mut redis).await.unwrap();
    for _ in 0..2 {
        let done = reconcile(data.path(), &["--dry-run"]);
        assert_eq!(
            done["lost"],
            json!([{ "tenant": "acme", "job": job, "type": "document.ingest" }]),
            "{done}"
        );
        assert_eq!((&done["enqueued"], &done["dry_run"]), (&json!(1), &json!(true)), "{done}");
    }
    let done = reconcile(data.path(), &[]);
    assert_eq!((&done["enqueued"], &done["dry_run"]), (&json!(1), &json!(false)), "{done}");
    let done = reconcile(data.path(), &["--dry-run"]);
    assert_eq!((&done["enqueued"], &done["lost"]), (&json!(0), &json!([])), "{done}");
    let resumed = tenant.http.post("/api/v1/tenants/acme/queues/documents/resume", &json!({})).await;
    assert_eq!(resumed.status, 200, "{resumed:?}");
    assert_eq!(tenant.settled("heron.md").await["status"], "processed");
}

/// Goal: who waits for a document whose job was altered on Redis learns why nothing comes, and what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_told_that_its_job_is_in_quarantine() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let bed = Bed::on_redis(&server.url(), 1).await;
    let (tenant, twin) = bed.look_alikes().await;
    let pause = format!("/api/v1/tenants/{}/queues/documents", tenant.id);
    assert_eq!(tenant.http.post(&format!("{pause}/pause"), &json!({})).await.status, 200);
    let answer = tenant.upload("heron.md", &texts::short("Bluebird")).await;
    let job: JobId = answer.body["job_id"].as_str().unwrap().parse().unwrap();
    let mut redis =
        redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let key = format!("{}:{{q.0}}:e", bed.queue_prefix());
    let mut record: Vec<u8> = redis.hget(&key, job.to_string()).await.unwrap();
    let at = record.windows(9).position(|window| window == b"documents").unwrap();
    record[at] ^= 1;
    let _: () = redis.hset(&key, job.to_string(), record).await.unwrap();
    assert_eq!(tenant.http.post(&format!("{pause}/resume"), &json!({})).await.status, 200);

    let document = tenant.settled("heron.md").await;
    assert_eq!(document["status"], "failed", "{document}");
    assert_eq!(document["error"]["code"], "envelope_altered", "{document}");
    let detail = document["error"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("changed after it was stamped") && detail.contains("upload the document again"),
        "{detail}"
    );
    let status = bed.queue().lookup(&tenant.id.parse().unwrap(), job).await.unwrap();
    assert_eq!(status.map(|status| status.state), Some(JobState::Quarantined), "it stays where it is");
    twin.ingest("heron.md", &texts::short("Nightjar")).await;
    tenant.ingest("heron.md", &texts::short("Bluebird")).await;
}

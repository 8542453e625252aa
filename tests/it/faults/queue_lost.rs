//! A queue that loses what it has: all of it, the newest part, a shard, single keys. Everything that was accepted ends
//! all the same, once, and nothing that had ended or was cancelled comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jobs::JobId;
use jobs::queue::{JobState, RedisServer};
use jobs::tenant::TenantId;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use reqwest::Method;
use serde_json::{Value, json};
use tests::bed::{Bed, Http, Snapshot, TestTenant, postgres_alone_on, send};
use tests::receiver::Receiver;
use tests::texts;
use tests::wait::wait_for;
use worker::reconcile::{Mode, Reconciled, Reconciler};

async fn connected(url: &str) -> MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn flush(redis: &mut MultiplexedConnection) {
    let _: () = redis::cmd("FLUSHALL").query_async(redis).await.unwrap();
}

fn name(number: usize) -> String {
    format!("document-{number}.md")
}

/// A text of a few chunks, or, for most, of one.
fn text(number: usize) -> String {
    if number.is_multiple_of(10) {
        texts::long(&format!("Bluebird{number}"))
    } else {
        texts::short(&format!("Heron{number}"))
    }
}

/// Uploads documents, in requests of 50.
async fn upload(tenant: &TestTenant, count: usize) {
    for from in (0..count).step_by(50) {
        let documents: Vec<Value> = (from..count.min(from + 50))
            .map(|number| json!({ "name": name(number), "text": text(number) }))
            .collect();
        let answer =
            tenant.http.post(&tenant.kb("documents/batch"), &json!({ "documents": documents })).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
}

async fn in_status(tenant: &TestTenant, status: &str) -> usize {
    let (mut count, mut next) = (0, String::new());
    loop {
        let path = tenant.kb(&format!("documents?status={status}&limit=200{next}"));
        let page = tenant.http.get(&path).await.body;
        count += page["documents"].as_array().map_or(0, Vec::len);
        match page["next"].as_str() {
            Some(cursor) => next = format!("&after={cursor}"),
            None => return count,
        }
    }
}

async fn at_least(tenant: &TestTenant, status: &str, count: usize) {
    wait_for("documents to get on", async || {
        let found = in_status(tenant, status).await;
        if found >= count { Ok(()) } else { Err(format!("{found} {status}")) }
    })
    .await;
}

/// How often each document was told to have been processed, by document.
fn told(receiver: &Receiver) -> BTreeMap<String, BTreeSet<String>> {
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for request in receiver.received() {
        let event = request.json();
        let document = event["data"]["document_id"].as_str().unwrap_or_default().to_owned();
        told.entry(document).or_default().insert(request.header("webhook-id").to_owned());
    }
    told
}

/// What the catalog still expects in the queue of a tenant.
async fn expected(bed: &Bed, tenant: &TestTenant) -> Vec<JobId> {
    let stores = bed.stores().scoped(&jobs::tenant::TenantContext::for_tests(&tenant.id));
    stores.catalog().unfinished(10_000).await.unwrap()
}

async fn nothing_is_expected(bed: &Bed, tenant: &TestTenant) {
    wait_for("the catalog to expect nothing", async || {
        let left = expected(bed, tenant).await;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}

/// Goal: a Redis that loses everything costs time and nothing else. Method: two workers, many documents, FLUSHALL
/// again and again while they are read; then the graph is that of a system that was not disturbed, and each document
/// was told to be processed once.
async fn survives_flushes(bed: &Bed, redis_url: &str, count: usize) {
    let second = bed.another_worker().await.start();
    let (tenant, twin) = bed.look_alikes().await;
    twin.ingest("twin.md", &texts::short("Nightjar")).await;
    let before = Snapshot::of(bed.stores(), &twin.id).await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url, &["document.processed"]).await;

    let mut redis = connected(redis_url).await;
    upload(&tenant, count).await;
    for part in 1..=3 {
        at_least(&tenant, "processed", part * count / 5).await;
        flush(&mut redis).await;
    }
    for part in 1..=10 {
        at_least(&tenant, "processed", part * count / 10).await;
        assert_eq!(in_status(&tenant, "failed").await, 0, "none may fail");
    }
    nothing_is_expected(bed, &tenant).await;
    wait_for("every document to be told of", async || {
        let told = told(&receiver).len();
        if told == count { Ok(()) } else { Err(told) }
    })
    .await;
    for (document, events) in told(&receiver) {
        assert_eq!(events.len(), 1, "{document} was processed once");
    }
    assert_eq!(Snapshot::of(bed.stores(), &twin.id).await, before, "nothing happened to the other tenant");

    let undisturbed = Bed::embedded().await;
    let (expected, _) = undisturbed.look_alikes().await;
    upload(&expected, count).await;
    for part in 1..=10 {
        at_least(&expected, "processed", part * count / 10).await;
    }
    let (found, expected) = (
        Snapshot::of(bed.stores(), &tenant.id).await,
        Snapshot::of(undisturbed.stores(), &expected.id).await,
    );
    assert_eq!(found.documents.len(), count);
    assert_eq!(found.entities, expected.entities);
    assert_eq!(found.relations, expected.relations);
    second.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_ends_once_after_flushall_in_the_middle_of_it() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let bed = Bed::on_redis(&server.url(), 1).await;
    survives_flushes(&bed, &server.url(), 200).await;
}

/// The longer form: `cargo test … a_thousand_documents -- --ignored`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn a_thousand_documents_end_once_after_flushall() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let bed = Bed::on_redis(&server.url(), 1).await;
    survives_flushes(&bed, &server.url(), 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_ends_once_after_flushall_on_postgres() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let (bed, database) = postgres_alone_on(&server.url()).await;
    survives_flushes(&bed, &server.url(), 100).await;
    drop(bed);
    database.drop().await;
}

/// Deletes the keys of one shard.
async fn lose_shard(bed: &Bed, redis: &mut MultiplexedConnection, shard: u16) {
    let keys: Vec<String> = redis.keys(format!("{}:{{q.{shard}}}:*", bed.queue_prefix())).await.unwrap();
    assert!(!keys.is_empty());
    let _: () = redis.del(keys).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_shard_gets_its_work_again_and_the_others_go_on() {
    const COUNT: usize = 60;
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let bed = Bed::on_redis(&server.url(), 3).await;
    let (acme, twin) = bed.look_alikes().await;
    upload(&acme, COUNT).await;
    upload(&twin, COUNT).await;
    at_least(&acme, "processed", 5).await;
    let mut redis = connected(&server.url()).await;
    lose_shard(&bed, &mut redis, bed.queue().home(&acme.id.parse::<TenantId>().unwrap())).await;
    for tenant in [&acme, &twin] {
        at_least(tenant, "processed", COUNT).await;
        nothing_is_expected(&bed, tenant).await;
    }
    assert_eq!(
        Snapshot::of(bed.stores(), &acme.id).await.entities,
        Snapshot::of(bed.stores(), &twin.id).await.entities
    );
}

/// Method: a snapshot is taken while documents wait; some are processed and others uploaded after it; then Redis is as
/// it was. What had ended must not run again with effect, and what came later must not be missing.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_snapshot_brings_nothing_back_and_loses_nothing() {
    const COUNT: usize = 60;
    let mut server = RedisServer::start(&["--appendonly", "no", "--dbfilename", "dump.rdb"]).unwrap();
    let bed = Bed::on_redis(&server.url(), 1).await;
    let (tenant, _) = bed.look_alikes().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url, &["document.processed"]).await;
    upload(&tenant, COUNT).await;
    at_least(&tenant, "processed", 5).await;
    let mut redis = connected(&server.url()).await;
    let _: () = redis::cmd("SAVE").query_async(&mut redis).await.unwrap();
    tenant.ingest("later.md", &texts::short("Goldfinch")).await;
    at_least(&tenant, "processed", COUNT / 2).await;
    let directory: Vec<String> =
        redis::cmd("CONFIG").arg("GET").arg("dir").query_async(&mut redis).await.unwrap();
    let (dump, kept) = (format!("{}/dump.rdb", directory[1]), format!("{}/kept.rdb", directory[1]));
    std::fs::copy(&dump, &kept).unwrap();
    server.stop().unwrap();
    std::fs::copy(&kept, &dump).unwrap();
    server.resume().unwrap();

    at_least(&tenant, "processed", COUNT + 1).await;
    nothing_is_expected(&bed, &tenant).await;
    bed.run_until_empty(&tenant).await;
    assert_eq!(in_status(&tenant, "processed").await, COUNT + 1);
    wait_for("every document to be told of", async || {
        let told = told(&receiver).len();
        if told == COUNT + 1 { Ok(()) } else { Err(told) }
    })
    .await;
    assert!(told(&receiver).values().all(|events| events.len() == 1));
}

/// A bed whose own worker does not take jobs of documents, because their queues are paused.
async fn paused(server: &RedisServer) -> (Bed, TestTenant) {
    let bed = Bed::on_redis(&server.url(), 1).await;
    let (tenant, _) = bed.look_alikes().await;
    for queue in ["documents", "enrich", "maintenance"] {
        flow(&tenant, queue, "pause").await;
    }
    (bed, tenant)
}

async fn flow(tenant: &TestTenant, queue: &str, how: &str) {
    let path = format!("/api/v1/tenants/{}/queues/{queue}/{how}", tenant.id);
    let answer = tenant.http.post(&path, &json!({})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn state(bed: &Bed, tenant: &TestTenant, job: JobId) -> Option<JobState> {
    let status = bed.queue().lookup(&tenant.id.parse().unwrap(), job).await.unwrap();
    status.map(|status| status.state)
}

/// Waits until the queue has a job that was delivered by the API, and the catalog knows.
async fn is_expected(bed: &Bed, tenant: &TestTenant, job: JobId) {
    wait_for("the catalog to expect the job", async || {
        let jobs = expected(bed, tenant).await;
        if jobs.contains(&job) { Ok(()) } else { Err(jobs) }
    })
    .await;
}

async fn uploaded(bed: &Bed, tenant: &TestTenant, name: &str) -> JobId {
    let answer = tenant.upload(name, &texts::short("Bluebird")).await;
    let job: JobId = answer.body["job_id"].as_str().unwrap().parse().unwrap();
    is_expected(bed, tenant, job).await;
    job
}

/// Reconciles by hand, whatever its own worker does.
async fn reconciler(bed: &Bed) -> Reconciler {
    Reconciler { every: Duration::ZERO, ..bed.another_worker().await.reconciler() }
}

/// Goal: a paused tenant stays paused, although the queue forgot that it is, and many who find the same job lost make
/// one.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_tenant_stays_paused_and_many_reconcilers_make_one_job() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let (bed, tenant) = paused(&server).await;
    let job = uploaded(&bed, &tenant, "heron.md").await;
    flush(&mut connected(&server.url()).await).await;
    let (one, two) = (reconciler(&bed).await, reconciler(&bed).await);
    let (one, two) = tokio::join!(one.everywhere(Mode::Repair), two.everywhere(Mode::Repair));
    assert!(one.unwrap().enqueued + two.unwrap().enqueued <= 1);
    wait_for("the job to be there", async || {
        let state = state(&bed, &tenant, job).await;
        if state == Some(JobState::Available) { Ok(()) } else { Err(state) }
    })
    .await;
    let stats = bed.queue().stats(&tenant.id.parse().unwrap()).await.unwrap();
    assert_eq!((stats.open(), stats.available, stats.completed_total), (1, 1, 0), "{stats:?}");
    assert_eq!(tenant.document("heron.md").await.body["status"], "pending");
    for queue in ["documents", "enrich"] {
        flow(&tenant, queue, "resume").await;
    }
    assert_eq!(tenant.settled("heron.md").await["status"], "processed");
    nothing_is_expected(&bed, &tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cancelled_replaced_or_deleted_does_not_come_back() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let (bed, tenant) = paused(&server).await;
    let cancelled = uploaded(&bed, &tenant, "cancelled.md").await;
    let replaced = uploaded(&bed, &tenant, "replaced.md").await;
    let path = format!("/api/v1/tenants/{}/jobs/{cancelled}", tenant.id);
    assert_eq!(send(tenant.http.request(Method::DELETE, &path)).await.status, 202);
    let newer = tenant.upload("replaced.md", &texts::short("Kestrel")).await;
    let newer: JobId = newer.body["job_id"].as_str().unwrap().parse().unwrap();
    is_expected(&bed, &tenant, newer).await;
    flush(&mut connected(&server.url()).await).await;
    wait_for("the jobs to be there", async || {
        let found = [state(&bed, &tenant, newer).await, state(&bed, &tenant, replaced).await];
        if found == [Some(JobState::Available); 2] { Ok(()) } else { Err(found) }
    })
    .await;
    assert_eq!(state(&bed, &tenant, cancelled).await, None);
    for queue in ["documents", "enrich"] {
        flow(&tenant, queue, "resume").await;
    }
    assert_eq!(tenant.settled("replaced.md").await["revision"], 2);
    assert_eq!(tenant.document("cancelled.md").await.body["status"], "failed");
    nothing_is_expected(&bed, &tenant).await;

    // A knowledge base and its jobs are gone before anything was enqueued again.
    flow(&tenant, "documents", "pause").await;
    let orphan = uploaded(&bed, &tenant, "orphan.md").await;
    flow(&tenant, "maintenance", "resume").await;
    let kb = format!("/api/v1/tenants/{}/kbs/default", tenant.id);
    assert_eq!(send(tenant.http.request(Method::DELETE, &kb)).await.status, 202);
    flush(&mut connected(&server.url()).await).await;
    nothing_is_expected(&bed, &tenant).await;
    assert_eq!(state(&bed, &tenant, orphan).await, None);
}

/// Goal: requests that left no document in the catalog are work too: a reindex, deletions, a tenant that is closed.
#[tokio::test(flavor = "multi_thread")]
async fn reindexes_and_deletions_are_done_although_their_jobs_were_lost() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let bed = Bed::on_redis(&server.url(), 1).await;
    let (tenant, twin) = bed.look_alikes().await;
    for document in ["one.md", "two.md", "three.md"] {
        tenant.ingest(document, &texts::short(document)).await;
        twin.ingest(document, &texts::short(document)).await;
    }
    let mut redis = connected(&server.url()).await;
    for queue in ["documents", "maintenance"] {
        flow(&tenant, queue, "pause").await;
    }
    let reindex = tenant.http.post(&tenant.kb("reindex"), &json!({})).await;
    let reindex: JobId = reindex.body["job_id"].as_str().unwrap().parse().unwrap();
    is_expected(&bed, &tenant, reindex).await;
    flush(&mut redis).await;
    flow(&tenant, "maintenance", "resume").await;
    assert_eq!(bed.ended(&tenant, reindex).await["state"], "completed");
    // Its children wait now, and get lost too.
    assert_eq!(in_status(&tenant, "pending").await, 3);
    flush(&mut redis).await;
    flow(&tenant, "documents", "resume").await;
    at_least(&tenant, "processed", 3).await;
    nothing_is_expected(&bed, &tenant).await;

    flow(&tenant, "documents", "pause").await;
    let path = tenant.kb(&format!("documents/{}", jobs::DocumentId::of_name("one.md")));
    let deleted = send(tenant.http.request(Method::DELETE, &path)).await;
    let deleted: JobId = deleted.body["job_id"].as_str().unwrap().parse().unwrap();
    is_expected(&bed, &tenant, deleted).await;
    flush(&mut redis).await;
    flow(&tenant, "documents", "resume").await;
    wait_for("the document to be gone", async || {
        let answer = tenant.document("one.md").await;
        if answer.status == 404 { Ok(()) } else { Err(answer) }
    })
    .await;
    assert_eq!(in_status(&tenant, "processed").await, 2);

    let path = format!("/api/v1/tenants/{}", tenant.id);
    let operator = bed.operator();
    let closed = send(operator.request(Method::DELETE, &path)).await;
    assert_eq!(closed.status, 202, "{closed:?}");
    flush(&mut redis).await;
    wait_for("the tenant to be gone", async || {
        let answer = operator.get(&path).await;
        if answer.status == 404 { Ok(()) } else { Err(answer) }
    })
    .await;
    assert_eq!(in_status(&twin, "processed").await, 3, "the other tenant keeps what it has");
}

/// Goal: dead letters are not run again by themselves, and a document says so still.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_stay_dead() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let bed = Bed::on_redis(&server.url(), 1).await;
    let (tenant, _) = bed.look_alikes().await;
    let answer = tenant.upload_file("empty.html", "text/html", b"<p></p>").await;
    let job: JobId = answer.body["job_id"].as_str().unwrap().parse().unwrap();
    assert_eq!(tenant.settled("empty.html").await["status"], "failed");
    wait_for("the job to be a dead letter", async || {
        let state = state(&bed, &tenant, job).await;
        if state == Some(JobState::Discarded) { Ok(()) } else { Err(state) }
    })
    .await;
    nothing_is_expected(&bed, &tenant).await;
    flush(&mut connected(&server.url()).await).await;
    let done = reconciler(&bed).await.everywhere(Mode::Repair).await.unwrap();
    assert_eq!((done.enqueued, done.given_up), (0, 0), "{done:?}");
    assert_eq!(state(&bed, &tenant, job).await, None);
    assert_eq!(tenant.document("empty.html").await.body["status"], "failed");
}

/// What `everywhere` says when all is well.
fn assert_is_well(done: &Reconciled) {
    assert!(done.is_well(), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_what_is_lost_and_changes_nothing() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    // Its own worker looks rarely.
    let (bed, tenant) = quiet(&server).await;
    let reconciler = reconciler(&bed).await;
    let job = uploaded(&bed, &tenant, "heron.md").await;
    assert_is_well(&reconciler.everywhere(Mode::DryRun).await.unwrap());
    let mut redis = connected(&server.url()).await;
    flush(&mut redis).await;
    for _ in 0..2 {
        let done = reconciler.everywhere(Mode::DryRun).await.unwrap();
        let named = done.lost.iter().map(|lost| (lost.tenant.as_str(), lost.id, lost.kind.as_str()));
        assert_eq!(named.collect::<Vec<_>>(), [(tenant.id.as_str(), job, "document.ingest")]);
        assert_eq!((done.looked_at, done.enqueued), (1, 1), "{done:?}");
        assert_eq!(state(&bed, &tenant, job).await, None);
        assert_eq!(bed.opened().measures.missing().await.unwrap().rows, 0);
    }
    let done = reconciler.everywhere(Mode::Repair).await.unwrap();
    assert_eq!(done.enqueued, 1, "{done:?}");
    assert_eq!(state(&bed, &tenant, job).await, Some(JobState::Available));
    // The gauge knows of it until it was seen again.
    assert_eq!(bed.opened().measures.missing().await.unwrap().rows, 1);
    let ready = bed.operator().get("/readyz").await;
    assert_eq!(ready.body["details"]["accepted_without_job"], 1, "{ready:?}");
    assert_is_well(&reconciler.everywhere(Mode::Repair).await.unwrap());
    assert_eq!(bed.opened().measures.missing().await.unwrap().rows, 0);
}

/// A bed that looks for lost work only when the test does, with its tenant's queues paused.
async fn quiet(server: &RedisServer) -> (Bed, TestTenant) {
    let bed = Bed::on_redis_alone(&server.url()).await;
    let (tenant, _) = bed.look_alikes().await;
    for queue in ["documents", "enrich", "maintenance"] {
        flow(&tenant, queue, "pause").await;
    }
    (bed, tenant)
}

/// Method: of a document in the middle of its extraction single keys are deleted, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn single_keys_that_are_lost_hold_no_document_up() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let bed = Bed::on_redis(&server.url(), 1).await;
    let mut redis = connected(&server.url()).await;
    let (tenant, expected) = bed.look_alikes().await;
    // Enough chunks for several jobs.
    let text = texts::long("Bluebird").repeat(20);
    expected.ingest("long.md", &text).await;
    let key = |name: &str| format!("{}:{{q.0}}:{name}", bed.queue_prefix());
    for lost in [
        "record of a member",
        "entry of a member",
        "members",
        "group",
        "everything of a member",
        "continuation",
    ] {
        flow(&tenant, "enrich", "pause").await;
        tenant.upload("long.md", &text).await;
        let job = wait_for("the members to wait", async || {
            let shown = tenant.document("long.md").await.body;
            let job: JobId =
                shown["job_id"].as_str().unwrap_or_default().parse().map_err(|_| shown.clone())?;
            let group: Vec<String> = redis.hkeys(key(&format!("t:{}:g:{job}", tenant.id))).await.unwrap();
            if group.len() > 5 { Ok(job) } else { Err(shown) }
        })
        .await;
        let group = key(&format!("t:{}:g:{job}", tenant.id));
        let members: Vec<String> = redis.hkeys(&group).await.unwrap();
        let members: Vec<String> = members.into_iter().filter(|member| member.len() > 1).collect();
        let lists: Vec<String> = redis.keys(key(&format!("t:{}:*.*", tenant.id))).await.unwrap();
        match lost {
            "record of a member" => redis.hdel::<_, _, ()>(key("e"), &members[0]).await.unwrap(),
            "entry of a member" => {
                for list in &lists {
                    redis.lrem::<_, _, ()>(list, 0, &members[1]).await.unwrap();
                }
            }
            "members" => {
                redis.hdel::<_, _, ()>(key("e"), &members).await.unwrap();
                redis.del::<_, ()>(&lists).await.unwrap();
            }
            "group" => redis.del::<_, ()>(&group).await.unwrap(),
            "everything of a member" => {
                redis.hdel::<_, _, ()>(key("e"), &members[0]).await.unwrap();
                for list in &lists {
                    redis.lrem::<_, _, ()>(list, 0, &members[0]).await.unwrap();
                }
            }
            _ => redis.hdel::<_, _, ()>(&group, "c").await.unwrap(),
        }
        flow(&tenant, "enrich", "resume").await;
        let document = tenant.settled("long.md").await;
        assert_eq!(document["status"], "processed", "{lost}: {document}");
        nothing_is_expected(&bed, &tenant).await;
    }
    assert_eq!(
        Snapshot::of(bed.stores(), &tenant.id).await.entities,
        Snapshot::of(bed.stores(), &expected.id).await.entities
    );
}

/// Goal: a tenant that is suspended stays so, and a tenant that is being made is made.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_waits_and_a_new_one_is_provisioned() {
    let server = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let (bed, tenant) = paused(&server).await;
    let job = uploaded(&bed, &tenant, "heron.md").await;
    let operator = bed.operator();
    let suspended = operator.post(&format!("/api/v1/tenants/{}/suspend", tenant.id), &json!({})).await;
    assert_eq!(suspended.status, 200, "{suspended:?}");
    // So that only the suspension holds its work back.
    for queue in ["documents", "enrich"] {
        let path = format!("/api/v1/tenants/{}/queues/{queue}/resume", tenant.id);
        assert_eq!(operator.post(&path, &json!({})).await.status, 200);
    }
    flush(&mut connected(&server.url()).await).await;
    wait_for("the job to be there", async || {
        let state = state(&bed, &tenant, job).await;
        if state == Some(JobState::Parked) { Ok(()) } else { Err(state) }
    })
    .await;
    let stats = bed.queue().stats(&tenant.id.parse().unwrap()).await.unwrap();
    assert_eq!((stats.open(), stats.completed_total), (1, 0), "{stats:?}");
    let resumed = operator.post(&format!("/api/v1/tenants/{}/resume", tenant.id), &json!({})).await;
    assert_eq!(resumed.status, 200, "{resumed:?}");
    assert_eq!(tenant.settled("heron.md").await["status"], "processed");

    // Nothing provisions it before the queue has lost its job.
    let pause = operator.post("/api/v1/queues/tenants/pause", &json!({})).await;
    assert_eq!(pause.status, 200, "{pause:?}");
    let made = operator.post("/api/v1/tenants", &json!({ "id": "newcomer", "name": "Newcomer" })).await;
    let newcomer = TestTenant {
        id: "newcomer".to_owned(),
        http: Http::new(&bed.url(), made.body["api_key"].as_str().unwrap()),
    };
    let job: JobId = made.body["job_id"].as_str().unwrap().parse().unwrap();
    is_expected(&bed, &newcomer, job).await;
    flush(&mut connected(&server.url()).await).await;
    assert_eq!(operator.post("/api/v1/queues/tenants/resume", &json!({})).await.status, 200);
    newcomer_is_active(&newcomer).await;
    newcomer.ingest("heron.md", &texts::short("Bluebird")).await;
}

async fn newcomer_is_active(tenant: &TestTenant) {
    wait_for("the tenant to be active", async || {
        let answer = tenant.http.get(&format!("/api/v1/tenants/{}", tenant.id)).await;
        if answer.body["status"] == "active" { Ok(()) } else { Err(answer) }
    })
    .await;
}

use std::sync::Arc;

use fair_queue::testing::RedisServer;
use jobs::DocumentId;
use jobs::plan::Plans;
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, ApiOptions, ApiTenant, Claims, Reply, Written, problem, send};
use tests::wait::wait_for;
use worker::limits_sync::LimitsKeeper;

fn plans() -> Plans {
    // The provisioning job waits too: no worker runs here.
    Plans::parse("[plan.free]\nbacklog_jobs = 2\n[plan.pro]\nbacklog_jobs = 100\nweight = 4").unwrap()
}

async fn api(redis: Option<&RedisServer>) -> Api {
    let redis_url = redis.map(RedisServer::url);
    Api::with(ApiOptions { plans: plans(), redis_url, ..ApiOptions::default() }).await
}

async fn patch(api: &Api, tenant: &str, body: &Value) -> Reply {
    send(api.operator(Method::PATCH, &format!("/api/v1/tenants/{tenant}")).json(body)).await
}

async fn free(api: &Api, id: &str) -> ApiTenant {
    let tenant = api.tenant(id).await;
    let reply = patch(api, id, &json!({ "plan": "free" })).await;
    assert_eq!((reply.status, &reply.body()["applied"]), (200, &true.into()), "{reply:?}");
    tenant
}

fn keeper(api: &Api) -> LimitsKeeper {
    LimitsKeeper::new(Arc::clone(&api.opened.settings), api.queue.clone(), plans())
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_leaves_nothing_behind() {
    let api = api(None).await;
    let (acme, twin) = (free(&api, "acme").await, free(&api, "acme-2").await);
    assert_eq!(acme.upload_text("a.md", "text").await.status, 202);
    let before = Written::of(&api, &acme).await;
    let refused = acme.upload_text("b.md", "text").await;
    problem(&refused, 429, "limit_reached");
    let body = refused.body();
    assert_eq!(
        (&body["limit"], &body["current"], &body["maximum"]),
        (&json!("backlog_jobs"), &json!(2), &json!(2))
    );
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    problem(&send(acme.request(Method::POST, "/kbs/default/reindex")).await, 429, "limit_reached");
    assert_eq!(Written::of(&api, &acme).await, before);
    let path = format!("/kbs/default/documents/{}", DocumentId::of_name("a.md"));
    let sha256 = acme.get(&path).await.text("/sha256");
    let kb = "default".parse().unwrap();
    let original = acme.stores.blobs().original(&kb, &DocumentId::of_name("b.md"), &sha256).await;
    assert_eq!(original.unwrap(), None, "the original of a refused upload is not kept");

    assert_eq!(twin.upload_text("b.md", "text").await.status, 202, "the twin has room of its own");
    // More room helps at once.
    assert_eq!(patch(&api, "acme", &json!({ "plan": "pro" })).await.status, 200);
    assert_eq!(acme.upload_text("b.md", "text").await.status, 202);
    problem(&twin.upload_text("c.md", "text").await, 429, "limit_reached");
}

#[tokio::test]
async fn the_operator_sets_limits_and_members_read_them() {
    let api = api(None).await;
    let acme = free(&api, "acme").await;
    let unknown = patch(&api, "acme", &json!({ "limits": { "type_caps": { "test.translate": 1 } } })).await;
    problem(&unknown, 400, "invalid_field");
    assert_eq!(unknown.text("/field"), "limits.type_caps");
    assert!(unknown.text("/detail").contains("document.ingest, "), "{unknown:?}");
    api.push_translation("acme").await;
    let known = json!({ "limits": { "type_caps": { "test.translate": 1 } } });
    assert_eq!(patch(&api, "acme", &known).await.status, 200, "users of the library have types of their own");
    let none = json!({ "limits": { "type_caps": { "test.translate": null } } });
    assert_eq!(patch(&api, "acme", &none).await.status, 200);
    let limits = json!({ "cap": 3, "type_caps": { "document.ingest": 1 }, "backlog_jobs": 0 });
    let reply = patch(&api, "acme", &json!({ "limits": limits })).await.body();
    assert_eq!((&reply["limits"], &reply["beyond_plan"]), (&limits, &limits), "0 is no limit: {reply}");
    let shown = acme.get("/limits").await.body();
    assert_eq!((&shown["plan"], &shown["limits"]), (&json!("free"), &limits));
    assert_eq!(shown["usage"], json!({ "active": 0, "backlog_jobs": 2, "scheduled_jobs": 0 }));
    assert_eq!(send(api.operator(Method::GET, "/api/v1/tenants/acme/limits")).await.body(), shown);

    // Two uploads, one of which may run.
    for name in ["a.md", "b.md"] {
        assert_eq!(acme.upload_text(name, "text").await.status, 202);
    }
    assert_eq!(api.claim().await.jobs.len(), 1);
    let reply = patch(&api, "acme", &json!({ "limits": { "type_caps": null, "cap": null } })).await.body();
    assert_eq!(reply["limits"], json!({ "backlog_jobs": 0 }));
    assert_eq!(api.claim().await.jobs.len(), 1, "the cap of the type ended");
    let reply = patch(&api, "acme", &json!({ "limits": null })).await.body();
    assert_eq!((&reply["limits"], &reply["beyond_plan"]), (&json!({ "backlog_jobs": 2 }), &json!({})));
}

#[tokio::test]
async fn settings_that_cannot_be_used_change_nothing() {
    let api = api(None).await;
    let acme = free(&api, "acme").await;
    acme.member(&api, "product:ann", "ADMIN").await;
    let before = Written::of(&api, &acme).await;
    for (body, code, field) in [
        (json!({ "plan": "gold" }), "invalid_field", "plan"),
        (json!({ "status": "deprovisioning" }), "invalid_field", "status"),
        (json!({ "limits": { "weight": 0 } }), "invalid_field", "limits.weight"),
        (json!({ "limits": { "cap": -1 } }), "invalid_field", "limits.cap"),
        (json!({ "limits": { "storage_bytes": -1 } }), "invalid_field", "limits.storage_bytes"),
        (json!({ "limits": { "kbs": 1_000_001 } }), "invalid_field", "limits.kbs"),
        (json!({ "limits": { "max": 1 } }), "unknown_field", "limits.max"),
        (json!({ "epoch": 3 }), "unknown_field", "epoch"),
    ] {
        let reply = patch(&api, "acme", &body).await;
        problem(&reply, 400, code);
        assert_eq!(reply.body()["field"], field, "{body}");
    }
    problem(&patch(&api, "nobody", &json!({ "plan": "pro" })).await, 404, "not_found");
    let new = json!({ "id": "other", "name": "Other", "plan": "gold" });
    let reply = send(api.operator(Method::POST, "/api/v1/tenants").json(&new)).await;
    problem(&reply, 400, "invalid_field");
    assert!(reply.text("/detail").contains("free, pro, standard"), "{reply:?}");
    for credentials in [acme.key.clone(), Claims::of("acme", "ADMIN").token()] {
        let request = api.request(Method::PATCH, "/api/v1/tenants/acme").bearer_auth(credentials);
        problem(&send(request.json(&json!({ "limits": { "cap": 9 } }))).await, 403, "forbidden");
    }
    assert_eq!(Written::of(&api, &acme).await, before);
}

#[tokio::test]
async fn a_suspended_tenants_jobs_are_parked_and_come_back() {
    let api = api(None).await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let job = acme.upload_text("a.md", "text").await.text("/job_id");
    twin.upload_text("a.md", "text").await;
    let early = api.provisioning("early").await;
    problem(&patch(&api, "early", &json!({ "status": "suspended" })).await, 409, "tenant_not_ready");
    assert_eq!(early.get("").await.text("/status"), "provisioning");

    let reply = patch(&api, "acme", &json!({ "status": "suspended" })).await;
    assert_eq!((reply.status, reply.text("/status").as_str()), (200, "suspended"));
    problem(&acme.upload_text("b.md", "text").await, 403, "tenant_suspended");
    let operator =
        async |path: String| send(api.operator(Method::GET, &format!("/api/v1/tenants/acme{path}"))).await;
    let view = operator(format!("/jobs/{job}")).await.body();
    assert_eq!(
        (&view["state"], &view["waits_for"][0]["code"]),
        (&json!("parked"), &json!("tenant_suspended"))
    );
    let listed = operator("/jobs?state=parked&type=document.ingest".into()).await.body();
    assert_eq!((&listed["jobs"][0]["id"], &listed["jobs"][0]["state"]), (&json!(job), &json!("parked")));
    assert_eq!(operator("/jobs?state=available".into()).await.body()["jobs"], json!([]));
    let claim = api.claim().await;
    assert!(claim.jobs.iter().all(|job| &*job.partition == "acme-2") && claim.jobs.len() == 1);

    assert_eq!(patch(&api, "acme", &json!({ "status": "active" })).await.status, 200);
    assert_eq!(acme.get(&format!("/jobs/{job}")).await.text("/state"), "available");
    assert_eq!(acme.get("/jobs?state=parked").await.body()["jobs"], json!([]));
    assert_eq!(acme.upload_text("b.md", "text").await.status, 202);
    assert_eq!(api.claim().await.jobs.len(), 2);
}

#[tokio::test]
async fn a_redis_that_was_away_or_lost_its_data_is_told_again() {
    let mut redis = RedisServer::start(&[]).unwrap();
    let api = api(Some(&redis)).await;
    let (acme, keeper) = (free(&api, "acme").await, keeper(&api));
    let twin = api.tenant("acme-2").await;
    keeper.keep().await.unwrap();
    assert_eq!(keeper.keep().await.unwrap(), 0, "nothing changed, and it is nobody's turn");

    redis.stop().unwrap();
    let reply = patch(&api, "acme", &json!({ "limits": { "backlog_jobs": 1 } })).await;
    assert_eq!((reply.status, &reply.body()["applied"]), (200, &json!(false)), "{reply:?}");
    assert_eq!(acme.upload_text("a.md", "text").await.status, 202, "a queue that is away refuses nothing");
    assert!(keeper.keep().await.is_err());

    redis.resume().unwrap();
    let keep = async || keeper.keep().await.map_err(|error| error.to_string());
    assert_eq!(wait_for("the queue to answer", keep).await, 1, "it is told what it missed");
    problem(&acme.upload_text("b.md", "text").await, 429, "limit_reached");

    // Redis loses its data: limits, suspensions, and the marker that they were sent.
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
    assert_eq!(keeper.keep().await.unwrap(), 1);
    assert_eq!(acme.upload_text("b.md", "text").await.status, 202);
    problem(&acme.upload_text("c.md", "text").await, 429, "limit_reached");
    assert_eq!(twin.upload_text("c.md", "text").await.status, 202);
}

/// Copies that are deleted or changed in Redis come back within one comparison, and no others are touched.
#[tokio::test]
async fn what_was_decided_comes_back_when_its_copy_is_deleted_or_changed() {
    let redis = RedisServer::start(&[]).unwrap();
    let api = api(Some(&redis)).await;
    let (acme, keeper) = (free(&api, "acme").await, keeper(&api));
    assert_eq!(acme.post("/jobs/pause", &json!({})).await.status, 200);
    assert_eq!(acme.post("/queues/maintenance/drain", &json!({})).await.status, 200);
    let everybody = api.operator(Method::POST, "/api/v1/queues/documents/pause");
    assert_eq!(send(everybody).await.body()["applied"], true);
    acme.upload_text("a.md", "text").await;
    keeper.keep().await.unwrap();
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let prefix = format!("{}:{{q.0}}", api.queue.config().prefix);
    let settings = format!("{prefix}:t:acme:S");
    let kept = |connection: &mut redis::Connection| -> std::collections::BTreeMap<String, String> {
        let mut fields: std::collections::BTreeMap<String, String> =
            redis::cmd("HGETALL").arg(&settings).query(connection).unwrap();
        fields.remove("ep");
        fields
    };
    let before = kept(&mut connection);
    assert_eq!((&*before["paused"], &*before["p:maintenance"], &*before["qj"]), ("1", "draining", "2"));
    let next_turn = |connection: &mut redis::Connection| {
        redis::cmd("DEL").arg(format!("{prefix}:turn:settings")).exec(connection).unwrap();
    };
    for damage in [
        vec!["DEL", &settings],
        vec!["HDEL", &settings, "paused"],
        vec!["HSET", &settings, "qj", "999999", "p:maintenance", "paused"],
        vec!["SET", &settings, "garbage"],
    ] {
        redis::cmd(damage[0]).arg(&damage[1..]).exec(&mut connection).unwrap();
        next_turn(&mut connection);
        assert_eq!(keeper.compare().await.unwrap(), 1, "{damage:?}");
        assert_eq!(kept(&mut connection), before, "{damage:?}");
        next_turn(&mut connection);
        assert_eq!(keeper.compare().await.unwrap(), 0, "{damage:?}");
    }
    redis::cmd("DEL").arg(format!("{prefix}:P")).exec(&mut connection).unwrap();
    next_turn(&mut connection);
    assert_eq!(keeper.compare().await.unwrap(), 1);
    let flow: String =
        redis::cmd("HGET").arg(format!("{prefix}:P")).arg("documents").query(&mut connection).unwrap();
    assert_eq!(flow, "paused");
    // A queue without a decision may be held back by a program that embeds the worker.
    api.queue.queue_set("other", jobs::queue::Flow::Paused).await.unwrap();
    next_turn(&mut connection);
    assert_eq!(keeper.compare().await.unwrap(), 0);
}

#[tokio::test]
async fn a_pause_holds_from_when_redis_is_back() {
    let mut redis = RedisServer::start(&[]).unwrap();
    let api = api(Some(&redis)).await;
    let (acme, keeper) = (free(&api, "acme").await, keeper(&api));
    let job = acme.upload_text("a.md", "text").await.text("/job_id");
    keeper.keep().await.unwrap();
    redis.stop().unwrap();
    let paused = acme.post("/jobs/pause", &json!({})).await;
    assert_eq!((paused.status, &paused.body()["applied"]), (200, &json!(false)), "{paused:?}");
    redis.resume().unwrap();
    let keep = async || keeper.keep().await.map_err(|error| error.to_string());
    wait_for("the queue to answer", keep).await;
    assert_eq!(acme.get(&format!("/jobs/{job}")).await.text("/waits_for/0/code"), "tenant_paused");
}

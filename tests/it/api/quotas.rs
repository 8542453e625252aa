use futures::future::join_all;
use jobs::plan::{Plans, Quota};
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, ApiOptions, ApiTenant, Claims, Reply, Written, problem, send};

async fn api() -> Api {
    let plans = "[plan.ten]\nmax_documents = 10\n[plan.small]\nstorage_bytes = 10\n[plan.slow]\ndaily_jobs = 3\n\
         [plan.two]\nkbs = 2\nmax_schedules = 2\nmax_api_keys = 3\nmax_webhooks = 2\nidempotency_keys = 2";
    Api::with(ApiOptions { plans: Plans::parse(plans).unwrap(), ..ApiOptions::default() }).await
}

async fn patch(api: &Api, tenant: &ApiTenant, body: &Value) -> Reply {
    send(api.operator(Method::PATCH, &format!("/api/v1/tenants/{}", tenant.id)).json(body)).await
}

async fn on_plan(api: &Api, id: &str, plan: &str) -> ApiTenant {
    let tenant = api.tenant(id).await;
    assert_eq!(patch(api, &tenant, &json!({ "plan": plan })).await.status, 200);
    tenant
}

fn numbers(reply: &Reply) -> (Value, Value, Value) {
    let body = reply.body();
    (body["limit"].clone(), body["current"].clone(), body["maximum"].clone())
}

#[tokio::test]
async fn of_a_hundred_uploads_at_once_ten_are_taken_where_ten_have_room() {
    let api = api().await;
    let (acme, twin) = (on_plan(&api, "acme", "ten").await, on_plan(&api, "acme-2", "ten").await);
    let names: Vec<_> = (0..100).map(|n| format!("{n}.md")).collect();
    let replies = join_all(names.iter().map(|name| acme.upload_text(name, "text"))).await;
    let (taken, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 202);
    assert_eq!(taken.len(), 10);
    for reply in &refused {
        problem(reply, 429, "documents_limit_reached");
        assert_eq!(numbers(reply), (json!("max_documents"), json!(10), json!(10)));
        assert_eq!(reply.header("retry-after"), "", "waiting does not help");
    }
    let listed = acme.get("/kbs/default/documents").await.body();
    assert_eq!(listed["documents"].as_array().map(Vec::len), Some(10));
    assert_eq!(twin.upload_text("a.md", "text").await.status, 202, "the twin has room of its own");

    // An existing document can be replaced, and a raised quota helps at once.
    let known = listed["documents"][0]["name"].as_str().unwrap();
    assert_eq!(acme.upload_text(known, "another text").await.status, 202);
    let before = Written::of(&api, &acme).await;
    problem(&acme.upload_text("new.md", "text").await, 429, "documents_limit_reached");
    assert_eq!(Written::of(&api, &acme).await, before);
    assert_eq!(patch(&api, &acme, &json!({ "limits": { "max_documents": 11 } })).await.status, 200);
    assert_eq!(acme.upload_text("new.md", "text").await.status, 202);
    problem(&acme.upload_text("newer.md", "text").await, 429, "documents_limit_reached");
}

#[tokio::test]
async fn a_tenant_makes_as_many_knowledge_bases_as_its_plan_allows() {
    let api = api().await;
    let (acme, twin) = (on_plan(&api, "acme", "two").await, api.tenant("acme-2").await);
    let make = async |tenant: &ApiTenant, id: String| {
        send(tenant.request(Method::POST, "/kbs").json(&json!({ "kb_id": id, "name": "Another" }))).await
    };
    let replies = join_all((0..8).map(|n| make(&acme, format!("kb-{n}")))).await;
    let (made, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 201);
    assert_eq!(made.len(), 1, "the first one is there already");
    for reply in &refused {
        problem(reply, 429, "kbs_limit_reached");
        assert_eq!(numbers(reply), (json!("kbs"), json!(2), json!(2)));
    }
    assert_eq!(acme.get("/kbs").await.body()["kbs"].as_array().map(Vec::len), Some(2));
    assert_eq!(make(&twin, "kb-1".to_owned()).await.status, 201);
}

#[tokio::test]
async fn the_original_of_a_document_without_room_is_not_kept() {
    let api = api().await;
    let acme = on_plan(&api, "acme", "small").await;
    assert_eq!(acme.upload_text("a.md", "12345").await.status, 202);
    let files = |name| [(name, b"123456".as_slice())];
    let refused = acme.upload_files(&files("b.md")).await;
    problem(&refused, 429, "storage_limit_reached");
    assert_eq!(numbers(&refused), (json!("storage_bytes"), json!(5), json!(10)));
    let (kb, id) = ("default".parse().unwrap(), jobs::DocumentId::of_name("b.md"));
    let sha256 = "8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92";
    assert_eq!(acme.stores.blobs().original(&kb, &id, sha256).await.unwrap(), None);
    // As a replacement of the existing one it fits.
    assert_eq!(acme.upload_files(&files("a.md")).await.status, 202);
    assert_eq!(acme.upload_text("b.md", "1234").await.status, 202);
    problem(&acme.upload_text("c.md", "1").await, 429, "storage_limit_reached");
}

#[tokio::test]
async fn usage_shows_what_is_used_of_each_quota() {
    let api = api().await;
    let (acme, twin) = (on_plan(&api, "acme", "ten").await, api.tenant("acme-2").await);
    for name in ["a.md", "b.md"] {
        assert_eq!(acme.upload_text(name, "12345").await.status, 202);
    }
    let shown = acme.get("/usage").await.body();
    assert_eq!((&shown["id"], &shown["plan"]), (&json!("acme"), &json!("ten")));
    let quotas = &shown["quotas"];
    let expected = json!({ "current": 2, "maximum": 10, "unit": "documents", "resets_at": null });
    assert_eq!(quotas["max_documents"], expected);
    let expected = json!({ "current": 10, "maximum": null, "unit": "bytes", "resets_at": null });
    assert_eq!(quotas["storage_bytes"], expected);
    let midnight = "2027-01-16T00:00:00Z";
    let expected = json!({ "current": 2, "maximum": null, "unit": "jobs", "resets_at": midnight });
    assert_eq!(quotas["daily_jobs"], expected);
    assert_eq!(quotas["kbs"]["current"], 1);
    assert_eq!(quotas["api_calls_per_day"]["resets_at"], midnight);
    assert_eq!(quotas["api_calls_per_month"]["resets_at"], "2027-02-01T00:00:00Z");
    for quota in Quota::ALL {
        assert!(quotas[quota.as_str()]["current"].is_u64(), "{quota}: {shown}");
    }
    let path = "/api/v1/tenants/acme/usage";
    assert_eq!(send(api.operator(Method::GET, path)).await.body()["quotas"]["max_documents"]["current"], 2);
    assert_eq!(twin.get("/usage").await.body()["quotas"]["max_documents"]["current"], 0);
    acme.member(&api, "product:ann", "ADMIN").await;
    let only_kb = Claims { kb_id: Some("default".into()), ..Claims::of("acme", "ADMIN") };
    let limited = api.request(Method::GET, path).bearer_auth(only_kb.token());
    problem(&send(limited).await, 403, "forbidden");
}

#[tokio::test]
async fn the_jobs_of_a_day_begin_anew_at_midnight() {
    let api = api().await;
    let acme = on_plan(&api, "acme", "slow").await;
    let two = json!({ "documents": [{ "name": "a.md", "text": "a" }, { "name": "b.md", "text": "b" }] });
    assert_eq!(acme.post("/kbs/default/documents/batch", &two).await.status, 202);
    problem(&acme.post("/kbs/default/documents/batch", &two).await, 429, "daily_jobs_limit_reached");
    assert_eq!(acme.upload_text("c.md", "c").await.status, 202, "the refused two do not count");
    let refused = acme.upload_text("d.md", "d").await;
    problem(&refused, 429, "daily_jobs_limit_reached");
    assert_eq!(numbers(&refused), (json!("daily_jobs"), json!(3), json!(3)));
    // The clock stands at 08:00.
    assert_eq!(refused.header("retry-after"), (16 * 3_600).to_string());
    api.clock.advance(std::time::Duration::from_secs(16 * 3_600));
    assert_eq!(acme.upload_text("d.md", "d").await.status, 202);
}

#[tokio::test]
async fn schedules_keys_and_idempotency_keys_are_bounded_each_with_its_code() {
    let api = api().await;
    let (acme, twin) = (on_plan(&api, "acme", "two").await, api.tenant("acme-2").await);
    let refused = |replies: Vec<Reply>, room: usize, code: &str| {
        let refused: Vec<_> = replies.into_iter().filter(|reply| reply.status >= 300).collect();
        assert_eq!(refused.len(), 8 - room, "{code}: {refused:?}");
        for reply in &refused {
            problem(reply, 429, code);
        }
    };
    let schedule = json!({ "cron": "0 3 * * *", "time_zone": "UTC", "type": "kb.reindex" });
    let put = async |tenant: &ApiTenant, n: usize| {
        send(tenant.request(Method::PUT, &format!("/kbs/default/schedules/s-{n}")).json(&schedule)).await
    };
    refused(join_all((0..8).map(|n| put(&acme, n))).await, 2, "schedules_limit_reached");
    let key = async |tenant: &ApiTenant, n: usize| {
        tenant.post("/api-keys", &json!({ "name": format!("key {n}") })).await
    };
    let before = acme.get("/usage").await.body()["quotas"]["max_api_keys"]["current"].as_u64().unwrap();
    let room = 3 - usize::try_from(before).unwrap();
    refused(join_all((0..8).map(|n| key(&acme, n))).await, room, "api_keys_limit_reached");
    let webhook = async |tenant: &ApiTenant| {
        let new = json!({ "url": "https://hooks.example.com/", "events": ["job.failed"] });
        tenant.post("/webhooks", &new).await
    };
    refused(join_all((0..8).map(|_| webhook(&acme))).await, 2, "webhooks_limit_reached");
    let asked = async |tenant: &ApiTenant, n: usize| {
        let request = tenant.request(Method::POST, "/kbs/default/reindex");
        send(request.header("idempotency-key", format!("key-{n}"))).await
    };
    refused(join_all((0..8).map(|n| asked(&acme, n))).await, 2, "idempotency_keys_limit_reached");
    for (tenant, quota) in [(&acme, "max_schedules"), (&acme, "idempotency_keys")] {
        let shown = tenant.get("/usage").await.body()["quotas"][quota].clone();
        assert_eq!((&shown["current"], &shown["maximum"]), (&json!(2), &json!(2)), "{quota}");
    }
    assert_eq!(put(&twin, 0).await.status, 200);
    assert_eq!((key(&twin, 0).await.status, asked(&twin, 0).await.status), (201, 202));
    let usual = twin.get("/usage").await.body()["quotas"].clone();
    assert_eq!(
        (&usual["max_schedules"]["maximum"], &usual["idempotency_keys"]["maximum"]),
        (&json!(1_000), &json!(20_000))
    );
}

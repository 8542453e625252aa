//! The last hour: of all tenants for the operator, of itself for a tenant.

use std::time::Duration;

use jobs::clock::Clock as _;
use jobs::tenant::TenantId;
use reqwest::Method;
use serde_json::{Value, json};
use stores::activity::{Activity, Counts, Minute};
use tests::api::{Api, Claims, Reply, problem, send};

/// Says that a worker ran so many jobs for tenants in this minute.
async fn worked(api: &Api, tenants: &[(&str, u64)]) {
    let activity = api.opened.activity.of_queue(&api.queue.config().prefix);
    let counts = |jobs: u64| Counts {
        started: jobs,
        completed: jobs - 1,
        failed: 1,
        waited: jobs,
        wait_ms: 250 * jobs,
        run_ms: 1_000 * jobs,
        ..Counts::default()
    };
    let mut minute = Minute::default();
    for (tenant, jobs) in tenants {
        minute.tenants.insert(tenant.parse::<TenantId>().unwrap(), counts(*jobs));
        minute.kinds.entry("document.ingest".to_owned()).or_default().add(&counts(*jobs));
    }
    activity.add([(Activity::minute_of(api.clock.now()), minute)].into()).await.unwrap();
}

async fn of_all(api: &Api) -> Reply {
    send(api.operator(Method::GET, "/api/v1/activity")).await
}

#[tokio::test]
async fn the_operator_sees_the_sums_and_a_tenant_only_itself() {
    let api = Api::start().await;
    let (acme, other) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let nothing = of_all(&api).await.body();
    assert_eq!((nothing["minutes"].as_array().unwrap().len(), &nothing["tenants"]), (60, &json!([])));
    worked(&api, &[("acme", 4), ("acme-2", 2)]).await;
    api.clock.advance(Duration::from_secs(120));
    worked(&api, &[("acme-2", 10)]).await;

    let all = of_all(&api).await.body();
    let (before, last) = (&all["minutes"][57], &all["minutes"][59]);
    assert_eq!(
        (&before["started"], &before["failed"], &before["mean_wait_ms"]),
        (&json!(6), &json!(2), &json!(250))
    );
    assert_eq!((&last["completed"], &last["run_ms"]), (&json!(9), &json!(10_000)));
    assert_eq!(all["types"][0]["type"], "document.ingest");
    assert_eq!(all["types"][0]["started"], 16);
    let tenants: Vec<_> = all["tenants"].as_array().unwrap().iter().map(|of| &of["tenant"]).collect();
    assert_eq!(tenants, ["acme-2", "acme"], "most worker time first");
    assert_eq!((&all["tenants"][1]["run_ms"][57], &all["tenants"][1]["weight"]), (&json!(4_000), &json!(1)));

    let mine = acme.get("/activity").await;
    assert_eq!(
        (mine.text("/tenant"), &mine.body()["minutes"][57]["started"]),
        ("acme".to_owned(), &json!(4))
    );
    assert_eq!(mine.body()["minutes"][59]["started"], 0);
    assert!(!String::from_utf8_lossy(&mine.bytes).contains(&other.id), "{mine:?}");
    assert_eq!(mine.body().get("tenants"), None);
    let theirs = send(api.operator(Method::GET, "/api/v1/tenants/acme/activity")).await.body();
    assert_eq!(theirs, mine.body());
}

#[tokio::test]
async fn an_hour_is_shown_and_what_is_older_is_not() {
    let api = Api::start().await;
    api.tenant("acme").await;
    worked(&api, &[("acme", 4)]).await;
    let started = |reply: &Value| -> u64 {
        reply["minutes"].as_array().unwrap().iter().map(|minute| minute["started"].as_u64().unwrap()).sum()
    };
    for (minutes, expected) in [(0, 4), (59, 4), (1, 0)] {
        api.clock.advance(Duration::from_secs(60 * minutes));
        assert_eq!(started(&of_all(&api).await.body()), expected, "{minutes}");
    }
}

#[tokio::test]
async fn credentials_of_one_knowledge_base_see_no_activity() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    acme.member(&api, "product:ann", "VIEWER").await;
    let one_kb = Claims { kb_id: Some("default".into()), ..Claims::of("acme", "VIEWER") };
    let reply = send(acme.anonymous(Method::GET, "/activity").bearer_auth(one_kb.token())).await;
    problem(&reply, 403, "forbidden");
    let viewer =
        send(acme.anonymous(Method::GET, "/activity").bearer_auth(Claims::of("acme", "VIEWER").token()));
    assert_eq!(viewer.await.status, 200);
}

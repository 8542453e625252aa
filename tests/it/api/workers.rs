//! Worker processes, as operators see and steer them.

use reqwest::Method;
use serde_json::{Value, json};
use stores::workers::{NumberedOrder, SlotsReport, WorkerReport};
use tests::api::{Api, Claims, Reply, problem, send};

fn report(is_fetching: bool, obeyed: Option<&NumberedOrder>) -> WorkerReport {
    let slots = |slots, in_flight| SlotsReport { slots, in_flight };
    WorkerReport {
        host: Some("node-1".into()),
        pid: 7,
        version: "0.1.0".into(),
        started_at: Api::start_time(),
        slots: [("jobs".into(), slots(16, 3)), ("webhooks".into(), slots(4, 0))].into(),
        is_fetching,
        obeys: obeyed.map_or(0, |obeyed| obeyed.number),
    }
}

async fn tell(api: &Api, worker: &str, verb: &str, reason: &str) -> Reply {
    let request = api.operator(Method::POST, &format!("/api/v1/workers/{worker}/{verb}"));
    let request = if reason.is_empty() { request } else { request.header("audit-reason", reason) };
    send(request).await
}

#[tokio::test]
async fn workers_are_listed_with_all_of_their_slots_page_by_page() {
    let api = Api::start().await;
    let get = async |path: &str| send(api.operator(Method::GET, path)).await;
    assert_eq!(get("/api/v1/workers").await.body(), json!({ "workers": [], "next": null }));
    for id in ["c", "a", "b"] {
        api.workers().beat(id, &report(true, None), None).await.unwrap();
    }
    let page = get("/api/v1/workers?limit=2").await.body();
    let ids = |page: &Value| {
        let workers = page["workers"].as_array().unwrap().iter();
        workers.map(|worker| worker["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((ids(&page), &page["next"]), (vec!["a".into(), "b".into()], &json!("b")));
    let page = get("/api/v1/workers?limit=2&after=b").await.body();
    assert_eq!((ids(&page), &page["next"]), (vec!["c".into()], &Value::Null));
    let mut shown = get("/api/v1/workers/a").await.body();
    assert!(shown["seen_at"].take().is_string());
    let expected = json!({
        "id": "a", "host": "node-1", "pid": 7, "version": "0.1.0", "started_at": "2027-01-15T08:00:00Z",
        "seen_at": null, "fetching": true, "not_fetching": null, "applied": true,
        "slots": { "jobs": { "slots": 16, "in_flight": 3 }, "webhooks": { "slots": 4, "in_flight": 0 } },
    });
    assert_eq!(shown, expected);
    problem(&get("/api/v1/workers/d").await, 404, "not_found");
    for verb in ["stop-fetching", "resume-fetching"] {
        problem(&tell(&api, "d", verb, "").await, 404, "not_found");
    }
}

#[tokio::test]
async fn a_worker_is_told_once_and_obeys_with_its_next_beat() {
    let api = Api::start().await;
    let workers = api.workers();
    workers.beat("a", &report(true, None), None).await.unwrap();
    workers.beat("b", &report(true, None), None).await.unwrap();
    let told = tell(&api, "a", "stop-fetching", "caf%C3%A9").await;
    assert_eq!(told.status, 200, "{told:?}");
    let why = json!({ "since": "2027-01-15T08:00:00Z", "by": "operator", "reason": "caf\u{e9}" });
    let seen = |reply: &Reply| {
        let body = reply.body();
        (body["fetching"].clone(), body["not_fetching"].clone(), body["applied"].clone())
    };
    assert_eq!(seen(&told), (json!(false), why.clone(), json!(false)));
    // Told again, for another reason: it rests since it was told first.
    api.clock.advance(std::time::Duration::from_secs(60));
    let again = tell(&api, "a", "stop-fetching", "").await;
    assert_eq!(seen(&again).1, json!({ "since": why["since"], "by": "operator", "reason": null }));

    let order = workers.beat("a", &report(true, None), None).await.unwrap().unwrap();
    workers.beat("a", &report(false, Some(&order)), Some(&order)).await.unwrap();
    let shown = send(api.operator(Method::GET, "/api/v1/workers/a")).await;
    assert_eq!((seen(&shown).0, seen(&shown).2), (json!(false), json!(true)));
    assert_eq!(workers.beat("b", &report(true, None), None).await.unwrap(), None, "the other was not meant");
    let on = tell(&api, "a", "resume-fetching", "").await;
    assert_eq!(seen(&on), (json!(true), Value::Null, json!(false)));
}

#[tokio::test]
async fn workers_are_the_operators_alone() {
    let api = Api::start().await;
    let acme = api.tenant("acme").await;
    api.workers().beat("a", &report(true, None), None).await.unwrap();
    acme.member(&api, "product:ann", "ADMIN").await;
    let admin = Claims::of("acme", "ADMIN").token();
    for (method, path) in [
        (Method::GET, "/api/v1/workers"),
        (Method::GET, "/api/v1/workers/a"),
        (Method::POST, "/api/v1/workers/a/stop-fetching"),
        (Method::POST, "/api/v1/workers/a/resume-fetching"),
    ] {
        for key in [&acme.key, &admin] {
            let reply = send(api.request(method.clone(), path).bearer_auth(key)).await;
            problem(&reply, 403, "forbidden");
        }
        problem(&send(api.request(method, path)).await, 401, "credentials_missing");
    }
    let untouched = api.workers().one("a").await.unwrap().unwrap();
    assert_eq!(untouched.order, None);
}

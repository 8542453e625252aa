//! apalis-board's HTTP API on a storage with a worker.

use apalis::prelude::*;
use apalis_board_api::framework::{ApiBuilder, RegisterRoute as _};
use apalis_core::backend::BackendConfig;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use fair_queue::storage::Storage;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::site::{Log, Mail, Site, Work, mail};
use crate::worker_queue::site::until;

/// What a board asks for all at once.
fn can_be_exposed<B: BackendConfig + Expose<Mail, B::Kind>>(_: &B) {}

struct Api(Router);

impl Api {
    fn on(storage: Storage<Mail>) -> Self {
        can_be_exposed(&storage);
        Self(ApiBuilder::new(Router::new()).register("mails", storage).build())
    }

    async fn ask(&self, request: Request<Body>) -> Value {
        let what = request.uri().to_string();
        let answer = self.0.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{what}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn push(&self, to: &str, partition: &str) {
        let request = Request::put("/queues/mails/tasks")
            .header("content-type", "application/json")
            .header("x-task-id", to)
            .header("x-task-meta-partition", partition);
        self.ask(request.body(Body::from(json!({ "to": to }).to_string())).unwrap()).await;
    }
}

#[tokio::test]
async fn a_board_pushes_and_shows_tasks() {
    let site = Site::new().await;
    let (log, context) = (Log::default(), WorkerContext::new("w"));
    let mut mails = site.mails();
    let api = Api::on(mails.clone());
    api.push("ann", "acme").await;
    api.push("bob", "bolt").await;

    let tasks = api.get("/queues/mails/tasks?status=Pending&page=1&page_size=10").await;
    let shown: Vec<_> = tasks.as_array().unwrap().iter().map(|task| &task["args"]["to"]).collect();
    assert_eq!(shown, ["ann", "bob"]);
    assert_eq!(api.get("/tasks?page=1").await.as_array().unwrap().len(), 2);
    let task = api.get("/queues/mails/tasks/bob").await;
    assert_eq!((&task["args"]["to"], &task["ctx"]["metadata"]["partition"]), (&json!("bob"), &json!("bolt")));
    assert_eq!(task["ctx"]["status"], "Pending");

    let seen = log.clone();
    let handler = move |mail: Mail| {
        seen.add(&mail.to);
        async move { if mail.to == "ann" { Err(AbortError::new("no address")) } else { Ok(()) } }
    };
    let work = Work::new(&context, WorkerBuilder::new(&context).backend(mails.clone()).build(handler).run());
    log.until(2).await;
    until("the worker is listed", async || api.get("/workers").await[0]["id"] != Value::Null).await;
    let worker = &api.get("/queues/mails/workers").await[0];
    assert!(worker["id"].as_str().unwrap().starts_with("w-") && worker["queue"] == "mails", "{worker}");
    assert!(worker["started_at"].as_u64() <= worker["last_heartbeat"].as_u64(), "{worker}");

    until("both have ended", async || {
        api.get("/queues/mails/tasks?page=1").await[0]["ctx"]["status"] == "Killed"
    })
    .await;
    let value = |statistics: &Value, title: &str| {
        let all = statistics.as_array().unwrap();
        all.iter().find(|one| one["title"] == title).map_or(Value::Null, |one| one["value"].clone())
    };
    until("both are counted", async || value(&api.get("/overview").await, "DONE_JOBS") == "1").await;
    assert_eq!(value(&api.get("/queues/mails/stats").await, "KILLED_JOBS"), "1");
    let queue = &api.get("/queues").await[0];
    assert_eq!((&queue["name"], &queue["workers"][0]), (&json!("mails"), &worker["id"]));
    work.stop().await;
    mails.push(mail("eve")).await.unwrap();
    assert_eq!(value(&api.get("/overview").await, "PENDING_JOBS"), "1");
}

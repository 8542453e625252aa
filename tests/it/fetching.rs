//! Workers that operators tell to stop fetching: they claim nothing while others do, until they are told to go on.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fair_queue::testing::RedisServer;
use jobs::envelope::StampKeys;
use jobs::queue::QueueConfig;
use jobs::tenant::{Actor, Role, TenantContext, TenantId};
use jobs::{Job, JobError};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stores::StoresConfig;
use tests::api::{Api, ApiOptions, Reply, problem, send};
use tests::program::{Program, http_client};
use tests::wait::wait_for;
use tokio::sync::watch;
use worker::{Handler, JobContext, Worker};

#[derive(Serialize, Deserialize)]
struct Note {}

impl Job for Note {
    const TYPE: &'static str = "test.note";
}

/// Which worker ran how many, and whether they may end.
#[derive(Clone)]
struct Desk {
    name: &'static str,
    ran: Arc<Mutex<Vec<&'static str>>>,
    gate: watch::Receiver<bool>,
}

impl Handler for Note {
    async fn handle(&self, cx: &JobContext) -> Result<(), JobError> {
        let desk = cx.state::<Desk>()?;
        desk.ran.lock().unwrap().push(desk.name);
        let mut gate = desk.gate.clone();
        gate.wait_for(|is_open| *is_open).await.map(drop).map_err(JobError::retry)
    }
}

/// An API and two workers of one queue.
struct Site {
    api: Api,
    one: Worker,
    two: Worker,
    ann: TenantContext,
    ran: Arc<Mutex<Vec<&'static str>>>,
    gate: watch::Sender<bool>,
    _data: tempfile::TempDir,
}

async fn started(data: &Path, queue: QueueConfig, keys: &StampKeys, desk: Desk) -> Worker {
    let stores = StoresConfig::embedded(data.to_owned(), queue.url.clone());
    let builder = Worker::builder(queue, keys.clone(), stores).register::<Note>().state(desk).concurrency(4);
    builder.start().await.unwrap()
}

impl Site {
    async fn open(redis: &RedisServer) -> Self {
        let api = Api::with(ApiOptions { redis_url: Some(redis.url()), ..ApiOptions::default() }).await;
        let data = tempfile::tempdir().unwrap();
        let keys = StampKeys::parse(&StampKeys::generate("test")).unwrap();
        let (ran, gate) = (Arc::default(), watch::Sender::new(true));
        let start = async |name: &'static str| {
            let prefix = api.queue.config().prefix.clone();
            let queue = QueueConfig { prefix, ..jobs::queue::config(redis.url().into()) };
            let desk = Desk { name, ran: Arc::clone(&ran), gate: gate.subscribe() };
            started(data.path(), queue, &keys, desk).await
        };
        let (one, two) = (start("one").await, start("two").await);
        let acme: TenantId = "acme".parse().unwrap();
        one.tenants().ensure(&acme, "Acme").await.unwrap();
        let ann = Actor::User("product:ann".parse().unwrap());
        let ann = one.tenants().admit(&acme, ann, Role::Editor).await.unwrap();
        Self { api, one, two, ann, ran, gate, _data: data }
    }

    async fn push(&self, jobs: usize) {
        for _ in 0..jobs {
            self.one.enqueuer().enqueue(&self.ann, &Note {}).await.unwrap();
        }
    }

    fn ran(&self, name: &str) -> usize {
        self.ran.lock().unwrap().iter().filter(|by| **by == name).count()
    }

    async fn all_ran(&self, jobs: usize) {
        wait_for("the jobs to have begun", async || {
            let ran = self.ran.lock().unwrap().len();
            if ran == jobs { Ok(()) } else { Err(ran) }
        })
        .await;
    }

    async fn tell(&self, worker: &str, verb: &str) -> Reply {
        let path = format!("/api/v1/workers/{worker}/{verb}");
        send(self.api.operator(Method::POST, &path).header("audit-reason", "a%20new%20version")).await
    }

    async fn shown(&self, worker: &str) -> Reply {
        send(self.api.operator(Method::GET, &format!("/api/v1/workers/{worker}"))).await
    }

    /// Waits until the worker does what it was told, and returns how it is.
    async fn applied(&self, worker: &str) -> Value {
        wait_for("the worker to take note", async || {
            let reply = self.shown(worker).await;
            if reply.status == 200 && reply.body()["applied"] == true { Ok(reply.body()) } else { Err(reply) }
        })
        .await
    }

    async fn close(self) {
        self.gate.send_replace(true);
        tokio::join!(self.one.stop(Duration::from_secs(5)), self.two.stop(Duration::from_secs(5)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_claims_nothing_while_another_does() {
    let redis = RedisServer::start(&[]).unwrap();
    let site = Site::open(&redis).await;
    let (one, two) = (site.one.id().to_owned(), site.two.id().to_owned());
    let listed = send(site.api.operator(Method::GET, "/api/v1/workers")).await.body();
    let mut ids: Vec<_> = listed["workers"].as_array().unwrap().iter().map(|found| &found["id"]).collect();
    ids.sort_by_key(ToString::to_string);
    let mut expected = [json!(one), json!(two)];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(ids, expected.iter().collect::<Vec<_>>(), "{listed}");

    let told = site.tell(&one, "stop-fetching").await;
    assert_eq!(told.status, 200, "{told:?}");
    let rests = site.applied(&one).await;
    assert_eq!((&rests["fetching"], &rests["slots"]["jobs"]["slots"]), (&json!(false), &json!(4)), "{rests}");
    let why = json!({ "since": "2027-01-15T08:00:00Z", "by": "operator", "reason": "a new version" });
    assert_eq!(rests["not_fetching"], why);
    assert_eq!(site.shown(&two).await.body()["fetching"], true);
    site.push(40).await;
    site.all_ran(40).await;
    assert_eq!((site.ran("one"), site.ran("two")), (0, 40));

    // The other way round, with what it holds.
    site.gate.send_replace(false);
    site.push(3).await;
    site.all_ran(43).await;
    site.tell(&two, "stop-fetching").await;
    let holds = site.applied(&two).await;
    assert_eq!(holds["slots"]["jobs"]["in_flight"], 3, "it ends what it has: {holds}");
    let goes_on = site.tell(&one, "resume-fetching").await;
    assert_eq!((goes_on.status, &goes_on.body()["not_fetching"]), (200, &Value::Null));
    site.applied(&one).await;
    site.gate.send_replace(true);
    site.push(10).await;
    site.all_ran(53).await;
    assert_eq!((site.ran("one"), site.ran("two")), (10, 43));
    wait_for("what it had to be done", async || {
        let stats = site.api.queue.stats(&"acme".parse().unwrap()).await.unwrap();
        if stats.completed_total == 53 { Ok(()) } else { Err(stats) }
    })
    .await;

    // A restarted worker is another one.
    let Site { api, one: first, two: second, .. } = site;
    tokio::join!(first.stop(Duration::from_secs(5)), second.stop(Duration::from_secs(5)));
    for gone in [one, two] {
        let path = format!("/api/v1/workers/{gone}");
        problem(&send(api.operator(Method::GET, &path)).await, 404, "not_found");
        let told = send(api.operator(Method::POST, &format!("{path}/stop-fetching"))).await;
        problem(&told, 404, "not_found");
    }
}

/// What a worker was told is true in the worker: no Redis that comes back, with its data or without, changes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_restarts_changes_nothing() {
    let mut redis = RedisServer::start(&[]).unwrap();
    let site = Site::open(&redis).await;
    let one = site.one.id().to_owned();
    site.tell(&one, "stop-fetching").await;
    site.applied(&one).await;
    for loses_its_data in [false, true] {
        redis.stop().unwrap();
        redis.resume().unwrap();
        if loses_its_data {
            let client = redis::Client::open(redis.url()).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
        }
        let rests = site.applied(&one).await;
        assert_eq!(rests["not_fetching"]["reason"], "a new version", "{rests}");
        site.ran.lock().unwrap().clear();
        site.push(10).await;
        site.all_ran(10).await;
        assert_eq!((site.ran("one"), site.ran("two")), (0, 10));
    }
    // It can be told to go on by the Redis that has forgotten everything.
    site.tell(&one, "resume-fetching").await;
    assert_eq!(site.applied(&one).await["fetching"], true);
    site.close().await;
}

/// In the log of the worker, in its metrics and in the operator's audit log.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_is_told_is_logged_measured_and_audited() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::dev_with(data.path(), &[("RUST_LOG", "info")]);
    let client = http_client();
    let ask = async |method: Method, path: &str| {
        let request = client.request(method, format!("{}{path}", program.url));
        send(request.bearer_auth(&program.operator_key).header("audit-reason", "a%20new%20version")).await
    };
    let list = ask(Method::GET, "/api/v1/workers").await.body();
    let worker = list["workers"][0]["id"].as_str().unwrap_or_else(|| panic!("{list}")).to_owned();
    for (verb, said, is_fetching) in [
        ("stop-fetching", "told to stop fetching jobs", "tenantry_worker_fetching 0"),
        ("resume-fetching", "told to fetch jobs again", "tenantry_worker_fetching 1"),
    ] {
        assert_eq!(ask(Method::POST, &format!("/api/v1/workers/{worker}/{verb}")).await.status, 200);
        wait_for("the worker to say so", async || {
            let metrics = ask(Method::GET, "/metrics").await;
            let metrics = String::from_utf8(metrics.bytes.clone()).unwrap();
            let log = program.said();
            let line = log.lines().find(|line| line.contains(said));
            let is_told = line.is_some_and(|line| {
                line.contains(&worker) && line.contains("operator") && line.contains("a new version")
            });
            if is_told && metrics.lines().any(|line| line == is_fetching) { Ok(()) } else { Err(log) }
        })
        .await;
    }
    let log = ask(Method::GET, "/api/v1/audit").await.body();
    let entries: Vec<_> = log["entries"].as_array().unwrap().iter().collect();
    for action in ["workers_stop_fetching", "workers_resume_fetching"] {
        let entry = entries.iter().find(|entry| entry["action"] == action);
        let entry = entry.unwrap_or_else(|| panic!("{log}"));
        assert_eq!((&entry["target"]["worker"], &entry["reason"]), (&json!(worker), &json!("a new version")));
        assert_eq!((&entry["actor"], &entry["tenant"]), (&json!("operator"), &Value::Null), "{entry}");
    }
}

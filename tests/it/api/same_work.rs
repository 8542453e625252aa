//! The time of an answer reveals nothing about other tenants: an id of another tenant causes the same work as one that
//! exists nowhere. Work is measured, not time: statements of the catalog, and commands to Redis.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;

use api_thin::Route;
use fair_queue::testing::RedisServer;
use redis::aio::MultiplexedConnection;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tests::api::{Api, ApiOptions, ApiTenant, Reply, send};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::every_route::{Bait, bait, full_path, tenant_routes, with_body};

/// What was done: statements and commands, and how often each.
type Work = BTreeMap<String, u64>;

static STATEMENTS: Mutex<Work> = Mutex::new(Work::new());

/// Writes down every statement that is executed.
struct Statements;

impl tracing::field::Visit for Statements {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "summary" {
            *STATEMENTS.lock().unwrap().entry(value.to_owned()).or_default() += 1;
        }
    }
}

impl Subscriber for Statements {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn new_span(&self, _: &Attributes) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event) {
        event.record(&mut Self);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An API with a Redis of its own, and two tenants with the same things.
struct Site {
    api: Api,
    redis: MultiplexedConnection,
    mine: ApiTenant,
    theirs: ApiTenant,
    bait: Bait,
    differences: Vec<String>,
}

impl Site {
    async fn open(redis: &RedisServer) -> Self {
        let api = Api::with(ApiOptions { redis_url: Some(redis.url()), ..ApiOptions::default() }).await;
        let (mine, theirs) = (api.tenant("acme").await, api.tenant("acme-2").await);
        theirs.kb_make(&api, "theirs").await;
        mine.founder(&api, "zoe").await;
        let bait = bait(&api, &theirs).await;
        let client = redis::Client::open(redis.url()).unwrap();
        Self {
            redis: client.get_multiplexed_async_connection().await.unwrap(),
            api,
            mine,
            theirs,
            bait,
            differences: Vec::new(),
        }
    }

    /// How often Redis was asked to do what.
    async fn commands(&mut self) -> Work {
        let said: String = redis::cmd("INFO").arg("commandstats").query_async(&mut self.redis).await.unwrap();
        let calls = said.lines().filter_map(|line| {
            let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((command.to_owned(), rest.split(',').next()?.parse().ok()?))
        });
        calls.filter(|(command, _)| command != "info").collect()
    }

    /// The work for one request. Background work, such as writing down counts, comes now and then: the minimum of a
    /// few is the request's own.
    async fn work(&mut self, cold: bool, request: impl Fn(&Self) -> RequestBuilder) -> (Reply, Work) {
        let mut least: Option<(Reply, Work)> = None;
        for _ in 0..4 {
            if cold {
                for tenant in [&self.mine.id, &self.theirs.id, "nobody"] {
                    self.api.opened.directory.invalidate(&tenant.parse().unwrap()).await;
                }
            }
            let before = self.commands().await;
            STATEMENTS.lock().unwrap().clear();
            let reply = send(request(self)).await;
            let mut work = STATEMENTS.lock().unwrap().clone();
            for (command, calls) in self.commands().await {
                let more = calls - before.get(&command).copied().unwrap_or_default();
                if more > 0 {
                    work.insert(format!("redis {command}"), more);
                }
            }
            let total = |work: &Work| work.values().sum::<u64>();
            if least.as_ref().is_none_or(|(_, known)| total(&work) < total(known)) {
                least = Some((reply, work));
            }
        }
        least.expect("it was asked more than once")
    }

    fn request(&self, route: &Route, path: &str) -> RequestBuilder {
        let method: Method = route.method.to_uppercase().parse().unwrap();
        with_body(route, self.api.request(method, path)).bearer_auth(&self.mine.key)
    }

    /// The same answer for the same work about each of two paths.
    async fn same(&mut self, route: &Route, exists: &str, nowhere: &str) {
        for cold in [false, true] {
            let (there, work) = self.work(cold, |site| site.request(route, exists)).await;
            let (not_there, as_much) = self.work(cold, |site| site.request(route, nowhere)).await;
            let what = format!("{} {exists} and {nowhere}, cold: {cold}", route.method);
            assert_eq!((there.status, there.bytes), (not_there.status, not_there.bytes), "{what}");
            if work != as_much {
                self.differences.push(format!("{what}:\n{work:?}\n{as_much:?}"));
            }
        }
    }
}

#[tokio::test]
#[ignore = "counts what the whole process does: the test below runs it alone"]
async fn in_a_process_of_its_own() {
    tracing::subscriber::set_global_default(Statements).unwrap();
    let redis = RedisServer::start(&["--appendonly", "no"]).unwrap();
    let mut site = Site::open(&redis).await;
    let (usual, _) = site.work(true, |site| site.mine.request(Method::GET, "/kbs/default/documents")).await;
    assert_eq!(usual.status, 200);
    assert!(!STATEMENTS.lock().unwrap().is_empty(), "no statement is seen, so none is compared");

    let nowhere = site.bait.elsewhere();
    for route in tenant_routes() {
        let exists = full_path(route, &site.theirs.id, "default", &site.bait);
        site.same(route, &exists, &full_path(route, "nobody", "default", &site.bait)).await;

        let names_an_id = ["{job}", "{document}", "{identity}", "{invitation}", "{key}"]
            .iter()
            .any(|id| route.path.contains(id));
        if names_an_id || route.path.contains("{kb}") {
            let (theirs, nobodys) = if names_an_id { ("default", "default") } else { ("theirs", "nowhere") };
            let exists = full_path(route, &site.mine.id, theirs, &site.bait);
            site.same(route, &exists, &full_path(route, &site.mine.id, nobodys, &nowhere)).await;
        }
    }
    log_ins(&mut site).await;
    assert!(site.differences.is_empty(), "{}", site.differences.join("\n"));
}

/// An unknown user is answered like a wrong password: that the hash costs as much is tested with `Passwords`.
async fn log_ins(site: &mut Site) {
    let mut logged_in = Vec::new();
    for name in ["zoe", "eve"] {
        let body = json!({ "username": name, "password": "wrong horse" });
        let request = |site: &Site| site.api.request(Method::POST, "/api/v1/auth/login").json(&body);
        logged_in.push(site.work(false, request).await);
    }
    let [(known, work), (unknown, as_much)] = logged_in.try_into().unwrap_or_else(|_| unreachable!());
    assert_eq!((known.status, known.bytes), (unknown.status, unknown.bytes));
    assert_eq!(work, as_much, "a log-in");
}

#[test]
fn what_is_anothers_takes_the_same_work_as_what_exists_nowhere() {
    let test = "api::same_work::in_a_process_of_its_own";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

//! A system whose jobs are run by worker processes alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use fair_queue::testing::RedisCluster;
use jobs::JobId;
use jobs::queue::{JobState, RedisServer};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tests::bed::{Bed, TestTenant, on_servers, send};
use tests::services::{Scratch, ServerUrls};
use tests::wait::wait_for;

use super::crash_points::{CrashPoint, Fate};
use super::ledger::{Entry, Ledgers};
use super::proxy::{Proxy, server_of, through};
use super::worker_process::{Spec, Urls, WorkerProcess};

/// An API with a PostgreSQL database and a Redis of its own. Its own worker keeps the catalog and the queue in step,
/// and takes no job.
pub(super) struct Site {
    pub(super) bed: Bed,
    pub(super) ledgers: Ledgers,
    /// `None` on a cluster, which the test holds, and while a test has taken it.
    pub(super) redis: Option<RedisServer>,
    pub(super) proxies: Proxies,
    spec: Spec,
    processes: AtomicUsize,
    _directory: tempfile::TempDir,
    database: Scratch,
}

/// A proxy in front of each server, through which all of the system goes.
pub(super) struct Proxies {
    pub(super) postgres: Proxy,
    pub(super) redis: Proxy,
    pub(super) mongo: Proxy,
    pub(super) neo4j: Proxy,
}

impl Proxies {
    async fn before(urls: &ServerUrls) -> Self {
        Self {
            postgres: Proxy::start(&server_of(&urls.postgres)).await,
            redis: Proxy::start(&server_of(&urls.redis)).await,
            mongo: Proxy::start(&server_of(&urls.mongo)).await,
            neo4j: Proxy::start(&server_of(&urls.neo4j)).await,
        }
    }

    fn urls(&self, direct: &ServerUrls) -> ServerUrls {
        ServerUrls {
            postgres: through(&direct.postgres, &self.postgres),
            redis: through(&direct.redis, &self.redis),
            mongo: through(&direct.mongo, &self.mongo),
            neo4j: through(&direct.neo4j, &self.neo4j),
            ..direct.clone()
        }
    }
}

impl Site {
    pub(super) async fn open() -> Self {
        let redis = RedisServer::start(&["--appendfsync", "everysec"]).unwrap();
        let url = redis.url();
        Self::on_redis(Some(redis), url).await
    }

    /// On a Redis Cluster, whose nodes are asked directly: they name each other, past any proxy.
    pub(super) async fn on_cluster(cluster: &RedisCluster) -> Self {
        Self::on_redis(None, cluster.url()).await
    }

    async fn on_redis(redis: Option<RedisServer>, url: String) -> Self {
        let database = Scratch::create().await;
        database.migrate().await;
        let direct = ServerUrls { redis: url, ..database.urls.clone() };
        let proxies = Proxies::before(&direct).await;
        let mut urls = proxies.urls(&direct);
        if redis.is_none() {
            urls.redis = direct.redis;
        }
        // With all servers in the long form.
        let on_all = std::env::var("CHAOS_STORES").is_ok_and(|stores| stores == "all");
        let bed = on_servers(&urls, on_all).await;
        let directory = tempfile::tempdir().unwrap();
        let spec = Spec {
            urls: Urls {
                postgres: urls.postgres,
                redis: urls.redis,
                others: on_all.then_some((urls.mongo, urls.neo4j)),
            },
            prefix: bed.queue_prefix().to_owned(),
            stamp_keys: bed.secrets().stamp_keys.expose_secret().to_owned(),
            data_dir: bed.data_dir().to_owned(),
            kinds: Vec::new(),
            point: None,
            ledger: directory.path().to_owned(),
            concurrency: 1,
            lease_s: 10,
            ahead_s: 0,
        };
        let ledgers = Ledgers::in_directory(directory.path());
        let processes = AtomicUsize::new(0);
        let site = Self { bed, ledgers, redis, proxies, spec, processes, _directory: directory, database };
        site.rest().await;
        site
    }

    /// PostgreSQL as the owner of the tables, past the proxy.
    pub(super) fn postgres_admin(&self) -> &str {
        &self.database.urls.postgres_admin
    }

    /// Tells the bed's own worker to take no more jobs.
    async fn rest(&self) {
        let operator = self.bed.operator();
        let found = wait_for("the worker to be listed", async || {
            let listed = operator.get("/api/v1/workers").await;
            listed.body["workers"][0]["id"].as_str().map(str::to_owned).ok_or(listed)
        })
        .await;
        let path = format!("/api/v1/workers/{found}");
        let told = send(operator.request(Method::POST, &format!("{path}/stop-fetching"))).await;
        assert_eq!(told.status, 200, "{told:?}");
        wait_for("the worker to rest", async || {
            let shown = operator.get(&path).await;
            if shown.body["applied"] == true { Ok(()) } else { Err(shown) }
        })
        .await;
    }

    /// Starts a worker that runs jobs of these types, one at a time; of all types when there are none.
    pub(super) async fn worker(&self, kinds: &[&str]) -> (String, WorkerProcess) {
        self.worker_as(|spec| spec.kinds = kinds.iter().map(|&kind| kind.to_owned()).collect()).await
    }

    /// Starts a worker that differs from the usual.
    pub(super) async fn worker_as(&self, change: impl FnOnce(&mut Spec)) -> (String, WorkerProcess) {
        let name = format!("worker-{}", self.processes.fetch_add(1, Ordering::SeqCst));
        let mut spec = self.spec.clone();
        change(&mut spec);
        let process = WorkerProcess::start(&name, &spec, &self.ledgers).await;
        (name, process)
    }

    /// The calls of a store that a job of this type makes, in their order. One has to wait.
    pub(super) async fn calls_of(&self, kind: &str) -> Vec<String> {
        let (name, process) = self.worker(&[kind]).await;
        let said = wait_for("a job to be run", async || {
            let said = self.ledgers.of(&name);
            let is_over =
                |entry: &Entry| matches!(entry, Entry::Call { operation, .. } if operation == QUEUE);
            if said.iter().any(is_over) { Ok(said) } else { Err(said) }
        })
        .await;
        process.stop().await;
        let mut calls = Vec::new();
        for entry in said {
            if let Entry::Call { operation, .. } = entry {
                let is_last = operation == QUEUE;
                calls.push(operation);
                if is_last {
                    break;
                }
            }
        }
        calls
    }

    /// Starts a worker that meets its fate before it calls `operation` for a job of this type, and waits until it has.
    /// A killed worker has ended then.
    pub(super) async fn doomed(&self, kind: &str, operation: &str, fate: Fate) -> (String, WorkerProcess) {
        let (name, mut process) = self
            .worker_as(|spec| {
                spec.kinds = vec![kind.to_owned()];
                spec.point = Some(CrashPoint { operation: operation.to_owned(), fate });
            })
            .await;
        wait_for("a worker to meet its fate", async || {
            let said = self.ledgers.of(&name);
            let reached = said.iter().any(|entry| matches!(entry, Entry::Reached { .. }));
            let is_over = fate == Fate::Stopped || process.exited().is_some();
            if reached && is_over { Ok(()) } else { Err((operation, said)) }
        })
        .await;
        (name, process)
    }

    /// The jobs that were attempted, each with how often and for whom.
    pub(super) fn attempts(&self) -> BTreeMap<String, Vec<(String, u32)>> {
        let mut attempts: BTreeMap<String, Vec<(String, u32)>> = BTreeMap::new();
        for entry in self.ledgers.all().into_iter().flatten() {
            if let Entry::Attempt { job, tenant, attempt, .. } = entry {
                attempts.entry(job).or_default().push((tenant, attempt));
            }
        }
        attempts
    }

    /// Checks that at no time more than `most` jobs of a tenant ran; those that ended with their workers are not
    /// counted.
    pub(super) fn assert_at_once(&self, tenant: &TestTenant, most: usize) {
        let mut runs: Vec<(i64, i64, String)> = Vec::new();
        for (worker, ledger) in self.ledgers.all().into_iter().enumerate() {
            let mut begun = BTreeMap::new();
            for entry in ledger {
                match entry {
                    Entry::Attempt { job, tenant: of, at_ms, .. } if of == tenant.id => {
                        begun.insert(job, at_ms);
                    }
                    Entry::Ended { job, is_ok, at_ms } => {
                        if let Some(from) = begun.remove(&job) {
                            runs.push((from, at_ms, format!("worker {worker}, job {job}, ok: {is_ok}")));
                        }
                    }
                    _ => {}
                }
            }
        }
        // At the same moment one ends before another begins.
        for (begins, ..) in &runs {
            let then = runs.iter().filter(|(from, to, _)| from <= begins && begins < to);
            let then: Vec<_> = then.collect();
            assert!(then.len() <= most, "{} jobs at once: {then:#?}", then.len());
        }
    }

    /// Checks what holds at the end of every test here: nothing waits, nothing is a dead letter, no attempt was charged
    /// to a job for what was done to its worker, and each job ran for one tenant.
    pub(super) async fn assert_all_is_well(&self, tenants: &[&TestTenant]) {
        for tenant in tenants {
            self.bed.run_until_empty(tenant).await;
            let id = tenant.id.parse().unwrap();
            let stats = self.bed.queue().stats(&id).await.unwrap();
            assert_eq!((stats.discarded, stats.quarantined), (0, 0), "{}: {stats:?}", tenant.id);
        }
        for (job, attempts) in self.attempts() {
            let (tenant, _) = &attempts[0];
            assert!(attempts.iter().all(|(of, number)| of == tenant && *number == 1), "{job}: {attempts:?}");
            let id: JobId = job.parse().unwrap();
            let tenant = tenant.parse().unwrap();
            wait_for("the job to be done", async || {
                let status = self.bed.queue().lookup(&tenant, id).await.map_err(|error| error.to_string())?;
                let state = status.map(|status| status.state);
                if matches!(state, None | Some(JobState::Completed)) {
                    Ok(())
                } else {
                    Err(format!("{state:?}"))
                }
            })
            .await;
        }
    }
}

/// What the point behind the last call of a store is called.
pub(super) const QUEUE: &str = "the queue";

/// Uploads documents with this text each, and returns their names.
pub(super) async fn upload(tenant: &TestTenant, names: impl IntoIterator<Item = String>, text: &str) {
    for name in names {
        let answer = tenant.upload(&name, &format!("{text}\n{name}\n")).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
}

/// The documents of a tenant by their status.
pub(super) async fn statuses(tenant: &TestTenant) -> BTreeMap<String, usize> {
    let listed = tenant.http.get(&tenant.kb("documents?limit=1000")).await;
    let mut found = BTreeMap::new();
    for document in listed.body["documents"].as_array().unwrap_or(&Vec::new()) {
        *found.entry(document["status"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    found
}

/// Waits until all documents of a tenant are in the graph.
pub(super) async fn all_processed(tenant: &TestTenant, count: usize) {
    wait_for("all documents to be processed", async || {
        let found = statuses(tenant).await;
        if found == BTreeMap::from([("processed".to_owned(), count)]) { Ok(()) } else { Err(found) }
    })
    .await;
}

/// Asks for work and returns its job.
pub(super) async fn job_of(tenant: &TestTenant, method: Method, path: &str, body: Option<Value>) -> JobId {
    let request = tenant.http.request(method, path).json(&body.unwrap_or_else(|| json!({})));
    let answer = send(request).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.body["job_id"].as_str().unwrap().parse().unwrap()
}

impl Site {
    /// Waits until the tenant has no job of this type that is still to run or runs.
    pub(super) async fn until_none_waits(&self, tenant: &TestTenant, kind: &str) {
        let path = format!("/api/v1/tenants/{}/jobs?type={kind}&limit=1000", tenant.id);
        wait_for("no job of the type to wait", async || {
            let listed = tenant.http.get(&path).await;
            match listed.body["jobs"].as_array() {
                Some(jobs) if jobs.is_empty() => Ok(()),
                _ => Err(listed.body),
            }
        })
        .await;
    }
}

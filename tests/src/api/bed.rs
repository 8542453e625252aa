use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api_thin::{
    ApiConfig, ApiParts, ApiRules, ApiState, ConnectionLimits, Cors, IdentityConfig, MetricsConfig,
    RequestLimits, Resolution, serve,
};
use chrono::{DateTime, Utc};
use jobs::Job;
use jobs::clock::ManualClock;
use jobs::envelope::{EnqueueOptions, StampKeys, Stamper};
use jobs::plan::Plans;
use jobs::queue::{Claim, ClaimedJob, FetchRequest, Fetched, FinishedJob, Queue, Verdict};
use jobs::tenant::{Permission, TenantContext};
use jobs::types::IngestDocument;
use reqwest::{Client, Method, RequestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stores::workers::Workers;
use stores::{Opened, OutboxRow, StoresConfig};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::credentials;
use super::reply::{Reply, send};
use super::tenant::ApiTenant;
use crate::services::ServerUrls;
use fair_queue::testing::shared_redis_url;

/// How an [`Api`] differs from the usual.
#[derive(Debug, Clone, Default)]
pub struct ApiOptions {
    /// How much one request may ask for.
    pub limits: RequestLimits,
    /// How many connections there may be, and how long they may take.
    pub connections: ConnectionLimits,
    /// The Redis to use, if not the one that tests share.
    pub redis_url: Option<String>,
    /// The servers to use instead of embedded stores.
    pub servers: Option<ServerUrls>,
    /// The limits of tenants.
    pub plans: Plans,
    /// Which accounts may log in, and which issuers' tokens are accepted.
    pub identity: IdentityConfig,
    /// How requests say which tenant they are about.
    pub resolution: Resolution,
    /// Whose pages may call it from a browser.
    pub cors: Cors,
    /// Who may read metrics.
    pub metrics: MetricsConfig,
}

/// An API that answers on a port of its own until it is dropped.
pub struct Api {
    /// The base URL, without a final slash.
    pub url: String,
    /// Its stores.
    pub opened: Opened,
    /// Its queue, under a prefix of its own.
    pub queue: Queue,
    /// Its clock, which only the test moves.
    pub clock: ManualClock,
    state: ApiState,
    client: Client,
    // Dropping it ends the server.
    serving: Option<DropGuard>,
    data: tempfile::TempDir,
}

impl Api {
    /// When these APIs begin.
    #[must_use]
    pub fn start_time() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a moment in 2027")
    }

    /// The usual one.
    pub async fn start() -> Self {
        Self::with(ApiOptions::default()).await
    }

    /// One with other options.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn with(options: ApiOptions) -> Self {
        let redis_url = options.redis_url.unwrap_or_else(shared_redis_url);
        let clock = ManualClock::at(Self::start_time());
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut queue = jobs::queue::config(redis_url.clone().into());
        queue.prefix = format!("api-{}", uuid::Uuid::now_v7());
        queue.call_deadline = Duration::from_secs(2);
        let queue = Queue::connect(queue).await.expect("the queue answers");
        let stores = match &options.servers {
            Some(urls) => urls.stores(data.path()),
            None => StoresConfig::embedded(data.path().to_owned(), redis_url.into()),
        };
        let opened = stores::open(&stores, Arc::new(clock.clone())).await.expect("the stores open");
        let ApiOptions { limits, connections, plans, identity, resolution, cors, metrics, .. } = options;
        let config = ApiConfig {
            plans,
            rules: ApiRules {
                limits,
                connections,
                identity,
                resolution,
                cors,
                metrics,
                ..ApiRules::default()
            },
            ..credentials::config()
        };
        let stamp_keys = StampKeys::parse(&StampKeys::generate("test")).expect("a generated key is one");
        let state = ApiState::new(ApiParts {
            stores: opened.stores.clone(),
            directory: Arc::clone(&opened.directory),
            identities: Arc::clone(&opened.identities),
            activity: opened.activity.clone(),
            workers: opened.workers.clone(),
            queue: queue.clone(),
            stamper: Stamper::new(stamp_keys, Arc::new(clock.clone())),
            clock: Arc::new(clock.clone()),
            config,
            sampler: opened.sampler.clone(),
            sampled: None,
            sign_in_link: None,
        });
        let state = state.expect("the secrets can be used");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, state.clone(), stop.clone()));
        let client = Client::builder().build().expect("a client");
        Self { url, opened, queue, clock, state, client, serving: Some(stop.drop_guard()), data }
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// The API without its server, for requests whose every byte, and end, a test decides.
    pub fn router(&self) -> axum::Router {
        api_thin::router(self.state.clone())
    }

    /// The workers of its queue that live.
    #[must_use]
    pub fn workers(&self) -> Workers {
        self.opened.workers.of_queue(&self.queue.config().prefix)
    }

    /// Stops answering, as after a stop signal. Stores and clock stay.
    pub fn stop(&mut self) {
        self.serving = None;
    }

    /// A request without credentials. `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A request of the operator.
    pub fn operator(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(credentials::OPERATOR_KEY)
    }

    /// Asks for a tenant, which then is being provisioned.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn provisioning(&self, id: &str) -> ApiTenant {
        let body = json!({ "id": id, "name": format!("Tenant {id}") });
        let reply = send(self.operator(Method::POST, "/api/v1/tenants").json(&body)).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        ApiTenant::new(self, id, reply.text("/api_key"))
    }

    /// A tenant that is in use: what the provisioning job would do is done here.
    pub async fn tenant(&self, id: &str) -> ApiTenant {
        let tenant = self.provisioning(id).await;
        self.tenant_ready(tenant).await
    }

    /// Does what the provisioning job would do.
    pub async fn tenant_ready(&self, tenant: ApiTenant) -> ApiTenant {
        tenant.activate(self).await;
        tenant
    }

    /// The jobs in the outbox, of whichever tenant, after the API has written down which of them the queue has.
    ///
    /// # Panics
    /// When the catalog does not answer.
    pub async fn outbox_len(&self) -> usize {
        self.outbox_len_of(None).await
    }

    /// Those of one tenant.
    pub(super) async fn outbox_len_of(&self, tenant: Option<&str>) -> usize {
        self.state.write_bookkeeping().await;
        let later = Self::start_time() + chrono::Days::new(1);
        let due = self.opened.outbox.outbox_due(later, Duration::ZERO, None, 10_000).await;
        let is_of = |row: &&OutboxRow| tenant.is_none_or(|tenant| row.tenant_id.as_str() == tenant);
        due.expect("the catalog answers").iter().filter(is_of).count()
    }

    /// Claims the waiting uploads of `tenant` as a worker does, and ends each as `verdict` says. How many there
    /// were.
    ///
    /// # Panics
    /// When the queue does not answer.
    pub async fn work(&self, tenant: &ApiTenant, verdict: impl Fn(&ClaimedJob) -> Verdict) -> usize {
        let claim = self.claim().await;
        let finish = |job: &ClaimedJob| {
            let verdict = if *job.partition == *tenant.id { verdict(job) } else { Verdict::Released };
            FinishedJob::new(job, claim.fence, verdict)
        };
        let finished: Vec<_> = claim.jobs.iter().map(finish).collect();
        self.queue.finish(&finished).await.expect("the queue answers");
        claim.jobs.iter().filter(|job| *job.partition == *tenant.id).count()
    }

    /// Claims all waiting uploads as a worker does.
    ///
    /// # Panics
    /// When the queue does not answer, or nothing waits.
    pub async fn claim(&self) -> Claim {
        let skills = [jobs::queue::skill_of::<IngestDocument>()];
        let attempt = rand::random();
        let request = FetchRequest {
            worker: "test",
            attempt,
            shard: 0,
            turn: None,
            skills: &skills,
            limit: 500,
            quantum: 500,
        };
        match self.queue.fetch(request).await.expect("the queue answers") {
            Fetched::Claim(claim) => claim,
            nothing @ Fetched::Nothing { .. } => panic!("nothing waits: {nothing:?}"),
        }
    }

    /// Enqueues a job of a type that is not the product's.
    ///
    /// # Panics
    /// When the queue does not take it.
    pub async fn push_translation(&self, tenant: &str) {
        let keys = StampKeys::parse(&StampKeys::generate("translations")).expect("fresh keys can be read");
        let stamper = Stamper::new(keys, Arc::new(self.clock.clone()));
        let context = TenantContext::for_tests(tenant);
        let job = stamper.stamp(&context, &Translate::default(), EnqueueOptions::default());
        self.queue.push_accepted(&[job.expect("it can be stamped")]).await.expect("the queue takes it");
    }

    /// Posts JSON without credentials.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// Gets a path without credentials.
    pub async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
    }

    /// Counts of the tenant's jobs as the queue has them.
    ///
    /// # Panics
    /// When the queue does not answer.
    pub async fn queued(&self, tenant: &str) -> Value {
        let tenant = tenant.parse().expect("a test names a valid tenant");
        let stats = self.queue.stats(&tenant).await.expect("the queue answers");
        json!({ "available": stats.available, "open": stats.open() })
    }
}

/// A job type that users of the library could have added.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Translate {}

impl Job for Translate {
    const TYPE: &'static str = "test.translate";
    const QUEUE: &'static str = "translations";
    const PERMISSION: Permission = Permission::DocumentUpdate;
    const TIMEOUT: Duration = Duration::from_secs(1);
}

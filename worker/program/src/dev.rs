//! The command `tenantry dev`: the whole system in one process, on embedded stores and a Redis of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use api_thin::program::{
    FileSettings, ListenSettings, PlanSettings, QueueSettings, StopSignals, StorageSettings, say, start_log,
};
use api_thin::{ApiRules, ApiSettings, SecretSettings};
use clap::Args;
use ingest::ExtractionSettings;
use jobs::clock::{Clock as _, SystemClock};
use jobs::plan::Plans;
use jobs::queue::QueueConfig;
use secrecy::{ExposeSecret, SecretString};
use stores::{DataDirLock, Holder};
use worker::local_redis::LocalRedis;
use worker::settings::PoolSettings;

use crate::dev_secrets::DevSecrets;
use crate::health::start_metrics;
use crate::system::{System, SystemOptions};

/// Options of the development system.
#[derive(Debug, Clone)]
pub struct DevOptions {
    /// Name of the program, shown to another program that wants the same directory.
    pub program: &'static str,
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Directory for all data.
    pub data_dir: PathBuf,
    /// URL of the blob store; below the data directory unless set.
    pub blobs_url: Option<String>,
    /// Use this Redis instead of starting one.
    pub redis_url: Option<SecretString>,
    /// Number of shards of the queue.
    pub shards: Option<u16>,
    /// Keys given by the user; the others are generated.
    pub secrets: SecretSettings,
    /// Concurrency and limits of the worker.
    pub pool: PoolSettings,
    /// Which extractor finds entities.
    pub extraction: ExtractionSettings,
    /// The plans of tenants.
    pub plans: Plans,
    /// Settings of the API.
    pub api: ApiRules,
}

/// A running development system.
pub struct DevSystem {
    system: System,
    redis: Option<LocalRedis>,
    secrets: DevSecrets,
    data_dir: PathBuf,
    // Dropped last: until then the directory is in use.
    _lock: DataDirLock,
}

impl DevSystem {
    /// Locks the data directory, starts Redis unless a URL is given, and then everything else.
    ///
    /// # Errors
    /// When another program uses the data directory, before anything in it was touched; when `redis-server` is
    /// missing, the address is taken, or the data directory cannot be used.
    pub async fn start(options: DevOptions) -> anyhow::Result<Self> {
        let DevOptions { program, listen, data_dir, redis_url, pool, extraction, plans, api, .. } = options;
        let holder = Holder { program, since: SystemClock.now() };
        let lock = match &redis_url {
            Some(_) => DataDirLock::shared(&data_dir, holder)?,
            None => DataDirLock::alone(&data_dir, holder)?,
        };
        let secrets = DevSecrets::load_or_create(&data_dir)?.or_given(&options.secrets);
        let (redis, redis_url) = if let Some(url) = redis_url {
            (None, url)
        } else {
            let redis = LocalRedis::start(&data_dir.join("redis")).await?;
            let url = redis.url();
            (Some(redis), url)
        };
        let queue = jobs::queue::config(redis_url.clone());
        let storage = StorageSettings {
            files: FileSettings { data_dir: data_dir.clone(), blobs_url: options.blobs_url },
            ..StorageSettings::embedded(data_dir.clone())
        };
        let system = System::start(SystemOptions {
            listen,
            stores: storage.stores(redis_url)?,
            queue: QueueConfig { shards: options.shards.unwrap_or(queue.shards), ..queue },
            secrets: secrets.clone(),
            pool,
            extraction,
            plans,
            api,
            clock: Arc::new(SystemClock),
        })
        .await?;
        Ok(Self { system, redis, secrets, data_dir, _lock: lock })
    }

    /// The address on which the API listens.
    #[must_use]
    pub fn url(&self) -> String {
        self.system.url()
    }

    /// URL of the dashboard that signs in its first visitor as the operator.
    #[must_use]
    pub fn sign_in_url(&self) -> String {
        self.system.sign_in_url()
    }

    /// Lets that URL sign in with these credentials as well.
    pub fn sign_in_with(&self, credentials: SecretString) {
        self.system.sign_in_with(credentials);
    }

    /// The keys of the system, given or generated.
    #[must_use]
    pub fn secrets(&self) -> &DevSecrets {
        &self.secrets
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A command line with which to inspect Redis.
    #[must_use]
    pub fn redis_display(&self) -> String {
        let own = self.redis.as_ref().map(|redis| format!("redis-cli -s {}", redis.socket().display()));
        own.unwrap_or_else(|| "as in REDIS_URL".to_owned())
    }

    /// Returns when the system cannot continue because its own Redis died for good, with the reason.
    pub async fn broken(&self) -> String {
        match &self.redis {
            Some(redis) => redis.gone().await,
            None => std::future::pending().await,
        }
    }

    /// Stops everything, Redis last. Waits for running jobs up to the worker's stop limit.
    pub async fn stop(self) {
        self.system.stop().await;
        if let Some(redis) = self.redis {
            redis.stop().await;
        }
    }

    /// Stops everything without waiting for jobs, because their queue is gone. They run again after the next start.
    pub async fn abandon(self) {
        self.system.abandon().await;
    }
}

/// Settings of other commands, which `dev` ignores, each with the value that it has here.
const SERVERS: [(&str, &str); 5] = [
    ("POSTGRES_URL", ""),
    ("MONGO_URL", ""),
    ("NEO4J_URL", ""),
    ("TENANTRY_DOCUMENTS", "sql"),
    ("TENANTRY_GRAPH", "sql"),
];

/// Runs the whole system in this process.
#[derive(Debug, Args)]
#[command(
    mut_arg("data_dir", |arg| arg.help(
        "Directory for everything: Redis, SQLite files, originals, secrets. One program at a time uses it"
    )),
    mut_arg("redis_url", |arg| arg.required(false).help("Use this Redis instead of starting one"))
)]
pub(crate) struct Dev {
    #[command(flatten)]
    listen: ListenSettings,
    #[command(flatten)]
    files: FileSettings,
    #[command(flatten)]
    queue: QueueSettings,
    #[command(flatten)]
    secrets: SecretSettings,
    #[command(flatten)]
    pool: PoolSettings,
    #[command(flatten)]
    plans: PlanSettings,
    #[command(flatten)]
    extraction: ExtractionSettings,
    #[command(flatten)]
    api: ApiSettings,
}

impl Dev {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        start_log("warn,tenantry=info,worker=info,ingest=info,api_thin=info");
        start_metrics()?;
        let mut stop = StopSignals::listen()?;
        let is_set = |(name, here): &(&str, &str)| {
            std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != *here)
        };
        for (name, _) in SERVERS.into_iter().filter(is_set) {
            tracing::warn!(
                "{name} is not used: `tenantry dev` keeps data in files; `tenantry worker` and `tenantry api` use it"
            );
        }
        let options = DevOptions {
            program: "tenantry dev",
            listen: self.listen.listen,
            data_dir: self.files.data_dir,
            blobs_url: self.files.blobs_url,
            redis_url: self.queue.redis.given(),
            shards: self.queue.shards,
            secrets: self.secrets,
            pool: self.pool,
            extraction: self.extraction,
            plans: self.plans.plans()?,
            api: self.api.rules()?,
        };
        let Some(system) = stop.unless_asked(DevSystem::start(options)).await else { return Ok(()) };
        let system = system?;
        say(format!("dashboard     {}  (signs you in, once)", system.sign_in_url()));
        say(format!("API           {}", system.url()));
        say(format!("operator key  {}", system.secrets().operator_key.expose_secret()));
        say(format!("data          {}", system.data_dir().display()));
        say(format!("Redis         {}", system.redis_display()));
        say("Ctrl-C stops everything; the data stays.");
        tokio::select! {
            () = stop.asked() => {}
            reason = system.broken() => {
                system.abandon().await;
                bail!("{reason}");
            }
        }
        system.stop().await;
        Ok(())
    }
}

//! One-off commands of an operator.

use api_thin::InvalidConfig;
#[cfg(feature = "postgres")]
use api_thin::program::PostgresSettings;
use api_thin::program::{RedisSettings, print, shard_count, start_log};
use clap::Args;
use jobs::envelope::StampKeys;
use jobs::queue::{ReshardError, reshard};
use secrecy::ExposeSecret;
#[cfg(feature = "postgres")]
use secrecy::SecretString;

/// Prints a new key for `TENANTRY_STAMP_KEYS`.
#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// The key's id: letters, digits, - and _. To rotate, put the new key first and keep the old one behind a
    /// comma.
    #[arg(default_value = "k1")]
    id: String,
}

impl Keygen {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        start_log("warn");
        print(StampKeys::generate(&self.id).expose_secret())
    }
}

/// Creates or updates the Postgres tables and roles.
#[cfg(feature = "postgres")]
#[derive(Debug, Args)]
#[command(mut_arg("postgres_url", |arg| arg.required(true).help(
    "Postgres as the role that the API and the workers use. It is created if absent"
)))]
pub(crate) struct Migrate {
    /// Postgres as the role that owns the tables. It may create roles; it need not be a superuser.
    #[arg(long, env = "POSTGRES_ADMIN_URL", hide_env_values = true, value_name = "URL")]
    postgres_admin_url: String,
    #[command(flatten)]
    app: PostgresSettings,
}

#[cfg(feature = "postgres")]
impl Migrate {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        start_log("info");
        let app = SecretString::from(self.app.postgres_url.unwrap_or_default());
        let admin = SecretString::from(self.postgres_admin_url);
        Ok(stores::migrate(&admin, &app).await?)
    }
}

/// Stands where the command would be if the program could reach Postgres, and says so.
#[cfg(not(feature = "postgres"))]
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Flags of the command.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _flags: Vec<String>,
}

#[cfg(not(feature = "postgres"))]
impl Migrate {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        start_log("info");
        Err(stores::InvalidStores::not_compiled_in("POSTGRES_ADMIN_URL", "postgres").into())
    }
}

/// Changes the number of shards of the queue.
///
/// Moves the jobs, settings and counters of every tenant whose shard changes. Stop the workers first; the API may
/// run on: what it accepts meanwhile is enqueued afterwards, by the workers. Until this ends, the queue refuses
/// everything. It may be interrupted at any point and run again: nothing is lost, and nothing runs twice. Redis
/// needs room for a copy of what is moved.
///
/// Start everything with `TENANTRY_SHARDS` at the new number afterwards.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Shards {
    #[command(flatten)]
    redis: RedisSettings,
    /// How many shards the queue is to have.
    #[arg(long, value_name = "N", value_parser = shard_count())]
    to: u16,
}

impl Shards {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        start_log("info");
        let url = self.redis.url();
        let done = reshard(jobs::queue::config(url.clone()), self.to).await;
        let done = done.map_err(|error| match error {
            ReshardError::Queue(error) => InvalidConfig::new("REDIS_URL", error.refusal(&url)).into(),
            error => anyhow::Error::from(error),
        })?;
        if done.from == done.to {
            print(&format!("the queue has {} shards already", done.to))
        } else {
            print(&format!(
                "the queue had {} shards and has {}: moved {} tenants and {} jobs; start everything with \
                 TENANTRY_SHARDS={}",
                done.from, done.to, done.partitions, done.jobs, done.to
            ))
        }
    }
}

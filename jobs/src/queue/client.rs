//! The queue, as its users see it.

use std::sync::Arc;

use chrono::DateTime;
use redis::{Client, Cmd, FromRedisValue};
use secrecy::ExposeSecret as _;

use super::config::QueueConfig;
use super::connection::{Connection, Resend};
use super::error::QueueError;
use super::library::{LIBRARY, Operation};
use super::preflight;
use super::status::{JobStatus, QueueStats};
use super::{answer, heartbeat};
use crate::id::JobId;
use crate::tenant::TenantId;

/// The queue on Redis. Clones share one connection.
#[derive(Debug, Clone)]
pub struct Queue {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: QueueConfig,
    client: Client,
    connection: Connection,
    shard: String,
}

impl Queue {
    /// Connects and checks that this Redis will keep what it is given.
    ///
    /// # Errors
    /// When Redis cannot be reached, is older than 7.0, or may evict keys (`maxmemory-policy` other than
    /// `noeviction`).
    pub async fn connect(mut config: QueueConfig) -> Result<Self, QueueError> {
        config.lease = config.lease.max(QueueConfig::SHORTEST_LEASE);
        let client = Client::open(config.url.expose_secret()).map_err(|_| QueueError::Url)?;
        let connection = Connection::new(client.clone(), config.call_deadline);
        let shard = config.shard();
        let queue = Self { inner: Arc::new(Inner { config, client, connection, shard }) };
        preflight::check(&queue.inner.connection).await?;
        queue.load_library().await?;
        Ok(queue)
    }

    /// Where a job is. `None` when the tenant has no such job, or it was finished too long ago to be
    /// remembered.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn lookup(&self, tenant: &TenantId, id: JobId) -> Result<Option<JobStatus>, QueueError> {
        let arguments = vec![tenant.as_str().into(), id.to_string(), heartbeat::LIVE_MS.to_string()];
        let answer: Vec<redis::Value> = self.call(Operation::Lookup, Resend::Safe, arguments).await?;
        answer::status(id, &answer)
    }

    /// How many of the tenant's jobs are where.
    ///
    /// # Errors
    /// When Redis fails.
    pub async fn stats(&self, tenant: &TenantId) -> Result<QueueStats, QueueError> {
        let arguments = vec![tenant.as_str().into(), heartbeat::LIVE_MS.to_string()];
        let (counts, undeclared): (_, Vec<String>) =
            self.call(Operation::Stats, Resend::Safe, arguments).await?;
        answer::stats(counts, &undeclared)
    }

    /// Asks Redis for a sign of life.
    ///
    /// # Errors
    /// When there is none within the deadline.
    pub async fn ping(&self) -> Result<(), QueueError> {
        self.inner.connection.query::<()>(&redis::cmd("PING"), Resend::Safe).await
    }

    /// The settings this queue was connected with.
    #[must_use]
    pub fn config(&self) -> &QueueConfig {
        &self.inner.config
    }

    /// A connection of its own, for calls that block it.
    pub(super) fn separate_connection(&self) -> Connection {
        Connection::new(self.inner.client.clone(), self.inner.config.call_deadline)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.inner.connection
    }

    /// The key of this shard called `name`.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.inner.shard)
    }

    /// Calls a function that changes or reads what is one tenant's, and whose first argument is the time. Doing it
    /// twice is doing it once.
    pub(super) async fn call_for<T: FromRedisValue>(
        &self,
        _tenant: &TenantId,
        operation: Operation,
        arguments: Vec<String>,
    ) -> Result<T, QueueError> {
        self.call(operation, Resend::Safe, arguments).await
    }

    /// Calls a function that reads what is one tenant's and does not ask for the time.
    pub(super) async fn read_for<T: FromRedisValue>(
        &self,
        _tenant: &TenantId,
        operation: Operation,
        arguments: Vec<String>,
    ) -> Result<T, QueueError> {
        self.call_as_is(operation, Resend::Safe, arguments).await
    }

    /// Calls a function whose first argument is the time.
    pub(super) async fn call<T: FromRedisValue>(
        &self,
        operation: Operation,
        resend: Resend,
        mut arguments: Vec<String>,
    ) -> Result<T, QueueError> {
        let now =
            self.inner.config.clock.as_ref().map_or_else(String::new, |clock| clock.now_ms().to_string());
        arguments.insert(0, now);
        self.call_as_is(operation, resend, arguments).await
    }

    /// A Redis that restarted, failed over or was flushed has lost the library: it is loaded when it is
    /// missed.
    async fn call_as_is<T: FromRedisValue>(
        &self,
        operation: Operation,
        resend: Resend,
        arguments: Vec<String>,
    ) -> Result<T, QueueError> {
        let mut command = Cmd::new();
        command.arg("FCALL").arg(LIBRARY.name(operation)).arg(1).arg(&self.inner.shard).arg(&arguments);
        let connection = &self.inner.connection;
        match connection.query(&command, resend).await {
            Err(QueueError::Redis(error)) if is_unknown_function(&error) => {
                self.load_library().await?;
                connection.query(&command, resend).await
            }
            answer => answer,
        }
    }

    async fn load_library(&self) -> Result<(), QueueError> {
        let mut command = redis::cmd("FUNCTION");
        command.arg("LOAD").arg(&LIBRARY.text);
        match self.inner.connection.query::<()>(&command, Resend::Safe).await {
            Err(QueueError::Redis(error)) if is_loaded_already(&error) => Ok(()),
            loaded => loaded,
        }
    }
}

fn is_unknown_function(error: &redis::RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("Function not found"))
}

fn is_loaded_already(error: &redis::RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("already exists"))
}

/// Milliseconds since 1970, as Redis prints them.
pub(super) fn moment(text: &str) -> Result<DateTime<chrono::Utc>, QueueError> {
    text.parse().ok().and_then(DateTime::from_timestamp_millis).ok_or(QueueError::Answer("a time"))
}

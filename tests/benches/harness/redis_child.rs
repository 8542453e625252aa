//! A `redis-server` for one run.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jobs::redis::{
    Cmd, Endpoint, FromRedisValue, RedisAddress, RedisClient, Resend, ServerCommand, ServerProcess, cmd,
};
use tempfile::TempDir;

use super::cores::{Cores, Place};

/// How long the server, which is as busy as it can be, may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(600);

/// The persistence of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    Off,
    /// Append-only file, fsync every second, never rewritten meanwhile.
    AofEverysec,
}

impl Persistence {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::AofEverysec => "aof",
        }
    }
}

pub(crate) struct RedisChild {
    pub(crate) port: u16,
    client: RedisClient,
    process: Option<ServerProcess>,
    _directory: TempDir,
}

impl RedisChild {
    pub(crate) async fn start(cores: &Cores, persistence: Persistence) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let directory = tempfile::tempdir()?;
        let append = if persistence == Persistence::Off { "no" } else { "yes" };
        let options = [
            ["--appendonly", append],
            ["--appendfsync", "everysec"],
            ["--auto-aof-rewrite-percentage", "0"],
            ["--latency-tracking-info-percentiles", "50 99 100"],
        ];
        let command = ServerCommand {
            endpoint: Endpoint::Port(port),
            directory: directory.path().to_owned(),
            log: directory.path().join("redis.log"),
            options: options.concat().into_iter().map(str::to_owned).collect(),
            wrapper: cores.wrapper(Place::Redis),
        };
        let process = command.start_async().await?;
        let client = RedisClient::new(&RedisAddress::parse(&command.endpoint.url().into())?, ANSWER_LIMIT)?;
        Ok(Self { port, client, process: Some(process), _directory: directory })
    }

    pub(crate) fn url(&self) -> String {
        Endpoint::Port(self.port).url()
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        Ok(self.client.query("", command, Resend::Safe).await?)
    }

    pub(crate) async fn reset_statistics(&self) -> Result<()> {
        self.ask(cmd("CONFIG").arg("RESETSTAT")).await
    }

    /// One section of `INFO` as text.
    pub(crate) async fn info(&self, section: &str) -> Result<String> {
        self.ask(cmd("INFO").arg(section)).await
    }

    /// The value of `field` in one section of `INFO`.
    pub(crate) async fn info_number(&self, section: &str, field: &str) -> Result<f64> {
        let text = self.info(section).await?;
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse().ok()).with_context(|| format!("INFO has no {field}"))
    }

    /// Processor seconds that the server has used.
    pub(crate) async fn cpu_seconds(&self) -> Result<f64> {
        let user = self.info_number("cpu", "used_cpu_user").await?;
        Ok(user + self.info_number("cpu", "used_cpu_sys").await?)
    }

    /// Number of jobs that the queue still has.
    pub(crate) async fn jobs_left(&self) -> Result<u64> {
        let mut left = 0;
        for key in self.record_keys().await? {
            left += self.ask::<u64>(cmd("HLEN").arg(key)).await?;
        }
        Ok(left)
    }

    /// The ids of all jobs that the queue knows.
    pub(crate) async fn job_ids(&self) -> Result<Vec<u128>> {
        let mut ids = Vec::new();
        for key in self.record_keys().await? {
            let found: Vec<String> = self.ask(cmd("HKEYS").arg(key)).await?;
            for id in found {
                ids.push(uuid::Uuid::parse_str(&id)?.as_u128());
            }
        }
        Ok(ids)
    }

    /// The hash of records of each shard.
    async fn record_keys(&self) -> Result<Vec<String>> {
        self.ask(cmd("KEYS").arg("tenantry:{q.*}:e")).await
    }

    /// Bytes that the server's data takes up.
    pub(crate) async fn used_memory(&self) -> Result<f64> {
        self.info_number("memory", "used_memory").await
    }
}

impl Drop for RedisChild {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.end();
        }
    }
}

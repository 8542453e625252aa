//! A `redis-server` for one run.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use super::cores::{Cores, Place};

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

/// Starts the server, waits until our end of the pipe closes, which it does even when we are killed, and
/// stops it.
const KEEPER: &str = r#""$@" >/dev/null & server=$!; read -r _; kill $server; wait"#;

pub(crate) struct RedisChild {
    pub(crate) port: u16,
    keeper: Child,
    pipe: Option<ChildStdin>,
    connection: MultiplexedConnection,
    _directory: TempDir,
}

impl RedisChild {
    pub(crate) async fn start(cores: &Cores, persistence: Persistence) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let directory = tempfile::tempdir()?;
        let server = cores.command(Place::Redis, "redis-server");
        let append = if persistence == Persistence::Off { "no" } else { "yes" };
        let mut keeper = std::process::Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(server.get_program())
            .args(server.get_args())
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", append])
            .args(["--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"])
            .args([
                "--maxmemory-policy",
                "noeviction",
                "--latency-tracking-info-percentiles",
                "50 99 100",
                "--dir",
            ])
            .arg(directory.path())
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot start sh")?;
        let pipe = keeper.stdin.take();
        let connection = connect(port).await?;
        Ok(Self { port, keeper, pipe, connection, _directory: directory })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    pub(crate) async fn reset_statistics(&self) -> Result<()> {
        Ok(redis::cmd("CONFIG").arg("RESETSTAT").query_async(&mut self.connection()).await?)
    }

    /// One section of `INFO` as text.
    pub(crate) async fn info(&self, section: &str) -> Result<String> {
        Ok(redis::cmd("INFO").arg(section).query_async(&mut self.connection()).await?)
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
            left += redis::cmd("HLEN").arg(key).query_async::<u64>(&mut self.connection()).await?;
        }
        Ok(left)
    }

    /// The ids of all jobs that the queue knows.
    pub(crate) async fn job_ids(&self) -> Result<Vec<u128>> {
        let mut ids = Vec::new();
        for key in self.record_keys().await? {
            let found: Vec<String> = redis::cmd("HKEYS").arg(key).query_async(&mut self.connection()).await?;
            for id in found {
                ids.push(uuid::Uuid::parse_str(&id)?.as_u128());
            }
        }
        Ok(ids)
    }

    /// The hash of records of each shard.
    async fn record_keys(&self) -> Result<Vec<String>> {
        Ok(redis::cmd("KEYS").arg("tenantry:{q.*}:e").query_async(&mut self.connection()).await?)
    }

    /// Bytes that the server's data takes up.
    pub(crate) async fn used_memory(&self) -> Result<f64> {
        self.info_number("memory", "used_memory").await
    }
}

async fn connect(port: u16) -> Result<MultiplexedConnection> {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        match client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => return Ok(connection),
            Err(error) if Instant::now() > patience => {
                bail!("redis-server does not answer (is it installed?): {error}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

impl Drop for RedisChild {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            pipe.write_all(b"\n").ok();
        }
        self.keeper.wait().ok();
    }
}

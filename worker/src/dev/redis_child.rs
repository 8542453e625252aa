//! A `redis-server` of our own, with its own data directory, that ends when we do.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use secrecy::SecretString;
use tokio::process::{Child, Command};

/// How long the server may take to load its data.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// There is no `redis-server` on this machine.
#[derive(Debug, thiserror::Error)]
#[error(
    "redis-server is not installed. Install it with `sudo apt-get install redis-server` (Debian, Ubuntu) or \
     `brew install redis` (macOS), or set REDIS_URL to a Redis 7 or newer with maxmemory-policy noeviction"
)]
pub struct RedisMissing;

/// A running server. It ends when this value is dropped or this process dies, however it dies.
#[derive(Debug)]
pub struct LocalRedis {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl LocalRedis {
    /// Starts a server whose data lives in `dir`. A server that an earlier run left behind there is ended
    /// first, since two servers on one directory would destroy each other's files.
    ///
    /// # Errors
    /// When `redis-server` is missing ([`RedisMissing`]) or does not answer in time.
    pub async fn start(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        end_leftover(dir);
        let port = free_port()?;
        let log = dir.join("redis.log");
        let child = spawn(dir, port, &log)?;
        fs::write(dir.join("port"), port.to_string())?;
        let mut redis = Self { child, port, log };
        redis.wait_until_ready().await?;
        Ok(redis)
    }

    /// Where it listens: the loopback address only.
    #[must_use]
    pub fn url(&self) -> SecretString {
        format!("redis://127.0.0.1:{}", self.port).into()
    }

    /// Lets the server write everything down and waits for its end.
    pub async fn stop(mut self) {
        drop(self.child.stdin.take());
        if tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await.is_err() {
            tracing::warn!("redis-server is slow to end; its log is {}", self.log.display());
        }
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        while command(self.port, "PING").as_deref() != Some("+PONG") {
            if let Some(status) = self.child.try_wait()? {
                bail!("redis-server ended with {status}; its log is {}", self.log.display());
            }
            if start.elapsed() > START_DEADLINE {
                bail!("redis-server did not answer in {START_DEADLINE:?}; its log is {}", self.log.display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Starts the server, waits until our end of the pipe closes, which it does even when we are killed, and stops it.
const KEEPER: &str = r#"redis-server "$@" & server=$!; read -r _; kill $server; wait $server"#;

fn spawn(dir: &Path, port: u16, log: &Path) -> anyhow::Result<Child> {
    let installed =
        std::process::Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
    installed.map_err(|_| RedisMissing)?;
    let log = fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new("sh");
    command
        .args(["-c", KEEPER, "redis-keeper", "--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
        .args(["--maxmemory-policy", "noeviction", "--daemonize", "no"])
        .arg("--dir")
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A process group of its own: Ctrl-C is for us, and the worker needs Redis to give its jobs back.
        .process_group(0);
    command.spawn().context("cannot start redis-server")
}

/// Ends the server that a killed run left in `dir`, if the port in its note still answers and is that server.
fn end_leftover(dir: &Path) {
    let port = fs::read_to_string(dir.join("port")).ok().and_then(|text| text.trim().parse::<u16>().ok());
    let Some(port) = port else { return };
    if serves(port, dir) {
        let _ = command(port, "SHUTDOWN");
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() && start.elapsed() < START_DEADLINE {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Whether the server on `port` has its data in `dir`: another program may have taken the port since.
fn serves(port: u16, dir: &Path) -> bool {
    let Ok(dir) = dir.canonicalize() else { return false };
    let answer = exchange(port, "CONFIG GET dir").unwrap_or_default();
    answer.lines().any(|line| Path::new(line.trim()) == dir)
}

fn command(port: u16, text: &str) -> Option<String> {
    exchange(port, text).and_then(|answer| answer.lines().next().map(str::to_owned))
}

/// One inline command of the Redis protocol. The client library is for the queue; this only asks "are you
/// there?".
fn exchange(port: u16, text: &str) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(format!("{text}\r\n").as_bytes()).ok()?;
    let mut buffer = [0; 4096];
    let length = stream.read(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

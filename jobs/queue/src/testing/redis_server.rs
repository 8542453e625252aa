//! A `redis-server` of our own: from `REDIS_URL`, or started as a child process.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

/// Starts the server, waits until our end of the pipe closes, which it does even when we are killed, and
/// stops it.
const KEEPER: &str = r#"redis-server "$@" >/dev/null & server=$!; read -r _; kill $server 2>/dev/null; wait"#;

/// A server with its own port and data directory that ends with this value, or with this process.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    directory: TempDir,
    options: Vec<String>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    keeper: Child,
    /// Closing it stops the server.
    pipe: ChildStdin,
}

impl RedisServer {
    /// Starts a server that forgets nothing at a restart. `options` are added to its command line.
    ///
    /// # Errors
    /// When `redis-server` is not installed or does not answer.
    pub fn start(options: &[&str]) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let options = options.iter().map(ToString::to_string).collect();
        let mut server = Self { port, directory: tempfile::tempdir()?, options, running: None };
        server.resume()?;
        Ok(server)
    }

    /// The address that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The URL to connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts the server again after [`RedisServer::stop`], with its data.
    ///
    /// # Errors
    /// When it does not answer within 30 s.
    pub fn resume(&mut self) -> Result<()> {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            KEEPER,
            "sh",
            "--port",
            &self.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]).arg(self.directory.path());
        command.args(["--maxmemory-policy", "noeviction"]).args(&self.options);
        let mut keeper = command.stdin(Stdio::piped()).spawn().context("cannot start sh")?;
        let pipe = keeper.stdin.take().context("the pipe was asked for")?;
        self.running = Some(Running { keeper, pipe });
        self.wait_until(true)
    }

    /// Stops the server and keeps its data.
    ///
    /// # Errors
    /// When it still answers after 30 s.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut running) = self.running.take() {
            running.pipe.write_all(b"\n").ok();
            drop(running.pipe);
            running.keeper.wait()?;
        }
        self.wait_until(false)
    }

    fn wait_until(&self, answering: bool) -> Result<()> {
        let patience = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() != answering {
            if Instant::now() > patience {
                bail!(
                    "redis-server on port {} is {}answering (is it installed?)",
                    self.port,
                    if answering { "not " } else { "still " }
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop().ok();
    }
}

/// The server that tests share: `REDIS_URL`, or one child of this process. Tests keep apart by key prefix.
///
/// # Panics
/// When no server can be started.
pub fn shared_redis_url() -> String {
    static SHARED: OnceLock<RedisServer> = OnceLock::new();
    if let Ok(url) = std::env::var("REDIS_URL") {
        return url;
    }
    let options = ["--appendonly", "no"];
    SHARED.get_or_init(|| RedisServer::start(&options).expect("a redis-server for the tests")).url()
}

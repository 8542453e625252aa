//! A `redis-server` of our own: from `REDIS_URL`, or started as a child process.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::redis::{Endpoint, ServerCommand, ServerProcess};

/// A server with its own data directory that ends with this value, or with this process.
#[derive(Debug)]
pub struct RedisServer {
    command: ServerCommand,
    running: Option<ServerProcess>,
    _directory: Option<TempDir>,
}

impl RedisServer {
    /// Starts a server on a port, which forgets nothing at a restart. `options` are added to its command line.
    ///
    /// # Errors
    /// When `redis-server` is not installed or does not answer.
    pub fn start(options: &[&str]) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let directory = tempfile::tempdir()?;
        let command = command(Endpoint::Port(port), directory.path().to_owned(), options);
        let running = Some(command.start()?);
        Ok(Self { command, running, _directory: Some(directory) })
    }

    /// Starts a server on a socket, with its data in `directory`, which must be there.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub fn in_directory(directory: &Path) -> Result<Self> {
        let socket = Endpoint::Socket(directory.join("redis.sock"));
        let command = command(socket, directory.to_owned(), &[]);
        let running = Some(command.start()?);
        Ok(Self { command, running, _directory: None })
    }

    /// Where it listens.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.command.endpoint
    }

    /// The port that it listens on; 0 for a server on a socket.
    #[must_use]
    pub const fn port(&self) -> u16 {
        match self.command.endpoint {
            Endpoint::Port(port) => port,
            Endpoint::Socket(_) => 0,
        }
    }

    /// The URL to connect to.
    #[must_use]
    pub fn url(&self) -> String {
        self.command.endpoint.url()
    }

    /// Starts the server again after [`RedisServer::stop`], with its data.
    ///
    /// # Errors
    /// When it does not answer within 30 s.
    pub fn resume(&mut self) -> Result<()> {
        self.running = Some(self.command.start()?);
        Ok(())
    }

    /// Stops the server and keeps its data.
    ///
    /// # Errors
    /// When it still listens after its end.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(running) = self.running.take() {
            running.end();
        }
        ensure!(!self.command.endpoint.is_listening(), "a server still listens at {}", self.url());
        Ok(())
    }
}

fn command(endpoint: Endpoint, directory: PathBuf, options: &[&str]) -> ServerCommand {
    let lasting = ["--appendonly", "yes", "--appendfsync", "always"];
    ServerCommand {
        endpoint,
        log: directory.join("redis.log"),
        directory,
        options: lasting.iter().chain(options).map(ToString::to_string).collect(),
        wrapper: Vec::new(),
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

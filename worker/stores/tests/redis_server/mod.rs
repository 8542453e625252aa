//! A Redis for one test, on a socket in its directory.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use secrecy::SecretString;

const START_LIMIT: Duration = Duration::from_secs(30);

/// The server ends when this value is dropped.
pub(crate) struct RedisServer {
    child: Child,
    socket: PathBuf,
}

impl RedisServer {
    /// Starts `redis-server` and waits until it listens.
    pub(crate) fn start(directory: &Path) -> Self {
        let socket = directory.join("redis.sock");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "yes", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(directory)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (Debian: apt-get install redis-server)");
        let started = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(started.elapsed() < START_LIMIT, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, socket }
    }

    /// The URL of its socket.
    pub(crate) fn url(&self) -> SecretString {
        format!("redis+unix://{}", self.socket.display()).into()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

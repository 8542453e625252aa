//! A `redis-server` for this process, with its own data directory: restarted when it dies, ended when this process
//! ends.
//!
//! Its socket can be reached only by the owner of the data directory.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use jobs::redis::{Endpoint, ServerCommand, ServerProcess};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

const END_DEADLINE: Duration = Duration::from_secs(10);
/// Delay before each restart, in milliseconds. Their number bounds the restarts in a row.
const WAITS_MS: [u64; 7] = [0, 100, 200, 400, 800, 1_600, 3_200];
/// After running for this long a server gets all its restarts back.
const STEADY: Duration = Duration::from_secs(60);

/// A running server. It ends when this value is dropped or this process dies, even by `SIGKILL`.
#[derive(Debug)]
pub struct LocalRedis {
    url: SecretString,
    path: PathBuf,
    gone: watch::Receiver<Option<String>>,
    keeper: JoinHandle<()>,
    stop: DropGuard,
}

impl LocalRedis {
    /// Starts a server with its data in `dir`, which no other program uses. It listens on a socket that only the
    /// owner of `dir` can reach. A server that an earlier run left behind there is ended first, since two servers
    /// on one directory would destroy each other's files.
    ///
    /// # Errors
    /// When `redis-server` is missing ([`jobs::redis::ServerError::Missing`]) or does not answer in time.
    pub async fn start(dir: &Path) -> anyhow::Result<Self> {
        let server = Server::new(RedisSocket::prepare(dir)?, dir.join("redis.log"));
        let _ = fs::remove_file(&server.command.log);
        let running = server.start().await?;
        let (stop, (say_gone, gone)) = (CancellationToken::new(), watch::channel(None));
        let (url, path) = (server.command.endpoint.url().into(), server.socket.path.clone());
        let keeper = tokio::spawn(server.keep(running, stop.clone(), say_gone));
        Ok(Self { url, path, gone, keeper, stop: stop.drop_guard() })
    }

    /// The URL of the server, for a Redis client.
    #[must_use]
    pub fn url(&self) -> SecretString {
        self.url.clone()
    }

    /// The socket on which it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.path
    }

    /// Returns when the server died and could not be restarted, with the reason. Pending for as long as the server
    /// runs, and after [`LocalRedis::stop`].
    pub async fn gone(&self) -> String {
        let mut gone = self.gone.clone();
        match gone.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
            Ok(reason) => reason.unwrap_or_default(),
            // The sender was dropped because the server was stopped.
            Err(_) => std::future::pending().await,
        }
    }

    /// Lets the server write its data to disk and waits for its end.
    pub async fn stop(self) {
        drop(self.stop);
        let _ = self.keeper.await;
    }
}

/// What is needed to start the server, also after it died.
struct Server {
    socket: RedisSocket,
    command: ServerCommand,
}

impl Server {
    fn new(socket: RedisSocket, log: PathBuf) -> Self {
        let command = ServerCommand {
            endpoint: Endpoint::Socket(socket.path.clone()),
            directory: socket.directory.clone(),
            log,
            options: ["--appendonly", "yes", "--appendfsync", "everysec"].map(str::to_owned).into(),
            wrapper: Vec::new(),
        };
        Self { socket, command }
    }

    /// Restarts the server whenever it dies, until `stop`. Sends the reason to `gone` when it gives up.
    async fn keep(
        self,
        mut running: ServerProcess,
        stop: CancellationToken,
        gone: watch::Sender<Option<String>>,
    ) {
        let mut attempt = 0;
        loop {
            let started = Instant::now();
            let status = tokio::select! {
                () = stop.cancelled() => return self.end(running).await,
                status = running.ended() => status,
            };
            tracing::error!(redis.log = %self.command.log.display(), "redis-server ended ({status}): starting it again");
            attempt = if started.elapsed() > STEADY { 0 } else { attempt };
            let restarted = tokio::select! {
                () = stop.cancelled() => None,
                restarted = self.restart(&mut attempt) => Some(restarted),
            };
            match restarted {
                // The keeper lost the pipe and ends the server; no process may be left when the caller goes on.
                None => return self.end_started().await,
                Some(Ok(again)) => {
                    tracing::warn!("redis-server runs again, with its data");
                    running = again;
                }
                Some(Err(error)) => {
                    let reason = jobs::error::sentence(error.as_ref());
                    let log = self.command.log.display();
                    let reason =
                        format!("redis-server ended ({status}) and cannot be started again: {reason}");
                    let reason = if reason.contains("redis.log") {
                        reason
                    } else {
                        format!("{reason}; its log is {log}")
                    };
                    gone.send_replace(Some(reason));
                    // Dropping the sender would say that the server was stopped.
                    return stop.cancelled().await;
                }
            }
        }
    }

    async fn restart(&self, attempt: &mut usize) -> anyhow::Result<ServerProcess> {
        let mut failed = anyhow::anyhow!("it ended {} times within a short time", WAITS_MS.len());
        while let Some(wait_ms) = WAITS_MS.get(*attempt) {
            *attempt += 1;
            tokio::time::sleep(Duration::from_millis(*wait_ms)).await;
            match self.start().await {
                Ok(running) => return Ok(running),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Ends the server that listens on the socket, if there is one.
    async fn end_listening(&self) -> anyhow::Result<()> {
        let (path, directory) = (self.socket.path.clone(), self.socket.directory.clone());
        tokio::task::spawn_blocking(move || end_leftover(&path, &directory)).await?
    }

    async fn end_started(&self) {
        if let Err(error) = self.end_listening().await {
            tracing::warn!("redis-server may still run: {error:#}");
        }
    }

    async fn start(&self) -> anyhow::Result<ServerProcess> {
        // The keeper may have died without its server.
        self.end_listening().await?;
        Ok(self.command.start_async().await?)
    }

    async fn end(&self, running: ServerProcess) {
        if tokio::time::timeout(END_DEADLINE, running.end_async()).await.is_err() {
            tracing::warn!("redis-server is slow to end; its log is {}", self.command.log.display());
        }
    }
}

const NAME: &str = "redis.sock";
/// The longest path that every system takes for a socket.
const LONGEST_PATH: usize = 103;
const SHORT_PREFIX: &str = "tenantry-redis-";
/// How long a server may take to write its data to disk after it was told to end.
const END: Duration = Duration::from_secs(30);

/// The socket of a server and the directory that it belongs to.
#[derive(Debug)]
pub(super) struct RedisSocket {
    /// The server's own directory: absolute, without links.
    pub(super) directory: PathBuf,
    /// Below the directory, or, when that path is too long for a socket, in a short one of its own.
    pub(super) path: PathBuf,
    _short: Option<TempDir>,
}

impl RedisSocket {
    /// Makes `directory` accessible to its owner only, ends the server that a killed run left there, and chooses a
    /// socket path. The caller holds the lock of the data directory, so a server found there can only be a
    /// leftover.
    pub(super) fn prepare(directory: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("{} cannot be made a directory of this user alone", directory.display());
        fs::create_dir_all(directory).with_context(cannot)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).with_context(cannot)?;
        let directory = directory.canonicalize().with_context(cannot)?;
        let usual = directory.join(NAME);
        let before = fs::read_link(&usual).unwrap_or_else(|_| usual.clone());
        end_leftover(&before, &directory)?;
        remove(&usual, &before);
        if usual.as_os_str().len() <= LONGEST_PATH {
            return Ok(Self { directory, path: usual, _short: None });
        }
        let only_owner = fs::Permissions::from_mode(0o700);
        let short = tempfile::Builder::new().prefix(SHORT_PREFIX).permissions(only_owner).tempdir();
        let short = short.context("no temporary directory for the socket of redis-server")?;
        let path = short.path().join(NAME);
        ensure!(
            path.as_os_str().len() <= LONGEST_PATH,
            "TMPDIR: {} is too long for a socket: set TMPDIR to a shorter path",
            path.display()
        );
        // A link at the usual path shows people and the next start where the socket is.
        symlink(&path, &usual).with_context(|| format!("cannot link {}", usual.display()))?;
        Ok(Self { directory, path, _short: Some(short) })
    }
}

/// Ends the server that listens on `socket`, if its data is in `directory`: two servers on one directory would
/// destroy each other's files.
pub(super) fn end_leftover(socket: &Path, directory: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    let server = Endpoint::Socket(socket.to_owned());
    while server.is_listening() {
        // A server that is loading or shutting down answers with an error.
        if let Ok(settings) = server.ask::<Vec<String>>(&["CONFIG", "GET", "dir"]) {
            let own = settings.iter().any(|setting| Path::new(setting) == directory);
            ensure!(own, "{} is the socket of another server: remove it", socket.display());
            // It closes the connection in place of an answer.
            let _ = server.ask::<()>(&["SHUTDOWN"]);
        }
        if start.elapsed() > END {
            bail!(
                "the redis-server of an earlier run still uses {} and does not end: end it yourself",
                directory.display()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Removes sockets and links of an earlier run, as far as they are ours.
fn remove(usual: &Path, before: &Path) {
    let _ = fs::remove_file(usual);
    let short = before.parent().filter(|_| before != usual);
    let named = |short: &&Path| {
        short.file_name().is_some_and(|name| name.as_bytes().starts_with(SHORT_PREFIX.as_bytes()))
    };
    if let Some(short) = short.filter(named) {
        let _ = fs::remove_file(before);
        let _ = fs::remove_dir(short);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use jobs::redis::RedisAddress;
    use tokio::process::Command;

    use super::*;

    fn ask(socket: &Path, command: &[&str]) -> Option<String> {
        Endpoint::Socket(socket.to_owned()).ask(command).ok()
    }

    fn process(redis: &LocalRedis) -> Option<String> {
        let info = ask(redis.socket(), &["INFO", "server"])?;
        info.lines().find_map(|line| line.strip_prefix("process_id:")).map(|id| id.trim().to_owned())
    }

    /// Waits for a process other than `first` that has loaded its data. While it loads, it says so to all but `INFO`.
    async fn another(redis: &LocalRedis, first: &str) -> String {
        let start = Instant::now();
        loop {
            match process(redis) {
                Some(process) if process != first && ask(redis.socket(), &["PING"]).is_some() => {
                    return process;
                }
                _ => assert!(start.elapsed() < Duration::from_secs(60), "it does not come back"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn signal(name: &str, process: &str) -> bool {
        Command::new("kill").args([name, process]).stderr(Stdio::null()).status().await.unwrap().success()
    }

    /// A zombie, which has ended and was not waited for yet, does not count as running.
    async fn runs(process: &str) -> bool {
        let state = Command::new("ps").args(["-o", "stat=", "-p", process]).output().await.unwrap().stdout;
        state.first().is_some_and(|state| *state != b'Z')
    }

    #[tokio::test]
    async fn a_server_that_is_killed_is_started_again_with_its_data() {
        let dir = tempfile::tempdir().unwrap();
        let redis = LocalRedis::start(&dir.path().join("redis")).await.unwrap();
        let socket = redis.socket().to_owned();
        assert_eq!(ask(&socket, &["SET", "key", "value"]).as_deref(), Some("OK"));
        let first = process(&redis).unwrap();
        assert!(signal("-9", &first).await);
        let second = another(&redis, &first).await;
        assert_eq!(ask(&socket, &["GET", "key"]).as_deref(), Some("value"));
        redis.stop().await;
        assert!(!socket.exists());
        assert!(!runs(&second).await, "it ended with its owner");
    }

    #[tokio::test]
    async fn a_server_without_a_keeper_is_ended_by_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let redis = LocalRedis::start(&dir.path().join("redis")).await.unwrap();
        let first = process(&redis).unwrap();
        let parent = std::process::Command::new("ps").args(["-o", "ppid=", "-p", &first]).output().unwrap();
        let keeper = String::from_utf8(parent.stdout).unwrap().trim().to_owned();
        assert!(signal("-9", &keeper).await);
        another(&redis, &first).await;
        assert!(!runs(&first).await, "two servers would destroy each other's files");
        redis.stop().await;
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_socket_is_below_a_directory_that_only_its_owner_enters() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("a, b%c/redis");
        fs::create_dir_all(&directory).unwrap();
        let socket = RedisSocket::prepare(&directory).unwrap();
        assert_eq!(socket.path, directory.canonicalize().unwrap().join("redis.sock"));
        assert_eq!(mode(&directory), 0o700);
        let url = Endpoint::Socket(socket.path).url();
        assert!(url.ends_with("/a%2C%20b%25c/redis/redis.sock"), "{url}");
        let address = RedisAddress::parse(&url.into()).unwrap();
        assert!(address.socket().unwrap().ends_with("a, b%c/redis/redis.sock"));
    }

    #[test]
    fn a_path_that_is_too_long_is_replaced_and_linked_to() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("d".repeat(100)).join("redis");
        let first = RedisSocket::prepare(&directory).unwrap();
        assert!(first.path.as_os_str().len() <= LONGEST_PATH);
        assert_eq!(mode(first.path.parent().unwrap()), 0o700);
        assert_eq!(fs::read_link(directory.join("redis.sock")).unwrap(), first.path);
        // As after a kill: the temporary directory is still there.
        let second = RedisSocket::prepare(&directory).unwrap();
        assert_ne!(second.path, first.path);
        assert!(!first.path.parent().unwrap().exists(), "the next start removes it");
    }
}

//! A `redis-server` that lives no longer than this process.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redis::Value;
use tokio::sync::watch;

use crate::redis::endpoint::Endpoint;

/// How long a server may take to accept connections. Loading its data may take longer.
const START_DEADLINE: Duration = Duration::from_secs(30);
const PING_LIMIT: Duration = Duration::from_secs(1);
/// The pause between two looks at a server that starts.
const LOOK: Duration = Duration::from_millis(20);

/// How a server is started.
#[derive(Debug, Clone)]
pub struct ServerCommand {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Where its data is.
    pub directory: PathBuf,
    /// The file that its messages are added to.
    pub log: PathBuf,
    /// Further options of `redis-server`. Without any it evicts nothing and saves nothing.
    pub options: Vec<String>,
    /// A command that runs the server's, such as `taskset`, with its arguments.
    pub wrapper: Vec<String>,
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It is not installed on this machine.
    #[error(
        "redis-server is not installed: install it with `sudo apt-get install redis-server` (Debian, Ubuntu) or \
         `brew install redis` (macOS), or set REDIS_URL to a Redis 7 or newer with maxmemory-policy noeviction"
    )]
    Missing,
    /// Its log cannot be written.
    #[error("{} cannot be written", log.display())]
    Log {
        /// The file.
        log: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// No process could be made.
    #[error("redis-server cannot be started")]
    Spawn(#[source] io::Error),
    /// It ended before it answered.
    #[error("redis-server ended with {status}{last_words}; its log is {}", log.display())]
    Ended {
        /// The exit status.
        status: String,
        /// The last line of its log, in parentheses.
        last_words: String,
        /// The file.
        log: PathBuf,
    },
    /// It runs, and does not answer.
    #[error("redis-server did not answer within {} s; its log is {}", START_DEADLINE.as_secs(), log.display())]
    Silent {
        /// Its log.
        log: PathBuf,
    },
}

/// A running server. It ends when this value is dropped, or when this process dies, even by `SIGKILL`.
#[derive(Debug)]
pub struct ServerProcess {
    endpoint: Endpoint,
    log: PathBuf,
    /// Closing the pipe ends the server.
    pipe: ChildStdin,
    ended: watch::Receiver<Option<String>>,
    waiter: JoinHandle<()>,
    /// When it was started, or last said that it is loading its data.
    since: Instant,
}

/// Shell script that starts the server, waits until our end of the pipe closes, which happens even when this
/// process is killed, and stops the server. It ends with the server.
const KEEPER: &str = r#"
    exec 3<&0
    "$@" 3<&- </dev/null & server=$!
    { read -r _ <&3; kill $server; } 2>/dev/null & reader=$!
    exec 3<&-
    wait $server; status=$?
    while kill -0 $server 2>/dev/null; do wait $server; status=$?; done
    kill $reader 2>/dev/null
    exit $status
"#;

impl ServerCommand {
    /// Starts the server, and does not wait for it.
    ///
    /// # Errors
    /// When it is not installed, or no process can be made.
    pub fn spawn(&self) -> Result<ServerProcess, ServerError> {
        let installed = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        installed.map_err(|_| ServerError::Missing)?;
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.log);
        let outputs = log.and_then(|log| Ok((log.try_clone()?, log)));
        let (stdout, stderr) = outputs.map_err(|cause| ServerError::Log { log: self.log.clone(), cause })?;
        let mut child = Command::new("sh")
            .args(["-c", KEEPER, "redis-keeper"])
            .args(&self.wrapper)
            .arg("redis-server")
            .args(self.arguments())
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(stderr)
            // A process group of its own: Ctrl-C is meant for this process, and the worker needs Redis to give its
            // jobs back.
            .process_group(0)
            .spawn()
            .map_err(ServerError::Spawn)?;
        // Kept apart from the child, whose `wait` would close it.
        let pipe = child.stdin.take().expect("the pipe was asked for");
        let (say_ended, ended) = watch::channel(None);
        let waiter = std::thread::spawn(move || {
            let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            say_ended.send_replace(Some(status));
        });
        let (endpoint, log) = (self.endpoint.clone(), self.log.clone());
        Ok(ServerProcess { endpoint, log, pipe, ended, waiter, since: Instant::now() })
    }

    /// Starts the server, and blocks until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(&self) -> Result<ServerProcess, ServerError> {
        let mut process = self.spawn()?;
        while !process.is_ready()? {
            std::thread::sleep(LOOK);
        }
        Ok(process)
    }

    /// Starts the server, and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start_async(&self) -> Result<ServerProcess, ServerError> {
        let mut process = self.spawn()?;
        while !process.is_ready()? {
            tokio::time::sleep(LOOK).await;
        }
        Ok(process)
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = match &self.endpoint {
            Endpoint::Port(port) => {
                vec!["--bind".into(), "127.0.0.1".into(), "--port".into(), port.to_string().into()]
            }
            Endpoint::Socket(path) => {
                let mut socket: Vec<OsString> =
                    ["--port", "0", "--unixsocketperm", "700", "--unixsocket"].map(Into::into).into();
                socket.push(path.into());
                socket
            }
        };
        let usual = ["--daemonize", "no", "--save", "", "--maxmemory-policy", "noeviction", "--dir"];
        arguments.extend(usual.map(Into::into));
        arguments.push(self.directory.clone().into());
        arguments.extend(self.options.iter().map(Into::into));
        arguments
    }
}

impl ServerProcess {
    /// Whether it accepts commands by now.
    fn is_ready(&mut self) -> Result<bool, ServerError> {
        let answer = self.endpoint.ask_within::<Value>(&["PING"], PING_LIMIT);
        // Another server may be what answers, if it took the address first.
        if let Some(status) = self.ended.borrow().clone() {
            let (last_words, log) = (last_words(&self.log), self.log.clone());
            return Err(ServerError::Ended { status, last_words, log });
        }
        match answer {
            Ok(_) => return Ok(true),
            Err(error) if error.code() == Some("LOADING") => self.since = Instant::now(),
            // It has begun to ask for passwords, or the like.
            Err(error) if error.code().is_some() => return Ok(true),
            Err(_) => {}
        }
        if self.since.elapsed() > START_DEADLINE {
            return Err(ServerError::Silent { log: self.log.clone() });
        }
        Ok(false)
    }

    /// Returns its exit status when it has ended.
    pub async fn ended(&self) -> String {
        let mut ended = self.ended.clone();
        let status = ended.wait_for(Option::is_some).await.map(|status| status.clone());
        status.ok().flatten().unwrap_or_else(|| "an unknown status".to_owned())
    }

    /// Lets it write its data to disk and end. Blocks until it has.
    pub fn end(self) {
        drop(self.pipe);
        self.waiter.join().ok();
    }

    /// As [`ServerProcess::end`], without blocking.
    pub async fn end_async(self) {
        let mut ended = self.ended;
        drop(self.pipe);
        ended.wait_for(Option::is_some).await.ok();
    }
}

/// The last line of a log, without time and process id.
fn last_words(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or_else(String::new, |line| {
        let words =
            line.split_once(" # ").or_else(|| line.split_once(" * ")).map_or(line, |(_, words)| words);
        format!(" ({})", words.trim())
    })
}

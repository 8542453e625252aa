//! The programs as processes of their own, to be killed, refused and looked at from outside.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::bed::{Http, TestTenant};
use crate::wait::wait_for;

/// Variables of the machine that runs the tests that a program under test must not see.
const FOREIGN: [&str; 5] = ["REDIS_URL", "POSTGRES_URL", "POSTGRES_ADMIN_URL", "MONGO_URL", "NEO4J_URL"];

/// A running `tenantry dev`.
pub struct Program {
    child: Child,
    said: Arc<Mutex<String>>,
    /// Where its API listens.
    pub url: String,
    /// The operator's key.
    pub operator_key: String,
}

impl Program {
    /// Starts `tenantry dev` on a data directory and waits until it says where it listens. It starts a Redis of
    /// its own.
    ///
    /// # Panics
    /// When the program was not built, or ends before it listens.
    #[must_use]
    pub fn dev(data_dir: &Path) -> Self {
        Self::dev_with(data_dir, &[])
    }

    /// The same with settings in its environment.
    ///
    /// # Panics
    /// As [`Program::dev`].
    #[must_use]
    pub fn dev_with(data_dir: &Path, settings: &[(&str, &str)]) -> Self {
        let mut child = dev("127.0.0.1:0", data_dir)
            .envs(settings.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let said = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().expect("standard error is piped")).lines();
        let (mut url, mut operator_key) = (None, None);
        let mut lines = lines.map_while(Result::ok);
        for line in lines.by_ref() {
            let value = || line.split_whitespace().last().map(str::to_owned);
            match line.split_whitespace().next() {
                Some("API") => url = value(),
                Some("operator") => operator_key = value(),
                _ => eprintln!("{line}"),
            }
            if line.starts_with("Ctrl-C") {
                break;
            }
        }
        let log = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in lines {
                eprintln!("{line}");
                log.lock().unwrap_or_else(PoisonError::into_inner).extend([line.as_str(), "\n"]);
            }
        });
        Self {
            child,
            said,
            url: url.expect("the program says where its API listens"),
            operator_key: operator_key.expect("the program shows the operator's key"),
        }
    }

    /// Starts `tenantry dev` with standard error as given, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    pub async fn dev_with_stderr(data_dir: &Path, settings: &[(&str, &str)], stderr: Stdio) -> Self {
        let address = free_address();
        let mut command = dev(&address, data_dir);
        let child = command.envs(settings.iter().copied()).stderr(stderr).spawn();
        let child = child.expect("the program starts");
        let url = format!("http://{address}");
        wait_for("the program to be ready", async || {
            let answer = reqwest::get(format!("{url}/readyz")).await.map_err(|error| error.to_string())?;
            answer.error_for_status().map_err(|error| error.to_string())
        })
        .await;
        let secrets = std::fs::read_to_string(data_dir.join("secrets.env")).expect("it made its secrets");
        let operator_key = secrets.lines().find_map(|line| line.strip_prefix("TENANTRY_OPERATOR_KEY="));
        let operator_key = operator_key.expect("a key is among them").to_owned();
        Self { child, said: Arc::default(), url, operator_key }
    }

    /// Provisions a tenant through the API and waits until it is active.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn provision(&self, id: &str) -> TestTenant {
        let operator = Http::new(&self.url, &self.operator_key);
        let answer = operator.post("/api/v1/tenants", &json!({ "id": id, "name": id })).await;
        let key = answer.body["api_key"].as_str().expect("the answer shows the first key");
        let tenant = TestTenant { id: id.to_owned(), http: Http::new(&self.url, key) };
        wait_for("the tenant to be active", async || {
            let answer = tenant.http.get(&format!("/api/v1/tenants/{id}")).await;
            if answer.body["status"] == "active" { Ok(()) } else { Err(answer) }
        })
        .await;
        tenant
    }

    /// Its output on standard error since it listens.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, which has another cause.
    pub async fn ended(&mut self) -> ExitStatus {
        wait_for("the program to end", async || {
            self.child.try_wait().expect("a child can be waited for").ok_or("running")
        })
        .await
    }

    /// `kill -9`: no goodbye, no clean-up.
    ///
    /// # Panics
    /// When the process cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        // Ctrl-C, so that it stops its Redis too; a killed process is gone already.
        let _ = Command::new("kill").args(["-INT", &pid]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

fn dev(address: &str, data_dir: &Path) -> Command {
    let mut command = command("tenantry");
    command
        .args(["dev", "--listen", address, "--lease-s", "2", "--concurrency", "2", "--data-dir"])
        .arg(data_dir)
        // Tests ask more often than newcomers may.
        .env("TENANTRY_DEFAULT_PLAN", "standard")
        .env("RUST_LOG", "warn");
    command
}

/// A program, `tenantry` or `api-thin`, without settings.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn command(name: &str) -> Command {
    let mut command = Command::new(binary(name));
    for (variable, _) in std::env::vars_os() {
        let variable = variable.to_string_lossy();
        if variable.starts_with("TENANTRY_") || FOREIGN.contains(&variable.as_ref()) {
            command.env_remove(variable.as_ref());
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a program to its end.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn output(name: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = command(name);
    command.args(arguments).envs(settings.iter().copied()).output().expect("the program starts")
}

/// An address on which nothing listens.
///
/// # Panics
/// When this machine has no port left.
#[must_use]
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it has an address").to_string()
}

fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.ancestors().find(|folder| folder.ends_with("deps")).and_then(Path::parent);
    let binary = folder.expect("tests run from target/*/deps").join(name);
    assert!(
        binary.exists(),
        "{} is missing: run `cargo build --package tenantry --package api-thin` first, as `make test` does",
        binary.display()
    );
    binary
}

/// A client of a program that runs in a process of its own, where nothing else has chosen who encrypts.
#[must_use]
pub fn http_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

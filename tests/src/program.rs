//! The `worker` program as a process of its own, to be killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running `worker dev`.
pub struct Program {
    child: Child,
    /// Where its API listens.
    pub url: String,
    /// The operator's key.
    pub operator_key: String,
}

impl Program {
    /// Starts `worker dev` on a data directory and waits until it says where it listens. It starts a Redis of
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
        let mut child = Command::new(binary())
            .args(["dev", "--listen", "127.0.0.1:0", "--lease-s", "2", "--concurrency", "2", "--data-dir"])
            .arg(data_dir)
            .env_remove("REDIS_URL")
            .env("RUST_LOG", "warn")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the worker program starts");
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
        // The pipe must not fill up and block the program.
        std::thread::spawn(move || lines.for_each(|line| eprintln!("{line}")));
        Self {
            child,
            url: url.expect("the program says where its API listens"),
            operator_key: operator_key.expect("the program shows the operator's key"),
        }
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
        // Ctrl-C, so that it stops its Redis too; a killed one is gone already.
        let _ = Command::new("kill").args(["-INT", &pid]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.ancestors().find(|folder| folder.ends_with("deps")).and_then(Path::parent);
    let binary = folder.expect("tests run from target/*/deps").join("worker");
    assert!(
        binary.exists(),
        "{} is missing: run `cargo build --package worker` first, as `make test` does",
        binary.display()
    );
    binary
}

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::harness::cores::{Cores, Place};
use crate::harness::delivery;
use crate::harness::sample::float;
use crate::harness::workload::ARGS_BYTES;

pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// Whether the ratio that is asked for is over this one.
    pub(crate) counts: bool,
    /// The fastest of 50, 100, 200.
    pub(crate) concurrency: usize,
    folder: &'static str,
    needs: &'static str,
    prepare: &'static [&'static str],
    run: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
}

const CARGO: &[&str] = &["cargo", "build", "--release", "--locked", "--quiet", "--target-dir", "{build}"];

pub(crate) const PEERS: [Peer; 4] = [
    Peer {
        name: "bullmq 5",
        counts: true,
        concurrency: 100,
        folder: "bullmq",
        needs: "node",
        prepare: &["npm", "install", "--no-save", "--ignore-scripts", "--silent"],
        run: &["node", "drain.mjs"],
        variables: &[],
    },
    Peer {
        name: "asynq 0.26",
        counts: true,
        concurrency: 100,
        folder: "asynq",
        needs: "go",
        prepare: &["go", "build", "-o", "{build}/asynq-drain", "."],
        run: &["{build}/asynq-drain"],
        variables: &[],
    },
    Peer {
        name: "apalis-redis 1.0",
        counts: true,
        concurrency: 200,
        folder: "apalis-redis",
        needs: "cargo",
        prepare: CARGO,
        run: &["{build}/release/apalis-redis-drain"],
        variables: &[("LOCKS", "1")],
    },
    Peer {
        name: "apalis-redis 1.0, task locks off",
        counts: false,
        concurrency: 200,
        folder: "apalis-redis",
        needs: "cargo",
        prepare: CARGO,
        run: &["{build}/release/apalis-redis-drain"],
        variables: &[("LOCKS", "0")],
    },
];

#[derive(Deserialize)]
struct Outcome {
    seconds: f64,
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

fn build() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench/peers")
}

fn placed(word: &str) -> String {
    word.replace("{build}", &build().to_string_lossy())
}

impl Peer {
    /// Builds it.
    pub(crate) fn prepare(&self) -> Result<()> {
        let present =
            Command::new(self.needs).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if present.is_err() {
            bail!("{} is not installed", self.needs);
        }
        std::fs::create_dir_all(build())?;
        let (program, arguments) = self.prepare.split_first().context("a peer is built by a program")?;
        let mut command = Command::new(program);
        command.args(arguments.iter().map(|word| placed(word))).current_dir(peers().join(self.folder));
        let built =
            command.stdout(Stdio::null()).status().with_context(|| format!("cannot run {program}"))?;
        anyhow::ensure!(built.success(), "`{program}` failed in tests/benches/peers/{}", self.folder);
        Ok(())
    }

    /// Jobs a second over `jobs` jobs.
    pub(crate) fn drain(&self, cores: &Cores, port: u16, jobs: u64) -> Result<f64> {
        let ids = tempfile::NamedTempFile::new()?;
        let (program, arguments) = self.run.split_first().context("a peer is a program")?;
        let output = cores
            .command(Place::Worker, &placed(program))
            .args(arguments)
            .current_dir(peers().join(self.folder))
            .env("REDIS_PORT", port.to_string())
            .env("JOBS", jobs.to_string())
            .env("ARGS_BYTES", ARGS_BYTES.to_string())
            .env("CONCURRENCY", self.concurrency.to_string())
            .env("IDS_FILE", ids.path())
            .envs(self.variables.iter().copied())
            .stderr(Stdio::inherit())
            .output()?;
        anyhow::ensure!(output.status.success(), "{} failed", self.name);
        let outcome: Outcome = serde_json::from_slice(&output.stdout)?;
        let ran = std::fs::read_to_string(ids.path())?;
        let ran = ran.lines().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        delivery::check(&(0..jobs).collect::<Vec<_>>(), &ran)?;
        Ok(float(jobs) / outcome.seconds)
    }
}

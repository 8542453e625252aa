use std::io::{Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

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
    drain_limit: Duration,
}

/// How long building one may take: the first time it fetches what it needs.
const BUILD_LIMIT: Duration = Duration::from_secs(1_200);
/// How long one drain may take: twenty times what the slowest took so far.
const DRAIN_LIMIT: Duration = Duration::from_secs(600);

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
        drain_limit: DRAIN_LIMIT,
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
        drain_limit: DRAIN_LIMIT,
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
        drain_limit: DRAIN_LIMIT,
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
        drain_limit: DRAIN_LIMIT,
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
        finish(&mut command, BUILD_LIMIT)
            .map(drop)
            .with_context(|| format!("`{program}` in tests/benches/peers/{}", self.folder))
    }

    /// Jobs a second over `jobs` jobs.
    pub(crate) fn drain(&self, cores: &Cores, port: u16, jobs: u64) -> Result<f64> {
        let ids = tempfile::NamedTempFile::new()?;
        let (program, arguments) = self.run.split_first().context("a peer is a program")?;
        let mut command = cores.command(Place::Worker, &placed(program));
        command
            .args(arguments)
            .current_dir(peers().join(self.folder))
            .env("REDIS_PORT", port.to_string())
            .env("JOBS", jobs.to_string())
            .env("ARGS_BYTES", ARGS_BYTES.to_string())
            .env("CONCURRENCY", self.concurrency.to_string())
            .env("IDS_FILE", ids.path())
            .envs(self.variables.iter().copied());
        let said = finish(&mut command, self.drain_limit)?;
        let outcome: Outcome =
            serde_json::from_str(&said).with_context(|| format!("it answered {said:?}"))?;
        let ran = std::fs::read_to_string(ids.path())?;
        let ran = ran.lines().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        delivery::check(&(0..jobs).collect::<Vec<_>>(), &ran)?;
        Ok(float(jobs) / outcome.seconds)
    }
}

/// Runs a command to its end, with everything that it started, and returns what it printed.
fn finish(command: &mut Command, limit: Duration) -> Result<String> {
    let (mut out, mut errors) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(errors.try_clone()?).process_group(0);
    let mut child = command.spawn().context("it cannot be started")?;
    let start = Instant::now();
    let ended: Option<ExitStatus> = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if start.elapsed() > limit => break None,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    // What it started is in its group, and ends with it.
    let group = format!("-{}", child.id());
    Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status()?;
    child.wait()?;
    match ended {
        Some(status) if status.success() => text(&mut out),
        Some(status) => {
            let said = text(&mut errors)?;
            eprint!("{said}");
            bail!(
                "{status}: {}",
                said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason")
            )
        }
        None => bail!("not done after {} s", limit.as_secs()),
    }
}

fn text(file: &mut std::fs::File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A peer that is a line of shell.
    pub(crate) fn shell(line: &'static [&'static str], drain_limit: Duration) -> Peer {
        Peer {
            name: "shell",
            counts: true,
            concurrency: 1,
            folder: "bullmq",
            needs: "sh",
            prepare: &["true"],
            run: line,
            variables: &[],
            drain_limit,
        }
    }

    #[test]
    fn a_peer_says_why_it_failed() {
        let cores = Cores { count: 1, pinned: false };
        let patience = Duration::from_secs(60);
        for (line, limit, expected) in [
            (
                ["sh", "-c", "echo out of luck >&2; exit 3"].as_slice(),
                patience,
                "exit status: 3: out of luck",
            ),
            (&["sh", "-c", "sleep 600 & wait"], Duration::from_millis(50), "not done after 0 s"),
            (&["sh", "-c", "echo none"], patience, "it answered \"none\\n\""),
            (&["/nowhere"], patience, "it cannot be started"),
            (&["sh", "-c", r#"seq 0 3 >$IDS_FILE; echo '{"seconds": 1}'"#], patience, "INEXACT DELIVERY"),
        ] {
            let error = shell(line, limit).drain(&cores, 1, 10).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
        let works = r#"seq 0 9 >$IDS_FILE; echo '{"seconds": 2}'"#;
        let works: &'static [&'static str] = Box::leak(Box::new(["sh", "-c", works]));
        let rate = shell(works, patience).drain(&cores, 1, 10).unwrap();
        assert!((rate - 5.0).abs() < 1e-9, "{rate}");
    }
}

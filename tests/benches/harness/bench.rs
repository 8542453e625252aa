//! One run of the program: how often, where, and what came out.

use anyhow::{Result, bail};
use jobs::envelope::StampKeys;
use secrecy::ExposeSecret as _;

use super::conditions::Conditions;
use super::cores::Cores;
use super::redis_child::Persistence;
use super::report::Report;

/// The names that `ONLY` accepts.
pub(crate) const FIGURES: [&str; 8] =
    ["drain", "enqueue", "latency", "flatness", "neighbour", "shares", "memory", "scale_out"];

pub(crate) struct Bench {
    /// How often each figure is taken.
    pub(crate) runs: usize,
    /// How long the steady-rate figures look.
    pub(crate) minutes: f64,
    /// Jobs a second of the latency figure. By default half of what this machine can pass.
    pub(crate) rate: Option<f64>,
    pub(crate) cores: Cores,
    pub(crate) conditions: Conditions,
    pub(crate) report: Report,
    /// In the form that [`StampKeys::parse`] reads.
    pub(crate) keys: String,
    /// Whether to measure what we are measured beside.
    pub(crate) peers: bool,
    only: Vec<String>,
    pub(crate) persistence: Vec<Persistence>,
}

impl Bench {
    /// `ONLY=drain,latency` chooses figures, `QUICK=1` takes each twice, `MINUTES=10` is the length of the
    /// steady-rate figures, `RATE=15000` the jobs a second of the latency figure, `PERSISTENCE=off` leaves the
    /// append-only file out, `PEERS=0` the peers.
    pub(crate) fn from_environment() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let list = |name: &str| -> Vec<String> {
            variable(name)
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let quick = matches!(variable("QUICK").as_str(), "1" | "yes" | "true");
        let runs = variable("RUNS").parse().unwrap_or(if quick { 2 } else { 5 });
        let mut persistence = vec![Persistence::Off, Persistence::AofEverysec];
        if !variable("PERSISTENCE").is_empty() {
            persistence.retain(|kind| list("PERSISTENCE").iter().any(|name| name == kind.name()));
        }
        let only = list("ONLY");
        if let Some(unknown) = only.iter().find(|name| !FIGURES.contains(&name.as_str())) {
            bail!("there is no figure {unknown}: choose among {}", FIGURES.join(", "));
        }
        let cores = Cores::find();
        Ok(Self {
            runs,
            minutes: variable("MINUTES").parse().unwrap_or(1.0),
            rate: variable("RATE").parse().ok(),
            conditions: Conditions::read(&cores, runs),
            cores,
            report: Report::default(),
            keys: StampKeys::generate("bench").expose_secret().to_owned(),
            peers: variable("PEERS") != "0",
            only,
            persistence,
        })
    }

    pub(crate) fn wants(&self, figure: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == figure)
    }
}

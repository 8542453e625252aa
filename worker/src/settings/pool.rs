use std::time::Duration;

use clap::Args;

/// How much a worker takes on and how long it holds it.
#[derive(Debug, Clone, Args)]
pub struct PoolSettings {
    /// How many jobs run at the same time.
    #[arg(long, env = "TENANTRY_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,
    /// How long a job stays with a worker that is not heard of, in seconds.
    #[arg(long, env = "TENANTRY_LEASE_S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub lease_s: u32,
    /// How long jobs may go on after the worker was asked to stop, in seconds.
    #[arg(long, env = "TENANTRY_STOP_S", default_value_t = 25)]
    pub stop_s: u32,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { concurrency: 16, lease_s: 30, stop_s: 25 }
    }
}

impl PoolSettings {
    /// [`PoolSettings::lease_s`]
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_s.into())
    }

    /// [`PoolSettings::stop_s`]
    #[must_use]
    pub fn stop(&self) -> Duration {
        Duration::from_secs(self.stop_s.into())
    }
}

//! How much work a worker takes on. With feature `clap` the settings are flags and environment variables too.

use std::time::Duration;

use crate::compute::ComputeLimits;

/// How much a worker takes on and how long it holds it.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct PoolSettings {
    /// How many jobs run at the same time.
    #[cfg_attr(
        feature = "clap",
        arg(long, env = "TENANTRY_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))
    )]
    pub concurrency: u16,
    /// How many deliveries of webhooks run at the same time, beside the other jobs: a target that hangs takes nothing
    /// from those.
    #[cfg_attr(
        feature = "clap",
        arg(long, env = "TENANTRY_WEBHOOK_CONCURRENCY", default_value_t = 16, value_name = "JOBS", value_parser = clap::value_parser!(u16).range(1..))
    )]
    pub webhook_concurrency: u16,
    /// How long a job stays with a worker that is not heard of, in seconds.
    #[cfg_attr(
        feature = "clap",
        arg(long, env = "TENANTRY_LEASE_S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))
    )]
    pub lease_s: u32,
    /// How long jobs may go on after the worker was asked to stop, in seconds.
    #[cfg_attr(feature = "clap", arg(long, env = "TENANTRY_STOP_S", default_value_t = 25))]
    pub stop_s: u32,
    /// How often accepted work is compared with what the queue has, in seconds. Work that has just been enqueued is
    /// left alone for as long.
    #[cfg_attr(
        feature = "clap",
        arg(long, env = "TENANTRY_RECONCILE_S", value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))
    )]
    pub reconcile_s: u32,
    /// How old a job may get that waits for a service that is busy or away, such as the language model, in seconds.
    /// Then it is given up. Waiting costs no attempt.
    #[cfg_attr(
        feature = "clap",
        arg(long, env = "TENANTRY_WAIT_MAX_S", value_name = "SECONDS", default_value_t = 259_200, value_parser = clap::value_parser!(u32).range(60..=31_536_000))
    )]
    pub wait_max_s: u32,
    /// How many MiB reading documents may take together. A document takes about 8 times its size.
    #[cfg_attr(
        feature = "clap",
        arg(long, env = "TENANTRY_READ_MEMORY_MIB", value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(64..=1_048_576))
    )]
    pub read_memory_mib: u32,
    /// How long reading one document, or extracting from one of its chunks, may keep a core busy, in seconds.
    #[cfg_attr(
        feature = "clap",
        arg(long, env = "TENANTRY_READ_S", value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=86_400))
    )]
    pub read_s: u32,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            concurrency: 16,
            webhook_concurrency: 16,
            lease_s: 30,
            stop_s: 25,
            reconcile_s: 60,
            wait_max_s: 259_200,
            read_memory_mib: 512,
            read_s: 120,
        }
    }
}

impl PoolSettings {
    /// [`PoolSettings::lease_s`] as a duration.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_s.into())
    }

    /// [`PoolSettings::reconcile_s`] as a duration.
    #[must_use]
    pub fn reconcile(&self) -> Duration {
        Duration::from_secs(self.reconcile_s.max(1).into())
    }

    /// [`PoolSettings::wait_max_s`] as a duration.
    #[must_use]
    pub fn wait_max(&self) -> Duration {
        Duration::from_secs(self.wait_max_s.into())
    }

    /// The limits of CPU-bound work such as reading documents.
    #[must_use]
    pub fn compute(&self) -> ComputeLimits {
        ComputeLimits {
            time: Duration::from_secs(self.read_s.into()),
            memory_bytes: u64::from(self.read_memory_mib) * 1024 * 1024,
            ..ComputeLimits::default()
        }
    }

    /// [`PoolSettings::stop_s`] as a duration.
    #[must_use]
    pub fn stop(&self) -> Duration {
        Duration::from_secs(self.stop_s.into())
    }
}

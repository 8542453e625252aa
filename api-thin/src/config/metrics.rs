//! Who may read metrics, and what they name.

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use super::InvalidConfig;
use crate::auth::ShortSecret;

/// Who may read metrics, and what they name.
#[derive(Debug, Clone)]
pub struct MetricsConfig {
    /// Lets its holder read metrics and nothing else. Without one only the operator's key does.
    pub token: Option<SecretString>,
    /// How many tenants have series of their own; the others are one series together.
    pub tenants: usize,
    /// Jobs that one worker runs at the same time.
    pub worker_slots: u16,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { token: None, tenants: 20, worker_slots: 16 }
    }
}

/// The same as flags and environment variables.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_field_names, reason = "each is the name of its flag")]
pub struct MetricsSettings {
    /// Lets Prometheus read /metrics, as a bearer token: at least 32 bytes. Without it only the operator's key does.
    #[arg(long, env = Self::TOKEN, hide_env_values = true, value_name = "SECRET")]
    metrics_token: Option<String>,
    /// How many tenants have series of their own in /metrics: those with the most. 0: no tenant is named.
    #[arg(
        long,
        env = "TENANTRY_METRICS_TENANTS",
        default_value_t = 20,
        value_name = "TENANTS",
        value_parser = clap::value_parser!(u16).range(0..=1_000)
    )]
    metrics_tenants: u16,
    /// Jobs that one worker runs at the same time, which is the workers' `TENANTRY_CONCURRENCY`: for the metric
    /// `tenantry_desired_workers`.
    #[arg(
        long,
        env = "TENANTRY_METRICS_WORKER_SLOTS",
        default_value_t = 16,
        value_name = "JOBS",
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    metrics_worker_slots: u16,
}

impl MetricsSettings {
    const TOKEN: &str = "TENANTRY_METRICS_TOKEN";

    pub(super) fn metrics(&self) -> Result<MetricsConfig, InvalidConfig> {
        let token = self.metrics_token.clone().map(SecretString::from);
        if let Some(token) = &token {
            let found_bytes = token.expose_secret().len();
            if found_bytes < ShortSecret::MIN_BYTES {
                return Err(InvalidConfig::short(Self::TOKEN)(ShortSecret { found_bytes }));
            }
        }
        let (tenants, worker_slots) = (self.metrics_tenants.into(), self.metrics_worker_slots);
        Ok(MetricsConfig { token, tenants, worker_slots })
    }
}

//! Settings: environment variables and flags of the same meaning. `worker run --help` lists them.

use std::net::SocketAddr;
use std::time::Duration;

use api_thin::InvalidConfig;
pub use api_thin::program::{PlanSettings, QueueSettings, StorageSettings};
use api_thin::program::{bind, listen_address};
use clap::Args;
use tokio::net::TcpListener;

use crate::compute::ComputeLimits;
use crate::extract::OpenAiSettings;

const MODEL: &str = "gpt-4o-mini";
const TIMEOUT_S: u32 = 120;

/// Who finds entities: the built-in rules, or a language model behind an OpenAI-compatible endpoint.
#[derive(Debug, Clone, Args)]
pub struct ExtractionSettings {
    /// Base URL of an OpenAI-compatible API, such as `https://api.openai.com/v1`. Without it the built-in
    /// rules are used: they work offline and find names, not meaning.
    #[arg(long, env = "OPENAI_BASE_URL", value_name = "URL")]
    pub openai_base_url: Option<String>,
    /// Key for that API.
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub openai_api_key: Option<String>,
    /// Model to ask.
    #[arg(long, env = "OPENAI_MODEL", default_value = MODEL, value_name = "NAME")]
    pub openai_model: String,
    /// How long one request may take, in seconds.
    #[arg(long, env = "OPENAI_TIMEOUT_S", default_value_t = TIMEOUT_S)]
    pub openai_timeout_s: u32,
}

impl Default for ExtractionSettings {
    fn default() -> Self {
        Self {
            openai_base_url: None,
            openai_api_key: None,
            openai_model: MODEL.to_owned(),
            openai_timeout_s: TIMEOUT_S,
        }
    }
}

impl ExtractionSettings {
    /// The language model to ask, if one is configured.
    #[must_use]
    pub fn openai(&self) -> Option<OpenAiSettings> {
        self.openai_base_url.as_ref().map(|base_url| OpenAiSettings {
            base_url: base_url.clone(),
            api_key: self.openai_api_key.clone().map(Into::into),
            model: self.openai_model.clone(),
            timeout: Duration::from_secs(self.openai_timeout_s.into()),
        })
    }
}

/// Whether a worker shows how it is.
#[derive(Debug, Clone, Default, Args)]
pub struct HealthSettings {
    /// Address and port for /healthz, /readyz and /metrics. They ask for no credentials, so keep them inside.
    /// Nothing is served by default.
    #[arg(
        long = "health-listen",
        env = "TENANTRY_HEALTH_LISTEN",
        value_name = "ADDRESS",
        value_parser = listen_address
    )]
    pub listen: Option<SocketAddr>,
}

impl HealthSettings {
    /// Listens, if an address was given.
    ///
    /// # Errors
    /// When the address is taken; the text names the setting.
    pub async fn bind(&self) -> Result<Option<TcpListener>, InvalidConfig> {
        match self.listen {
            Some(address) => bind("TENANTRY_HEALTH_LISTEN", address).await.map(Some),
            None => Ok(None),
        }
    }
}

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
    /// How many MiB reading documents may take together. A document takes about 8 times its size.
    #[arg(long, env = "TENANTRY_READ_MEMORY_MIB", value_name = "MIB", default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    pub read_memory_mib: u32,
    /// How long reading one document, or extracting from one of its chunks, may keep a core busy, in seconds.
    #[arg(long, env = "TENANTRY_READ_S", value_name = "SECONDS", default_value_t = 120,
        value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub read_s: u32,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { concurrency: 16, lease_s: 30, stop_s: 25, read_memory_mib: 512, read_s: 120 }
    }
}

impl PoolSettings {
    /// [`PoolSettings::lease_s`]
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_s.into())
    }

    /// What reading documents may take.
    #[must_use]
    pub fn compute(&self) -> ComputeLimits {
        ComputeLimits {
            time: Duration::from_secs(self.read_s.into()),
            memory_bytes: u64::from(self.read_memory_mib) * 1024 * 1024,
            ..ComputeLimits::default()
        }
    }

    /// [`PoolSettings::stop_s`]
    #[must_use]
    pub fn stop(&self) -> Duration {
        Duration::from_secs(self.stop_s.into())
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _, Parser};

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        extraction: ExtractionSettings,
    }

    /// A program that embeds the worker begins with the same as one that is started without flags.
    #[test]
    fn what_is_not_said_is_the_same_in_code_and_on_the_command_line() {
        let command = Program::command().mut_args(|arg| arg.env(None::<&str>));
        let program = Program::from_arg_matches(&command.get_matches_from(["program"])).unwrap();
        assert_eq!(format!("{:?}", program.extraction), format!("{:?}", ExtractionSettings::default()));
        let settings =
            ExtractionSettings { openai_base_url: Some("http://llm".into()), ..Default::default() };
        assert_eq!(settings.openai().unwrap().timeout, Duration::from_secs(120));
    }
}

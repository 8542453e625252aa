//! Settings: environment variables and flags of the same meaning. Secrets belong in the environment.

use std::net::SocketAddr;

use api_thin::program::{PlanSettings, QueueSettings, StorageSettings, listen_address};
use api_thin::{ApiConfig, ApiRules, ApiSettings, InvalidConfig, SecretSettings};
use clap::Parser;
use jobs::envelope::StampKeys;
use secrecy::SecretString;

/// The HTTP API of Tenantry.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Settings {
    /// Address and port to answer on.
    #[arg(long, env = Self::LISTEN, default_value = "127.0.0.1:8080", value_parser = listen_address, value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    secrets: SecretSettings,
    #[command(flatten)]
    plans: PlanSettings,
    #[command(flatten)]
    api: ApiSettings,
    #[command(flatten)]
    pub(crate) queue: QueueSettings,
    #[command(flatten)]
    pub(crate) storage: StorageSettings,
}

impl Settings {
    pub(crate) const LISTEN: &str = "TENANTRY_LISTEN";

    pub(crate) fn stamp_keys(&self) -> Result<StampKeys, InvalidConfig> {
        let fix = "make a key with `worker keygen`, the same for the workers";
        let keys = required(StampKeys::SETTING, self.secrets.stamp_keys(), fix)?;
        StampKeys::parse(&keys).map_err(|error| InvalidConfig::new(StampKeys::SETTING, error.to_string()))
    }

    pub(crate) fn api(&self) -> Result<ApiConfig, InvalidConfig> {
        let fix = "make a secret with `openssl rand -hex 32` and keep it";
        let key_secret = required(ApiConfig::KEY_SECRET, self.secrets.key_secret(), fix)?;
        let ApiRules { limits, connections, identity, resolution } = self.api.rules()?;
        let (operator_key, jwt_secret) = (self.secrets.operator_key(), self.secrets.jwt_secret());
        let plans = self.plans.plans()?;
        Ok(ApiConfig {
            key_secret,
            operator_key,
            jwt_secret,
            limits,
            connections,
            plans,
            identity,
            resolution,
        })
    }
}

fn required(
    setting: &'static str,
    value: Option<SecretString>,
    fix: &str,
) -> Result<SecretString, InvalidConfig> {
    value.ok_or_else(|| InvalidConfig::new(setting, format!("not set: {fix}")))
}

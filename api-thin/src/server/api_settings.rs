use clap::Args;
use secrecy::SecretString;

use super::config::{ApiConfig, InvalidConfig};
use super::identity_config::IdentityConfig;
use super::identity_settings::IdentitySettings;
use super::settings::LimitSettings;
use crate::connections::{ConnectionLimits, ConnectionSettings};
use crate::documents::Limits;
use crate::resolve::{Resolution, ResolutionSettings};

/// How the API behaves, as flags and environment variables: one group for every program that runs it. A new setting of
/// the API belongs here.
#[derive(Debug, Clone, Args)]
pub struct ApiSettings {
    #[command(flatten)]
    limits: LimitSettings,
    #[command(flatten)]
    connections: ConnectionSettings,
    #[command(flatten)]
    identity: IdentitySettings,
    #[command(flatten)]
    resolution: ResolutionSettings,
}

/// What [`ApiSettings`] say.
#[derive(Debug, Clone, Default)]
pub struct ApiRules {
    /// How much one request may ask for.
    pub limits: Limits,
    /// How many connections there may be, and how long each may be silent.
    pub connections: ConnectionLimits,
    /// Who may log in, and whose tokens are taken.
    pub identity: IdentityConfig,
    /// How requests say which tenant they are about.
    pub resolution: Resolution,
}

impl ApiSettings {
    /// What they say together.
    ///
    /// # Errors
    /// When one cannot be used, or two contradict each other. The error names the setting and the fix.
    pub fn rules(&self) -> Result<ApiRules, InvalidConfig> {
        Ok(ApiRules {
            limits: self.limits.limits()?,
            connections: self.connections.limits(),
            identity: self.identity.identity()?,
            resolution: self.resolution.resolution()?,
        })
    }
}

/// Keys and secrets, as flags and environment variables. `tenantry dev` makes those that are not set and keeps them in
/// its
/// data directory.
#[derive(Debug, Clone, Default, Args)]
pub struct SecretSettings {
    /// One or two keys that sign jobs, `kid:secret`, the newest first; API and workers need the same. See `tenantry
    /// keygen`.
    #[arg(long, env = "TENANTRY_STAMP_KEYS", hide_env_values = true, value_name = "KEYS")]
    stamp_keys: Option<String>,
    /// First API keys are derived from it: at least 32 bytes.
    #[arg(long, env = ApiConfig::KEY_SECRET, hide_env_values = true, value_name = "SECRET")]
    key_secret: Option<String>,
    /// Whoever shows it may make tenants: at least 32 bytes. `api-thin` without it lets nobody.
    #[arg(long, env = ApiConfig::OPERATOR_KEY, hide_env_values = true, value_name = "SECRET")]
    operator_key: Option<String>,
    /// Signs tokens (HS256): at least 32 bytes. `api-thin` without it takes no tokens.
    #[arg(long, env = ApiConfig::JWT_SECRET, hide_env_values = true, value_name = "SECRET")]
    jwt_secret: Option<String>,
}

impl SecretSettings {
    /// Signs jobs.
    #[must_use]
    pub fn stamp_keys(&self) -> Option<SecretString> {
        given(self.stamp_keys.as_ref())
    }

    /// [`ApiConfig::key_secret`]
    #[must_use]
    pub fn key_secret(&self) -> Option<SecretString> {
        given(self.key_secret.as_ref())
    }

    /// [`ApiConfig::operator_key`]
    #[must_use]
    pub fn operator_key(&self) -> Option<SecretString> {
        given(self.operator_key.as_ref())
    }

    /// [`ApiConfig::jwt_secret`]
    #[must_use]
    pub fn jwt_secret(&self) -> Option<SecretString> {
        given(self.jwt_secret.as_ref())
    }
}

fn given(value: Option<&String>) -> Option<SecretString> {
    value.map(|value| value.clone().into())
}

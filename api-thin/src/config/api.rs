//! The settings of the API together, and its secrets.

use clap::Args;
use jobs::envelope::StampKeys;
use jobs::plan::Plans;
use jobs::webhook::TargetRules;
use secrecy::{ExposeSecret, SecretString};

use super::connection_limits::{ConnectionLimits, ConnectionSettings};
use super::cors::{Cors, CorsSettings};
use super::identity::{IdentityConfig, IdentitySettings};
use super::metrics::{MetricsConfig, MetricsSettings};
use super::request_limits::{LimitSettings, RequestLimits};
use super::resolution::{Resolution, ResolutionSettings};
use super::webhook_targets::WebhookSettings;
use crate::auth::{ApiKey, ShortSecret};

/// Secrets, limits and plans of the API.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// First API keys are derived from it: a reader of the secret can derive them too.
    pub key_secret: SecretString,
    /// A caller with this key may create tenants. Without one, no caller may.
    pub operator_key: Option<SecretString>,
    /// Tokens are signed with it (HS256). Without one, no tokens are taken.
    pub jwt_secret: Option<SecretString>,
    /// What tenants may use. The workers need the same.
    pub plans: Plans,
    /// How the API behaves.
    pub rules: ApiRules,
}

/// A setting that is missing or cannot be used. Never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct InvalidConfig {
    /// The environment variable.
    pub setting: &'static str,
    /// The problem and how to fix it.
    pub problem: String,
}

impl InvalidConfig {
    /// A setting and its problem.
    pub fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, problem: problem.into() }
    }

    pub(crate) fn short(setting: &'static str) -> impl Fn(ShortSecret) -> Self {
        move |short| Self::new(setting, format!("{short}; make one with `openssl rand -hex 32`"))
    }
}

impl ApiConfig {
    /// Names [`ApiConfig::key_secret`].
    pub const KEY_SECRET: &'static str = "TENANTRY_KEY_SECRET";
    pub(crate) const JWT_SECRET: &'static str = "TENANTRY_JWT_SECRET";
    pub(crate) const OPERATOR_KEY: &'static str = "TENANTRY_OPERATOR_KEY";

    /// A configuration with every kind of credentials and the usual limits.
    #[must_use]
    pub fn new(operator_key: SecretString, jwt_secret: SecretString, key_secret: SecretString) -> Self {
        let (operator_key, jwt_secret) = (Some(operator_key), Some(jwt_secret));
        let (plans, rules) = Default::default();
        Self { key_secret, operator_key, jwt_secret, plans, rules }
    }

    /// Checks what would otherwise be found out by an attacker.
    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        let secrets = [
            (Self::KEY_SECRET, Some(&self.key_secret)),
            (Self::JWT_SECRET, self.jwt_secret.as_ref()),
            (Self::OPERATOR_KEY, self.operator_key.as_ref()),
        ];
        for (setting, secret) in secrets {
            let found_bytes = secret.map_or(ShortSecret::MIN_BYTES, |secret| secret.expose_secret().len());
            if found_bytes < ShortSecret::MIN_BYTES {
                return Err(InvalidConfig::short(setting)(ShortSecret { found_bytes }));
            }
        }
        let operator = self.operator_key.as_ref().map_or("", |key| key.expose_secret());
        let printable = operator.bytes().all(|byte| byte.is_ascii_graphic());
        if operator.starts_with(ApiKey::PREFIX) || !printable {
            let problem =
                "must be visible ASCII and not begin with tk_, which API keys of tenants begin with";
            return Err(InvalidConfig::new(Self::OPERATOR_KEY, problem));
        }
        Ok(())
    }
}

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
    #[command(flatten)]
    cors: CorsSettings,
    #[command(flatten)]
    webhooks: WebhookSettings,
    #[command(flatten)]
    metrics: MetricsSettings,
}

/// The configuration of [`ApiSettings`].
#[derive(Debug, Clone, Default)]
pub struct ApiRules {
    /// How much one request may ask for.
    pub limits: RequestLimits,
    /// How many connections there may be, and how long each may be silent.
    pub connections: ConnectionLimits,
    /// Which accounts and issuers may authenticate callers.
    pub identity: IdentityConfig,
    /// How requests name their tenant.
    pub resolution: Resolution,
    /// Whose pages may call the API from a browser.
    pub cors: Cors,
    /// Where webhooks may go. The workers need the same.
    pub webhooks: TargetRules,
    /// Who may read metrics, and what they name.
    pub metrics: MetricsConfig,
}

impl ApiSettings {
    /// Checks the settings together and returns the configuration.
    ///
    /// # Errors
    /// When one cannot be used, or two contradict each other. The error names the setting and the fix.
    pub fn rules(&self) -> Result<ApiRules, InvalidConfig> {
        Ok(ApiRules {
            limits: self.limits.limits()?,
            connections: self.connections.limits(),
            identity: self.identity.identity()?,
            resolution: self.resolution.resolution()?,
            cors: self.cors.cors()?,
            webhooks: self.webhooks.targets()?,
            metrics: self.metrics.metrics()?,
        })
    }
}

/// The keys that sign jobs, as a flag and an environment variable: the same for every command.
#[derive(Debug, Clone, Default, Args)]
pub struct StampKeySettings {
    /// One or two keys that sign jobs, `kid:secret`, the newest first; API and workers need the same. See `tenantry
    /// keygen`.
    #[arg(long, env = StampKeys::SETTING, hide_env_values = true, value_name = "KEYS")]
    stamp_keys: Option<String>,
}

impl StampKeySettings {
    /// The keys, for a program that makes none itself.
    ///
    /// # Errors
    /// When they are missing or cannot be read.
    pub fn keys(&self) -> Result<StampKeys, InvalidConfig> {
        let invalid = |problem| InvalidConfig::new(StampKeys::SETTING, problem);
        let missing =
            || invalid("not set: make a key with `tenantry keygen`, the same for the workers".to_owned());
        let keys = given(self.stamp_keys.as_ref()).ok_or_else(missing)?;
        StampKeys::parse(&keys).map_err(|error| invalid(error.to_string()))
    }
}

/// Keys and secrets, as flags and environment variables. `tenantry dev` makes those that are not set and keeps
/// them in its data directory.
#[derive(Debug, Clone, Default, Args)]
pub struct SecretSettings {
    /// Signs jobs.
    #[command(flatten)]
    pub stamp: StampKeySettings,
    /// First API keys are derived from it: at least 32 bytes.
    #[arg(long, env = ApiConfig::KEY_SECRET, hide_env_values = true, value_name = "SECRET")]
    key_secret: Option<String>,
    /// A caller with this key may create and manage tenants: at least 32 bytes. `api-thin` without it lets no caller.
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
        given(self.stamp.stamp_keys.as_ref())
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

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "0123456789abcdef0123456789abcdef";

    fn check(key_secret: &str, jwt_secret: &str, operator_key: &str) -> Result<(), InvalidConfig> {
        ApiConfig::new(operator_key.into(), jwt_secret.into(), key_secret.into()).check()
    }

    #[test]
    fn secrets_that_cannot_be_used_are_named_without_their_value() {
        assert_eq!(check(LONG, LONG, LONG), Ok(()));
        let prefixed = format!("tk_{LONG}");
        for (result, setting) in [
            (check("hunter2", LONG, LONG), ApiConfig::KEY_SECRET),
            (check(LONG, "hunter2", LONG), ApiConfig::JWT_SECRET),
            (check(LONG, LONG, "hunter2"), ApiConfig::OPERATOR_KEY),
            (check(LONG, LONG, &prefixed), ApiConfig::OPERATOR_KEY),
            (check(LONG, LONG, "with a space 0123456789abcdef0123456789"), ApiConfig::OPERATOR_KEY),
        ] {
            let error = result.expect_err(setting);
            assert_eq!(error.setting, setting);
            assert!(!error.to_string().contains("hunter2") && !error.to_string().contains(LONG), "{error}");
        }
    }
}

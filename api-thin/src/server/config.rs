use jobs::plan::Plans;
use secrecy::{ExposeSecret, SecretString};

use super::api_settings::ApiRules;
use super::identity_config::IdentityConfig;
use crate::auth::{ApiKey, ShortSecret};
use crate::connections::ConnectionLimits;
use crate::documents::Limits;
use crate::resolve::Resolution;

/// Secrets, limits and plans of the API.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// First API keys are derived from it. Whoever has it can derive them too.
    pub key_secret: SecretString,
    /// Whoever shows it may make tenants. Without one, nobody may.
    pub operator_key: Option<SecretString>,
    /// Tokens are signed with it (HS256). Without one, no tokens are taken.
    pub jwt_secret: Option<SecretString>,
    /// How much one request may ask for.
    pub limits: Limits,
    /// How many connections there may be, and how long they may take.
    pub connections: ConnectionLimits,
    /// What tenants may use. The workers need the same.
    pub plans: Plans,
    /// Who may log in, and whose tokens are taken.
    pub identity: IdentityConfig,
    /// How requests say which tenant they are about.
    pub resolution: Resolution,
}

/// A setting that is missing or cannot be used. Never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct InvalidConfig {
    /// The environment variable.
    pub setting: &'static str,
    /// What is wrong and what to do.
    pub problem: String,
}

impl InvalidConfig {
    /// A setting and what is wrong with it.
    pub fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, problem: problem.into() }
    }

    pub(super) fn short(setting: &'static str) -> impl Fn(ShortSecret) -> Self {
        move |short| Self::new(setting, format!("{short}; make one with `openssl rand -hex 32`"))
    }
}

impl ApiConfig {
    /// Names [`ApiConfig::key_secret`].
    pub const KEY_SECRET: &'static str = "TENANTRY_KEY_SECRET";
    pub(super) const JWT_SECRET: &'static str = "TENANTRY_JWT_SECRET";
    pub(super) const OPERATOR_KEY: &'static str = "TENANTRY_OPERATOR_KEY";

    /// A configuration with every kind of credentials and the usual limits.
    #[must_use]
    pub fn new(operator_key: SecretString, jwt_secret: SecretString, key_secret: SecretString) -> Self {
        let (operator_key, jwt_secret) = (Some(operator_key), Some(jwt_secret));
        let (limits, connections, plans, identity, resolution) = Default::default();
        Self { key_secret, operator_key, jwt_secret, limits, connections, plans, identity, resolution }
    }

    /// The same with these rules.
    #[must_use]
    pub fn with_rules(self, rules: ApiRules) -> Self {
        let ApiRules { limits, connections, identity, resolution } = rules;
        Self { limits, connections, identity, resolution, ..self }
    }

    /// Checks what would otherwise be found out by an attacker.
    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
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

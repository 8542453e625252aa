//! Settings for accounts, sign-up and token issuers.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;
use jobs::tenant::{Identity, Provider};
use stores::model::{ThrottleRule, UserName};

use super::api::InvalidConfig;
use crate::auth::{ExternalIssuer, TokenNames};

/// Which accounts may log in, and which issuers' tokens are accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityConfig {
    /// Whom our own tokens are from and for.
    pub tokens: TokenNames,
    /// An external issuer whose tokens are accepted.
    pub issuer: Option<ExternalIssuer>,
    /// The rules for new accounts, and the login throttle.
    pub rules: AccountRules,
    /// Whether a token that is signed with our secret is valid for a person who is not a member.
    pub tokens_without_membership: bool,
}

impl IdentityConfig {
    pub(crate) const ISSUER: &'static str = "TENANTRY_OIDC_ISSUER";
    pub(crate) const JWKS_URL: &'static str = "TENANTRY_OIDC_JWKS_URL";
}

/// The rules for new accounts, and the login throttle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRules {
    /// How often in a row a password may be wrong, and how long the user is locked then.
    pub lock: ThrottleRule,
    /// How often one address may log in; `None`: as often as it likes.
    pub per_address: Option<ThrottleRule>,
    /// Whether people may sign up.
    pub sign_up: Switch,
    /// How often one address may sign up; `None`: as often as it likes.
    pub sign_ups_per_address: Option<ThrottleRule>,
    /// Whether requests without credentials may list how active tenants are called, to choose one.
    pub public_tenants: Switch,
    /// People with the operator's permissions.
    pub super_admins: BTreeSet<Identity>,
    /// How long the access token of a log-in is valid.
    pub token_life: TimeDelta,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    #[default]
    Off,
}

impl AccountRules {
    /// How long wrong passwords are remembered.
    pub(crate) const FORGET: Duration = Duration::from_secs(24 * 3_600);
}

impl Default for AccountRules {
    fn default() -> Self {
        let lock = ThrottleRule::Lock {
            free: 5,
            first_wait: Duration::from_secs(30),
            longest_wait: Duration::from_secs(900),
            forget: Self::FORGET,
        };
        let minute = Duration::from_secs(60);
        Self {
            lock,
            per_address: Some(ThrottleRule::Rate { tries: 120, window: minute }),
            sign_up: Switch::Off,
            sign_ups_per_address: Some(ThrottleRule::Rate { tries: 60, window: minute * 60 }),
            public_tenants: Switch::Off,
            super_admins: BTreeSet::new(),
            token_life: TimeDelta::hours(24),
        }
    }
}

/// Who may log in, and whose tokens are taken, as flags and environment variables.
#[derive(Debug, Clone, Args)]
pub struct IdentitySettings {
    /// The claim `iss` of our own tokens. Once it is set, tokens with another one are refused.
    #[arg(long, env = "TENANTRY_JWT_ISSUER", value_name = "NAME")]
    pub jwt_issuer: Option<String>,
    /// The claim `aud` of our own tokens. Once it is set, tokens with another one are refused.
    #[arg(long, env = "TENANTRY_JWT_AUDIENCE", value_name = "NAME")]
    pub jwt_audience: Option<String>,
    /// An `OpenID` issuer whose tokens are taken too: their claim `iss`.
    #[arg(long, env = "TENANTRY_OIDC_ISSUER", value_name = "URL")]
    pub oidc_issuer: Option<String>,
    /// The claim `aud` of that issuer's tokens that are meant for us.
    #[arg(long, env = "TENANTRY_OIDC_AUDIENCE", value_name = "NAME")]
    pub oidc_audience: Option<String>,
    /// Where that issuer's keys are.
    #[arg(long, env = "TENANTRY_OIDC_JWKS_URL", value_name = "URL")]
    pub oidc_jwks_url: Option<String>,
    /// How long the access token of a log-in is valid, in hours: at most the 30 days of a session.
    #[arg(long, env = "TENANTRY_TOKEN_HOURS", default_value_t = 24, value_name = "HOURS", value_parser = clap::value_parser!(u16).range(1..=720))]
    pub token_hours: u16,
    /// How often in a row a password may be wrong before the user is locked.
    #[arg(long, env = "TENANTRY_LOGIN_TRIES", default_value_t = 5, value_name = "COUNT")]
    pub login_tries: u32,
    /// How long a user is locked at first, in seconds; each further wrong password doubles it.
    #[arg(long, env = "TENANTRY_LOGIN_LOCK_S", default_value_t = 30, value_name = "SECONDS")]
    pub login_lock_s: u32,
    /// The longest that a user is locked, in seconds.
    #[arg(long, env = "TENANTRY_LOGIN_LOCK_MAX_S", default_value_t = 900, value_name = "SECONDS")]
    pub login_lock_max_s: u32,
    /// How often a minute one address may log in; 0 is no limit.
    #[arg(long, env = "TENANTRY_LOGINS_PER_MINUTE", default_value_t = 120, value_name = "COUNT")]
    pub logins_per_minute: u32,
    /// Whether people may sign up: make a user and a tenant of their own.
    #[arg(long, env = "TENANTRY_SIGNUP", default_value = "off", value_name = "on|off")]
    pub signup: Switch,
    /// How often an hour one address may sign up; 0 is no limit.
    #[arg(long, env = "TENANTRY_SIGNUPS_PER_HOUR", default_value_t = 60, value_name = "COUNT")]
    pub signups_per_hour: u32,
    /// Whether requests without credentials may list id and name of the active tenants, to choose one.
    #[arg(long, env = "TENANTRY_PUBLIC_TENANTS", default_value = "off", value_name = "on|off")]
    pub public_tenants: Switch,
    /// Accounts that may do what the operator's key may, separated by commas. People whom tokens name are written as
    /// members are: `product:SUB`, `issuer:URL#SUB`.
    #[arg(long, env = "TENANTRY_SUPER_ADMINS", value_name = "NAMES")]
    pub super_admins: Option<String>,
    /// Trust the role in a token that is signed with `TENANTRY_JWT_SECRET` although its person is no member.
    #[arg(long, env = "TENANTRY_TOKENS_WITHOUT_MEMBERSHIP", default_value = "off", value_name = "on|off")]
    pub tokens_without_membership: Switch,
}

impl IdentitySettings {
    /// The configuration.
    ///
    /// # Errors
    /// When a setting cannot be used, or one is missing that another needs.
    pub fn identity(&self) -> Result<IdentityConfig, InvalidConfig> {
        let tokens = TokenNames {
            issuer: given(self.jwt_issuer.as_ref()),
            audience: given(self.jwt_audience.as_ref()),
        };
        Ok(IdentityConfig {
            tokens,
            issuer: self.issuer()?,
            rules: self.rules()?,
            tokens_without_membership: self.tokens_without_membership == Switch::On,
        })
    }

    fn issuer(&self) -> Result<Option<ExternalIssuer>, InvalidConfig> {
        let settings = [
            (IdentityConfig::ISSUER, given(self.oidc_issuer.as_ref())),
            ("TENANTRY_OIDC_AUDIENCE", given(self.oidc_audience.as_ref())),
            (IdentityConfig::JWKS_URL, given(self.oidc_jwks_url.as_ref())),
        ];
        if settings.iter().all(|(_, value)| value.is_none()) {
            return Ok(None);
        }
        let missing = |setting| {
            let problem =
                "not set: an issuer has TENANTRY_OIDC_ISSUER, _AUDIENCE and _JWKS_URL, or none of them";
            InvalidConfig::new(setting, problem)
        };
        let [issuer, audience, jwks_url] =
            settings.map(|(setting, value)| value.ok_or_else(|| missing(setting)));
        let issuer = issuer?;
        if !Identity::is_issuer(&issuer) {
            let problem =
                format!("{issuer:?} has a # or a space, or more than 255 bytes: write the issuer's iss");
            return Err(InvalidConfig::new(IdentityConfig::ISSUER, problem));
        }
        let jwks_url = ExternalIssuer::jwks_url(&jwks_url?)
            .map_err(|error| InvalidConfig::new(IdentityConfig::JWKS_URL, error.to_string()))?;
        Ok(Some(ExternalIssuer { issuer, audience: audience?, jwks_url }))
    }

    fn rules(&self) -> Result<AccountRules, InvalidConfig> {
        let positive =
            [("TENANTRY_LOGIN_TRIES", self.login_tries), ("TENANTRY_LOGIN_LOCK_S", self.login_lock_s)];
        if let Some((setting, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(InvalidConfig::new(setting, "must be at least 1"));
        }
        let names = self.super_admins.as_deref().unwrap_or_default().split(',').map(str::trim);
        let super_admins = names.filter(|name| !name.is_empty()).map(super_admin);
        let super_admins = super_admins.collect::<Result<_, _>>()?;
        let lock = ThrottleRule::Lock {
            free: self.login_tries,
            first_wait: seconds(self.login_lock_s),
            longest_wait: seconds(self.login_lock_max_s.max(self.login_lock_s)),
            forget: AccountRules::FORGET,
        };
        let per = |tries: u32, window| (tries > 0).then_some(ThrottleRule::Rate { tries, window });
        Ok(AccountRules {
            lock,
            per_address: per(self.logins_per_minute, seconds(60)),
            sign_up: self.signup,
            sign_ups_per_address: per(self.signups_per_hour, seconds(3_600)),
            public_tenants: self.public_tenants,
            super_admins,
            token_life: TimeDelta::hours(self.token_hours.into()),
        })
    }
}

/// An account by its name, or any person by their identity.
fn super_admin(name: &str) -> Result<Identity, InvalidConfig> {
    let identity = match name.parse::<UserName>() {
        Ok(account) => Some(account.identity()),
        Err(_) => name.parse().ok().filter(|identity: &Identity| *identity.provider() != Provider::Legacy),
    };
    identity.ok_or_else(|| {
        let problem = format!("{name:?} is no account's name: use a-z, 0-9 and . _ @ + -, or product:SUB");
        InvalidConfig::new("TENANTRY_SUPER_ADMINS", problem)
    })
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// An empty variable counts as not set.
fn given(value: Option<&String>) -> Option<String> {
    value.filter(|value| !value.is_empty()).cloned()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        identity: IdentitySettings,
    }

    fn identity(arguments: &[&str]) -> Result<IdentityConfig, InvalidConfig> {
        Line::parse_from(std::iter::once(&"x").chain(arguments)).identity.identity()
    }

    #[test]
    fn the_usual_rules_are_the_defaults() {
        assert_eq!(identity(&[]), Ok(IdentityConfig::default()));
    }

    #[test]
    fn an_issuer_is_complete_or_absent() {
        let all = ["--oidc-issuer=https://id", "--oidc-audience=us", "--oidc-jwks-url=https://id/keys"];
        assert_eq!(identity(&all).unwrap().issuer.unwrap().audience, "us");
        for (left_out, setting) in
            [(0, "TENANTRY_OIDC_ISSUER"), (1, "TENANTRY_OIDC_AUDIENCE"), (2, "TENANTRY_OIDC_JWKS_URL")]
        {
            let mut some = all.to_vec();
            some.remove(left_out);
            assert_eq!(identity(&some).unwrap_err().setting, setting);
        }
        for bad in ["https://id#2", "https://i d", &"x".repeat(256)] {
            let issuer = format!("--oidc-issuer={bad}");
            let refused = identity(&[issuer.as_str(), all[1], all[2]]).unwrap_err();
            assert_eq!(refused.setting, "TENANTRY_OIDC_ISSUER", "{bad}");
        }
    }

    #[test]
    fn names_of_super_admins_are_separated_by_commas() {
        let names = "Root, ann@example.com,product:ops, issuer:https://id#Root";
        let found = identity(&["--super-admins", names]).unwrap().rules.super_admins;
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        let expected = ["local:ann@example.com", "local:root", "issuer:https://id#Root", "product:ops"];
        assert_eq!(found, expected);
        for bad in ["a b", "user:root", "local:Root"] {
            let error = identity(&["--super-admins", bad]).unwrap_err();
            assert_eq!(error.setting, "TENANTRY_SUPER_ADMINS", "{bad}");
            assert!(error.to_string().contains(bad), "{error}");
        }
        let shorter = identity(&["--token-hours", "8"]).unwrap();
        assert_eq!(shorter.rules.token_life, TimeDelta::hours(8));
        assert_eq!(identity(&["--login-tries", "0"]).unwrap_err().setting, "TENANTRY_LOGIN_TRIES");
    }
}

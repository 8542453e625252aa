//! How requests say which tenant they are about.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use clap::Args;
use ipnet::IpNet;
use jobs::tenant::TenantId;

use super::api::InvalidConfig;
use super::identity::Switch;

/// How requests say which tenant they are about.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// Where to look, the first that says something first. What the others say must be the same. The path is always
    /// looked at: it names the thing that is asked for.
    pub sources: Vec<TenantSource>,
    /// The domain whose subdomains are tenants, such as `example.com`.
    pub base_domain: Option<String>,
    /// Who may say by `X-Forwarded-Host` which host was asked for, and by `X-Forwarded-For` who asks.
    pub trusted_proxies: Vec<IpNet>,
    /// The tenant of an installation that has one only. No request needs to name it, and no other exists.
    pub only_tenant: Option<TenantId>,
    /// Whether a request without credentials may do everything. For an installation of one tenant only.
    pub anonymous: bool,
    /// Whether a valid token for a tenant that does not exist makes it.
    pub auto_provision: bool,
}

impl Default for Resolution {
    fn default() -> Self {
        Self {
            sources: TenantSource::ALL.to_vec(),
            base_domain: None,
            trusted_proxies: Vec::new(),
            only_tenant: None,
            anonymous: false,
            auto_provision: false,
        }
    }
}

impl Resolution {
    /// Whether credentials alone say which tenant is meant.
    #[must_use]
    pub fn claim_suffices(&self) -> bool {
        self.only_tenant.is_some() || self.sources.contains(&TenantSource::Claim)
    }
}

/// Where a request can say which tenant it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantSource {
    /// The first label of the host name: `acme.example.com`.
    Subdomain,
    /// The header `X-Tenant-ID`.
    Header,
    /// The path: `/api/v1/tenants/acme/...`.
    Path,
    /// The credentials: an API key's tenant, a token's `tenant_id` claim.
    Claim,
}

impl TenantSource {
    /// All of them, in the usual order.
    pub const ALL: [Self; 4] = [Self::Subdomain, Self::Header, Self::Path, Self::Claim];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Subdomain => "subdomain",
            Self::Header => "header",
            Self::Path => "path",
            Self::Claim => "claim",
        }
    }
}

impl fmt::Display for TenantSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TenantSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|source| source.as_str() == text);
        found.ok_or_else(|| "expected subdomain, header, path or claim".to_owned())
    }
}

const MULTI_TENANT: &str = "TENANTRY_MULTI_TENANT";

/// How requests say which tenant they are about, as flags and environment variables.
#[derive(Debug, Clone, Args)]
pub struct ResolutionSettings {
    /// Where a request can name its tenant, in order: of subdomain, header, path, claim. The path is always looked at.
    #[arg(
        long,
        env = "TENANTRY_TENANT_SOURCES",
        value_delimiter = ',',
        value_name = "LIST",
        default_value = "subdomain,header,path,claim"
    )]
    tenant_sources: Vec<TenantSource>,
    /// The domain whose subdomains are tenants: with example.com, acme.example.com is acme.
    #[arg(long, env = "TENANTRY_BASE_DOMAIN", value_name = "DOMAIN")]
    base_domain: Option<String>,
    /// Addresses or networks of proxies whose X-Forwarded-Host and X-Forwarded-For are trusted.
    #[arg(long, env = "TENANTRY_TRUSTED_PROXIES", value_delimiter = ',', value_name = "NETWORKS")]
    trusted_proxies: Vec<String>,
    /// Refuse requests that name no tenant, although their credentials belong to one.
    #[arg(long, env = "TENANTRY_STRICT_TENANT", default_value = "off")]
    strict_tenant: Switch,
    /// When off there is one tenant, `TENANTRY_DEFAULT_TENANT`, that no request needs to name.
    #[arg(long, env = "TENANTRY_MULTI_TENANT", default_value = "on")]
    multi_tenant: Switch,
    /// The tenant of an installation without tenancy.
    #[arg(long, env = "TENANTRY_DEFAULT_TENANT", default_value = "default", value_name = "TENANT")]
    default_tenant: String,
    /// When off, and without tenancy, every client that reaches the API may do everything.
    #[arg(long, env = "TENANTRY_REQUIRE_AUTH", default_value = "on")]
    require_auth: Switch,
    /// A valid token for a tenant that does not exist makes it, with the default plan.
    #[arg(long, env = "TENANTRY_AUTO_PROVISION", default_value = "off")]
    auto_provision: Switch,
}

impl ResolutionSettings {
    /// What they say together.
    ///
    /// # Errors
    /// When one cannot be used, or two contradict each other. The error names the setting and the fix.
    pub fn resolution(&self) -> Result<Resolution, InvalidConfig> {
        if self.require_auth == Switch::Off && self.multi_tenant == Switch::On {
            let problem =
                format!("only an installation without tenancy can do without: set {MULTI_TENANT}=off");
            return Err(InvalidConfig::new("TENANTRY_REQUIRE_AUTH", problem));
        }
        let claim =
            |source: &TenantSource| *source != TenantSource::Claim || self.strict_tenant == Switch::Off;
        Ok(Resolution {
            sources: self.tenant_sources.iter().copied().filter(claim).collect(),
            base_domain: self.base_domain()?,
            trusted_proxies: self.trusted_proxies()?,
            only_tenant: self.only_tenant()?,
            anonymous: self.require_auth == Switch::Off,
            auto_provision: self.auto_provision == Switch::On,
        })
    }

    fn base_domain(&self) -> Result<Option<String>, InvalidConfig> {
        let Some(domain) = self.base_domain.as_deref().filter(|domain| !domain.is_empty()) else {
            return Ok(None);
        };
        let domain = domain.trim_matches('.').to_ascii_lowercase();
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        if domain.is_empty() || !domain.bytes().all(letter) {
            let problem = "expected a domain such as example.com, without port and scheme";
            return Err(InvalidConfig::new("TENANTRY_BASE_DOMAIN", problem));
        }
        Ok(Some(domain))
    }

    fn trusted_proxies(&self) -> Result<Vec<IpNet>, InvalidConfig> {
        let given = self.trusted_proxies.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
        let net = |text: &str| {
            let alone = || text.parse::<IpAddr>().map(IpNet::from).ok();
            text.parse().ok().or_else(alone).ok_or_else(|| {
                let problem = "expected addresses or networks such as 10.0.0.0/8, separated by commas";
                InvalidConfig::new("TENANTRY_TRUSTED_PROXIES", problem)
            })
        };
        given.map(net).collect()
    }

    fn only_tenant(&self) -> Result<Option<TenantId>, InvalidConfig> {
        if self.multi_tenant == Switch::On {
            return Ok(None);
        }
        let tenant = self.default_tenant.parse();
        tenant.map(Some).map_err(|error| InvalidConfig::new("TENANTRY_DEFAULT_TENANT", format!("{error}")))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: ResolutionSettings,
    }

    fn resolution(arguments: &[&str]) -> Result<Resolution, &'static str> {
        let line = Line::parse_from(std::iter::once(&"x").chain(arguments));
        line.settings.resolution().map_err(|error| error.setting)
    }

    #[test]
    fn by_default_there_are_many_tenants_and_credentials_say_which() {
        let usual = resolution(&[]).unwrap();
        assert!(usual.claim_suffices() && usual.only_tenant.is_none() && !usual.anonymous);
        assert_eq!(usual.sources, TenantSource::ALL);
    }

    #[test]
    fn strict_means_that_the_request_names_its_tenant() {
        assert!(!resolution(&["--strict-tenant", "on"]).unwrap().claim_suffices());
        assert!(!resolution(&["--tenant-sources", "header"]).unwrap().claim_suffices());
    }

    #[test]
    fn networks_and_single_addresses_are_trusted() {
        let trusted = resolution(&["--trusted-proxies", "10.0.0.0/8, 192.0.2.1,2001:db8::/32"]).unwrap();
        assert_eq!(trusted.trusted_proxies.len(), 3);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (arguments, setting) in [
            (["--base-domain", "https://example.com"], "TENANTRY_BASE_DOMAIN"),
            (["--trusted-proxies", "everybody"], "TENANTRY_TRUSTED_PROXIES"),
            (["--require-auth", "off"], "TENANTRY_REQUIRE_AUTH"),
        ] {
            assert_eq!(resolution(&arguments).unwrap_err(), setting);
        }
        let alone = ["--multi-tenant", "off", "--default-tenant", "A B"];
        assert_eq!(resolution(&alone).unwrap_err(), "TENANTRY_DEFAULT_TENANT");
        let open = resolution(&["--multi-tenant", "off", "--require-auth", "off"]).unwrap();
        assert!(open.anonymous && open.claim_suffices());
    }
}

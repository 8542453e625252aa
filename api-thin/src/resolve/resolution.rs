use ipnet::IpNet;
use jobs::tenant::TenantId;

use super::TenantSource;

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
    /// The tenant of an installation that has one only. Nobody needs to name it, and no other exists.
    pub only_tenant: Option<TenantId>,
    /// Whether somebody without credentials may do everything. For an installation of one tenant only.
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

use std::fmt;
use std::str::FromStr;

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

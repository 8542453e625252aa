use crate::accounts::AccountRules;
use crate::auth::{ExternalIssuer, TokenNames};

/// Who may log in, and whose tokens are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityConfig {
    /// Whom our own tokens are from and for.
    pub tokens: TokenNames,
    /// Somebody else whose tokens are taken.
    pub issuer: Option<ExternalIssuer>,
    /// Who may become a user, and how often somebody may try to be one.
    pub rules: AccountRules,
}

impl IdentityConfig {
    pub(super) const JWKS_URL: &'static str = "TENANTRY_OIDC_JWKS_URL";
}

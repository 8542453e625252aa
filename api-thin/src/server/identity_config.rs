use crate::accounts::AccountRules;
use crate::auth::{ExternalIssuer, TokenNames};

/// Who may log in, and whose tokens are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityConfig {
    /// Whom our own tokens are from and for.
    pub tokens: TokenNames,
    /// Somebody else whose tokens are taken.
    pub issuer: Option<ExternalIssuer>,
    /// Who may make an account, and how often a log-in may be tried.
    pub rules: AccountRules,
    /// Whether a token that is signed with our secret counts for a person who is no member.
    pub tokens_without_membership: bool,
}

impl IdentityConfig {
    pub(super) const ISSUER: &'static str = "TENANTRY_OIDC_ISSUER";
    pub(super) const JWKS_URL: &'static str = "TENANTRY_OIDC_JWKS_URL";
}

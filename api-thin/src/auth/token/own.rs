use chrono::{DateTime, TimeDelta, Utc};
use jobs::clock::SharedClock;
use jobs::tenant::{Role, TenantId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

use super::claims::{InvalidToken, TokenClaims};
use crate::auth::secret::ShortSecret;

/// Whom our tokens are from and for. What is given is put into tokens and demanded of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenNames {
    /// The claim `iss`.
    pub issuer: Option<String>,
    /// The claim `aud`.
    pub audience: Option<String>,
}

/// What a token is issued for.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// The person.
    pub user: &'a str,
    /// The session that it ends with.
    pub session: Uuid,
    /// The tenant and what the person is in it; `None` for a super-admin who acts in none.
    pub tenant: Option<(&'a TenantId, Role)>,
}

#[derive(Serialize)]
struct Issued<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<&'a TenantId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: Uuid,
    sid: Uuid,
}

/// Issues and checks our own tokens: JWT, HS256 and nothing else, with one secret and the injected clock.
#[derive(Clone)]
pub struct OwnTokens {
    signing: EncodingKey,
    key: DecodingKey,
    validation: Validation,
    names: TokenNames,
    clock: SharedClock,
}

impl OwnTokens {
    /// How long a token is good for.
    pub const LIFE: TimeDelta = TimeDelta::hours(24);
    /// `iss` and `aud` unless they were configured.
    const USUAL_NAME: &'static str = "tenantry";

    /// Tokens signed with `secret` (`TENANTRY_JWT_SECRET`).
    ///
    /// # Errors
    /// When the secret is shorter than 32 bytes.
    pub fn new(secret: &SecretString, names: TokenNames, clock: SharedClock) -> Result<Self, ShortSecret> {
        let secret = ShortSecret::check(secret)?;
        let (signing, key) = (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret));
        let mut validation = validation(Algorithm::HS256, names.issuer.as_ref(), names.audience.as_ref());
        // Who else a token is meant for is not our business, unless somebody made it ours.
        validation.validate_aud = names.audience.is_some();
        Ok(Self { signing, key, validation, names, clock })
    }

    /// A token that is good from now on.
    #[must_use]
    pub fn issue(&self, grant: &Grant<'_>, now: DateTime<Utc>) -> String {
        let name = |given: &Option<String>| given.clone().unwrap_or_else(|| Self::USUAL_NAME.to_owned());
        let issued = Issued {
            iss: &name(&self.names.issuer),
            aud: &name(&self.names.audience),
            sub: grant.user,
            tenant_id: grant.tenant.map(|(tenant, _)| tenant),
            role: grant.tenant.map(|(_, role)| role),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: (now + Self::LIFE).timestamp(),
            jti: Uuid::now_v7(),
            sid: grant.session,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &issued, &self.signing)
            .expect("HMAC signs any claims, and these are texts and numbers")
    }

    /// Checks a token.
    ///
    /// # Errors
    /// When it is worth nothing, and why.
    pub fn verify(&self, token: &str) -> Result<TokenClaims, InvalidToken> {
        let decoded = jsonwebtoken::decode::<TokenClaims>(token, &self.key, &self.validation)?;
        decoded.claims.in_time(self.clock.now())
    }
}

/// Checks everything but the time, for which the library would ask the machine.
pub(super) fn validation(
    algorithm: Algorithm,
    issuer: Option<&String>,
    audience: Option<&String>,
) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    // Our own type of the claims demands `exp`; the library knows no moments before 1970.
    let mut required = vec!["sub"];
    if let Some(issuer) = issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    if let Some(audience) = audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    validation.set_required_spec_claims(&required);
    validation
}

#[cfg(test)]
mod tests;

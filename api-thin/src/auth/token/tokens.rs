//! Verifying tokens of every origin, and their claims.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::clock::SharedClock;
use jobs::tenant::{KbId, Role, TenantId};
use jsonwebtoken::Algorithm;
use jsonwebtoken::errors::ErrorKind;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::issuer::{ExternalIssuer, ExternalTokens, IssuerAway};
use super::own::OwnTokens;

/// The signer of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A log-in here, or the program that has our secret.
    Own,
    /// The issuer of this name, which the installation trusts.
    Issuer(&'a str),
}

/// Why a token was not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnverifiedToken {
    /// The token is not valid.
    #[error(transparent)]
    Invalid(#[from] InvalidToken),
    /// This installation accepts no tokens.
    #[error(
        "this installation takes no such tokens: it has no TENANTRY_JWT_SECRET or no TENANTRY_OIDC_ISSUER"
    )]
    NotTaken,
    /// The issuer does not answer, so the token cannot be checked now.
    #[error(transparent)]
    Away(#[from] IssuerAway),
}

/// Verifies tokens of every origin that the installation accepts.
#[derive(Clone)]
pub struct Tokens {
    own: Option<OwnTokens>,
    external: Option<Arc<ExternalTokens>>,
}

impl Tokens {
    /// Accepts our own tokens and an issuer's, as far as they are configured.
    ///
    /// # Errors
    /// When the client that reads the issuer's keys cannot be made.
    pub fn new(
        own: Option<OwnTokens>,
        issuer: Option<ExternalIssuer>,
        clock: &SharedClock,
    ) -> Result<Self, reqwest::Error> {
        let external = issuer.map(|issuer| ExternalTokens::new(issuer, Arc::clone(clock))).transpose()?;
        Ok(Self { own, external: external.map(Arc::new) })
    }

    /// Our own tokens, if the installation has a secret for them.
    #[must_use]
    pub fn own(&self) -> Option<&OwnTokens> {
        self.own.as_ref()
    }

    /// Verifies a token. Its algorithm decides which key must have signed it, so that no public key is ever used as an
    /// HMAC secret.
    ///
    /// # Errors
    /// When the token is not valid, with the reason.
    pub async fn verify(&self, token: &str) -> Result<(TokenClaims, Origin<'_>), UnverifiedToken> {
        let header = jsonwebtoken::decode_header(token).map_err(InvalidToken::from)?;
        // An extension that must be understood, and is not (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return Err(InvalidToken::Refused.into());
        }
        match (header.alg, &self.own, &self.external) {
            (Algorithm::HS256, Some(own), _) => Ok((own.verify(token)?, Origin::Own)),
            (algorithm, _, Some(external)) if ExternalTokens::takes(algorithm) => {
                Ok((external.verify(token, &header).await?, Origin::Issuer(external.name())))
            }
            (_, Some(_), _) | (_, _, Some(_)) => Err(InvalidToken::Refused.into()),
            (_, None, None) => Err(UnverifiedToken::NotTaken),
        }
    }
}

/// By how many seconds the clock of a token's signer may differ from ours, either way (RFC 7519, 4.1.4 and 4.1.5).
pub const LEEWAY_S: i64 = 60;

/// A moment in a token: seconds since the Unix epoch, also with a fraction (RFC 7519, 2). Kept in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumericDate(i64);

impl NumericDate {
    /// This many seconds after the Unix epoch.
    #[must_use]
    pub const fn from_s(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        if let Some(seconds) = number.as_i64() {
            return Ok(Self::from_s(seconds));
        }
        let seconds = number.as_f64().filter(|seconds| seconds.is_finite());
        let seconds = seconds.ok_or_else(|| serde::de::Error::custom("not a moment"))?;
        #[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
        let milliseconds = (seconds * 1_000.0).floor() as i64;
        Ok(Self(milliseconds))
    }
}

/// What a token says once its signature and its time were checked. Other claims are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TokenClaims {
    /// The person, as the token's signer calls them.
    pub sub: String,
    /// The tenant they act in.
    #[serde(default)]
    pub tenant_id: Option<TenantId>,
    /// The most that they are in it; what counts is what the tenant says now.
    #[serde(default)]
    pub role: Option<Role>,
    /// The only knowledge base that the token reaches, if it is limited to one.
    #[serde(default)]
    pub kb_id: Option<KbId>,
    /// The session that it belongs to, if our own log-in issued it.
    #[serde(default)]
    pub sid: Option<Uuid>,
    /// When the token expires (`exp`).
    pub exp: NumericDate,
    /// When the token becomes valid (`nbf`).
    #[serde(default)]
    pub nbf: Option<NumericDate>,
    /// When it was issued.
    #[serde(default)]
    pub iat: Option<NumericDate>,
}

impl TokenClaims {
    /// The claims, if their time is now, give or take [`LEEWAY_S`].
    pub(super) fn in_time(self, now: DateTime<Utc>) -> Result<Self, InvalidToken> {
        let leeway = TimeDelta::seconds(LEEWAY_S);
        let at = |at: DateTime<Utc>| NumericDate(at.timestamp_millis());
        let latest_begin = [self.nbf, self.iat].into_iter().flatten().max();
        if self.exp <= at(now - leeway) {
            Err(InvalidToken::Expired)
        } else if latest_begin.is_some_and(|begin| begin > at(now + leeway)) {
            Err(InvalidToken::NotYet)
        } else {
            Ok(self)
        }
    }
}

/// Why a token is not valid. Never repeats the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Malformed, signed by another, by another algorithm, or without a claim that we need.
    #[error(
        "the token is not one that this installation trusts, or lacks one of sub, tenant_id and exp, or has one that \
         cannot be read"
    )]
    Refused,
    /// It has another issuer.
    #[error("the token's iss is not the issuer that this installation trusts")]
    Issuer,
    /// The token is meant for another audience.
    #[error("the token's aud is not this installation")]
    Audience,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// Its session was ended.
    #[error("the token's session has ended: log in again")]
    Ended,
}

/// The JWT library's error, without its details.
impl From<jsonwebtoken::errors::Error> for InvalidToken {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => Self::Issuer,
            ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Self::Audience,
            _ => Self::Refused,
        }
    }
}

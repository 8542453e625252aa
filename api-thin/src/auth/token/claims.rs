use jobs::tenant::{Actor, KbId, Role, TenantId};
use jsonwebtoken::errors::ErrorKind;
use serde::Deserialize;
use uuid::Uuid;

/// What a token says once its signature and its time were checked. Other claims are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TokenClaims {
    /// The person.
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
    /// Seconds since the Unix epoch after which the token is worth nothing.
    pub exp: i64,
    /// Seconds since the Unix epoch before which it is worth nothing yet.
    #[serde(default)]
    pub nbf: Option<i64>,
}

impl TokenClaims {
    /// Who acts; `None` when `sub` cannot name anybody.
    #[must_use]
    pub fn actor(&self) -> Option<Actor> {
        format!("user:{}", self.sub).parse().ok()
    }

    /// The claims, if their time is now. `skew_s`: by how many seconds the issuer's clock may be ahead of ours.
    pub(super) fn in_time(self, now_s: i64, skew_s: i64) -> Result<Self, InvalidToken> {
        if self.exp <= now_s {
            Err(InvalidToken::Expired)
        } else if self.nbf.is_some_and(|nbf| nbf > now_s.saturating_add(skew_s)) {
            Err(InvalidToken::NotYet)
        } else {
            Ok(self)
        }
    }
}

/// Why a token is worth nothing. Never repeats the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Malformed, signed by someone else, by another algorithm, or without a claim that we need.
    #[error(
        "the token is not one that this installation trusts, or lacks one of sub, tenant_id, role and exp"
    )]
    Refused,
    /// Somebody else issued it.
    #[error("the token's iss is not the issuer that this installation trusts")]
    Issuer,
    /// It is meant for somebody else.
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

/// What the library says of a token, without its details.
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

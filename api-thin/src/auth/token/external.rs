use jobs::clock::SharedClock;
use jsonwebtoken::{Algorithm, Header};
use reqwest::Url;

use super::claims::{InvalidToken, TokenClaims};
use super::issuer_keys::IssuerKeys;
use super::own::validation;
use super::tokens::UnverifiedToken;

/// Somebody else whose tokens (`OpenID` Connect, RS256 or ES256) say who a person is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalIssuer {
    /// The claim `iss` of its tokens.
    pub issuer: String,
    /// The claim `aud` of tokens that are meant for us.
    pub audience: String,
    /// Where its keys are.
    pub jwks_url: Url,
}

/// An issuer's settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIssuer {
    /// Not a URL.
    #[error("expected a URL")]
    Url,
    /// Anybody on the way could change the keys.
    #[error(
        "expected https: keys that come over plain http could be anybody's (http is for this machine only)"
    )]
    Plain,
}

impl ExternalIssuer {
    /// Reads the address of the keys.
    ///
    /// # Errors
    /// When it is no URL, or not `https` although it leads off this machine.
    pub fn jwks_url(text: &str) -> Result<Url, InvalidIssuer> {
        let url: Url = text.parse().map_err(|_| InvalidIssuer::Url)?;
        let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match url.scheme() {
            "https" => Ok(url),
            "http" if here => Ok(url),
            "http" => Err(InvalidIssuer::Plain),
            _ => Err(InvalidIssuer::Url),
        }
    }
}

/// Checks tokens of an [`ExternalIssuer`].
pub(super) struct ExternalTokens {
    issuer: ExternalIssuer,
    keys: IssuerKeys,
    clock: SharedClock,
}

impl ExternalTokens {
    pub(super) fn new(issuer: ExternalIssuer, clock: SharedClock) -> Result<Self, reqwest::Error> {
        let keys = IssuerKeys::new(issuer.jwks_url.clone(), std::sync::Arc::clone(&clock))?;
        Ok(Self { issuer, keys, clock })
    }

    /// The algorithm is one of those that [`ExternalTokens::takes`].
    pub(super) async fn verify(&self, token: &str, header: &Header) -> Result<TokenClaims, UnverifiedToken> {
        let key = self.keys.key(header.kid.as_deref(), header.alg).await?.ok_or(InvalidToken::Refused)?;
        let ExternalIssuer { issuer, audience, .. } = &self.issuer;
        let validation = validation(header.alg, Some(issuer), Some(audience));
        let decoded = jsonwebtoken::decode::<TokenClaims>(token, &key, &validation);
        let claims = decoded.map_err(InvalidToken::from)?.claims;
        Ok(claims.in_time(self.clock.now())?)
    }

    /// Whose tokens these are: their `iss`.
    pub(super) fn name(&self) -> &str {
        &self.issuer.issuer
    }

    pub(super) fn takes(algorithm: Algorithm) -> bool {
        matches!(algorithm, Algorithm::RS256 | Algorithm::ES256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        for good in ["https://id.example.com/keys", "http://127.0.0.1:9/keys", "http://localhost/keys"] {
            assert!(ExternalIssuer::jwks_url(good).is_ok(), "{good}");
        }
        assert_eq!(ExternalIssuer::jwks_url("http://id.example.com/keys"), Err(InvalidIssuer::Plain));
        assert_eq!(ExternalIssuer::jwks_url("http://127.0.0.1.example.com/k"), Err(InvalidIssuer::Plain));
        for bad in ["", "keys", "file:///etc/passwd"] {
            assert_eq!(ExternalIssuer::jwks_url(bad), Err(InvalidIssuer::Url), "{bad}");
        }
    }
}

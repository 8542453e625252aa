//! Tokens of an `OpenID` issuer, and its keys.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::clock::SharedClock;
use jobs::error::report;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::own::validation;
use super::tokens::{InvalidToken, TokenClaims, UnverifiedToken};

/// An external issuer whose tokens (`OpenID` Connect, RS256 or ES256) identify a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalIssuer {
    /// The claim `iss` of its tokens.
    pub issuer: String,
    /// The claim `aud` of tokens that are meant for us.
    pub audience: String,
    /// URL of its keys (JWKS).
    pub jwks_url: Url,
}

/// An issuer's settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIssuer {
    /// Not a URL.
    #[error("expected a URL")]
    Url,
    /// An attacker on the way could change the keys.
    #[error(
        "expected https: keys that come over plain http can be forged on the way (http is for this machine only)"
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

    /// The algorithm is among those that [`ExternalTokens::takes`].
    pub(super) async fn verify(&self, token: &str, header: &Header) -> Result<TokenClaims, UnverifiedToken> {
        let key = self.keys.key(header.kid.as_deref(), header.alg).await?.ok_or(InvalidToken::Refused)?;
        let ExternalIssuer { issuer, audience, .. } = &self.issuer;
        let validation = validation(header.alg, Some(issuer), Some(audience));
        let decoded = jsonwebtoken::decode::<TokenClaims>(token, &key, &validation);
        let claims = decoded.map_err(InvalidToken::from)?.claims;
        Ok(claims.in_time(self.clock.now())?)
    }

    /// The name of the issuer: `iss` in its tokens.
    pub(super) fn name(&self) -> &str {
        &self.issuer.issuer
    }

    pub(super) fn takes(algorithm: Algorithm) -> bool {
        matches!(algorithm, Algorithm::RS256 | Algorithm::ES256)
    }
}

/// The issuer's keys were never read, and it does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the issuer's keys cannot be read")]
pub struct IssuerAway;

/// The keys of an issuer (JWKS), cached, and read again when they are old or a token names an unknown key.
pub(super) struct IssuerKeys {
    url: Url,
    client: Client,
    clock: SharedClock,
    known: RwLock<Known>,
    /// Held by the request that fetches; the others wait for its result.
    fetching: Mutex<()>,
}

#[derive(Default)]
struct Known {
    keys: Vec<IssuerKey>,
    fetched_at: Option<DateTime<Utc>>,
    tried_at: Option<DateTime<Utc>>,
}

struct IssuerKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

#[derive(Debug, thiserror::Error)]
enum Unfetched {
    #[error("no answer")]
    Http(#[from] reqwest::Error),
    #[error("the answer is larger than {} bytes", IssuerKeys::MAX_BYTES)]
    Large,
    #[error("the answer is not a JWKS")]
    Json(#[from] serde_json::Error),
}

impl IssuerKeys {
    /// After this time they are read again, so that a key that the issuer took back stops working.
    const FRESH: TimeDelta = TimeDelta::hours(1);
    /// The shortest time between two reads: any client can send tokens that name unknown keys.
    const PAUSE: TimeDelta = TimeDelta::seconds(30);
    const DEADLINE: Duration = Duration::from_secs(5);
    const MAX_BYTES: usize = 256 << 10;

    pub(super) fn new(url: Url, clock: SharedClock) -> Result<Self, reqwest::Error> {
        // Fails only when a provider is installed already, which is what we want.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A redirect could lead to a host that was not configured.
        let client = Client::builder().timeout(Self::DEADLINE).redirect(redirect::Policy::none()).build()?;
        Ok(Self { url, client, clock, known: RwLock::default(), fetching: Mutex::new(()) })
    }

    /// The key that a token names; without a name, the only one for the algorithm.
    pub(super) async fn key(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Option<DecodingKey>, IssuerAway> {
        if let Some(key) = self.fresh(id, algorithm) {
            return Ok(Some(key));
        }
        let _turn = self.fetching.lock().await;
        if let Some(key) = self.fresh(id, algorithm) {
            return Ok(Some(key));
        }
        self.fetch_again().await;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.fetched_at.is_none() { Err(IssuerAway) } else { Ok(known.find(id, algorithm)) }
    }

    fn fresh(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let now = self.clock.now();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.fetched_at.filter(|at| now - *at < Self::FRESH)?;
        known.find(id, algorithm)
    }

    /// Reads the keys, unless that was tried a moment ago. When it fails, what was known stays.
    async fn fetch_again(&self) {
        let now = self.clock.now();
        {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if known.tried_at.is_some_and(|at| now - at < Self::PAUSE) {
                return;
            }
            known.tried_at = Some(now);
        }
        match self.fetch().await {
            Ok(keys) => {
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                *known = Known { keys, fetched_at: Some(now), tried_at: Some(now) };
            }
            Err(error) => tracing::warn!(error = report(&error), "the issuer's keys were not read"),
        }
    }

    async fn fetch(&self) -> Result<Vec<IssuerKey>, Unfetched> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let mut response = self.client.get(self.url.clone()).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await? {
            body.extend_from_slice(&part);
            if body.len() > Self::MAX_BYTES {
                return Err(Unfetched::Large);
            }
        }
        let set: Set = serde_json::from_slice(&body)?;
        // A key of an unknown kind must not hide the others.
        Ok(set.keys.into_iter().filter_map(IssuerKey::read).collect())
    }
}

impl Known {
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let named = |key: &&IssuerKey| id.is_none_or(|id| key.id.as_deref() == Some(id));
        let mut fitting = self.keys.iter().filter(|key| key.algorithm == algorithm).filter(named);
        let first = fitting.next()?;
        fitting.next().is_none().then(|| first.key.clone())
    }
}

impl IssuerKey {
    /// A key that signs tokens with an accepted algorithm.
    fn read(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let (algorithm, name) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            _ => return None,
        };
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
        let fits = jwk.common.key_algorithm.is_none_or(|algorithm| algorithm == name);
        let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| signs && fits)?;
        Some(Self { id: jwk.common.key_id, algorithm, key })
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

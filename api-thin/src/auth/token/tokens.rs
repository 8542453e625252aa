use std::sync::Arc;

use jobs::clock::SharedClock;
use jsonwebtoken::Algorithm;

use super::claims::{InvalidToken, TokenClaims};
use super::external::{ExternalIssuer, ExternalTokens};
use super::issuer_keys::IssuerAway;
use super::own::OwnTokens;

/// Who signed a token.
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
    /// It is worth nothing.
    #[error(transparent)]
    Invalid(#[from] InvalidToken),
    /// This installation takes no tokens.
    #[error(
        "this installation takes no such tokens: it has no TENANTRY_JWT_SECRET or no TENANTRY_OIDC_ISSUER"
    )]
    NotTaken,
    /// It cannot be told now.
    #[error(transparent)]
    Away(#[from] IssuerAway),
}

/// Checks tokens of every origin that the installation takes.
#[derive(Clone)]
pub struct Tokens {
    own: Option<OwnTokens>,
    external: Option<Arc<ExternalTokens>>,
}

impl Tokens {
    /// Takes our own tokens and an issuer's, if they are given.
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

    /// Checks a token. Its algorithm decides who must have signed it, so that nobody's public key is ever
    /// taken for a secret.
    ///
    /// # Errors
    /// When it is worth nothing, and why.
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

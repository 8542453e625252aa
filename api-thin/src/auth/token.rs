use jobs::clock::SharedClock;
use jobs::tenant::{Actor, KbId, Role, TenantId};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::SecretString;
use serde::Deserialize;

use super::secret::ShortSecret;

/// What a token says once its signature and its time were checked. Other claims are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TokenClaims {
    /// The person.
    pub sub: String,
    /// The tenant they act in.
    pub tenant_id: TenantId,
    /// What they are in it.
    pub role: Role,
    /// The only knowledge base that the token reaches, if it is limited to one.
    #[serde(default)]
    pub kb_id: Option<KbId>,
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
}

/// Why a token is worth nothing. Never repeats the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Malformed, signed by someone else, by another algorithm, or without a claim that we need.
    #[error("the token is not an HS256 JWT of this installation with sub, tenant_id, role and exp")]
    Refused,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
}

/// Checks tokens (JWT, HS256 and nothing else) against one secret and the injected clock.
#[derive(Clone)]
pub struct TokenVerifier {
    key: DecodingKey,
    validation: Validation,
    clock: SharedClock,
}

impl TokenVerifier {
    /// A verifier of tokens signed with `secret` (`TENANTRY_JWT_SECRET`).
    ///
    /// # Errors
    /// When the secret is shorter than 32 bytes.
    pub fn new(secret: &SecretString, clock: SharedClock) -> Result<Self, ShortSecret> {
        let key = DecodingKey::from_secret(ShortSecret::check(secret)?);
        let mut validation = Validation::new(Algorithm::HS256);
        // The library would ask the machine for the time; `verify` asks the clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        // Who else a token is meant for is not our business.
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Ok(Self { key, validation, clock })
    }

    /// Checks a token.
    ///
    /// # Errors
    /// When it is worth nothing, and why.
    pub fn verify(&self, token: &str) -> Result<TokenClaims, InvalidToken> {
        let decoded = jsonwebtoken::decode::<TokenClaims>(token, &self.key, &self.validation);
        let claims = decoded.map_err(|_| InvalidToken::Refused)?.claims;
        let now = self.clock.now().timestamp();
        if claims.exp <= now {
            Err(InvalidToken::Expired)
        } else if claims.nbf.is_some_and(|nbf| nbf > now) {
            Err(InvalidToken::NotYet)
        } else {
            Ok(claims)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use chrono::DateTime;
    use jobs::clock::ManualClock;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "a secret of at least thirty-two bytes";
    const NOW_S: i64 = 1_700_000_000;

    fn verify(token: &str) -> Result<TokenClaims, InvalidToken> {
        let clock = Arc::new(ManualClock::at(DateTime::from_timestamp(NOW_S, 0).unwrap()));
        TokenVerifier::new(&SECRET.into(), clock).unwrap().verify(token)
    }

    fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn claims() -> Value {
        json!({"sub": "ann", "tenant_id": "acme", "role": "EDITOR", "exp": NOW_S + 1, "aud": "elsewhere"})
    }

    #[test]
    fn a_good_token_says_who_and_where() {
        let claims = verify(&signed(Algorithm::HS256, SECRET, &claims())).unwrap();
        assert_eq!(claims.actor().unwrap().to_string(), "user:ann");
        assert_eq!((claims.tenant_id.as_str(), claims.role), ("acme", Role::Editor));
    }

    #[test]
    fn other_algorithms_and_secrets_are_refused() {
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let body = URL_SAFE_NO_PAD.encode(claims().to_string());
        for bad in [
            format!("{none}.{body}."),
            signed(Algorithm::HS512, SECRET, &claims()),
            signed(Algorithm::HS256, "another secret of at least 32 bytes", &claims()),
            "a.b.c".to_owned(),
        ] {
            assert_eq!(verify(&bad), Err(InvalidToken::Refused), "{bad}");
        }
    }

    #[test]
    fn claims_that_we_need_are_required_and_checked() {
        for (name, value) in [
            ("exp", Value::Null),
            ("sub", Value::Null),
            ("tenant_id", Value::Null),
            ("tenant_id", json!("NOT A LABEL")),
            ("role", json!("ROOT")),
            ("exp", json!("tomorrow")),
        ] {
            let mut changed = claims();
            if value.is_null() {
                changed.as_object_mut().unwrap().remove(name);
            } else {
                changed[name] = value.clone();
            }
            let token = signed(Algorithm::HS256, SECRET, &changed);
            assert_eq!(verify(&token), Err(InvalidToken::Refused), "{name} = {value}");
        }
    }

    #[test]
    fn time_is_that_of_the_clock() {
        let at = |name: &str, value: i64| {
            let mut changed = claims();
            changed[name] = value.into();
            verify(&signed(Algorithm::HS256, SECRET, &changed))
        };
        assert_eq!(at("exp", NOW_S), Err(InvalidToken::Expired));
        assert_eq!(at("nbf", NOW_S + 1), Err(InvalidToken::NotYet));
        assert!(at("nbf", NOW_S).is_ok());
    }
}

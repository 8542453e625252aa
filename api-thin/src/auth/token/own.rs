//! Tokens that this installation or the product signs with its secret.

use chrono::{DateTime, TimeDelta, Utc};
use jobs::clock::SharedClock;
use jobs::tenant::{Role, TenantId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

use super::tokens::{InvalidToken, TokenClaims};
use crate::auth::ShortSecret;

/// Issuer and audience of our tokens. A value that is set is written into tokens and required of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenNames {
    /// The claim `iss`.
    pub issuer: Option<String>,
    /// The claim `aud`.
    pub audience: Option<String>,
}

/// The contents of a token to issue.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// The person.
    pub user: &'a str,
    /// The session that it ends with.
    pub session: Uuid,
    /// The tenant and the person's role in it; `None` for a super-admin who acts in none.
    pub tenant: Option<(&'a TenantId, Role)>,
    /// How long the token is valid.
    pub life: TimeDelta,
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
        // Other audiences in a token do not matter, unless an audience is configured.
        validation.validate_aud = names.audience.is_some();
        Ok(Self { signing, key, validation, names, clock })
    }

    /// A token that is valid from now on.
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
            exp: (now + grant.life).timestamp(),
            jti: Uuid::now_v7(),
            sid: grant.session,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &issued, &self.signing)
            .expect("HMAC signs any claims, and these are texts and numbers")
    }

    /// Checks a token.
    ///
    /// # Errors
    /// When it is not valid, with the reason.
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
mod tests {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jobs::clock::ManualClock;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::super::tokens::{LEEWAY_S, NumericDate};
    use super::*;

    const SECRET: &str = "a secret of at least thirty-two bytes";
    const NOW_S: i64 = 1_700_000_000;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(NOW_S, 0).unwrap()
    }

    fn tokens(names: TokenNames) -> OwnTokens {
        OwnTokens::new(&SECRET.into(), names, Arc::new(ManualClock::at(now()))).unwrap()
    }

    fn verify(token: &str) -> Result<TokenClaims, InvalidToken> {
        tokens(TokenNames::default()).verify(token)
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
        assert_eq!(claims.sub, "ann");
        assert_eq!((claims.tenant_id.unwrap().as_str(), claims.role), ("acme", Some(Role::Editor)));
    }

    #[test]
    fn an_issued_token_says_what_was_granted() {
        let tokens = tokens(TokenNames::default());
        let (tenant, session) = ("acme".parse().unwrap(), Uuid::now_v7());
        let life = TimeDelta::hours(8);
        let grant = Grant { user: "ann", session, tenant: Some((&tenant, Role::Viewer)), life };
        let claims = tokens.verify(&tokens.issue(&grant, now())).unwrap();
        assert_eq!(
            (claims.sub.as_str(), claims.sid, claims.role),
            ("ann", Some(session), Some(Role::Viewer))
        );
        let date = NumericDate::from_s;
        assert_eq!((claims.tenant_id, claims.nbf), (Some(tenant.clone()), Some(date(NOW_S))));
        assert_eq!(claims.exp, date(NOW_S + 8 * 3_600));
        let earlier = now() - life - TimeDelta::seconds(LEEWAY_S);
        assert_eq!(tokens.verify(&tokens.issue(&grant, earlier)), Err(InvalidToken::Expired));
        assert_ne!(tokens.issue(&grant, now()), tokens.issue(&grant, now()), "each has a jti of its own");
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
            ("tenant_id", json!("NOT A LABEL")),
            ("tenant_id", json!({ "$ne": "" })),
            ("role", json!("ROOT")),
            ("sid", json!("*")),
            ("exp", json!("tomorrow")),
            ("exp", json!(true)),
            ("nbf", json!("1700000000")),
            ("iat", json!([])),
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
        let at = |name: &str, value: Value| {
            let mut changed = claims();
            changed[name] = value;
            verify(&signed(Algorithm::HS256, SECRET, &changed)).map(|_| ())
        };
        let (past, future) = (NOW_S - LEEWAY_S, NOW_S + LEEWAY_S);
        #[expect(clippy::cast_precision_loss, reason = "of seconds in this century nothing is lost")]
        let (past_s, future_s) = (past as f64, future as f64);
        for (name, value, expected) in [
            ("exp", json!(past), Err(InvalidToken::Expired)),
            ("exp", json!(past + 1), Ok(())),
            // Dates may have a fraction (RFC 7519, 2).
            ("exp", json!(past_s - 0.001), Err(InvalidToken::Expired)),
            ("exp", json!(past_s + 0.5), Ok(())),
            ("exp", json!(f64::MAX), Ok(())),
            ("exp", json!(u64::MAX), Ok(())),
            ("exp", json!(-1.5), Err(InvalidToken::Expired)),
            ("exp", json!(i64::MIN), Err(InvalidToken::Expired)),
            ("nbf", json!(future), Ok(())),
            ("nbf", json!(future + 1), Err(InvalidToken::NotYet)),
            ("nbf", json!(future_s + 0.5), Err(InvalidToken::NotYet)),
            ("iat", json!(future_s), Ok(())),
            ("iat", json!(future + 1), Err(InvalidToken::NotYet)),
            ("iat", json!(0), Ok(())),
        ] {
            assert_eq!(at(name, value.clone()), expected, "{name} = {value}");
        }
    }

    #[test]
    fn issuer_and_audience_are_demanded_once_they_are_configured() {
        let names = TokenNames { issuer: Some("us".into()), audience: Some("api".into()) };
        let tokens = tokens(names);
        let with = |iss: Value, aud: Value| {
            let mut changed = claims();
            changed["iss"] = iss;
            changed["aud"] = aud;
            tokens.verify(&signed(Algorithm::HS256, SECRET, &changed)).map(|claims| claims.sub)
        };
        assert_eq!(with("us".into(), "api".into()), Ok("ann".into()));
        assert_eq!(with("us".into(), json!(["else", "api"])), Ok("ann".into()));
        for iss in [json!("them"), json!("us2"), json!(""), Value::Null] {
            assert_eq!(with(iss.clone(), "api".into()), Err(InvalidToken::Issuer), "{iss}");
        }
        for aud in [json!("else"), json!(["else"]), json!([]), Value::Null] {
            assert_eq!(with("us".into(), aud.clone()), Err(InvalidToken::Audience), "{aud}");
        }
        let grant = Grant { user: "ann", session: Uuid::now_v7(), tenant: None, life: TimeDelta::hours(1) };
        assert!(tokens.verify(&tokens.issue(&grant, now())).is_ok(), "what we issue we take");
    }
}

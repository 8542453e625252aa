use std::fmt;

use secrecy::SecretString;

use super::api_key::ApiKey;

/// What a request shows to say who it is. Nothing of it is checked yet.
#[derive(Clone)]
pub enum Presented {
    /// An API key of a tenant.
    ApiKey(ApiKey),
    /// Three parts joined by dots: a JWT.
    Token(String),
    /// Anything else. Only the operator's key looks like anything.
    Other(SecretString),
}

/// Why what was presented cannot even be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// There is nothing.
    #[error("send `Authorization: Bearer <API key or token>` or `X-API-Key: <API key>`")]
    Missing,
    /// Another scheme than `Bearer`.
    #[error("the Authorization header is not `Bearer <API key or token>`")]
    Scheme,
    /// Two that are not the same.
    #[error("Authorization and X-API-Key hold different credentials: send one of them")]
    Two,
}

impl Presented {
    /// Reads the values of the `Authorization` and `X-API-Key` headers.
    ///
    /// # Errors
    /// When there is none, or more than one, or a scheme that is not ours.
    pub fn from_headers(authorization: Option<&str>, api_key: Option<&str>) -> Result<Self, Unreadable> {
        let bearer = authorization.map(bearer).transpose()?;
        match (bearer, api_key.map(str::trim).filter(|key| !key.is_empty())) {
            (None, None) => Err(Unreadable::Missing),
            (Some(one), Some(other)) if one != other => Err(Unreadable::Two),
            (Some(text), _) | (None, Some(text)) => Ok(Self::classify(text)),
        }
    }

    fn classify(text: &str) -> Self {
        if let Ok(key) = text.parse() {
            Self::ApiKey(key)
        } else if text.split('.').count() == 3 && !text.starts_with(ApiKey::PREFIX) {
            Self::Token(text.to_owned())
        } else {
            Self::Other(text.into())
        }
    }
}

/// The scheme is case-insensitive (RFC 9110, 11.1).
fn bearer(value: &str) -> Result<&str, Unreadable> {
    let (scheme, rest) = value.trim().split_once(' ').ok_or(Unreadable::Scheme)?;
    let token = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        Ok(token)
    } else {
        Err(Unreadable::Scheme)
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "ApiKey",
            Self::Token(_) => "Token",
            Self::Other(_) => "Other",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(authorization: Option<&str>, api_key: Option<&str>) -> Result<String, Unreadable> {
        Presented::from_headers(authorization, api_key).map(|presented| format!("{presented:?}"))
    }

    #[test]
    fn credentials_are_told_apart_by_their_shape() {
        let key = "tk_acme_abcd1234_secret";
        assert_eq!(kind(Some(&format!("Bearer {key}")), None).unwrap(), "ApiKey");
        assert_eq!(kind(None, Some(key)).unwrap(), "ApiKey");
        assert_eq!(kind(Some(&format!("bearer  {key}")), Some(key)).unwrap(), "ApiKey");
        assert_eq!(kind(Some("Bearer a.b.c"), None).unwrap(), "Token");
        assert_eq!(kind(Some("Bearer whatever"), None).unwrap(), "Other");
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!(kind(None, None), Err(Unreadable::Missing));
        assert_eq!(kind(None, Some(" ")), Err(Unreadable::Missing));
        assert_eq!(kind(Some("Basic dTpw"), None), Err(Unreadable::Scheme));
        assert_eq!(kind(Some("Bearer "), None), Err(Unreadable::Scheme));
        assert_eq!(kind(Some("Bearer a"), Some("b")), Err(Unreadable::Two));
    }
}

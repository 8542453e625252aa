use std::fmt;

use uuid::Uuid;

use crate::auth::{KeyDerivation, SecretHash};

/// A refresh token: `rt_{session}_{generation}_{secret}`. The secret is derived from a key: nothing is stored from
/// which a token could be made, and a guessed token can be told from one that was used before.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session that it renews.
    pub session: Uuid,
    /// The number of the token in its session. Each renewal raises it by one.
    pub generation: u32,
}

/// A text that is no refresh token of ours. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the refresh token is not known, or its session has ended: log in again")]
pub struct InvalidRefreshToken;

impl RefreshToken {
    const PREFIX: &'static str = "rt_";

    /// The whole token, to be shown once.
    #[must_use]
    pub fn reveal(&self, keys: &KeyDerivation) -> String {
        let session = self.session.simple();
        format!("{}{session}_{}_{}", Self::PREFIX, self.generation, self.secret(keys))
    }

    /// Parses a token that this installation issued.
    ///
    /// # Errors
    /// When we did not.
    pub fn read(text: &str, keys: &KeyDerivation) -> Result<Self, InvalidRefreshToken> {
        let mut parts = text.strip_prefix(Self::PREFIX).ok_or(InvalidRefreshToken)?.splitn(3, '_');
        let mut next = || parts.next().ok_or(InvalidRefreshToken);
        let session = next()?.parse().map_err(|_| InvalidRefreshToken)?;
        let generation = next()?.parse().map_err(|_| InvalidRefreshToken)?;
        let (token, secret) = (Self { session, generation }, next()?);
        let expected = SecretHash::of(&token.secret(keys).into());
        if SecretHash::of(&secret.into()) == expected { Ok(token) } else { Err(InvalidRefreshToken) }
    }

    fn secret(&self, keys: &KeyDerivation) -> String {
        keys.derive("refresh token", &[&self.session.to_string(), &self.generation.to_string()])
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_of_ours_are_read() {
        let keys = KeyDerivation::new(&"0123456789abcdef0123456789abcdef".into()).unwrap();
        let other = KeyDerivation::new(&"another secret of at least 32 bytes".into()).unwrap();
        let token = RefreshToken { session: Uuid::now_v7(), generation: 3 };
        let text = token.reveal(&keys);
        assert_eq!(RefreshToken::read(&text, &keys), Ok(token.clone()));
        assert_eq!(RefreshToken::read(&text, &other), Err(InvalidRefreshToken));
        let next = RefreshToken { generation: 4, ..token.clone() }.reveal(&keys);
        let swapped = next.replace("_4_", "_3_");
        for bad in ["", "rt_", "rt_a_b_c", swapped.as_str(), text.trim_start_matches("rt_"), &text[..60]] {
            assert_eq!(RefreshToken::read(bad, &keys), Err(InvalidRefreshToken), "{bad}");
        }
    }
}

//! A webhook as Standard Webhooks writes it: id, time and body, signed together.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use standardwebhooks::Webhook;

/// One request to an endpoint.
#[derive(Debug, Clone)]
pub struct Message {
    /// `webhook-id`: the event's, the same for each attempt.
    pub id: String,
    /// `webhook-timestamp`: of this attempt, so that a receiver can refuse old requests that are sent again.
    pub timestamp: i64,
    /// `webhook-signature`: one for each secret.
    pub signature: String,
    /// The body: JSON.
    pub body: String,
}

/// A secret is not `whsec_` and base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret cannot be read: rotate it")]
pub struct InvalidSecret;

impl Message {
    /// Signs with each of `secrets`: during a rotation a receiver knows either.
    ///
    /// # Errors
    /// When there is no secret, or one cannot be read.
    pub fn signed(
        id: &str,
        now: DateTime<Utc>,
        body: String,
        secrets: &[SecretString],
    ) -> Result<Self, InvalidSecret> {
        let timestamp = now.timestamp();
        let sign = |secret: &SecretString| {
            let webhook = Webhook::new(secret.expose_secret()).map_err(|_| InvalidSecret)?;
            webhook.sign(id, timestamp, body.as_bytes()).map_err(|_| InvalidSecret)
        };
        let signatures = secrets.iter().map(sign).collect::<Result<Vec<_>, _>>()?;
        if signatures.is_empty() {
            return Err(InvalidSecret);
        }
        Ok(Self { id: id.to_owned(), timestamp, signature: signatures.join(" "), body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let now = DateTime::from_timestamp(1_614_265_330, 0).unwrap();
        let secret = || SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
        let message = Message::signed(id, now, body.into(), &[secret()]).unwrap();
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(message.signature, expected);
        let other = SecretString::from("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let both = Message::signed(id, now, body.into(), &[other, secret()]).unwrap();
        assert!(both.signature.ends_with(&format!(" {expected}")), "{both:?}");
        for secrets in [vec![], vec![SecretString::from("whsec_?")]] {
            assert_eq!(Message::signed(id, now, body.into(), &secrets).unwrap_err(), InvalidSecret);
        }
    }
}

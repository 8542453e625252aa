use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::problem::{Code, Problem};

const HEADER: &str = "idempotency-key";

/// The `Idempotency-Key` of a request, if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(HEADER).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => key(value.as_bytes()).map(|key| Self(Some(key))),
            (Some(_), Some(_)) => Err(invalid("send one Idempotency-Key")),
        }
    }
}

fn key(value: &[u8]) -> Result<String, Problem> {
    if (1..=255).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic) {
        Ok(String::from_utf8_lossy(value).into_owned())
    } else {
        Err(invalid("an Idempotency-Key has 1 to 255 visible ASCII characters, such as a UUID"))
    }
}

fn invalid(detail: &'static str) -> Problem {
    Problem::new(Code::InvalidIdempotencyKey, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_of_bounded_length() {
        assert_eq!(key(b"order-1").unwrap(), "order-1");
        assert!(key(&[b'a'; 255]).is_ok());
        for bad in [&b""[..], b"a b", b"caf\xc3\xa9", b"a\tb", &[b'a'; 256]] {
            assert_eq!(key(bad).unwrap_err().code(), Code::InvalidIdempotencyKey, "{bad:?}");
        }
    }
}

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::{Code, Problem};

/// The query parameters of a request.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.query().is_some_and(has_control_characters) {
            return Err(Problem::new(Code::InvalidQuery, "leave out control characters"));
        }
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| Problem::new(Code::InvalidQuery, jobs::error::report(&error)))
    }
}

/// Nothing that somebody looks for has any, and Postgres refuses some.
fn has_control_characters(query: &str) -> bool {
    let encoded = query.as_bytes().windows(3).filter(|part| part[0] == b'%');
    encoded.into_iter().any(|part| matches!(part[1..], [b'0' | b'1', _] | [b'7', b'f' | b'F']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_found_however_they_are_written() {
        for bad in ["a=%00", "after=x%0a", "x=1&y=%1F%41", "%7f=1", "a=%7F"] {
            assert!(has_control_characters(bad), "{bad}");
        }
        for good in ["", "a=1", "a=%20b", "a=%C3%A9", "a=%", "a=%2", "a=100%25", "a=%250"] {
            assert!(!has_control_characters(good), "{good}");
        }
    }
}

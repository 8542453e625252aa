use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::strict::read;
use crate::problem::{Code, Problem};

/// The query parameters of a request.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        if has_control_characters(query) {
            return Err(Problem::new(Code::InvalidQuery, "the query has control characters: leave them out"));
        }
        parse(query).map(Self)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    read(pairs).map_err(|misfit| misfit.problem(Code::InvalidQuery, Code::InvalidQuery))
}

/// No name or id has any, and Postgres refuses some.
fn has_control_characters(query: &str) -> bool {
    let control = |text: &str| text.chars().any(|character| character.is_ascii_control());
    form_urlencoded::parse(query.as_bytes()).any(|(name, value)| control(&name) || control(&value))
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

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Listing {
        after: Option<String>,
        limit: Option<u32>,
    }

    #[test]
    fn what_cannot_be_used_is_named_once() {
        for (query, field, detail) in [
            ("limit=abc", "limit", "`limit`: invalid digit found in string"),
            ("page=2", "page", "`page` is not known: expected `after` or `limit`"),
            ("limit=1&limit=2", "limit", "`limit` comes twice"),
        ] {
            let problem = parse::<Listing>(query).unwrap_err();
            assert_eq!((problem.field_name(), problem.detail()), (Some(field), detail));
            assert_eq!(problem.code(), Code::InvalidQuery);
        }
        let good: Listing = parse("after=a%26b&limit=7").unwrap();
        assert_eq!((good.after.as_deref(), good.limit), (Some("a&b"), Some(7)));
        assert!(parse::<Listing>("").is_ok());
    }
}

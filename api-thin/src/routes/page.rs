use std::fmt;
use std::str::FromStr;

use crate::documents::Limits;
use crate::extract::shown;
use crate::problem::{Code, Problem};

const USUAL: u32 = 100;

/// How many items a page has.
pub(super) fn page_limit(asked: Option<&str>) -> Result<u32, Problem> {
    let Some(asked) = asked else { return Ok(USUAL) };
    let limit = asked.parse().ok().filter(|limit| (1..=Limits::PAGE).contains(limit));
    limit.ok_or_else(|| invalid("limit", &format!("expected 1 to {}, not `{}`", Limits::PAGE, shown(asked))))
}

/// A query parameter as a `T`, if it was sent.
pub(super) fn parameter<T>(name: &str, sent: Option<&str>) -> Result<Option<T>, Problem>
where
    T: FromStr<Err: fmt::Display>,
{
    sent.map(str::parse).transpose().map_err(|error: T::Err| invalid(name, &error.to_string()))
}

/// Where a page begins of a list that is read by key: `after` is the `next` of the page before.
pub(super) fn page_after<T: FromStr>(after: Option<&str>) -> Result<Option<T>, Problem> {
    let key = after.map(str::parse).transpose();
    key.map_err(|_| invalid("after", "expected the `next` of an earlier page"))
}

/// A query parameter that cannot be used.
pub(super) fn invalid(parameter: &str, problem: &str) -> Problem {
    Problem::new(Code::InvalidQuery, format!("`{parameter}`: {problem}")).field(parameter)
}

/// How many items an offset may leave out: the queue has to pass them all.
const FURTHEST: usize = 100_000;

/// Where a page begins of a list that is read by number: `after` is the `next` of the page before.
pub(super) fn page_offset(after: Option<&str>) -> Result<usize, Problem> {
    let Some(after) = after else { return Ok(0) };
    let offset = after.parse().ok().filter(|&offset: &usize| offset <= FURTHEST);
    offset.ok_or_else(|| invalid("after", "expected the `next` of an earlier page, or use a narrower filter"))
}

/// The `next` of a page that begins at `offset` and is full.
pub(super) fn next_offset(offset: usize, limit: u32, found: usize) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    (found >= limit).then(|| (offset + found).to_string())
}

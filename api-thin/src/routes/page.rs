use crate::documents::Limits;
use crate::problem::{Code, Problem};

const USUAL: u32 = 100;

/// How many items a page has.
pub(super) fn page_limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(USUAL) {
        limit @ 1..=Limits::PAGE => Ok(limit),
        _ => Err(invalid("limit", &format!("expected 1 to {}", Limits::PAGE))),
    }
}

/// A query parameter that cannot be used.
pub(super) fn invalid(parameter: &str, problem: &str) -> Problem {
    Problem::new(Code::InvalidQuery, problem.to_owned()).field(parameter)
}

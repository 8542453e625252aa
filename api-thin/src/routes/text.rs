//! Texts of people in bodies.

use serde::{Deserialize as _, Deserializer};
use serde_json::Value;

use crate::accounts::SlugFault;
use crate::extract::Distinct;
use crate::problem::{Code, Problem};

pub(super) fn text(field: &str, value: String, max_chars: usize) -> Result<String, Problem> {
    let printable = !value.trim().is_empty() && !value.chars().any(char::is_control);
    if printable && value.chars().count() <= max_chars {
        Ok(value)
    } else {
        Err(invalid(field, format!("expected 1 to {max_chars} printable characters")))
    }
}

/// A field of a patch that is there, if only as `null`.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Distinct::deserialize(deserializer).map(|Distinct(value)| Some(value))
}

pub(super) fn invalid(field: &str, problem: String) -> Problem {
    Problem::new(Code::InvalidField, problem).field(field)
}

pub(super) fn refused_slug(field: &str, fault: SlugFault) -> Problem {
    let code = match fault {
        SlugFault::Shape => Code::InvalidSlug,
        SlugFault::Reserved => Code::ReservedSlug,
    };
    Problem::new(code, fault.to_string()).field(field)
}
